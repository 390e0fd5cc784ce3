"""The journal of a service: which records it applied, in which order, as which batch, and when.

What a service makes of its topics depends on the order in which it happened to read them, and on
the clock. Both stand in the journal, so an empty database is filled with what the lost one held.

The laws of this module:

- Each batch gets the next sequence in its own transaction, last of all, so the order of sequences
  is the order of commits.
- An entry reaches Kafka after everything that its batch published (`outbox.sendable`). So what an
  entry stands for is on the topics already, and is applied again without publishing it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256

from pydantic import ValidationError

from chassis.errors import FatalError
from chassis.messages import Outgoing, Record, outgoing
from chassis.outbox import Connection
from contracts.journal import AppliedRange, BatchApplied


def ranges_of(records: Sequence[Record]) -> list[AppliedRange]:
    """Which records these are, partition by partition in the order in which they come."""
    offsets: dict[int, list[int]] = {}
    for record in records:
        offsets.setdefault(record.partition, []).append(record.offset)
    return [
        AppliedRange(partition=partition, first_offset=found[0], next_offset=found[-1] + 1)
        for partition, found in offsets.items()
    ]


async def next_entry(
    connection: Connection,
    journal: str,
    *,
    group: str,
    records: Sequence[Record],
    published: Sequence[Outgoing],
    now: datetime,
) -> Outgoing:
    """The entry of a batch; from now on the transaction holds the journal and must commit soon."""
    sequence = await connection.fetchval(
        """
        insert into journal_positions as stored (consumer_group, next_sequence) values ($1, 1)
        on conflict (consumer_group) do update set next_sequence = stored.next_sequence + 1
        returning next_sequence - 1
        """,
        group,
    )
    entry = BatchApplied(
        service=group,
        sequence=sequence,
        topic=records[0].topic,
        ranges=ranges_of(records),
        applied_at=now,
        published=len(published),
        digest=digest_of(published),
    )
    return outgoing(journal, group, entry, source=f"/{group}", identity=f"{group}/{sequence}")


async def find_position(connection: Connection, group: str) -> int:
    """The sequence of the entry that comes next."""
    query = "select next_sequence from journal_positions where consumer_group = $1"
    return await connection.fetchval(query, group) or 0


async def save_position(connection: Connection, group: str, next_sequence: int) -> None:
    """Keep which entry comes next."""
    await connection.execute(
        """
        insert into journal_positions (consumer_group, next_sequence) values ($1, $2)
        on conflict (consumer_group) do update set next_sequence = excluded.next_sequence
        """,
        group,
        next_sequence,
    )


def digest_of(published: Iterable[Outgoing]) -> str:
    """What tells a set of messages from any other: the SHA-256 of their sorted ids."""
    return sha256("\n".join(sorted(str(m.id) for m in published)).encode()).hexdigest()


def read_entry(record: Record) -> BatchApplied:
    """The entry in a record of a journal.

    Raises:
        FatalError: it is none.
    """
    try:
        return BatchApplied.model_validate_json(record.value or b"")
    except ValidationError as error:
        raise FatalError(
            f"{record.place} is no journal entry: {error}. Only the service itself writes there; "
            "without its journal the database can only come from a backup."
        ) from error


def compare(entry: BatchApplied, published: Sequence[Outgoing]) -> None:
    """See that a batch came out as it did the first time.

    Raises:
        FatalError: it published other messages then.
    """
    if (entry.published, entry.digest) != (len(published), digest_of(published)):
        kinds = ", ".join(sorted({m.type for m in published})) or "none"
        raise FatalError(
            f"Entry {entry.sequence} of the journal ({entry.topic}, {entry.ranges}) led to "
            f"{entry.published} messages when it was applied first, and to {len(published)} others "
            f"now ({kinds}). This release decides otherwise than the one that wrote the entry: "
            "rebuild with that release and update afterwards, or restore a backup. Nothing of this "
            "entry was committed."
        )
