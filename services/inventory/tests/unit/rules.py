"""Stories of one business as tables tell them: commands in their order, and what stands then.

Products are `desk`, bought at 7, and `chair`, of no known cost. Lots are received in January 2026,
documents dated in March; a day is the day of the month.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from inventory.domain.ledger import Refusal
from inventory.reference import Command
from inventory.testing import Domain


@dataclass(frozen=True)
class Rule:
    """A story that must come out as its rule says.

    `costs` are those of the documents named; `left` is what remains of each lot that has goods, a
    return lot by its document; `short` is what documents still lack.
    """

    name: str
    steps: tuple[Command, ...]
    costs: dict[str, str] = field(default_factory=dict)
    left: str = ""
    short: dict[str, str] = field(default_factory=dict)


def lot(
    lot_id: str, quantity: str, cost: str, day: int = 5, product: str = "desk", **more: str
) -> Command:
    """A lot of desks, unless another product is named."""
    return {
        "type": "receive-lot",
        "lot_id": lot_id,
        "product_id": product,
        "quantity": quantity,
        "unit_cost": cost,
        "received_on": f"2026-01-{day:02}",
        **more,
    }


def document(
    sale_id: str,
    *lines: str,
    revision: int = 1,
    day: int = 1,
    customer: str | None = "ada",
    returns: str = "original-lots",
) -> Command:
    """A sale, or with negative quantities a credit memo; a line is `5` desks, or `chair 5`."""
    named = [line.split() if " " in line else ("desk", line) for line in lines]
    return {
        "type": "consume-lots",
        "sale_id": sale_id,
        "revision": revision,
        "sale_date": f"2026-03-{day:02}",
        "customer_external_id": customer,
        "returns": returns,
        "lines": [
            {"line_id": str(number), "product_id": product, "quantity": quantity}
            for number, (product, quantity) in enumerate(named, 1)
        ],
    }


def void_lot(lot_id: str) -> Command:
    """A lot is taken out of stock."""
    return {"type": "void-lot", "lot_id": lot_id}


def adjust(lot_id: str, quantity: str, reason: str = "other") -> Command:
    """A lot's quantity is corrected."""
    return {"type": "adjust-lot", "lot_id": lot_id, "quantity": quantity, "reason": reason}


def set_cost(lot_id: str, cost: str) -> Command:
    """A lot's unit cost is corrected."""
    return {"type": "change-lot-cost", "lot_id": lot_id, "unit_cost": cost}


def recost(day: str = "2026-01-01") -> Command:
    """Desks are costed again from a date."""
    return {"type": "recost-product", "product_id": "desk", "from_date": day}


def tell(*steps: Command) -> Domain:
    """Apply a story, each step of which must be allowed and leave the books sound."""
    domain = Domain({"desk": Decimal(7), "chair": None})
    for step in steps:
        outcome = domain.do(step)
        assert not isinstance(outcome, Refusal), (step, outcome)
        assert_sound(domain)
    return domain


def check(rule: Rule) -> None:
    """Tell a story and compare what stands at its end."""
    domain = tell(*rule.steps)
    sales = domain.books.sales
    assert {sale_id: str(sales[sale_id].cost) for sale_id in rule.costs} == rule.costs
    assert left(domain) == rule.left
    short = {
        sale.sale_id: f"{lacking:f}"
        for sale in sales.values()
        if (lacking := sum((line.open for line in sale.lines), Decimal(0)))
    }
    assert short == rule.short


def left(domain: Domain) -> str:
    """What remains of each lot that has goods, in the order of recording."""
    lots = sorted(domain.books.lots.values(), key=lambda one: (one.product_id, one.sequence))
    return " ".join(
        f"{one.return_sale_id or one.lot_id}:{one.quantity_remaining.normalize():f}"
        for one in lots
        if one.quantity_remaining
    )


def assert_sound(domain: Domain) -> None:
    """I1, I2, I4, I5 of everything that happened so far."""
    books = domain.books
    net: dict[tuple[str | None, str | None], Decimal] = defaultdict(Decimal)
    for movement in books.movements:
        net[movement.sale_id, movement.lot_id] += movement.quantity
    lines = [line for sale in books.sales.values() for line in sale.lines]
    for stock in books.stocks.values():
        of_product = [line for line in lines if line.product_id == stock.product_id]
        remaining = sum((one.quantity_remaining for one in stock.lots), Decimal(0))
        short = sum((line.open for line in of_product), Decimal(0))
        moved = [m.quantity for m in books.movements if m.product_id == stock.product_id]
        assert stock.on_hand == sum(moved, Decimal(0)) == remaining - short
        assert not (remaining and short)
    for one in books.lots.values():
        of_lot = sum((q for (_, lot_id), q in net.items() if lot_id == one.lot_id), Decimal(0))
        assert of_lot == one.quantity_remaining >= 0
    for sale in books.sales.values():
        if not sale.lines:
            assert not any(q for (sale_id, _), q in net.items() if sale_id == sale.sale_id)
    for line in lines:
        if line.quantity > 0:
            held = sum((a.quantity for a in line.allocations), Decimal(0))
            assert held + line.missing == line.quantity
