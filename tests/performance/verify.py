"""How long `verify` takes on large books: each check of each service, and `salesync verify`.

The books are made in sets in inventory's database and copied to the others as they would hold them.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from local_stack import system
from salesync.topics import apply_all

BOOKS = Path(__file__).parent / "verify_books.sql"
ANSWER_SECONDS_MAX = 600
PROCESSOR = "SALES_PROCESSOR"
CONNECTOR = "CHANNEL_CONNECTOR"
INVENTORY = "INVENTORY"
COPIED = (
    *((PROCESSOR, "bench.channels", "channels"), (PROCESSOR, "bench.sales_products", "products")),
    *((PROCESSOR, "bench.sales", "sales"), (PROCESSOR, "bench.sale_lines", "sale_lines")),
    *((PROCESSOR, "bench.sync_runs", "sync_runs"), (PROCESSOR, "bench.sync_entries", None)),
    *((PROCESSOR, "bench.sale_revisions", None), (CONNECTOR, "bench.businesses", None)),
    *((CONNECTOR, "bench.connections", None), (CONNECTOR, "bench.connector_channels", "channels")),
    *((CONNECTOR, "bench.connector_runs", "sync_runs"), (CONNECTOR, "bench.documents", None)),
)


def main() -> int:
    """Print the seconds of every check, of every service and of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--products", type=int, default=1_000, help="of each business")
    parser.add_argument("--businesses", type=int, default=4)
    chosen = parser.parse_args()
    Path(".salesync").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=".salesync") as folder:
        data = Path(folder)
        system.up(data, apply_topics=apply_all, on_progress=print)
        try:
            addresses = system.environment(data)
            began = time.perf_counter()
            asyncio.run(_fill(addresses, vars(chosen)))
            print(f"\n{chosen.lines:,} sale lines made in {time.perf_counter() - began:.0f} s\n")
            total = sum(_service(addresses, name) for name in (INVENTORY, PROCESSOR, CONNECTOR))
            print(f"{'all three':44} {total:8.2f} s")
            print(f"{'salesync verify':44} {asyncio.run(_command(data)):8.2f} s")
        finally:
            system.down(data)
    return 0


async def _fill(addresses: Mapping[str, str], shape: Mapping[str, int]) -> None:
    """Make the books and give each service its part."""
    books = await asyncpg.connect(addresses[f"{INVENTORY}_DATABASE_URL"])
    try:
        for name, value in shape.items():
            await books.execute("select set_config($1, $2, false)", f"bench.{name}", str(value))
        await books.execute(BOOKS.read_text("utf-8"))
        for service, source, target in COPIED:
            await _copy(books, addresses[f"{service}_DATABASE_URL"], source, target)
        await books.execute("drop schema bench cascade")
    finally:
        await books.close()
    for service in (INVENTORY, PROCESSOR, CONNECTOR):
        connection = await asyncpg.connect(addresses[f"{service}_DATABASE_URL"])
        try:
            await connection.execute("vacuum analyze")
        finally:
            await connection.close()


async def _copy(books: asyncpg.Connection, address: str, source: str, target: str | None) -> None:
    """Copy a table to another database, column by column of the same name."""
    schema, table = source.split(".")
    columns = [
        row["attname"]
        for row in await books.fetch(
            "select attname from pg_attribute where attrelid = $1::text::regclass and attnum > 0"
            " order by attnum",
            source,
        )
    ]
    connection = await asyncpg.connect(address)
    try:
        with tempfile.TemporaryFile() as rows:
            await books.copy_from_table(table, schema_name=schema, columns=columns, output=rows)
            rows.seek(0)
            await connection.copy_to_table(target or table, columns=columns, source=rows)
    finally:
        await connection.close()


def _service(addresses: Mapping[str, str], name: str) -> float:
    """Print the seconds of each check of a service; all of them together."""
    began = time.perf_counter()
    answer = httpx.get(
        f"{addresses[f'{name}_URL']}/verify", timeout=ANSWER_SECONDS_MAX, trust_env=False
    )
    seconds = time.perf_counter() - began
    report: dict[str, Any] = answer.raise_for_status().json()
    print(report["service"])
    for check in report["checks"]:
        print(f"  {check['name']:42} {check['seconds']:8.2f} s")
        if check["violations"]:
            sys.exit(f"{check['name']} is broken: {json.dumps(check['violations'][0])}")
    print(f"  {'together':42} {seconds:8.2f} s")
    return seconds


async def _command(data: Path) -> float:
    """The seconds of `salesync verify` as a person would run it."""
    began = time.perf_counter()
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "salesync", "verify", "--data", str(data)
    )
    if await running.wait():
        sys.exit("salesync verify found the books wrong.")
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
