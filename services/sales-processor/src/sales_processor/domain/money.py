"""Exact money: products are computed in full and rounded once, half up, to the minor unit."""

from decimal import ROUND_HALF_UP, Context, Decimal

ZERO = Decimal(0)
PLACES = 2
"""Of money whose currency is not known, and of percentages."""
HUNDRED = Decimal(100)
MONEY_LIMIT = Decimal(10) ** 13
"""Home currency; a sale must stay below it, in sum of its lines' absolute revenues."""

_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)
_STEPS = tuple(Decimal(1).scaleb(-places) for places in range(7))


def rounded(amount: Decimal, places: int = PLACES) -> Decimal:
    """An amount rounded half up (away from zero, so alike for sale and return) to the places."""
    return _EXACT.plus(amount.quantize(_STEPS[places], context=_EXACT))


def negated(amount: Decimal) -> Decimal:
    """The exact opposite; that of 0 is 0, without a sign."""
    return _EXACT.minus(amount)


def line_revenue(
    amount: Decimal, discount: Decimal, rate: Decimal | None, places: int = PLACES
) -> Decimal:
    """Home-currency revenue of a line: net amount less its discount share, times the rate.

    Without a rate the document is in home currency.
    """
    net = _EXACT.subtract(amount, discount) if discount else amount
    return rounded(net if rate is None else _EXACT.multiply(net, rate), places)


def price_of(quantity: Decimal, unit_price: Decimal, places: int = PLACES) -> Decimal:
    """What a quantity costs at a unit price, rounded once."""
    return rounded(_EXACT.multiply(quantity, unit_price), places)


def total(amounts: list[Decimal]) -> Decimal:
    """The exact sum."""
    result = ZERO
    for amount in amounts:
        result = _EXACT.add(result, amount)
    return result


def margin_percent(revenue: Decimal, cost: Decimal) -> Decimal | None:
    """Margin as a percentage of revenue, to 2 places; None where there is no revenue.

    Where revenue is negative it is the share of margin in what was given back, so a full return has
    the percentage of its sale, and one whose goods stay out (cost 0) has 100: its margin is lost.
    Whether money was won or lost is told by the sign of the margin, not by this.
    """
    if not revenue:
        return None
    return rounded(_EXACT.divide(_EXACT.multiply(revenue - cost, HUNDRED), revenue))
