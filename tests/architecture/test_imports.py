"""Imports point inward only: the rules of `.importlinter` hold, and each catches its violation."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / ".importlinter"
SOURCES = [
    path
    for pattern in ("contracts/src/*", "chassis/src/*", "cli/src/*", "*/*/src/*")
    for path in sorted(ROOT.glob(pattern))
    if (path / "__init__.py").is_file()
]

SERVERS = "What runs in production starts no servers of its own"
PACKAGES = "Services rest on the chassis, the chassis on the contracts"
COMMAND_LINE = "The command line speaks Kafka and HTTP"
SANDBOX = "The QuickBooks sandbox stands on its own"
INWARD = "Inside a service, imports point inward"
DOMAIN = "The domain is pure"
REMOTE = "HTTP goes out of the connector's clients alone"
QUICKBOOKS = "Only what builds the connector knows its QuickBooks client"
SQL = "Only stores, checks of invariants and the chassis load SQL"
EDGE = "Only the chassis knows FastStream"

PLANTED = [
    (PACKAGES, "contracts.planted_a", "chassis.errors"),
    (PACKAGES, "contracts.planted_b", "inventory.settings"),
    (PACKAGES, "chassis.planted_a", "inventory.settings"),
    (PACKAGES, "chassis.planted_b", "salesync"),
    (SERVERS, "chassis.planted_c", "local_stack"),
    (SERVERS, "inventory.planted_f", "local_stack"),
    (PACKAGES, "inventory.planted_a", "sales_processor.settings"),
    (PACKAGES, "inventory.planted_b", "channel_connector.settings"),
    (PACKAGES, "sales_processor.planted_a", "inventory.settings"),
    (PACKAGES, "sales_processor.planted_b", "channel_connector.settings"),
    (PACKAGES, "channel_connector.planted_a", "inventory.settings"),
    (PACKAGES, "channel_connector.planted_b", "sales_processor.settings"),
    (PACKAGES, "channel_connector.planted_c", "quickbooks_sandbox"),
    (PACKAGES, "sales_processor.planted_c", "salesync"),
    (COMMAND_LINE, "salesync.planted_a", "inventory"),
    (COMMAND_LINE, "salesync.planted_b", "asyncpg"),
    (SANDBOX, "quickbooks_sandbox.planted_a", "contracts.base"),
    (SANDBOX, "quickbooks_sandbox.planted_b", "chassis.http"),
    (INWARD, "inventory.domain.planted_a", "inventory.store"),
    (INWARD, "inventory.domain.planted_b", "inventory.usecases"),
    (INWARD, "sales_processor.domain.planted_a", "sales_processor.handlers"),
    (INWARD, "channel_connector.domain.planted_a", "channel_connector.clients"),
    (INWARD, "channel_connector.clients.planted_a", "channel_connector.store"),
    (INWARD, "inventory.store.planted_a", "inventory.usecases"),
    (INWARD, "inventory.usecases.planted_a", "inventory.handlers"),
    (INWARD, "sales_processor.handlers.planted_b", "sales_processor.app"),
    *[
        (DOMAIN, f"{service}.domain.planted_{module}", module)
        for service, modules in {
            "inventory": ["asyncpg", "aiokafka", "httpx", "fastapi", "structlog", "asyncio"],
            "sales_processor": ["time", "random", "os", "logging", "aiosql", "secrets", "socket"],
            "channel_connector": ["pydantic_settings", "subprocess", "starlette", "chassis"],
        }.items()
        for module in modules
    ],
    (REMOTE, "sales_processor.planted_d", "httpx"),
    (REMOTE, "channel_connector.planted_d", "httpx"),
    (REMOTE, "inventory.planted_d", "requests"),
    (QUICKBOOKS, "channel_connector.usecases.planted_a", "channel_connector.clients.quickbooks"),
    (SQL, "inventory.planted_e", "aiosql"),
    (SQL, "channel_connector.usecases.planted_b", "aiosql"),
    (EDGE, "sales_processor.handlers.planted_a", "faststream"),
    (EDGE, "channel_connector.planted_e", "faststream"),
]


def _lint(sources: str) -> str:
    """What import-linter reports of the packages found first on this path."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--config", str(RULES), "--no-cache"],
        env={**os.environ, "PYTHONPATH": sources, "COLUMNS": "200"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return f"{done.stdout}{done.stderr}\nexit code {done.returncode}"


def test_every_import_is_allowed() -> None:
    report = _lint("")
    assert "BROKEN" not in report, report
    assert report.endswith("exit code 0"), report


@pytest.fixture(scope="module")
def report_of_planted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report on a copy of all packages with every violation planted in it."""
    tree = tmp_path_factory.mktemp("planted")
    for source in SOURCES:
        shutil.copytree(source, tree / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    for _, module, imported in PLANTED:
        _plant(tree, module, imported)
    return _lint(str(tree))


def _plant(tree: Path, module: str, imported: str) -> None:
    """Write a module with one import, making packages of the modules it stands in."""
    *parents, name = module.split(".")
    folder = tree
    for parent in parents:
        folder /= parent
        if folder.with_suffix(".py").is_file():
            folder.mkdir()
            folder.with_suffix(".py").rename(folder / "__init__.py")
        elif not folder.is_dir():
            folder.mkdir()
            (folder / "__init__.py").touch()
    (folder / f"{name}.py").write_text(f"import {imported}\n")


@pytest.mark.parametrize(("rule", "module", "imported"), PLANTED)
def test_a_planted_import_is_caught(
    report_of_planted: str, rule: str, module: str, imported: str
) -> None:
    sections = re.split(r"^(.+)\n-{5,}$", report_of_planted, flags=re.MULTILINE)
    (section,) = (
        text
        for name, text in zip(sections[1::2], sections[2::2], strict=True)
        if name.startswith(rule)
    )
    assert re.search(rf"^-\s+{re.escape(module)} -> {re.escape(imported)}\b", section, re.MULTILINE)
