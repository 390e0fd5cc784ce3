"""Returns through sales and inventory, each number worked out by hand: rules SA7, SA8, SA9.

There are 10 desks at 10.00 (lot a) and 10 at 20.00 (lot b), so the average is 15.00 at first. Each
step of a story is a sync of its own. Figures are status, revenue and cost; what remains is told by
lot, of return lots by their day.
"""

from typing import Any

import pytest

from sales_processor.testing import Body, channel, line, transaction

from .conftest import Books, Told

MARCH_5, MARCH_9 = "2026-03-05", "2026-03-09"


def sale(quantity: str = "5", amount: str = "500.00", **fields: Any) -> Body:  # noqa: ANN401
    return transaction("sale", line(1, "7", quantity, amount), **fields)


def memo(
    quantity: str | None = "5",
    amount: str = "500.00",
    *,
    discount: str = "0",
    **fields: Any,  # noqa: ANN401
) -> Body:
    made = line(1, "7", quantity, amount, discount=discount)
    return transaction(
        "memo", made, **{"kind": "credit-memo", "transaction_date": MARCH_5, **fields}
    )


EURO = {"currency": "EUR", "home_currency": "USD", "exchange_rate": "1.1"}

STORIES = [
    Told(
        "a full return mirrors its sale",
        [sale("15", "1500.00"), memo("15", "1500.00")],
        # 10 x 10 + 5 x 20
        {"sale": "active 1500.00 200.00", "memo": "active -1500.00 -200.00"},
        "a:10 b:10",
    ),
    Told(
        "a refund receipt is a return too",
        [sale("15", "1500.00", kind="sales-receipt"), memo("1", "100.00", kind="refund-receipt")],
        {"sale": "active 1500.00 200.00", "memo": "active -100.00 -20.00"},
        "b:6",
    ),
    Told(
        "a part of a sale comes back, what was taken last first",
        [sale("15", "1500.00"), memo("7", "700.00")],
        # 5 x 20 + 2 x 10
        {"sale": "active 1500.00 200.00", "memo": "active -700.00 -120.00"},
        "a:2 b:10",
    ),
    Told(
        "more than was sold makes a return lot at the average before the return",
        [sale("4", "400.00"), memo("6", "600.00")],
        # 4 x 10 + 2 x 16.25; the average of 6 at 10 and 10 at 20
        {"sale": "active 400.00 40.00", "memo": "active -600.00 -72.50"},
        f"a:10 b:10 {MARCH_5}:2",
    ),
    Told(
        "what is still short comes back first, at its average",
        [sale("25", "2500.00"), memo("7", "700.00")],
        # sold: 10 x 10 + 10 x 20 + 5 x 15; back: 5 x 15 + 2 x 20
        {"sale": "active 2500.00 375.00", "memo": "active -700.00 -115.00"},
        "b:2",
    ),
    Told(
        "no-restock: the goods stay out and cost nothing",
        [sale(), memo()],
        {"sale": "active 500.00 50.00", "memo": "active -500.00 0.00"},
        "a:5 b:10",
        {"returns": "no-restock"},
    ),
    Told(
        "return-lot: never back to what was sold",
        [sale(), memo()],
        # 5 x 16.666667; the average of 5 at 10 and 10 at 20
        {"sale": "active 500.00 50.00", "memo": "active -500.00 -83.33"},
        f"a:5 b:10 {MARCH_5}:5",
        {"returns": "return-lot"},
    ),
    Told(
        "a memo before its sale stays a return lot",
        [memo("2", "200.00"), sale("3", "300.00")],
        {"memo": "active -200.00 -30.00", "sale": "active 300.00 30.00"},
        f"a:7 b:10 {MARCH_5}:2",
    ),
    Told(
        "a sale of another customer is no source",
        [sale(customer={"external_id": "c-2", "name": "Two"}), memo("2", "200.00")],
        # 2 x 16.666667
        {"sale": "active 500.00 50.00", "memo": "active -200.00 -33.33"},
        f"a:5 b:10 {MARCH_5}:2",
    ),
    Told(
        "a sale voided after its memo: the memo's goods are a return lot",
        [sale(), memo("2", "200.00"), sale(version=1, status="voided")],
        {"sale": "voided 0.00 0.00", "memo": "active -200.00 -30.00"},
        f"a:10 b:10 {MARCH_5}:2",
    ),
    Told(
        "a memo that becomes smaller",
        [sale("15", "1500.00"), memo("7", "700.00"), memo("2", "150.00", version=1)],
        {"sale": "active 1500.00 200.00", "memo": "active -150.00 -40.00"},
        "b:7",
    ),
    Told(
        "a memo that changes its price only",
        [sale("15", "1500.00"), memo("7", "700.00"), memo("7", "650.00", version=1)],
        {"sale": "active 1500.00 200.00", "memo": "active -650.00 -120.00"},
        "a:2 b:10",
    ),
    Told(
        "a voided memo takes its goods out again",
        [sale("15", "1500.00"), memo("7", "700.00"), memo(version=1, status="voided")],
        {"sale": "active 1500.00 200.00", "memo": "voided 0.00 0.00"},
        "b:5",
    ),
    Told(
        "so does a deleted one, and life brings them back",
        [
            sale("15", "1500.00"),
            memo("7", "700.00"),
            memo(version=1, status="deleted"),
            memo("1", "100.00", version=2),
        ],
        {"sale": "active 1500.00 200.00", "memo": "active -100.00 -20.00"},
        "b:6",
    ),
    Told(
        "an older version of a memo changes nothing",
        [sale("15", "1500.00"), memo("7", "700.00", version=3), memo("1", "100.00", version=2)],
        {"sale": "active 1500.00 200.00", "memo": "active -700.00 -120.00"},
        "a:2 b:10",
    ),
    Told(
        "a foreign memo is rounded like its sale, half up of the magnitude",
        [sale("1", "100.05", **EURO), memo("1", "100.05", **EURO)],
        # 110.055
        {"sale": "active 110.06 10.00", "memo": "active -110.06 -10.00"},
        "a:10 b:10",
    ),
    Told(
        "a discount on a memo lowers what is given back",
        [sale(), memo("5", "500.00", discount="50.00")],
        {"sale": "active 500.00 50.00", "memo": "active -450.00 -50.00"},
        "a:10 b:10",
    ),
    Told(
        "without a quantity a memo is money only",
        [sale(), memo(None, "30.00")],
        {"sale": "active 500.00 50.00", "memo": "active -30.00 0.00"},
        "a:5 b:10",
    ),
    Told(
        "a negative line of an invoice is a return in disguise",
        [
            sale("10", "1000.00"),
            transaction(
                *("swap", line(1, "7", "5", "500.00"), line(2, "7", "-2", "-200.00")),
                transaction_date=MARCH_9,
            ),
        ],
        # back: 2 x 10; then taken: 2 x 10 + 3 x 20
        {"sale": "active 1000.00 100.00", "swap": "active 300.00 60.00"},
        "b:7",
    ),
    Told(
        "the setting rules these lines too",
        [sale("10", "1000.00"), transaction("swap", line(1, "7", "-2", "-200.00"))],
        {"sale": "active 1000.00 100.00", "swap": "active -200.00 0.00"},
        "b:10",
        {"returns": "no-restock"},
    ),
]


@pytest.mark.parametrize("told", STORIES, ids=lambda told: told.name.replace(" ", "-"))
async def test_a_story_of_returns(told: Told, books: Books) -> None:
    await books.live(told)


async def test_a_full_return_has_the_margin_percent_of_its_sale(books: Books) -> None:
    await books.sync(sale("15", "1500.00"), memo("15", "1500.00"))

    sold, back = (event.body for event in books.events if event.type == "sale-recorded")

    assert (sold["margin"], sold["margin_percent"]) == ("1300.00", "86.67")
    assert (back["margin"], back["margin_percent"]) == ("-1300.00", "86.67")
    assert books.last("sync-completed")["margin"] == "0.00"


async def test_a_line_says_where_its_goods_went(books: Books) -> None:
    await books.sync(sale("4", "400.00"), memo("6", "600.00"))

    (sold, back) = (event.body for event in books.events if event.type == "sale-recorded")

    (made,) = back["lines"]
    assert (made["quantity"], made["amount"], made["revenue"]) == ("-6", "600.00", "-600.00")
    assert (made["allocations"][0]["lot_id"], made["allocations"][0]["quantity"]) == ("a", "-4")
    assert [g.get("source_sale_id") for g in made["returned"]] == [sold["sale_id"], None]
    assert [g["quantity"] for g in made["returned"]] == ["4", "2"]


async def test_a_memo_is_told_when_its_sale_is_voided(books: Books) -> None:
    await books.sync(sale(), memo("2", "200.00"))

    await books.sync(sale(version=1, status="voided"), sync="sync-2")

    moved = books.last("sale-recosted")
    assert (moved["kind"], moved["reason"]) == ("credit-memo", "return-moved")
    assert (moved["cost"], moved["previous_cost"]) == ("-30.00", "-20.00")


async def test_a_sale_is_told_when_its_shortage_came_back(books: Books) -> None:
    await books.sync(sale("22", "2200.00"), sync="sync-1")
    assert books.last("sale-recorded")["short"] is True

    await books.sync(memo("2", "200.00"), sync="sync-2")

    moved = books.last("sale-recosted")
    assert (moved["kind"], moved["reason"], moved["short"]) == ("invoice", "return-moved", False)
    assert (moved["cost"], moved["previous_cost"]) == ("330.00", "330.00")
    assert moved["lines"][0]["shortage"]["returned"] == "2"


async def test_a_changed_setting_counts_from_the_next_version_on(books: Books) -> None:
    await books.sync(sale(), memo())
    changed = channel(settings={"returns": "no-restock"}, changed_at="2026-03-02T00:00:00Z")
    await books.channels(changed)
    assert await books.remaining() == "a:10 b:10"

    await books.sync(memo("5", "490.00", version=1), sync="sync-2")

    assert (await books.figures())["memo"] == "active -490.00 0.00"
    assert books.last("sale-updated")["lines"][0]["flags"] == ["no-restock"]
    assert await books.remaining() == "a:5 b:10"
