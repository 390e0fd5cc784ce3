"""A database that is behind its journal is brought up to it before anything new is consumed.

An empty database is the usual case, one that was restored from a backup another. Entries are
applied in their sequence, each once and in one transaction, so a rebuild that is interrupted goes
on where it was.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.consumer import Consumer
from chassis.errors import FatalError
from chassis.health import Health
from chassis.journal import find_position, read_entry
from chassis.messages import Record
from chassis.offsets import find_offsets
from contracts.journal import BatchApplied

log = structlog.get_logger(__name__)

SILENCE_SECONDS_MAX = 60
PROGRESS_SECONDS = 10
_LOCK_CLASS = 0x0B0C


async def catch_up(
    consumer: Consumer, *, pool: asyncpg.Pool, bootstrap_servers: str, health: Health
) -> tuple[int, int]:
    """Apply what the journal has beyond the database; one replica does it, others wait.

    Returns where in the journal the database stood and stands.

    Raises:
        FatalError: the journal or the topics are not whole, or a batch comes out otherwise.
    """
    if consumer.journal_topic is None:
        return 0, 0
    health.set("rebuild", "the journal is being looked at")
    async with pool.acquire() as session:
        while not await session.fetchval("select pg_try_advisory_lock($1, 2)", _LOCK_CLASS):
            health.set("rebuild", "another replica rebuilds the database")
            await asyncio.sleep(1)
        try:
            async with _reading(bootstrap_servers, consumer) as reader:
                applied = await find_offsets(pool, consumer.group, reader.partitions)
                reader.applied.update(
                    {place: offset for place, offset in applied.items() if offset is not None}
                )
                position = await find_position(session, consumer.group)
                after = await _apply_entries(consumer, reader, position, health)
        finally:
            await session.execute("select pg_advisory_unlock($1, 2)", _LOCK_CLASS)
    health.set("rebuild", None)
    return position, after


async def _apply_entries(
    consumer: Consumer, reader: "_Reader", position: int, health: Health
) -> int:
    """Apply the entries from a sequence on that the journal holds now; returns what comes next."""
    journal = TopicPartition(str(consumer.journal_topic), 0)
    first = position
    loop = asyncio.get_running_loop()
    told_at = loop.time()
    # Entry n never stands before offset n: the relay may have published some twice.
    async for record in reader.follow(journal, position):
        entry = read_entry(record)
        if entry.sequence < position:
            continue
        if entry.sequence > position:
            raise FatalError(
                f"{record.place} is entry {entry.sequence} of the journal, and entry {position} is "
                "missing. Topics must be kept whole to rebuild from them; restore a backup."
            )
        await consumer.apply_again(entry, await reader.records_of(entry))
        position += 1
        health.set("rebuild", f"{position} of about {reader.ends[journal]} batches are applied")
        if loop.time() - told_at > PROGRESS_SECONDS:
            told_at = loop.time()
            log.info("rebuilding", batches=position, of_about=reader.ends[journal])
    if position > first:
        log.warning("rebuilt from the journal", from_batch=first, to_batch=position)
    return position


@asynccontextmanager
async def _reading(bootstrap_servers: str, consumer: Consumer) -> AsyncIterator["_Reader"]:
    """A reader, in no group, of the journal and the topics of a consumer."""
    topics = (str(consumer.journal_topic), *consumer.topics)
    client = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=2_097_152,
    )
    await client.start()
    try:
        partitions = sorted(client.assignment())
        missing = sorted(set(topics) - {p.topic for p in partitions})
        if missing:
            raise FatalError(
                f"The topics {', '.join(missing)} do not exist; make them with "
                "`salesync topics apply`."
            )
        yield _Reader(
            client,
            partitions,
            await client.beginning_offsets(partitions),
            await client.end_offsets(partitions),
        )
    finally:
        await client.stop()


class _Reader:
    """Records of partitions by their offsets; `applied` is the offset after those read last."""

    def __init__(
        self,
        client: AIOKafkaConsumer,
        partitions: Sequence[TopicPartition],
        beginnings: dict[TopicPartition, int],
        ends: dict[TopicPartition, int],
    ) -> None:
        self.partitions = partitions
        self.ends = ends
        self.applied: dict[TopicPartition, int] = {}
        self._client = client
        self._beginnings = beginnings
        self._kept: dict[TopicPartition, list[Record]] = {}

    async def follow(self, place: TopicPartition, offset: int) -> AsyncIterator[Record]:
        """Every record of a partition from an offset on, up to its end of now."""
        if offset < self._beginnings[place]:
            raise FatalError(
                f"{place.topic} begins at {self._beginnings[place]} and the database is at "
                f"{offset}: its beginning was deleted. It must be kept whole to rebuild from it; "
                "restore a backup."
            )
        if offset >= self.ends[place]:
            return
        self._client.seek(place, offset)
        while await self._client.position(place) < self.ends[place]:
            for record in await self._poll(place):
                yield record

    async def records_of(self, entry: BatchApplied) -> list[Record]:
        """The records that an entry of the journal names, in its order."""
        found: list[Record] = []
        for part in entry.ranges:
            place = TopicPartition(entry.topic, part.partition)
            self._check(place, part.first_offset, part.next_offset)
            found += await self._take(place, part.first_offset, part.next_offset)
        return found

    def _check(self, place: TopicPartition, first: int, after: int) -> None:
        where = f"partition {place.partition} of {place.topic}"
        if place not in self.ends:
            raise FatalError(f"The journal names {where}, which this service does not consume.")
        begin, end = self._beginnings[place], self.ends[place]
        if first < begin or after > end:
            raise FatalError(
                f"The journal says that {first} to {after - 1} of {where} were applied, and it "
                f"holds {begin} to {end - 1}. Topics must be kept whole to rebuild from them; "
                "restore a backup."
            )
        if place not in self.applied and first > begin:
            raise FatalError(
                f"The journal begins at {first} of {where}, which begins at {begin}: what is "
                "before was applied without a journal, or was skipped by `offsets reset`. This "
                "database can't be rebuilt from topics; restore a backup."
            )

    async def _take(self, place: TopicPartition, first: int, after: int) -> list[Record]:
        """The records of a partition from an offset up to another."""
        kept = self._kept.pop(place, [])
        if self.applied.get(place) != first:
            kept = []
        if not kept and await self._client.position(place) != first:
            self._client.seek(place, first)
        self.applied[place] = after
        while not (kept and kept[-1].offset >= after):
            if await self._client.position(place) >= after:
                break
            kept += await self._poll(place)
        count = sum(record.offset < after for record in kept)
        self._kept[place] = kept[count:]
        return kept[:count]

    async def _poll(self, place: TopicPartition) -> list[Record]:
        """The next records of a partition; none where only gaps come until its end.

        Raises:
            FatalError: Kafka gave nothing for a minute.
        """
        try:
            async with asyncio.timeout(SILENCE_SECONDS_MAX):
                before = await self._client.position(place)
                while True:
                    got = await self._client.getmany(place, timeout_ms=200)
                    if got or await self._client.position(place) > before:
                        return [Record.of(raw) for raw in got.get(place, ())]
        except TimeoutError as error:
            raise FatalError(
                f"Kafka gave nothing of {place.topic}/{place.partition} for {SILENCE_SECONDS_MAX} "
                "seconds. Start again when it is well; the rebuild goes on where it was."
            ) from error
