"""`verify`: the invariants that each service keeps, and whether the services agree.

The law of this module: it reads and compares, and changes nothing. Messages on their way make two
services differ for a moment, so a difference counts only if it stays.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Console

from salesync.addresses import DEFAULT_FOLDER, DataFolder
from salesync.connections import businesses
from salesync.http import CONNECTOR, INVENTORY, PROCESSOR, Service

LOTS_COMPARED = 2_000
SETTLE_SECONDS_MAX = 20.0
SETTLE_SECONDS_STEP = 0.5
VIOLATIONS_SHOWN_MAX = 5

Taken = dict[tuple[str, str, str], tuple[Decimal, Decimal]]
"""Quantity and unit cost that a sale line took of a lot, by sale, line and lot."""


@dataclass
class Check:
    """An invariant, and what breaks it."""

    service: str
    invariant: str
    description: str
    violations: list[Any] = field(default_factory=list)


def verify(
    business: Annotated[str | None, typer.Option(help="Check this business only.")] = None,
    lots: Annotated[
        int, typer.Option(min=1, help="Lots of a business to compare between services, at most.")
    ] = LOTS_COMPARED,
    data: DataFolder = DEFAULT_FOLDER,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check that the books are right: every invariant of every service, and between them.

    Each service checks its own database. Then the lots that sales say they took are compared with
    the sales that lots say they gave to. The exit code is 1 if anything is wrong.
    """
    with (
        Service(CONNECTOR, data) as connector,
        Service(PROCESSOR, data) as processor,
        Service(INVENTORY, data) as inventory,
    ):
        checks = [
            Check(report["service"], one["invariant"], one["description"], one["violations"])
            for service in (connector, processor, inventory)
            for report in [service.get("verify", business_id=business)]
            for one in report["checks"]
        ]
        checks += _across(
            processor, inventory, [business] if business else businesses(connector), lots
        )
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2, default=str))
    else:
        _print(checks)
    if any(check.violations for check in checks):
        raise typer.Exit(1)


def _across(processor: Service, inventory: Service, names: list[str], lots: int) -> Iterator[Check]:
    """What no service can see alone."""
    costs = Check("between services", "I3", "sales and inventory agree on lots taken and costs")
    for name in names:
        costs.violations += _settled_differences(processor, inventory, name, lots)
    yield costs


def _settled_differences(
    processor: Service, inventory: Service, business: str, lots: int
) -> list[str]:
    """Differences that do not go away while messages arrive."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        differences = _differences(processor, inventory, business, lots)
        if not differences or time.monotonic() > deadline:
            return differences
        time.sleep(SETTLE_SECONDS_STEP)


def _differences(processor: Service, inventory: Service, business: str, lots: int) -> list[str]:
    given, complete = _given(inventory, business, lots)
    compared = {lot for _, _, lot in given}
    sales = {sale for sale, _, _ in given}
    taken = {
        place: amount
        for place, amount in _taken(processor, business, None if complete else sales).items()
        if complete or place[2] in compared
    }
    return [
        f"business {business}, sale {sale}, line {line}, lot {lot}:"
        f" the sale took {_words(taken.get(place))}, the lot gave {_words(given.get(place))}"
        for place in sorted(taken.keys() | given.keys())
        for sale, line, lot in [place]
        if taken.get(place) != given.get(place)
    ]


def _given(inventory: Service, business: str, lots: int) -> tuple[Taken, bool]:
    """What lots say that they gave to sales, and whether these were all lots."""
    found = (
        lot
        for product in inventory.items("businesses", business, "products")
        for lot in inventory.items(
            "businesses", business, "products", product["product_id"], "lots"
        )
    )
    given: Taken = {}
    for lot in islice(found, lots):
        for user in inventory.get("businesses", business, "lots", lot["lot_id"])["sales"]:
            _add(given, (user["sale_id"], user["line_id"], lot["lot_id"]), user)
    return given, next(found, None) is None


def _taken(processor: Service, business: str, only: set[str] | None) -> Taken:
    """What sales say that they took of lots."""
    taken: Taken = {}
    sales: Iterator[dict[str, Any]] = (
        processor.items("businesses", business, "sales", status="active")
        if only is None
        else (processor.get("businesses", business, "sales", sale) for sale in sorted(only))
    )
    for sale in sales:
        for line in sale["lines"]:
            for allocation in line["allocations"]:
                _add(taken, (sale["sale_id"], line["line_id"], allocation["lot_id"]), allocation)
    return taken


def _add(taken: Taken, place: tuple[str, str, str], part: dict[str, Any]) -> None:
    """Count a part in; a line may take from a lot more than once."""
    before = taken.get(place, (Decimal(0), Decimal(0)))[0]
    taken[place] = before + Decimal(part["quantity"]), Decimal(part["unit_cost"])


def _words(amount: tuple[Decimal, Decimal] | None) -> str:
    return "nothing" if amount is None else f"{amount[0].normalize():f} at {amount[1]:f}"


def _print(checks: list[Check]) -> None:
    console = Console(highlight=False)
    service = ""
    for check in checks:
        if check.service != service:
            service = check.service
            console.print(service, style="bold")
        mark = "[red]broken[/]" if check.violations else "[green]ok[/]    "
        console.print(f"  {check.invariant:5} {mark} {check.description}", soft_wrap=True)
        for violation in check.violations[:VIOLATIONS_SHOWN_MAX]:
            text = violation if isinstance(violation, str) else json.dumps(violation, default=str)
            console.print(f"{check.service} {check.invariant}: {text}", markup=False)
    broken = sum(bool(check.violations) for check in checks)
    if broken:
        console.print(f"[red]{broken} of {len(checks)} invariants are broken.[/]")
    else:
        console.print(f"All {len(checks)} invariants hold.")
