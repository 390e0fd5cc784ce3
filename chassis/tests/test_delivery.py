"""Records are applied exactly once, bad ones set apart, whatever is redelivered or fails.

A toy service on the real Kafka and Postgres shows it: it writes the amounts that it is told to add.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pydantic import TypeAdapter, ValidationError

import local_stack
from chassis.consumer import Batch, Consumer, Rejections, Subscription
from chassis.errors import FatalError, PoisonError, TransientError
from chassis.messages import Record
from chassis.outbox import Relay
from chassis.testing import Databases, fresh_pool, until
from contracts.base import Message, Quantity
from contracts.registry import UnreadableError, WrongValueError

MIGRATIONS = Path(__file__).parent / "migrations"


class Add(Message):
    """Add an amount; negative ones are wrong, 13 can't be applied, 666 is a bug."""

    type: Literal["add"] = "add"
    amount: Quantity


class Added(Message):
    """An amount was added."""

    type: Literal["added"] = "added"
    amount: Quantity


_ADAPTER = TypeAdapter(Add)


def read(topic: str, body: bytes | None) -> Message:
    """Read as the contracts do: unreadable or wrong."""
    try:
        add = _ADAPTER.validate_json(body or b"")
    except ValidationError as error:
        raise UnreadableError("not-json", f"{topic} carries numbers to add") from error
    if add.amount < 0:
        raise WrongValueError({"type": "add"}, "amount", "`amount`: must not be negative")
    return add


@dataclass
class Toy:
    """The service, and what a test may turn on it."""

    stack: local_stack.Stack
    pool: asyncpg.Pool
    database_url: str
    topic: str
    events: str
    group: str
    transient_faults: int = 0
    applied_batches: list[int] = field(default_factory=list)
    before_apply: Callable[[], Awaitable[None]] | None = None
    commits: int = 0

    async def apply(self, batch: Batch[Any]) -> None:
        """Write each amount once, and tell it."""
        self.applied_batches.append(len(batch.messages))
        if self.before_apply:
            await self.before_apply()
        if self.transient_faults > 0:
            self.transient_faults -= 1
            raise TransientError("the database is away")
        await batch.connection.executemany(
            "insert into amounts (place, amount) values ($1, $2)",
            [(r.record.place, r.message.amount) for r in batch.messages],
        )
        for received in batch.messages:
            if received.message.amount == 13:
                raise PoisonError("unlucky", "13 can't be added")
            if received.message.amount == 666:
                raise RuntimeError("a bug")
            batch.publish(
                self.events,
                (received.record.key or b"").decode(),
                Added(amount=received.message.amount),
                identity=received.record.place,
                cause=received,
            )

    def consumer(self, **options: int) -> tuple[Consumer, Relay]:
        """A member of the group with its relay."""
        relay = Relay(
            database_url=self.database_url,
            bootstrap_servers=self.stack.bootstrap_servers,
            source="/toy",
        )
        subscription = Subscription(
            self.topic,
            self.apply,
            Rejections(self.events, key=lambda rejection: rejection.command),
            read=read,
            on_commit=self.count_commit,
        )
        return (
            Consumer(
                group=self.group,
                subscriptions=[subscription],
                pool=self.pool,
                relay=relay,
                bootstrap_servers=self.stack.bootstrap_servers,
                **options,
            ),
            relay,
        )

    def count_commit(self) -> None:
        """Called by the consumer."""
        self.commits += 1

    async def amounts(self) -> list[int]:
        """What was added, in order of size."""
        rows = await self.pool.fetch("select amount from amounts order by amount")
        return [int(row["amount"]) for row in rows]

    async def send(self, *records: tuple[Any, ...]) -> None:
        """Produce (key, value) or (key, value, headers) records, in order."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.stack.bootstrap_servers, max_request_size=4_000_000
        )
        await producer.start()
        try:
            for key, value, *headers in records:
                await producer.send_and_wait(
                    self.topic, value, key=key, headers=headers[0] if headers else None
                )
        finally:
            await producer.stop()

    async def read_topic(self, topic: str) -> list[Any]:
        """Every record that a topic holds now."""
        client = AIOKafkaConsumer(
            bootstrap_servers=self.stack.bootstrap_servers, max_partition_fetch_bytes=8_000_000
        )
        await client.start()
        try:
            found: list[Any] = []
            partitions = [
                TopicPartition(topic, p) for p in client.partitions_for_topic(topic) or ()
            ]
            if not partitions:
                await client._client.force_metadata_update()
                numbers = client._client.cluster.partitions_for_topic(topic) or {0, 1}
                partitions = [TopicPartition(topic, p) for p in numbers]
            ends = await client.end_offsets(partitions)
            for partition, end in ends.items():
                client.assign([partition])
                await client.seek_to_beginning(partition)
                while await client.position(partition) < end:
                    batches = await client.getmany(partition, timeout_ms=500)
                    found += [record for records in batches.values() for record in records]
            return found
        finally:
            await client.stop()


@pytest.fixture
async def toy(stack: local_stack.Stack, databases: Databases) -> AsyncIterator[Toy]:
    """A toy service with topics and a database of its own."""
    name = uuid4().hex[:8]
    topic, events, group = f"toy.{name}.v1", f"toy.{name}.events.v1", f"toy-{name}"
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.bootstrap_servers)
    await admin.start()
    sizes = {"max.message.bytes": "4000000"}
    await admin.create_topics(
        [
            NewTopic(topic, 2, 1, topic_configs=sizes),
            NewTopic(events, 2, 1),
            NewTopic(f"{topic}.{group}.dlq", 1, 1, topic_configs={"max.message.bytes": "8388608"}),
        ]
    )
    await admin.close()
    async with fresh_pool(databases, MIGRATIONS) as pool:
        async with pool.acquire() as connection:
            database = await connection.fetchval("select current_database()")
        yield Toy(stack, pool, stack.server_dsn(database), topic, events, group)


@asynccontextmanager
async def running(toy: Toy, **options: int) -> AsyncIterator[Consumer]:
    """A member of the group and its relay, stopped cleanly afterwards."""
    consumer, relay = toy.consumer(**options)
    relaying = asyncio.create_task(relay.run())
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()
        relay.stop()
        await relaying


def number(amount: int) -> bytes:
    return b'{"type":"add","amount":%d}' % amount


async def test_every_record_is_applied_once_and_told_once(toy: Toy) -> None:
    await toy.send(*((b"k%d" % (n % 7), number(100 + n)) for n in range(100)))
    async with running(toy):
        await until(lambda: has(toy, 100), what="100 amounts")
        events = await until(lambda: told(toy, 100), what="100 events")
    assert await toy.amounts() == list(range(100, 200))
    assert len(events) == 100


async def test_events_of_a_key_keep_their_order_and_carry_headers(toy: Toy) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await toy.send(*((b"k", number(100 + n), [("traceparent", trace.encode())]) for n in range(50)))
    async with running(toy):
        events = await until(lambda: told(toy, 50), what="50 events")
    assert [json.loads(e.value)["amount"] for e in events] == [str(100 + n) for n in range(50)]
    headers = {name: value.decode() for name, value in events[0].headers}
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_type"] == "added"
    assert headers["ce_source"] == "/toy"
    assert headers["content-type"] == "application/json"
    assert headers["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert len({e.headers[1] for e in events}) == 50


async def test_a_redelivered_batch_changes_nothing(toy: Toy) -> None:
    await toy.send(*((b"k", number(n)) for n in range(10)))
    async with running(toy) as consumer:
        await until(lambda: has(toy, 10), what="10 amounts")
        assert consumer.client is not None
        await consumer.client.seek_to_beginning()
        await toy.send((b"k", number(10)))
        await until(lambda: has(toy, 11), what="the record after the repeated ones")
        events = await until(lambda: told(toy, 11), what="11 events")
    assert await toy.amounts() == list(range(11))
    assert len(events) == 11


async def test_a_restart_goes_on_where_postgres_says(toy: Toy) -> None:
    await toy.send(*((b"k", number(n)) for n in range(5)))
    async with running(toy):
        await until(lambda: has(toy, 5), what="5 amounts")
    await toy.send(*((b"k", number(n)) for n in range(5, 9)))
    async with running(toy):
        await until(lambda: has(toy, 9), what="9 amounts")
    assert await toy.amounts() == list(range(9))


async def test_an_emptied_database_is_filled_again_though_kafka_says_all_was_read(toy: Toy) -> None:
    await toy.send(*((b"k%d" % n, number(100 + n)) for n in range(30)))
    async with running(toy):
        await until(lambda: has(toy, 30), what="30 amounts")
    await toy.pool.execute("truncate amounts, consumer_offsets")
    await toy.send(*((b"k%d" % n, number(200 + n)) for n in range(5)))
    async with running(toy):
        await until(lambda: has(toy, 35), what="all amounts again")
    assert await toy.amounts() == [*range(100, 130), *range(200, 205)]


async def test_records_that_do_not_follow_on_the_applied_offset_are_fetched_again(toy: Toy) -> None:
    consumer, _ = toy.consumer()
    place = TopicPartition(toy.topic, 0)
    late = [Record(toy.topic, 0, offset, None, number(offset), ()) for offset in (7, 8)]
    assert consumer._without_gaps(late) == []  # not assigned yet
    consumer.positions[place] = 5
    assert consumer._without_gaps(late) == []  # a gap: fetched again from 5
    assert consumer._without_gaps(late) == late  # still there: the topic was compacted


async def test_a_compressed_record_larger_than_a_dead_letter_is_cut(toy: Toy) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=toy.stack.bootstrap_servers,
        max_request_size=30_000_000,
        compression_type="gzip",
    )
    await producer.start()
    await producer.send_and_wait(toy.topic, b"x" * 20_000_000, key=b"k")
    await producer.stop()
    await toy.send((b"k", number(1)))
    async with running(toy):
        await until(lambda: has(toy, 1), what="the record behind it")
        (letter,) = await until(
            lambda: toy.read_topic(f"{toy.topic}.{toy.group}.dlq"), what="a dead letter"
        )
    assert letter.value == b"x" * 7_340_032
    assert b"20000000 bytes" in dict(letter.headers)["dlq.truncated"]


BAD = [
    ("not JSON", b"{", [], "not-json"),
    ("no body", None, [], "not-json"),
    ("2 MB", b'{"type":"add","amount":"' + b"1" * 2_000_000 + b'"}', [], "not-json"),
    ("a header that is not UTF-8", number(7), [("h", b"\xff")], "bad-header"),
    ("poison", number(13), [], "unlucky"),
    ("a bug", number(666), [], "not-applicable"),
]


@pytest.mark.parametrize(
    ("value", "headers", "reason"), [b[1:] for b in BAD], ids=[b[0] for b in BAD]
)
async def test_a_bad_record_is_dead_lettered_and_its_neighbours_are_applied(
    toy: Toy, value: bytes | None, headers: list[tuple[str, bytes]], reason: str
) -> None:
    before = [(b"k", number(n)) for n in range(1, 6)]
    after = [(b"k", number(n)) for n in range(20, 25)]
    await toy.send(*before, (b"k", value, headers), *after)
    async with running(toy):
        await until(lambda: has(toy, 10), what="the good records")
        (letter,) = await until(
            lambda: toy.read_topic(f"{toy.topic}.{toy.group}.dlq"), what="a dead letter"
        )
    assert await toy.amounts() == [1, 2, 3, 4, 5, 20, 21, 22, 23, 24]
    assert (letter.key, letter.value) == (b"k", value)
    kept = dict(letter.headers)
    for name, raw in headers:
        assert kept[name] == raw
    assert kept["dlq.reason"].decode() == reason
    assert kept["dlq.topic"].decode() == toy.topic
    assert kept["dlq.group"].decode() == toy.group
    assert kept["dlq.offset"] == b"5"
    assert kept["dlq.attempts"] == b"1"
    assert kept["dlq.message"]


async def test_a_wrong_value_is_answered_with_a_rejection(toy: Toy) -> None:
    await toy.send((b"k", number(1)), (b"k", number(-1)), (b"k", number(2)))
    async with running(toy):
        events = await until(lambda: told(toy, 3), what="two events and a rejection")
    assert await toy.amounts() == [1, 2]
    rejected = [json.loads(e.value) for e in events if b"command-rejected" in e.value]
    assert [(r["command"], r["field"]) for r in rejected] == [("add", "amount")]
    assert await toy.read_topic(f"{toy.topic}.{toy.group}.dlq") == []


async def test_a_passing_fault_retries_the_batch(toy: Toy) -> None:
    toy.transient_faults = 3
    await toy.send(*((b"k", number(n)) for n in range(5)))
    async with running(toy):
        await until(lambda: has(toy, 5), what="5 amounts after 3 faults")
    assert await toy.amounts() == list(range(5))
    # Each applied batch was committed, and so was a repeated one of which nothing was applied.
    assert toy.commits >= len(toy.applied_batches) - 3 > 0
    assert await toy.read_topic(f"{toy.topic}.{toy.group}.dlq") == []


async def test_a_run_of_dead_letters_stops_the_consumer_and_commits_nothing(toy: Toy) -> None:
    await toy.send(*((b"k", b"{") for _ in range(5)))
    async with running(toy, dead_letters_in_a_row_max=4) as consumer:
        with pytest.raises(FatalError, match=r"5 records of .* in a row"):
            await asyncio.wait_for(asyncio.shield(consumer.failed), 30)
    assert await toy.pool.fetchval("select count(*) from outbox") == 0
    assert await toy.read_topic(f"{toy.topic}.{toy.group}.dlq") == []


async def test_a_topic_made_anew_stops_the_start_with_advice(toy: Toy) -> None:
    await toy.pool.execute(
        "insert into consumer_offsets values ($1, $2, 0, 500)", toy.group, toy.topic
    )
    async with running(toy) as consumer:
        with pytest.raises(FatalError, match=r"below the applied offset 500.*offsets reset"):
            await asyncio.wait_for(asyncio.shield(consumer.failed), 30)


async def test_a_rebalance_waits_for_the_batch_in_flight(toy: Toy) -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        entered.set()
        await release.wait()

    toy.before_apply = hold
    await toy.send(*((b"k%d" % n, number(100 + n)) for n in range(20)))
    async with running(toy):
        await asyncio.wait_for(entered.wait(), 30)
        second, relay = toy.consumer()
        joining = asyncio.create_task(second.start())
        release.set()
        await asyncio.wait_for(joining, 60)
        await until(lambda: has(toy, 20), what="20 amounts")
        await second.stop()
        relay.stop()
    assert await toy.amounts() == list(range(100, 120))
    assert sum(toy.applied_batches) == 20


async def test_two_relays_publish_each_message_once_in_order(toy: Toy) -> None:
    await toy.send(*((b"k", number(1000 + n)) for n in range(200)))
    _, other = toy.consumer()
    standing_by = asyncio.create_task(other.run())
    async with running(toy, batch_records_max=10):
        events = await until(lambda: told(toy, 200), what="200 events")
    other.stop()
    await standing_by
    assert [json.loads(e.value)["amount"] for e in events] == [str(1000 + n) for n in range(200)]


async def has(toy: Toy, count: int) -> bool:
    return len(await toy.amounts()) >= count


async def told(toy: Toy, count: int) -> list[Any]:
    events = await toy.read_topic(toy.events)
    return events if len(events) >= count else []
