"""`recost`: costs a product's sales again by the calendar, and shows what that changes.

The law of this module: what is shown is the answer to this very command, known by its trace.
"""

import asyncio
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from contracts.base import Message
from contracts.inventory import ProductRecosted
from contracts.rejections import CommandRejected
from local_stack import StackError
from salesync.addresses import DEFAULT_FOLDER, DataFolder, address
from salesync.answers import answer, listening, new_traceparent, trace_id
from salesync.kafka import BROKERS, talk
from salesync.publish import Checked, checked, send
from salesync.summary import money

EVENTS = "inventory.events.v1"
SALES_SHOWN = 20
WAIT_SECONDS = 600

Outcome = ProductRecosted | CommandRejected


def recost(
    product: Annotated[str, typer.Argument(help="The product's id.")],
    *,
    business: Annotated[str, typer.Option(help="The business.")],
    from_: Annotated[str, typer.Option("--from", help="From this sale date on, as 2026-01-31.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would change.")
    ] = False,
    wait_seconds: Annotated[
        int, typer.Option(min=1, help="How long to wait for the answer.")
    ] = WAIT_SECONDS,
    data: DataFolder = DEFAULT_FOLDER,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as the event that tells it.")
    ] = False,
) -> None:
    """Run a product's costs again by the calendar: late lots, changed costs, backdated sales.

    Sales before the date keep what they took. The exit code is 1 if the command was rejected.

    Example: salesync recost desk --business acme --from 2026-01-01 --dry-run
    """
    request = checked(
        {
            "type": "recost-product",
            "business_id": business,
            "product_id": product,
            "from_date": from_,
            "dry_run": dry_run,
        }
    )
    brokers = address(BROKERS, data)
    outcome = talk(brokers, _ask(brokers, request, wait_seconds))
    if as_json:
        typer.echo(outcome.encode())
    else:
        show(outcome, Console(highlight=False))
    raise typer.Exit(int(isinstance(outcome, CommandRejected)))


async def _ask(brokers: str, request: Checked, seconds: int) -> Outcome:
    """Publish the command and wait for its answer."""
    traceparent = new_traceparent()
    trace = trace_id(traceparent)

    def ours(message: Message, of_trace: str | None) -> Outcome | None:
        return message if of_trace == trace and isinstance(message, Outcome) else None

    async with listening(brokers, [EVENTS]) as consumer:
        await send(brokers, [replace(request, traceparent=traceparent)])
        try:
            async with asyncio.timeout(seconds):
                return await answer(consumer, ours)
        except TimeoutError as error:
            raise StackError(
                f"Inventory had not answered after {seconds} seconds. The command is published and"
                f" is applied when inventory runs; product-recosted on {EVENTS} tells the effect."
            ) from error


def show(outcome: Outcome, to: Console) -> None:
    """Print what costing again changed, or would change, or why it was rejected."""
    if isinstance(outcome, CommandRejected):
        to.print(f"[red]The command was rejected[/]: {outcome.reason}.")
        to.print(outcome.message, markup=False)
        return
    to.print(
        f"Product {outcome.product_id}, sales from {outcome.from_date} on:"
        f" {outcome.sales_checked} checked.",
        markup=False,
    )
    if not outcome.sales_changed:
        to.print("Nothing changes: every cost follows the calendar already.")
        return
    change, goes = ("would change", "would go") if outcome.dry_run else ("changed", "went")
    to.print(
        f"{outcome.sales_changed} sales and {outcome.lots_changed} lots {change}; the product's"
        f" cost in them {goes} from {money(outcome.cost_before)} to {money(outcome.cost_after)}"
        f" ({outcome.cost_after - outcome.cost_before:+,.2f}).",
        markup=False,
        soft_wrap=True,
    )
    _show_sales(outcome, to)
    if outcome.dry_run:
        to.print("Nothing was written. Leave --dry-run out to change it.")
    else:
        to.print("sale-recosted tells each sale with its old and new cost.")


def _show_sales(outcome: ProductRecosted, to: Console) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("Sale", overflow="fold")
    table.add_column("Before", justify="right")
    table.add_column("After", justify="right")
    for sale in outcome.sales[:SALES_SHOWN]:
        table.add_row(sale.sale_id, money(sale.cost_before), money(sale.cost_after))
    to.print(table)
    more = outcome.sales_changed - min(len(outcome.sales), SALES_SHOWN)
    if more:
        to.print(f"… and {more} more.")
