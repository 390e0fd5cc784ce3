"""Each check finds a violation that is planted for it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from sales_processor.testing import (
    BUSINESS,
    Story,
    empty,
    line,
    new_story,
    product,
    transaction,
)
from sales_processor.verify import CHECKS, verify

PLANTED = {
    "i2_goods_of_lines": "update sale_lines set quantity = 9 * sign(quantity)",
    "i3_cost_of_lines": """
        update sale_lines set cost = 9 * sign(quantity);
        update sales set cost = sign(cost) * 9 where status = 'active'
    """,
    "i3_totals_of_sales": "update sales set revenue = 9 where status = 'active'",
    "i6_one_sale_per_document": """
        alter table sales drop constraint one_sale_per_document;
        insert into sales select (jsonb_populate_record(sale, '{"sale_id": "twin"}')).*
        from sales as sale where status = 'active' limit 1
    """,
    "i6_versions": "update waiting_versions set version = 9",
    "i7_counts_of_runs": "delete from sync_entries where sequence = 0",
    "i7_pending_of_runs": "update sync_runs set pending = 1",
    "i10_reasons_of_waiting": "delete from waiting_versions",
}


@pytest.fixture
async def books(shared_pool: asyncpg.Pool) -> AsyncIterator[Story]:
    await empty(shared_pool)
    story = new_story(shared_pool)
    await story.products(product("desk", "7"))
    await story.sync(
        transaction("1", line(1, "7", "2")),
        transaction("2", line(1, "8")),
        transaction("3", line(1, "7", "1"), kind="credit-memo"),
    )
    yield story
    await shared_pool.execute(
        """
        delete from sales where sale_id = 'twin';
        alter table sales drop constraint if exists one_sale_per_document;
        alter table sales add constraint one_sale_per_document
            unique (business_id, channel_id, kind, external_id);
        """
    )


def test_a_violation_is_planted_for_every_check() -> None:
    assert set(PLANTED) == set(CHECKS)


@pytest.mark.parametrize("name", PLANTED)
async def test_a_planted_violation_is_found(name: str, books: Story) -> None:
    assert await books.violations() == []

    await books.driver.pool.execute(PLANTED[name])

    report = await verify(books.driver.pool, BUSINESS)
    found = dict(zip(CHECKS, report.checks, strict=True))
    assert found[name].violations
    assert found[name].invariant == name.split("_", maxsplit=1)[0].upper()
    assert not [c for c in (await verify(books.driver.pool, "other")).checks if c.violations]


@pytest.mark.parametrize(
    ("planted", "invariant"),
    [
        ("update sale_lines set quantity = -9 where quantity < 0", "I2"),
        ("update sale_lines set returned = null where quantity < 0", "I2"),
        ("update sale_lines set flags = '{no-restock}' where quantity < 0", "I2"),
        ("update sale_lines set flags = '{no-restock}' where quantity > 0", "I2"),
        ("update sale_lines set cost = -9 where quantity < 0", "I3"),
    ],
)
async def test_a_violation_is_found_in_returns_too(
    planted: str, invariant: str, books: Story
) -> None:
    await books.driver.pool.execute(planted)

    assert invariant in {check.invariant for check in await books.violations()}


@pytest.mark.parametrize(
    "refused",
    [
        "update sale_lines set cost = -cost where quantity > 0",
        "update sale_lines set cost = -cost where quantity < 0",
        "update sale_lines set quantity = null where cost <> 0",
        "update sale_lines set returned = '[]' where quantity > 0",
        "update sale_lines set shortage = '{}' where quantity < 0",
    ],
)
async def test_a_cost_of_the_wrong_sign_is_refused(refused: str, books: Story) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await books.driver.pool.execute(refused)
