"""First in, first out once more for one product, in the order of the calendar (LO6).

The laws of this module:

- Documents go by sale date, then by the order in which they were first recorded; a lot is there
  from the day on which it was received, before that day's documents. Adjustments count for their
  lot from its first day.
- What is dated before the given date stays. So does what stands on a voided lot, what a return that
  stays gave back, and a return whose goods are needed by what stays. What these are short of may be
  settled by what comes later.
- A document whose goods come out as they are is not touched; re-costing twice changes nothing more.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from inventory.domain.books import Books
from inventory.domain.money import ZERO
from inventory.domain.movements import Lots, Movement, returned, sold, unreturned, unsold
from inventory.domain.operation import replay
from inventory.domain.sale import Line, Returned, Sale, gave, held, marked, marks, take_off
from inventory.domain.stock import Allocation, Lot, Stock

REASON = "recosted"
ROUNDS_MAX = 5
"""What stays may be settled by goods that run again; then all is run once more with what it holds
now, so that running it later changes nothing."""


@dataclass(frozen=True)
class Recosted:
    """What came out: the stock, and documents with the product's lines before and after.

    `changed` are those that hold other goods or cost something else; `marked` those of which only
    other goods were returned.
    """

    stock: Stock
    checked: int
    changed: tuple[tuple[Sale, Sale], ...]
    marked: tuple[Sale, ...]
    lots_changed: int

    @property
    def cost_before(self) -> Decimal:
        """What the product's lines of the documents that change cost before."""
        return sum((before.cost for before, _ in self.changed), ZERO)

    @property
    def cost_after(self) -> Decimal:
        """What the product's lines of the documents that change cost now."""
        return sum((after.cost for _, after in self.changed), ZERO)


class _Quiet(Books):
    """Books that keep no stock transactions: what moved is found by comparing, in the end."""

    def move(self, movements: Iterable[Movement]) -> None:
        """Keep nothing."""


def recost(stock: Stock, lots: dict[str, Lot], sales: Sequence[Sale], from_date: date) -> Recosted:
    """Run a product's history again from a date; `lots` are changed.

    `lots` are all that the product ever had, `sales` all documents with lines of it, reduced to
    those lines.
    """
    before = {lot_id: _amounts(lot) for lot_id, lot in lots.items()}
    now = sorted(sales, key=lambda sale: sale.place)
    for _ in range(ROUNDS_MAX):
        stays = _staying(lots, now, from_date)
        again = [sale for sale in now if sale.sale_id not in stays]
        stock = replace(stock, lots=[], _by_id={}, _first_open=0, changed=True)
        after = _round(stock, lots, stays, again, from_date)
        settled = [key for key, sale in stays.items() if not _all_same(sale, after[key])]
        now = [_merged(sale, after[sale.sale_id]) for sale in now]
        if not settled:
            break
    originals = {sale.sale_id: sale for sale in sales}
    changed, marked = [], []
    for sale in now:
        original = originals[sale.sale_id]
        if not _all_same(original, sale):
            changed.append((original, replace(sale, costing=original.costing + 1)))
        elif any(old != new for old, new in zip(original.lines, sale.lines, strict=True)):
            marked.append(_merged(original, sale))
    for lot in lots.values():
        lot.changed = lot.new or before[lot.lot_id] != _amounts(lot)
    lots_changed = sum(lot.changed for lot in lots.values())
    return Recosted(stock, len(again), tuple(changed), tuple(marked), lots_changed)


def moved(recosted: Recosted, lots: Lots) -> Iterator[Movement]:
    """Reversals of what documents no longer hold, then what they hold instead, by the calendar."""
    both = [
        (sale, old, new)
        for before, sale in recosted.changed
        for old, new in zip(before.lines, sale.lines, strict=True)
        if old is not new
    ]
    for sale, old, new in both:
        yield from unsold(sale, _only(old, new), lots, REASON)
        yield from unreturned(sale, _only(old, new), lots, REASON)
    for sale, old, new in both:
        yield from returned(sale, _only(new, old), lots, REASON)
        yield from sold(sale, _only(new, old), REASON)


def _only(line: Line, other: Line) -> Line:
    """What a line has that the other has not."""
    theirs = {(lot_id, cost): quantity for lot_id, cost, quantity in held(other.allocations)}
    gave_theirs = {tuple(key): quantity for *key, quantity in gave(other.returned)}
    missing = line.missing
    if line.average == other.average:
        missing = max(ZERO, missing - other.missing)
    return replace(
        line,
        allocations=tuple(
            Allocation(lot_id, more, cost)
            for lot_id, cost, quantity in held(line.allocations)
            if (more := quantity - theirs.get((lot_id, cost), ZERO)) > 0
        ),
        open=missing,
        short_returned=ZERO,
        returned=tuple(
            Returned(key[0], key[1], key[2], more, key[3])
            for *key, quantity in gave(line.returned)
            if (more := quantity - gave_theirs.get(tuple(key), ZERO)) > 0
        ),
    )


def _amounts(lot: Lot) -> tuple[Decimal, ...]:
    return (
        lot.quantity_received,
        lot.quantity_remaining,
        lot.quantity_adjusted,
        lot.quantity_voided,
        lot.unit_cost,
    )


def _staying(lots: dict[str, Lot], sales: Sequence[Sale], from_date: date) -> dict[str, Sale]:
    """The documents that keep what they hold."""
    by_id = {sale.sale_id: sale for sale in sales}
    found: dict[str, Sale] = {}
    balances = {lot_id: lot.balance for lot_id, lot in lots.items()}
    for sale in sales:
        for lot_id, quantity in _in_lots(sale):
            balances[lot_id] += quantity
    waiting = [s for s in sales if s.sale_date < from_date or _on_voided(s, lots)]
    while True:
        while waiting:
            sale = waiting.pop()
            if sale.sale_id not in found:
                found[sale.sale_id] = sale
                for lot_id, quantity in _in_lots(sale):
                    balances[lot_id] -= quantity
                sources = {r.source_sale_id for line in sale.lines for r in line.returned}
                waiting += [by_id[source] for source in sources if source is not None]
        lacking = {lot_id for lot_id, balance in balances.items() if balance < 0}
        if not lacking:
            return found
        waiting = [
            sale
            for sale in sales
            if sale.sale_id not in found
            and any(r.lot_id in lacking for line in sale.lines for r in line.returned)
        ]
        if not waiting:
            raise ValueError(f"Nobody gave what lots lack that stay: {sorted(lacking)}.")


def _in_lots(sale: Sale) -> Iterator[tuple[str, Decimal]]:
    """What a document took of lots, and, negative, what it gave to them."""
    for line in sale.lines:
        for a in line.allocations:
            yield a.lot_id, a.quantity
        for r in line.returned:
            if r.lot_id is not None:
                yield r.lot_id, -r.quantity


def _on_voided(sale: Sale, lots: dict[str, Lot]) -> bool:
    return any(
        lots[lot_id].voided
        for line in sale.lines
        for lot_id in (
            *(a.lot_id for a in line.allocations),
            *(r.lot_id for r in line.returned if r.lot_id is not None),
        )
    )


def _take_out(stock: Stock, stays: dict[str, Sale], again: Iterable[Sale]) -> None:
    """Put back what the other documents hold, and take off what they gave back."""
    for sale in again:
        for line in sale.lines:
            for allocation in line.allocations:
                stock.put(allocation.lot_id, allocation.quantity)
            for part in line.returned:
                if part.lot_id is not None:
                    lot = stock.put(part.lot_id, -part.quantity)
                    if part.source_sale_id is None:
                        lot.quantity_received -= part.quantity
                source = stays.get(part.source_sale_id or "")
                if source is not None and part.source_line_id is not None:
                    unmarked = take_off(source.line(part.source_line_id), part)
                    stays[source.sale_id] = source.with_line(unmarked)


def _cost_before(lots: Sequence[Lot], from_date: date) -> Decimal | None:
    """The last cost known on a date: that of the youngest lot before it."""
    known = [lot for lot in lots if lot.received_on < from_date and not lot.voided]
    return max(known, key=lambda lot: lot.place).unit_cost if known else None


def _round(
    stock: Stock,
    lots: dict[str, Lot],
    stays: dict[str, Sale],
    again: Sequence[Sale],
    from_date: date,
) -> dict[str, Sale]:
    """Take the documents out that run again, and let them and the lots come by the calendar."""
    arriving = sorted(lots.values(), key=lambda lot: lot.place, reverse=True)
    stock.last_average_cost = _cost_before(arriving, from_date)
    books = _Quiet({stock.product_id: stock}, lots)
    for lot in arriving:
        stock.expect(lot)
    kept = dict(stays)
    _take_out(stock, kept, again)
    for sale in kept.values():
        books.load(sale)
    while arriving and arriving[-1].received_on < from_date:
        stock.add(arriving.pop())
    books.settle(stock.product_id)
    for sale in again:
        while arriving and arriving[-1].received_on <= sale.sale_date:
            stock.add(arriving.pop())
            books.settle(stock.product_id)
        replay(books, sale)
        if any(line.quantity < 0 for line in sale.lines):
            books.settle(stock.product_id)
    while arriving:
        stock.add(arriving.pop())
        books.settle(stock.product_id)
    return books.sales


def _merged(old: Sale, new: Sale) -> Sale:
    """The document with its new lines where they have other goods."""
    if new is old:
        return old
    both = zip(old.lines, new.lines, strict=True)
    return old.with_lines(tuple(_kept(o, n) if _same(o, n) else n for o, n in both))


def _all_same(old: Sale, new: Sale) -> bool:
    return new is old or all(_same(o, n) for o, n in zip(old.lines, new.lines, strict=True))


def _same(old: Line, new: Line) -> bool:
    """Whether a line has the same goods at the same cost; how they came does not matter."""
    return new is old or (
        (old.open, old.short_returned) == (new.open, new.short_returned)
        and (not old.missing or (old.average, old.uncosted) == (new.average, new.uncosted))
        and held(old.allocations) == held(new.allocations)
        and gave(old.returned) == gave(new.returned)
    )


def _kept(old: Line, new: Line) -> Line:
    """The old line, with what was returned of it now."""
    returned = marks(new.allocations)
    if returned == marks(old.allocations):
        return old
    return replace(old, allocations=marked(old.allocations, returned))
