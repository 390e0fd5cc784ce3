"""Each check finds a violation that is planted for it, and names its rows."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from chassis.testing import Databases, Plant, assert_found, find_planted, fresh_pool
from sales_processor.app import MIGRATIONS
from sales_processor.testing import (
    BUSINESS,
    channel,
    line,
    new_story,
    product,
    transaction,
)
from sales_processor.verify import INVARIANTS, verify

SALE = {"business_id": BUSINESS, "sale_id": "s1"}
MEMO = {"business_id": BUSINESS, "sale_id": "s3"}
WAITING = {"business_id": BUSINESS, "sale_id": "s2"}
VOIDED = {"business_id": BUSINESS, "sale_id": "s4"}
RUN = {"business_id": BUSINESS, "sync_id": "sync-1"}

PLANTS = (
    Plant(
        "i2_goods_of_lines",
        "update sale_lines set quantity = 9 where sale_id = 's1'",
        [{**SALE, "line_number": 1, "quantity": "9", "taken": "3", "short": "0"}],
    ),
    Plant(
        "i2_goods_of_lines",
        "update sale_lines set quantity = -9 where sale_id = 's3'",
        [{**MEMO, "quantity": "-9", "given": "1"}],
    ),
    Plant(
        "i2_goods_of_lines",
        "update sale_lines set flags = '{no-restock}' where sale_id = 's3'",
        [{**MEMO, "quantity": "-1", "given": "1"}],
    ),
    Plant(
        "i2_goods_of_lines",
        "update sale_lines set flags = '{no-restock}' where sale_id = 's1'",
        [{**SALE, "quantity": "3", "taken": "3"}],
    ),
    Plant(
        "i2_goods_of_lines",
        "update sale_lines set returned = null, cost = 0 where sale_id = 's3';"
        " update sales set cost = 0 where sale_id = 's3'",
        [{**MEMO, "given": "0"}],
    ),
    Plant(
        "i3_cost_of_lines",
        "update sale_lines set cost = 9 where sale_id = 's1';"
        " update sales set cost = 9 where sale_id = 's1'",
        [{**SALE, "line_number": 1, "cost": "9", "expected": "30.00"}],
    ),
    Plant(
        "i3_cost_of_lines",
        "update sale_lines set cost = -9 where sale_id = 's3';"
        " update sales set cost = -9 where sale_id = 's3'",
        [{**MEMO, "line_number": 1, "cost": "-9", "expected": "-10.00"}],
    ),
    Plant(
        "i3_totals_of_sales",
        "update sales set revenue = 9 where sale_id = 's1'",
        [{**SALE, "revenue": "9", "revenue_of_lines": "120.00"}],
    ),
    Plant(
        "i5_goods_of_voided",
        """
        update sale_lines set allocations =
            (select allocations from sale_lines where sale_id = 's1')
        where sale_id = 's4'
        """,
        [{**VOIDED, "status": "voided", "line_number": 1}],
    ),
    Plant(
        "i6_one_sale_per_document",
        """
        alter table sales drop constraint one_sale_per_document;
        update sales set external_id = '1', kind = 'invoice' where sale_id in ('s1', 's4')
        """,
        [{"business_id": BUSINESS, "kind": "invoice", "external_id": "1", "sales": 2}],
    ),
    Plant(
        "i6_versions",
        "update waiting_versions set version = 9",
        [{**WAITING, "waiting_version": 9, "seen_version": 0}],
    ),
    Plant(
        "i6_versions",
        "insert into tombstones (business_id, sale_id, version) values ('acme', 's1', 0)",
        [{**SALE, "tombstone_version": 0}],
    ),
    Plant(
        "i6_earlier_versions",
        "update sale_revisions set version = 7 where sale_id = 's1'",
        [{**SALE, "version": 1, "version_before": 7}],
    ),
    Plant(
        "i7_summaries",
        "update sync_runs set summary = jsonb_set(summary, '{skipped_total}', '5')",
        [{**RUN, "received": "4", "skipped": "5"}, {"sync_id": "sync-2", "skipped": "5"}],
    ),
    Plant(
        "i7_counts_of_runs",
        "delete from sync_entries where sync_id = 'sync-1' and sequence = 0",
        [{**RUN, "received": 4, "entries_received": 3}],
    ),
    Plant(
        "i7_pending_of_runs",
        "update sync_runs set pending = 1, phase = 'costing', summary = null, completed_at = null"
        " where sync_id = 'sync-1'",
        [{**RUN, "pending": 1, "sales": 0}],
    ),
    Plant(
        "i10_outbox",
        """
        insert into outbox (aggregatetype, aggregateid, type, message_key, ce_id, ce_time)
        values ('sales.events.v1', 'acme', 'sale-recorded', 'acme', gen_random_uuid(),
                now() - interval '2 minutes')
        """,
        [{"topic": "sales.events.v1", "type": "sale-recorded"}],
    ),
    Plant(
        "i10_reasons_of_waiting",
        "delete from waiting_versions",
        [{**WAITING, "status": "waiting", "waiting_version": None}],
    ),
    Plant(
        "i10_reasons_of_entries",
        "update sync_entries set error = null where sale_id = 's2' and not retried",
        [{**RUN, "sale_id": "s2", "outcome": "error", "error": None}],
    ),
    Plant(
        "i10_drafts",
        "update sales set revision = revision + 5 where sale_id = 's1'",
        [{**SALE, "revision": 7, "costed_revision": 2, "has_draft": False}],
    ),
    Plant(
        "i11_earlier_revisions",
        "update sale_revisions set revision = 7, version = 1 where sale_id = 's1'",
        [{**SALE, "revision": 7, "shown_revision": 2}],
    ),
    Plant(
        "i11_entries",
        "update sync_entries set version = 7 where sale_id = 's4' and outcome = 'created'",
        [{**RUN, "sale_id": "s4", "version": 7, "seen_version": 1}],
    ),
    Plant(
        "i12_tables",
        "create table notes (sale_id text)",
        [{"table": "notes", "fault": "has no business_id"}],
    ),
    Plant(
        "i12_one_business",  # a product that only the other business has
        """
        insert into products (business_id, product_id, name, product_type, version)
        values ('other', 'lamp', 'Lamp', 'finished-good', 1);
        update sale_lines set product_id = 'lamp' where sale_id = 's1'
        """,
        [{"row": "line", **SALE, "place": "1", "names": "product lamp"}],
    ),
    Plant(
        "i12_one_business",
        "update channels set business_id = 'other'",
        [
            {"row": "sale", "sale_id": sale, "names": "channel channel-1"}
            for sale in ("s1", "s2", "s3", "s4")
        ],
    ),
    Plant(
        "i12_one_business",
        "update sale_lines set business_id = 'other' where sale_id = 's4'",
        [
            {"row": "line", "business_id": "other", "sale_id": "s4", "names": "sale s4"},
            {"row": "line", "business_id": "other", "sale_id": "s4", "names": "product desk"},
        ],
    ),
)


@pytest.fixture(scope="module")
async def books(databases: Databases) -> AsyncIterator[asyncpg.Pool]:
    """A sale in its second version, one that waits, a return and a void, of two runs."""
    async with fresh_pool(databases, MIGRATIONS) as pool:
        told = new_story(pool)
        await told.channels(channel())
        await told.products(product("desk", "7"))
        await told.sync(
            transaction("1", line(1, "7", "2")),
            transaction("2", line(1, "8")),
            transaction("3", line(1, "7", "1"), kind="credit-memo"),
            transaction("4", line(1, "7", "1")),
        )
        await told.sync(
            transaction("1", line(1, "7", "3", "120.00"), version=1),
            transaction("4", line(1, "7", "1"), version=1, status="voided"),
            sync="sync-2",
        )
        await pool.execute(_SHORT_IDS)
        yield pool


_SHORT_IDS = """
    set session_replication_role = replica;
    update sale_lines as t set sale_id = 's' || s.external_id from sales as s
    where s.sale_id = t.sale_id;
    update waiting_versions as t set sale_id = 's' || s.external_id from sales as s
    where s.sale_id = t.sale_id;
    update missing_items as t set sale_id = 's' || s.external_id from sales as s
    where s.sale_id = t.sale_id;
    update sale_revisions as t set sale_id = 's' || s.external_id from sales as s
    where s.sale_id = t.sale_id;
    update sync_entries as t set sale_id = 's' || s.external_id from sales as s
    where s.sale_id = t.sale_id;
    update sales set sale_id = 's' || external_id;
    set session_replication_role = origin
"""
"""Sales are named after their documents, so that plants can name them."""


def test_a_violation_is_planted_for_every_check() -> None:
    assert {plant.check for plant in PLANTS} == set(INVARIANTS.names)


async def test_healthy_books_break_nothing(books: asyncpg.Pool) -> None:
    report = await verify(books, None)

    assert [check for check in report.checks if check.violations] == []
    assert {check.invariant for check in report.checks} == {
        *("I2", "I3", "I5", "I6", "I7", "I10", "I11", "I12")
    }


@pytest.mark.parametrize("plant", PLANTS, ids=str)
async def test_a_planted_violation_is_found(books: asyncpg.Pool, plant: Plant) -> None:
    await assert_found(books, INVARIANTS, plant)


async def test_another_business_is_not_blamed(books: asyncpg.Pool) -> None:
    assert await find_planted(books, INVARIANTS, PLANTS[0], "other") == {}


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
async def test_a_cost_of_the_wrong_sign_is_refused(refused: str, books: asyncpg.Pool) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await books.execute(refused)
