"""Lots rule by rule, each number worked out by hand: LO1 to LO6."""

from decimal import Decimal

import pytest

from inventory.domain.ledger import Refusal
from inventory.reference import Command
from inventory.testing import Domain

from .rules import Rule, adjust, check, document, left, lot, recost, set_cost, tell, void_lot

TWO = (lot("a", "5", "10.00"), lot("b", "5", "20.00", 12))

RULES = [
    Rule(
        "LO1: fifty of three lots, the third untouched",
        (
            lot("a", "20", "145.00", 5),
            lot("b", "30", "148.00", 12),
            lot("c", "25", "152.00", 20),
            document("s", "50"),
        ),
        {"s": "7340.00"},
        "c:25",
    ),
    Rule(
        "LO1: sixty of three lots, ten left in the second",
        (
            lot("a", "20", "34.50", 5),
            lot("b", "50", "35.50", 12),
            lot("c", "100", "36.00", 20),
            document("s", "60"),
        ),
        {"s": "2110.00"},
        "b:10 c:100",
    ),
    Rule(
        "LO1: by the day of receipt, not of recording",
        (lot("late", "5", "10.00", 9), lot("early", "5", "20.00", 3), document("s", "6")),
        {"s": "110.00"},  # 5 x 20 + 1 x 10
        "late:4",
    ),
    Rule(
        "LO1: of one day by the order of recording, not by name",
        (lot("z", "5", "1.00", 3), lot("a", "5", "2.00", 3), document("s", "7")),
        {"s": "9.00"},  # 5 x 1 + 2 x 2
        "a:3",
    ),
    Rule(
        "LO1: an opening lot of years ago goes first",
        (
            *TWO,
            {**lot("opening", "3", "4.00"), "received_on": "1999-12-31"},
            document("s", "4"),
        ),
        {"s": "22.00"},  # 3 x 4 + 1 x 10
        "a:4 b:5",
    ),
    Rule(
        "LO2: an exhausted lot is not taken from, and is kept",
        (*TWO, document("s", "5"), document("t", "2")),
        {"s": "50.00", "t": "40.00"},
        "b:3",
    ),
    Rule(
        "LO2: an exhausted lot to which goods come back is active again",
        (*TWO, document("s", "5"), document("s", revision=2), document("t", "2")),
        {"s": "0", "t": "20.00"},
        "a:3 b:5",
    ),
    Rule(
        "LO2: a voided lot is not taken from",
        (*TWO, void_lot("a"), document("s", "3")),
        {"s": "60.00"},
        "b:2",
    ),
    Rule(
        "LO2: what comes back to a voided lot stays out of stock",
        (*TWO, document("s", "4"), void_lot("a"), document("s", revision=2), document("t", "2")),
        {"s": "0", "t": "40.00"},
        "b:3",
    ),
    Rule(
        "LO2: a lot may cost nothing",
        (lot("a", "5", "0"), lot("b", "5", "2.00", 12), document("s", "6")),
        {"s": "2.00"},
        "b:4",
    ),
    Rule(
        "LO4: goods that are counted too many are there to be taken",
        (*TWO, adjust("a", "2", "count-correction"), document("s", "8")),
        {"s": "90.00"},  # 7 x 10 + 1 x 20
        "b:4",
    ),
    Rule(
        "LO4: what broke is not taken",
        (*TWO, adjust("a", "-4", "breakage"), document("s", "2")),
        {"s": "30.00"},  # 1 x 10 + 1 x 20
        "b:4",
    ),
    Rule(
        "LO4: an adjustment to nothing exhausts the lot",
        (*TWO, adjust("a", "-5", "loss"), document("s", "2")),
        {"s": "40.00"},
        "b:3",
    ),
    Rule(
        "LO5: quantities to 6 places",
        (lot("a", "0.000003", "2000000.00"), document("s", "0.000001")),
        {"s": "2.00"},
        "a:0.000002",
    ),
    Rule(
        "LO5: unit costs to 6 places, a line rounded once",
        (lot("a", "3", "0.333333"), document("s", "3")),
        {"s": "1.00"},  # 0.999999
        "",
    ),
    Rule(
        "LO5: half a cent goes up, of the sum and not of each lot",
        (lot("a", "1", "0.122"), lot("b", "1", "0.123", 12), document("s", "2")),
        {"s": "0.25"},  # 0.245; rounded apart 0.12 + 0.12
        "",
    ),
    Rule(
        "LO5: each line is rounded, and they add up to the sale",
        (lot("a", "2", "0.125"), document("s", "1", "1")),
        {"s": "0.26"},  # 2 x 0.13, not 0.25
        "",
    ),
    Rule(
        "LO6: a changed cost counts from then on",
        (*TWO, document("s", "2"), set_cost("a", "12.50"), document("t", "2")),
        {"s": "20.00", "t": "25.00"},
        "a:1 b:5",
    ),
    Rule(
        "LO6: re-cost brings a changed cost to what was sold",
        (*TWO, document("s", "2"), set_cost("a", "12.50"), recost()),
        {"s": "25.00"},
        "a:3 b:5",
    ),
    Rule(
        "LO6: a late lot is taken in its turn",
        (
            lot("b", "10", "20.00", 10),
            document("s", "4", day=2),
            document("t", "4", day=4),
            lot("a", "5", "10.00"),
            recost(),
        ),
        {"s": "40.00", "t": "70.00"},  # 4 x 10; 1 x 10 + 3 x 20
        "b:7",
    ),
    Rule(
        "LO6: a backdated sale takes before later ones",
        (*TWO, document("late", "5", day=9), document("early", "5", day=2), recost()),
        {"late": "100.00", "early": "50.00"},
        "",
    ),
    Rule(
        "LO6: what is dated before keeps what it took",
        (
            lot("b", "10", "20.00", 10),
            document("s", "4", day=2),
            document("t", "4", day=4),
            lot("a", "5", "10.00"),
            recost("2026-03-04"),
        ),
        {"s": "80.00", "t": "40.00"},
        "b:6 a:1",
    ),
    Rule(
        "LO6: a lot of the day is there before that day's sales",
        (
            {**lot("b", "4", "20.00"), "received_on": "2026-03-02"},
            document("s", "4", day=2),
            {**lot("a", "4", "10.00"), "received_on": "2026-03-01"},
            recost(),
        ),
        {"s": "40.00"},
        "b:4",
    ),
    Rule(
        "LO6: a sale before its lot is short at first, and settled by it",
        (
            {**lot("b", "4", "20.00"), "received_on": "2026-03-03"},
            document("second", "4", day=4),
            document("first", "2", day=2),
            recost(),
        ),
        {"first": "40.00", "second": "80.00"},  # 2 x 20; 2 x 20 and 2 short at 20
        "",
        {"second": "2"},
    ),
    Rule(
        "LO6: adjustments count for their lot from its first day",
        (
            *TWO,
            document("s", "5", day=2),
            adjust("a", "3"),
            document("t", "5", day=4),
            adjust("b", "-1"),
            recost(),
        ),
        {"s": "50.00", "t": "70.00"},  # 5 x 10; 3 x 10 + 2 x 20
        "b:2",
    ),
    Rule(
        "LO6: a memo that came before its sale finds it",
        (
            lot("a", "9", "10.00"),
            document("memo", "-2", day=5),
            document("s", "3", day=2),
            recost(),
        ),
        {"memo": "-20.00", "s": "30.00"},
        "a:8",
    ),
    Rule(
        "LO6: a return follows what its sale takes now",
        (
            lot("b", "9", "20.00", 10),
            document("s", "3", day=2),
            document("memo", "-2", day=5),
            lot("a", "9", "10.00"),
            recost(),
        ),
        {"s": "30.00", "memo": "-20.00"},
        "b:9 a:8",
    ),
    Rule(
        "LO6: what stands on a voided lot stays",
        (
            lot("b", "4", "20.00", 6),
            document("s", "3"),
            void_lot("b"),
            lot("a", "4", "1"),
            recost(),
        ),
        {"s": "60.00"},
        "a:4",
    ),
    Rule(
        "LO6: other products of a sale keep their cost",
        (
            lot("c", "4", "3.00", 5, "chair"),
            lot("b", "9", "20.00", 10),
            document("s", "chair 2", "4"),
            lot("a", "5", "10.00"),
            set_cost("c", "9.00"),
            recost(),
        ),
        {"s": "46.00"},  # 2 x 3 + 4 x 10
        "c:2 b:9 a:1",
    ),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_of_lots(rule: Rule) -> None:
    check(rule)


REFUSED: list[tuple[str, tuple[Command, ...], Command, str, str]] = [
    (
        "LO2: a lot once more, of another quantity",
        TWO,
        lot("a", "6", "10.00"),
        "lot-id-taken",
        "lot_id",
    ),
    (
        "LO2: a number of an active lot",
        (lot("a", "5", "1", lot_number="N-1"),),
        lot("b", "5", "1", lot_number="N-1"),
        "lot-number-taken",
        "lot_number",
    ),
    (
        "LO2: a number that an active lot was given",
        (lot("a", "5", "1"),),
        lot("b", "5", "1", lot_number="20260105-1"),
        "lot-number-taken",
        "lot_number",
    ),
    (
        "LO2: a number that a return lot was given",
        (document("memo", "-1", day=5),),
        lot("b", "5", "1", lot_number="20260305-1"),
        "lot-number-taken",
        "lot_number",
    ),
    (
        "LO2: a number that only a given one could be",
        (),
        lot("a", "5", "1", lot_number="20260105-1000000000000000"),
        "lot-number-reserved",
        "lot_number",
    ),
    ("LO2: voiding twice", (*TWO, void_lot("a")), void_lot("a"), "lot-voided", "lot_id"),
    (
        "LO2: the cost of a voided lot",
        (*TWO, void_lot("a")),
        set_cost("a", "1"),
        "lot-voided",
        "lot_id",
    ),
    (
        "LO2: the quantity of a voided lot",
        (*TWO, void_lot("a")),
        adjust("a", "1"),
        "lot-voided",
        "lot_id",
    ),
    ("LO4: nothing", TWO, adjust("a", "0"), "quantity-zero", "quantity"),
    ("LO4: no such reason", TWO, adjust("a", "1", "theft"), "unknown-reason", "reason"),
    ("LO4: breakage adds nothing", TWO, adjust("a", "1", "breakage"), "wrong-sign", "quantity"),
    ("LO4: loss adds nothing", TWO, adjust("a", "1", "loss"), "wrong-sign", "quantity"),
    ("LO4: below zero", TWO, adjust("a", "-5.000001", "loss"), "below-zero", "quantity"),
    (
        "LO4: below what sales left",
        (*TWO, document("s", "3")),
        adjust("a", "-3", "other"),
        "below-zero",
        "quantity",
    ),
    (
        "LO4: an adjustment of another content",
        (*TWO, {**adjust("a", "1"), "adjustment_id": "x"}),
        {**adjust("a", "2"), "adjustment_id": "x"},
        "adjustment-id-taken",
        "adjustment_id",
    ),
]


@pytest.mark.parametrize(
    ("before", "command", "reason", "field"),
    [row[1:] for row in REFUSED],
    ids=[row[0] for row in REFUSED],
)
def test_a_command_that_is_refused_changes_nothing(
    before: tuple[Command, ...], command: Command, reason: str, field: str
) -> None:
    domain = tell(*before)
    kept, movements = left(domain), list(domain.books.movements)
    outcome = domain.do(command)
    assert isinstance(outcome, Refusal)
    assert (outcome.reason, outcome.field) == (reason, field)
    assert (left(domain), domain.books.movements) == (kept, movements)


@pytest.mark.parametrize(
    ("reason", "quantity"),
    [
        ("count-correction", "1"),
        ("count-correction", "-1"),
        ("breakage", "-1"),
        ("loss", "-1"),
        ("other", "1"),
        ("other", "-1"),
    ],
)
def test_a_reason_takes_the_signs_that_fit_it(reason: str, quantity: str) -> None:
    """LO4."""
    domain = tell(*TWO, adjust("a", quantity, reason))
    movement = domain.books.movements[-1]
    assert (movement.kind, movement.quantity) == ("adjustment", Decimal(quantity))
    assert movement.reason == reason


@pytest.mark.parametrize(
    "between",
    [(document("s", "5"),), (void_lot("a"),), (adjust("a", "-5", "loss"),)],
    ids=["sold out", "voided", "lost"],
)
def test_the_number_of_a_lot_that_is_no_longer_active_may_be_used_again(
    between: tuple[Command, ...],
) -> None:
    """LO2."""
    domain = tell(
        lot("a", "5", "1", lot_number="N-1"), *between, lot("b", "5", "1", lot_number="N-1")
    )
    assert left(domain) == "b:5"


def test_two_products_may_have_lots_of_one_number() -> None:
    """LO2."""
    tell(
        lot("a", "5", "1", lot_number="N-1"),
        lot("b", "5", "1", product="chair", lot_number="N-1"),
    )


def test_a_number_that_is_given_is_never_one_that_somebody_chose() -> None:
    """LO2: the count goes on after the chosen number."""
    domain = tell(lot("a", "5", "1", lot_number="20260105-3"), lot("b", "5", "1"))
    numbers = [one.lot_number for one in domain.books.lots.values()]
    assert numbers == ["20260105-3", "20260105-4"]


def kinds(domain: Domain) -> list[tuple[str, str | None, str, str]]:
    return [
        (m.kind, m.lot_id, f"{m.quantity:f}", f"{m.unit_cost:f}") for m in domain.books.movements
    ]


def test_every_change_is_a_stock_transaction() -> None:
    """LO3: each of the seven kinds, at the lot's unit cost."""
    domain = tell(
        lot("a", "5", "10.00"),
        document("s", "4"),
        document("memo", "-1", day=2),
        document("memo", revision=2, day=2),
        document("s", "3", revision=2),
        adjust("a", "-1", "breakage"),
        void_lot("a"),
    )
    assert kinds(domain) == [
        ("receipt", "a", "5", "10.00"),
        ("sale", "a", "-4", "10.00"),
        ("return", "a", "1", "10.00"),
        ("return-reversal", "a", "-1", "10.00"),
        ("sale-reversal", "a", "4", "10.00"),
        ("sale", "a", "-3", "10.00"),
        ("adjustment", "a", "-1", "10.00"),
        ("lot-void", "a", "-1", "10.00"),
    ]


def test_goods_that_come_back_to_a_voided_lot_leave_at_once() -> None:
    """LO2, LO3: the reversal nets the sale to zero, and `lot-void` keeps it out of stock."""
    domain = tell(
        lot("a", "5", "10.00"), document("s", "4"), void_lot("a"), document("s", revision=2)
    )
    assert kinds(domain)[-2:] == [
        ("sale-reversal", "a", "4", "10.00"),
        ("lot-void", "a", "-4", "10.00"),
    ]
    assert domain.books.lots["a"].quantity_voided == Decimal(5)


def test_costing_again_changes_nothing_the_second_time() -> None:
    """LO6."""
    domain = tell(
        lot("b", "10", "20.00", 10), document("s", "4", day=2), lot("a", "5", "10.00"), recost()
    )
    movements, costing = list(domain.books.movements), domain.books.sales["s"].costing
    domain.do(recost())
    assert (domain.books.movements, domain.books.sales["s"].costing) == (movements, costing)
