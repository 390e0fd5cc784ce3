"""Beancount's first-in-first-out booking gives every sale the same cost (SA2, LO1, LO5).

Beancount is bookkeeping software that nobody here wrote. It is given the same lots and sales in the
order in which they are applied, without shortages, which it does not know: it refuses to take more
than there is. It orders lots by their date, and lots of one day by the order in which they came.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from beancount.core.amount import Amount
from beancount.core.data import Booking, Posting, Transaction, new_metadata
from beancount.core.number import MISSING
from beancount.core.position import CostSpec
from beancount.parser import booking
from beancount.parser.options import OPTIONS_DEFAULTS
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.testing import Domain

PRODUCTS = ("desk", "chair")
CENT = Decimal("0.01")
OPEN: Any = MISSING
"""What beancount is to find out itself."""
book: Any = booking.book  # it has no types
DAYS = tuple(date(2026, 3, day) for day in range(1, 8))


@dataclass(frozen=True)
class Received:
    """A lot comes in; its date may lie before lots and sales that are there already."""

    product: str
    quantity: Decimal
    unit_cost: Decimal
    received_on: date


@dataclass(frozen=True)
class Sold:
    """A sale of some lines, each of a product and a quantity that is in stock."""

    sale_date: date
    lines: tuple[tuple[str, Decimal], ...]


Step = Received | Sold
Taken = list[tuple[str, Decimal, Decimal]]
"""What a line takes: lot, quantity, unit cost; in the order of taking."""


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Lots and sales in any order, so that every sale finds what it takes."""
    millionths = st.integers(1, 12_000_000).map(lambda n: Decimal(n).scaleb(-6))
    plain = st.integers(1, 12).map(Decimal)
    quantities = st.one_of(plain, plain, millionths)
    costs = st.one_of(
        st.just(Decimal(0)), st.integers(1, 90_000_000).map(lambda n: Decimal(n).scaleb(-6))
    )
    there = dict.fromkeys(PRODUCTS, Decimal(0))
    steps: list[Step] = []
    for _ in range(draw(st.integers(2, 14))):
        day = draw(st.sampled_from(DAYS))
        product = draw(st.sampled_from(PRODUCTS))
        if not there[product] or draw(st.booleans()):
            lot = Received(product, draw(quantities), draw(costs), day)
            steps.append(lot)
            there[product] += lot.quantity
            continue
        lines = []
        for _ in range(draw(st.integers(1, 3))):
            product = draw(st.sampled_from([p for p in PRODUCTS if there[p]] or [product]))
            wanted = draw(st.one_of(quantities, st.just(there[product])))
            if quantity := min(wanted, there[product]):
                lines.append((product, quantity))
                there[product] -= quantity
        steps.append(Sold(day, tuple(lines)))
    return steps


def by_beancount(steps: Sequence[Step]) -> list[list[Taken]]:
    """What beancount takes for each line of each sale."""
    entries = [_entry(number, step) for number, step in enumerate(steps)]
    booked, errors = book(entries, OPTIONS_DEFAULTS | {"booking_method": Booking.FIFO})
    assert errors == []
    taken = []
    for entry, step in zip(booked, steps, strict=True):
        if isinstance(step, Sold):
            lines: list[Taken] = [[] for _ in step.lines]
            for posting in entry.postings:
                if posting.cost is not None:
                    line = int(posting.meta["line"])
                    cost = posting.cost
                    lines[line].append((cost.label, -posting.units.number, cost.number))
            taken.append(lines)
    return taken


def _entry(number: int, step: Step) -> Transaction:
    if isinstance(step, Received):
        day, postings = step.received_on, [_lot(number, step)]
    else:
        day, postings = step.sale_date, [_line(n, *line) for n, line in enumerate(step.lines)]
    rest = Posting("Equity:Rest", OPEN, None, None, None, new_metadata("history", number))
    meta = new_metadata("history", number)
    return Transaction(meta, day, "*", None, "", frozenset(), frozenset(), [*postings, rest])


def _lot(number: int, step: Received) -> Posting:
    cost = CostSpec(step.unit_cost, None, "USD", step.received_on, f"lot{number}", False)
    units = Amount(step.quantity, step.product.upper())
    meta = new_metadata("history", number)
    return Posting(f"Assets:{step.product.title()}", units, cost, None, None, meta)


def _line(number: int, product: str, quantity: Decimal) -> Posting:
    cost = CostSpec(OPEN, None, OPEN, None, None, False)
    units = Amount(-quantity, product.upper())
    meta = new_metadata("history", number, {"line": str(number)})
    return Posting(f"Assets:{product.title()}", units, cost, None, None, meta)


def by_inventory(steps: Sequence[Step]) -> tuple[list[list[Taken]], list[list[Decimal]]]:
    """What the domain takes for each line of each sale, and what each line costs."""
    domain = Domain()
    sales = []
    for number, step in enumerate(steps):
        if isinstance(step, Received):
            done = domain.apply(
                {
                    "type": "receive-lot",
                    "product_id": step.product,
                    "lot_id": f"lot{number}",
                    "quantity": str(step.quantity),
                    "unit_cost": str(step.unit_cost),
                    "received_on": step.received_on.isoformat(),
                }
            )
        else:
            sales.append(f"sale{number}")
            done = domain.apply(
                {
                    "type": "consume-lots",
                    "sale_id": sales[-1],
                    "revision": 1,
                    "sale_date": step.sale_date.isoformat(),
                    "lines": [
                        {"line_id": str(n), "product_id": product, "quantity": str(quantity)}
                        for n, (product, quantity) in enumerate(step.lines)
                    ],
                }
            )
        assert done
    lines = [domain.books.sales[sale].lines for sale in sales]
    return (
        [
            [[(a.lot_id, a.quantity, a.unit_cost) for a in li.allocations] for li in s]
            for s in lines
        ],
        [[line.cost for line in sale] for sale in lines],
    )


def costs_of(taken: Sequence[Sequence[Taken]]) -> list[list[Decimal]]:
    """The cost of each line, rounded once, half up."""
    return [
        [
            sum((quantity * cost for _, quantity, cost in line), Decimal(0)).quantize(
                CENT, ROUND_HALF_UP
            )
            for line in sale
        ]
        for sale in taken
    ]


@settings(max_examples=1_000, deadline=None)
@given(histories())
def test_every_sale_costs_what_beancount_says(steps: list[Step]) -> None:
    theirs = by_beancount(steps)
    ours, costs = by_inventory(steps)
    assert ours == theirs
    assert costs == costs_of(theirs)


DESKS = [
    Received("desk", Decimal(20), Decimal(145), date(2026, 1, 5)),
    Received("desk", Decimal(30), Decimal(148), date(2026, 1, 19)),
    Received("desk", Decimal(25), Decimal(152), date(2026, 2, 2)),
    Sold(date(2026, 3, 2), (("desk", Decimal(50)),)),
]
CHAIRS = [
    Received("chair", Decimal(100), Decimal(36), date(2026, 1, 9)),
    Received("chair", Decimal(50), Decimal("35.50"), date(2026, 1, 8)),
    Received("chair", Decimal(20), Decimal("34.50"), date(2026, 1, 7)),
    Sold(date(2026, 3, 2), (("chair", Decimal(60)),)),
]


@pytest.mark.parametrize(
    ("steps", "cost"), [(DESKS, Decimal("7340.00")), (CHAIRS, Decimal("2110.00"))]
)
def test_beancount_knows_the_worked_examples(steps: list[Step], cost: Decimal) -> None:
    """The oracle itself gives the figures that were worked out by hand (LO1)."""
    assert costs_of(by_beancount(steps)) == [[cost]]
