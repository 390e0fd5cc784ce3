"""Sales-processor and inventory on their own databases, without Kafka between them."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from decimal import Decimal

import asyncpg
import pytest

from chassis.testing import Databases, Driver, Published, databases, fresh_pool, stack
from inventory.app import MIGRATIONS as INVENTORY_MIGRATIONS
from inventory.handlers import subscriptions as inventory_subscriptions
from inventory.verify import verify
from sales_processor.app import MIGRATIONS as SALES_MIGRATIONS
from sales_processor.handlers import subscriptions as sales_subscriptions
from sales_processor.testing import BUSINESS, CONNECTION, Body, Story, channel, empty

__all__ = ["databases", "stack"]

LOTS = (
    {"lot_id": "a", "quantity": "10", "unit_cost": "10.00", "received_on": "2026-01-05"},
    {"lot_id": "b", "quantity": "10", "unit_cost": "20.00", "received_on": "2026-01-12"},
)


def link(item: str, product_id: str) -> Body:
    """A command that ties an item to a product."""
    return {
        "type": "link-item",
        "connection_id": CONNECTION,
        "item_external_id": item,
        "product_id": product_id,
    }


def money(amount: Decimal) -> str:
    """An amount with two places at least."""
    places = max(2, -int(amount.normalize().as_tuple().exponent))
    return f"{amount:.{places}f}"


@dataclass(frozen=True)
class Told:
    """A story: what is synced, step by step, and what the books say at its end.

    A step is a document, which is a sync of its own, or a command to inventory.
    """

    name: str
    steps: list[Body]
    figures: dict[str, str]
    remaining: str
    settings: dict[str, str] = field(default_factory=dict)


class Books(Story):
    """A story whose goods are costed by inventory itself."""

    def __init__(self, sales: asyncpg.Pool, stock: asyncpg.Pool) -> None:
        super().__init__(Driver(sales, sales_subscriptions(), group="sales-processor"))
        self._stock = Driver(stock, inventory_subscriptions(), group="inventory")
        self.stock_events: list[Published] = []

    async def tell_inventory(self, *commands: Body) -> list[Published]:
        """Apply commands to inventory, and what it publishes to the sales."""
        out = await self._stock.apply(
            "inventory.commands.v1", *({"business_id": BUSINESS, **body} for body in commands)
        )
        told: list[Published] = []
        products = [p.body for p in out if p.topic == "inventory.products.v1"]
        self.stock_events += [p for p in out if p.topic == "inventory.events.v1"]
        events = [p.body for p in out if p.topic == "inventory.events.v1"]
        if products:
            told += await self.products(*products)
        if events:
            told += await self.inventory(*events)
        return told

    async def settle(self, out: Iterable[Published]) -> list[Published]:
        """Ask inventory, and carry out own commands, until nothing more is published."""
        seen: list[Published] = []
        todo = list(out)
        while todo:
            seen += todo
            asked = [p.body for p in todo if p.topic == "inventory.commands.v1"]
            own = [p.body for p in todo if p.topic == "sales.commands.v1"]
            todo = await self.tell_inventory(*asked) if asked else []
            todo += await self.commands(*own) if own else []
        return seen

    async def goods(self, product_id: str, item: str, *lots: Body) -> None:
        """Put a finished good, link an item to it and receive lots."""
        await self.tell_inventory(
            {
                "type": "put-product",
                "product_id": product_id,
                "name": product_id.title(),
                "product_type": "finished-good",
            },
            link(item, product_id),
            *({"type": "receive-lot", "product_id": product_id, **lot} for lot in lots),
        )

    async def desks(self) -> None:
        """Put and link the product Desk (item 7), with a lot of 10 at 10.00 and one at 20.00."""
        await self.goods("desk", "7", *LOTS)

    async def live(self, told: Told) -> None:
        """Let a story happen, and hold the books to what it says."""
        await self.channels(channel(settings=told.settings))
        for number, step in enumerate(told.steps):
            if step["type"] == "transaction-captured":
                summary = await self.sync(step, sync=f"sync-{number}")
                assert summary["errors"] == []
            else:
                await self.settle(await self.tell_inventory(step))
        assert await self.figures() == told.figures
        assert await self.remaining() == told.remaining

    async def moved(self) -> dict[str, str]:
        """What each kind of stock transaction of sales adds up to, by lot."""
        rows = await self._stock.pool.fetch(
            "select kind, coalesce(lot_id, '-') as lot, sum(quantity) as quantity, count(*) as rows"
            " from stock_transactions where sale_id is not null group by 1, 2 order by 1, 2"
        )
        return {
            f"{row['kind']} {row['lot']}": f"{row['quantity'].normalize():f} in {row['rows']}"
            for row in rows
        }

    async def unbalanced(self) -> list[str]:
        """Voided sales whose stock transactions do not net to zero for a lot."""
        voided = [
            row["sale_id"]
            for row in await self.driver.pool.fetch(
                "select sale_id from sales where status = 'voided'"
            )
        ]
        rows = await self._stock.pool.fetch(
            "select sale_id, lot_id from stock_transactions where sale_id = any($1::text[])"
            " group by 1, 2 having sum(quantity) <> 0",
            voided,
        )
        return [f"{row['sale_id']} {row['lot_id']}" for row in rows]

    async def figures(self) -> dict[str, str]:
        """Status, revenue and cost (two places at least) of each sale, by external id."""
        rows = await self.driver.pool.fetch(
            "select external_id, status, revenue, cost from sales order by external_id"
        )
        return {
            row["external_id"]: f"{row['status']} {money(row['revenue'])} {money(row['cost'])}"
            for row in rows
        }

    async def remaining(self) -> str:
        """What remains of each lot that anything remains of, a return lot by its day."""
        rows = await self._stock.pool.fetch(
            "select lot_id, return_sale_id, received_on, quantity_remaining from lots"
            " where quantity_remaining > 0 order by product_id, sequence"
        )
        return " ".join(
            f"{row['received_on'] if row['return_sale_id'] else row['lot_id']}:"
            f"{row['quantity_remaining'].normalize():f}"
            for row in rows
        )

    async def broken(self) -> list[object]:
        """What breaks an invariant in either service."""
        report = await verify(self._stock.pool, None)
        return [
            *(check for check in report.checks if check.violations),
            *await self.violations(),
        ]


@pytest.fixture(scope="session")
async def sales_pool(databases: Databases) -> AsyncIterator[asyncpg.Pool]:
    """A pool on a database of sales that the tests empty."""
    async with fresh_pool(databases, SALES_MIGRATIONS) as pool:
        yield pool


@pytest.fixture
async def books(databases: Databases, sales_pool: asyncpg.Pool) -> AsyncIterator[Books]:
    """Fresh books of business `acme` with twenty desks; every invariant holds after the test."""
    await empty(sales_pool)
    async with fresh_pool(databases, INVENTORY_MIGRATIONS) as stock:
        told = Books(sales_pool, stock)
        await told.desks()
        yield told
        assert await told.broken() == []
