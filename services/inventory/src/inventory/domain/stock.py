"""First in, first out: what a sale takes from the lots of a product, and how it comes back.

The laws of this module (LO1, LO2, SA2, SA5, SA6, SA9):

- Lots are taken by received date, then by the order in which they were recorded, then by id.
- What is missing is costed at the average of the open lots before the sale took from them; else at
  the last average known; else at the purchase cost; else at 0, flagged.
- What comes back goes to exactly the lots that it came from.
- Whatever is then in stock settles open shortages, so that no product has open lots and open
  shortages at once.
"""

from bisect import insort
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Literal

from inventory.domain.money import ZERO, to_cents, weighted_average

MovementKind = Literal["receipt", "sale", "sale-reversal", "adjustment", "lot-void"]


@dataclass(slots=True)
class Lot:
    """A batch of a product with one unit cost; `changed` says that it must be saved."""

    lot_id: str
    product_id: str
    lot_number: str
    received_on: date
    sequence: int
    quantity_received: Decimal
    quantity_remaining: Decimal
    quantity_adjusted: Decimal
    quantity_voided: Decimal
    unit_cost: Decimal
    unit_cost_received: Decimal
    voided: bool
    changed: bool = False
    new: bool = False

    @property
    def place(self) -> tuple[date, int, str]:
        """Where the lot stands in the order of taking (LO1)."""
        return self.received_on, self.sequence, self.lot_id

    @property
    def status(self) -> str:
        """`active`, `exhausted` or `voided` (LO2)."""
        if self.voided:
            return "voided"
        return "active" if self.quantity_remaining > 0 else "exhausted"


@dataclass(frozen=True, slots=True)
class Allocation:
    """Goods that a line holds of one lot."""

    lot_id: str
    quantity: Decimal
    unit_cost: Decimal


@dataclass(frozen=True)
class Line:
    """What one sale line took. `short` of it was missing, `open` of that still is."""

    line_id: str
    product_id: str
    quantity: Decimal
    allocations: tuple[Allocation, ...]
    short: Decimal = ZERO
    open: Decimal = ZERO
    average: Decimal = ZERO
    uncosted: bool = False

    @cached_property
    def cost(self) -> Decimal:
        """What the line cost, rounded once."""
        return to_cents(
            sum((a.quantity * a.unit_cost for a in self.allocations), ZERO)
            + self.open * self.average
        )


@dataclass(frozen=True)
class Sale:
    """What a sale took at its applied revision; `order` is when it was first recorded."""

    sale_id: str
    revision: int
    costing: int
    sale_date: date
    customer_external_id: str | None
    order: int
    lines: tuple[Line, ...]

    @cached_property
    def cost(self) -> Decimal:
        """The sum of the line costs."""
        return sum((line.cost for line in self.lines), ZERO)


@dataclass(frozen=True, slots=True)
class Movement:
    """One stock transaction to be; `quantity` is what stock on hand changes by."""

    kind: MovementKind
    product_id: str
    lot_id: str | None
    quantity: Decimal
    unit_cost: Decimal
    sale_id: str | None = None
    revision: int | None = None
    line_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Demand:
    """What a line wants."""

    line_id: str
    product_id: str
    quantity: Decimal


@dataclass
class Stock:
    """The lots of one product that matter now, in the order of taking."""

    product_id: str
    lots: list[Lot] = field(default_factory=list)
    last_average_cost: Decimal | None = None
    purchase_cost: Decimal | None = None
    _by_id: dict[str, Lot] = field(default_factory=dict)
    _first_open: int = 0

    def __post_init__(self) -> None:
        self.lots.sort(key=lambda lot: lot.place)
        self._by_id = {lot.lot_id: lot for lot in self.lots}

    def add(self, lot: Lot) -> None:
        """Put a lot in its place."""
        insort(self.lots, lot, key=lambda other: other.place)
        self._by_id[lot.lot_id] = lot
        self._first_open = 0

    def lot(self, lot_id: str) -> Lot:
        """A lot that was loaded."""
        return self._by_id[lot_id]

    def open_lots(self) -> list[Lot]:
        """The lots that something remains of, in the order of taking."""
        return [lot for lot in self.lots[self._first_open :] if lot.quantity_remaining > 0]

    def is_open(self) -> bool:
        """Whether anything remains."""
        self._skip_exhausted()
        return self._first_open < len(self.lots)

    def average_cost(self) -> Decimal | None:
        """The average of the open lots, weighted by what remains; None without open lots."""
        return weighted_average(
            [(lot.quantity_remaining, lot.unit_cost) for lot in self.open_lots()]
        )

    def take(self, wanted: Decimal) -> tuple[list[Allocation], Decimal]:
        """Take goods, oldest lot first; returns what was taken and what is missing."""
        taken = []
        while wanted > 0 and self.is_open():
            lot = self.lots[self._first_open]
            quantity = min(wanted, lot.quantity_remaining)
            lot.quantity_remaining -= quantity
            lot.changed = True
            wanted -= quantity
            taken.append(Allocation(lot.lot_id, quantity, lot.unit_cost))
        return taken, wanted

    def put_back(self, allocation: Allocation) -> Decimal:
        """Return goods to their lot; the quantity that stays out since the lot is voided (LO2)."""
        lot = self._by_id[allocation.lot_id]
        lot.changed = True
        if lot.voided:
            lot.quantity_voided += allocation.quantity
            return allocation.quantity
        lot.quantity_remaining += allocation.quantity
        self._first_open = 0
        return ZERO

    def reopened(self) -> None:
        """Say that a lot got more goods by other means than `put_back`."""
        self._first_open = 0

    def _skip_exhausted(self) -> None:
        while (
            self._first_open < len(self.lots)
            and self.lots[self._first_open].quantity_remaining <= 0
        ):
            self._first_open += 1


@dataclass(frozen=True)
class Effect:
    """What an operation on a sale did, for the ledger and for the events.

    `stranded` are goods that came back to a voided lot: (lot id, quantity).
    """

    sale: Sale
    movements: tuple[Movement, ...]
    stranded: tuple[tuple[str, Decimal], ...]


def consume(
    stocks: dict[str, Stock],
    before: Sale | None,
    desired: Sale,
    demands: "list[Demand]",
) -> Effect:
    """Put back what a sale held and take what it now wants (SA5, SA6).

    `desired` names the sale's new revision; its lines are ignored. Lines that end up holding what
    they held leave no movements.
    """
    old_lines = before.lines if before else ()
    stranded: list[tuple[str, Decimal]] = []
    for line in old_lines:
        for allocation in line.allocations:
            left_out = stocks[line.product_id].put_back(allocation)
            if left_out:
                stranded.append((allocation.lot_id, left_out))
    new_lines = _take_all(stocks, demands)
    held = {line.line_id: line for line in old_lines}
    unmoved = {
        line.line_id
        for line in new_lines
        if (old := held.get(line.line_id)) is not None and _holds_the_same(old, line)
    }
    voided_lots = {lot_id for lot_id, _ in stranded}
    movements: list[Movement] = []
    for line in old_lines:
        if line.line_id not in unmoved:
            movements += _reversals(line, desired, voided_lots)
    for line in new_lines:
        if line.line_id not in unmoved:
            movements += _takings(line, desired)
    sale = replace(desired, lines=tuple(new_lines), costing=1)
    return Effect(sale, tuple(movements), tuple(stranded))


def _take_all(stocks: dict[str, Stock], demands: "list[Demand]") -> list[Line]:
    """Take for every line in order; what is missing is costed at the average before the sale."""
    taken_so_far: dict[str, list[tuple[Decimal, Decimal]]] = {}
    lines = []
    for demand in demands:
        stock = stocks[demand.product_id]
        allocations, missing = stock.take(demand.quantity)
        of_product = taken_so_far.setdefault(demand.product_id, [])
        of_product += [(a.quantity, a.unit_cost) for a in allocations]
        if not stock.is_open() and of_product:
            # The sale took all that was open, so what it took is what was open before it.
            stock.last_average_cost = weighted_average(of_product)
        average: Decimal | None = ZERO
        if missing > 0:
            average = stock.last_average_cost
            if average is None:
                average = stock.purchase_cost
        lines.append(
            Line(
                line_id=demand.line_id,
                product_id=demand.product_id,
                quantity=demand.quantity,
                allocations=tuple(allocations),
                short=missing,
                open=missing,
                average=ZERO if average is None else average,
                uncosted=average is None,
            )
        )
    return lines


def _holds_the_same(old: Line, new: Line) -> bool:
    return (
        old.product_id == new.product_id
        and old.allocations == new.allocations
        and old.open == new.open
    )


def _reversals(line: Line, sale: Sale, voided_lots: set[str]) -> list[Movement]:
    movements = []
    for a in line.allocations:
        common = (line.product_id, a.lot_id)
        movements.append(
            Movement(
                "sale-reversal",
                *common,
                a.quantity,
                a.unit_cost,
                sale.sale_id,
                sale.revision,
                line.line_id,
            )
        )
        if a.lot_id in voided_lots:
            movements.append(
                Movement("lot-void", *common, -a.quantity, a.unit_cost, reason="came-back-to-void")
            )
    if line.open > 0:
        movements.append(
            Movement(
                "sale-reversal",
                line.product_id,
                None,
                line.open,
                line.average,
                sale.sale_id,
                sale.revision,
                line.line_id,
            )
        )
    return movements


def _takings(line: Line, sale: Sale) -> list[Movement]:
    movements = [
        Movement(
            "sale",
            line.product_id,
            a.lot_id,
            -a.quantity,
            a.unit_cost,
            sale.sale_id,
            sale.revision,
            line.line_id,
        )
        for a in line.allocations
    ]
    if line.open > 0:
        movements.append(
            Movement(
                "sale",
                line.product_id,
                None,
                -line.open,
                line.average,
                sale.sale_id,
                sale.revision,
                line.line_id,
            )
        )
    return movements


@dataclass(frozen=True, slots=True)
class Settlement:
    """Goods of a lot that now stand behind part of an open shortage."""

    sale: Sale
    line_id: str
    allocation: Allocation
    movements: tuple[Movement, ...]


def settle(stock: Stock, waiting: "list[Sale]") -> list[Settlement]:
    """Let open lots settle the open shortages of a product, oldest first (SA9).

    `waiting` are sales with lines short of this product, by sale date, then by the order in which
    they were first recorded. A sale with several parts settled appears once for each, the last with
    all of them.
    """
    settlements: list[Settlement] = []
    available = [(lot.quantity_remaining, lot.unit_cost) for lot in stock.open_lots()]
    for current in waiting:
        sale = current
        for line in current.lines:
            if line.product_id != stock.product_id or line.open <= 0:
                continue
            allocations, _ = stock.take(line.open)
            for allocation in allocations:
                sale = _settled(sale, line.line_id, allocation)
                settlements.append(
                    Settlement(sale, line.line_id, allocation, _swap(line, sale, allocation))
                )
        if not stock.is_open():
            break
    if settlements and not stock.is_open():
        stock.last_average_cost = weighted_average(available)
    return settlements


def _settled(sale: Sale, line_id: str, allocation: Allocation) -> Sale:
    lines = tuple(
        replace(
            line,
            allocations=(*line.allocations, allocation),
            open=line.open - allocation.quantity,
            uncosted=line.uncosted and line.open > allocation.quantity,
        )
        if line.line_id == line_id
        else line
        for line in sale.lines
    )
    return replace(sale, lines=lines)


def _swap(line: Line, sale: Sale, allocation: Allocation) -> tuple[Movement, ...]:
    """The goods sold short come back, the goods of the lot go out."""
    return (
        Movement(
            "sale-reversal",
            line.product_id,
            None,
            allocation.quantity,
            line.average,
            sale.sale_id,
            sale.revision,
            line.line_id,
            "shortage-settled",
        ),
        Movement(
            "sale",
            line.product_id,
            allocation.lot_id,
            -allocation.quantity,
            allocation.unit_cost,
            sale.sale_id,
            sale.revision,
            line.line_id,
            "shortage-settled",
        ),
    )
