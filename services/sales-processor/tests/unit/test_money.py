"""Money is exact and rounded once, half up: rules SA7, LO5."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sales_processor.domain.money import line_revenue, margin_percent, price_of, rounded, total

amounts = st.decimals(min_value=-(10**12), max_value=10**12, places=5)
rates = st.decimals(min_value="0.000001", max_value=10**6, places=12)


@pytest.mark.parametrize(
    ("amount", "discount", "rate", "expected"),
    [
        ("13000.00", "0", None, "13000.00"),
        ("100.00", "10.00", None, "90.00"),
        ("0.125", "0", None, "0.13"),
        ("0.124999", "0", None, "0.12"),
        ("-0.125", "0", None, "-0.13"),
        ("100.00", "0", "1.1", "110.00"),
        ("33.33", "3.33", "0.865432", "25.96"),
        ("0.01", "0", "0.5", "0.01"),
        ("999999999999.99", "0", "1.000000000001", "1000000000000.99"),
        ("0", "0", "1.3", "0.00"),
        ("-0.001", "0", None, "0.00"),
    ],
)
def test_revenue_is_net_of_discount_times_rate_rounded_once(
    amount: str, discount: str, rate: str | None, expected: str
) -> None:
    revenue = line_revenue(Decimal(amount), Decimal(discount), Decimal(rate) if rate else None)
    assert str(revenue) == expected


@pytest.mark.parametrize(
    ("revenue", "cost", "expected"),
    [
        ("13000.00", "7340.00", "43.54"),
        ("0", "10.00", None),
        ("0.00", "0", None),
        ("100.00", "150.00", "-50.00"),
        ("-13000.00", "-7340.00", "43.54"),
        ("-100.00", "0", "100.00"),
        ("3.00", "2.00", "33.33"),
        ("8.00", "7.9996", "0.01"),
    ],
)
def test_margin_percent_is_none_without_revenue(
    revenue: str, cost: str, expected: str | None
) -> None:
    percent = margin_percent(Decimal(revenue), Decimal(cost))
    assert (None if percent is None else str(percent)) == expected


def test_a_price_is_rounded_once() -> None:
    assert price_of(Decimal(2), Decimal("19.995")) == Decimal("39.99")
    assert price_of(Decimal("0.333333"), Decimal("0.015")) == Decimal("0.00")


@given(amounts, amounts, rates)
def test_revenue_is_within_half_a_cent_of_the_exact_product(
    amount: Decimal, discount: Decimal, rate: Decimal
) -> None:
    exact = total([amount, -discount])
    revenue = line_revenue(amount, discount, rate)
    assert revenue == rounded(revenue)
    numerator, denominator = (exact.as_integer_ratio(), rate.as_integer_ratio())
    value = numerator[0] * denominator[0] * 1000
    scale = numerator[1] * denominator[1]
    cents, parts = revenue.as_integer_ratio()
    assert abs(cents * 1000 * scale - value * parts) <= 5 * scale * parts


@given(st.lists(amounts, max_size=50))
def test_a_total_is_exact_in_any_order(parts: list[Decimal]) -> None:
    assert total(parts) == total(sorted(parts))
