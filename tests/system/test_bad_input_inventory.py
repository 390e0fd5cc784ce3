"""Commands to inventory that can be read and are wrong: answered by field, nothing half-applied."""

from typing import Any
from uuid import uuid4

import pytest

from salesync.client import Client, Event

from .bad_input import INVALID, THIRTY_DECIMALS, Row, answers_to, assert_told

Body = dict[str, Any]


def product(**fields: Any) -> Body:  # noqa: ANN401
    named = {"product_id": "desk", "name": "Desk", "product_type": "finished-good"}
    return {"type": "put-product", **named, **fields}


def link(**fields: Any) -> Body:  # noqa: ANN401
    named = {"connection_id": "books", "item_external_id": "1", "product_id": "desk"}
    return {"type": "link-item", **named, **fields}


def unlink(**fields: Any) -> Body:  # noqa: ANN401
    return {"type": "unlink-item", "connection_id": "books", "item_external_id": "1", **fields}


def lot(**fields: Any) -> Body:  # noqa: ANN401
    named = {"product_id": "desk", "quantity": "10", "unit_cost": "4.00"}
    return {"type": "receive-lot", **named, "received_on": "2026-01-05", **fields}


def adjust(**fields: Any) -> Body:  # noqa: ANN401
    named = {"lot_id": "open", "quantity": "-1", "reason": "breakage"}
    return {"type": "adjust-lot", **named, **fields}


def set_cost(**fields: Any) -> Body:  # noqa: ANN401
    return {"type": "change-lot-cost", "lot_id": "open", "unit_cost": "5.00", **fields}


def void(lot_id: str) -> Body:
    return {"type": "void-lot", "lot_id": lot_id}


def line(**fields: Any) -> Body:  # noqa: ANN401
    return {"line_id": "1", "product_id": "desk", "quantity": "1", **fields}


def consume(*lines: Body, **fields: Any) -> Body:  # noqa: ANN401
    named = {"sale_id": "new", "revision": 1, "sale_date": "2026-03-01"}
    return {"type": "consume-lots", **named, "lines": list(lines) or [line()], **fields}


def recost(**fields: Any) -> Body:  # noqa: ANN401
    named = {"product_id": "desk", "from_date": "2026-01-01"}
    return {"type": "recost-product", **named, **fields}


ENDLESS = "x" * 201
THEIRS = "lot-of-another-business"

PRODUCTS = [
    Row("no such type", product(product_type="gadget"), INVALID, "product_type", "'finished-good'"),
    Row("cost -1", product(purchase_cost="-1"), INVALID, "purchase_cost", "equal to 0"),
    Row("cost 1e400", product(purchase_cost="1e400"), INVALID, "purchase_cost", "digits"),
    Row("an empty id", product(product_id=""), INVALID, "product_id", "at least 1"),
    Row("an endless id", product(product_id=ENDLESS), INVALID, "product_id", "200"),
    Row("an endless name", product(name="x" * 4_001), INVALID, "name", "4000"),
    Row("link nothing", link(product_id="none"), "unknown-product", "product_id", "put-product"),
    Row("link theirs", link(product_id="lamp"), "unknown-product", "product_id", "put-product"),
    Row("link an empty item", link(item_external_id=""), INVALID, "item_external_id", "at least 1"),
    Row(
        "unlink what is not linked",
        unlink(item_external_id="9"),
        "item-not-linked",
        "item_external_id",
        "linked to no product",
    ),
    Row(
        "unlink of no connection",
        unlink(connection_id="none"),
        "item-not-linked",
        "item_external_id",
        "connection none",
    ),
    Row(
        "unlink from another product",
        unlink(product_id="help"),
        "linked-to-another-product",
        "product_id",
        "linked to product desk",
    ),
    Row(
        "recost nothing", recost(product_id="none"), "unknown-product", "product_id", "put-product"
    ),
    Row("recost theirs", recost(product_id="lamp"), "unknown-product", "product_id", "put-product"),
    Row("recost from year 0", recost(from_date="0000-01-01"), INVALID, "from_date", "1900-01-01"),
    Row("recost from 9999", recost(from_date="9999-12-31"), INVALID, "from_date", "2200-12-31"),
    Row("recost from 1066", recost(from_date="1066-10-14"), INVALID, "from_date", "1900-01-01"),
]

LOTS = [
    Row("quantity 0", lot(quantity="0"), INVALID, "quantity", "greater than 0"),
    Row("quantity -5", lot(quantity="-5"), INVALID, "quantity", "greater than 0"),
    Row("quantity 1e400", lot(quantity="1e400"), INVALID, "quantity", "digits"),
    Row("a billion", lot(quantity="1000000000"), INVALID, "quantity", "9 digits before"),
    Row("7 places", lot(quantity="1.1234567"), INVALID, "quantity", "6 decimal places"),
    Row("30 decimals", lot(quantity=THIRTY_DECIMALS), INVALID, "quantity", "15 digits"),
    Row("cost -1", lot(unit_cost="-1"), INVALID, "unit_cost", "equal to 0"),
    Row("cost of 30 decimals", lot(unit_cost=THIRTY_DECIMALS), INVALID, "unit_cost", "18 digits"),
    Row("year 0", lot(received_on="0000-01-01"), INVALID, "received_on", "1900-01-01"),
    Row("year 9999", lot(received_on="9999-12-31"), INVALID, "received_on", "2200-12-31"),
    Row("30 February", lot(received_on="2026-02-30"), INVALID, "received_on", "day value"),
    Row("of nothing", lot(product_id="none"), "unknown-product", "product_id", "put-product"),
    Row("of theirs", lot(product_id="lamp"), "unknown-product", "product_id", "put-product"),
    Row("of a service", lot(product_id="help"), "product-not-stocked", "product_id", "service"),
    Row(
        "a number again", lot(lot_number="N-1"), "lot-number-taken", "lot_number", "another number"
    ),
    Row(
        "a number kept for others",
        lot(lot_number="20260105-1000000000000000"),
        "lot-number-reserved",
        "lot_number",
        "999999999999999",
    ),
    Row("an id again", lot(lot_id="open", quantity="9"), "lot-id-taken", "lot_id", "leave lot_id"),
    Row("an endless id", lot(lot_id=ENDLESS), INVALID, "lot_id", "200"),
    Row("adjust nothing", adjust(lot_id="none"), "unknown-lot", "lot_id", "no lot none"),
    Row("adjust theirs", adjust(lot_id=THEIRS), "unknown-lot", "lot_id", f"no lot {THEIRS}"),
    Row("adjust a voided lot", adjust(lot_id="gone"), "lot-voided", "lot_id", "as a new lot"),
    Row("adjust by 0", adjust(quantity="0"), "quantity-zero", "quantity", "a positive one adds"),
    Row(
        "adjust by 30 decimals", adjust(quantity=THIRTY_DECIMALS), INVALID, "quantity", "15 digits"
    ),
    Row("no such reason", adjust(reason="theft"), "unknown-reason", "reason", "count-correction"),
    Row("breakage of 1", adjust(quantity="1"), "wrong-sign", "quantity", "must be negative"),
    Row(
        "loss of 1",
        adjust(quantity="1", reason="loss"),
        "wrong-sign",
        "quantity",
        "`loss` takes goods away",
    ),
    Row("below zero", adjust(quantity="-9"), "below-zero", "quantity", "8 left; 9 can't"),
    Row(
        "an adjustment again",
        adjust(quantity="-2", adjustment_id="known"),
        "adjustment-id-taken",
        "adjustment_id",
        "leave adjustment_id",
    ),
    Row("cost of nothing", set_cost(lot_id="none"), "unknown-lot", "lot_id", "no lot none"),
    Row("cost of theirs", set_cost(lot_id=THEIRS), "unknown-lot", "lot_id", f"no lot {THEIRS}"),
    Row("cost of a voided lot", set_cost(lot_id="gone"), "lot-voided", "lot_id", "is voided"),
    Row("cost set to -1", set_cost(unit_cost="-1"), INVALID, "unit_cost", "equal to 0"),
    Row("cost of a trillion", set_cost(unit_cost="1e12"), INVALID, "unit_cost", "12 digits before"),
    Row("void nothing", void("none"), "unknown-lot", "lot_id", "no lot none"),
    Row("void theirs", void(THEIRS), "unknown-lot", "lot_id", f"no lot {THEIRS}"),
    Row("void twice", void("gone"), "lot-voided", "lot_id", "is voided"),
]

SALES = [
    Row(
        "10,000 lines",
        consume(*(line(line_id=str(n)) for n in range(10_000))),
        INVALID,
        "lines",
        "at most 5000",
    ),
    Row(
        "a line twice",
        consume(line(), line(quantity="2")),
        "duplicate-line",
        "lines.1.line_id",
        "an id of its own",
    ),
    Row(
        "a good line and one of nothing",
        consume(line(), line(line_id="2", product_id="none")),
        "unknown-product",
        "lines.1.product_id",
        "put-product",
    ),
    Row(
        "a good line and one of theirs",
        consume(line(), line(line_id="2", product_id="lamp")),
        "unknown-product",
        "lines.1.product_id",
        "put-product",
    ),
    Row(
        "a good line and a service",
        consume(line(), line(line_id="2", product_id="help")),
        "product-not-stocked",
        "lines.1.product_id",
        "service",
    ),
    Row("a line of 0", consume(line(quantity="0")), "quantity-zero", "lines.0.quantity", "gives"),
    Row(
        "a line of 30 decimals",
        consume(line(), line(line_id="2", quantity=THIRTY_DECIMALS)),
        INVALID,
        "lines.1.quantity",
        "15 digits",
    ),
    Row("revision 0", consume(revision=0), INVALID, "revision", "equal to 1"),
    Row("revision of 2^63", consume(revision=2**63), INVALID, "revision", str(2**62)),
    Row("no way of returning", consume(returns="burn"), INVALID, "returns", "'return-lot'"),
    Row("year 0", consume(sale_date="0000-01-01"), INVALID, "sale_date", "1900-01-01"),
    Row("year 9999", consume(sale_date="9999-12-31"), INVALID, "sale_date", "2200-12-31"),
    Row("an empty sale id", consume(sale_id=""), INVALID, "sale_id", "at least 1"),
    Row(
        "a new revision of a sale that is wrong",
        consume(line(product_id="none"), sale_id="sold", revision=2),
        "unknown-product",
        "lines.0.product_id",
        "put-product",
    ),
]


async def _stock(client: Client, ours: str, theirs: str) -> None:
    """A desk in an open and a voided lot, one sold; a service; a lamp of another business."""
    await client.publish(
        *({**body, "business_id": theirs} for body in _lamps()),
        *({**body, "business_id": ours} for body in _desks()),
    )
    for business, kind in ((theirs, "lot-received"), (ours, "lot-adjusted")):
        await client.wait_for(
            lambda e, kind=kind, business=business: (  # type: ignore[misc]
                e["type"] == kind and e.get("business_id") == business
            ),
            what=f"{kind} of {business}",
        )


def _lamps() -> list[Body]:
    return [product(product_id="lamp"), lot(product_id="lamp", lot_id=THEIRS)]


def _desks() -> list[Body]:
    return [
        product(),
        product(product_id="help", name="Help", product_type="service"),
        link(),
        lot(lot_id="gone", quantity="3"),
        void("gone"),
        lot(lot_id="open", lot_number="N-1"),
        consume(sale_id="sold"),
        adjust(adjustment_id="known"),
    ]


async def _state(client: Client, business: str) -> list[Event]:
    """All that inventory tells of a business."""
    of = f"/businesses/{business}"
    found = await client.list("INVENTORY", f"{of}/products")
    for one in list(found):
        path = f"{of}/products/{one['product_id']}"
        lots = await client.list("INVENTORY", f"{path}/lots")
        found += [await client.get("INVENTORY", f"{of}/lots/{each['lot_id']}") for each in lots]
        found += await client.list("INVENTORY", f"{path}/stock-transactions")
    return found


@pytest.mark.timeout(120)
async def test_a_wrong_command_is_rejected_by_field_and_changes_nothing(client: Client) -> None:
    ours, theirs = f"bad-{uuid4().hex}", f"others-{uuid4().hex}"
    await _stock(client, ours, theirs)
    before = [await _state(client, business) for business in (ours, theirs)]
    assert [one["stock_on_hand"] for one in before[0] if "stock_on_hand" in one] == ["8", "0"]

    rows = [*PRODUCTS, *LOTS, *SALES]
    assert_told(rows, await answers_to(client, ours, rows))

    assert [await _state(client, business) for business in (ours, theirs)] == before
    report = await client.get("INVENTORY", "/verify", business_id=ours)
    assert [check for check in report["checks"] if check["violations"]] == []


@pytest.mark.timeout(60)
async def test_a_business_that_nobody_knows_has_nothing_to_change(client: Client) -> None:
    nobody = f"nobody-{uuid4().hex}"
    rows = [
        Row("link", link(), "unknown-product", "product_id", "put-product"),
        Row("unlink", unlink(), "item-not-linked", "item_external_id", "linked to no product"),
        Row("receive", lot(), "unknown-product", "product_id", "put-product"),
        Row("adjust", adjust(), "unknown-lot", "lot_id", "no lot open"),
        Row("set the cost", set_cost(), "unknown-lot", "lot_id", "no lot open"),
        Row("void", void("open"), "unknown-lot", "lot_id", "no lot open"),
        Row("sell", consume(), "unknown-product", "lines.0.product_id", "put-product"),
        Row("recost", recost(), "unknown-product", "product_id", "put-product"),
    ]
    assert_told(rows, await answers_to(client, nobody, rows))
    assert await client.list("INVENTORY", f"/businesses/{nobody}/products") == []
