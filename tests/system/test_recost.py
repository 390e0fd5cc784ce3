"""Costing again over the running system: what people are told, and sales that arrive meanwhile."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from salesync.client import Client, Event
from salesync.testing import salesync

BUSINESS = "recost-desk"
COSTED = ("sale-recorded", "sale-recosted")
MEANWHILE = 10
pytestmark = pytest.mark.timeout(240)


def lot(number: str, quantity: str, unit_cost: str, day: str) -> dict[str, Any]:
    return {
        "type": "receive-lot",
        "business_id": BUSINESS,
        "product_id": "desk",
        "lot_number": number,
        "quantity": quantity,
        "unit_cost": unit_cost,
        "received_on": day,
    }


def sale(sale_id: str, quantity: str, day: str) -> dict[str, Any]:
    line = {"product_id": "desk", "quantity": quantity, "unit_price": "50.00"}
    return {
        "type": "record-manual-sale",
        "business_id": BUSINESS,
        "sale_id": sale_id,
        "sale_date": day,
        "lines": [line],
    }


def told(client: Client, *kinds: str) -> list[Event]:
    return [e for e in client.events if e["type"] in kinds and e.get("business_id") == BUSINESS]


async def recost(folder: Path, *options: str) -> str:
    """What the command line says of costing desks again."""
    of = ("desk", "--business", BUSINESS, "--from", "2026-01-01", "--data", str(folder))
    return await asyncio.to_thread(salesync, "recost", *of, *options)


async def test_costing_again_is_told_sale_by_sale_and_misses_none(
    client: Client, folder: Path
) -> None:
    await _sell_before_the_late_lot(client)

    tried = json.loads(await recost(folder, "--dry-run", "--json"))
    assert (tried["sales_changed"], tried["lots_changed"]) == (2, 2)
    assert (tried["cost_before"], tried["cost_after"]) == ("160.00", "110.00")
    assert told(client, "sale-recosted") == []

    said = await recost(folder)
    assert "2 sales and 2 lots changed" in said
    assert "from 160.00 to 110.00 (-50.00)." in said
    await _wait_for(client, "sale-recosted", 2)
    assert [
        (e["sale_id"], e["previous_cost"], e["cost"], e["margin"], e["reason"])
        for e in told(client, "sale-recosted")
    ] == [
        ("s1", "80.00", "40.00", "160.00", "recosted"),  # 4 x 10
        ("s2", "80.00", "70.00", "130.00", "recosted"),  # 1 x 10 + 3 x 20
    ]
    assert "Nothing changes" in await recost(folder)

    await _sell_while_costing_again(client)
    await recost(folder)
    await _check_the_calendar(client, folder)


async def _sell_before_the_late_lot(client: Client) -> None:
    """Two sales of 4 from a lot at 20.00, then a lot of 5 at 10.00 that was there before."""
    of = {"business_id": BUSINESS}
    desk = {"product_id": "desk", "name": "Desk", "product_type": "finished-good"}
    await client.publish(
        {"type": "enable-sales-tracking", **of},
        {"type": "put-product", **of, **desk},
        lot("RD-B", "10", "20.00", "2026-01-10"),
    )
    await _wait_for(client, "lot-received", 1)
    while not told(client, "sale-recorded"):
        since = len(client.events)
        await client.publish(sale("s1", "4", "2026-01-12"))
        await client.wait_for(
            lambda e: (
                e["type"] in {"sale-recorded", "command-rejected"}
                and e.get("business_id") == BUSINESS
            ),
            what="an answer to the first sale",
            since=since,
        )
    await client.publish(sale("s2", "4", "2026-01-14"))
    await _wait_for(client, "sale-recorded", 2)
    await client.publish(lot("RD-A", "5", "10.00", "2026-01-05"))
    await _wait_for(client, "lot-received", 2)


async def _sell_while_costing_again(client: Client) -> None:
    """Ten sales, five late lots of 2 at 1.00 and five times costing again, all at once."""
    again = {"business_id": BUSINESS, "product_id": "desk", "from_date": "2026-01-01"}
    sales, stock = [], []
    for number in range(MEANWHILE):
        sales.append(sale(f"m{number}", "1", "2026-02-01"))
        if number % 2:
            stock.append(lot(f"RD-{number}", "2", "1.00", "2026-01-02"))
            stock.append({"type": "recost-product", **again})
    await asyncio.gather(client.publish(*sales), client.publish(*stock))
    await _wait_for(client, "sale-recorded", 2 + MEANWHILE)
    await _wait_for(client, "product-recosted", 3 + MEANWHILE // 2)


async def _check_the_calendar(client: Client, folder: Path) -> None:
    """s1 and s2 have 8 of the late lots, the others their last 2, 5 at 10.00 and 3 at 20.00."""

    def last() -> dict[str, str]:
        return {e["sale_id"]: e["cost"] for e in told(client, *COSTED)}

    wanted = Counter({"4.00": 2, "1.00": 2, "10.00": 5, "20.00": 3})
    await client.wait_for(
        lambda _: Counter(last().values()) == wanted, what=f"costs by the calendar: {wanted}"
    )
    assert (last()["s1"], last()["s2"]) == ("4.00", "4.00")
    recorded = Counter(e["sale_id"] for e in told(client, "sale-recorded"))
    assert set(recorded.values()) == {1}
    shown = await client.list("SALES_PROCESSOR", f"/businesses/{BUSINESS}/sales")
    assert {s["sale_id"]: s["cost"] for s in shown} == last()
    desk = await client.get("INVENTORY", f"/businesses/{BUSINESS}/products/desk")
    assert desk["stock_on_hand"] == "7"  # 25 received, 18 sold
    await asyncio.to_thread(salesync, "verify", "--business", BUSINESS, "--data", str(folder))


async def _wait_for(client: Client, kind: str, count: int) -> None:
    """Until so many events of a kind were told of the business."""
    await client.wait_for(
        lambda _: len(told(client, kind)) >= count, what=f"{count} {kind} of {BUSINESS}"
    )
