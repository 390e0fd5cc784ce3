"""Commands on a real Postgres: what sales cost, what lots keep, what is told (SA2, SA5, SA6)."""

import json
from decimal import Decimal
from typing import Any

import pytest

from chassis.messages import Record
from chassis.testing import Driver, Published
from contracts.registry import read
from inventory.verify import verify

TOPIC = "inventory.commands.v1"

Command = dict[str, Any]


def product(product_id: str = "desk", kind: str = "finished-good", **more: str) -> Command:
    return {
        "type": "put-product",
        "business_id": "acme",
        "product_id": product_id,
        "name": product_id.title(),
        "product_type": kind,
        **more,
    }


def lot(lot_id: str, quantity: str, cost: str, day: str, product_id: str = "desk") -> Command:
    return {
        "type": "receive-lot",
        "business_id": "acme",
        "product_id": product_id,
        "lot_id": lot_id,
        "lot_number": lot_id.upper(),
        "quantity": quantity,
        "unit_cost": cost,
        "received_on": day,
    }


def take(
    sale_id: str, revision: int, *lines: tuple[str, str, str], day: str = "2026-03-01"
) -> Command:
    return {
        "type": "consume-lots",
        "business_id": "acme",
        "sale_id": sale_id,
        "revision": revision,
        "sale_date": day,
        "lines": [{"line_id": n, "product_id": p, "quantity": q} for n, p, q in lines],
    }


DESKS = (
    product(),
    lot("a", "20", "145.00", "2026-01-05"),
    lot("b", "30", "148.00", "2026-01-12"),
    lot("c", "25", "152.00", "2026-02-02"),
)


def costs(published: list[Published]) -> list[tuple[str, int, str, str | None]]:
    return [
        (p.body["sale_id"], p.body["revision"], p.body["cost"], p.body.get("reason"))
        for p in published
        if p.type == "sale-costed"
    ]


async def remaining(inventory: Driver) -> dict[str, Decimal]:
    rows = await inventory.pool.fetch("select lot_id, quantity_remaining from lots")
    return {row["lot_id"]: row["quantity_remaining"] for row in rows}


async def assert_sound(inventory: Driver) -> None:
    report = await verify(inventory.pool, None)
    assert {c.invariant: c.violations for c in report.checks if c.violations} == {}


async def test_fifty_desks_cost_what_the_oldest_lots_cost(inventory: Driver) -> None:
    published = await inventory.apply(TOPIC, *DESKS, take("s1", 1, ("1", "desk", "50")))

    (costed,) = [p for p in published if p.type == "sale-costed"]
    assert costed.key == "acme"
    assert costed.body["cost"] == "7340.00"
    assert costed.body["lines"][0]["allocations"] == [
        {
            "lot_id": "a",
            "lot_number": "A",
            "quantity": "20",
            "unit_cost": "145.00",
            "received_on": "2026-01-05",
        },
        {
            "lot_id": "b",
            "lot_number": "B",
            "quantity": "30",
            "unit_cost": "148.00",
            "received_on": "2026-01-12",
        },
    ]
    assert await remaining(inventory) == {"a": 0, "b": 0, "c": 25}
    (stock,) = [p for p in published if p.type == "stock-changed"]
    assert stock.body["stock_on_hand"] == "25"
    await assert_sound(inventory)


async def test_the_same_revision_again_is_answered_and_changes_nothing(inventory: Driver) -> None:
    first = await inventory.apply(TOPIC, *DESKS, take("s1", 1, ("1", "desk", "50")))
    again = await inventory.apply(TOPIC, take("s1", 1, ("1", "desk", "50")))

    assert [p.type for p in again] == ["sale-costed"]
    (costed,) = [p for p in first if p.type == "sale-costed"]
    assert again[0].body == costed.body
    assert again[0].ce_id == costed.ce_id
    assert await inventory.pool.fetchval("select count(*) from stock_transactions") == 5
    await assert_sound(inventory)


@pytest.mark.parametrize("together", [True, False])
async def test_a_new_revision_gives_back_and_takes_anew(
    inventory: Driver, *, together: bool
) -> None:
    messages = [
        *DESKS,
        take("s1", 1, ("1", "desk", "50")),
        take("s2", 1, ("1", "desk", "10")),
        take("s1", 2, ("1", "desk", "15")),
        take("s3", 1, ("1", "desk", "20")),
    ]
    published = []
    if together:
        published = await inventory.apply(TOPIC, *messages)
    else:
        for message in messages:
            published += await inventory.apply(TOPIC, message)

    assert costs(published) == [
        ("s1", 1, "7340.00", None),
        ("s2", 1, "1520.00", None),
        ("s1", 2, "2175.00", None),
        ("s3", 1, "2945.00", None),  # 5 x 145 + 15 x 148
    ]
    assert await remaining(inventory) == {"a": 0, "b": 15, "c": 15}
    await assert_sound(inventory)


async def test_no_lines_give_everything_back(inventory: Driver) -> None:
    await inventory.apply(TOPIC, *DESKS, take("s1", 1, ("1", "desk", "50")))
    published = await inventory.apply(TOPIC, take("s1", 2))

    assert costs(published) == [("s1", 2, "0", None)]
    assert await remaining(inventory) == {"a": 20, "b": 30, "c": 25}
    kinds = await inventory.pool.fetch(
        "select kind, lot_id, quantity from stock_transactions where sale_id = 's1'"
        " order by stock_transaction_id"
    )
    assert [tuple(row) for row in kinds] == [
        ("sale", "a", -20),
        ("sale", "b", -30),
        ("sale-reversal", "a", 20),
        ("sale-reversal", "b", 30),
    ]
    await assert_sound(inventory)


async def test_a_short_sale_is_costed_at_the_average_and_settled_later(inventory: Driver) -> None:
    published = await inventory.apply(
        TOPIC,
        product(),
        lot("a", "4", "10.00", "2026-01-05"),
        lot("b", "6", "20.00", "2026-01-06"),
        take("s1", 1, ("1", "desk", "13")),
    )
    # 4 x 10 + 6 x 20 = 160; average 16; 3 short x 16 = 48
    assert costs(published) == [("s1", 1, "208.00", None)]
    (line,) = next(p for p in published if p.type == "sale-costed").body["lines"]
    assert line["shortage"] == {"quantity": "3", "open": "3", "unit_cost": "16.00"}
    assert line["flags"] == ["short"]
    assert [p.type for p in published].count("shortage-opened") == 1
    await assert_sound(inventory)

    published = await inventory.apply(TOPIC, lot("c", "2", "30.00", "2026-01-07"))
    assert costs(published) == [("s1", 1, "236.00", "shortage-settled")]  # 160 + 60 + 16
    await assert_sound(inventory)

    published = await inventory.apply(TOPIC, lot("d", "5", "40.00", "2026-01-08"))
    assert costs(published) == [("s1", 1, "260.00", "shortage-settled")]  # 160 + 60 + 40
    assert next(p for p in published if p.type == "sale-costed").body["costing"] == 3
    assert await remaining(inventory) == {"a": 0, "b": 0, "c": 0, "d": 4}
    await assert_sound(inventory)


async def test_goods_given_back_settle_the_oldest_shortage(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC,
        product(purchase_cost="7"),
        lot("a", "5", "10.00", "2026-01-05"),
        take("s1", 1, ("1", "desk", "5"), day="2026-02-01"),
        take("s2", 1, ("1", "desk", "2"), day="2026-02-05"),
        take("s3", 1, ("1", "desk", "2"), day="2026-02-03"),
    )
    published = await inventory.apply(TOPIC, take("s1", 2, ("1", "desk", "2")))

    assert [c[:2] for c in costs(published)] == [("s1", 2), ("s2", 1), ("s3", 1)] or [
        c[:2] for c in costs(published)
    ] == [("s1", 2), ("s3", 1), ("s2", 1)]
    settled = [p.body["sale_id"] for p in published if p.type == "shortage-settled"]
    assert settled == ["s3", "s2"]
    await assert_sound(inventory)


async def test_without_any_cost_known_a_sale_is_flagged_uncosted(inventory: Driver) -> None:
    published = await inventory.apply(TOPIC, product(), take("s1", 1, ("1", "desk", "2")))
    costed = next(p for p in published if p.type == "sale-costed")
    assert costed.body["cost"] == "0.00"
    assert costed.body["lines"][0]["flags"] == ["short", "uncosted"]
    await assert_sound(inventory)


async def test_goods_that_come_back_to_a_voided_lot_stay_out_of_stock(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC,
        *DESKS,
        take("s1", 1, ("1", "desk", "5")),
        {"type": "void-lot", "business_id": "acme", "lot_id": "a"},
    )
    published = await inventory.apply(TOPIC, take("s1", 2))

    voided = [p.body["quantity"] for p in published if p.type == "lot-voided"]
    assert voided == ["5"]
    assert await remaining(inventory) == {"a": 0, "b": 30, "c": 25}
    await assert_sound(inventory)


async def test_a_lot_received_and_adjusted_in_one_batch_settles_all_it_can(
    inventory: Driver,
) -> None:
    await inventory.apply(
        TOPIC,
        product(),
        take("s1", 1, ("1", "desk", "5")),
        take("s2", 1, ("1", "desk", "10")),
        take("s3", 1, ("1", "desk", "7")),
    )
    await inventory.apply(
        TOPIC,
        lot("a", "5", "10.00", "2026-01-05"),
        {
            "type": "adjust-lot",
            "business_id": "acme",
            "lot_id": "a",
            "quantity": "20",
            "reason": "count-correction",
        },
    )
    assert await remaining(inventory) == {"a": 3}
    await assert_sound(inventory)


async def test_commands_without_ids_may_be_delivered_twice(inventory: Driver) -> None:
    await inventory.apply(TOPIC, *DESKS)
    received = lot("x", "5", "10.00", "2026-01-05")
    del received["lot_id"], received["lot_number"]
    adjusted = {
        "type": "adjust-lot",
        "business_id": "acme",
        "lot_id": "a",
        "quantity": "-1",
        "reason": "breakage",
    }
    headers = (("ce_id", b"sent-once"),)
    for _ in range(2):
        records = [
            Record(r.topic, r.partition, r.offset, r.key, r.value, headers)
            for r in inventory.records(TOPIC, received, adjusted)
        ]
        await inventory.consumer.apply(records)
    published = await inventory.take_outbox()
    assert [p.type for p in published] == ["lot-received", "lot-adjusted", "stock-changed"]
    await assert_sound(inventory)


async def test_a_number_that_a_lot_was_given_is_taken(inventory: Driver) -> None:
    memo = take("memo", 1, ("1", "desk", "-2"))
    number = {"lot_number": "20260301-1"}
    for batch in ([product(), memo, lot("a", "5", "1", "2026-01-05") | number], [memo]):
        await inventory.apply(TOPIC, *batch)
    again = await inventory.apply(TOPIC, lot("a", "5", "1", "2026-01-05") | number)
    assert [(p.type, p.body["field"]) for p in again] == [("command-rejected", "lot_number")]

    await inventory.apply(TOPIC, lot("b", "5", "1", "2026-01-05") | {"lot_number": "20260105-9"})
    unnumbered = lot("c", "5", "1", "2026-01-05")
    del unnumbered["lot_number"]
    published = await inventory.apply(TOPIC, unnumbered)
    assert published[0].body["lot_number"] == "20260105-10"


async def test_a_cost_beyond_all_reason_is_told_and_read(inventory: Driver) -> None:
    published = await inventory.apply(
        TOPIC,
        product(),
        lot("a", "900000000", "900000000000", "2026-01-05"),
        take("s1", 1, ("1", "desk", "900000000")),
    )
    costed = next(p for p in published if p.type == "sale-costed")
    assert costed.body["cost"] == "810000000000000000000.00"
    read("inventory.events.v1", json.dumps(costed.body).encode())
