"""An emptied database is filled from topics and journal with what it held: rule I11.

A toy service converts amounts at the rate that it knows, so what it holds depends on the order in
which it met two topics, and on the clock.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

import local_stack
from chassis.consumer import Batch, Consumer, Subscription
from chassis.errors import FatalError, PoisonError
from chassis.health import Health
from chassis.outbox import Relay, sendable
from chassis.rebuild import catch_up
from chassis.service import Definition, Service, main
from chassis.settings import ServiceSettings
from chassis.testing import Databases, fresh_pool, until
from contracts.base import Message
from contracts.journal import AppliedRange, BatchApplied

MIGRATIONS = Path(__file__).parent / "migrations"


class Number(Message):
    """A rate, or an amount; 13 can't be converted."""

    type: Literal["number"] = "number"
    value: Decimal


@dataclass
class Exchange:
    """The toy service, and what a test may turn on it."""

    stack: local_stack.Stack
    pool: asyncpg.Pool
    database_url: str
    name: str = field(default_factory=lambda: f"toy-{uuid4().hex[:8]}")
    unlucky: Decimal = Decimal(13)

    @property
    def rates(self) -> str:
        return f"{self.name}.rates"

    @property
    def amounts(self) -> str:
        return f"{self.name}.amounts"

    @property
    def events(self) -> str:
        return f"{self.name}.events"

    @property
    def journal(self) -> str:
        return f"{self.name}.journal"

    @property
    def dead_letters(self) -> str:
        return f"{self.amounts}.{self.name}.dlq"

    async def follow_rates(self, batch: Batch[Any]) -> None:
        """Keep the last rate."""
        await batch.connection.execute("delete from rates")
        await batch.connection.execute(
            "insert into rates values ($1)", batch.messages[-1].message.value
        )

    async def convert(self, batch: Batch[Any]) -> None:
        """Convert each amount at the rate that is known."""
        rate = await batch.connection.fetchval("select rate from rates") or Decimal(0)
        for received in batch.messages:
            value = received.message.value
            if value == self.unlucky:
                raise PoisonError("unlucky", f"{value} can't be converted")
            converted = value * rate
            await batch.connection.execute(
                "insert into conversions values ($1, $2, $3)",
                received.record.place,
                converted,
                batch.now,
            )
            batch.publish(
                self.events, "k", Number(value=converted), identity=f"{received.identity}/{rate}"
            )

    def parts(self) -> tuple[Consumer, Relay]:
        """The consumer with its relay, which both keep the journal."""
        relay = Relay(
            database_url=self.database_url,
            bootstrap_servers=self.stack.bootstrap_servers,
            source="/toy",
            journal=self.journal,
        )
        consumer = Consumer(
            group=self.name,
            subscriptions=[
                Subscription(self.rates, self.follow_rates, read=_read),
                Subscription(self.amounts, self.convert, read=_read),
            ],
            pool=self.pool,
            relay=relay,
            bootstrap_servers=self.stack.bootstrap_servers,
        )
        return consumer, relay

    async def send(self, topic: str, *values: int) -> None:
        """Produce numbers, each under its own key."""
        async with AIOKafkaProducer(bootstrap_servers=self.stack.bootstrap_servers) as producer:
            for value in values:
                body = Number(value=Decimal(value)).encode()
                await producer.send_and_wait(topic, body, key=b"k%d" % value)

    async def tell(self, topic: str, *values: int) -> None:
        """Produce numbers and wait until they were applied and the journal has all."""
        before = await self.applied()
        await self.send(topic, *values)

        async def applied() -> bool:
            waiting = await self.pool.fetchval("select count(*) from outbox")
            return waiting == 0 and await self.applied() == before + len(values)

        await until(applied, what=f"{values} of {topic}")

    async def applied(self) -> int:
        """How many records were applied."""
        query = "select coalesce(sum(next_offset), 0) from consumer_offsets"
        return int(await self.pool.fetchval(query))

    async def state(self) -> list[Any]:
        """All that the database holds."""
        tables = ("rates", "conversions", "consumer_offsets", "journal_positions", "outbox")
        return [sorted(map(tuple, await self.pool.fetch(f"select * from {t}"))) for t in tables]  # noqa: S608

    async def ends(self) -> dict[TopicPartition, int]:
        """How many records each partition has had."""
        async with AIOKafkaConsumer(
            *(self.rates, self.amounts, self.events, self.journal, self.dead_letters),
            bootstrap_servers=self.stack.bootstrap_servers,
        ) as client:
            ends: dict[TopicPartition, int] = await client.end_offsets(client.assignment())
            return ends

    async def rebuild(self) -> None:
        """Bring the database up to the journal, as a start does before it consumes."""
        consumer, _ = self.parts()
        health = Health()
        await catch_up(
            consumer,
            pool=self.pool,
            bootstrap_servers=self.stack.bootstrap_servers,
            health=health,
        )
        assert health.problems == {}

    async def empty(self) -> None:
        """Lose the database."""
        await self.pool.execute(
            "truncate rates, conversions, consumer_offsets, journal_positions, outbox"
        )


def _read(_topic: str, body: bytes | None) -> Message:
    return Number.model_validate_json(body or b"")


@pytest.fixture
async def exchange(stack: local_stack.Stack, databases: Databases) -> AsyncIterator[Exchange]:
    """A toy service with topics and a database of its own."""
    async with fresh_pool(databases, MIGRATIONS) as pool:
        database = await pool.fetchval("select current_database()")
        made = Exchange(stack, pool, stack.server_dsn(database))
        admin = AIOKafkaAdminClient(bootstrap_servers=stack.bootstrap_servers)
        await admin.start()
        topics = (made.rates, made.events, made.journal, made.dead_letters)
        await admin.create_topics(
            [NewTopic(made.amounts, 2, 1), *(NewTopic(t, 1, 1) for t in topics)]
        )
        await admin.close()
        yield made


@asynccontextmanager
async def running(exchange: Exchange) -> AsyncIterator[None]:
    """The service while it consumes."""
    consumer, relay = exchange.parts()
    relaying = asyncio.create_task(relay.run())
    await consumer.start()
    try:
        yield
    finally:
        await consumer.stop()
        relay.stop()
        await relaying


async def live(exchange: Exchange) -> None:
    """A life in which each amount met another rate, and one was unlucky."""
    async with running(exchange):
        await exchange.tell(exchange.rates, 2)
        await exchange.tell(exchange.amounts, 10, 11, 12)
        await exchange.tell(exchange.rates, 3)
        await exchange.tell(exchange.amounts, 20, 13, 21)
        await exchange.tell(exchange.rates, 5)


async def test_an_emptied_database_holds_what_it_held_and_nothing_is_published_again(
    exchange: Exchange,
) -> None:
    await live(exchange)
    state, ends = await exchange.state(), await exchange.ends()
    assert sorted(row[1] for row in state[1]) == [20, 22, 24, 60, 63]

    for _ in range(2):
        await exchange.empty()
        await exchange.rebuild()
        assert await exchange.state() == state
        assert await exchange.ends() == ends

    await exchange.rebuild()
    assert await exchange.state() == state
    async with running(exchange):
        await exchange.tell(exchange.amounts, 7)
    assert {row[1] for row in (await exchange.state())[1]} == {20, 22, 24, 60, 63, 35}


async def test_what_the_journal_does_not_have_yet_is_applied_and_published_as_new(
    exchange: Exchange,
) -> None:
    await live(exchange)
    events = TopicPartition(exchange.events, 0)
    before = (await exchange.ends())[events]
    await exchange.send(exchange.amounts, 8)
    await exchange.empty()

    await exchange.rebuild()
    assert (await exchange.ends())[events] == before
    async with running(exchange):
        await until(lambda: _has(exchange, 40), what="the amount that came meanwhile")

    assert (await exchange.ends())[events] == before + 1


async def test_a_database_from_a_backup_is_brought_up_to_the_journal(exchange: Exchange) -> None:
    async with running(exchange):
        await exchange.tell(exchange.rates, 2)
        await exchange.tell(exchange.amounts, 10)
    backup = await exchange.state()
    async with running(exchange):
        await exchange.tell(exchange.rates, 3)
        await exchange.tell(exchange.amounts, 20)
    state = await exchange.state()

    await exchange.empty()
    tables = ("rates", "conversions", "consumer_offsets", "journal_positions")
    async with exchange.pool.acquire() as connection:
        for table, rows in zip(tables, backup, strict=False):
            await connection.copy_records_to_table(table, records=rows)
    await exchange.rebuild()

    assert await exchange.state() == state


async def test_entries_that_were_published_twice_are_applied_once(exchange: Exchange) -> None:
    await live(exchange)
    state = await exchange.state()
    await write_entries(exchange, 0, 1, 2)

    await exchange.empty()
    await exchange.rebuild()

    assert await exchange.state() == state


async def test_a_release_that_decides_otherwise_stops_and_another_goes_on(
    exchange: Exchange,
) -> None:
    await live(exchange)
    state = await exchange.state()
    await exchange.empty()

    exchange.unlucky = Decimal(21)
    with pytest.raises(FatalError, match=r"Entry \d+ of the journal .*rebuild with that release"):
        await exchange.rebuild()
    assert {row[1] for row in (await exchange.state())[1]} <= {20, 22, 24, 60}
    assert await exchange.pool.fetchval("select count(*) from outbox") == 0

    exchange.unlucky = Decimal(13)
    await exchange.rebuild()
    assert await exchange.state() == state


async def write_entries(exchange: Exchange, *sequences: int) -> None:
    """Add entries to the journal, each of one record that applies to nothing."""
    async with AIOKafkaProducer(bootstrap_servers=exchange.stack.bootstrap_servers) as producer:
        for sequence in sequences:
            entry = BatchApplied(
                service=exchange.name,
                sequence=sequence,
                topic=exchange.rates,
                ranges=[AppliedRange(partition=0, first_offset=sequence, next_offset=sequence + 1)],
                applied_at=datetime.now(UTC),
                published=0,
                digest="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            )
            await producer.send_and_wait(exchange.journal, entry.encode())


async def test_a_hole_in_the_journal_stops_the_start(exchange: Exchange) -> None:
    await exchange.send(exchange.rates, 1, 2, 3)
    await write_entries(exchange, 0, 2)
    with pytest.raises(FatalError, match="entry 1 is missing"):
        await exchange.rebuild()


async def test_a_journal_that_begins_after_its_topics_stops_the_start(exchange: Exchange) -> None:
    await exchange.send(exchange.rates, 1, 2)
    async with AIOKafkaProducer(bootstrap_servers=exchange.stack.bootstrap_servers) as producer:
        await producer.send_and_wait(
            exchange.journal,
            b'{"type":"batch-applied","service":"toy","sequence":0,"topic":"%s","ranges":[{'
            b'"partition":0,"first_offset":1,"next_offset":2}],"applied_at":"2026-01-01T00:00:00Z",'
            b'"published":0,"digest":"x"}' % exchange.rates.encode(),
        )
    with pytest.raises(FatalError, match="before was applied without a journal"):
        await exchange.rebuild()


@pytest.mark.parametrize(
    ("topic", "complaint"),
    [
        (lambda e: e.journal, r"begins at 1 and the database is at 0: its beginning was deleted"),
        (
            lambda e: e.rates,
            r"says that 0 to 0 of partition 0 of .*rates were applied, and it holds",
        ),
    ],
    ids=["journal", "topic"],
)
async def test_a_topic_that_was_not_kept_whole_stops_the_start(
    exchange: Exchange, topic: Callable[[Exchange], str], complaint: str
) -> None:
    await exchange.send(exchange.rates, 1, 2)
    await write_entries(exchange, 0, 1)
    admin = AIOKafkaAdminClient(bootstrap_servers=exchange.stack.bootstrap_servers)
    await admin.start()
    await admin.delete_records({TopicPartition(topic(exchange), 0): RecordsToDelete(1)})
    await admin.close()
    with pytest.raises(FatalError, match=complaint):
        await exchange.rebuild()


async def test_what_is_no_entry_stops_the_start(exchange: Exchange) -> None:
    await exchange.send(exchange.journal, 1)
    with pytest.raises(FatalError, match="is no journal entry"):
        await exchange.rebuild()


@pytest.mark.parametrize(
    ("rows", "sent"),
    [("abj", "ab"), ("jjab", "jjab"), ("jabjc", "jabc"), ("jj", "jj"), ("", "")],
)
def test_an_entry_goes_out_after_everything_before_it(rows: str, sent: str) -> None:
    found = [{"aggregatetype": row} for row in rows]
    assert "".join(row["aggregatetype"] for row in sendable(found, "j")) == sent


def test_a_service_without_a_journal_says_that_it_is_not_made_of_topics(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none")
    definition = Definition("toy", ServiceSettings, MIGRATIONS, lambda *_: Service(()))
    assert main(definition, ["rebuild"]) == 1
    assert "toy keeps no journal" in capsys.readouterr().err


async def _has(exchange: Exchange, amount: int) -> bool:
    query = "select exists (select from conversions where amount = $1)"
    return bool(await exchange.pool.fetchval(query, amount))
