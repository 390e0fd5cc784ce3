"""Several workers at once: nothing deadlocks for good, nothing is missed between them."""

import asyncio

import asyncpg
import pytest

from sales_processor.testing import (
    BUSINESS,
    Body,
    Story,
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
