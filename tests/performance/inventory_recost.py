"""How fast inventory runs a product's history again in memory: lines a second, by processor time.

A history of sales and returns over many lots is costed once; then it is run again as it is, and
with a late lot that moves a part of it. Garbage is collected as the service collects it.
"""

import argparse
import random
import time
from datetime import date, timedelta
from decimal import Decimal

from chassis.service import tune_garbage_collection
from inventory.domain.recost import Recosted, recost
from inventory.domain.sale import Line, Sale
from inventory.domain.stock import Lot, Stock

FIRST = date(2026, 1, 1)
LINES_A_SALE = 3
LINES_A_DAY = 400
RETURNS_SHARE = 0.05


def main() -> None:
    """Print lines a second of each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    lines = parser.parse_args().lines
    tune_garbage_collection()
    chance = random.Random(1)  # noqa: S311  (the same history each time)
    stock = Stock("desk", purchase_cost=Decimal(3))
    lots = {lot.lot_id: lot for lot in _lots(chance, lines)}
    sales = {sale.sale_id: sale for sale in _sales(chance, lines)}
    for name, late in (
        ("costed once", None),
        ("again, as it is", None),
        ("with a late lot", _lot("late", 10**6, FIRST + timedelta(days=5), 1000, Decimal(5))),
    ):
        if late is not None:
            lots[late.lot_id] = late
        began = time.process_time()
        result = recost(stock, lots, list(sales.values()), FIRST)
        seconds = time.process_time() - began
        stock = _settle_on(result, lots, sales)
        count = sum(len(sale.lines) for sale in sales.values())
        print(
            f"{name:18} {count / seconds:10,.0f} lines/s   "
            f"({count:,} lines, {len(result.changed):,} sales changed)"
        )


def _settle_on(result: Recosted, lots: dict[str, Lot], sales: dict[str, Sale]) -> Stock:
    for _, after in result.changed:
        sales[after.sale_id] = after
    for after in result.marked:
        sales[after.sale_id] = after
    for lot in lots.values():
        lot.new = lot.changed = False
    return result.stock


def _lots(chance: random.Random, lines: int) -> list[Lot]:
    return [
        _lot(
            f"lot-{number}",
            number,
            FIRST + timedelta(days=number // 4),
            500,
            Decimal(chance.randint(100, 900)) / 100,
        )
        for number in range(lines // 100)
    ]


def _lot(lot_id: str, sequence: int, day: date, quantity: int, cost: Decimal) -> Lot:
    zero = Decimal(0)
    received = Decimal(quantity)
    return Lot(
        lot_id,
        "desk",
        lot_id,
        day,
        sequence,
        received,
        received,
        zero,
        zero,
        cost,
        cost,
        voided=False,
    )


def _sales(chance: random.Random, lines: int) -> list[Sale]:
    sales = []
    for number in range(lines // LINES_A_SALE):
        day = FIRST + timedelta(days=chance.randint(0, lines // LINES_A_DAY))
        if chance.random() < RETURNS_SHARE:
            wanted = [-Decimal(chance.randint(1, 3))]
        else:
            wanted = [Decimal(chance.randint(1, 4)) for _ in range(LINES_A_SALE)]
        content = tuple(
            Line(str(n), "desk", quantity, (), short=max(quantity, Decimal(0)))
            for n, quantity in enumerate(wanted)
        )
        sales.append(Sale(f"sale-{number}", 1, 1, day, f"customer-{number % 200}", number, content))
    return sales


if __name__ == "__main__":
    main()
