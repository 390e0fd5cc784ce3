"""Whether sales and inventory agree on the goods behind each sale.

The law of this module: messages on their way make two services differ for a moment, so a difference
counts only if it stays. Products are compared by digests of all their parts; where one differs, the
parts themselves are, as far as they are asked for.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any

from salesync.http import Service

BETWEEN = "between services"
SETTLE_SECONDS_MAX = 20.0
SETTLE_SECONDS_STEP = 0.5
PRODUCTS_SHOWN_MAX = 20

Taken = dict[tuple[str, str, str], tuple[Decimal, Decimal]]
"""Quantity and unit cost that a sale line took of a lot, by sale, line and lot."""


@dataclass
class Check:
    """A check: of which invariant, what holds, and what breaks it; notes are no faults."""

    service: str
    invariant: str
    description: str
    violations: list[Any] = field(default_factory=list)
    name: str = ""
    more: bool = False
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def settled(find: Callable[[], list[str]]) -> list[str]:
    """Differences that do not go away while messages arrive."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        differences = find()
        if not differences or time.monotonic() > deadline:
            return differences
        time.sleep(SETTLE_SECONDS_STEP)


def goods(processor: Service, inventory: Service, business: str | None, lots: int) -> Check:
    """What sales say that they took of lots is what inventory says that it gave."""
    began = time.monotonic()
    violations = settled(lambda: _goods_differences(processor, inventory, business, lots))
    return Check(
        BETWEEN,
        "I3",
        "sales and inventory agree on lots taken and costs",
        violations[:PRODUCTS_SHOWN_MAX],
        name="i3_between_services",
        more=len(violations) > PRODUCTS_SHOWN_MAX,
        seconds=round(time.monotonic() - began, 3),
    )


def _goods_differences(
    processor: Service, inventory: Service, business: str | None, lots: int
) -> list[str]:
    with ThreadPoolExecutor() as pool:
        held, given = pool.map(lambda service: _totals(service, business), (processor, inventory))
    nothing = ("0", "0")
    found: list[str] = []
    for place in sorted(held.keys() | given.keys()):
        ours, theirs = held.get(place, nothing), given.get(place, nothing)
        if ours != theirs and len(found) <= PRODUCTS_SHOWN_MAX:
            parts = list(_differences(processor, inventory, *place, lots))
            whole = (
                f"business {place[0]}, product {place[1]}: sales hold {ours[0]},"
                f" inventory gave {theirs[0]}, and the parts differ (a shortage or a return,"
                f" or beyond the first {lots} lots)"
            )
            found += parts or [whole]
    return found


def _totals(service: Service, business: str | None) -> dict[tuple[str, str], tuple[str, str]]:
    """Quantity and digest by business and product."""
    return {
        (one["business_id"], one["product_id"]): (one["quantity"], one["digest"])
        for one in service.get("verify", "goods", business_id=business)["items"]
    }


def _differences(
    processor: Service, inventory: Service, business: str, product: str, lots: int
) -> Iterator[str]:
    """Parts of a product that the two services do not say alike."""
    given, compared = _given(inventory, business, product, lots)
    taken = {
        place: amount
        for place, amount in _taken(processor, business, product).items()
        if compared is None or place[2] in compared
    }
    for place in sorted(taken.keys() | given.keys()):
        if taken.get(place) != given.get(place):
            sale, line, lot = place
            took, gave = _words(taken.get(place)), _words(given.get(place))
            yield (
                f"business {business}, sale {sale}, line {line}, lot {lot}:"
                f" the sale took {took}, the lot gave {gave}"
            )


def _given(
    inventory: Service, business: str, product: str, lots: int
) -> tuple[Taken, set[str] | None]:
    """What lots say that they gave to sales, and which lots, None if all of them."""
    found = inventory.items("businesses", business, "products", product, "lots")
    given: Taken = {}
    seen: set[str] = set()
    for lot in islice(found, lots):
        seen.add(lot["lot_id"])
        for user in inventory.get("businesses", business, "lots", lot["lot_id"])["sales"]:
            _add(given, (user["sale_id"], user["line_id"], lot["lot_id"]), user)
    return given, None if next(found, None) is None else seen


def _taken(processor: Service, business: str, product: str) -> Taken:
    """What sales say that they took of a product's lots."""
    taken: Taken = {}
    for sale in processor.items(
        "businesses", business, "sales", status="active", product_id=product
    ):
        for line in sale["lines"]:
            if line["product_id"] == product:
                for part in line["allocations"]:
                    if Decimal(part["quantity"]) > 0:
                        _add(taken, (sale["sale_id"], line["line_id"], part["lot_id"]), part)
    return taken


def _add(taken: Taken, place: tuple[str, str, str], part: dict[str, Any]) -> None:
    """Count a part in; a line may take from a lot more than once."""
    before = taken.get(place, (Decimal(0), Decimal(0)))[0]
    taken[place] = before + Decimal(part["quantity"]), Decimal(part["unit_cost"])


def _words(amount: tuple[Decimal, Decimal] | None) -> str:
    return "nothing" if amount is None else f"{amount[0].normalize():f} at {amount[1]:f}"
