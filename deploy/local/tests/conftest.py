"""One stack for the suites here that only look at it."""

from collections.abc import Iterator

import pytest

import local_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[local_stack.Stack]:
    """Kafka and Postgres for the whole run."""
    with local_stack.ephemeral() as running:
        yield running
