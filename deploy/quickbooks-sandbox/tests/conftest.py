"""One running sandbox for all tests, fresh for each."""

from collections.abc import Iterator

import pytest

from quickbooks_sandbox.testing import SandboxClient, run_sandbox


@pytest.fixture(scope="session")
def running() -> Iterator[SandboxClient]:
    with run_sandbox() as client:
        yield client


@pytest.fixture
def sandbox(running: SandboxClient) -> SandboxClient:
    running.reset()
    return running
