"""`python -m contracts.generate`: writes the JSON Schemas and the examples from the models.

The law of this module: what is committed is exactly what it writes. `--check` writes nothing and
fails where that does not hold; `--release` makes the schemas of today the ones that every later
change is compared with, and refuses to if they break the last release.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from contracts.compatibility import breaking_changes
from contracts.registry import TOPIC_MESSAGES, message_type, read
from contracts.schemas import schema_of

ROOT = Path(__file__).resolve().parents[2]
STORY = ROOT / "story"
"""The examples as written by hand: a yaml file for each topic, a list of bodies in each."""
FOLDERS = ("schemas", "examples")


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write, check or release; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m contracts.generate", description=__doc__)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="write nothing, fail on differences")
    action.add_argument("--release", action="store_true", help="make these schemas the baseline")
    chosen = parser.parse_args(arguments)
    wanted = generated()
    if chosen.check:
        stale = differences(root, wanted)
        for line in stale:
            sys.stderr.write(f"{line}\n")
        if stale:
            sys.stderr.write("Run `python -m contracts.generate` and commit what it writes.\n")
        return 1 if stale else 0
    if chosen.release:
        problems = breaking_changes(load_schemas(root / "released"), current_schemas())
        for line in problems:
            sys.stderr.write(f"{line}\n")
        if problems:
            sys.stderr.write("Give the changed message a new type or its topic a new version.\n")
            return 1
        wanted |= {
            path.replace("schemas/", "released/", 1): text
            for path, text in wanted.items()
            if path.startswith("schemas/")
        }
    _write(root, wanted)
    return 0


def generated() -> dict[str, str]:
    """Every generated file, by its path in the folder of the contracts."""
    files = {
        f"schemas/{topic}/{kind}.json": _json(schema)
        for (topic, kind), schema in current_schemas().items()
    }
    for topic in TOPIC_MESSAGES:
        for name, body in _examples(topic).items():
            files[f"examples/{topic}/{name}.json"] = _json(body)
    return files


def current_schemas() -> dict[tuple[str, str], dict[str, Any]]:
    """The schema of each message type, by topic and type."""
    return {
        (topic, message_type(model)): schema_of(topic, model)
        for topic, models in TOPIC_MESSAGES.items()
        for model in models
    }


def load_schemas(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The schemas in a folder, by topic and type."""
    return {
        (file.parent.name, file.stem): json.loads(file.read_text("utf-8"))
        for file in sorted(folder.glob("*/*.json"))
    }


def differences(root: Path, wanted: Mapping[str, str]) -> list[str]:
    """Files that are missing, out of date or left over, each with what is wrong."""
    lines = []
    for path, text in wanted.items():
        file = root / path
        if not file.is_file():
            lines.append(f"{path} is missing.")
        elif file.read_text("utf-8") != text:
            lines.append(f"{path} is not what the models and the story say.")
    return lines + [f"{path} is left over." for path in _left_over(root, wanted)]


def _examples(topic: str) -> dict[str, Any]:
    """The examples of a topic, by file name, each as its model writes it.

    The first of a type is named like the type, the second `<type>.2`.
    """
    bodies: list[dict[str, Any]] = yaml.safe_load((STORY / f"{topic}.yaml").read_text("utf-8"))
    named: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for body in bodies:
        message = read(topic, json.dumps(body).encode())
        counts[message.type] = counts.get(message.type, 0) + 1
        number = counts[message.type]
        named[message.type if number == 1 else f"{message.type}.{number}"] = json.loads(
            message.encode()
        )
    return named


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _write(root: Path, wanted: Mapping[str, str]) -> None:
    for path, text in wanted.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    for path in _left_over(root, wanted):
        (root / path).unlink()


def _left_over(root: Path, wanted: Mapping[str, str]) -> list[str]:
    """Generated files of types that are no more; what was released stays."""
    return [
        str(file.relative_to(root))
        for folder in FOLDERS
        for file in sorted((root / folder).glob("**/*.json"))
        if str(file.relative_to(root)) not in wanted
    ]


if __name__ == "__main__":
    sys.exit(main())
