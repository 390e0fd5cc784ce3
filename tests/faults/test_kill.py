"""A service is killed in the middle of a sync and started again: nothing is lost, nothing twice."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from salesync.client import Client, Event
from salesync.testing import salesync

SALES = 300

MIDWAY: Mapping[str, Callable[[Event], bool]] = {
    "channel-connector": lambda e: e["type"] == "sync-started",
    "sales-processor": lambda e: e["type"] == "sale-recorded",
    "inventory": lambda e: e["type"] == "sale-costed",
}


@pytest.mark.parametrize("service", MIDWAY)
async def test_a_killed_service_goes_on_where_it_was(
    client: Client, addresses: Mapping[str, str], folder: Path, service: str
) -> None:
    business, channel = await a_business_with_sales(client)
    sync_id = str(uuid4())
    await client.publish(
        {
            "type": "sync-requested",
            "business_id": business,
            "channel_id": channel,
            "sync_id": sync_id,
        }
    )
    await client.wait_for(
        lambda e: MIDWAY[service](e) and e["business_id"] == business,
        what=f"the moment to kill {service}",
    )
    pid = int(addresses[f"{service.upper().replace('-', '_')}_PID"])
    running = psutil.Process(pid) if psutil.pid_exists(pid) else restarted(folder, service)
    os.kill(running.pid, signal.SIGKILL)
    salesync("up", "--detach", "--data", str(folder))

    summary = await client.wait_for(
        lambda e: e["type"] == "sync-completed" and e["sync_id"] == sync_id,
        what=f"the summary after {service} was killed",
    )
    assert (summary["received"], summary["created"], summary["errors"]) == (SALES, SALES, [])
    sales = await client.list("SALES_PROCESSOR", f"/businesses/{business}/sales", limit=1000)
    assert len(sales) == SALES
    assert {sale["status"] for sale in sales} == {"active"}
    recorded = Counter(
        e["sale_id"]
        for e in client.events
        if e["type"] == "sale-recorded" and e["business_id"] == business
    )
    assert set(recorded) == {sale["sale_id"] for sale in sales}
    for report in await verify(client):
        broken = [check for check in report["checks"] if check["violations"]]
        assert broken == [], report["service"]


def restarted(folder: Path, service: str) -> psutil.Process:
    """The process that took the place of one that was killed before."""
    name = f"{service.upper().replace('-', '_')}_PID="
    lines = salesync("env", "--data", str(folder)).splitlines()
    return psutil.Process(int(next(line for line in lines if line.startswith(name)).split("=")[1]))


async def verify(client: Client) -> list[Any]:
    return [
        await client.get(name, "/verify")
        for name in ("CHANNEL_CONNECTOR", "SALES_PROCESSOR", "INVENTORY")
    ]


async def a_business_with_sales(client: Client) -> tuple[str, str]:
    """A business with a company of its own in QuickBooks, sales there, products and lots here."""
    name = uuid4().hex[:12]
    realm = str(uuid4().int)[:16]
    await client.send(
        "QUICKBOOKS_SANDBOX",
        "POST",
        "/control/companies",
        {"realm": realm, "name": name, "stocked": True, "refresh_token": f"token-{name}"},
    )
    await client.send(
        "QUICKBOOKS_SANDBOX",
        "POST",
        "/control/generate",
        {
            "realm": realm,
            "count": SALES,
            "lines": 3,
            "seed": 1,
            "kinds": {"invoices": 1},
            "items": ["Walnut Desk", "Oak Chair"],
            "first_date": "2026-03-01",
            "last_date": "2026-04-30",
        },
    )
    await client.publish({"type": "enable-sales-tracking", "business_id": name})
    await client.wait_for(
        lambda e: e["type"] == "channel-changed" and e["business_id"] == name,
        what="the manual channel",
    )
    connection = await client.send(
        "CHANNEL_CONNECTOR",
        "POST",
        f"/businesses/{name}/connections",
        {"realm_id": realm, "refresh_token": f"token-{name}"},
    )
    channel = f"channel-{name}"
    commands: list[dict[str, Any]] = [
        {
            "type": "connect-channel",
            "channel_id": channel,
            "connection_id": connection["connection_id"],
            "channel_type": "accounting",
            "initial_sync_date": "2026-01-01",
        }
    ]
    for product_id, item in (("desk", "1"), ("chair", "2")):
        commands += [
            {
                "type": "put-product",
                "product_id": product_id,
                "name": product_id,
                "product_type": "finished-good",
            },
            {
                "type": "link-item",
                "connection_id": connection["connection_id"],
                "item_external_id": item,
                "product_id": product_id,
            },
            *(
                {
                    "type": "receive-lot",
                    "product_id": product_id,
                    "quantity": "2000",
                    "unit_cost": f"{20 + lot}.50",
                    "received_on": f"2026-01-{lot + 1:02d}",
                }
                for lot in range(5)
            ),
        ]
    await client.publish(*({**command, "business_id": name} for command in commands))
    await client.wait_for(
        lambda e: (
            e["type"] == "product-changed"
            and e["business_id"] == name
            and e["product_id"] == "chair"
            and bool(e["item_links"])
        ),
        what="the link of the chair",
    )
    await client.wait_for(
        lambda e: e["type"] == "channel-changed" and e["channel_id"] == channel,
        what="the channel",
    )
    return name, channel
