"""Sales rule by rule, each number worked out by hand: SA2, SA5, SA6, SA9.

Lots a (10 at 10.00) and b (10 at 20.00) are there unless a story says otherwise.
"""

from decimal import Decimal

import pytest

from inventory.domain.ledger import Refusal
from inventory.domain.operation import Effect
from inventory.reference import Command
from inventory.testing import Domain

from .rules import Rule, adjust, check, document, left, lot, tell, void_lot

A, B = lot("a", "10", "10.00"), lot("b", "10", "20.00", 12)
CHAIRS = lot("c", "10", "3.00", 5, "chair")

UPDATES = [
    Rule(
        "SA2: lines of two products, each first in, first out",
        (A, B, CHAIRS, document("s", "12", "chair 4")),
        {"s": "152.00"},  # 10 x 10 + 2 x 20 + 4 x 3
        "c:6 b:8",
    ),
    Rule(
        "SA5: a line of more takes more",
        (A, B, document("s", "8"), document("s", "12", revision=2)),
        {"s": "140.00"},  # 10 x 10 + 2 x 20
        "b:8",
    ),
    Rule(
        "SA5: a line of less gives back to exactly its lots",
        (A, B, document("s", "12"), document("s", "9", revision=2)),
        {"s": "90.00"},
        "a:1 b:10",
    ),
    Rule(
        "SA5: the new consumption is taken from what is then open",
        (
            A,
            B,
            document("s", "6"),
            document("t", "6", day=2),  # 4 of a, 2 of b
            document("s", "9", revision=2),
        ),
        {"s": "120.00", "t": "80.00"},  # 6 x 10 + 3 x 20; t is not touched
        "b:5",
    ),
    Rule(
        "SA5: a line added",
        (A, B, document("s", "8"), document("s", "8", "3", revision=2)),
        {"s": "120.00"},  # 8 x 10; 2 x 10 + 1 x 20
        "b:9",
    ),
    Rule(
        "SA5: a line removed",
        (A, B, document("s", "8", "3"), document("s", "8", revision=2)),
        {"s": "80.00"},
        "a:2 b:10",
    ),
    Rule(
        "SA5: a line of another product",
        (A, B, CHAIRS, document("s", "8"), document("s", "chair 8", revision=2)),
        {"s": "24.00"},
        "c:2 a:10 b:10",
    ),
    Rule(
        "SA5: lines in another order take in that order",
        (A, B, document("s", "8", "5"), document("s", "5", "8", revision=2)),
        {"s": "160.00"},  # 5 x 10; 5 x 10 + 3 x 20
        "b:7",
    ),
    Rule(
        "SA5: another date moves no goods, but the place among those that are short",
        (
            document("s", "2", day=1),
            document("t", "2", day=5),
            document("s", "2", day=9, revision=2),
            lot("a", "2", "10.00"),
        ),
        {"s": "14.00", "t": "20.00"},  # s is short of 2 at 7
        "",
        {"s": "2"},
    ),
    Rule(
        "SA5: another customer moves no goods, but where returns go",
        (
            A,
            B,
            document("s", "10"),
            document("t", "5", day=2),
            document("t", "5", day=2, customer="bob", revision=2),
            document("memo", "-2", day=5),
        ),
        {"s": "100.00", "t": "100.00", "memo": "-20.00"},  # not t's at 20
        "a:2 b:5",
    ),
    Rule(
        "SA5: an older version changes nothing",
        (A, B, document("s", "8", revision=3), document("s", "2", revision=2)),
        {"s": "80.00"},
        "a:2 b:10",
    ),
    Rule(
        "SA5: the same version again changes nothing",
        (A, B, document("s", "8", revision=3), document("s", "8", revision=3)),
        {"s": "80.00"},
        "a:2 b:10",
    ),
    Rule(
        "SA5: back to life, it takes from what is then open",
        (
            A,
            B,
            document("s", "10"),
            document("s", revision=2),
            document("t", "8", day=2),
            document("s", "10", revision=3),
        ),
        {"s": "180.00", "t": "80.00"},  # 2 x 10 + 8 x 20
        "b:2",
    ),
    Rule(
        "SA6: a void gives back to exactly its lots",
        (A, B, document("s", "12"), document("t", "3", day=2), document("s", revision=2)),
        {"s": "0", "t": "60.00"},  # t keeps 3 of b
        "a:10 b:7",
    ),
    Rule(
        "SA6: a second void changes nothing",
        (A, B, document("s", "12"), document("s", revision=2), document("s", revision=2)),
        {"s": "0"},
        "a:10 b:10",
    ),
    Rule(
        "SA6: a later void of the voided changes nothing",
        (A, B, document("s", "12"), document("s", revision=2), document("s", revision=3)),
        {"s": "0"},
        "a:10 b:10",
    ),
    Rule(
        "SA6: a tombstone beats what is older and comes later",
        (A, B, document("s", revision=2), document("s", "12", revision=1)),
        {"s": "0"},
        "a:10 b:10",
    ),
    Rule(
        "SA6: a lot exhausted meanwhile is active again",
        (A, B, document("s", "6"), document("t", "4", day=2), document("s", revision=2)),
        {"s": "0", "t": "40.00"},
        "a:6 b:10",
    ),
    Rule(
        "SA6: a lot voided meanwhile keeps out what comes back",
        (A, B, document("s", "12"), void_lot("a"), document("s", revision=2)),
        {"s": "0"},
        "b:10",
    ),
]

SHORTAGES = [
    Rule(
        "SA9: what is missing costs the average of the open lots before the sale",
        (A, B, document("s", "24")),
        {"s": "360.00"},  # 100 + 200 + 4 x 15
        "",
        {"s": "4"},
    ),
    Rule(
        "SA9: without open lots the last average known",
        (A, B, document("s", "14"), document("t", "6", day=2), document("u", "2", day=3)),
        {"s": "180.00", "t": "120.00", "u": "40.00"},  # b alone was open before t: 20
        "",
        {"u": "2"},
    ),
    Rule(
        "SA9: without any average the purchase cost",
        (document("s", "3"),),
        {"s": "21.00"},
        "",
        {"s": "3"},
    ),
    Rule(
        "SA9: without any cost nothing",
        (document("s", "chair 3"),),
        {"s": "0.00"},
        "",
        {"s": "3"},
    ),
    Rule(
        "SA9: settled by the next lots at their cost, part by part",
        (
            document("s", "5"),  # 5 x 7
            lot("a", "2", "10.00"),
            lot("b", "1", "20.00", 12),
        ),
        {"s": "54.00"},  # 2 x 10 + 1 x 20 + 2 x 7
        "",
        {"s": "2"},
    ),
    Rule(
        "SA9: the oldest sale date first",
        (
            document("late", "2", day=9),
            document("early", "2", day=3),
            lot("a", "3", "10.00"),
        ),
        {"early": "20.00", "late": "17.00"},  # 1 x 10 + 1 x 7
        "",
        {"late": "1"},
    ),
    Rule(
        "SA9: of one date the one that was recorded first",
        (document("z", "2"), document("a", "2"), lot("a", "2", "10.00")),
        {"z": "20.00", "a": "14.00"},
        "",
        {"a": "2"},
    ),
    Rule(
        "SA9: an edit keeps the place of the first recording",
        (
            document("z", "2"),
            document("a", "2"),
            document("z", "3", revision=2),
            lot("a", "3", "10.00"),
        ),
        {"z": "30.00", "a": "14.00"},
        "",
        {"a": "2"},
    ),
    Rule(
        "SA9: a lot that is used up by settling counts as the last average",
        (document("s", "5"), lot("a", "3", "10.00"), document("t", "1", day=2)),
        {"s": "44.00", "t": "10.00"},  # 3 x 10 + 2 x 7
        "",
        {"s": "2", "t": "1"},
    ),
    Rule(
        "SA9: an adjustment upwards settles",
        (lot("a", "1", "10.00"), document("s", "3"), adjust("a", "5")),
        {"s": "30.00"},
        "a:3",
    ),
    Rule(
        "SA9: a void of another settles",
        (
            lot("a", "4", "10.00"),
            document("s", "4"),
            lot("b", "1", "20.00", 12),
            document("t", "3", day=2),  # 1 of b, short of 2 at 20
            document("s", revision=2),
        ),
        {"s": "0", "t": "40.00"},  # 20 + 2 x 10
        "a:2",
    ),
    Rule(
        "SA9: a return of another settles",
        (
            lot("a", "4", "10.00"),
            document("s", "4"),
            document("t", "2", day=2, customer="bob"),
            document("memo", "-3", day=5),
        ),
        {"s": "40.00", "t": "20.00", "memo": "-30.00"},
        "a:1",
    ),
    Rule(
        "SA6, SA9: the void of a short sale",
        (lot("a", "4", "10.00"), document("s", "6"), document("s", revision=2)),
        {"s": "0"},
        "a:4",
    ),
    Rule(
        "SA6, SA9: the void of a sale that was settled in part",
        (
            lot("a", "1", "10.00"),
            document("s", "6"),
            lot("b", "3", "20.00", 12),
            document("s", revision=2),
        ),
        {"s": "0"},
        "a:1 b:3",
    ),
    Rule(
        "SA5, SA9: a short sale that becomes smaller",
        (lot("a", "4", "10.00"), document("s", "6"), document("s", "3", revision=2)),
        {"s": "30.00"},
        "a:1",
    ),
    Rule(
        "SA5, SA9: a short sale that becomes larger",
        (lot("a", "4", "10.00"), document("s", "6"), document("s", "9", revision=2)),
        {"s": "90.00"},  # 4 x 10 + 5 x 10
        "",
        {"s": "5"},
    ),
    Rule(
        "SA8, SA9: what is short comes back first, at the average it was booked at",
        (A, B, document("s", "24"), document("memo", "-6", day=5)),
        {"s": "360.00", "memo": "-100.00"},  # 4 x 15 + 2 x 20
        "b:2",
    ),
    Rule(
        "SA8, SA9: what came back while it was short stays at the average",
        (
            lot("a", "1", "10.00"),
            document("s", "5"),  # 10 + 4 x 10
            document("memo", "-2", day=5),
            lot("b", "9", "20.00", 12),
        ),
        {"s": "70.00", "memo": "-20.00"},  # 10 + 2 x 20 + 2 x 10
        "b:7",
    ),
    Rule(
        "SA8, SA9: the memo of a short sale is voided",
        (
            lot("a", "1", "10.00"),
            document("s", "5"),
            document("memo", "-2", day=5),
            document("memo", day=5, revision=2),
        ),
        {"s": "50.00", "memo": "0"},
        "",
        {"s": "4"},
    ),
]


@pytest.mark.parametrize("rule", UPDATES + SHORTAGES, ids=lambda rule: rule.name)
def test_a_rule_of_sales(rule: Rule) -> None:
    check(rule)


def test_what_comes_out_as_it_was_leaves_no_movements() -> None:
    """SA5: a change of price only, which takes the same goods."""
    domain = tell(A, B, document("s", "12"))
    movements = list(domain.books.movements)
    domain.do(document("s", "12", revision=2))
    assert domain.books.movements == movements
    assert domain.books.sales["s"].revision == 2


@pytest.mark.parametrize(
    ("before", "command"),
    [
        ((A,), document("s", revision=1)),
        ((A, document("s", revision=3)), document("s", "4", revision=2)),
        ((A, document("s", "4"), document("s", revision=2)), document("s", revision=3)),
        ((A, document("s", "4", revision=2)), document("s", revision=1)),
    ],
    ids=["never seen", "tombstone first", "second void", "older void"],
)
def test_a_void_without_effect_moves_nothing(before: tuple[Command, ...], command: Command) -> None:
    """SA6."""
    domain = tell(*before)
    kept, movements = left(domain), list(domain.books.movements)
    domain.do(command)
    assert (left(domain), domain.books.movements) == (kept, movements)


def test_what_comes_back_to_a_voided_lot_is_reported() -> None:
    """LO2, SA6, SA8: the discrepancy, lot by lot."""
    domain = tell(A, B, document("s", "12"), void_lot("a"))
    voided = domain.do(document("s", revision=2))
    assert isinstance(voided, Effect)
    assert voided.stranded == (("a", Decimal(10)),)

    domain = tell(A, B, document("s", "12"), void_lot("a"))
    returned = domain.do(document("memo", "-4", day=5))
    assert isinstance(returned, Effect)
    assert returned.stranded == (("a", Decimal(2)),)


def test_each_sale_that_a_lot_settles_counts_one_costing() -> None:
    """SA9: by which `sale-recosted` is told once for each."""
    domain = tell(document("s", "2", "1"), document("t", "2", day=2), lot("a", "4", "10.00"))
    assert {key: sale.costing for key, sale in domain.books.sales.items()} == {"s": 2, "t": 2}


def test_what_costs_nothing_is_flagged_until_it_is_settled() -> None:
    """SA9: `uncosted`."""
    domain = tell(document("s", "chair 2"))
    assert domain.books.sales["s"].lines[0].uncosted
    domain.do(lot("a", "1", "4.00", product="chair"))
    assert domain.books.sales["s"].lines[0].uncosted
    domain.do(lot("b", "1", "4.00", product="chair"))
    (line,) = domain.books.sales["s"].lines
    assert (line.uncosted, line.cost) == (False, Decimal("8.00"))


REFUSED = [
    ("an unknown product", document("s", "1", "sofa 1"), "unknown-product", "lines.1.product_id"),
    ("nothing of a line", document("s", "1", "0"), "quantity-zero", "lines.1.quantity"),
    (
        "a line twice",
        {**document("s", "1"), "lines": document("s", "1")["lines"] * 2},
        "duplicate-line",
        "lines.1.line_id",
    ),
]


@pytest.mark.parametrize(
    ("command", "reason", "field"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_document_that_is_refused_takes_nothing(
    command: Command, reason: str, field: str
) -> None:
    domain: Domain = tell(A, B)
    outcome = domain.do(command)
    assert isinstance(outcome, Refusal)
    assert (outcome.reason, outcome.field) == (reason, field)
    assert left(domain) == "a:10 b:10"
    assert not domain.books.sales
