"""The lots of a product: taken first in, first out; what comes back goes to its own lot.

The laws of this module (LO1, LO2):

- Lots are taken by received date, then by the order in which they were recorded, then by id.
- A voided lot is never taken; what comes back to it stays out of stock, in `quantity_voided`.
- A lot may hold less than nothing only inside an operation.
- A lot without a number is numbered by its date and how many were recorded. Whoever chooses such a
  number moves the count beyond it, so no lot is given it later.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from inventory.domain.money import ZERO, weighted_average

_NOTHING: Mapping[str, Decimal] = {}
_GIVEN_NUMBER = re.compile(r"[0-9]{8}-([0-9]+)")
_COUNT_DIGITS_MAX = 15


@dataclass(slots=True)
class Lot:
    """A batch of a product with one unit cost; `changed` says that it must be saved.

    `return_sale_id` names the document whose leftover goods a return lot is; its
    `quantity_received` is what that document gives now.
    """

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
    return_sale_id: str | None = None
    changed: bool = False
    new: bool = False

    @property
    def place(self) -> tuple[date, int, str]:
        """Where the lot stands in the order of taking (LO1)."""
        return self.received_on, self.sequence, self.lot_id

    @property
    def balance(self) -> Decimal:
        """What is there: in stock, or set aside if the lot is voided."""
        return self.quantity_voided if self.voided else self.quantity_remaining

    @property
    def touched(self) -> bool:
        """Whether somebody set its cost or adjusted it."""
        return self.unit_cost != self.unit_cost_received or self.quantity_adjusted != 0


class Allocation(NamedTuple):
    """Goods that a line took of one lot at an operation of the product's stock, some returned."""

    lot_id: str
    quantity: Decimal
    unit_cost: Decimal
    taken: int = 0
    returned: Decimal = ZERO


@dataclass
class Stock:
    """The lots of one product that matter now, in the order of taking, and its counters.

    `operations` counts the operations that took goods or gave them back.
    """

    product_id: str
    lots: list[Lot] = field(default_factory=list)
    last_average_cost: Decimal | None = None
    purchase_cost: Decimal | None = None
    on_hand: Decimal = ZERO
    on_hand_before: Decimal = ZERO
    lots_recorded: int = 0
    operations: int = 0
    changed: bool = False
    _by_id: dict[str, Lot] = field(default_factory=dict)
    _by_number: dict[str, list[Lot]] = field(default_factory=dict)
    _first_open: int = 0

    def __post_init__(self) -> None:
        self.lots.sort(key=lambda lot: lot.place)
        self._by_id = {lot.lot_id: lot for lot in self.lots}
        self._by_number = {}
        for lot in self.lots:
            self._by_number.setdefault(lot.lot_number, []).append(lot)

    def begin(self) -> None:
        """Start an operation."""
        self.operations += 1
        self.changed = True

    def record(
        self,
        lot_id: str,
        *,
        quantity: Decimal,
        unit_cost: Decimal,
        received_on: date,
        lot_number: str | None = None,
        return_sale_id: str | None = None,
    ) -> Lot:
        """Put a new lot in its place; without a number it gets its date and place as one."""
        sequence = self.lots_recorded + 1
        self.lots_recorded = max(sequence, _count_in(lot_number or ""))
        lot = Lot(
            lot_id=lot_id,
            product_id=self.product_id,
            lot_number=lot_number or f"{received_on:%Y%m%d}-{sequence}",
            received_on=received_on,
            sequence=sequence,
            quantity_received=quantity,
            quantity_remaining=quantity,
            quantity_adjusted=ZERO,
            quantity_voided=ZERO,
            unit_cost=unit_cost,
            unit_cost_received=unit_cost,
            voided=False,
            return_sale_id=return_sale_id,
            changed=True,
            new=True,
        )
        self.changed = True
        self.add(lot)
        return lot

    def expect(self, lot: Lot) -> None:
        """Know a lot that is not there yet: nothing is taken of it until it is added."""
        self._by_id[lot.lot_id] = lot

    def add(self, lot: Lot) -> None:
        """Put a lot in its place."""
        place = self._place_of(lot)
        self.lots.insert(place, lot)
        self._by_id[lot.lot_id] = lot
        self._by_number.setdefault(lot.lot_number, []).append(lot)
        self._first_open = min(self._first_open, place)

    def lot(self, lot_id: str) -> Lot:
        """A lot that was loaded."""
        return self._by_id[lot_id]

    def is_active(self, lot_number: str) -> bool:
        """Whether anything remains of a lot of this number."""
        return any(lot.quantity_remaining > 0 for lot in self._by_number.get(lot_number, ()))

    def open_lots(self) -> list[Lot]:
        """The lots that something remains of, in the order of taking."""
        return [lot for lot in self.lots[self._first_open :] if lot.quantity_remaining > 0]

    def is_open(self) -> bool:
        """Whether anything remains."""
        while (
            self._first_open < len(self.lots)
            and self.lots[self._first_open].quantity_remaining <= 0
        ):
            self._first_open += 1
        return self._first_open < len(self.lots)

    def average_cost(self, without: Mapping[str, Decimal] = _NOTHING) -> Decimal | None:
        """The average of the open lots, weighted by what remains; None without open lots.

        Goods may be left out, by lot.
        """
        return weighted_average(
            (left, lot.unit_cost)
            for lot in self.open_lots()
            if (left := lot.quantity_remaining - without.get(lot.lot_id, ZERO)) > 0
        )

    def known_cost(self) -> Decimal | None:
        """What a unit out of stock costs: the last average, else the purchase cost (SA9)."""
        return self.purchase_cost if self.last_average_cost is None else self.last_average_cost

    def remember_average(self) -> None:
        """Keep the average of the open lots for when there are none."""
        average = self.average_cost()
        if average is not None and average != self.last_average_cost:
            self.last_average_cost = average
            self.changed = True

    def take(self, wanted: Decimal) -> tuple[list[Allocation], Decimal]:
        """Take goods, oldest lot first; returns what was taken and what is missing."""
        taken: list[Allocation] = []
        lots, index = self.lots, self._first_open
        while wanted and index < len(lots):
            lot = lots[index]
            remaining = lot.quantity_remaining
            if remaining > wanted:
                lot.quantity_remaining = remaining - wanted
                lot.changed = True
                taken.append(Allocation(lot.lot_id, wanted, lot.unit_cost, self.operations))
                wanted = ZERO
                break
            if remaining > 0:
                lot.quantity_remaining = ZERO
                lot.changed = True
                taken.append(Allocation(lot.lot_id, remaining, lot.unit_cost, self.operations))
                wanted -= remaining
            index += 1
        self._first_open = index
        return taken, wanted

    def put(self, lot_id: str, quantity: Decimal) -> Lot:
        """Bring goods to their lot, or, negative, take back what was brought."""
        lot = self._by_id[lot_id]
        lot.changed = True
        if lot.voided:
            lot.quantity_voided += quantity
        else:
            lot.quantity_remaining += quantity
            self._first_open = min(self._first_open, self._place_of(lot))
        return lot

    def _place_of(self, lot: Lot) -> int:
        if not self.lots or lot.place > self.lots[-1].place:
            return len(self.lots)
        return bisect_left(self.lots, lot.place, key=lambda other: other.place)


def is_reserved(lot_number: str) -> bool:
    """Whether a number counts higher than anybody may choose, as only given ones ever could."""
    given = _GIVEN_NUMBER.fullmatch(lot_number)
    return given is not None and len(given[1]) > _COUNT_DIGITS_MAX


def _count_in(lot_number: str) -> int:
    given = _GIVEN_NUMBER.fullmatch(lot_number)
    return 0 if given is None else int(given[1])
