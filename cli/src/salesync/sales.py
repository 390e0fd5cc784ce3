"""`sales`: the sales of a business with revenue, cost, margin and the lots behind them."""

import json
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from salesync.addresses import DEFAULT_FOLDER, DataFolder
from salesync.http import PROCESSOR, Service
from salesync.summary import money

SALES_SHOWN = 100


def sales(
    *,
    business: Annotated[str, typer.Option(help="The business.")],
    channel: Annotated[str | None, typer.Option(help="Only of this channel.")] = None,
    product: Annotated[str | None, typer.Option(help="Only with this product.")] = None,
    status: Annotated[
        str | None, typer.Option(help="Only `active`, `voided` or `waiting` ones.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="From this sale date on, as 2026-01-31.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Up to this sale date.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = SALES_SHOWN,
    data: DataFolder = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show sales with revenue, cost and margin, and the lots that their goods were taken from."""
    with Service(PROCESSOR, data) as processor:
        wanted = {
            "channel_id": channel,
            "product_id": product,
            "status": status,
            "from": from_,
            "to": to,
        }
        found = list(islice(processor.items("businesses", business, "sales", **wanted), limit))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif not found:
        typer.echo("There is no such sale.")
    else:
        Console(highlight=False).print(table_of(found))


def table_of(found: list[dict[str, Any]]) -> Table:
    """Sales as a table: a row for each, and one for each of its lines that took goods."""
    table = Table(box=None, pad_edge=False)
    table.add_column("Date")
    table.add_column("Document")
    table.add_column("Customer / lots")
    for name in ("Revenue", "Cost", "Margin", "%"):
        table.add_column(name, justify="right")
    for sale in found:
        flags = [] if sale["status"] == "active" else [sale["status"]]
        table.add_row(
            sale["sale_date"],
            " ".join([sale["kind"], sale.get("number") or "", *flags, *sale.get("flags", [])]),
            sale.get("customer_name") or "",
            *(money(Decimal(sale[name])) for name in ("revenue", "cost", "margin")),
            sale.get("margin_percent") or "",
        )
        for line in sale["lines"]:
            if line.get("allocations") or line.get("shortage"):
                table.add_row("", f"  {line.get('product_name') or ''}", _lots(line), style="dim")
    return table


def _lots(line: dict[str, Any]) -> str:
    """Which lots a line took from, at what cost, and what was not in stock."""
    parts = [
        f"{_plain(a['quantity'])} of {a['lot_number']} at {_plain(a['unit_cost'])}"
        for a in line.get("allocations", [])
    ]
    shortage = line.get("shortage")
    if shortage and Decimal(shortage["open"]):
        parts.append(f"{_plain(shortage['open'])} short at {_plain(shortage['unit_cost'])}")
    return ", ".join(parts)


def _plain(number: str) -> str:
    """A decimal with two places where it has a fraction."""
    value = Decimal(number)
    return (
        f"{value:f}" if value == value.to_integral_value() and "." not in number else money(value)
    )
