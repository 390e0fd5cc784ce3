"""A Kafka and a Postgres for the suites that start everything else as real processes."""

from collections.abc import Iterator

import pytest

import local_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[local_stack.Stack]:
    """Kafka and Postgres for the whole run."""
    with local_stack.ephemeral() as running:
        yield running
