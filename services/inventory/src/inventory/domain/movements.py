"""Stock transactions to be: every change of stock is one, and corrections are new ones (LO3, I9).

Goods that were sold short are a transaction without a lot. What comes back to a voided lot is
followed by a `lot-void`, so that it stays out of stock.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Literal, NamedTuple

from inventory.domain.sale import Line, Sale
from inventory.domain.stock import Allocation, Lot

MovementKind = Literal[
    "receipt", "sale", "sale-reversal", "return", "return-reversal", "adjustment", "lot-void"
]
Lots = Mapping[str, Lot]

CAME_BACK = "came-back-to-void"
LEFT = "left-void"


class Movement(NamedTuple):
    """One stock transaction; `quantity` is what stock on hand changes by."""

    kind: MovementKind
    product_id: str
    lot_id: str | None
    quantity: Decimal
    unit_cost: Decimal
    sale_id: str | None = None
    revision: int | None = None
    line_id: str | None = None
    reason: str | None = None


def sold(sale: Sale, line: Line, reason: str | None = None) -> Iterator[Movement]:
    """What a sale line takes of lots, and what it is short of."""
    of_line = (sale.sale_id, sale.revision, line.line_id, reason)
    for a in line.allocations:
        yield Movement("sale", line.product_id, a.lot_id, -a.quantity, a.unit_cost, *of_line)
    if line.missing > 0:
        yield Movement("sale", line.product_id, None, -line.missing, line.average, *of_line)


def unsold(sale: Sale, line: Line, lots: Lots, reason: str | None = None) -> Iterator[Movement]:
    """What a sale line puts back, all that it held."""
    for a in line.allocations:
        yield from put_back(sale, line, a, lots, reason)
    if line.missing > 0:
        yield Movement(
            "sale-reversal",
            line.product_id,
            None,
            line.missing,
            line.average,
            sale.sale_id,
            sale.revision,
            line.line_id,
            reason,
        )


def put_back(
    sale: Sale, line: Line, a: Allocation, lots: Lots, reason: str | None = None
) -> Iterator[Movement]:
    """What a sale line puts back to one lot."""
    of_line = (sale.sale_id, sale.revision, line.line_id, reason)
    yield Movement("sale-reversal", line.product_id, a.lot_id, a.quantity, a.unit_cost, *of_line)
    if lots[a.lot_id].voided:
        yield _void(line, a.lot_id, -a.quantity, a.unit_cost, CAME_BACK)


def returned(sale: Sale, line: Line, lots: Lots, reason: str | None = None) -> Iterator[Movement]:
    """What a return line gives back."""
    of_line = (sale.sale_id, sale.revision, line.line_id, reason)
    for r in line.returned:
        yield Movement("return", line.product_id, r.lot_id, r.quantity, r.unit_cost, *of_line)
        if r.lot_id is not None and lots[r.lot_id].voided:
            yield _void(line, r.lot_id, -r.quantity, r.unit_cost, CAME_BACK)


def unreturned(sale: Sale, line: Line, lots: Lots, reason: str | None = None) -> Iterator[Movement]:
    """What leaves again when a return line is taken off."""
    of_line = (sale.sale_id, sale.revision, line.line_id, reason)
    for r in line.returned:
        yield Movement(
            "return-reversal", line.product_id, r.lot_id, -r.quantity, r.unit_cost, *of_line
        )
        if r.lot_id is not None and lots[r.lot_id].voided:
            yield _void(line, r.lot_id, r.quantity, r.unit_cost, LEFT)


def swapped(sale: Sale, line: Line, a: Allocation) -> Iterator[Movement]:
    """The goods sold short come back, the goods of a lot go out."""
    of_line = (sale.sale_id, sale.revision, line.line_id, "shortage-settled")
    yield Movement("sale-reversal", line.product_id, None, a.quantity, line.average, *of_line)
    yield Movement("sale", line.product_id, a.lot_id, -a.quantity, a.unit_cost, *of_line)


def _void(line: Line, lot_id: str, quantity: Decimal, cost: Decimal, reason: str) -> Movement:
    return Movement("lot-void", line.product_id, lot_id, quantity, cost, reason=reason)
