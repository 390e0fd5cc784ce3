"""`sales`: the sales of a business with revenue, cost, margin and the lots behind them."""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Console

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
        show(found, Console(highlight=False))


def show(found: Iterable[Mapping[str, Any]], to: Console) -> None:
    """Print sales: a row of figures for each, and below it the lots that its lines took from.

    Rows are 80 characters wide; what stands below them is not cut.
    """
    _row(to, "Number", "Customer", "Revenue", "Cost", "Margin", "%", style="bold")
    for sale in found:
        _row(
            to,
            sale.get("number") or "",
            sale.get("customer_name") or "",
            money(Decimal(sale["revenue"])),
            money(Decimal(sale["cost"])),
            money(Decimal(sale["margin"])),
            sale.get("margin_percent") or "",
        )
        state = [] if sale["status"] == "active" else [sale["status"]]
        about = ", ".join([*state, *sale.get("flags", [])])
        _below(to, f"{sale['kind']} of {sale['sale_date']}{about and f' ({about})'}")
        for line in sale["lines"]:
            name = line.get("product_name") or line.get("description") or "line"
            if line.get("allocations") or line.get("shortage") or line.get("returned"):
                _below(to, f"{name}: {_lots(line)}")
            elif line.get("skipped_reason") not in {None, "subtotal"}:
                _below(to, f"{name}: not counted, {line['skipped_reason']}")


def _row(  # noqa: PLR0917  (the columns)
    to: Console,
    number: str,
    customer: str,
    revenue: str,
    cost: str,
    margin: str,
    percent: str,
    style: str = "",
) -> None:
    text = f"{number:<10.10} {customer:<25.25} {revenue:>12} {cost:>11} {margin:>11} {percent:>6}"
    to.print(text, style=style, markup=False)


def _below(to: Console, text: str) -> None:
    to.print(f"           {text}", style="dim", markup=False, soft_wrap=True)


def _lots(line: Mapping[str, Any]) -> str:
    """Which lots a line took from, at what cost, and what was not in stock."""
    parts = [
        f"{_plain(a['quantity'])} of {a['lot_number']} at {_plain(a['unit_cost'])}"
        for a in line.get("allocations", [])
    ]
    parts += [
        f"{_plain(r['quantity'])} back to {r.get('lot_id') or 'what was short'}"
        f" at {_plain(r['unit_cost'])}"
        for r in line.get("returned") or ()
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
