"""What is known of one business: its stocks and documents, and what happened to them.

Only what a batch touches is there. `touched` and `new` say what must be saved; `movements` are in
the order in which they happened.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from inventory.domain.movements import Movement, swapped
from inventory.domain.sale import Line, Sale, settled
from inventory.domain.stock import Allocation, Lot, Stock


@dataclass(frozen=True, slots=True)
class Settlement:
    """Goods of a lot that now stand behind part of an open shortage."""

    sale_id: str
    line_id: str
    allocation: Allocation


class _Calendar:
    """Ids of documents by sale date, then by the order in which they were first recorded.

    A document may stand in several places, at most one of which is its own.
    """

    def __init__(self) -> None:
        self.entries: list[tuple[date, int, str]] = []

    def add(self, sale: Sale) -> None:
        entry = (sale.sale_date, sale.order, sale.sale_id)
        if not self.entries or entry > self.entries[-1]:
            self.entries.append(entry)
            return
        place = bisect_left(self.entries, entry)
        if self.entries[place] != entry:
            self.entries.insert(place, entry)

    def drop(self, sale: Sale) -> None:
        entry = (sale.sale_date, sale.order, sale.sale_id)
        place = bisect_left(self.entries, entry)
        if place < len(self.entries) and self.entries[place] == entry:
            del self.entries[place]


@dataclass
class Books:
    """Stocks by product, lots and documents by id.

    The indexes name every document that may match, also some that no longer do.
    """

    stocks: dict[str, Stock] = field(default_factory=dict)
    lots: dict[str, Lot] = field(default_factory=dict)
    sales: dict[str, Sale] = field(default_factory=dict)
    movements: list[Movement] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    new: set[str] = field(default_factory=set)
    _of_customer: dict[str, _Calendar] = field(default_factory=lambda: defaultdict(_Calendar))
    _short: dict[str, _Calendar] = field(default_factory=lambda: defaultdict(_Calendar))
    _returned: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def load(self, sale: Sale) -> None:
        """Take in a document as it is stored."""
        self.sales[sale.sale_id] = sale
        if sale.customer_external_id is not None:
            self._of_customer[sale.customer_external_id].add(sale)
        for line in sale.lines:
            if line.open > 0:
                self._short[line.product_id].add(sale)
            for part in line.returned:
                if part.source_sale_id is not None:
                    self._returned[part.source_sale_id].add(sale.sale_id)

    def put(self, sale: Sale) -> None:
        """Change a document, or add one."""
        if sale.sale_id not in self.sales:
            self.new.add(sale.sale_id)
        self.touched.add(sale.sale_id)
        self.load(sale)

    def move(self, movements: Iterable[Movement]) -> None:
        """Record changes of stock."""
        for movement in movements:
            self.movements.append(movement)
            self.stocks[movement.product_id].on_hand += movement.quantity

    def sales_to(self, customer_external_id: str, but: str) -> Iterator[Sale]:
        """The other documents of a customer, the latest first."""
        calendar = self._of_customer.get(customer_external_id)
        for sale in self._in(reversed(calendar.entries) if calendar else ()):
            if sale.sale_id != but and sale.customer_external_id == customer_external_id:
                yield sale

    def returns_of(self, sale_id: str) -> list[tuple[Sale, Line]]:
        """The return lines of other documents that gave back goods of this one, by the calendar."""
        found = sorted(
            (
                self.sales[other]
                for other in self._returned.get(sale_id, ())
                if other != sale_id and other in self.sales
            ),
            key=lambda sale: sale.place,
        )
        return [
            (sale, line)
            for sale in found
            for line in sale.lines
            if any(part.source_sale_id == sale_id for part in line.returned)
        ]

    def _in(self, entries: Iterable[tuple[date, int, str]]) -> Iterator[Sale]:
        """The documents that stand in their own place of a calendar."""
        for day, order, sale_id in entries:
            sale = self.sales.get(sale_id)
            if sale is not None and sale.place == (day, order):
                yield sale

    def settle(self, product_id: str) -> list[Settlement]:
        """Let what is in stock settle open shortages, the oldest sale first (SA9).

        A document with several parts settled counts one more costing.
        """
        stock = self.stocks[product_id]
        if not stock.is_open() or product_id not in self._short:
            return []
        calendar = self._short[product_id]
        settlements: list[Settlement] = []
        available: Decimal | None = None
        for sale in self._in(list(calendar.entries)):
            changed = sale
            for line in _short_lines(sale, product_id):
                if available is None:
                    stock.begin()
                    available = stock.average_cost()
                changed = self._settle_line(stock, changed, line, settlements)
            if changed is not sale:
                self.put(replace(changed, costing=sale.costing + 1))
            if not next(_short_lines(changed, product_id), None):
                calendar.drop(sale)
            if not stock.is_open():
                stock.last_average_cost = available
                break
        return settlements

    def _settle_line(
        self, stock: Stock, sale: Sale, line: Line, settlements: list[Settlement]
    ) -> Sale:
        taken, _ = stock.take(line.open)
        for allocation in taken:
            self.move(swapped(sale, line, allocation))
            line = settled(line, allocation)
            settlements.append(Settlement(sale.sale_id, line.line_id, allocation))
        return sale.with_line(line) if taken else sale


def _short_lines(sale: Sale, product_id: str) -> Iterator[Line]:
    return (line for line in sale.lines if line.product_id == product_id and line.open > Decimal(0))
