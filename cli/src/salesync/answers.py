"""What answers a command: events that come after it was published, found by what they say."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from contracts.base import Message
from contracts.registry import UnreadableError, WrongValueError, read
from local_stack import StackError
from salesync.kafka import consuming, partitions_of

POLL_MS = 250

T = TypeVar("T")


@asynccontextmanager
async def listening(brokers: str, topics: Iterable[str]) -> AsyncIterator[AIOKafkaConsumer]:
    """A reader of what comes to these topics from now on.

    Raises:
        StackError: the topics are not there.
    """
    partitions = await partitions_of(brokers, topics)
    if not partitions:
        raise StackError("The topics are missing; make them with `salesync topics apply`.")
    async with consuming(brokers, partitions) as consumer:
        for partition, end in (await consumer.end_offsets(partitions)).items():
            consumer.seek(partition, end)
        yield consumer


async def answer(
    consumer: AIOKafkaConsumer, choose: Callable[[Message, str | None], T | None]
) -> T:
    """What `choose` makes of the first message that it wants; it is also given its trace."""
    while True:
        for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
            for record in records:
                message = _read(record.topic, record.value)
                chosen = None if message is None else choose(message, trace_of(record))
                if chosen is not None:
                    return chosen


def new_traceparent() -> str:
    """A trace of its own for a command; what answers the command belongs to it."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_of(record: ConsumerRecord[Any, Any]) -> str | None:
    """The trace that a record says it belongs to."""
    for name, value in record.headers:
        if name == "traceparent" and value is not None:
            return trace_id(value.decode(errors="replace"))
    return None


def trace_id(traceparent: str) -> str | None:
    """The trace in a `traceparent`."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) > 1 else None


def _read(topic: str, body: bytes | None) -> Message | None:
    """The message in a record; None for what is no message, which is not ours to judge."""
    try:
        return read(topic, body)
    except (UnreadableError, WrongValueError):
        return None
