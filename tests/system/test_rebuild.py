"""Topics replayed into empty databases give what the databases held, to the row: rule I11.

What other tests of this system sent before, hostile bodies included, is part of what is replayed.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.testing import until
from contracts.topics import load
from salesync.client import Client, Event
from salesync.testing import salesync

BUSINESS = "rebuilt"
CHANNEL = "rebuilt-quickbooks"
REALM = "9130000000000088"
BOOKS = f"/control/companies/{REALM}"
SERVICES = ("sales-processor", "inventory")
COUNTERS = {"sale_consumptions": "sale_order", "stock_transactions": "stock_transaction_id"}
"""Columns that a sequence numbers: what was rolled back leaves gaps, the order is what counts."""
TRANSACTION_IDS = {"sales": "moved_in"}
"""Columns with ids that a server gives its transactions."""

PRODUCTS = (
    # product id, type, QuickBooks item
    ("desk", "finished-good", "1"),
    ("chair", "finished-good", "2"),
    ("leg", "raw-material", "4"),
    ("stool", "finished-good", None),
)
LOTS = (
    # product id, lot number, quantity, unit cost, received on
    ("desk", "D-1", "60", "145.00", "2026-01-05"),
    ("desk", "D-2", "90", "148.333333", "2026-01-19"),
    ("chair", "C-1", "50", "38.50", "2026-01-07"),
    ("stool", "S-1", "500", "12.25", "2026-01-08"),
)
pytestmark = pytest.mark.timeout(420)


async def test_emptied_databases_are_rebuilt_from_the_topics(
    client: Client, addresses: Mapping[str, str], folder: Path
) -> None:
    story = Story(client)
    await story.live()
    held = await at_rest(addresses)
    assert_rich(held.databases)

    for service in SERVICES:
        await rehearse(service, addresses, held)
    for lost in (SERVICES, ("inventory",)):
        await lose(lost, addresses, folder)
        rebuilt = await at_rest(addresses)
        for database, tables in held.databases.items():
            for table, rows in tables.items():
                assert rebuilt.databases[database][table] == rows, f"{database}.{table}"
        assert rebuilt.ends == held.ends, "a rebuild publishes nothing"
    said = ("verify", "--business", BUSINESS, "--topics", "--data", str(folder))
    await asyncio.to_thread(salesync, *said)

    await story.sell("invoices", "2026-05-04", ("Walnut Desk", 2, "260.00"))
    summary = await story.sync()
    assert (summary["created"], summary["updated"]) == (1, 0)
    held = await at_rest(addresses)
    await lose(SERVICES, addresses, folder)
    assert await at_rest(addresses) == held


class Story:
    """A business whose links, settings, documents and lots changed while its sales came in."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._connection = ""

    async def live(self) -> None:
        """Everything that could come out otherwise in a replay."""
        await self._set_up()
        await self._generate()
        lamp = await self.sell("invoices", "2026-03-09", ("Brass Lamp", 2, "64.00"))
        legs = await self.sell("invoices", "2026-03-10", ("Table Leg", 8, "12.00"))
        fee = await self.sell("invoices", "2026-03-11", ("Oak Chair", None, "75.00"))
        first = await self.sync()
        assert {error["code"] for error in first["errors"]} == {"item-not-linked"}
        await self._relink(lamp)
        await self._change_documents(legs, fee)
        await self._return_goods()
        await self._by_hand()
        await self._change_lots()

    async def _set_up(self) -> None:
        company = {"realm": REALM, "stocked": True, "refresh_token": "rebuilt-refresh-token"}
        await self._send("POST", "/control/companies", company)
        since = len(self._client.events)
        await self.publish({"type": "enable-sales-tracking"})
        await self.told("channel-changed", since, channel_type="manual")
        connection = await self._client.send(
            "CHANNEL_CONNECTOR",
            "POST",
            f"/businesses/{BUSINESS}/connections",
            {"realm_id": REALM, "refresh_token": "rebuilt-refresh-token"},
        )
        self._connection = connection["connection_id"]
        await self.publish(
            {
                "type": "connect-channel",
                "connection_id": self._connection,
                "channel_type": "accounting",
                "channel_id": CHANNEL,
                "initial_sync_date": "2026-01-01",
            }
        )
        await self.told("channel-changed", since, channel_id=CHANNEL)
        for product_id, kind, item in PRODUCTS:
            await self._put(product_id, kind)
            if item is not None:
                await self._link(product_id, item)
        for product_id, number, quantity, unit_cost, day in LOTS:
            await self.publish(_lot(product_id, number, quantity, unit_cost, day))
            await self.told("lot-received", since, lot_number=number)

    async def _generate(self) -> None:
        form = {
            "realm": REALM,
            "count": 40,
            "lines": 2,
            "seed": 11,
            "kinds": {"invoices": 4, "sales-receipts": 2, "credit-memos": 1, "refund-receipts": 1},
            "items": ["Walnut Desk", "Oak Chair", "Assembly", "Table Leg"],
            "first_date": "2026-02-01",
            "last_date": "2026-03-31",
            "quantity_max": 3,
        }
        await self._send("POST", "/control/generate", form)

    async def _relink(self, lamp: str) -> None:
        """A late link heals a sale, another item moves to another product, one loses its link."""
        await self._put("lamp", "finished-good")
        since = len(self._client.events)
        await self._link("lamp", "5")
        await self.told("sale-recorded", since, number=lamp)
        await self._link("stool", "2")
        await self._put("leg", "finished-good")
        since = len(self._client.events)
        await self.publish(
            {"type": "unlink-item", "connection_id": self._connection, "item_external_id": "5"}
        )
        await self.told("product-changed", since, product_id="lamp", item_links=[])

    async def _change_documents(self, legs: str, fee: str) -> None:
        """Newer versions meet the new links: other products, other types, and none at all."""
        invoices = await self._send("GET", f"{BOOKS}/invoices")
        receipts = await self._send("GET", f"{BOOKS}/sales-receipts")
        numbers = [document["DocNumber"] for document in invoices]
        for number in (*numbers[:4], legs):
            await self._send("PATCH", f"{BOOKS}/invoices/{number}", {"qty": 5})
        await self._send("PATCH", f"{BOOKS}/invoices/{fee}", {"amount": "80.00"})
        await self._send("PATCH", f"{BOOKS}/invoices/{numbers[7]}", {"txn_date": "2026-02-02"})
        await self._send("POST", f"{BOOKS}/invoices/{numbers[5]}/void")
        await self._send("POST", f"{BOOKS}/sales-receipts/{receipts[0]['DocNumber']}/void")
        await self._send("DELETE", f"{BOOKS}/invoices/{numbers[6]}")
        waiting = await self.sell("invoices", "2026-04-01", ("Brass Lamp", 1, "64.00"))
        short = await self.sell("invoices", "2026-04-02", ("Walnut Desk", 400, "260.00"))
        second = await self.sync()
        assert (second["voided"], second["updated"] > 4) == (3, True)
        assert [error["number"] for error in second["errors"]] == [waiting]
        since = len(self._client.events)
        await self.publish(_lot("desk", "D-3", "500", "151.00", "2026-04-03"))
        await self.told("sale-recosted", since, number=short)
        await self.sync()

    async def _return_goods(self) -> None:
        """Memos under one setting after another, and a changed sale behind one of them."""
        sold = await self.sell("invoices", "2026-04-04", ("Walnut Desk", 9, "260.00"))
        await self.sync()
        for returns in ("return-lot", "no-restock", "original-lots"):
            await self.sell("credit-memos", "2026-04-05", ("Walnut Desk", 2, "260.00"))
            await self.sync()
            await self._configure(returns=returns)
        await self._configure(heal_on_link=False)
        memos = await self._send("GET", f"{BOOKS}/credit-memos")
        await self._send("DELETE", f"{BOOKS}/credit-memos/{memos[0]['DocNumber']}")
        await self._send("PATCH", f"{BOOKS}/invoices/{sold}", {"qty": 1})
        await self.sync()

    async def _by_hand(self) -> None:
        """Manual sales, one of them voided, one refused; a retry; and commands that are wrong."""
        since = len(self._client.events)
        line = {"product_id": "stool", "quantity": "2.5", "unit_price": "19.99"}
        for sale_id, product_id in (("till-1", "stool"), ("till-2", "desk"), ("till-3", "nothing")):
            sale = {"sale_id": sale_id, "sale_date": "2026-04-07"}
            lines = [{**line, "product_id": product_id}]
            await self.publish({"type": "record-manual-sale", **sale, "lines": lines})
        await self.told("sale-recorded", since, sale_id="till-2")
        await self.told("command-rejected", since, sale_id="till-3")
        await self.publish({"type": "void-manual-sale", "sale_id": "till-2"})
        await self.told("sale-voided", since, sale_id="till-2")
        await self._link("lamp", "5")
        since = len(self._client.events)
        await self.publish({"type": "retry-failed-sales"})
        await self.told("sale-recorded", since)

    async def _change_lots(self) -> None:
        """Lots adjusted, voided, at another cost; and a product costed again by the calendar."""
        since = len(self._client.events)
        lots = f"/businesses/{BUSINESS}/products/desk/lots"
        by_number = {
            lot["lot_number"]: lot["lot_id"] for lot in await self._client.list("INVENTORY", lots)
        }
        late = _lot("desk", "D-0", "12", "99.50", "2026-01-02")
        third = {"lot_id": by_number["D-3"]}
        await self.publish(
            {"type": "adjust-lot", **third, "quantity": "-3", "reason": "breakage"},
            {"type": "change-lot-cost", **third, "unit_cost": "150.123456"},
            late,
            {"type": "void-lot", "lot_id": "none-such"},
            _lot("stool", "S-2", "5", "13.00", "2026-04-08"),
            {"type": "recost-product", "product_id": "desk", "from_date": "2026-01-01"},
        )
        await self.told("product-recosted", since, product_id="desk")
        (stool,) = [
            lot["lot_id"]
            for lot in await self._client.list(
                "INVENTORY", f"/businesses/{BUSINESS}/products/stool/lots"
            )
            if lot["lot_number"] == "S-2"
        ]
        await self.publish({"type": "void-lot", "lot_id": stool})
        await self.told("lot-voided", since, lot_id=stool)

    async def sell(self, collection: str, day: str, line: tuple[str, int | None, str]) -> str:
        """Write a document of one line into QuickBooks; a line without a quantity is money only."""
        item, quantity, price = line
        fields = {"amount": price} if quantity is None else {"qty": quantity, "price": price}
        document = await self._send(
            "POST",
            f"{BOOKS}/{collection}",
            {
                "customer": "Harbour View Hotel",
                "txn_date": day,
                "lines": [{"item": item, **fields}],
            },
        )
        return str(document["DocNumber"])

    async def sync(self) -> Event:
        """One sync to its summary."""
        summary = await self._client.sync(BUSINESS, CHANNEL)
        assert summary["type"] == "sync-completed"
        return summary

    async def publish(self, *commands: Mapping[str, Any]) -> None:
        """Publish commands of this business."""
        await self._client.publish(*({"business_id": BUSINESS, **c} for c in commands))

    async def told(self, kind: str, since: int = 0, **said: object) -> Event:
        """The first event of this business that says so."""
        wanted = {"type": kind, "business_id": BUSINESS, **said}
        return await self._client.wait_for(
            lambda e: all(e.get(name) == value for name, value in wanted.items()),
            what=str(wanted),
            since=since,
        )

    async def _put(self, product_id: str, kind: str) -> None:
        since = len(self._client.events)
        named = {"product_id": product_id, "name": product_id.title(), "product_type": kind}
        await self.publish({"type": "put-product", **named})
        await self.told("product-changed", since, product_id=product_id, product_type=kind)

    async def _link(self, product_id: str, item: str) -> None:
        since = len(self._client.events)
        link = {"connection_id": self._connection, "item_external_id": item}
        await self.publish({"type": "link-item", "product_id": product_id, **link})
        await self.told("product-changed", since, product_id=product_id, item_links=[link])

    async def _configure(self, **settings: object) -> None:
        since = len(self._client.events)
        await self.publish(
            {"type": "configure-channel", "channel_id": CHANNEL, "settings": settings}
        )
        await self.told("channel-changed", since, channel_id=CHANNEL)

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
        return await self._client.send("QUICKBOOKS_SANDBOX", method, path, body)


def _lot(product_id: str, number: str, quantity: str, unit_cost: str, day: str) -> dict[str, Any]:
    return {
        "type": "receive-lot",
        "product_id": product_id,
        "lot_number": number,
        "quantity": quantity,
        "unit_cost": unit_cost,
        "received_on": day,
    }


@dataclass(frozen=True)
class Held:
    """Every row of the databases by table, and how many records each partition has had."""

    databases: dict[str, dict[str, list[Any]]]
    ends: dict[TopicPartition, int]


def assert_rich(databases: Mapping[str, Mapping[str, list[Any]]]) -> None:
    """The story has what a replay could get wrong."""
    sales = [row for row in databases["sales-processor"]["sales"] if row["business_id"] == BUSINESS]
    lines = databases["sales-processor"]["sale_lines"]
    products = {row["product_id"] for row in lines if row["item_external_id"] == "2"}
    assert {"chair", "stool"} <= products, "one item, matched to two products"
    assert {row["status"] for row in sales} == {"active", "voided"}
    assert {"credit-memo", "refund-receipt", "manual"} <= {row["kind"] for row in sales}
    assert {"no-restock", "no-quantity"} <= {flag for row in lines for flag in row["flags"] or ()}
    assert databases["sales-processor"]["sale_revisions"]
    kinds = {row["kind"] for row in databases["inventory"]["stock_transactions"]}
    assert kinds == {
        *("receipt", "sale", "sale-reversal", "return", "return-reversal", "adjustment"),
        "lot-void",
    }


async def rehearse(service: str, addresses: Mapping[str, str], held: Held) -> None:
    """While everything runs, a second database gets what the first one holds."""
    name = f"{service}-again"
    url = _database(addresses, service).replace(f"/{_module(service)}", f"/{name}")
    done = await asyncio.to_thread(_rebuild, service, url, addresses)
    assert done.returncode == 0, done.stderr
    batches = held.databases[service]["journal_positions"][0]["next_sequence"]
    assert f"{batches} batches of" in done.stdout
    connection = await asyncpg.connect(url)
    try:
        assert await _tables(connection) == held.databases[service]
    finally:
        await connection.close()
    administrator = await asyncpg.connect(_database(addresses, "channel-connector"))
    try:
        await administrator.execute(f'drop database "{name}"')
    finally:
        await administrator.close()


def _rebuild(
    service: str, url: str, addresses: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", _module(service), "rebuild"],
        env={**os.environ, **addresses, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def at_rest(addresses: Mapping[str, str]) -> Held:
    """What the databases hold once everything on the topics was applied and published."""
    return await until(lambda: _held(addresses), what="nothing waits anywhere", seconds=60)  # type: ignore[no-any-return]


async def _held(addresses: Mapping[str, str]) -> Held | None:
    before = await _ends(addresses["KAFKA_BOOTSTRAP_SERVERS"])
    databases = {}
    for service in SERVICES:
        connection = await asyncpg.connect(_database(addresses, service))
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                databases[service] = await _tables(connection)
        finally:
            await connection.close()
        applied = {
            TopicPartition(row["topic"], row["partition"]): row["next_offset"]
            for row in databases[service]["consumer_offsets"]
        }
        consumed = {t.name for t in load() if service in t.consumers}
        behind = [p for p in before if p.topic in consumed and applied.get(p, 0) < before[p]]
        if behind or databases[service]["outbox"]:
            return None
    after = await _ends(addresses["KAFKA_BOOTSTRAP_SERVERS"])
    return Held(databases, after) if after == before else None


async def _tables(connection: asyncpg.Connection) -> dict[str, list[Any]]:
    """Every row of every table as JSON, in an order that does not hang on gaps of sequences."""
    names = await connection.fetch(
        """
        select tablename from pg_tables
        where schemaname = 'public' and tablename <> 'schema_migrations' order by 1
        """
    )
    return {name: await _rows(connection, name) for (name,) in names}


async def _rows(connection: asyncpg.Connection, table: str) -> list[Any]:
    counter = COUNTERS.get(table)
    order = f"row.business_id, row.{counter}" if counter else "to_jsonb(row)::text"
    found = await connection.fetch(
        f"select to_jsonb(row)::text from {table} as row order by {order}"  # noqa: S608
    )
    rows = [json.loads(row[0], parse_float=str) for row in found]
    for row in rows:
        row.pop(counter, None)
        row.pop(TRANSACTION_IDS.get(table), None)
    return rows


async def _ends(brokers: str) -> dict[TopicPartition, int]:
    async with AIOKafkaConsumer(*(t.name for t in load()), bootstrap_servers=brokers) as client:
        ends: dict[TopicPartition, int] = await client.end_offsets(client.assignment())
        return ends


def _database(addresses: Mapping[str, str], service: str) -> str:
    return addresses[f"{_variable(service)}_DATABASE_URL"]


def _module(service: str) -> str:
    return service.replace("-", "_")


def _variable(service: str) -> str:
    return _module(service).upper()


async def lose(services: Sequence[str], addresses: Mapping[str, str], folder: Path) -> None:
    """Stop services, drop their databases, and start what is missing."""
    now = json.loads(salesync("env", "--json", "--data", str(folder)))
    running = [psutil.Process(int(now[f"{_variable(service)}_PID"])) for service in services]
    for process in running:
        process.terminate()
    assert psutil.wait_procs(running, timeout=60)[1] == []
    administrator = await asyncpg.connect(_database(addresses, "channel-connector"))
    try:
        for service in services:
            name = _database(addresses, service).partition("?")[0].rsplit("/", 1)[1]
            await administrator.execute(f'drop database "{name}"')
    finally:
        await administrator.close()
    salesync("up", "--detach", "--data", str(folder))
