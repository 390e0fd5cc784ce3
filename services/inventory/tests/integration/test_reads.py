"""The HTTP reads of inventory: what a sale did to stock."""

from typing import Any

import httpx
from fastapi import FastAPI

from chassis.testing import Driver
from inventory.reads import router

SEEDS: tuple[dict[str, Any], ...] = (
    {
        "type": "put-product",
        "business_id": "acme",
        "product_id": "desk",
        "name": "Desk",
        "product_type": "finished-good",
    },
    *(
        {
            "type": "receive-lot",
            "business_id": "acme",
            "product_id": "desk",
            "lot_id": lot_id,
            "lot_number": lot_id.upper(),
            "quantity": "4",
            "unit_cost": "10.00",
            "received_on": day,
        }
        for lot_id, day in (("a", "2026-01-05"), ("b", "2026-01-06"))
    ),
)


def _sale(sale_id: str, quantity: str, revision: int = 1) -> dict[str, Any]:
    return {
        "type": "consume-lots",
        "business_id": "acme",
        "sale_id": sale_id,
        "revision": revision,
        "sale_date": "2026-03-01",
        "lines": [{"line_id": "1", "product_id": "desk", "quantity": quantity}],
    }


async def test_every_change_of_stock_that_a_sale_made_is_listed(inventory: Driver) -> None:
    commands = (*SEEDS, _sale("s", "6"), _sale("other", "1"), _sale("s", "1", revision=2))
    for command in commands:
        await inventory.apply("inventory.commands.v1", command)
    api = FastAPI()
    api.include_router(router(inventory.pool))
    transport = httpx.ASGITransport(app=api)
    items: list[dict[str, Any]] = []
    async with httpx.AsyncClient(transport=transport, base_url="http://inventory") as http:
        cursor: str | None = None
        while not items or cursor is not None:
            query = {"sale_id": "s", "limit": "2"} | ({} if cursor is None else {"cursor": cursor})
            answer = await http.get("/businesses/acme/stock-transactions", params=query)
            assert answer.status_code == 200, answer.text
            items += answer.json()["items"]
            cursor = answer.json()["next_cursor"]
        elsewhere = await http.get("/businesses/bolt/stock-transactions?sale_id=s")
        unnamed = await http.get("/businesses/acme/stock-transactions")

    assert [
        (i["revision"], i["kind"], i["lot_number"], i["received_on"], i["quantity"]) for i in items
    ] == [
        (1, "sale", "A", "2026-01-05", "-4"),
        (1, "sale", "B", "2026-01-06", "-2"),
        (2, "sale-reversal", "A", "2026-01-05", "4"),
        (2, "sale-reversal", "B", "2026-01-06", "2"),
        (2, "sale", "A", "2026-01-05", "-1"),
    ]
    assert elsewhere.json() == {"items": [], "next_cursor": None}
    assert unnamed.status_code == 422
