"""Commands about sales that can be read and are wrong: answered by field, nothing half-applied.

The rows go out together, good commands among them, so that each is answered on the same partition
that the good ones are applied on.
"""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from salesync.client import Client, Event

from .bad_input import INVALID, THIRTY_DECIMALS, Row, answers_to, assert_told

MONEY_LIMIT = "10,000,000,000,000"
LINES_MAX = "1000"


def line(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"product_id": "desk", "quantity": "1", "unit_price": "10.00", **fields}


def sale(*lines: dict[str, Any], **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "type": "record-manual-sale",
        "sale_date": "2026-03-01",
        "lines": list(lines) or [line()],
        **fields,
    }


def void(sale_id: str) -> dict[str, Any]:
    return {"type": "void-manual-sale", "sale_id": sale_id}


def retry(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"type": "retry-failed-sales", **fields}


def wrong(number: int, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """A sale whose good lines stand before the wrong one."""
    return sale(*(line() for _ in range(number)), line(**fields))


QUANTITY, PRICE = "lines.0.quantity", "lines.0.unit_price"

ROWS = [
    Row("no lines", {**sale(), "lines": []}, INVALID, "lines", "at least 1"),
    Row("10,000 lines", sale(*[line()] * 10_000), INVALID, "lines", LINES_MAX),
    Row("quantity 0", sale(line(quantity="0")), INVALID, QUANTITY, "greater than 0"),
    Row("quantity -1", sale(line(quantity="-1")), INVALID, QUANTITY, "greater than 0"),
    Row("quantity 1e400", sale(line(quantity="1e400")), INVALID, QUANTITY, "digits"),
    Row("quantity of a billion", sale(line(quantity="1e9")), INVALID, QUANTITY, "digits"),
    Row("30 decimals", sale(line(quantity=THIRTY_DECIMALS)), INVALID, QUANTITY, "15 digits"),
    Row("negative price", sale(line(unit_price="-0.01")), INVALID, PRICE, "equal to 0"),
    Row(
        "price of 30 decimals", sale(line(unit_price=THIRTY_DECIMALS)), INVALID, PRICE, "18 digits"
    ),
    Row("price 1e400", sale(line(unit_price="1e400")), INVALID, PRICE, "digits"),
    Row(
        "a line beyond all money",
        sale(line(quantity="999999999", unit_price="99999999999")),
        INVALID,
        PRICE,
        MONEY_LIMIT,
    ),
    Row(
        "a sale beyond all money",
        sale(*[line(quantity="100", unit_price="99999999999")] * 2),
        INVALID,
        "lines",
        MONEY_LIMIT,
    ),
    Row("the third line is wrong", wrong(2, quantity="0"), INVALID, "lines.2.quantity", "than 0"),
    Row("year 0", sale(sale_date="0000-01-01"), INVALID, "sale_date", "date"),
    Row("year 9999", sale(sale_date="9999-12-31"), INVALID, "sale_date", "2200-12-31"),
    Row("30 February", sale(sale_date="2026-02-30"), INVALID, "sale_date", "date"),
    Row("an empty id", sale(sale_id=""), INVALID, "sale_id", "at least 1"),
    Row("an endless id", sale(sale_id="x" * 201), INVALID, "sale_id", "200"),
    Row("endless notes", sale(notes="x" * 4_001), INVALID, "notes", "4000"),
    Row(
        "an unknown product",
        wrong(1, product_id="none"),
        "unknown-product",
        "lines.1.product_id",
        "put-product",
    ),
    Row(
        "another business's product",
        sale(line(product_id="lamp")),
        "unknown-product",
        "lines.0.product_id",
        "put-product",
    ),
    Row(
        "no finished good",
        sale(line(product_id="leg")),
        "not-a-finished-good",
        "lines.0.product_id",
        "only finished goods",
    ),
    Row(
        "the id of another sale",
        sale(line(quantity="2"), sale_id="sold"),
        "sale-id-taken",
        "sale_id",
        "take a new one",
    ),
    Row("voiding what is not there", void("none"), "unknown-sale", "sale_id", "No sale none"),
    Row("voiding another business's", void("theirs"), "unknown-sale", "sale_id", "No sale theirs"),
    Row("voiding twice", void("gone"), "already-voided", "sale_id", "voided already"),
    Row(
        "retrying an unknown channel",
        retry(channel_id="none"),
        "unknown-channel",
        "channel_id",
        "leave channel_id out",
    ),
    Row(
        "retrying another business's channel",
        retry(channel_id="{their channel}"),
        "unknown-channel",
        "channel_id",
        "leave channel_id out",
    ),
    Row("retrying for no run", retry(sync_id="none"), "unknown-sync", "sync_id", "no sync none"),
]

UNKNOWN_BUSINESS = [
    Row("an unknown business", sale(), "no-manual-channel", "business_id", "enable-sales-tracking"),
    Row("retrying for it", retry(), "unknown-business", "business_id", "enable-sales-tracking"),
    Row("voiding for it", void("sold"), "unknown-sale", "sale_id", "No sale sold"),
]


async def _wait(client: Client, kind: str, **fields: str) -> Event:
    return await client.wait_for(
        lambda e: e["type"] == kind and all(e.get(n) == v for n, v in fields.items()),
        what=f"{kind} with {fields}",
    )


async def _open_shop(client: Client, business: str, *products: tuple[str, str]) -> str:
    """Make a business that can sell by hand; returns its manual channel."""
    of = {"business_id": business}
    await client.publish(
        {"type": "enable-sales-tracking", **of},
        *(
            {"type": "put-product", **of, "product_id": p, "name": p, "product_type": kind}
            for p, kind in products
        ),
        {
            "type": "receive-lot",
            **of,
            "product_id": products[0][0],
            "lot_id": f"{business}-lot",
            "quantity": "10",
            "unit_cost": "4.00",
            "received_on": "2026-01-05",
        },
    )
    channel = await _wait(client, "channel-changed", **of)
    await _wait(client, "lot-received", **of)
    return str(channel["channel_id"])


async def _first_sale(client: Client, business: str, body: dict[str, Any]) -> None:
    """Record a sale as soon as the processor has heard of channel and product."""
    while True:
        since = len(client.events)
        await client.publish({**body, "business_id": business})
        answer = await client.wait_for(
            lambda e: (
                e["type"] in {"sale-recorded", "command-rejected"} and e["business_id"] == business
            ),
            what=f"the first sale of {business}",
            since=since,
        )
        if answer["type"] == "sale-recorded":
            return
        assert answer["reason"] in {"no-manual-channel", "unknown-product"}


@pytest.mark.timeout(120)
async def test_a_wrong_command_is_rejected_by_field_and_changes_nothing(client: Client) -> None:
    ours, theirs = f"bad-{uuid4().hex}", f"others-{uuid4().hex}"
    await _open_shop(client, ours, ("desk", "finished-good"), ("leg", "raw-material"))
    their_channel = await _open_shop(client, theirs, ("lamp", "finished-good"))
    await _first_sale(client, theirs, sale(line(product_id="lamp"), sale_id="theirs"))
    await _first_sale(client, ours, sale(sale_id="gone"))
    # a product twice in one sale is two lines; a price of 0 is a sale at no revenue
    good = sale(line(quantity="2", unit_price="0"), line(quantity="2"), sale_id="sold")
    await client.publish({**void("gone"), "business_id": ours}, {**good, "business_id": ours})
    await _wait(client, "sale-recorded", business_id=ours, sale_id="sold")

    told = json.dumps(ROWS).replace("{their channel}", their_channel)
    rows = [Row(*row) for row in json.loads(told)]
    assert_told(rows, await answers_to(client, ours, rows))
    nobody = f"nobody-{uuid4().hex}"
    assert_told(UNKNOWN_BUSINESS, await answers_to(client, nobody, UNKNOWN_BUSINESS))

    sold = {s["sale_id"]: s for s in await client.list("SALES_PROCESSOR", _sales_of(ours))}
    assert {name: (s["status"], s["revenue"], s["cost"]) for name, s in sold.items()} == {
        "sold": ("active", "20.00", "16.00"),
        "gone": ("voided", "0", "0"),
    }
    assert [one["cost"] for one in sold["sold"]["lines"]] == ["8.00", "8.00"]
    desk = await client.get("INVENTORY", f"/businesses/{ours}/products/desk")
    assert desk["stock_on_hand"] == "6"
    theirs_now = await client.list("SALES_PROCESSOR", _sales_of(theirs))
    assert [(s["sale_id"], s["status"]) for s in theirs_now] == [("theirs", "active")]
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        await client.get("INVENTORY", f"/businesses/{ours}/lots/{theirs}-lot")


def _sales_of(business: str) -> str:
    return f"/businesses/{business}/sales"
