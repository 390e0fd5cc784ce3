"""Drives the sales-processor in tests: short messages, and an inventory that answers at once.

`Shelf` stands for inventory where a test is about sales: every product costs a fixed amount per
unit and comes from one lot. What inventory really does is tested there.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any

import asyncpg

from chassis.testing import Driver, Published
from sales_processor.handlers import subscriptions
from sales_processor.verify import verify

BUSINESS = "acme"
CHANNEL = "channel-1"
CONNECTION = "connection-1"
MANUAL_CHANNEL = "manual-1"
INSTANT = "2026-03-01T10:00:00+00:00"

Body = dict[str, Any]


def product(product_id: str, *items: str, version: int = 1, **fields: Any) -> Body:  # noqa: ANN401
    """A product-changed message; `items` are linked to it."""
    return {
        "type": "product-changed",
        "business_id": BUSINESS,
        "product_id": product_id,
        "name": product_id.replace("-", " ").title(),
        "product_type": "finished-good",
        "item_links": [{"connection_id": CONNECTION, "item_external_id": item} for item in items],
        "version": version,
        "changed_at": INSTANT,
        **fields,
    }


def channel(**fields: Any) -> Body:  # noqa: ANN401
    """A channel-changed message."""
    return {
        "type": "channel-changed",
        "business_id": BUSINESS,
        "channel_id": CHANNEL,
        "channel_type": "accounting",
        "status": "active",
        "connection_id": CONNECTION,
        "settings": {},
        "changed_at": INSTANT,
        **fields,
    }


def line(
    number: int,
    item: str | None,
    quantity: str | None = "1",
    amount: str = "100.00",
    *,
    kind: str | None = "inventory",
    **fields: Any,  # noqa: ANN401
) -> Body:
    """A line of a captured transaction."""
    made: Body = {"line_number": number, "amount": amount, **fields}
    if item is not None:
        made["item"] = {"external_id": item, "name": f"Item {item}", "kind": kind}
    if quantity is not None:
        made["quantity"] = quantity
    return made


def transaction(
    external_id: str,
    *lines: Body,
    version: int = 0,
    sync: str = "sync-1",
    **fields: Any,  # noqa: ANN401
) -> Body:
    """A transaction-captured message; its content hash follows from its content."""
    content: Body = {
        "type": "transaction-captured",
        "business_id": BUSINESS,
        "channel_id": CHANNEL,
        "connection_id": CONNECTION,
        "sync_id": sync,
        "sequence": 0,
        "kind": "invoice",
        "external_id": external_id,
        "version": version,
        "status": "active",
        "number": f"N-{external_id}",
        "customer": {"external_id": "c-1", "name": "Customer One"},
        "transaction_date": "2026-03-01",
        "currency": "USD",
        "home_currency": "USD",
        "lines": list(lines),
        "source_updated_at": INSTANT,
        **fields,
    }
    content.setdefault(
        "content_hash",
        sha256(
            f"{content['transaction_date']} {content['customer']} {content['lines']}".encode()
        ).hexdigest(),
    )
    return content


def numbered(*transactions: Body) -> list[Body]:
    """Transactions of a run with their place in it."""
    return [{**t, "sequence": sequence} for sequence, t in enumerate(transactions)]


def published(count: int, sync: str = "sync-1", **fields: Any) -> Body:  # noqa: ANN401
    """A transactions-published message."""
    return {
        "type": "transactions-published",
        "business_id": BUSINESS,
        "channel_id": CHANNEL,
        "sync_id": sync,
        "started_at": INSTANT,
        "published": count,
        **fields,
    }


class Shelf:
    """Answers consume-lots: each unit costs what its product costs, from one lot."""

    def __init__(self, unit_costs: dict[str, str]) -> None:
        self._unit_costs = unit_costs
        self._answers: dict[str, Body] = {}

    def answer(self, command: Body) -> Body:
        """The sale-costed for a command; an older revision gets the stored answer."""
        stored = self._answers.get(command["sale_id"])
        if stored is not None and stored["revision"] >= command["revision"]:
            return stored
        lines = [self._line(line) for line in command.get("lines", [])]
        answer = {
            "type": "sale-costed",
            "business_id": command["business_id"],
            "sale_id": command["sale_id"],
            "revision": command["revision"],
            "lines": lines,
            "cost": str(sum((Decimal(line["cost"]) for line in lines), Decimal(0))),
        }
        self._answers[command["sale_id"]] = answer
        return answer

    def _line(self, line: Body) -> Body:
        unit_cost = self._unit_costs.get(line["product_id"], "10.00")
        cost = (Decimal(line["quantity"]) * Decimal(unit_cost)).quantize(Decimal("0.01"))
        allocation = {
            "lot_id": f"lot-{line['product_id']}",
            "lot_number": f"L-{line['product_id']}",
            "quantity": line["quantity"],
            "unit_cost": unit_cost,
        }
        answer = {**line, "cost": str(cost), "allocations": [allocation]}
        if Decimal(line["quantity"]) < 0:
            answer["returned"] = [
                {
                    "lot_id": allocation["lot_id"],
                    "quantity": str(-Decimal(line["quantity"])),
                    "unit_cost": unit_cost,
                }
            ]
        return answer


class Story:
    """Applies messages to the sales-processor and keeps all that it published."""

    def __init__(self, driver: Driver, unit_costs: dict[str, str] | None = None) -> None:
        self.driver = driver
        self.shelf = Shelf(unit_costs or {})
        self.events: list[Published] = []
        self.asked: list[Published] = []

    async def tell(self, topic: str, *bodies: Body) -> list[Published]:
        """Apply messages as one batch; returns what was published."""
        out = await self.driver.apply(topic, *bodies)
        self.events += [p for p in out if p.topic == "sales.events.v1"]
        self.asked += [p for p in out if p.topic == "inventory.commands.v1"]
        return out

    async def products(self, *bodies: Body) -> list[Published]:
        """Apply product-changed messages."""
        return await self.tell("inventory.products.v1", *bodies)

    async def channels(self, *bodies: Body) -> list[Published]:
        """Apply channel events."""
        return await self.tell("channels.events.v1", *bodies)

    async def transactions(self, *bodies: Body) -> list[Published]:
        """Apply captured transactions."""
        return await self.tell("channels.transactions.v1", *bodies)

    async def commands(self, *bodies: Body) -> list[Published]:
        """Apply commands."""
        return await self.tell("sales.commands.v1", *bodies)

    async def inventory(self, *bodies: Body) -> list[Published]:
        """Apply inventory events."""
        return await self.tell("inventory.events.v1", *bodies)

    async def settle(self, out: Iterable[Published]) -> list[Published]:
        """Answer questions and carry out own commands until nothing more is published."""
        seen: list[Published] = []
        todo: Sequence[Published] = list(out)
        while todo:
            seen += todo
            answers = [
                self.shelf.answer(p.body) for p in todo if p.topic == "inventory.commands.v1"
            ]
            own = [p.body for p in todo if p.topic == "sales.commands.v1"]
            more: list[Published] = []
            if answers:
                more += await self.inventory(*answers)
            if own:
                more += await self.commands(*own)
            todo = more
        return seen

    async def sync(
        self,
        *transactions: Body,
        sync: str = "sync-1",
        **fields: Any,  # noqa: ANN401
    ) -> Body:
        """A whole run; returns its summary."""
        told = numbered(*({**t, "sync_id": sync} for t in transactions))
        out = await self.transactions(*told) if told else []
        out += await self.channels(published(len(told), sync, **fields))
        summaries = [p.body for p in await self.settle(out) if p.type == "sync-completed"]
        if len(summaries) != 1:
            raise AssertionError(f"{len(summaries)} summaries of {sync}")
        return summaries[0]

    def last(self, kind: str) -> Body:
        """The body of the newest event of a type."""
        return [p.body for p in self.events if p.type == kind][-1]

    def types(self) -> list[str]:
        """The types of all events so far."""
        return [p.type for p in self.events]

    async def value(self, sql: str, *arguments: object) -> Any:  # noqa: ANN401
        """What stands in the database."""
        return await self.driver.pool.fetchval(sql, *arguments)

    async def violations(self) -> list[Any]:
        """What breaks an invariant."""
        report = await verify(self.driver.pool, None)
        return [check for check in report.checks if check.violations]

    async def row(self, sql: str, *arguments: object) -> tuple[Any, ...]:
        """A row of the database."""
        (row,) = await self.driver.pool.fetch(sql, *arguments)
        return tuple(row)

    async def dump(self) -> dict[str, list[str]]:
        """What all tables say, but for instants of recording, transaction ids and offsets."""
        tables = {
            "sales": "to_jsonb(t) - '{recorded_at,voided_at,moved_in}'::text[]",
            "sale_lines": "to_jsonb(t)",
            "waiting_versions": "to_jsonb(t) - 'tried_by'",
            "missing_items": "to_jsonb(t)",
            "tombstones": "to_jsonb(t)",
            "sync_runs": "to_jsonb(t) - 'completed_at' #- '{summary,completed_at}'",
            "sync_entries": "to_jsonb(t)",
        }
        return {
            name: sorted(
                row["line"]
                for row in await self.driver.pool.fetch(
                    f"select ({columns})::text as line from {name} as t"  # noqa: S608  (ours)
                )
            )
            for name, columns in tables.items()
        }


def new_story(pool: asyncpg.Pool) -> Story:
    """A story on a database."""
    return Story(Driver(pool, subscriptions(), group="sales-processor"))


TABLES = (
    *(
        "missing_items",
        "waiting_versions",
        "sale_lines",
        "sale_revisions",
        "sales",
        "tombstones",
        "item_links",
    ),
    *("products", "channels", "sync_entries", "sync_runs", "outbox", "consumer_offsets"),
    "journal_positions",
)


async def empty(pool: asyncpg.Pool) -> None:
    """Empty all tables; for a few rows this takes a fraction of what `truncate` does."""
    await pool.execute("; ".join(f"delete from {table}" for table in TABLES))  # noqa: S608  (ours)
