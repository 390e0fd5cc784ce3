"""Exact amounts: a line's cost is rounded once, half up (LO5).

Half up is by magnitude, so that what a full return takes back is what the sale cost.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")
UNIT_COST_STEP = Decimal("0.000001")
ZERO = Decimal(0)
PLACES = 2
"""Of money whose currency is not known."""
_STEPS = tuple(Decimal(1).scaleb(-places) for places in range(7))


def rounded(amount: Decimal, places: int) -> Decimal:
    """Money rounded half up to so many places, those of its currency's minor unit."""
    return amount.quantize(_STEPS[places], rounding=ROUND_HALF_UP)


def weighted_average(parts: Iterable[tuple[Decimal, Decimal]]) -> Decimal | None:
    """The average of (quantity, unit cost) pairs to 6 places, half up; None of no quantity."""
    quantity = value = ZERO
    for each, cost in parts:
        quantity += each
        value += each * cost
    if quantity <= 0:
        return None
    average = (value / quantity).quantize(UNIT_COST_STEP, rounding=ROUND_HALF_UP)
    return shortened(average)


def shortened(amount: Decimal) -> Decimal:
    """The same number without needless zeros, but with two places at least."""
    plain = amount.normalize()
    exponent = plain.as_tuple().exponent
    if isinstance(exponent, int) and exponent > -2:  # noqa: PLR2004
        return plain.quantize(CENT)
    return plain
