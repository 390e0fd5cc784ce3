"""Returns on a real Postgres: where goods go, what they cost, who gives them up (SA8)."""

from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from chassis.testing import Driver, Published
from inventory.reads import router
from inventory.verify import verify

TOPIC = "inventory.commands.v1"

Command = dict[str, Any]


def product(**more: str) -> Command:
    return {
        "type": "put-product",
        "business_id": "acme",
        "product_id": "desk",
        "name": "Desk",
        "product_type": "finished-good",
        **more,
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


def document(
    sale_id: str,
    *quantities: str,
    revision: int = 1,
    day: str = "2026-03-01",
    customer: str | None = "ada",
    **more: str,
) -> Command:
    """A sale of desks, or, with negative quantities, a credit memo."""
    return {
        "type": "consume-lots",
        "business_id": "acme",
        "sale_id": sale_id,
        "revision": revision,
        "sale_date": day,
        **({} if customer is None else {"customer_external_id": customer}),
        "lines": [
            {"line_id": str(n), "product_id": "desk", "quantity": quantity}
            for n, quantity in enumerate(quantities, 1)
        ],
        **more,
    }


def void(lot_id: str) -> Command:
    return {"type": "void-lot", "business_id": "acme", "lot_id": lot_id}


def adjust(lot_id: str, quantity: str, reason: str = "breakage") -> Command:
    return {
        "type": "adjust-lot",
        "business_id": "acme",
        "lot_id": lot_id,
        "quantity": quantity,
        "reason": reason,
    }


def costs(published: list[Published]) -> list[tuple[str, int, int, str, str | None]]:
    return [
        (
            p.body["sale_id"],
            p.body["revision"],
            p.body["costing"],
            p.body["cost"],
            p.body.get("reason"),
        )
        for p in published
        if p.type == "sale-costed"
    ]


async def remaining(inventory: Driver) -> dict[str, Decimal]:
    rows = await inventory.pool.fetch(
        "select lot_id, return_sale_id, quantity_remaining from lots order by sequence"
    )
    return {row["return_sale_id"] or row["lot_id"]: row["quantity_remaining"] for row in rows}


async def assert_sound(inventory: Driver) -> None:
    report = await verify(inventory.pool, None)
    assert {c.invariant: c.violations for c in report.checks if c.violations} == {}


LOTS = (
    product(),
    lot("a", "10", "10.00", "2026-01-05"),
    lot("b", "10", "20.00", "2026-01-12"),
    lot("c", "10", "30.00", "2026-01-19"),
)


async def test_a_return_goes_to_what_was_taken_last(inventory: Driver) -> None:
    published = await inventory.apply(
        TOPIC, *LOTS, document("s", "15"), document("memo", "-7", day="2026-03-05")
    )

    # the sale took 10 x 10 + 5 x 20; back come 5 x 20, then 2 x 10
    assert costs(published) == [("s", 1, 1, "200.00", None), ("memo", 1, 1, "-120.00", None)]
    memo = next(p for p in published if p.body.get("sale_id") == "memo").body["lines"][0]
    assert [(a["lot_id"], a["quantity"]) for a in memo["allocations"]] == [("b", "-5"), ("a", "-2")]
    assert memo["returned"][1] == {
        "source_sale_id": "s",
        "source_line_id": "1",
        "lot_id": "a",
        "quantity": "2",
        "unit_cost": "10.00",
    }
    assert await remaining(inventory) == {"a": 2, "b": 10, "c": 10}
    await assert_sound(inventory)


async def test_a_return_goes_to_the_customers_latest_sale_first(inventory: Driver) -> None:
    published = await inventory.apply(
        TOPIC,
        *LOTS,
        document("early", "5", day="2026-03-01"),
        document("late", "5", day="2026-03-03"),
        document("others", "10", day="2026-03-04", customer="bob"),
        document("memo", "-8", day="2026-03-05"),
    )
    assert costs(published)[-1] == ("memo", 1, 1, "-80.00", None)
    rows = await inventory.pool.fetch(
        "select source_sale_id, quantity from returned_goods order by ordinal"
    )
    assert [tuple(row) for row in rows] == [("late", 5), ("early", 3)]
    assert await remaining(inventory) == {"a": 8, "b": 0, "c": 10}
    await assert_sound(inventory)


async def test_no_more_comes_back_than_was_taken_the_rest_is_a_return_lot(
    inventory: Driver,
) -> None:
    published = await inventory.apply(
        TOPIC,
        *LOTS,
        document("s", "4"),
        document("memo", "-3", day="2026-03-05"),
        document("memo2", "-3", day="2026-03-06"),
    )
    # one left to give back at 10; two at the average of 9 x 10, 10 x 20, 10 x 30
    assert costs(published)[-1] == ("memo2", 1, 1, "-50.69", None)  # 10 + 2 x 20.344828
    assert await remaining(inventory) == {"a": 10, "b": 10, "c": 10, "memo2": 2}
    (row,) = await inventory.pool.fetch("select * from lots where return_sale_id = 'memo2'")
    assert (row["unit_cost"], str(row["received_on"])) == (Decimal("20.344828"), "2026-03-06")
    kinds = await inventory.pool.fetch(
        "select kind, lot_id is null as short, quantity from stock_transactions"
        " where sale_id = 'memo2' order by stock_transaction_id"
    )
    assert [tuple(row) for row in kinds] == [("return", False, 1), ("return", False, 2)]
    await assert_sound(inventory)


@pytest.mark.parametrize(
    "memo",
    [
        document("memo", "-3", customer=None),
        document("memo", "-3", customer="bob"),
        document("memo", "-3", returns="return-lot"),
    ],
    ids=["no customer", "another customer", "return-lot"],
)
async def test_goods_of_no_known_sale_are_a_return_lot(inventory: Driver, memo: Command) -> None:
    published = await inventory.apply(
        TOPIC, product(), lot("a", "6", "10.00", "2026-01-05"), document("s", "4"), memo
    )
    assert costs(published)[-1] == ("memo", 1, 1, "-30.00", None)
    assert await remaining(inventory) == {"a": 2, "memo": 3}
    await assert_sound(inventory)


async def test_a_memo_before_its_sale_stays_a_return_lot(inventory: Driver) -> None:
    published = await inventory.apply(
        TOPIC, product(purchase_cost="7"), document("memo", "-3"), document("s", "4")
    )
    # 3 from the return lot, 1 short at its average
    assert costs(published) == [("memo", 1, 1, "-21.00", None), ("s", 1, 1, "28.00", None)]
    await assert_sound(inventory)


async def test_without_any_cost_known_a_return_is_flagged_uncosted(inventory: Driver) -> None:
    published = await inventory.apply(TOPIC, product(), document("memo", "-3"))
    (line,) = next(p for p in published if p.type == "sale-costed").body["lines"]
    assert (line["cost"], line["flags"]) == ("0.00", ["uncosted"])
    await assert_sound(inventory)


async def test_units_still_short_come_back_first_at_their_average(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC, product(), lot("a", "4", "10.00", "2026-01-05"), document("s", "7")
    )
    published = await inventory.apply(TOPIC, document("memo", "-2", day="2026-03-05"))
    # 7 = 4 x 10 + 3 short x 10; the sale keeps its cost, and is now short of 1
    assert costs(published) == [
        ("memo", 1, 1, "-20.00", None),
        ("s", 1, 2, "70.00", "return-moved"),
    ]
    (line,) = published[1].body["lines"]
    assert line["shortage"] == {"quantity": "3", "open": "1", "unit_cost": "10.00", "returned": "2"}
    await assert_sound(inventory)

    published = await inventory.apply(TOPIC, lot("b", "5", "20.00", "2026-03-06"))
    assert costs(published) == [("s", 1, 3, "80.00", "shortage-settled")]  # 40 + 20 + 2 x 10
    assert await remaining(inventory) == {"a": 0, "b": 4}
    await assert_sound(inventory)

    published = await inventory.apply(TOPIC, document("memo", revision=2))
    # the sale is short of 2 again, and the lot settles them
    assert costs(published) == [
        ("memo", 2, 1, "0", None),
        ("s", 1, 4, "80.00", "return-moved"),
        ("s", 1, 5, "100.00", "shortage-settled"),
    ]
    assert await remaining(inventory) == {"a": 0, "b": 2}
    await assert_sound(inventory)


async def test_returned_goods_settle_what_others_are_short_of(inventory: Driver) -> None:
    published = await inventory.apply(
        TOPIC,
        product(),
        lot("a", "4", "10.00", "2026-01-05"),
        lot("b", "1", "20.00", "2026-01-06"),
        document("s", "5"),
        document("short", "2", customer="bob"),
        document("memo", "-3", day="2026-03-05"),
    )
    # short: 2 x 12 (the last average, 60 / 5); settled by a, which the memo gave back after b
    assert costs(published)[-2:] == [
        ("memo", 1, 1, "-40.00", None),
        ("short", 1, 2, "20.00", "shortage-settled"),
    ]
    assert await remaining(inventory) == {"a": 0, "b": 1}
    await assert_sound(inventory)


async def test_a_voided_memo_takes_its_goods_out_again(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC, *LOTS, document("s", "15"), document("memo", "-20", day="2026-03-05")
    )
    published = await inventory.apply(TOPIC, document("memo", revision=2))
    assert costs(published) == [("memo", 2, 1, "0", None)]
    assert await remaining(inventory) == {"a": 0, "b": 5, "c": 10, "memo": 0}
    net = await inventory.pool.fetchval(
        "select sum(quantity) from stock_transactions where sale_id = 'memo'"
    )
    assert net == 0
    await assert_sound(inventory)


async def test_users_since_the_return_give_its_goods_up(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC,
        *LOTS,
        document("s", "10"),
        document("memo", "-4", day="2026-03-05"),
        document("first", "3", day="2026-03-06", customer="bob"),
        document("second", "3", day="2026-03-07", customer="eve"),
    )
    # first: 3 x 10; second: 1 x 10 + 2 x 20
    published = await inventory.apply(TOPIC, document("memo", revision=2))
    assert costs(published) == [
        ("memo", 2, 1, "0", None),
        ("first", 1, 2, "60.00", "return-moved"),
        ("second", 1, 2, "60.00", "return-moved"),
    ]
    assert await remaining(inventory) == {"a": 0, "b": 4, "c": 10}
    await assert_sound(inventory)


async def test_editing_a_memo_moves_only_what_changed(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC,
        *LOTS,
        document("s", "10"),
        document("memo", "-4", day="2026-03-05"),
        document("user", "4", day="2026-03-06", customer="bob"),
    )
    before = await inventory.pool.fetchval("select count(*) from stock_transactions")
    published = await inventory.apply(TOPIC, document("memo", "-4", revision=2, day="2026-03-05"))
    assert costs(published) == [("memo", 2, 1, "-40.00", None)]
    assert await inventory.pool.fetchval("select count(*) from stock_transactions") == before

    published = await inventory.apply(TOPIC, document("memo", "-3", revision=3, day="2026-03-05"))
    assert costs(published) == [
        ("memo", 3, 1, "-30.00", None),
        ("user", 1, 2, "50.00", "return-moved"),  # 3 x 10 + 1 x 20
    ]
    await assert_sound(inventory)


async def test_editing_the_price_of_a_returned_sale_moves_no_goods(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC,
        *LOTS,
        document("s", "10"),
        document("memo", "-4", day="2026-03-05"),
        document("user", "4", day="2026-03-06", customer="bob"),
    )
    before = await inventory.pool.fetchval("select count(*) from stock_transactions")
    published = await inventory.apply(TOPIC, document("s", "10", revision=2))
    assert costs(published) == [("s", 2, 1, "100.00", None)]
    assert await inventory.pool.fetchval("select count(*) from stock_transactions") == before
    await assert_sound(inventory)


async def test_returns_of_a_voided_sale_become_return_lots(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC, *LOTS, document("s", "10"), document("memo", "-4", day="2026-03-05")
    )
    published = await inventory.apply(TOPIC, document("s", revision=2))
    # the average of 10 x 10, 10 x 20, 10 x 30
    assert costs(published) == [
        ("s", 2, 1, "0", None),
        ("memo", 1, 2, "-80.00", "return-moved"),
    ]
    assert await remaining(inventory) == {"a": 10, "b": 10, "c": 10, "memo": 4}
    await assert_sound(inventory)

    published = await inventory.apply(TOPIC, document("s", "10", revision=3))
    assert costs(published) == [("s", 3, 1, "100.00", None)]
    assert await remaining(inventory) == {"a": 0, "b": 10, "c": 10, "memo": 4}
    await assert_sound(inventory)


async def test_a_smaller_sale_keeps_what_returns_find_in_it(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC, *LOTS, document("s", "12"), document("memo", "-8", day="2026-03-05")
    )
    published = await inventory.apply(TOPIC, document("s", "5", revision=2))
    # 5 x 10 come back; 3 more at the average of 5 x 10, 10 x 20, 10 x 30
    assert costs(published) == [
        ("s", 2, 1, "50.00", None),
        ("memo", 1, 2, "-116.00", "return-moved"),  # 50 + 3 x 22
    ]
    assert await remaining(inventory) == {"a": 10, "b": 10, "c": 10, "memo": 3}
    await assert_sound(inventory)


async def test_the_source_gives_up_last(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC,
        product(),
        lot("a", "10", "10.00", "2026-01-05"),
        lot("b", "10", "20.00", "2026-01-12"),
        document("other", "4", day="2026-02-27", customer="bob"),
        document("s", "6"),
        document("memo", "-5", day="2026-03-05"),
        adjust("a", "-5"),
    )
    published = await inventory.apply(TOPIC, document("memo", revision=2))
    # a lacks 5: 4 from the other holder, 1 from the source
    assert costs(published) == [
        ("memo", 2, 1, "0", None),
        ("other", 1, 2, "80.00", "return-moved"),
        ("s", 1, 2, "70.00", "return-moved"),
    ]
    assert await remaining(inventory) == {"a": 0, "b": 5}
    await assert_sound(inventory)


async def test_who_gives_up_may_be_short_and_is_settled_later(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC,
        product(),
        lot("a", "10", "10.00", "2026-01-05"),
        document("s", "10"),
        document("memo", "-4", day="2026-03-05"),
        document("user", "4", day="2026-03-06", customer="bob"),
    )
    published = await inventory.apply(TOPIC, document("memo", revision=2))
    assert costs(published) == [
        ("memo", 2, 1, "0", None),
        ("user", 1, 2, "40.00", "return-moved"),
    ]
    assert [p.body["quantity"] for p in published if p.type == "shortage-opened"] == ["4"]
    await assert_sound(inventory)
    published = await inventory.apply(TOPIC, lot("b", "9", "20.00", "2026-03-08"))
    assert costs(published) == [("user", 1, 3, "80.00", "shortage-settled")]
    await assert_sound(inventory)


async def test_goods_returned_to_a_voided_lot_stay_out_and_leave_it_again(
    inventory: Driver,
) -> None:
    await inventory.apply(TOPIC, *LOTS, document("s", "10"), void("a"))
    published = await inventory.apply(TOPIC, document("memo", "-4", day="2026-03-05"))
    assert [p.body["quantity"] for p in published if p.type == "lot-voided"] == ["4"]
    assert await remaining(inventory) == {"a": 0, "b": 10, "c": 10}
    await assert_sound(inventory)

    await inventory.apply(TOPIC, document("memo", revision=2))
    voided = await inventory.pool.fetchval("select quantity_voided from lots where lot_id = 'a'")
    assert voided == 0
    await assert_sound(inventory)


async def test_an_adjustment_of_goods_that_never_came_back_goes_with_them(
    inventory: Driver,
) -> None:
    await inventory.apply(TOPIC, *LOTS, document("memo", "-4", day="2026-03-05"))
    lot_id = await inventory.pool.fetchval(
        "select lot_id from lots where return_sale_id is not null"
    )
    await inventory.apply(TOPIC, adjust(lot_id, "-3"))
    await assert_sound(inventory)
    await inventory.apply(TOPIC, document("memo", revision=2))
    assert await remaining(inventory) == {"a": 10, "b": 10, "c": 10, "memo": 0}
    await assert_sound(inventory)


async def test_a_document_may_take_and_give_back(inventory: Driver) -> None:
    published = await inventory.apply(
        TOPIC,
        *LOTS,
        document("s", "12"),
        document("exchange", "5", "-3", day="2026-03-05"),
    )
    # back: 2 x 20, 1 x 10; then taken: 1 x 10, 4 x 20
    assert costs(published)[-1] == ("exchange", 1, 1, "40.00", None)
    assert await remaining(inventory) == {"a": 0, "b": 6, "c": 10}
    await assert_sound(inventory)


async def test_a_full_return_nets_to_zero(inventory: Driver) -> None:
    published = await inventory.apply(
        TOPIC,
        product(),
        lot("a", "3", "0.333333", "2026-01-05"),
        lot("b", "9", "0.115", "2026-01-06"),
        document("s", "4"),
        document("memo", "-4", day="2026-03-05"),
    )
    # 0.999999 + 0.115 = 1.114999
    assert [c[3] for c in costs(published)] == ["1.11", "-1.11"]
    await assert_sound(inventory)


STORY = (
    *LOTS,
    document("s1", "12"),
    document("memo1", "-5", day="2026-03-05"),
    document("s2", "9", day="2026-03-06", customer="bob"),
    document("memo2", "-4", day="2026-03-07", customer="bob"),
    document("s1", "8", revision=2),
    document("s3", "18", day="2026-03-08", customer="eve"),
    document("memo1", "-2", "-1", revision=2, day="2026-03-05"),
    document("s2", revision=2, day="2026-03-06", customer="bob"),
    lot("d", "7", "40.00", "2026-01-01"),
    document("s1", "14", revision=3, customer="bob"),
    document("memo2", "-6", revision=2, day="2026-03-09"),
    document("memo1", revision=3),
)


ENTANGLED_MIDWAY = (
    product(),
    document("s1", "1"),
    document("s3", "4", day="2026-03-05"),
    document("memo", "-4", day="2026-03-06"),
    document("s2", "3", day="2026-02-01"),
    document("s3", "3", revision=2, day="2026-03-05"),  # the memo finds its fourth in s1
    document("s1", revision=2),  # and goes on to s2
)


@pytest.mark.parametrize("story", [STORY, ENTANGLED_MIDWAY], ids=["long", "entangled midway"])
@pytest.mark.parametrize("size", [1, 3, 5, 100])
async def test_a_batch_does_what_its_commands_do_one_by_one(
    inventory: Driver, story: tuple[Command, ...], size: int
) -> None:
    published = []
    for first in range(0, len(story), size):
        published += await inventory.apply(TOPIC, *story[first : first + size])
        await assert_sound(inventory)
    told = [
        (p.type, p.ce_id, p.body)
        for p in published
        if p.type not in {"stock-changed", "product-changed"}
    ]
    lots = await inventory.pool.fetch(
        "select lot_id, quantity_remaining, quantity_received, unit_cost from lots order by 1"
    )
    state = (told, [tuple(row) for row in lots])
    assert state == _states.setdefault(len(story), state)


_states: dict[int, Any] = {}


async def test_a_lot_shows_who_gave_goods_back(inventory: Driver) -> None:
    await inventory.apply(
        TOPIC,
        *LOTS,
        document("s", "4"),
        document("memo", "-6", day="2026-03-05"),
    )
    api = FastAPI()
    api.include_router(router(inventory.pool))
    transport = httpx.ASGITransport(app=api)
    async with httpx.AsyncClient(transport=transport, base_url="http://inventory") as http:
        shown = (await http.get("/businesses/acme/lots/a")).json()
        lots = (await http.get("/businesses/acme/products/desk/lots")).json()["items"]
        made = (await http.get(f"/businesses/acme/lots/{lots[-1]['lot_id']}")).json()
    assert [(u["sale_id"], u["quantity"], u["returned"]) for u in shown["sales"]] == [
        ("s", "4", "4")
    ]
    assert [
        (r["sale_id"], r["line_id"], r["source_sale_id"], r["quantity"]) for r in shown["returns"]
    ] == [("memo", "1", "s", "4")]
    assert (made["return_sale_id"], made["quantity_received"], made["sales"]) == ("memo", "2", [])
    assert [r["source_sale_id"] for r in made["returns"]] == [None]
