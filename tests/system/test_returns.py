"""Credit memos and refund receipts, from QuickBooks to the margins, over the running system."""

from typing import Any

import pytest

from salesync.client import Client, Event

BUSINESS = "returns-desk"
CHANNEL = "returns-desk-quickbooks"
REALM = "9130000000000077"
BOOKS = f"/control/companies/{REALM}"
REFRESH_TOKEN = "returns-desk-refresh-token"
LOTS = (("RD-1", "10.00", "2026-01-05"), ("RD-2", "20.00", "2026-01-12"))
pytestmark = pytest.mark.timeout(240)


async def test_returns_lower_margins_and_follow_their_sales(client: Client) -> None:
    await _set_up(client)
    await _write(client, "invoices", "Harbour View Hotel", "2026-03-02", 15)
    receipt = await _write(client, "sales-receipts", "Café Zoë", "2026-03-03", 2)
    memo = await _write(
        client, "credit-memos", "Harbour View Hotel", "2026-03-05", 7, discount_percent=10
    )
    await _write(client, "refund-receipts", "Café Zoë", "2026-03-06", 1)

    first = await client.sync(BUSINESS, CHANNEL)

    assert (first["received"], first["created"], first["errors"]) == (4, 4, [])
    assert (first["revenue"], first["cost"], first["margin"]) == ("970.00", "100.00", "870.00")
    assert await _figures(client) == {
        "invoice": ("active", "1500.00", "200.00", "1300.00"),  # 10 x 10 + 5 x 20
        "sales-receipt": ("active", "200.00", "40.00", "160.00"),
        "credit-memo": ("active", "-630.00", "-120.00", "-510.00"),  # 5 x 20 + 2 x 10
        "refund-receipt": ("active", "-100.00", "-20.00", "-80.00"),
    }
    (margins,) = await client.list(
        "SALES_PROCESSOR", f"/businesses/{BUSINESS}/margins", group_by="product"
    )
    assert (margins["quantity"], margins["revenue"], margins["cost"]) == ("9", "970.00", "100.00")

    await client.send("QUICKBOOKS_SANDBOX", "POST", f"{BOOKS}/sales-receipts/{receipt}/void")
    await client.send("QUICKBOOKS_SANDBOX", "DELETE", f"{BOOKS}/credit-memos/{memo}")
    second = await client.sync(BUSINESS, CHANNEL)

    assert (second["created"], second["voided"], second["errors"]) == (0, 2, [])
    assert await _figures(client) == {
        "invoice": ("active", "1500.00", "200.00", "1300.00"),
        "sales-receipt": ("voided", "0", "0", "0"),
        "credit-memo": ("voided", "0", "0", "0"),
        # its sale is gone: a return lot at the average of 2 at 10 and 10 at 20
        "refund-receipt": ("active", "-100.00", "-18.33", "-81.67"),
    }

    await _configure(client, refund_receipts=False)
    await _write(client, "refund-receipts", "Café Zoë", "2026-03-07", 1)
    third = await client.sync(BUSINESS, CHANNEL)

    assert (third["created"], third["errors"]) == (0, [])
    for service in ("SALES_PROCESSOR", "INVENTORY"):
        report = await client.get(service, "/verify", business_id=BUSINESS)
        assert [check for check in report["checks"] if check["violations"]] == []


async def _set_up(client: Client) -> None:
    """A company of its own in the sandbox, a channel on it, and desks in stock."""
    company = {"realm": REALM, "stocked": True, "refresh_token": REFRESH_TOKEN}
    await client.send("QUICKBOOKS_SANDBOX", "POST", "/control/companies", company)
    await client.publish({"type": "enable-sales-tracking", "business_id": BUSINESS})
    await _wait(client, "channel-changed", channel_type="manual")
    connection = await client.send(
        "CHANNEL_CONNECTOR",
        "POST",
        f"/businesses/{BUSINESS}/connections",
        {"realm_id": REALM, "refresh_token": REFRESH_TOKEN},
    )
    named = {"business_id": BUSINESS, "connection_id": connection["connection_id"]}
    await client.publish(
        {
            "type": "connect-channel",
            **named,
            "channel_type": "accounting",
            "channel_id": CHANNEL,
            "initial_sync_date": "2026-01-01",
        }
    )
    desk = {"business_id": BUSINESS, "product_id": "desk"}
    await client.publish(
        {"type": "put-product", **desk, "name": "Desk", "product_type": "finished-good"},
        {"type": "link-item", **named, "product_id": "desk", "item_external_id": "1"},
        *(
            {
                "type": "receive-lot",
                **desk,
                "lot_number": number,
                "quantity": "10",
                "unit_cost": unit_cost,
                "received_on": day,
            }
            for number, unit_cost, day in LOTS
        ),
    )
    await _wait(client, "channel-changed", channel_id=CHANNEL)
    await _wait(client, "product-changed", version=2)
    for number, *_ in LOTS:
        await _wait(client, "lot-received", lot_number=number)


async def _wait(client: Client, kind: str, since: int = 0, **said: object) -> Event:
    wanted = {"type": kind, "business_id": BUSINESS, **said}
    return await client.wait_for(
        lambda event: wanted.items() <= {name: event.get(name) for name in wanted}.items(),
        what=str(wanted),
        since=since,
    )


async def _write(
    client: Client,
    collection: str,
    customer: str,
    day: str,
    quantity: int,
    **more: Any,  # noqa: ANN401
) -> str:
    line = {"item": "Walnut Desk", "qty": quantity, "price": "100.00"}
    document = await client.send(
        "QUICKBOOKS_SANDBOX",
        "POST",
        f"{BOOKS}/{collection}",
        {"customer": customer, "txn_date": day, "lines": [line], **more},
    )
    return str(document["DocNumber"])


async def _configure(client: Client, **settings: object) -> None:
    since = len(client.events)
    command = {"business_id": BUSINESS, "channel_id": CHANNEL, "settings": settings}
    await client.publish({"type": "configure-channel", **command})
    await _wait(client, "channel-changed", since, channel_id=CHANNEL)


async def _figures(client: Client) -> dict[str, tuple[str, ...]]:
    """Status, revenue, cost and margin of each sale, by its kind."""
    sales = await client.list("SALES_PROCESSOR", f"/businesses/{BUSINESS}/sales")
    return {
        sale["kind"]: (sale["status"], sale["revenue"], sale["cost"], sale["margin"])
        for sale in sales
    }
