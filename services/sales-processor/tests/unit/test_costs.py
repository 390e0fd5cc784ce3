"""Costs put onto lines: invariants I2 and I3."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from contracts.inventory import SaleCosted
from sales_processor.domain.costing import CostingMismatchError, cost
from sales_processor.domain.sale import Content, Line, taken_back

ZERO = Decimal(0)


def _content() -> Content:
    desk = Line(1, "7", "desk", "Desk", None, Decimal("2.5"), None, Decimal(50), ZERO, Decimal(50))
    return Content(
        *(0, None, None, None, None, date(2026, 3, 1), None, None, Decimal(50), ZERO),
        revenue=Decimal(50),
        lines=(
            desk,
            desk._replace(line_number=2, quantity=None, flags=("no-quantity",)),
            desk._replace(line_number=3, product_id=None, revenue=ZERO, skipped_reason="service"),
            desk._replace(line_number=4, product_id="chair", quantity=Decimal(1)),
        ),
    )


def _answer(*lines: dict[str, Any]) -> SaleCosted:
    return SaleCosted(
        business_id="acme",
        sale_id="s",
        revision=1,
        cost=Decimal(0),
        lines=list(lines),
    )


def _line(line_id: str, product: str, quantity: str, amount: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "line_id": line_id,
        "product_id": product,
        "quantity": Decimal(quantity),
        "cost": Decimal(amount),
        **fields,
    }


def test_costs_of_lines_add_up_to_the_sales() -> None:
    short = {"quantity": Decimal(1), "open": Decimal(1), "unit_cost": Decimal(3)}
    costed = cost(
        _content(),
        _answer(_line("1", "desk", "2.50", "7.25"), _line("4", "chair", "1", "3", shortage=short)),
    )

    assert costed.cost == Decimal("10.25")
    assert [line.cost for line in costed.lines] == [Decimal("7.25"), 0, 0, 3]
    assert costed.flags == ("no-quantity", "short")
    assert costed.status == "active"


def test_a_settled_shortage_is_short_no_more() -> None:
    settled = {"quantity": Decimal(1), "open": ZERO, "unit_cost": Decimal(3)}
    costed = cost(
        _content(),
        _answer(_line("1", "desk", "2.5", "7"), _line("4", "chair", "1", "3", shortage=settled)),
    )

    assert costed.flags == ("no-quantity",)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [_line("1", "desk", "2.5", "7")],
        [_line("1", "desk", "2.4", "7"), _line("4", "chair", "1", "3")],
        [_line("1", "lamp", "2.5", "7"), _line("4", "chair", "1", "3")],
        [
            _line("1", "desk", "2.5", "7"),
            _line("4", "chair", "1", "3"),
            _line("3", "desk", "1", "3"),
        ],
    ],
)
def test_an_answer_about_other_goods_is_refused(lines: list[dict[str, Any]]) -> None:
    with pytest.raises(CostingMismatchError):
        cost(_content(), _answer(*lines))


def test_a_void_takes_nothing() -> None:
    void = taken_back(_content(), version=1, sync_id=None, reason="voided")

    costed = cost(void, _answer())

    assert (costed.cost, costed.status, costed.flags) == (ZERO, "voided", ())


def test_a_return_says_where_its_goods_went() -> None:
    content = _content()
    given = content.lines[0]._replace(quantity=Decimal(-2), revenue=Decimal(-50))
    gone = {"source_sale_id": "s", "lot_id": "lot", "quantity": Decimal(2), "unit_cost": Decimal(3)}

    costed = cost(
        content._replace(lines=(given,)), _answer(_line("1", "desk", "-2", "-6", returned=[gone]))
    )

    assert costed.cost == -6
    assert [goods.quantity for goods in costed.lines[0].returned] == [2]


def test_goods_that_stay_out_are_not_asked_for() -> None:
    content = _content()
    given = content.lines[0]._replace(quantity=Decimal(-2), flags=("no-restock",))

    costed = cost(content._replace(lines=(given,)), None)

    assert (costed.cost, costed.flags) == (ZERO, ("no-restock",))
