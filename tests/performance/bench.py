"""How fast sales become margins: the whole pipeline beside the floor of plain COPY, in one run.

Sales of three lines go into `channels.transactions.v1`; the clock stops at the last
`sale-recorded`. The floor copies the same rows (1 sale, 3 lines, 3 consumptions, 3 stock
transactions a sale) into the same tables of the same server, 500 sales a commit.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from local_stack import system
from salesync.client import Client, Event, connect, start_from_now
from salesync.topics import apply_all

BUSINESS = "bench"
CHANNEL = "bench-channel"
CONNECTION = "bench-connection"
LINES = 3
LOTS = 10
SALES_PER_COMMIT = 500
SETTLE_SECONDS_MAX = 600


def main() -> int:
    """Print sales per second, the floor, their ratio, and the memory of each process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sales", type=int, default=20_000)
    parser.add_argument("--products", type=int, default=500)
    chosen = parser.parse_args()
    Path(".salesync").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=".salesync") as folder:
        data = Path(folder)
        system.up(data, apply_topics=apply_all, on_progress=print)
        try:
            addresses = system.environment(data)
            at_rest = _memory(addresses)
            seconds = asyncio.run(_pipeline(addresses, chosen.sales, chosen.products))
            at_work = _memory(addresses)
            floor_seconds = asyncio.run(_floor(addresses, chosen.sales))
        finally:
            system.down(data)
    rate, floor = chosen.sales / seconds, chosen.sales / floor_seconds
    print(
        f"\n{chosen.sales:,} sales of {LINES} lines, {chosen.products} products, {LOTS} lots each"
    )
    print(f"pipeline  {rate:10,.0f} sales/s   ({seconds:.1f} s)")
    print(f"floor     {floor:10,.0f} sales/s   ({floor_seconds:.1f} s, COPY of the same rows)")
    print(f"ratio     {rate / floor:10.1%}   of the floor")
    print("\nmemory, MB            at rest   after the run")
    for name, at_first in at_rest.items():
        print(f"{name:20} {at_first:8.0f} {at_work[name]:15.0f}")
    return 0


def _memory(addresses: Mapping[str, str]) -> dict[str, float]:
    """Resident memory of each process, in MB."""
    found = {}
    for name, value in addresses.items():
        if name.endswith("_PID"):
            process = psutil.Process(int(value))
            family = [process, *process.children(recursive=True)]
            total = sum(p.memory_info().rss for p in family)
            found[name.removesuffix("_PID").lower().replace("_", "-")] = total / 1e6
    return found


async def _pipeline(addresses: Mapping[str, str], sales: int, products: int) -> float:
    """Seconds from the first transaction published to the last sale recorded."""
    async with connect(addresses) as client:
        await _prepare(client, products)
    consumer = AIOKafkaConsumer(
        "sales.events.v1", bootstrap_servers=addresses["KAFKA_BOOTSTRAP_SERVERS"]
    )
    await consumer.start()
    await start_from_now(consumer)
    bodies = [_transaction(number, products) for number in range(sales)]
    began = time.perf_counter()
    publishing = asyncio.create_task(_publish(addresses, bodies))
    recorded = 0
    try:
        async with asyncio.timeout(SETTLE_SECONDS_MAX):
            while recorded < sales:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    recorded += sum(1 for r in records if b'"type":"sale-recorded"' in r.value)
        seconds = time.perf_counter() - began
        await publishing
    finally:
        publishing.cancel()
        await consumer.stop()
    return seconds


async def _prepare(client: Client, products: int) -> None:
    """Products with links and lots, and the channel, straight onto the topics."""
    await _produce(
        client.addresses,
        "channels.events.v1",
        CHANNEL,
        [
            {
                "type": "channel-changed",
                "business_id": BUSINESS,
                "channel_id": CHANNEL,
                "channel_type": "accounting",
                "status": "active",
                "connection_id": CONNECTION,
                "initial_sync_date": "2026-01-01",
                "settings": {},
                "changed_at": datetime.now(UTC).isoformat(),
            }
        ],
    )
    commands: list[dict[str, Any]] = []
    for number in range(products):
        product_id = f"product-{number}"
        common = {"business_id": BUSINESS, "product_id": product_id}
        commands.append(
            {"type": "put-product", "name": product_id, "product_type": "finished-good", **common}
        )
        commands.append(
            {
                "type": "link-item",
                "connection_id": CONNECTION,
                "item_external_id": str(number),
                **common,
            }
        )
        commands += [
            {
                "type": "receive-lot",
                "quantity": "1000",
                "unit_cost": f"{10 + lot}.25",
                "received_on": f"2026-01-{lot + 1:02d}",
                **common,
            }
            for lot in range(LOTS)
        ]
    await _produce(client.addresses, "inventory.commands.v1", BUSINESS, commands)
    for number in range(products):
        await client.wait_for(_linked(f"product-{number}"), what=f"product-{number}")
    await client.wait_for(
        lambda e: (
            e["type"] == "stock-changed"
            and e["product_id"] == f"product-{products - 1}"
            and Decimal(e["stock_on_hand"]) == LOTS * 1000
        ),
        what="the last lot",
    )


def _linked(product_id: str) -> Callable[[Event], bool]:
    return lambda e: (
        e["type"] == "product-changed" and e["product_id"] == product_id and bool(e["item_links"])
    )


def _transaction(number: int, products: int) -> dict[str, Any]:
    rng = random.Random(number)  # noqa: S311  (the same sales in every run)
    lines, total = [], Decimal(0)
    for line_number in range(1, LINES + 1):
        quantity, price = rng.randint(1, 5), Decimal(rng.randint(1_000, 9_999)) / 100
        total += quantity * price
        lines.append(
            {
                "line_number": line_number,
                "item": {"external_id": str(rng.randrange(products)), "kind": "inventory"},
                "quantity": str(quantity),
                "unit_price": str(price),
                "amount": str(quantity * price),
            }
        )
    return {
        "type": "transaction-captured",
        "business_id": BUSINESS,
        "channel_id": CHANNEL,
        "connection_id": CONNECTION,
        "sync_id": "bench-sync",
        "sequence": number,
        "kind": "invoice",
        "external_id": str(number),
        "version": 0,
        "status": "active",
        "number": str(1000 + number),
        "customer": {"external_id": str(number % 100), "name": f"Customer {number % 100}"},
        "transaction_date": "2026-03-01",
        "currency": "USD",
        "lines": lines,
        "total_amount": str(total),
        "source_updated_at": "2026-03-01T12:00:00+00:00",
        "content_hash": str(number),
    }


async def _publish(addresses: Mapping[str, str], bodies: Sequence[Mapping[str, Any]]) -> None:
    await _produce(addresses, "channels.transactions.v1", CHANNEL, bodies)


async def _produce(
    addresses: Mapping[str, str], topic: str, key: str, bodies: Sequence[Mapping[str, Any]]
) -> None:
    """Publish bodies in their order, in large batches."""
    producer = AIOKafkaProducer(
        bootstrap_servers=addresses["KAFKA_BOOTSTRAP_SERVERS"],
        acks="all",
        enable_idempotence=True,
        max_batch_size=262_144,
        linger_ms=5,
    )
    await producer.start()
    try:
        waiting = [
            await producer.send(topic, json.dumps(body).encode(), key=key.encode())
            for body in bodies
        ]
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()


async def _floor(addresses: Mapping[str, str], sales: int) -> float:
    """Seconds to COPY the rows of as many sales into the same tables, under another business."""
    processor = await asyncpg.connect(addresses["SALES_PROCESSOR_DATABASE_URL"])
    inventory = await asyncpg.connect(addresses["INVENTORY_DATABASE_URL"])
    try:
        rows = {
            table: await _rows_like(connection, table)
            for connection, table in (
                (processor, "sales"),
                (processor, "sale_lines"),
                (inventory, "consumptions"),
                (inventory, "stock_transactions"),
            )
        }
        commits = [
            {table: _records(rows[table], ids, 1 if table == "sales" else LINES) for table in rows}
            for start in range(0, sales, SALES_PER_COMMIT)
            for ids in ([str(uuid4()) for _ in range(min(SALES_PER_COMMIT, sales - start))],)
        ]
        began = time.perf_counter()
        for records in commits:
            for connection, tables in (
                (processor, ("sales", "sale_lines")),
                (inventory, ("consumptions", "stock_transactions")),
            ):
                async with connection.transaction():
                    for table in tables:
                        await connection.copy_records_to_table(
                            table, columns=rows[table][0], records=records[table]
                        )
        return time.perf_counter() - began
    finally:
        await processor.close()
        await inventory.close()


Template = tuple[tuple[str, ...], list[dict[str, Any]]]


async def _rows_like(connection: asyncpg.Connection, table: str) -> Template:
    """Columns that can be written, and a sale's worth of real rows of the run as patterns."""
    columns = await connection.fetch(
        """
        select column_name from information_schema.columns
        where table_name = $1 and is_identity = 'NO' and is_generated = 'NEVER'
        order by ordinal_position
        """,
        table,
    )
    names = tuple(row["column_name"] for row in columns)
    key = "sale_id"
    sale = await connection.fetchval(
        f"select {key} from {table} where {key} is not null limit 1"  # noqa: S608  (our tables)
    )
    found = await connection.fetch(
        f"select {', '.join(names)} from {table} where {key} = $1",  # noqa: S608
        sale,
    )
    return names, [dict(row) for row in found]


def _records(template: Template, ids: Sequence[str], rows: int) -> list[tuple[Any, ...]]:
    """So many rows for each sale, after the patterns."""
    names, patterns = template
    made = []
    for sale_id in ids:
        for row in patterns[:rows]:
            changed = {**row, "sale_id": sale_id}
            if "external_id" in changed:
                changed["external_id"] = sale_id
            made.append(tuple(changed[name] for name in names))
    return made


if __name__ == "__main__":
    print(f"{date.today():%Y-%m-%d}, {psutil.cpu_count()} cores")  # noqa: DTZ011
    sys.exit(main())
