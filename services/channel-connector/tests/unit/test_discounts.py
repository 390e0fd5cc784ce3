"""Shares of a document discount."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel_connector.domain.discounts import shares
from contracts.currencies import minor_digits

cents = st.decimals(min_value=-10_000, max_value=10_000, places=2)


def amounts(*values: str) -> list[Decimal]:
    return [Decimal(value) for value in values]


@pytest.mark.parametrize(
    ("discount", "lines", "expected"),
    [
        ("50.25", ("300", "250", "275", "180"), ("15.00", "12.50", "13.75", "9.00")),
        ("2.12", ("7.96", "2.65"), ("1.59", "0.53")),
        ("10.00", ("10", "10", "10"), ("3.34", "3.33", "3.33")),
        ("100.00", ("60", "40"), ("60.00", "40.00")),
        ("0.01", ("10", "10"), ("0.01", "0.00")),
        ("9.00", ("100", "-10"), ("10.00", "-1.00")),
        ("0", ("10", "10"), ("0", "0")),
        ("1.00", ("5", "-5"), ("0.50", "0.50")),
        ("0.0005", ("1", "1"), ("0.0003", "0.0002")),
    ],
)
def test_shares(discount: str, lines: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert shares(Decimal(discount), amounts(*lines), 2) == amounts(*expected)


def test_a_discount_that_nothing_can_bear_is_refused() -> None:
    with pytest.raises(ValueError, match="no line could bear"):
        shares(Decimal("1.00"), amounts("0", "0"), 2)


@given(
    discount=st.decimals(min_value=0, max_value=10_000, places=2),
    lines=st.lists(cents, min_size=1, max_size=30),
)
def test_shares_add_up_to_the_cent(discount: Decimal, lines: list[Decimal]) -> None:
    if not any(lines):
        lines[0] = Decimal(1)
    parts = shares(discount, lines, 2)
    assert sum(parts) == discount
    assert all(part == part.quantize(Decimal("0.01")) for part in parts)
    weights = lines if sum(lines) else [abs(line) for line in lines]
    whole = sum(weights, Decimal(0))
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - discount * weight / whole) < Decimal("0.0100001")


def test_currencies_have_their_own_minor_units() -> None:
    assert [minor_digits(c) for c in ("USD", "JPY", "KWD", None)] == [2, 0, 3, 2]
