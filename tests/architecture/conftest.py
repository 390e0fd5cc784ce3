"""The real Postgres that the statements are prepared on; nothing here needs Kafka."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import local_stack
from chassis.testing import databases

__all__ = ["databases"]


@pytest.fixture(scope="session")
def stack() -> Iterator[local_stack.Stack]:
    """Postgres for the whole run; an address stands in for Kafka, so that none is started."""
    with ExitStack() as cleanup:
        with pytest.MonkeyPatch.context() as patch:
            brokers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
            patch.setenv("KAFKA_BOOTSTRAP_SERVERS", brokers)
            running = cleanup.enter_context(local_stack.ephemeral())
        yield running
