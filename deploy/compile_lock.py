"""Compiles every package's dependencies and the dev group into requirements.lock, with hashes."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Write requirements.lock; the exit code is uv's."""
    wanted = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"])
    for path in [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("*/*/pyproject.toml")]:
        project = tomllib.loads(path.read_text())["project"]
        wanted |= {d for d in project["dependencies"] if not d.startswith("partsemble-")}
    command = [
        *[sys.executable, "-m", "uv", "pip", "compile", "--universal", "--python-version", "3.11"],
        *["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header"],
        *["--output-file", str(ROOT / "requirements.lock"), "-"],
    ]
    return subprocess.run(
        command, input="\n".join(sorted(wanted)), text=True, check=False, stdout=subprocess.DEVNULL
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
