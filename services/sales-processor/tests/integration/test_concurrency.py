"""Several workers at once: nothing deadlocks for good, nothing is missed between them."""

import asyncio
from typing import Any

import asyncpg
import pytest

from chassis.messages import Record
from chassis.testing import Body as AnyBody
from chassis.testing import Driver
from contracts.journal import BatchApplied
from sales_processor.handlers import JOURNAL, subscriptions
from sales_processor.testing import (
    BUSINESS,
    Body,
    Story,
    channel,
    empty,
    line,
    new_story,
    numbered,
    product,
    published,
    transaction,
)


async def _apply(worker: Story, topic: str, *batches: list[Body]) -> None:
    """Apply batches of one topic, leaving what they publish in the outbox."""
    for batch in batches:
        await worker.driver.consumer.apply(worker.driver.records(topic, *batch))


@pytest.mark.parametrize("attempt", range(5))
async def test_a_link_that_arrives_with_its_sales_heals_all_of_them(
    story: Story, attempt: int
) -> None:
    """Neither side sees the other's uncommitted rows, so one must wait for the other."""
    item = f"item-{attempt}"
    sales = numbered(*(transaction(str(n), line(1, item)) for n in range(20)))

    await asyncio.gather(
        _apply(story, "channels.transactions.v1", sales),
        _apply(new_story(story.driver.pool), "inventory.products.v1", [product("desk", item)]),
    )

    await story.settle(await story.driver.take_outbox())
    assert await story.value("select count(*) from sales where status = 'active'") == 20
    assert await story.value("select count(*) from missing_items") == 0


async def test_workers_of_four_topics_end_in_one_summary(pool: asyncpg.Pool) -> None:
    first, second, third, fourth = (new_story(pool) for _ in range(4))
    await second.products(product("desk", "7"))
    await first.transactions(
        *numbered(*(transaction(str(n), line(1, "8"), sync="sync-0") for n in range(6)))
    )
    sales = numbered(*(transaction(str(n), line(1, "7")) for n in range(100, 140)))
    retry = {"type": "retry-failed-sales", "business_id": BUSINESS}

    await asyncio.gather(
        _apply(first, "channels.transactions.v1", *(sales[n : n + 5] for n in range(0, 40, 5))),
        _apply(second, "inventory.products.v1", [product("desk", "7", "8", version=2)]),
        _apply(third, "channels.events.v1", [published(len(sales))]),
        _apply(fourth, "sales.commands.v1", [retry], [retry, retry]),
    )

    told = await fourth.settle(await fourth.driver.take_outbox())
    assert [message.type for message in told].count("sync-completed") == 1
    assert await first.value("select count(*) from sales where status = 'active'") == 46
    assert await first.violations() == []


class Remembering(Driver):
    """A driver that keeps a journal, and the records that it made, by topic and offset."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool, subscriptions(), group="sales-processor", journal=JOURNAL)
        self.made: dict[tuple[str, int], Record] = {}

    def records(self, topic: str, *bodies: AnyBody, key: str | None = None) -> list[Record]:
        """Make the next records of a topic, and keep them."""
        made = super().records(topic, *bodies, key=key)
        self.made.update({(record.topic, record.offset): record for record in made})
        return made


@pytest.mark.parametrize("attempt", range(4))
async def test_what_workers_did_at_once_can_be_done_again_one_after_another(
    pool: asyncpg.Pool, attempt: int
) -> None:
    """I11: the order of their commits is one in which all could have been applied alone."""
    driver = Remembering(pool)
    story = Story(driver)
    memos = [
        transaction(str(n), line(1, "7"), kind="credit-memo", version=attempt)
        for n in range(20, 40)
    ]
    sales = [transaction(str(n), line(1, "8"), line(2, "7")) for n in range(20)]
    documents = numbered(*(one for both in zip(memos, sales, strict=True) for one in both))
    modes = ("return-lot", "no-restock", "original-lots") * 2
    settings = [
        channel(settings={"returns": mode}, changed_at=f"2026-03-01T00:00:0{n}Z")
        for n, mode in enumerate(modes)
    ]
    links = [product("desk", "7", *(["8"] * (n % 2)), version=n) for n in range(2, 8)]
    retries: list[Body] = [{"type": "retry-failed-sales", "business_id": BUSINESS}] * 6
    await _apply(story, "inventory.products.v1", [product("desk", "7")])

    await asyncio.gather(
        _apply(story, "channels.transactions.v1", *(documents[n : n + 4] for n in range(0, 40, 4))),
        _apply(story, "inventory.products.v1", *([one] for one in links)),
        _apply(story, "channels.events.v1", *([one] for one in settings), [published(40)]),
        _apply(story, "sales.commands.v1", *([one] for one in retries)),
    )

    held = await story.dump()
    entries = await _journal(pool)
    assert len(entries) == 1 + 10 + 6 + 7 + 6
    await empty(pool)
    again = Remembering(pool)
    for entry in entries:
        (part,) = entry.ranges
        offsets = range(part.first_offset, part.next_offset)
        await again.consumer.apply_again(
            entry, [driver.made[entry.topic, offset] for offset in offsets]
        )
    assert await story.dump() == held


async def _journal(pool: asyncpg.Pool) -> list[BatchApplied]:
    rows: list[Any] = await pool.fetch(
        "select payload from outbox where aggregatetype = $1 order by id", JOURNAL
    )
    return [BatchApplied.model_validate_json(row["payload"]) for row in rows]
