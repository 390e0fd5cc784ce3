"""Each check finds a violation that is planted for it, and names its rows."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from chassis.testing import Databases, Driver, Plant, assert_found, find_planted, fresh_pool
from inventory.app import MIGRATIONS
from inventory.handlers import subscriptions
from inventory.verify import INVARIANTS, verify

TOPIC = "inventory.commands.v1"


def sale(sale_id: str, *quantities: str, day: str, **more: str) -> dict[str, Any]:
    return {
        "type": "consume-lots",
        "sale_id": sale_id,
        "revision": 1,
        "sale_date": day,
        "customer_external_id": "ada",
        "lines": [
            {"line_id": str(n), "product_id": "desk", "quantity": quantity}
            for n, quantity in enumerate(quantities, 1)
        ],
        **more,
    }


def lot(lot_id: str, quantity: str, day: str, product_id: str = "desk") -> dict[str, Any]:
    return {
        "type": "receive-lot",
        "product_id": product_id,
        "lot_id": lot_id,
        "quantity": quantity,
        "unit_cost": "10.00",
        "received_on": day,
    }


def product(product_id: str) -> dict[str, Any]:
    return {
        "type": "put-product",
        "product_id": product_id,
        "name": product_id,
        "product_type": "finished-good",
        "purchase_cost": "9",
    }


HISTORY = (
    product("desk"),
    product("chair"),
    lot("a", "10", "2026-01-05"),
    lot("b", "10", "2026-01-12"),
    lot("c", "10", "2026-01-19"),
    lot("z", "5", "2026-01-19"),
    sale("s1", "8", "4", day="2026-03-01"),
    sale("s2", "3", day="2026-03-02"),
    sale("s3", "2", day="2026-03-03"),
    {**sale("s3", day="2026-03-03"), "revision": 2},
    sale("m1", "-1", day="2026-03-04"),
    sale("m2", "-2", day="2026-03-05", returns="return-lot"),
    {
        "type": "adjust-lot",
        "lot_id": "c",
        "quantity": "-1",
        "reason": "loss",
        "adjustment_id": "broken-one",
    },
    {"type": "void-lot", "lot_id": "z"},
    {
        **sale("s4", "6", day="2026-03-06"),
        "lines": [{"line_id": "1", "product_id": "chair", "quantity": "6"}],
    },
)


@pytest.fixture(scope="module")
async def books(databases: Databases) -> AsyncIterator[asyncpg.Pool]:
    """Two businesses with lots, sales, a void, returns, an adjustment, a voided lot, a shortage."""
    async with fresh_pool(databases, MIGRATIONS) as pool:
        driver = Driver(pool, subscriptions(), group="inventory")
        for business in ("acme", "other"):
            out = await driver.apply(
                TOPIC, *({"business_id": business, **command} for command in HISTORY)
            )
            assert [p.body for p in out if p.type == "command-rejected"] == []
        yield pool


LOT = {"business_id": "acme", "lot_id": "b"}
SALE = {"business_id": "acme", "sale_id": "s2"}
MEMO = {"business_id": "acme", "sale_id": "m1"}
DESK = {"business_id": "acme", "product_id": "desk"}
GUARD = {"trigger": "append_only"}

PLANTS = (
    Plant(
        "i1_balances",
        """
        update lots set quantity_remaining = quantity_remaining + 1
        where business_id = 'acme' and lot_id = 'b'
        """,
        [{**LOT, "quantity_remaining": "7", "expected": "6"}],
        frozenset({"i4_stock_on_hand", "i4_balances_of_lots"}),
    ),
    Plant(
        "i1_balances",
        """
        update lots set quantity_remaining = -1, quantity_adjusted = -7
        where business_id = 'acme' and lot_id = 'b'
        """,
        [{**LOT, "quantity_remaining": "-1", "expected": "-1"}],
        frozenset({"i4_stock_on_hand", "i4_balances_of_lots", "i11_lots"}),
    ),
    Plant(
        "i1_return_lots",
        """
        update lots set quantity_received = 3, quantity_adjusted = -1
        where business_id = 'acme' and return_sale_id = 'm2'
        """,
        [{"business_id": "acme", "quantity_received": "3", "expected": "2"}],
        frozenset({"i11_lots"}),
    ),
    Plant(
        "i2_goods_of_lines",
        """
        update consumption_lines set quantity = 4 where business_id = 'acme' and sale_id = 's2'
        """,
        [{**SALE, "line_id": "1", "quantity": "4", "consumed": "3"}],
    ),
    Plant(
        "i3_cost_of_lines",
        """
        update consumption_lines set cost = 30.01 where business_id = 'acme' and sale_id = 's2';
        update sale_consumptions set cost = 30.01 where business_id = 'acme' and sale_id = 's2'
        """,
        [{**SALE, "line_id": "1", "cost": "30.01", "expected": "30.00"}],
    ),
    Plant(
        "i3_cost_of_sales",
        "update sale_consumptions set cost = 31 where business_id = 'acme' and sale_id = 's2'",
        [{**SALE, "cost": "31", "expected": "30.00"}],
    ),
    Plant(
        "i4_stock_on_hand",
        """
        update products set stock_on_hand = 99
        where business_id = 'acme' and product_id = 'desk'
        """,
        [{**DESK, "stock_on_hand": "99"}],
    ),
    Plant(
        "i4_stock_on_hand",  # a shortage beside open lots
        """
        update consumption_lines set product_id = 'desk'
        where business_id = 'acme' and sale_id = 's4';
        update stock_transactions set product_id = 'desk'
        where business_id = 'acme' and sale_id = 's4';
        update products set stock_on_hand = stock_on_hand
            + case product_id when 'chair' then 6 else -6 end
        where business_id = 'acme'
        """,
        [{**DESK, "short": "6"}],
    ),
    Plant(
        "i4_balances_of_lots",
        """
        delete from stock_transactions
        where business_id = 'acme' and lot_id = 'b' and kind = 'sale' and sale_id = 's2'
        """,
        [{**LOT, "quantity_remaining": "6", "transactions": "9"}],
        frozenset({"i4_stock_on_hand", "i5_goods_of_documents"}),
    ),
    Plant(
        "i5_goods_of_documents",  # a void gave its goods back to another lot
        """
        update stock_transactions set lot_id = 'c'
        where business_id = 'acme' and sale_id = 's3' and kind = 'sale-reversal'
        """,
        [
            {**SALE, "sale_id": "s3", "lot_id": "b", "taken": "2", "held": None},
            {**SALE, "sale_id": "s3", "lot_id": "c", "taken": "-2", "held": None},
        ],
        frozenset({"i4_balances_of_lots"}),
    ),
    Plant(
        "i5_marks_of_returns",
        """
        update consumptions set quantity_returned = 0
        where business_id = 'acme' and quantity_returned > 0
        """,
        [{"business_id": "acme", "given_back": "1", "marked": None}],
        frozenset({"i5_returned_of_lines"}),
    ),
    Plant(
        "i5_returned_of_lines",
        """
        update consumption_lines set quantity_returned = 4
        where business_id = 'acme' and sale_id = 's2'
        """,
        [{**SALE, "quantity": "3", "quantity_returned": "4"}],
    ),
    Plant(
        "i8_order_of_taking",  # the second sale took of a younger lot than it could
        """
        update stock_transactions set lot_id = 'c'
        where business_id = 'acme' and sale_id in ('s2', 'm1');
        update consumptions set lot_id = 'c' where business_id = 'acme' and sale_id = 's2';
        update returned_goods set lot_id = 'c' where business_id = 'acme' and sale_id = 'm1';
        update lots set quantity_remaining = quantity_remaining
            + case lot_id when 'b' then 2 else -2 end
        where business_id = 'acme' and lot_id in ('b', 'c')
        """,
        [{**SALE, "lot_id": "c", "older_open_lot": "b"}],
    ),
    Plant(
        "i9_guard",
        "alter table stock_transactions disable trigger append_only",
        [{**GUARD, "enabled": "D"}],
    ),
    Plant(
        "i9_guard",
        "drop trigger append_only on stock_transactions",
        [{**GUARD, "enabled": None}],
    ),
    Plant(
        "i9_guard",
        """
        create or replace function refuse_change() returns trigger language plpgsql as
        'begin return null; end'
        """,
        [{**GUARD, "enabled": "O"}],
    ),
    Plant(
        "i9_guard",
        """
        drop trigger append_only on stock_transactions;
        create trigger append_only before delete on stock_transactions
        for each statement execute function refuse_change()
        """,
        [{**GUARD, "enabled": "O"}],
    ),
    Plant(
        "i9_numbers",
        """
        insert into stock_transactions (
            business_id, stock_transaction_id, product_id, kind, lot_id, quantity, unit_cost, reason
        )
        overriding system value
        values ('acme', 900, 'desk', 'adjustment', 'b', 1, 10, 'other'),
               ('acme', 901, 'desk', 'adjustment', 'b', -1, 10, 'other')
        """,
        [
            {"business_id": "acme", "stock_transaction_id": 900},
            {"business_id": "acme", "stock_transaction_id": 901},
        ],
    ),
    Plant(
        "i10_outbox",
        """
        insert into outbox (aggregatetype, aggregateid, type, message_key, ce_id, ce_time)
        values ('inventory.events.v1', 'acme', 'lot-received', 'acme', gen_random_uuid(),
                now() - interval '2 minutes')
        """,
        [{"topic": "inventory.events.v1", "type": "lot-received", "key": "acme"}],
    ),
    Plant(
        "i11_lots",
        """
        update lots set quantity_received = 11, quantity_adjusted = -1
        where business_id = 'acme' and lot_id = 'b'
        """,
        [{**LOT, "quantity_received": "11", "received_by_transactions": "10"}],
    ),
    Plant(
        "i11_adjustments",
        "delete from adjustments where business_id = 'acme'",
        [{**LOT, "lot_id": "c", "recorded": None, "by_transactions": "-1"}],
    ),
    Plant(
        "i11_products",
        "update products set operations = 1 where business_id = 'acme' and product_id = 'desk'",
        [{**DESK, "operations": 1}],
    ),
    Plant(
        "i11_products",
        "update products set lots_recorded = 4 where business_id = 'acme' and product_id = 'desk'",
        [{**DESK, "lots_recorded": 4, "lots": 5}],
    ),
    Plant(
        "i11_revisions",
        "update sale_consumptions set revision = 0 where business_id = 'acme' and sale_id = 's2'",
        [{**SALE, "revision": 0, "revision_of_transactions": 1}],
    ),
    Plant(
        "i12_tables",
        """
        create table lot_labels (
            business_id text not null, lot_id text, label text,
            primary key (business_id, lot_id), unique (label)
        );
        create table prints (business_id text not null, label text references lot_labels (label))
        """,
        [{"table": "prints", "fault": "refers without business_id"}],
    ),
    Plant(
        "i12_tables",
        "create table lot_photos (lot_id text)",
        [{"table": "lot_photos", "fault": "has no business_id"}],
    ),
    Plant(
        "i12_one_business",  # a sale and its return name a lot that only the other business has
        """
        update lots set lot_id = 'theirs' where business_id = 'other' and lot_id = 'b';
        update consumptions set lot_id = 'theirs'
        where lot_id = 'b' and (business_id = 'other' or sale_id = 's2');
        update returned_goods set lot_id = 'theirs'
        where lot_id = 'b' and (business_id = 'other' or sale_id = 'm1');
        update stock_transactions set lot_id = 'theirs'
        where lot_id = 'b' and (business_id = 'other' or sale_id in ('s2', 'm1'));
        update lots set quantity_remaining = quantity_remaining + 2
        where business_id = 'acme' and lot_id = 'b'
        """,
        [
            {"row": "consumption", **SALE, "lot_id": "theirs", "product_of_lot": None},
            {"row": "return", **MEMO, "lot_id": "theirs", "product_of_lot": None},
            {"row": "transaction", **SALE, "lot_id": "theirs", "product_of_lot": None},
            {"row": "transaction", **MEMO, "lot_id": "theirs", "product_of_lot": None},
        ],
        frozenset({"i4_stock_on_hand"}),
    ),
    Plant(
        "i12_one_business",
        """
        update consumption_lines set product_id = 'chair'
        where business_id = 'acme' and sale_id = 's2'
        """,
        [
            {"row": "consumption", **SALE, "product_of_lot": "desk", "product_of_line": "chair"},
            {"row": "return", **MEMO},
        ],
    ),
)


def test_a_violation_is_planted_for_every_check() -> None:
    assert {plant.check for plant in PLANTS} == set(INVARIANTS.names)


async def test_healthy_books_break_nothing(books: asyncpg.Pool) -> None:
    report = await verify(books, None)

    assert [check for check in report.checks if check.violations] == []
    assert {check.invariant for check in report.checks} == {
        *("I1", "I2", "I3", "I4", "I5", "I8", "I9", "I10", "I11", "I12")
    }
    assert [(at.topic, at.next_offset) for at in report.offsets] == [(TOPIC, 2 * len(HISTORY))]


@pytest.mark.parametrize("plant", PLANTS, ids=str)
async def test_a_planted_violation_is_found(books: asyncpg.Pool, plant: Plant) -> None:
    await assert_found(books, INVARIANTS, plant)


async def test_another_business_is_not_blamed(books: asyncpg.Pool) -> None:
    planted = next(plant for plant in PLANTS if plant.check == "i8_order_of_taking")

    assert await find_planted(books, INVARIANTS, planted, "other") == {}
