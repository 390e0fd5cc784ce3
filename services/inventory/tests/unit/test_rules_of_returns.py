"""Returns rule by rule, each number worked out by hand: SA8.

Lots a (10 at 10.00) and b (10 at 20.00) are there unless a story says otherwise.
"""

import pytest

from .rules import Rule, check, document, lot, void_lot

A, B = lot("a", "10", "10.00"), lot("b", "10", "20.00", 12)
CHAIRS = lot("c", "10", "3.00", 5, "chair")

RETURNS = [
    Rule(
        "SA8: a full return mirrors its sale",
        (A, B, document("s", "15"), document("memo", "-15", day=5)),
        {"s": "200.00", "memo": "-200.00"},
        "a:10 b:10",
    ),
    Rule(
        "SA8: the latest sale first",
        (
            A,
            B,
            document("first", "10", day=1),
            document("second", "3", day=2),
            document("memo", "-5", day=5),
        ),
        {"first": "100.00", "second": "60.00", "memo": "-80.00"},  # 3 x 20 + 2 x 10
        "a:2 b:10",
    ),
    Rule(
        "SA8: of one day the one that was recorded last",
        (
            A,
            B,
            document("z", "10"),
            document("a", "3"),
            document("memo", "-3", day=5),
        ),
        {"memo": "-60.00"},
        "b:10",
    ),
    Rule(
        "SA8: within a sale in the reverse order of taking",
        (A, B, document("s", "9", "3"), document("memo", "-4", day=5)),
        {"memo": "-60.00"},  # the second line's 2 of b and 1 of a, then 1 of a: 40 + 10 + 10
        "a:2 b:10",
    ),
    Rule(
        "SA8: never more than was taken and not yet returned",
        (
            A,
            B,
            document("s", "12"),
            document("memo1", "-4", day=5),
            document("memo2", "-4", day=6),
        ),
        {"memo1": "-60.00", "memo2": "-40.00"},  # 2 x 20 + 2 x 10; 4 x 10
        "a:6 b:10",
    ),
    Rule(
        "SA8: what is left over is a lot at the average before the return, dated with the memo",
        (A, B, document("s", "5"), document("memo", "-8", day=5)),
        {"memo": "-100.00"},  # 5 x 10 + 3 x 16.666667
        "a:10 b:10 memo:3",
    ),
    Rule(
        "SA8: the return lot is taken after older ones",
        (A, B, document("memo", "-2", day=5), document("t", "21", day=6)),
        {"memo": "-30.00", "t": "315.00"},  # 100 + 200 + 1 x 15
        "memo:1",
    ),
    Rule(
        "SA8: without a cost known a return lot costs nothing",
        (document("memo", "chair -2", day=5),),
        {"memo": "0.00"},
        "memo:2",
    ),
    Rule(
        "SA8: another customer's sale is no source",
        (A, B, document("s", "10", customer="bob"), document("memo", "-2", day=5)),
        {"memo": "-40.00"},  # b alone is open
        "b:10 memo:2",
    ),
    Rule(
        "SA8: without a customer there is no source",
        (A, B, document("s", "10", customer=None), document("memo", "-2", day=5, customer=None)),
        {"memo": "-40.00"},
        "b:10 memo:2",
    ),
    Rule(
        "SA8: another product's sale is no source",
        (A, B, CHAIRS, document("s", "10", "chair 1"), document("memo", "chair -2", day=5)),
        {"memo": "-6.00"},
        "c:10 memo:1 b:10",
    ),
    Rule(
        "SA8: `return-lot` goes to no sale",
        (A, B, document("s", "10"), document("memo", "-2", day=5, returns="return-lot")),
        {"memo": "-40.00"},
        "b:10 memo:2",
    ),
    Rule(
        "SA8: a memo before its sale stays a return lot",
        (A, B, document("memo", "-2", day=5), document("s", "12", day=2)),
        {"memo": "-30.00", "s": "140.00"},
        "b:8 memo:2",
    ),
    Rule(
        "SA8: a memo that becomes smaller",
        (
            A,
            B,
            document("s", "15"),
            document("memo", "-7", day=5),
            document("memo", "-2", day=5, revision=2),
        ),
        {"s": "200.00", "memo": "-40.00"},
        "b:7",
    ),
    Rule(
        "SA8: a memo that becomes larger",
        (
            A,
            B,
            document("s", "15"),
            document("memo", "-2", day=5),
            document("memo", "-7", day=5, revision=2),
        ),
        {"s": "200.00", "memo": "-120.00"},  # 5 x 20 + 2 x 10
        "a:2 b:10",
    ),
    Rule(
        "SA8: a voided memo takes its goods out again",
        (
            A,
            B,
            document("s", "15"),
            document("memo", "-7", day=5),
            document("memo", day=5, revision=2),
        ),
        {"s": "200.00", "memo": "0"},
        "b:5",
    ),
    Rule(
        "SA8: who used the goods since gives them up, the latest first, and takes anew",
        (
            A,
            B,
            document("s", "10"),
            document("memo", "-4", day=5),
            document("t", "2", day=6, customer="bob"),
            document("u", "4", day=7, customer="eve"),  # 2 of a, 2 of b
            document("memo", "-2", day=5, revision=2),
        ),
        {"memo": "-20.00", "t": "20.00", "u": "80.00"},  # u gives up 2 of a
        "b:6",
    ),
    Rule(
        "SA8: who gives up may be short",
        (
            lot("a", "10", "10.00"),
            document("s", "10"),
            document("memo", "-4", day=5),
            document("t", "4", day=6, customer="bob"),
            document("memo", day=5, revision=2),
        ),
        {"memo": "0", "t": "40.00"},
        "",
        {"t": "4"},
    ),
    Rule(
        "SA8: the sale voided after the memo leaves the memo a return lot",
        (A, B, document("s", "10"), document("memo", "-4", day=5), document("s", revision=2)),
        {"s": "0", "memo": "-60.00"},  # the average of 10 at 10 and 10 at 20
        "a:10 b:10 memo:4",
    ),
    Rule(
        "SA8: back to life it is the source of later returns only",
        (
            A,
            B,
            document("s", "10"),
            document("memo", "-4", day=5),
            document("s", revision=2),
            document("s", "10", revision=3),
            document("memo2", "-3", day=6),
        ),
        {"s": "100.00", "memo": "-60.00", "memo2": "-30.00"},
        "a:3 b:10 memo:4",
    ),
    Rule(
        "SA8: a sale that becomes smaller keeps what its returns find in it",
        (A, B, document("s", "10"), document("memo", "-8", day=5), document("s", "5", revision=2)),
        {"s": "50.00", "memo": "-100.00"},  # 5 x 10 + 3 x 16.666667
        "a:10 b:10 memo:3",
    ),
    Rule(
        "SA8: the price of a returned sale moves no goods",
        (
            A,
            B,
            document("s", "10"),
            document("memo", "-4", day=5),
            document("t", "4", day=6, customer="bob"),
            document("s", "10", revision=2),
        ),
        {"s": "100.00", "memo": "-40.00", "t": "40.00"},
        "b:10",
    ),
    Rule(
        "SA8: goods of a lot that was voided come back, but not into stock",
        (A, B, document("s", "10"), void_lot("a"), document("memo", "-4", day=5)),
        {"memo": "-40.00"},
        "b:10",
    ),
    Rule(
        "SA8: a document gives back before it takes",
        (A, B, document("s", "12"), document("swap", "5", "-3", day=5)),
        {"swap": "40.00"},  # -2 x 20 - 1 x 10; 1 x 10 + 4 x 20
        "b:6",
    ),
    Rule(
        "SA8, LO5: half a cent of a return goes the way of its sale",
        (lot("a", "1", "0.125"), document("s", "1"), document("memo", "-1", day=5)),
        {"s": "0.13", "memo": "-0.13"},
        "a:1",
    ),
]


@pytest.mark.parametrize("rule", RETURNS, ids=lambda rule: rule.name)
def test_a_rule_of_returns(rule: Rule) -> None:
    check(rule)
