"""The domain does what the naive model does, on random histories."""

from decimal import Decimal

from hypothesis import given, settings

from inventory.reference import Reference
from inventory.testing import (
    PURCHASE_COSTS,
    Choice,
    Domain,
    histories,
    state_of,
    state_of_domain,
)


@settings(max_examples=300, deadline=None)
@given(histories())
def test_the_domain_does_what_the_naive_model_does(history: list[Choice]) -> None:
    domain, reference = Domain(), Reference(PURCHASE_COSTS)
    for choose in history:
        command = choose(reference)
        if command is not None:
            real = domain.translated(command, reference)
            assert domain.apply(real) == reference.apply(command), command
            assert state_of_domain(domain) == state_of(reference), command
            assert_sound(domain)


def assert_sound(domain: Domain) -> None:
    books = domain.books
    for stock in books.stocks.values():
        remaining = sum((lot.quantity_remaining for lot in stock.lots), Decimal(0))
        lines = [line for sale in books.sales.values() for line in sale.lines]
        short = sum((li.open for li in lines if li.product_id == stock.product_id), Decimal(0))
        moved = [m.quantity for m in books.movements if m.product_id == stock.product_id]
        assert stock.on_hand == sum(moved, Decimal(0)) == remaining - short
        assert not (remaining and short)
        for lot in stock.lots:
            assert lot.quantity_remaining >= 0
            assert lot.quantity_voided >= 0
            of_lot = [m.quantity for m in books.movements if m.lot_id == lot.lot_id]
            assert sum(of_lot, Decimal(0)) == lot.quantity_remaining
