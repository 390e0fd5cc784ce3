"""New versions, voids and deletions through sales and inventory: rules SA4, SA5, SA6, SA9.

There are 10 desks at 10.00 (lot a, item 7) and 10 at 20.00 (lot b). Each step is a sync of its own
or a command to inventory; figures are status, revenue and cost, worked out by hand.
"""

from itertools import permutations
from typing import Any

import pytest

from sales_processor.testing import Body, line, transaction

from .conftest import Books, Told, link

VOIDED, DELETED = {"status": "voided"}, {"status": "deleted"}
CHAIRS = {"lot_id": "c", "quantity": "10", "unit_cost": "3.00", "received_on": "2026-01-07"}


CHAIR: list[Body] = [
    {"type": "put-product", "product_id": "chair", "name": "C", "product_type": "finished-good"},
    link("8", "chair"),
    {"type": "receive-lot", "product_id": "chair", **CHAIRS},
]


def sale(quantity: str = "5", amount: str = "500.00", *, item: str = "7", **more: Any) -> Body:  # noqa: ANN401
    return transaction("sale", line(1, item, quantity, amount), **more)


def other(quantity: str = "5", **more: Any) -> Body:  # noqa: ANN401
    return transaction("other", line(1, "7", quantity, "500.00"), **more)


def two_lines(first: str, second: str, **more: Any) -> Body:  # noqa: ANN401
    return transaction(
        "sale", line(1, "7", first, "500.00"), line(2, "7", second, "700.00"), **more
    )


UPDATES = [
    Told(
        "SA5: a line changed takes its lots again and goes on to the next",
        [sale(), sale("12", "1200.00", version=1)],
        # 10 x 10 + 2 x 20
        {"sale": "active 1200.00 140.00"},
        "b:8",
    ),
    Told(
        "SA5: a line lowered gives back what was taken last",
        [sale("12", "1200.00"), sale("3", "300.00", version=1)],
        {"sale": "active 300.00 30.00"},
        "a:7 b:10",
    ),
    Told(
        "SA5: a line added",
        [sale(), two_lines("5", "7", version=1)],
        # 5 x 10; 5 x 10 + 2 x 20
        {"sale": "active 1200.00 140.00"},
        "b:8",
    ),
    Told(
        "SA5: a line removed gives its goods back to their lots",
        [two_lines("5", "7"), sale("5", "500.00", version=1)],
        {"sale": "active 500.00 50.00"},
        "a:5 b:10",
    ),
    Told(
        "SA5: all lines removed",
        [sale("12", "1200.00"), transaction("sale", version=1)],
        {"sale": "active 0.00 0.00"},
        "a:10 b:10",
    ),
    Told(
        "SA5: another product",
        [*CHAIR, sale("12", "1200.00"), sale("4", "80.00", item="8", version=1)],
        # 4 x 3
        {"sale": "active 80.00 12.00"},
        "c:6 a:10 b:10",
    ),
    Told(
        "SA5: a date changed takes from what is open, not from the calendar",
        [
            sale("10", "1000.00", transaction_date="2026-03-01"),
            other("5", transaction_date="2026-03-02"),
            sale("10", "1000.00", transaction_date="2026-03-09", version=1),
        ],
        {"sale": "active 1000.00 100.00", "other": "active 500.00 100.00"},
        "b:5",
    ),
    Told(
        "SA5: a customer changed, and a return finds the sale at the new one",
        [
            sale("5", customer={"external_id": "c-9", "name": "Nine"}),
            sale("5", version=1),
            transaction("memo", line(1, "7", "2", "200.00"), kind="credit-memo"),
        ],
        {"sale": "active 500.00 50.00", "memo": "active -200.00 -20.00"},
        "a:7 b:10",
    ),
    Told(
        "SA5: an older version changes nothing",
        [sale("12", "1200.00", version=4), sale("1", "100.00", version=3)],
        {"sale": "active 1200.00 140.00"},
        "b:8",
    ),
    Told(
        "SA5: a repeated version changes nothing",
        [sale("12", "1200.00", version=4), sale("12", "1200.00", version=4)],
        {"sale": "active 1200.00 140.00"},
        "b:8",
    ),
    Told(
        "SA5: a voided document edited back to life is an update",
        [
            sale("12", "1200.00"),
            sale(version=1, **VOIDED),
            sale("3", "300.00", version=2),
        ],
        {"sale": "active 300.00 30.00"},
        "a:7 b:10",
    ),
    Told(
        "SA5: back to life with what it had before is an update too",
        [sale("12", "1200.00"), sale(version=1, **VOIDED), sale("12", "1200.00", version=2)],
        {"sale": "active 1200.00 140.00"},
        "b:8",
    ),
    Told(
        "SA5: the old goods go back before new ones are taken, others keep theirs",
        [
            sale("8", "800.00"),
            other("7"),
            sale("12", "1200.00", version=1),
        ],
        # other: 2 x 10 + 5 x 20; sale: its 8 of a again, then 4 of b
        {"sale": "active 1200.00 160.00", "other": "active 500.00 120.00"},
        "b:1",
    ),
    Told(
        "SA9: a short sale that is lowered needs no stock",
        [sale("24", "2400.00"), sale("18", "1800.00", version=1)],
        # 10 x 10 + 8 x 20
        {"sale": "active 1800.00 260.00"},
        "b:2",
    ),
    Told(
        "SA6: a void gives goods back to exactly the lots that they came from",
        [sale("12", "1200.00"), other("5"), sale(version=1, **VOIDED)],
        {"sale": "voided 0.00 0.00", "other": "active 500.00 100.00"},
        "a:10 b:5",
    ),
    Told(
        "SA6: a lot exhausted meanwhile is open again, and first in again",
        [sale("10", "1000.00"), sale(version=1, **DELETED), other("3")],
        {"sale": "voided 0.00 0.00", "other": "active 500.00 30.00"},
        "a:7 b:10",
    ),
    Told(
        "SA6: what comes back to a lot voided meanwhile stays out of stock",
        [sale("4"), {"type": "void-lot", "lot_id": "a"}, sale(version=1, **VOIDED)],
        {"sale": "voided 0.00 0.00"},
        "b:10",
    ),
    Told(
        "SA5: a new version cannot take from a lot voided meanwhile",
        [sale("4"), {"type": "void-lot", "lot_id": "a"}, sale("6", "600.00", version=1)],
        # 6 x 20
        {"sale": "active 600.00 120.00"},
        "b:4",
    ),
    Told(
        "SA6: a short sale voided closes its shortage; the next lot is not taken by it",
        [
            sale("24", "2400.00"),
            sale(version=1, **VOIDED),
            {"type": "receive-lot", "product_id": "desk", **CHAIRS},
        ],
        {"sale": "voided 0.00 0.00"},
        "a:10 b:10 c:10",
    ),
]


@pytest.mark.parametrize("told", UPDATES, ids=lambda told: told.name.replace(" ", "-"))
async def test_a_story_of_versions(told: Told, books: Books) -> None:
    await books.live(told)

    assert await books.unbalanced() == []


async def test_sa5_a_price_moves_no_goods(books: Books) -> None:
    await books.sync(sale("12", "1200.00"), sync="sync-1")
    before = await books.moved()

    summary = await books.sync(sale("12", "999.00", version=1), sync="sync-2")

    assert before == await books.moved() == {"sale a": "-10 in 1", "sale b": "-2 in 1"}
    assert (summary["updated"], summary["revenue"]) == (1, "999.00")
    assert await books.figures() == {"sale": "active 999.00 140.00"}
    assert books.last("sale-updated")["margin"] == "859.00"


async def test_sa6_a_void_adds_reversals_that_net_to_zero_for_each_lot(books: Books) -> None:
    await books.sync(sale("24", "2400.00"), sync="sync-1")
    await books.sync(sale(version=1, **VOIDED), sync="sync-2")

    assert await books.moved() == {
        "sale -": "-4 in 1",
        "sale a": "-10 in 1",
        "sale b": "-10 in 1",
        "sale-reversal -": "4 in 1",
        "sale-reversal a": "10 in 1",
        "sale-reversal b": "10 in 1",
    }
    assert await books.unbalanced() == []


HISTORY: dict[str, dict[str, Any]] = {
    "first": {"version": 1, "quantity": "5"},
    "second": {"version": 2, "quantity": "7"},
    "void": {"version": 3, "quantity": "0", **VOIDED},
    "tombstone": {"version": 4, "quantity": "0", **DELETED},
    "stale creation": {"version": 0, "quantity": "9"},
}
PINS = {"lot_id": "p", "quantity": "100000", "unit_cost": "2.00", "received_on": "2026-01-02"}


def _version(name: str, document: int, item: str) -> Body:
    made = dict(HISTORY[name])
    goods = line(1, item, made.pop("quantity"), "50.00")
    return transaction(f"{document:03}", goods, **made)


@pytest.mark.parametrize("unlinked", [(), ("second",), ("first", "stale creation")], ids=str)
async def test_sa6_every_order_of_arrival_ends_alike(
    books: Books, unlinked: tuple[str, ...]
) -> None:
    """A document for each of the 120 orders; some versions may have to wait for an item's link."""
    await books.goods("pin", "8", PINS)
    orders = list(permutations(HISTORY))

    for place in range(len(HISTORY)):
        arriving = [
            _version(order[place], document, "9" if order[place] in unlinked else "8")
            for document, order in enumerate(orders)
        ]
        await books.sync(*arriving, sync=f"sync-{place}")

    figures = await books.figures()
    assert set(figures.values()) == {"voided 0.00 0.00"}
    entombed = {f"{n:03}" for n, order in enumerate(orders) if order[0] == "tombstone"}
    assert not entombed & set(figures)
    assert await books.value("select count(*) from waiting_versions") == 0
    assert await books.remaining() == "a:10 b:10 p:100000"
    assert await books.unbalanced() == []

    # a newer version brings each of them to life, whatever came before
    alive = [
        transaction(f"{document:03}", line(1, "8", "3", "50.00"), version=5)
        for document in range(len(orders))
    ]
    summary = await books.sync(*alive, sync="sync-alive")

    assert summary["errors"] == []
    assert summary["created"] + summary["updated"] == len(orders)
    assert set((await books.figures()).values()) == {"active 50.00 6.00"}
    assert await books.remaining() == f"a:10 b:10 p:{100_000 - 3 * len(orders)}"


async def test_sa4_a_sale_waits_whole_and_names_every_missing_link(books: Books) -> None:
    lines = (line(1, "7", "2"), line(2, "98"), line(3, "99"), line(4, "98"))

    summary = await books.sync(transaction("sale", *lines))

    (error,) = summary["errors"]
    assert error["code"] == "item-not-linked"
    assert [error["message"].count(f"item {item})") for item in ("7", "98", "99")] == [0, 1, 1]
    assert await books.figures() == {"sale": "waiting 0.00 0.00"}
    assert await books.remaining() == "a:10 b:10"


@pytest.mark.parametrize(
    ("commands", "product_id", "says"),
    [
        (
            [{**link("7", "desk"), "type": "unlink-item"}],
            None,
            "wait until the item is linked again.",
        ),
        ([link("7", "chair")], "chair", "count as product chair."),
        ([link("7", "desk"), {**link("6", "desk"), "type": "unlink-item"}], None, None),
    ],
)
async def test_sa4_a_changed_link_says_what_it_means(
    books: Books, commands: list[Body], product_id: str | None, says: str | None
) -> None:
    await books.goods("chair", "8")

    await books.tell_inventory(*commands)

    told = [event.body for event in books.stock_events if event.type == "item-link-changed"]
    assert len(told) == (says is not None)
    if says is not None:
        assert (told[0]["previous_product_id"], told[0].get("product_id")) == ("desk", product_id)
        assert "Sales recorded so far keep it" in told[0]["message"]
        assert told[0]["message"].endswith(says)


async def test_sa4_a_new_link_counts_for_later_versions_only(books: Books) -> None:
    await books.goods("chair", "8", CHAIRS)
    await books.sync(sale("4", "400.00"), sync="sync-1")

    unlink = {**link("7", "desk"), "type": "unlink-item"}
    await books.settle(await books.tell_inventory(unlink, link("7", "chair")))
    assert await books.figures() == {"sale": "active 400.00 40.00"}

    unchanged = await books.sync(sale("4", "400.00"), sale("4", "400.00", version=1), sync="sync-2")
    assert unchanged["skipped"] == {"unchanged": 1, "irrelevant-change": 1}
    assert await books.figures() == {"sale": "active 400.00 40.00"}

    await books.sync(sale("4", "390.00", version=2), other("1"), sync="sync-3")
    # 4 x 3 and 1 x 3: the desks are back
    assert await books.figures() == {"sale": "active 390.00 12.00", "other": "active 500.00 3.00"}
    assert await books.remaining() == "c:5 a:10 b:10"
