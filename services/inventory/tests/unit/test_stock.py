"""First in, first out, over plain values, named by rule."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.domain.books import Books
from inventory.domain.operation import Effect, change
from inventory.domain.sale import Demand, Sale
from inventory.domain.stock import Lot, Stock


def make_lot(lot_id: str, quantity: str, cost: str, day: int = 1, sequence: int = 0) -> Lot:
    return Lot(
        lot_id=lot_id,
        product_id="p",
        lot_number=lot_id,
        received_on=date(2026, 1, day),
        sequence=sequence,
        quantity_received=Decimal(quantity),
        quantity_remaining=Decimal(quantity),
        quantity_adjusted=Decimal(0),
        quantity_voided=Decimal(0),
        unit_cost=Decimal(cost),
        unit_cost_received=Decimal(cost),
        voided=False,
    )


def make_books(stock: Stock) -> Books:
    return Books(stocks={"p": stock}, lots={lot.lot_id: lot for lot in stock.lots})


def make_sale(sale_id: str = "s", revision: int = 1, order: int = 1, day: int = 1) -> Sale:
    return Sale(sale_id, revision, 1, date(2026, 2, day), None, order, ())


def take(books: Books, sale: Sale, *quantities: str) -> Effect:
    return change(
        books, sale, [Demand(str(n), "p", Decimal(q)) for n, q in enumerate(quantities, 1)]
    )


def sell(stock: Stock, quantity: str) -> Sale:
    return take(make_books(stock), make_sale(), quantity).sale


@pytest.mark.parametrize(
    ("lots", "sold", "cost", "left"),
    [
        # LO1: 20 x 145.00 + 30 x 148.00
        (
            [("a", "20", "145.00", 5), ("b", "30", "148.00", 12), ("c", "25", "152.00", 20)],
            "50",
            "7340.00",
            ["0", "0", "25"],
        ),
        # LO1: 20 x 34.50 + 40 x 35.50
        (
            [("a", "20", "34.50", 5), ("b", "50", "35.50", 12), ("c", "100", "36.00", 20)],
            "60",
            "2110.00",
            ["0", "10", "100"],
        ),
        # LO5: 3 x 0.333333 = 0.999999, rounded once
        ([("a", "3", "0.333333", 1)], "3", "1.00", ["0"]),
        # LO5: half up: 1 x 0.125 + 1 x 0.12 = 0.245 -> 0.25
        ([("a", "1", "0.125", 1), ("b", "1", "0.12", 2)], "2", "0.25", ["0", "0"]),
        # LO2: a lot may cost nothing
        ([("a", "5", "0", 1), ("b", "5", "2", 2)], "6", "2.00", ["0", "4"]),
        # fractional goods
        ([("a", "0.5", "10", 1), ("b", "2", "20", 2)], "1.25", "20.00", ["0", "1.25"]),
    ],
)
def test_takes_the_oldest_lot_first(
    lots: list[tuple[str, str, str, int]], sold: str, cost: str, left: list[str]
) -> None:
    stock = Stock("p", [make_lot(*lot) for lot in lots])
    sale = sell(stock, sold)
    assert str(sale.cost) == cost
    assert [lot.quantity_remaining for lot in stock.lots] == [Decimal(q) for q in left]


def test_lots_of_one_day_go_in_the_order_in_which_they_were_recorded() -> None:
    stock = Stock(
        "p", [make_lot("z", "1", "1", 3, 1), make_lot("a", "1", "2", 3, 2), make_lot("m", "1", "9")]
    )
    sale = sell(stock, "3")
    assert [a.lot_id for a in sale.lines[0].allocations] == ["m", "z", "a"]


def test_lots_of_one_day_and_one_place_go_by_their_ids() -> None:
    stock = Stock("p", [make_lot("b", "1", "1", 3, 1), make_lot("a", "1", "2", 3, 1)])
    sale = sell(stock, "2")
    assert [a.lot_id for a in sale.lines[0].allocations] == ["a", "b"]


@pytest.mark.parametrize(
    ("lots", "last", "purchase", "average", "uncosted"),
    [
        ([("a", "4", "10"), ("b", "6", "20")], None, None, "16.00", False),
        ([], "12.50", "9", "12.50", False),
        ([], None, "9", "9", False),
        ([], None, None, "0", True),
        ([("a", "3", "1"), ("b", "3", "2"), ("c", "1", "2")], "7", None, "1.571429", False),
    ],
)
def test_what_is_missing_is_costed_at_the_average(
    lots: list[tuple[str, str, str]],
    last: str | None,
    purchase: str | None,
    average: str,
    uncosted: bool,  # noqa: FBT001  (a column of the table)
) -> None:
    stock = Stock(
        "p",
        [make_lot(*lot) for lot in lots],
        None if last is None else Decimal(last),
        None if purchase is None else Decimal(purchase),
    )
    (line,) = sell(stock, "20").lines
    assert line.average == Decimal(average)
    assert line.uncosted is uncosted
    assert line.open == Decimal(20) - sum(Decimal(q) for _, q, _ in lots)


def test_the_average_is_that_before_the_sale_not_before_its_last_line() -> None:
    books = make_books(Stock("p", [make_lot("a", "4", "10"), make_lot("b", "6", "20", 2)]))
    sale = take(books, make_sale(), "4", "8").sale
    assert sale.lines[1].average == Decimal(16)
    assert sale.cost == Decimal("192.00")  # 40 + 120 + 2 x 16


def test_an_edit_that_takes_the_same_leaves_no_movements() -> None:
    books = make_books(Stock("p", [make_lot("a", "5", "10"), make_lot("b", "5", "20", 2)]))
    before = take(books, make_sale(), "7").sale
    movements = list(books.movements)
    after = take(books, make_sale(revision=2), "7").sale
    assert books.movements == movements
    assert after.lines == before.lines
    assert after.revision == 2


def test_a_lot_settles_the_oldest_sale_first() -> None:
    stock = Stock("p", [])
    books = make_books(stock)
    take(books, make_sale("late", 1, 1, 9), "2")
    take(books, make_sale("early", 1, 2, 3), "2")
    stock.add(make_lot("a", "3", "5"))
    settled = books.settle("p")
    assert [(s.sale_id, s.allocation.quantity) for s in settled] == [
        ("early", Decimal(2)),
        ("late", Decimal(1)),
    ]
    assert books.sales["late"].lines[0].open == 1
    assert stock.last_average_cost == 5


quantities = st.decimals(min_value="0.01", max_value=50, places=2)
costs = st.decimals(min_value=0, max_value=100, places=4)


@given(
    lots=st.lists(st.tuples(quantities, costs, st.integers(1, 28)), max_size=8),
    wanted=st.lists(st.one_of(st.just(Decimal(0)), quantities), min_size=1, max_size=8),
)
def test_nothing_is_lost_and_nothing_is_made(
    lots: list[tuple[Decimal, Decimal, int]], wanted: list[Decimal]
) -> None:
    stock = Stock(
        "p",
        [make_lot(str(n), str(q), str(c), day, n) for n, (q, c, day) in enumerate(lots)],
    )
    received = sum((q for q, _, _ in lots), Decimal(0))
    books = make_books(stock)
    for revision, quantity in enumerate(wanted, start=1):
        sale = take(
            books, make_sale(revision=revision), *([str(quantity)] if quantity else [])
        ).sale
        held = sum((a.quantity for line in sale.lines for a in line.allocations), Decimal(0))
        short = sum((line.open for line in sale.lines), Decimal(0))
        remaining = sum((lot.quantity_remaining for lot in stock.lots), Decimal(0))
        assert held + short == quantity
        assert held + remaining == received
        assert short == max(Decimal(0), quantity - received)
    take(books, make_sale(revision=len(wanted) + 1))
    assert [lot.quantity_remaining for lot in stock.lots] == [
        lot.quantity_received for lot in stock.lots
    ]
