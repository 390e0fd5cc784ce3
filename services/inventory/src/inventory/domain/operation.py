"""One document's new content, applied as a whole with all that it moves elsewhere.

The laws of this module (SA2, SA5, SA6, SA8, SA9):

- What the document held is put back to exactly its lots, what it gave back is taken off; then it
  gives back and takes what it wants now. Lines that end up with what they had leave no movements.
- Returns of its goods are taken off and applied anew after it. Until then their goods count as
  present, so that a sale whose goods came back, and were sold on, may keep them.
- What lots then lack is given up by others: users since the return, by latest sale date, then other
  holders, and last the sources of the return and the document itself. Goods that are themselves
  returned are never given up. Who gave up takes anew, by the calendar.
- What is missing is costed at the average of the open lots before; else at the last average known;
  else at the purchase cost; else at 0, flagged.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid5

from inventory.domain.books import Books
from inventory.domain.money import ZERO, weighted_average
from inventory.domain.movements import (
    CAME_BACK,
    Movement,
    put_back,
    returned,
    sold,
    unreturned,
    unsold,
)
from inventory.domain.sale import (
    Demand,
    Line,
    Returned,
    Sale,
    gave,
    give_back,
    give_up,
    held,
    take_off,
    taken_anew,
)
from inventory.domain.stock import Allocation, Lot, Stock

MOVED = "return-moved"
UNMADE = "return-taken-off"


@dataclass(frozen=True)
class Effect:
    """What an operation did.

    `moved` are other documents that hold other goods now; `stranded` are goods that came back to a
    voided lot; `supplied` are products that may have goods for open shortages.
    """

    sale: Sale
    moved: tuple[str, ...] = ()
    stranded: tuple[tuple[str, Decimal], ...] = ()
    supplied: tuple[str, ...] = ()


def change(books: Books, desired: Sale, demands: Sequence[Demand]) -> Effect:
    """Make these demands what the document holds; the lines of `desired` are ignored."""
    if desired.sale_id not in books.sales and all(d.quantity > 0 for d in demands):
        return _record(books, desired, demands)
    return _Operation(books, desired).run(demands)


def replay(books: Books, former: Sale) -> None:
    """Let a document that was taken out of the books take and give back anew.

    Its return lots are the ones that it had, at the average of now unless somebody touched them.
    """
    demands = [line.demand for line in former.lines]
    if any(line.quantity < 0 for line in former.lines):
        _Operation(books, former, former.lines).run(demands)
        return
    for product_id in {demand.product_id for demand in demands}:
        books.stocks[product_id].begin()
    taken = take_all(books.stocks, demands, former.lines)
    if taken == list(former.lines) and len({a.taken for o in taken for a in o.allocations}) == 1:
        books.put(former)
        return
    # Taken in another order than before, goods also come back in another order.
    lines = tuple(
        _taken_now(new, books.stocks[new.product_id].operations) if new is old else new
        for new, old in zip(taken, former.lines, strict=True)
    )
    books.put(former.with_lines(lines))


def take_all(
    stocks: Mapping[str, Stock], demands: Iterable[Demand], former: Iterable[Line] = ()
) -> list[Line]:
    """Take for every line in order; what is missing is costed at the average before them.

    A line that takes what its `former` one took is that very line.
    """
    taken_so_far: dict[str, list[Allocation]] = {}
    lines = []
    olds = iter(former)
    for line_id, product_id, quantity, places in demands:
        stock = stocks[product_id]
        allocations, missing = stock.take(quantity)
        of_product = taken_so_far.setdefault(product_id, [])
        of_product += allocations
        if of_product and not stock.is_open():
            # They took all that was open, so what they took is what was open before them.
            stock.last_average_cost = weighted_average(
                (a.quantity, a.unit_cost) for a in of_product
            )
        old = next(olds, None)
        if missing:
            average = stock.known_cost()
            line = Line(
                line_id,
                product_id,
                quantity,
                tuple(allocations),
                short=missing,
                open=missing,
                average=average or ZERO,
                uncosted=average is None,
                places=places,
            )
        elif old is not None and _took_the_same(old, allocations):
            line = old
        else:
            line = Line(line_id, product_id, quantity, tuple(allocations), places=places)
        lines.append(line)
    return lines


def _taken_now(line: Line, operation: int) -> Line:
    allocations = (a._replace(taken=operation) for a in line.allocations)
    return replace(line, allocations=tuple(allocations))


def _took_the_same(old: Line, allocations: list[Allocation]) -> bool:
    if old.short or len(old.allocations) != len(allocations):
        return False
    for was, now in zip(old.allocations, allocations, strict=True):
        if was.returned or was[:3] != now[:3]:
            return False
    return True


def _record(books: Books, desired: Sale, demands: Sequence[Demand]) -> Effect:
    """A sale that was not known before: it only takes."""
    for product_id in {demand.product_id for demand in demands}:
        books.stocks[product_id].begin()
    sale = replace(desired, lines=tuple(take_all(books.stocks, demands)))
    books.put(sale)
    for line in sale.lines:
        books.move(sold(sale, line))
    return Effect(sale)


@dataclass
class _Leaving:
    """Why a lot may lack goods: since when the returned goods were there, and who gives up last."""

    since: int
    last: set[str] = field(default_factory=set)


class _Operation:
    def __init__(
        self, books: Books, desired: Sale, replayed: tuple[Line, ...] | None = None
    ) -> None:
        self._books = books
        self._desired = desired
        self._before = books.sales.get(desired.sale_id)
        self._replayed = replayed
        self._told: dict[str, Sale] = {}
        self._stranded: dict[str, Decimal] = defaultdict(Decimal)
        self._leaving: dict[str, _Leaving] = {}
        self._brought: dict[str, Decimal] = {}
        self._averages: dict[str, Decimal | None] = {}

    def run(self, demands: Sequence[Demand]) -> Effect:
        books = self._books
        old_lines = self._before.lines if self._before else ()
        dependents = books.returns_of(self._desired.sale_id)
        products = {line.product_id for line in old_lines} | {d.product_id for d in demands}
        for product_id in products:
            books.stocks[product_id].begin()
        last_averages = {p: books.stocks[p].last_average_cost for p in products}
        self._undo(old_lines)
        new_lines, kept = self._redo(old_lines, demands)
        books.put(replace(self._desired, lines=tuple(new_lines)))
        self._write(old_lines, new_lines, kept)
        for product_id in products - _moved_products(old_lines, new_lines, kept):
            books.stocks[product_id].last_average_cost = last_averages[product_id]
        self._reapply(dependents)
        self._give_up()
        moved = self._moved()
        return Effect(
            books.sales[self._desired.sale_id],
            moved,
            tuple((lot_id, q) for lot_id, q in self._stranded.items() if q > 0),
            tuple(sorted(products)),
        )

    def _undo(self, old_lines: Iterable[Line]) -> None:
        """Put back what the document took, take off what it gave back."""
        for line in old_lines:
            for allocation in line.allocations:
                self._bring(line.product_id, allocation.lot_id, allocation.quantity)
        self._remember_averages(line for line in old_lines if line.returned)
        for line in old_lines:
            self._take_off(line)

    def _redo(
        self, old_lines: Iterable[Line], demands: Sequence[Demand]
    ) -> tuple[list[Line], set[str]]:
        """Give back, then take; the new lines, and the ids of those that have what they had."""
        old = {line.line_id: line for line in old_lines}
        former = old if self._replayed is None else {li.line_id: li for li in self._replayed}
        self._brought, self._averages = {}, {}
        new = {
            demand.line_id: self._give_back(self._desired, demand, former.get(demand.line_id))
            for demand in demands
            if demand.quantity < 0
        }
        for line in take_all(self._books.stocks, (d for d in demands if d.quantity > 0)):
            new[line.line_id] = line
        kept = set()
        for line_id, line in new.items():
            before = old.get(line_id)
            if before is not None and _has_the_same(before, line):
                kept.add(line_id)
                new[line_id] = replace(_as_before(before), places=line.places)
        return [new[demand.line_id] for demand in demands], kept

    def _write(self, old_lines: Iterable[Line], new_lines: Iterable[Line], kept: set[str]) -> None:
        """Record the movements of lines that have other goods now, in the order of doing."""
        books, sale, lots = self._books, self._desired, self._books.lots
        for line in old_lines:
            if line.line_id not in kept:
                books.move(unsold(sale, line, lots))
                books.move(unreturned(sale, line, lots))
        fresh = [line for line in new_lines if line.line_id not in kept]
        for line in fresh:
            books.move(returned(sale, line, lots))
        for line in fresh:
            books.move(sold(sale, line))

    def _take_off(self, line: Line) -> None:
        """Take the goods of a return line out of the lots that they went to."""
        for part in line.returned:
            if part.lot_id is not None:
                lot = self._bring(line.product_id, part.lot_id, -part.quantity)
                leaving = self._leaving.setdefault(
                    part.lot_id, _Leaving(part.given, {self._desired.sale_id})
                )
                leaving.since = min(leaving.since, part.given)
                if part.source_sale_id is None:
                    lot.quantity_received -= part.quantity
                else:
                    leaving.last.add(part.source_sale_id)
            if part.source_sale_id is not None and part.source_line_id is not None:
                self._unmark(part.source_sale_id, part.source_line_id, part)

    def _unmark(self, sale_id: str, line_id: str, part: Returned) -> None:
        if sale_id != self._desired.sale_id:
            source = self._touch(sale_id)
            self._books.put(source.with_line(take_off(source.line(line_id), part)))

    def _give_back(self, sale: Sale, demand: Demand, before: Line | None) -> Line:
        """Give goods back to what the customer's latest sales took, else as a return lot (SA8)."""
        left = -demand.quantity
        parts: list[Returned] = []
        uncosted = False
        if sale.customer_external_id is not None and sale.returns == "original-lots":
            for source in self._books.sales_to(sale.customer_external_id, sale.sale_id):
                if left <= 0:
                    break
                for line_id, index in _places(source, demand.product_id):
                    line = self._books.sales[source.sale_id].line(line_id)
                    uncosted = uncosted or (index < 0 and line.uncosted)
                    left = self._give_back_to(source.sale_id, line, index, left, parts)
                    if left <= 0:
                        break
        if left > 0:
            average = self._average_before(demand.product_id)
            uncosted = uncosted or average is None
            parts.append(self._to_return_lot(sale, demand, left, before, average))
        return Line(
            demand.line_id,
            demand.product_id,
            demand.quantity,
            (),
            uncosted=uncosted,
            returned=tuple(parts),
            places=demand.places,
        )

    def _give_back_to(
        self, sale_id: str, line: Line, index: int, wanted: Decimal, parts: list[Returned]
    ) -> Decimal:
        """Give back to one allocation, or to what is missing; what is left over."""
        changed, left = give_back(line, wanted, index)
        lot_id, unit_cost = None, line.average
        if index >= 0:
            lot_id, unit_cost = line.allocations[index].lot_id, line.allocations[index].unit_cost
            self._give(line.product_id, lot_id, wanted - left)
        operation = self._books.stocks[line.product_id].operations
        parts.append(Returned(sale_id, line.line_id, lot_id, wanted - left, unit_cost, operation))
        self._books.put(self._touch(sale_id).with_line(changed))
        return left

    def _to_return_lot(
        self,
        sale: Sale,
        demand: Demand,
        quantity: Decimal,
        before: Line | None,
        average: Decimal | None,
    ) -> Returned:
        """Make the rest a lot, or the lot that it was on this date, which keeps its cost."""
        stock = self._books.stocks[demand.product_id]
        lot = self._return_lot_of(before, demand.product_id, sale.sale_date)
        if lot is None:
            name = f"{sale.sale_id}/{demand.line_id}/{demand.product_id}/{stock.operations}"
            lot = stock.record(
                str(uuid5(NAMESPACE_URL, name)),
                quantity=ZERO,
                unit_cost=average or ZERO,
                received_on=sale.sale_date,
                return_sale_id=sale.sale_id,
            )
            self._books.lots[lot.lot_id] = lot
        elif self._replayed is not None and not lot.touched:
            lot.unit_cost = lot.unit_cost_received = average or ZERO
        lot.quantity_received += quantity
        self._give(demand.product_id, lot.lot_id, quantity)
        return Returned(None, None, lot.lot_id, quantity, lot.unit_cost, stock.operations)

    def _return_lot_of(self, line: Line | None, product_id: str, day: date) -> Lot | None:
        if line is None or line.product_id != product_id:
            return None
        for part in line.returned:
            if part.source_sale_id is None and part.lot_id is not None:
                lot = self._books.lots[part.lot_id]
                return lot if lot.received_on == day else None
        return None

    def _reapply(self, dependents: Sequence[tuple[Sale, Line]]) -> None:
        """Take the returns of the document's goods off and apply them anew, by the calendar."""
        self._remember_averages(line for _, line in dependents)
        for sale, line in dependents:
            self._touch(sale.sale_id)
            self._take_off(line)
        current = ""
        for sale, line in dependents:
            if sale.sale_id != current:
                current, self._brought, self._averages = sale.sale_id, {}, {}
            anew = self._give_back(sale, line.demand, line)
            if _has_the_same(line, anew):
                anew = line
            else:
                self._books.move(unreturned(sale, line, self._books.lots, MOVED))
                self._books.move(returned(sale, anew, self._books.lots, MOVED))
            self._books.put(self._books.sales[sale.sale_id].with_line(anew))

    def _give_up(self) -> None:
        """Let others give up what lots lack, and take anew."""
        books = self._books
        lacking = [books.lots[lot_id] for lot_id in self._leaving if books.lots[lot_id].balance < 0]
        wanted: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        for lot in sorted(lacking, key=lambda lot: lot.place):
            for sale_id, line_id, available in self._holders(lot):
                if lot.balance >= 0:
                    break
                quantity = min(available, -lot.balance)
                self._let_go(lot, sale_id, line_id, quantity)
                wanted[sale_id][line_id] += quantity
            self._unmake_adjustments(lot)
        for sale in sorted((books.sales[sale_id] for sale_id in wanted), key=lambda s: s.place):
            self._take_anew(sale, wanted[sale.sale_id])

    def _holders(self, lot: Lot) -> list[tuple[str, str, Decimal]]:
        """Who holds goods of a lot that are not returned, in the order of giving up."""
        leaving = self._leaving[lot.lot_id]
        found = []
        for sale in self._books.sales.values():
            last = sale.sale_id in leaving.last
            for number, line in enumerate(sale.lines):
                for index, a in enumerate(line.allocations):
                    if a.lot_id == lot.lot_id and a.quantity > a.returned:
                        group = 2 if last else int(a.taken <= leaving.since)
                        place = (-group, *sale.place, a.taken, number, index)
                        found.append((place, sale.sale_id, line.line_id, a.quantity - a.returned))
        return [entry[1:] for entry in sorted(found, reverse=True)]

    def _let_go(self, lot: Lot, sale_id: str, line_id: str, quantity: Decimal) -> None:
        sale = self._touch(sale_id)
        line, given = give_up(sale.line(line_id), lot.lot_id, quantity)
        self._books.put(sale.with_line(line))
        for allocation in given:
            self._bring(lot.product_id, lot.lot_id, allocation.quantity)
            self._books.move(put_back(sale, line, allocation, self._books.lots, MOVED))

    def _unmake_adjustments(self, lot: Lot) -> None:
        """Take adjustments back of goods of a return lot that turn out never to have come."""
        lacking = -lot.balance
        if lacking <= 0:
            return
        if lot.return_sale_id is None:
            raise ValueError(f"Nobody holds the {lacking} that lot {lot.lot_id} lacks.")
        lot.quantity_adjusted += lacking
        self._bring(lot.product_id, lot.lot_id, lacking)
        common = (lot.product_id, lot.lot_id)
        self._books.move([Movement("adjustment", *common, lacking, lot.unit_cost, reason=UNMADE)])
        if lot.voided:
            self._books.move(
                [Movement("lot-void", *common, -lacking, lot.unit_cost, reason=CAME_BACK)]
            )

    def _take_anew(self, sale: Sale, wanted: Mapping[str, Decimal]) -> None:
        demands = [
            line.demand._replace(quantity=wanted[line.line_id])
            for line in sale.lines
            if line.line_id in wanted
        ]
        for more in take_all(self._books.stocks, demands):
            line = taken_anew(sale.line(more.line_id), more)
            self._books.move(sold(sale, replace(more, average=line.average), MOVED))
            sale = sale.with_line(line)
        self._books.put(sale)

    def _moved(self) -> tuple[str, ...]:
        """Count a costing for each other document that holds other goods now."""
        moved = []
        for before in sorted(self._told.values(), key=lambda sale: sale.place):
            now = self._books.sales[before.sale_id]
            if before.sale_id != self._desired.sale_id and now.told != before.told:
                self._books.put(replace(now, costing=now.costing + 1))
                moved.append(before.sale_id)
        return tuple(moved)

    def _touch(self, sale_id: str) -> Sale:
        """A document as it is now; how it was is kept."""
        sale = self._books.sales[sale_id]
        self._told.setdefault(sale_id, sale)
        return sale

    def _bring(self, product_id: str, lot_id: str, quantity: Decimal) -> Lot:
        lot = self._books.stocks[product_id].put(lot_id, quantity)
        if lot.voided:
            self._stranded[lot_id] += quantity
        return lot

    def _remember_averages(self, lines: Iterable[Line]) -> None:
        for product_id in {line.product_id for line in lines}:
            self._books.stocks[product_id].remember_average()

    def _give(self, product_id: str, lot_id: str, quantity: Decimal) -> None:
        self._bring(product_id, lot_id, quantity)
        self._brought[lot_id] = self._brought.get(lot_id, ZERO) + quantity

    def _average_before(self, product_id: str) -> Decimal | None:
        """What a unit cost on average before the document gave anything back (SA9)."""
        if product_id not in self._averages:
            stock = self._books.stocks[product_id]
            average = stock.average_cost(self._brought)
            self._averages[product_id] = stock.known_cost() if average is None else average
        return self._averages[product_id]


def _moved_products(old: Iterable[Line], new: Iterable[Line], kept: set[str]) -> set[str]:
    return {line.product_id for line in (*old, *new) if line.line_id not in kept}


def _places(sale: Sale, product_id: str) -> list[tuple[str, int]]:
    """Where goods of a product may come back to, the last taken first; -1 is what is missing."""
    missing = []
    taken = []
    for number, line in enumerate(sale.lines):
        if line.product_id == product_id:
            if line.open > 0:
                missing.append((line.line_id, -1))
            taken += [
                (a.taken, number, index, line.line_id)
                for index, a in enumerate(line.allocations)
                if a.quantity > a.returned
            ]
    missing.reverse()
    taken.sort(reverse=True)
    return missing + [(line_id, index) for _, _, index, line_id in taken]


def _has_the_same(old: Line, new: Line) -> bool:
    return (
        old.product_id == new.product_id
        and old.quantity == new.quantity
        and old.missing == new.missing
        and held(old.allocations) == held(new.allocations)
        and gave(old.returned) == gave(new.returned)
    )


def _as_before(old: Line) -> Line:
    """The old line without the returns of its goods, which are applied anew."""
    return replace(
        old,
        allocations=tuple(a._replace(returned=ZERO) for a in old.allocations),
        open=old.missing,
        short_returned=ZERO,
    )
