"""`margins`: what products, channels, customers or months brought, as table, plot, CSV or JSON.

The laws of this module: a total is the sum of the rows that are shown; a spreadsheet that opens the
CSV sees numbers as numbers and never runs a text as a formula.
"""

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from local_stack import StackError
from salesync.addresses import DEFAULT_FOLDER, DataFolder
from salesync.connections import businesses
from salesync.http import CONNECTOR, PROCESSOR, Service
from salesync.summary import money

BAR_WIDTH = 36
BARS_MAX = 40
CSV_COLUMNS = (
    *("business_id", "key", "name", "sales", "quantity"),
    *("revenue", "cost", "margin", "margin_percent"),
)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A cell that starts so is a formula to a spreadsheet. Source: OWASP, CSV injection."""

Row = Mapping[str, Any]


class GroupBy(StrEnum):
    """What margins are summed by."""

    PRODUCT = "product"
    CHANNEL = "channel"
    CUSTOMER = "customer"
    MONTH = "month"


@dataclass(frozen=True)
class Total:
    """The sum of rows. `sales` is unknown by product: a sale may have several."""

    sales: int | None
    quantity: str
    revenue: str
    cost: str
    margin: str
    margin_percent: str | None


def margins(
    *,
    by: Annotated[GroupBy, typer.Option(help="What to sum by.")],
    business: Annotated[str | None, typer.Option(help="Only of this business.")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="From this sale date on, as 2026-01-31.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Up to this sale date.")] = None,
    csv_file: Annotated[
        str | None, typer.Option("--csv", metavar="FILE|-", help="Write CSV here; - is stdout.")
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the margins as bars.")] = False,
    data: DataFolder = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show revenue, cost and margin by product, channel, customer or month, with their total.

    Active sales count; those that wait or are voided do not.
    """
    with Service(CONNECTOR, data) as connector, Service(PROCESSOR, data) as processor:
        query = {"group_by": by.value, "from": from_, "to": to}
        rows = [
            {"business_id": one, **row}
            for one in ([business] if business else businesses(connector))
            for row in processor.items("businesses", one, "margins", **query)
        ]
    total = add_up(rows, by)
    if csv_file is not None:
        _export(rows, csv_file)
    if as_json:
        document = {"group_by": by.value, "rows": rows, "total": asdict(total)}
        typer.echo(json.dumps(document, indent=2))
    elif csv_file is None:
        console = Console(highlight=False)
        _show(rows, total, by, console)
        if plot:
            _plot(rows, console)


def add_up(rows: Sequence[Row], by: GroupBy) -> Total:
    """The total of rows."""

    def summed(column: str) -> Decimal:
        return sum((Decimal(row[column]) for row in rows), Decimal(0))

    revenue, margin = summed("revenue"), summed("margin")
    percent = None
    if revenue:
        percent = (100 * margin / revenue).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return Total(
        None if by is GroupBy.PRODUCT else sum(row["sales"] for row in rows),
        f"{summed('quantity'):f}",
        f"{revenue:f}",
        f"{summed('cost'):f}",
        f"{margin:f}",
        None if percent is None else f"{percent:f}",
    )


def write_csv(rows: Iterable[Row], to: TextIO) -> None:
    """Write rows; ids and names that look like a formula get an apostrophe in front."""
    writer = csv.writer(to)
    writer.writerow(CSV_COLUMNS)
    for row in rows:
        writer.writerow(
            [
                *(safe(row[column]) for column in CSV_COLUMNS[:3]),
                *(row[column] for column in CSV_COLUMNS[3:]),
            ]
        )


def safe(text: str | None) -> str:
    """A text that no spreadsheet takes for a formula."""
    if text is None:
        return ""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _export(rows: Iterable[Row], file: str) -> None:
    if file == "-":
        write_csv(rows, sys.stdout)
        return
    try:
        with Path(file).open("w", encoding="utf-8", newline="") as opened:
            write_csv(rows, opened)
    except OSError as error:
        raise StackError(
            f"The CSV cannot be written to {file}: {error.strerror}. Name another file with --csv."
        ) from error


def _show(rows: Sequence[Row], total: Total, by: GroupBy, to: Console) -> None:
    if not rows:
        to.print("There is no active sale.")
        return
    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column(by.value.capitalize(), "Total", overflow="fold")
    for title, footer in (
        ("Sales", "" if total.sales is None else str(total.sales)),
        ("Quantity", _quantity(total.quantity)),
        ("Revenue", money(Decimal(total.revenue))),
        ("Cost", money(Decimal(total.cost))),
        ("Margin", money(Decimal(total.margin))),
        ("%", total.margin_percent or ""),
    ):
        table.add_column(title, footer, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            _label(row, rows),
            str(row["sales"]),
            _quantity(row["quantity"]),
            money(Decimal(row["revenue"])),
            money(Decimal(row["cost"])),
            money(Decimal(row["margin"])),
            row["margin_percent"] or "",
        )
    to.print(table)


def _plot(rows: Sequence[Row], to: Console) -> None:
    """Bars of the margins, losses in red; of many rows those with the largest."""
    margins_of = {id(row): Decimal(row["margin"]) for row in rows}
    largest = sorted(rows, key=lambda row: -abs(margins_of[id(row)]))[:BARS_MAX]
    kept = {id(row) for row in largest}
    size = float(max((abs(margin) for margin in margins_of.values()), default=0)) or 1.0
    chart = Table.grid(padding=(0, 1))
    chart.add_column(overflow="ellipsis", no_wrap=True, max_width=24)
    chart.add_column()
    chart.add_column(justify="right", no_wrap=True)
    for row in rows:
        if id(row) in kept:
            margin = margins_of[id(row)]
            colour = "red" if margin < 0 else "green"
            bar = Bar(size, 0, float(abs(margin)), width=BAR_WIDTH, color=colour)
            chart.add_row(_label(row, rows), bar, money(margin))
    to.print()
    to.print(chart)
    if len(rows) > len(kept):
        to.print(f"The {len(kept)} largest of {len(rows)}.")


def _label(row: Row, rows: Sequence[Row]) -> Text:
    """What a row is of; its business too, where rows are of several."""
    of = f"{row['business_id']}: " if rows[0]["business_id"] != rows[-1]["business_id"] else ""
    return Text(f"{of}{row['name'] or row['key'] or '(none)'}")


def _quantity(number: str) -> str:
    value = Decimal(number)
    return f"{value:,.0f}" if value == value.to_integral_value() else f"{value.normalize():,f}"
