"""Makes .venv: the pinned lock, every package of this repository, and Kafka's jars.

Runs on the system's Python with nothing installed. It shows one moving line instead of pip's
pages; where pip fails, what it said last, and what to do.
"""

import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
LINES_SHOWN = 12
NO_NETWORK = re.compile(
    r"NewConnectionError|ConnectTimeout|NameResolution|Network is unreachable|Max retries"
    r"|ReadTimeout|ProxyError|No matching distribution"
)


class SetupError(Exception):
    """The environment cannot be made, and the message says what to do."""


def main() -> int:
    """Make the environment, or say in one sentence why not."""
    try:
        if not _works():
            print("making .venv", flush=True)
            venv.create(VENV, clear=True, with_pip=True, symlinks=True)
        packages = len(re.findall(r"^\S+==", LOCK.read_text("utf-8"), re.MULTILINE))
        _pip(f"installing {packages} pinned packages", packages, _locked())
        _pip("installing this repository's packages", 0, _editable())
        if subprocess.run([PYTHON, "-m", "local_stack"], cwd=ROOT, check=False).returncode:
            return 1
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(
            f"setup: .venv cannot be made with {sys.executable} ({error}). Install the package"
            " that brings its venv module (python3-venv on Debian), and run this again.",
            file=sys.stderr,
        )
        return 1
    return 0


def _works() -> bool:
    """Whether .venv has a Python that runs and is new enough, with pip."""
    try:
        check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
        done = subprocess.run([PYTHON, "-c", check], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _locked() -> list[str]:
    # The lock is complete and hashed, so pip neither resolves nor chooses anything.
    return ["--no-deps", "--require-hashes", "-r", str(LOCK)]


def _editable() -> list[str]:
    projects = sorted([*ROOT.glob("*/pyproject.toml"), *ROOT.glob("*/*/pyproject.toml")])
    arguments = ["--no-deps", "--no-build-isolation"]
    for project in projects:
        arguments += ["-e", str(project.parent)]
    return arguments


def _pip(what: str, total: int, arguments: list[str]) -> None:
    """Run pip install, showing how many of `total` packages it has looked at."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    said: list[str] = []
    seen = 0
    print(what, flush=True)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    ) as pip:
        for line in pip.stdout or ():
            said.append(line.rstrip())
            if match := re.match(r"(?:Collecting|Requirement already satisfied:) (\S+)", line):
                seen += 1
                _show(seen, total, match[1])
            elif line.startswith("Installing collected packages"):
                _show(total, total, "writing them into .venv")
    if sys.stdout.isatty():
        print(end="\r\x1b[K")
    if pip.returncode == 0:
        return
    text = "\n".join(said[-LINES_SHOWN:])
    if NO_NETWORK.search("\n".join(said)):
        raise SetupError(
            "pip could not reach the package index. The first run needs the network: connect, or"
            f" set HTTPS_PROXY, and run this again. pip said last:\n{text}"
        )
    raise SetupError(f"pip failed (exit code {pip.returncode}). It said last:\n{text}")


def _show(seen: int, total: int, name: str) -> None:
    if not total:
        return
    line = f"  {seen} of {total}: {name}"
    if sys.stdout.isatty():
        print(f"\r\x1b[K{line}", end="", flush=True)
    elif seen % 20 == 0 or seen == total:
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
