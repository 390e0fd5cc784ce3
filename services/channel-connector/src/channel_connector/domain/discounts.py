"""Shares of a document discount.

The law of this module: shares add up to the discount exactly, and each differs from its exact
part by less than one minor unit (largest remainder; ties go to the earlier line).
"""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal


def shares(discount: Decimal, amounts: Sequence[Decimal], digits: int) -> list[Decimal]:
    """A discount spread over lines in proportion to their amounts, to so many decimal places.

    Where the amounts cancel out, they share by size. A discount that is finer than `digits` is
    spread at its own precision.

    Raises:
        ValueError: there is a discount and nothing that could bear it.
    """
    if not discount:
        return [Decimal(0)] * len(amounts)
    weights = list(amounts) if sum(amounts) else [abs(amount) for amount in amounts]
    whole = sum(weights, Decimal(0))
    if not whole:
        raise ValueError("no line could bear the discount")
    unit = Decimal(1).scaleb(-max(digits, _decimals(discount)))
    exact = [discount * weight / whole for weight in weights]
    floors = [part.quantize(unit, rounding=ROUND_FLOOR) for part in exact]
    missing = int((discount - sum(floors)) / unit)
    by_remainder = sorted(
        range(len(exact)), key=lambda place: (floors[place] - exact[place], place)
    )
    for place in by_remainder[:missing]:
        floors[place] += unit
    return floors


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
