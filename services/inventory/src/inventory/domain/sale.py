"""What documents hold of stock: sale lines took goods, return lines gave some of them back.

The laws of this module (I2, I3, SA8):

- What a sale line holds and what it is short of add up to its quantity; goods that were returned
  stay on it, marked, so that its cost does not move. Of equal goods of a line (one lot, one cost)
  those taken last are the ones that were returned.
- Units that were short carry one average a line, in the sale and, negated, in the return.
- A line's cost is rounded once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, NamedTuple

from inventory.domain.money import PLACES, ZERO, rounded
from inventory.domain.stock import Allocation

ReturnMode = Literal["original-lots", "return-lot"]


class Demand(NamedTuple):
    """What a line wants; negative gives goods back. Its cost has so many places."""

    line_id: str
    product_id: str
    quantity: Decimal
    places: int = PLACES


class Returned(NamedTuple):
    """Goods that a return line gave back at an operation of the product's stock.

    Without a lot they lower what their source is short of; without a source they are a return lot.
    """

    source_sale_id: str | None
    source_line_id: str | None
    lot_id: str | None
    quantity: Decimal
    unit_cost: Decimal
    given: int = 0


@dataclass(frozen=True)
class Line:
    """What one line took, or gave back where `quantity` is negative; its cost has so many `places`.

    `short` of it was missing, `open` of that still is; `short_returned` came back while missing.
    """

    line_id: str
    product_id: str
    quantity: Decimal
    allocations: tuple[Allocation, ...]
    short: Decimal = ZERO
    open: Decimal = ZERO
    average: Decimal = ZERO
    uncosted: bool = False
    short_returned: Decimal = ZERO
    returned: tuple[Returned, ...] = ()
    places: int = PLACES

    @cached_property
    def cost(self) -> Decimal:
        """What the line cost, rounded once; negative for a return."""
        if self.quantity < 0:
            given = sum((r.quantity * r.unit_cost for r in self.returned), ZERO)
            return rounded(-given, self.places)
        cost = sum((a.quantity * a.unit_cost for a in self.allocations), ZERO)
        if self.short:
            cost += self.missing * self.average
        return rounded(cost, self.places)

    @property
    def demand(self) -> Demand:
        """What the line wants."""
        return Demand(self.line_id, self.product_id, self.quantity, self.places)

    @property
    def missing(self) -> Decimal:
        """What no lot stands behind, whether it was returned or not."""
        return self.open + self.short_returned

    @property
    def told(self) -> tuple[object, ...]:
        """All of the line that `sale-costed` tells."""
        return (
            self.line_id,
            self.product_id,
            self.quantity,
            held(self.allocations),
            (self.short, self.open, self.short_returned, self.average, self.uncosted),
            gave(self.returned),
        )


@dataclass(frozen=True)
class Sale:
    """What a document holds at its applied revision; `order` is when it was first recorded."""

    sale_id: str
    revision: int
    costing: int
    sale_date: date
    customer_external_id: str | None
    order: int
    lines: tuple[Line, ...]
    returns: ReturnMode = "original-lots"

    @cached_property
    def cost(self) -> Decimal:
        """The sum of the line costs."""
        return sum((line.cost for line in self.lines), ZERO)

    @property
    def place(self) -> tuple[date, int]:
        """Where the document stands in the calendar."""
        return self.sale_date, self.order

    @property
    def told(self) -> tuple[object, ...]:
        """All of the document that `sale-costed` tells."""
        return tuple(line.told for line in self.lines)

    def line(self, line_id: str) -> Line:
        """The line of this id."""
        return next(line for line in self.lines if line.line_id == line_id)

    def with_lines(self, lines: tuple[Line, ...]) -> "Sale":
        """The document with other lines."""
        return Sale(
            self.sale_id,
            self.revision,
            self.costing,
            self.sale_date,
            self.customer_external_id,
            self.order,
            lines,
            self.returns,
        )

    def with_line(self, changed: Line) -> "Sale":
        """The document with one line replaced."""
        lines = (changed if line.line_id == changed.line_id else line for line in self.lines)
        return self.with_lines(tuple(lines))

    def with_lines_of(self, other: "Sale") -> "Sale":
        """The document with the lines and the costing of another that has some of its lines."""
        changed = {line.line_id: line for line in other.lines}
        lines = (changed.get(line.line_id, line) for line in self.lines)
        return replace(self, costing=other.costing, lines=tuple(lines))


def held(allocations: Sequence[Allocation]) -> tuple[tuple[str, Decimal, Decimal], ...]:
    """Lots with unit cost and quantity, each once, in the order of taking."""
    if len(allocations) == 1:
        only = allocations[0]
        return ((only.lot_id, only.unit_cost, only.quantity),)
    merged: dict[tuple[str, Decimal], Decimal] = {}
    for a in allocations:
        key = (a.lot_id, a.unit_cost)
        merged[key] = merged.get(key, ZERO) + a.quantity
    return tuple((lot_id, cost, quantity) for (lot_id, cost), quantity in merged.items())


def gave(returned: Sequence[Returned]) -> tuple[tuple[Any, ...], ...]:
    """Sources with lot, unit cost and quantity, each once, in the order of giving back."""
    if not returned:
        return ()
    merged: dict[tuple[object, ...], Decimal] = {}
    for r in returned:
        key = (r.source_sale_id, r.source_line_id, r.lot_id, r.unit_cost)
        merged[key] = merged.get(key, ZERO) + r.quantity
    return tuple((*key, quantity) for key, quantity in merged.items())


def give_back(line: Line, wanted: Decimal, index: int) -> tuple[Line, Decimal]:
    """Mark goods of one allocation as returned, or of what is missing (index -1); what was left."""
    if index < 0:
        quantity = min(wanted, line.open)
        changed = replace(
            line, open=line.open - quantity, short_returned=line.short_returned + quantity
        )
        return changed, wanted - quantity
    allocation = line.allocations[index]
    quantity = min(wanted, allocation.quantity - allocation.returned)
    back = allocation._replace(returned=allocation.returned + quantity)
    return _with_allocation(line, index, back), wanted - quantity


def take_off(line: Line, part: Returned) -> Line:
    """The source line without this return's mark."""
    if part.lot_id is None:
        return replace(
            line,
            open=line.open + part.quantity,
            short_returned=line.short_returned - part.quantity,
        )
    left = part.quantity
    for index, a in enumerate(line.allocations):
        if (a.lot_id, a.unit_cost) == (part.lot_id, part.unit_cost) and a.returned > 0:
            quantity = min(left, a.returned)
            line = _with_allocation(line, index, a._replace(returned=a.returned - quantity))
            left -= quantity
    if left:
        raise ValueError(f"Line {line.line_id} lacks {left} returned of lot {part.lot_id}.")
    return line


def give_up(line: Line, lot_id: str, wanted: Decimal) -> tuple[Line, list[Allocation]]:
    """The line without goods of a lot, the last taken first, but none that are returned."""
    allocations: list[Allocation] = []
    given: list[Allocation] = []
    for a in reversed(line.allocations):
        if a.lot_id == lot_id and wanted > 0 and a.quantity > a.returned:
            quantity = min(wanted, a.quantity - a.returned)
            given.append(a._replace(quantity=quantity, returned=ZERO))
            wanted -= quantity
            if quantity == a.quantity:
                continue
            allocations.append(a._replace(quantity=a.quantity - quantity))
        else:
            allocations.append(a)
    return replace(line, allocations=tuple(reversed(allocations))), given


def taken_anew(line: Line, more: Line) -> Line:
    """The line with what it took anew for what it gave up.

    A line that is short already keeps its average: what returns carry of it can't change.
    """
    allocations = _extended(line.allocations, *more.allocations)
    if not more.open:
        return replace(line, allocations=allocations)
    keeps = line.missing > 0
    return replace(
        line,
        allocations=allocations,
        short=max(line.short if keeps else ZERO, line.missing + more.open),
        open=line.open + more.open,
        average=line.average if keeps else more.average,
        uncosted=line.uncosted if keeps else more.uncosted,
    )


def settled(line: Line, allocation: Allocation) -> Line:
    """The line with goods of a lot for part of what it was short of."""
    left = line.open - allocation.quantity
    return replace(
        line,
        allocations=_extended(line.allocations, allocation),
        open=left,
        uncosted=line.uncosted and left + line.short_returned > 0,
    )


def _with_allocation(line: Line, index: int, changed: Allocation) -> Line:
    return replace(
        line, allocations=(*line.allocations[:index], changed, *line.allocations[index + 1 :])
    )


def marks(allocations: Iterable[Allocation]) -> dict[tuple[str, Decimal], Decimal]:
    """What was returned of each lot at each cost."""
    found: dict[tuple[str, Decimal], Decimal] = {}
    for a in allocations:
        if a.returned:
            found[a.lot_id, a.unit_cost] = found.get((a.lot_id, a.unit_cost), ZERO) + a.returned
    return found


def marked(
    allocations: Iterable[Allocation], returned: dict[tuple[str, Decimal], Decimal]
) -> tuple[Allocation, ...]:
    """Allocations of which this much was returned; of equal goods those taken last."""
    left = dict(returned)
    found = []
    for a in reversed(tuple(allocations)):
        key = (a.lot_id, a.unit_cost)
        back = min(a.quantity, left.get(key, ZERO))
        if back:
            left[key] -= back
        found.append(a._replace(returned=back))
    return tuple(reversed(found))


def _extended(held: tuple[Allocation, ...], *more: Allocation) -> tuple[Allocation, ...]:
    """More goods at the end; of equal goods the marks of returns move to the last."""
    returned = marks(held)
    return marked((*held, *more), returned) if returned else (*held, *more)
