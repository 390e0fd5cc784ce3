"""The whole system as `salesync up` starts it, for suites that import these fixtures."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from salesync.client import Client, connect

START_SECONDS_MAX = 180


def salesync(*arguments: str) -> str:
    """What the command line prints; its failure fails the test with its own words."""
    done = subprocess.run(  # noqa: S603  (our own command line)
        [sys.executable, "-m", "salesync", *arguments],
        capture_output=True,
        text=True,
        timeout=START_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"salesync {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of a running system."""
    data = tmp_path_factory.mktemp("system")
    salesync("up", "--detach", "--data", str(data))
    try:
        yield data
    finally:
        salesync("down", "--data", str(data))


@pytest.fixture(scope="session")
def addresses(folder: Path) -> Mapping[str, str]:
    """Where everything is."""
    return cast("dict[str, str]", json.loads(salesync("env", "--json", "--data", str(folder))))


@pytest.fixture
async def client(addresses: Mapping[str, str]) -> AsyncIterator[Client]:
    """A client of the system, as any other program would be one."""
    async with connect(addresses) as opened:
        yield opened
