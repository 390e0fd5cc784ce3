"""The demo: starts the whole system, tells the story with tables, stops everything.

It works on a folder of its own, so it runs beside a system that is up, and leaves nothing behind.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.rule import Rule
from rich.table import Table

from contracts import registry
from contracts.channels import SyncFailed
from contracts.sales import SyncCompleted
from local_stack import StackError, system
from salesync import summary
from salesync.client import Event, connect
from salesync.sales import show as show_sales
from salesync.stack import start
from salesync.story import LAMP_LOT, LOTS, PRODUCTS, Story

FOLDER_PREFIX = "demo-"


def main() -> int:
    """Run the demo; 0 if every invariant held at its end."""
    console = Console(highlight=False)
    began = time.monotonic()
    Path(".salesync").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX, dir=".salesync") as folder:
        data = Path(folder)
        try:
            console.print(Rule("Partsemble sales sync"))
            console.print("Starting Kafka, Postgres, a QuickBooks sandbox and three services:")
            start(data, console)
            sound = asyncio.run(_tell(console, system.environment(data)))
        except StackError as error:
            console.print(f"[red]{error}[/]")
            return 1
        except KeyboardInterrupt:
            console.print("Interrupted.")
            return 130
        finally:
            system.down(data)
    console.print(f"Everything is stopped. {time.monotonic() - began:.0f} s in all.")
    return 0 if sound else 1


async def _tell(console: Console, addresses: Mapping[str, str]) -> bool:
    async with connect(addresses) as client:
        story = Story(client)
        await _first_sync(console, story)
        await _second_sync(console, story)
        await _third_sync(console, story)
        return _show_verdict(console, await story.verify())


async def _first_sync(console: Console, story: Story) -> None:
    console.print(Rule("A workshop, its lots, its QuickBooks"))
    channel = await story.set_up()
    console.print(
        f"Business [b]acme[/] is connected to QuickBooks company 9130000000000001; "
        f"sales count from {channel['initial_sync_date']} on."
    )
    await story.stock()
    _show_stock(console)
    await story.write_books()
    console.print(
        "In QuickBooks there are now four invoices and two receipts; one invoice is older than "
        "the initial date, and one sells a lamp that is linked to no product yet."
    )
    console.print(Rule("First sync"))
    _show_summary(console, await story.sync())
    show_sales((await story.sales()).values(), console)
    _show_lots(console, await story.lots())


async def _second_sync(console: Console, story: Story) -> None:
    console.print(Rule("Second sync: nothing has changed"))
    before = await story.lots()
    _show_summary(console, await story.sync())
    after = await story.lots()
    console.print(
        "The lots are exactly as they were." if before == after else "[red]The lots moved![/]"
    )


async def _third_sync(console: Console, story: Story) -> None:
    console.print(Rule("Third sync: the books changed"))
    await story.change_books()
    await story.link_lamp()
    console.print(
        "In QuickBooks the hotel now takes 40 desks instead of 50, the café's receipt was "
        "voided, the library's first invoice deleted. The lamp was linked to a product, which "
        "QuickBooks knows nothing of."
    )
    _show_summary(console, await story.sync())
    show_sales((await story.sales()).values(), console)
    _show_lots(console, await story.lots())


def _show_stock(console: Console) -> None:
    names = {product_id: name for product_id, name, *_ in PRODUCTS}
    table = Table("Product", "Lot", "Received", title="Lots", title_justify="left")
    table.add_column("Quantity", justify="right")
    table.add_column("Unit cost", justify="right")
    for product_id, number, quantity, cost, day in LOTS:
        table.add_row(names[product_id], number, day, quantity, cost)
    console.print(table)


def _show_summary(console: Console, end: Event) -> None:
    topic = "channels.events.v1" if end["type"] == "sync-failed" else "sales.events.v1"
    outcome = registry.read(topic, json.dumps(end).encode())
    if not isinstance(outcome, SyncCompleted | SyncFailed):
        raise TypeError(f"A sync ended with {outcome.type}.")
    summary.show(outcome, console)


def _show_lots(console: Console, lots: Mapping[str, Any]) -> None:
    table = Table("Lot", "Status", title="What is left of the lots", title_justify="left")
    for column in ("Received", "Remaining", "Unit cost"):
        table.add_column(column, justify="right")
    order = [number for _, number, *_ in (*LOTS, LAMP_LOT)]
    for number in sorted(lots, key=order.index):
        lot = lots[number]
        table.add_row(
            number,
            lot["status"],
            lot["quantity_received"],
            lot["quantity_remaining"],
            lot["unit_cost"],
        )
    console.print(table)


def _show_verdict(console: Console, reports: list[Any]) -> bool:
    console.print(Rule("Do the books add up?"))
    sound = True
    for report in reports:
        for check in report["checks"]:
            wrong = check["violations"]
            sound = sound and not wrong
            mark = "[red]broken[/]" if wrong else "[green]holds[/]"
            console.print(f"  {check['invariant']:4} {mark}  {check['description']}")
            for violation in wrong:
                console.print(f"       [red]{violation}[/]")
    return sound


if __name__ == "__main__":
    sys.exit(main())
