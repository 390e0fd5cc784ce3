"""The story that the demo tells: a workshop's books are synced three times.

Every step acts through public surfaces only and returns what it saw, so that the demo can show it
and a test can assert it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from salesync.client import Client, Event

BUSINESS = "acme"
CHANNEL = "acme-quickbooks"
REALM = "9130000000000001"
REFRESH_TOKEN = "sandbox-refresh-token-1"  # noqa: S105  (the sandbox's documented one)
INITIAL_SYNC_DATE = "2026-01-01"
BOOKS = "/control/companies/default"

PRODUCTS = (
    # product id, name, type, QuickBooks item id (the sandbox's company has these items)
    ("walnut-desk", "Walnut Desk", "finished-good", "1"),
    ("oak-chair", "Oak Chair", "finished-good", "2"),
    ("assembly", "Assembly", "service", "3"),
    ("table-leg", "Table Leg", "raw-material", "4"),
)
LAMP = ("brass-lamp", "Brass Lamp", "finished-good", "5")
LOTS = (
    # product id, lot number, quantity, unit cost, received on
    ("walnut-desk", "WD-1", "20", "145.00", "2026-01-05"),
    ("walnut-desk", "WD-2", "30", "148.00", "2026-01-19"),
    ("walnut-desk", "WD-3", "25", "152.00", "2026-02-02"),
    ("oak-chair", "OC-1", "12", "38.50", "2026-01-07"),
    ("oak-chair", "OC-2", "40", "41.00", "2026-02-09"),
    ("table-leg", "TL-1", "400", "3.10", "2026-01-03"),
)
LAMP_LOT = ("brass-lamp", "BL-1", "10", "22.75", "2026-02-20")


@dataclass
class Story:
    """What happened so far, with the company `realm` of the sandbox."""

    client: Client
    realm: str = REALM
    refresh_token: str = REFRESH_TOKEN
    connection_id: str = ""
    numbers: dict[str, str] = field(default_factory=dict)

    @property
    def _books(self) -> str:
        """Where the sandbox lets the company's books be changed."""
        return f"/control/companies/{self.realm}"

    async def set_up(self) -> Event:
        """Enable tracking, add the connection and the channel; returns the accounting channel."""
        since = len(self.client.events)
        await self.client.publish({"type": "enable-sales-tracking", "business_id": BUSINESS})
        await self.client.wait_for(
            lambda e: e["type"] == "channel-changed" and e["channel_type"] == "manual",
            what="the manual channel",
            since=since,
        )
        added = await self.client.send(
            "CHANNEL_CONNECTOR",
            "POST",
            f"/businesses/{BUSINESS}/connections",
            {"realm_id": self.realm, "refresh_token": self.refresh_token},
        )
        self.connection_id = added["connection_id"]
        await self.client.publish(
            {
                "type": "connect-channel",
                "business_id": BUSINESS,
                "connection_id": self.connection_id,
                "channel_type": "accounting",
                "channel_id": CHANNEL,
                "initial_sync_date": INITIAL_SYNC_DATE,
                # Off, to show that the next sync picks up what a missing link held back.
                "settings": {"heal_on_link": False},
            }
        )
        return await self.client.wait_for(
            lambda e: e["type"] == "channel-changed" and e["channel_id"] == CHANNEL,
            what="the accounting channel",
            since=since,
        )

    async def stock(self) -> None:
        """Put products, link them to QuickBooks items, receive their lots."""
        await self._put(PRODUCTS, LOTS)

    async def _put(
        self,
        products: tuple[tuple[str, str, str, str], ...],
        lots: tuple[tuple[str, str, str, str, str], ...],
    ) -> None:
        since = len(self.client.events)
        for product_id, name, kind, item in products:
            await self.client.publish(
                {
                    "type": "put-product",
                    "business_id": BUSINESS,
                    "product_id": product_id,
                    "name": name,
                    "product_type": kind,
                },
                {
                    "type": "link-item",
                    "business_id": BUSINESS,
                    "connection_id": self.connection_id,
                    "item_external_id": item,
                    "product_id": product_id,
                },
            )
        for product_id, number, quantity, unit_cost, received_on in lots:
            await self.client.publish(
                {
                    "type": "receive-lot",
                    "business_id": BUSINESS,
                    "product_id": product_id,
                    "lot_id": number.lower(),
                    "lot_number": number,
                    "quantity": quantity,
                    "unit_cost": unit_cost,
                    "received_on": received_on,
                }
            )
        for product_id, *_ in products:
            await self.client.wait_for(
                _linked(product_id), what=f"the link of product {product_id}", since=since
            )
        for _, number, *_ in lots:
            await self.client.wait_for(_received(number), what=f"lot {number}", since=since)

    async def write_books(self) -> None:
        """Write the first sales into QuickBooks."""
        desks = await self._sell(
            "invoices", "Harbour View Hotel", "2026-03-02", _line("Walnut Desk", 50, "260.00")
        )
        dining = await self._sell(
            "invoices",
            "Northside Library",
            "2026-03-03",
            _line("Oak Chair", 4, "95.00"),
            _line("Assembly", 2, "45.00"),
            _line("Table Leg", 8, "12.00"),
        )
        cafe = await self._sell(
            "sales-receipts", "Café Zoë", "2026-03-04", _line("Oak Chair", 6, "95.00")
        )
        offer = await self._sell(
            "sales-receipts",
            "Maura O'Neill",
            "2026-03-05",
            _line("Oak Chair", 3, "99.00"),
            discount_percent=10,
        )
        early = await self._sell(
            "invoices", "Harbour View Hotel", "2025-12-15", _line("Oak Chair", 2, "90.00")
        )
        lamps = await self._sell(
            "invoices",
            "Northside Library",
            "2026-03-06",
            _line("Brass Lamp", 4, "64.00"),
            _line("Oak Chair", 1, "95.00"),
        )
        self.numbers = {
            "desks": desks,
            "dining": dining,
            "cafe": cafe,
            "offer": offer,
            "early": early,
            "lamps": lamps,
        }

    async def _sell(
        self,
        collection: str,
        customer: str,
        day: str,
        *lines: dict[str, Any],
        **more: Any,  # noqa: ANN401
    ) -> str:
        document = await self.client.send(
            "QUICKBOOKS_SANDBOX",
            "POST",
            f"{self._books}/{collection}",
            {"customer": customer, "txn_date": day, "lines": list(lines), **more},
        )
        return str(document["DocNumber"])

    async def change_books(self) -> None:
        """In QuickBooks: fewer desks, one receipt voided, one invoice deleted."""
        send = self.client.send
        await send(
            "QUICKBOOKS_SANDBOX",
            "PATCH",
            f"{self._books}/invoices/{self.numbers['desks']}",
            {"qty": 40},
        )
        await send(
            "QUICKBOOKS_SANDBOX",
            "POST",
            f"{self._books}/sales-receipts/{self.numbers['cafe']}/void",
        )
        await send(
            "QUICKBOOKS_SANDBOX", "DELETE", f"{self._books}/invoices/{self.numbers['dining']}"
        )

    async def link_lamp(self) -> None:
        """Make the link that was missing, and receive lamps."""
        await self._put((LAMP,), (LAMP_LOT,))

    async def sync(self) -> Event:
        """One sync, until its summary."""
        return await self.client.sync(BUSINESS, CHANNEL)

    async def sales(self) -> dict[str, Any]:
        """Every sale by its number."""
        path = f"/businesses/{BUSINESS}/sales"
        found = {}
        for row in await self.client.list("SALES_PROCESSOR", path):
            found[row["number"]] = await self.client.get(
                "SALES_PROCESSOR", f"{path}/{row['sale_id']}"
            )
        return found

    async def lots(self) -> dict[str, Any]:
        """Every lot by its number."""
        found = {}
        path = f"/businesses/{BUSINESS}/products"
        for product in await self.client.list("INVENTORY", path):
            lots = await self.client.list("INVENTORY", f"{path}/{product['product_id']}/lots")
            found.update({lot["lot_number"]: lot for lot in lots})
        return found

    async def verify(self) -> list[Any]:
        """The reports of every service about its invariants."""
        services = ("CHANNEL_CONNECTOR", "SALES_PROCESSOR", "INVENTORY")
        return [await self.client.get(service, "/verify") for service in services]


def _line(item: str, quantity: int, price: str) -> dict[str, Any]:
    return {"item": item, "qty": quantity, "price": price}


def _linked(product_id: str) -> Callable[[Event], bool]:
    return lambda e: (
        e["type"] == "product-changed" and e["product_id"] == product_id and bool(e["item_links"])
    )


def _received(lot_number: str) -> Callable[[Event], bool]:
    return lambda e: e["type"] == "lot-received" and e["lot_number"] == lot_number
