"""Revenue and cost in currencies of no, two and three decimals, worked out by hand: SA7, LO5.

Pins (item 8) come in one lot whose unit cost is finer than any currency.
"""

from typing import Any

import pytest

from sales_processor.testing import (
    BUSINESS,
    MANUAL_CHANNEL,
    Body,
    channel,
    line,
    transaction,
)

from .conftest import Books, Told

PINS = {"lot_id": "p", "quantity": "100", "unit_cost": "1234.5015", "received_on": "2026-01-02"}


def sale(amount: str, currency: str, home: str, *, quantity: str = "3", **more: Any) -> Body:  # noqa: ANN401
    return transaction(
        *("sale", line(1, "8", quantity, amount)),
        **{"currency": currency, "home_currency": home, **more},
    )


def memo(amount: str, currency: str, home: str, **more: Any) -> Body:  # noqa: ANN401
    return {**sale(amount, currency, home, **more), "external_id": "memo", "kind": "credit-memo"}


PAIRS = "a:10 b:10 p:97"
STORIES = [
    # 3 x 1234.5015 = 3703.5045
    Told(
        "yen have no decimals",
        [sale("4000", "JPY", "JPY")],
        {"sale": "active 4000.00 3704.00"},
        PAIRS,
    ),
    Told(
        "dollars have two",
        [sale("4000.00", "USD", "USD")],
        {"sale": "active 4000.00 3703.50"},
        PAIRS,
    ),
    Told(
        "dinars have three, and half is rounded up",
        [sale("4000.125", "KWD", "KWD")],
        {"sale": "active 4000.125 3703.505"},
        PAIRS,
    ),
    Told(
        "dollars into yen: 10.01 x 149.95 = 1500.9995",
        [sale("10.01", "USD", "JPY", exchange_rate="149.95")],
        {"sale": "active 1501.00 3704.00"},
        PAIRS,
    ),
    Told(
        "yen into dinars: 4001 x 0.0020505 = 8.2040505",
        [sale("4001", "JPY", "KWD", exchange_rate="0.0020505")],
        {"sale": "active 8.204 3703.505"},
        PAIRS,
    ),
    Told(
        "without a home currency a document without a rate is in it",
        [sale("4000", "JPY", "JPY", home_currency=None)],
        {"sale": "active 4000.00 3704.00"},
        PAIRS,
    ),
    Told(
        "a full return mirrors its sale to the yen",
        [sale("4001", "JPY", "JPY"), memo("4001", "JPY", "JPY")],
        {"sale": "active 4001.00 3704.00", "memo": "active -4001.00 -3704.00"},
        "a:10 b:10 p:100",
    ),
    Told(
        # 97 from the lot and 5 at its average: 102 x 1234.5015 = 125919.153
        "what is short is rounded with the rest, once",
        [
            sale("4000", "JPY", "JPY"),
            {**sale("5", "JPY", "JPY", quantity="102"), "external_id": "x"},
        ],
        {"sale": "active 4000.00 3704.00", "x": "active 5.00 125919.00"},
        "a:10 b:10",
    ),
    Told(
        "a version in another currency moves no goods, but its cost is rounded anew",
        [sale("4000", "JPY", "JPY"), sale("4000.00", "USD", "USD", version=1)],
        {"sale": "active 4000.00 3703.50"},
        PAIRS,
    ),
]


@pytest.mark.parametrize("told", STORIES, ids=lambda told: told.name.replace(" ", "-"))
async def test_lo5_money_is_rounded_once_to_the_minor_unit(told: Told, books: Books) -> None:
    await books.goods("pin", "8", PINS)

    await books.live(told)


async def test_lo5_a_sale_by_hand_is_in_the_currency_that_it_names(books: Books) -> None:
    await books.goods("pin", "8", PINS)
    manual = channel(channel_id=MANUAL_CHANNEL, channel_type="manual", connection_id=None)
    await books.channels(manual)
    goods = {"product_id": "pin", "quantity": "3", "unit_price": "1333.5"}
    command = {
        "type": "record-manual-sale",
        "business_id": BUSINESS,
        "sale_date": "2026-03-01",
        "lines": [goods, goods],
    }

    await books.settle(await books.commands(command, {**command, "currency": "JPY"}))

    plain, yen = (event.body for event in books.events if event.type == "sale-recorded")
    assert (plain["revenue"], plain["cost"], plain["margin"]) == ("8001.00", "7407.00", "594.00")
    # 4000.5 and 3703.5045, each rounded by itself
    assert (yen["revenue"], yen["cost"], yen["margin"]) == ("8002", "7408", "594")
    assert (yen["home_currency"], yen["lines"][0]["cost"]) == ("JPY", "3704")
