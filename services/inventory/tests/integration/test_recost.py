"""Re-costing on a real Postgres: by the calendar, only what changed, told sale by sale (LO6)."""

import asyncio
import threading
from decimal import Decimal
from typing import Any

import pytest

from chassis.testing import DEADLINE_SECONDS, Driver, Published
from inventory.domain.recost import Recosted
from inventory.domain.recost import recost as run_again
from inventory.store.loading import load_history
from inventory.verify import verify

TOPIC = "inventory.commands.v1"

Command = dict[str, Any]

PRODUCT: Command = {
    "type": "put-product",
    "business_id": "acme",
    "product_id": "desk",
    "name": "Desk",
    "product_type": "finished-good",
}


def lot(lot_id: str, quantity: str, cost: str, day: str) -> Command:
    return {
        "type": "receive-lot",
        "business_id": "acme",
        "product_id": "desk",
        "lot_id": lot_id,
        "lot_number": lot_id.upper(),
        "quantity": quantity,
        "unit_cost": cost,
        "received_on": day,
    }


def document(sale_id: str, quantity: str, day: str) -> Command:
    return {
        "type": "consume-lots",
        "business_id": "acme",
        "sale_id": sale_id,
        "revision": 1,
        "sale_date": day,
        "customer_external_id": "ada",
        "lines": [{"line_id": "1", "product_id": "desk", "quantity": quantity}],
    }


def recost(day: str = "2026-01-01", *, dry_run: bool = False) -> Command:
    return {
        "type": "recost-product",
        "business_id": "acme",
        "product_id": "desk",
        "from_date": day,
        "dry_run": dry_run,
    }


def costs(published: list[Published]) -> list[tuple[str, int, str, str | None]]:
    return [
        (p.body["sale_id"], p.body["costing"], p.body["cost"], p.body.get("reason"))
        for p in published
        if p.type == "sale-costed"
    ]


def outcome(published: list[Published]) -> dict[str, Any]:
    (told,) = [p.body for p in published if p.type == "product-recosted"]
    return told


async def remaining(inventory: Driver) -> dict[str, Decimal]:
    rows = await inventory.pool.fetch(
        "select lot_id, return_sale_id, quantity_remaining from lots order by sequence"
    )
    return {row["return_sale_id"] or row["lot_id"]: row["quantity_remaining"] for row in rows}


async def transactions(inventory: Driver) -> list[tuple[Any, ...]]:
    rows = await inventory.pool.fetch(
        "select kind, lot_id, quantity, sale_id from stock_transactions"
        " where reason = 'recosted' order by stock_transaction_id"
    )
    return [tuple(row) for row in rows]


async def assert_sound(inventory: Driver) -> None:
    report = await verify(inventory.pool, None)
    assert {c.invariant: c.violations for c in report.checks if c.violations} == {}


LATE_LOT = (
    PRODUCT,
    lot("b", "10", "20.00", "2026-01-10"),
    document("s1", "4", "2026-01-12"),
    document("s2", "4", "2026-01-14"),
    lot("a", "5", "10.00", "2026-01-05"),
)


async def test_a_late_lot_is_taken_in_its_turn(inventory: Driver) -> None:
    await inventory.apply(TOPIC, *LATE_LOT)
    published = await inventory.apply(TOPIC, recost())

    # s1: 4 x 10; s2: 1 x 10 + 3 x 20
    assert costs(published) == [("s1", 2, "40.00", "recosted"), ("s2", 2, "70.00", "recosted")]
    told = outcome(published)
    assert (told["sales_checked"], told["sales_changed"], told["lots_changed"]) == (2, 2, 2)
    assert (told["cost_before"], told["cost_after"]) == ("160.00", "110.00")
    assert told["sales"][0] == {"sale_id": "s1", "cost_before": "80.00", "cost_after": "40.00"}
    assert await remaining(inventory) == {"b": 7, "a": 0}
    assert await transactions(inventory) == [
        ("sale-reversal", "b", 4, "s1"),
        ("sale-reversal", "b", 1, "s2"),
        ("sale", "a", -4, "s1"),
        ("sale", "a", -1, "s2"),
    ]
    assert "stock-changed" not in {p.type for p in published}
    await assert_sound(inventory)


async def test_a_dry_run_tells_and_changes_nothing(inventory: Driver) -> None:
    await inventory.apply(TOPIC, *LATE_LOT)
    tried = outcome(await inventory.apply(TOPIC, recost(dry_run=True)))
    assert await transactions(inventory) == []
    assert await remaining(inventory) == {"b": 2, "a": 5}

    done = outcome(await inventory.apply(TOPIC, recost()))
    assert tried == {**done, "dry_run": True}


async def test_a_second_time_changes_nothing(inventory: Driver) -> None:
    await inventory.apply(TOPIC, *LATE_LOT, recost())
    published = await inventory.apply(TOPIC, recost())
    assert [p.type for p in published] == ["product-recosted"]
    assert (outcome(published)["sales_changed"], outcome(published)["lots_changed"]) == (0, 0)
    assert len(await transactions(inventory)) == 4
    await assert_sound(inventory)


async def test_sales_before_the_date_keep_what_they_took(inventory: Driver) -> None:
    await inventory.apply(TOPIC, *LATE_LOT)
    published = await inventory.apply(TOPIC, recost("2026-01-14"))
    assert costs(published) == [("s2", 2, "40.00", "recosted")]  # 4 x 10; s1 keeps 4 x 20
    assert outcome(published)["sales_checked"] == 1
    await assert_sound(inventory)


async def test_a_changed_lot_cost_reaches_what_was_sold(inventory: Driver) -> None:
    await inventory.apply(TOPIC, PRODUCT, lot("a", "9", "10", "2026-01-05"))
    await inventory.apply(TOPIC, document("s", "4", "2026-01-12"))
    changed = {"business_id": "acme", "lot_id": "a", "unit_cost": "12.50"}
    published = await inventory.apply(TOPIC, {"type": "change-lot-cost", **changed}, recost())
    assert costs(published) == [("s", 2, "50.00", "recosted")]
    await assert_sound(inventory)


async def test_a_backdated_sale_takes_before_later_ones(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC,
        PRODUCT,
        lot("a", "4", "10.00", "2026-01-05"),
        lot("b", "4", "20.00", "2026-01-06"),
        document("late", "4", "2026-01-14"),
        document("early", "4", "2026-01-10"),
    )
    published = await inventory.apply(TOPIC, recost())
    assert costs(published) == [
        ("early", 2, "40.00", "recosted"),
        ("late", 2, "80.00", "recosted"),
    ]
    await assert_sound(inventory)


async def test_a_sale_before_its_lot_is_settled_by_it(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC,
        PRODUCT,
        lot("b", "4", "20.00", "2026-01-10"),
        document("second", "4", "2026-01-12"),
        document("first", "2", "2026-01-09"),
    )
    published = await inventory.apply(TOPIC, recost())
    # first was short and b settled it; second finds 2 of b, and is short of 2 at their average
    assert costs(published) == [
        ("first", 2, "40.00", "recosted"),
        ("second", 2, "80.00", "recosted"),
    ]
    assert await remaining(inventory) == {"b": 0}
    short = await inventory.pool.fetch(
        "select sale_id, shortage_open from consumption_lines where shortage_open > 0"
    )
    assert [tuple(row) for row in short] == [("second", 2)]
    await assert_sound(inventory)


async def test_a_memo_that_came_before_its_sale_finds_it(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC,
        PRODUCT,
        lot("a", "9", "10.00", "2026-01-05"),
        document("memo", "-2", "2026-01-14"),
        document("s", "3", "2026-01-12"),
    )
    assert await remaining(inventory) == {"a": 6, "memo": 2}
    published = await inventory.apply(TOPIC, recost())
    assert costs(published) == [("memo", 2, "-20.00", "recosted")]
    assert await remaining(inventory) == {"a": 8, "memo": 0}
    await assert_sound(inventory)


async def test_what_stands_on_a_voided_lot_stays(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC,
        PRODUCT,
        lot("b", "4", "20.00", "2026-01-06"),
        document("s", "3", "2026-01-12"),
        {"type": "void-lot", "business_id": "acme", "lot_id": "b"},
        lot("a", "4", "10.00", "2026-01-05"),
    )
    published = await inventory.apply(TOPIC, recost())
    assert costs(published) == []
    await assert_sound(inventory)


async def test_goods_that_what_stays_needs_are_not_taken_from_it(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC,
        PRODUCT,
        lot("a", "4", "10.00", "2026-01-05"),
        document("s", "4", "2026-01-06"),
        document("memo", "-3", "2026-01-20"),
        document("user", "3", "2026-01-10"),
    )
    published = await inventory.apply(TOPIC, recost("2026-01-15"))
    assert costs(published) == []
    await assert_sound(inventory)


async def test_other_products_of_a_sale_keep_their_cost(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC,
        PRODUCT,
        {**PRODUCT, "product_id": "chair"},
        lot("b", "10", "20.00", "2026-01-10"),
        {**lot("c", "10", "3.00", "2026-01-10"), "product_id": "chair"},
        {
            **document("s", "4", "2026-01-12"),
            "lines": [
                {"line_id": "1", "product_id": "chair", "quantity": "2"},
                {"line_id": "2", "product_id": "desk", "quantity": "4"},
            ],
        },
        lot("a", "5", "10.00", "2026-01-05"),
    )
    published = await inventory.apply(TOPIC, recost())
    assert costs(published) == [("s", 2, "46.00", "recosted")]
    told = outcome(published)
    assert (told["cost_before"], told["cost_after"]) == ("80.00", "40.00")
    await assert_sound(inventory)


async def test_nothing_of_other_products_is_in_memory(inventory: Driver) -> None:
    chair = {"product_id": "chair"}
    both = document("both", "2", "2026-01-12")
    both["lines"] = [{**both["lines"][0], **chair}, {**both["lines"][0], "line_id": "2"}]
    await inventory.apply(
        TOPIC,
        PRODUCT,
        {**PRODUCT, **chair},
        lot("b", "10", "20.00", "2026-01-10"),
        {**lot("c", "10", "3.00", "2026-01-10"), **chair},
        {**document("chairs", "4", "2026-01-12"), "lines": both["lines"][:1]},
        both,
        document("desks", "1", "2026-01-13"),
        {**lot("b2", "10", "20.00", "2026-01-10"), "business_id": "other"},
    )
    async with inventory.pool.acquire() as connection, connection.transaction():
        history = await load_history(connection, ("acme", "desk"))
    assert history is not None
    ledger, sales = history
    assert list(ledger.books["acme"].lots) == ["b"]
    assert list(ledger.products) == [("acme", "desk")]
    assert [(s.sale_id, [li.line_id for li in s.lines]) for s in sales] == [
        ("both", ["2"]),
        ("desks", ["1"]),
    ]


@pytest.mark.parametrize("together", [True, False])
async def test_a_sale_arriving_with_it_is_costed_once(inventory: Driver, *, together: bool) -> None:
    story = [*LATE_LOT, recost(), document("s3", "3", "2026-01-16"), recost()]
    published = []
    for batch in [story] if together else [[command] for command in story]:
        published += await inventory.apply(TOPIC, *batch)
    assert costs(published)[-3:] == [
        ("s1", 2, "40.00", "recosted"),
        ("s2", 2, "70.00", "recosted"),
        ("s3", 1, "60.00", None),
    ]
    await assert_sound(inventory)


async def test_the_service_goes_on_while_costs_run_again(
    inventory: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, went_on = asyncio.get_running_loop(), threading.Event()
    in_time = []

    def waits(*known: Any) -> Recosted:  # noqa: ANN401
        loop.call_soon_threadsafe(went_on.set)
        in_time.append(went_on.wait(DEADLINE_SECONDS))
        return run_again(*known)

    monkeypatch.setattr("inventory.usecases.recosting.recost", waits)
    published = await inventory.apply(TOPIC, *LATE_LOT, recost())
    assert outcome(published)["sales_changed"] == 2
    assert in_time == [True]


async def test_an_unknown_product_is_refused(inventory: Driver) -> None:
    published = await inventory.apply(TOPIC, recost())
    assert [(p.type, p.body["reason"], p.body["field"]) for p in published] == [
        ("command-rejected", "unknown-product", "product_id")
    ]
