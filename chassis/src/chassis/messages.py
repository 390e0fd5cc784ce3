"""Records as they come from Kafka, and messages as they go out.

Outgoing ids are UUIDv5 of the source and what the message says, so publishing the same fact twice
publishes the same `ce_id`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from chassis.errors import PoisonError
from contracts.base import Message
from contracts.registry import BODY_BYTES_MAX

MessageT_co = TypeVar("MessageT_co", bound=Message, covariant=True)

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record, undecoded."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @classmethod
    def of(cls, raw: Any) -> "Record":  # noqa: ANN401  (a record of the client)
        """A record as the client hands it out."""
        return cls(raw.topic, raw.partition, raw.offset, raw.key, raw.value, tuple(raw.headers))

    @property
    def place(self) -> str:
        """Where the record stands, as `topic/partition/offset`."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    def header(self, name: str) -> str | None:
        """The text of a header, if it is there and is text."""
        for key, value in self.headers:
            if key == name and value is not None:
                return value.decode("utf-8", errors="replace")
        return None


@dataclass(frozen=True, slots=True)
class Received(Generic[MessageT_co]):
    """A message with the record that brought it."""

    record: Record
    message: MessageT_co

    @property
    def identity(self) -> str:
        """What tells this message from any other, the same on every delivery and replay.

        The producer's `ce_id` where it gave one, else the record's place.
        """
        return self.record.header("ce_id") or self.record.place

    def derived_id(self, purpose: str) -> str:
        """An id for something that this message creates without naming it."""
        return str(uuid5(NAMESPACE_URL, f"{purpose}:{self.identity}"))


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way to the outbox.

    `headers` is None for our own messages, which get CloudEvents headers when published; a dead
    letter brings its own.
    """

    topic: str
    key: bytes | None
    type: str
    payload: bytes | None
    subject: str
    id: UUID
    time: datetime
    traceparent: str | None = None
    headers: Headers | None = None


def outgoing(
    topic: str,
    key: str,
    message: Message,
    *,
    source: str,
    identity: str,
    subject: str | None = None,
    traceparent: str | None = None,
) -> Outgoing:
    """Encode a message. `identity` names the fact within its topic and type, for `ce_id`.

    Raises:
        PoisonError: the message is larger than any consumer reads; publishing it would only stop
            the outbox, so what causes it is set apart instead.
    """
    kind = message.type
    payload = message.encode()
    if len(payload) > BODY_BYTES_MAX:
        raise PoisonError(
            "message-too-large",
            f"It leads to a `{kind}` of {len(payload)} bytes; at most {BODY_BYTES_MAX} are read.",
        )
    return Outgoing(
        topic=topic,
        key=key.encode(),
        type=kind,
        payload=payload,
        subject=key if subject is None else subject,
        id=uuid5(NAMESPACE_URL, f"{source}/{topic}/{kind}/{identity}"),
        time=datetime.now(UTC),
        traceparent=traceparent,
    )
