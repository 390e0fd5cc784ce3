"""A naive model of inventory for tests: the rules once more, slowly, with nothing shared.

The law of this module: nothing is stored that can be counted. What remains of a lot, what was
returned of a line, what is short: all is summed up anew from who holds what, each time.
"""

from collections import defaultdict
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Command = dict[str, Any]
ZERO = Decimal(0)


@dataclass
class Lot:
    """A lot as it came; `return_of` names the document that made it."""

    product: str
    sequence: int
    date: str
    cost: Decimal
    received: Decimal = ZERO
    adjusted: Decimal = ZERO
    voided: bool = False
    return_of: str | None = None
    arrived: bool = True
    first_cost: Decimal = ZERO

    def __post_init__(self) -> None:
        self.first_cost = self.cost


@dataclass
class Held:
    """Goods that a line took of a lot; `when` is the operation."""

    lot: str
    quantity: Decimal
    cost: Decimal
    when: int


@dataclass
class Given:
    """Goods that a line gave back: to whom, to which lot; `known` says whether their cost was."""

    source: tuple[str, str] | None
    lot: str | None
    quantity: Decimal
    cost: Decimal
    when: int
    known: bool = True


@dataclass
class Line:
    """What a line holds, lacks, or gave back."""

    product: str
    wanted: Decimal
    held: list[Held] = field(default_factory=list)
    missing: Decimal = ZERO
    average: Decimal | None = ZERO
    given: list[Given] = field(default_factory=list)


@dataclass
class Document:
    """A sale or a memo at its newest revision."""

    revision: int
    date: str
    customer: str | None
    mode: str
    order: int
    lines: dict[str, Line]
    costing: int = 1


class Reference:
    """All of inventory for one business."""

    def __init__(self, purchase_costs: dict[str, Decimal | None]) -> None:
        self.purchase_costs = purchase_costs
        self.lots: dict[str, Lot] = {}
        self.documents: dict[str, Document] = {}
        self.adjustments: set[str] = set()
        self.last: dict[str, Decimal | None] = dict.fromkeys(purchase_costs)
        self._clock = 0
        self._sequences: dict[str, int] = defaultdict(int)

    # What can be counted

    def balance(self, lot_id: str) -> Decimal:
        """What is there of a lot, set aside if it is voided."""
        lot = self.lots[lot_id]
        balance = lot.received + lot.adjusted
        for document in self.documents.values():
            for line in document.lines.values():
                balance -= sum(h.quantity for h in line.held if h.lot == lot_id)
                balance += sum(g.quantity for g in line.given if g.lot == lot_id)
        return balance

    def open_lots(self, product: str) -> list[str]:
        """Open lots, the oldest first."""
        found = [
            (lot.date, lot.sequence, lot_id)
            for lot_id, lot in self.lots.items()
            if lot.product == product
            and lot.arrived
            and not lot.voided
            and self.balance(lot_id) > 0
        ]
        return [lot_id for _, _, lot_id in sorted(found)]

    def returned(self, document_id: str, line_id: str, lot: str | None, cost: Decimal) -> Decimal:
        """What was given back of what a line took of a lot at a cost, or of what it lacks."""
        return sum(
            (
                g.quantity
                for document in self.documents.values()
                for line in document.lines.values()
                for g in line.given
                if g.source == (document_id, line_id) and g.lot == lot and g.cost == cost
            ),
            ZERO,
        )

    def still_short(self, document_id: str, line_id: str) -> Decimal:
        """What a line still lacks."""
        line = self.documents[document_id].lines[line_id]
        return line.missing - self.returned(document_id, line_id, None, line.average or ZERO)

    def told(self, document_id: str) -> Any:  # noqa: ANN401  (whatever compares)
        """What is told of a document: for each line what it holds, lacks, gave back and cost."""
        return {
            line_id: (
                line.product,
                line.wanted,
                _merged((h.lot, h.cost, h.quantity) for h in line.held),
                self.still_short(document_id, line_id),
                line.missing,
                (line.average or ZERO, line.average is None) if line.missing else (ZERO, False),
                _merged((g.source, g.lot, g.cost, g.quantity) for g in line.given),
                self.cost(line),
            )
            for line_id, line in self.documents[document_id].lines.items()
        }

    def cost(self, line: Line) -> Decimal:
        """What a line cost."""
        cost = sum((h.quantity * h.cost for h in line.held), ZERO)
        cost += line.missing * (line.average or ZERO)
        cost -= sum((g.quantity * g.cost for g in line.given), ZERO)
        return cost.quantize(Decimal("0.01"), ROUND_HALF_UP)

    def uncosted(self, document_id: str, line_id: str) -> bool:
        """Whether something that a line lacks or gave back has no cost that anybody knew."""
        line = self.documents[document_id].lines[line_id]
        lacks = line.missing > 0 and line.average is None
        return lacks or any(not given.known for given in line.given)

    def average(self, product: str) -> Decimal | None:
        """The average of the open lots, else the last known, else the purchase cost."""
        self._note(product)
        last = self.last[product]
        return self.purchase_costs[product] if last is None else last

    def _note(self, product: str) -> None:
        goods = [(self.balance(lot), self.lots[lot].cost) for lot in self.open_lots(product)]
        if goods:
            value = sum((q * cost for q, cost in goods), ZERO)
            quantity = sum((q for q, _ in goods), ZERO)
            self.last[product] = (value / quantity).quantize(Decimal("0.000001"), ROUND_HALF_UP)

    # What can happen

    def apply(self, command: Command) -> bool:
        """Apply a command; whether it was allowed."""
        kind = command["type"].replace("-", "_")
        return bool(getattr(self, f"_{kind}")(command))

    def _receive_lot(self, command: Command) -> bool:
        if command["lot_id"] in self.lots:
            return True
        product = command["product_id"]
        self._sequences[product] += 1
        self.lots[command["lot_id"]] = Lot(
            product,
            self._sequences[product],
            command["received_on"],
            Decimal(command["unit_cost"]),
            received=Decimal(command["quantity"]),
        )
        self._settle(product)
        return True

    def _adjust_lot(self, command: Command) -> bool:
        lot = self.lots.get(command["lot_id"])
        quantity = Decimal(command["quantity"])
        if lot is None or lot.voided or self.balance(command["lot_id"]) + quantity < 0:
            return False
        self._note(lot.product)
        lot.adjusted += quantity
        self._settle(lot.product)
        return True

    def _change_lot_cost(self, command: Command) -> bool:
        lot = self.lots.get(command["lot_id"])
        if lot is None or lot.voided:
            return False
        lot.cost = Decimal(command["unit_cost"])
        return True

    def _void_lot(self, command: Command) -> bool:
        lot = self.lots.get(command["lot_id"])
        if lot is None or lot.voided:
            return False
        self._note(lot.product)
        lot.voided = True
        return True

    def _consume_lots(self, command: Command) -> bool:
        key = command["sale_id"]
        old = self.documents.get(key)
        if old is not None and old.revision >= command["revision"]:
            return True
        self._clock += 1
        was = {other: self.told(other) for other in self.documents}
        before = {} if old is None else deepcopy(old.lines)
        dependents = [
            (other, line_id, list(document.lines[line_id].given))
            for other, document in self._by_calendar()
            for line_id, line in document.lines.items()
            if other != key and any(g.source and g.source[0] == key for g in line.given)
        ]
        products = {line.product for line in before.values()}
        products |= {line["product_id"] for line in command["lines"]}
        last = self._note_all(products)
        self._undo(old)
        self.documents[key] = Document(
            command["revision"],
            command["sale_date"],
            command.get("customer_external_id"),
            command.get("returns", "original-lots"),
            len(self.documents) if old is None else old.order,
            {},
        )
        self._fill(key, command["lines"], before)
        for product in products:
            if self._goods_of(before, product) == self._goods_of(
                self.documents[key].lines, product
            ):
                self.last[product] = last[product]
        self._reapply(dependents)
        leaving = [g for _, _, given in dependents for g in given]
        leaving += [g for line in before.values() for g in line.given]
        self._give_up(key, leaving)
        for other, told in was.items():
            if other != key and self.told(other) != told:
                self.documents[other].costing += 1
        for product in sorted(self.purchase_costs):
            self._settle(product)
        return True

    def _recost_product(self, command: Command) -> bool:
        product, day = command["product_id"], command["from_date"]
        was = {key: (document.costing, self.told(key)) for key, document in self.documents.items()}
        before = {key: deepcopy(document.lines) for key, document in self.documents.items()}
        while True:
            stays = self._staying(product, day)
            told = {key: self.told(key) for key in stays}
            self._run_again(product, day, stays)
            if all(self.told(key) == told[key] for key in stays):
                break
        for key, (costing, first) in was.items():
            document = self.documents[key]
            document.costing = costing + (self.told(key) != first)
            for n, line in document.lines.items():
                if line.product == product and self.told(key)[n] == first[n]:
                    line.held, line.given = before[key][n].held, before[key][n].given
        return True

    def _run_again(self, product: str, day: str, stays: set[str]) -> None:
        again = [key for key, _ in self._by_calendar() if key not in stays]
        former: dict[str, dict[str, Line]] = {}
        for key in again:
            lines = self.documents[key].lines
            former[key] = {n: deepcopy(li) for n, li in lines.items() if li.product == product}
            for n in former[key]:
                lines[n] = Line(product, ZERO)
        lots = sorted(
            (lot.date, lot.sequence, lot_id)
            for lot_id, lot in self.lots.items()
            if lot.product == product
        )
        for date, _, lot_id in lots:
            self.lots[lot_id].arrived = date < day
        old = [lot_id for date, _, lot_id in lots if date < day and not self.lots[lot_id].voided]
        self.last[product] = self.lots[old[-1]].cost if old else None
        self._settle(product)
        self._replay(product, again, former, [lot for lot in lots if lot[0] >= day])

    def _staying(self, product: str, day: str) -> set[str]:
        """Documents that keep what they hold."""
        parts: dict[str, list[tuple[str | None, Decimal, str | None]]] = {
            key: [
                part
                for line in document.lines.values()
                if line.product == product
                for part in (
                    *((h.lot, h.quantity, None) for h in line.held),
                    *((g.lot, -g.quantity, g.source and g.source[0]) for g in line.given),
                )
            ]
            for key, document in self.documents.items()
        }
        stays = {
            key
            for key, document in self.documents.items()
            if document.date < day or any(lot and self.lots[lot].voided for lot, _, _ in parts[key])
        }
        while True:
            more = {source for key in stays for _, _, source in parts[key] if source}
            for lot_id, lot in self.lots.items():
                there = lot.received + lot.adjusted
                there -= sum(q for key in stays for at, q, _ in parts[key] if at == lot_id)
                if there < 0:
                    more |= {
                        key
                        for key, of in parts.items()
                        for at, q, _ in of
                        if at == lot_id and q < 0
                    }
            if more <= stays:
                return stays
            stays |= more

    def _replay(
        self,
        product: str,
        again: list[str],
        former: dict[str, dict[str, Line]],
        arriving: list[tuple[str, int, str]],
    ) -> None:
        for key in again:
            document = self.documents[key]
            while arriving and arriving[0][0] <= document.date:
                self.lots[arriving.pop(0)[2]].arrived = True
                self._settle(product)
            self._clock += 1
            for n, line in former[key].items():
                document.lines[n].wanted = line.wanted
            giving = [n for n, line in former[key].items() if line.wanted < 0]
            self._give_all(key, giving, former[key], anew=True)
            wanted = {n: line.wanted for n, line in former[key].items() if line.wanted > 0}
            self._take_all(key, wanted)
            self._settle(product)
        for _, _, lot_id in arriving:
            self.lots[lot_id].arrived = True
            self._settle(product)

    # The steps of an operation

    def _note_all(self, products: Iterable[str]) -> dict[str, Decimal | None]:
        for product in products:
            self._note(product)
        return dict(self.last)

    def _by_calendar(self) -> list[tuple[str, Document]]:
        return sorted(self.documents.items(), key=lambda item: (item[1].date, item[1].order))

    @staticmethod
    def _goods_of(lines: dict[str, Line], product: str) -> Any:  # noqa: ANN401  (it compares)
        return {n: _goods(line) for n, line in lines.items() if line.product == product}

    def _undo(self, document: Document | None) -> None:
        lines = [] if document is None else list(document.lines.values())
        for line in lines:
            line.held = []
        self._note_all({line.product for line in lines})
        for line in lines:
            line.given = []

    def _fill(self, key: str, wanted: list[dict[str, str]], before: dict[str, Line]) -> None:
        lines = self.documents[key].lines
        for each in wanted:
            lines[each["line_id"]] = Line(each["product_id"], Decimal(each["quantity"]))
        self._give_all(key, [n for n, line in lines.items() if line.wanted < 0], before)
        self._take_all(key, {n: line.wanted for n, line in lines.items() if line.wanted > 0})
        for line_id, line in lines.items():
            old = before.get(line_id)
            if old is not None and _goods(old) == _goods(line):
                line.held, line.given, line.average = old.held, old.given, old.average

    def _reapply(self, dependents: list[tuple[str, str, list[Given]]]) -> None:
        before: dict[str, dict[str, Line]] = defaultdict(dict)
        lines_off = [self.documents[other].lines[line_id] for other, line_id, _ in dependents]
        self._note_all({line.product for line in lines_off})
        for other, line_id, _ in dependents:
            line = self.documents[other].lines[line_id]
            before[other][line_id] = deepcopy(line)
            line.given = []
        for other, lines in before.items():
            self._give_all(other, list(lines), lines)
            for line_id, old in lines.items():
                line = self.documents[other].lines[line_id]
                if _goods(old) == _goods(line):
                    line.given = old.given

    def _give_all(
        self, key: str, line_ids: list[str], before: dict[str, Line], *, anew: bool = False
    ) -> None:
        document = self.documents[key]
        products = {document.lines[line_id].product for line_id in line_ids}
        averages = {product: self.average(product) for product in products}
        for line_id in line_ids:
            line = document.lines[line_id]
            left = -line.wanted
            if document.customer is not None and document.mode == "original-lots":
                for given in self._places(key, document.customer, line.product):
                    given.quantity = min(left, given.quantity)
                    if given.quantity > 0:
                        line.given.append(given)
                        left -= given.quantity
            if left > 0:
                average = averages[line.product]
                self._to_return_lot(key, line_id, left, average, before, anew=anew)

    def _places(self, key: str, customer: str, product: str) -> list[Given]:
        """Where goods may come back to, and how many at most, in order."""
        found: list[Given] = []
        for other, document in reversed(self._by_calendar()):
            if other == key or document.customer != customer:
                continue
            entries = []
            for number, (line_id, line) in enumerate(document.lines.items()):
                source = (other, line_id)
                short = self.still_short(other, line_id)
                if line.product == product and short > 0:
                    place = (1, 0, number, 0)
                    cost = line.average or ZERO
                    known = line.average is not None
                    entries.append((place, Given(source, None, short, cost, self._clock, known)))
                for index, (held, free) in enumerate(self._free(other, line_id)):
                    if line.product == product and free > 0:
                        place = (0, held.when, number, index)
                        given = Given(source, held.lot, free, held.cost, self._clock)
                        entries.append((place, given))
            entries.sort(key=lambda entry: entry[0], reverse=True)
            found += [given for _, given in entries]
        return found

    def _free(self, document_id: str, line_id: str) -> list[tuple[Held, Decimal]]:
        """What a line holds, each with what is not returned: the last taken came back first."""
        back: dict[tuple[str, Decimal], Decimal] = {}
        found = []
        for held in reversed(self.documents[document_id].lines[line_id].held):
            key = (held.lot, held.cost)
            if key not in back:
                back[key] = self.returned(document_id, line_id, held.lot, held.cost)
            covered = min(back[key], held.quantity)
            back[key] -= covered
            found.append((held, held.quantity - covered))
        return found[::-1]

    def _to_return_lot(
        self,
        key: str,
        line_id: str,
        quantity: Decimal,
        average: Decimal | None,
        before: dict[str, Line],
        *,
        anew: bool,
    ) -> None:
        document = self.documents[key]
        line = document.lines[line_id]
        lot_id = None
        if line_id in before and before[line_id].product == line.product:
            for given in before[line_id].given:
                if (
                    given.source is None
                    and given.lot
                    and self.lots[given.lot].date == document.date
                ):
                    lot_id = given.lot
        if lot_id is not None and anew:
            lot = self.lots[lot_id]
            if lot.cost == lot.first_cost and not lot.adjusted:
                lot.cost = lot.first_cost = average or ZERO
        if lot_id is None:
            self._sequences[line.product] += 1
            lot_id = f"return {line.product} {self._sequences[line.product]}"
            self.lots[lot_id] = Lot(
                line.product,
                self._sequences[line.product],
                document.date,
                average or ZERO,
                return_of=key,
            )
        cost = self.lots[lot_id].cost
        known = average is not None
        line.given.append(Given(None, lot_id, quantity, cost, self._clock, known))

    def _take_all(self, key: str, wanted: dict[str, Decimal]) -> None:
        lines = self.documents[key].lines
        averages = {lines[n].product: self.average(lines[n].product) for n in wanted}
        for line_id, quantity in wanted.items():
            line = lines[line_id]
            left = self._take(line, quantity)
            if left > 0:
                if line.missing == 0:
                    line.average = averages[line.product]
                line.missing += left

    def _take(self, line: Line, quantity: Decimal) -> Decimal:
        for lot_id in self.open_lots(line.product):
            taken = min(quantity, self.balance(lot_id))
            if taken > 0:
                line.held.append(Held(lot_id, taken, self.lots[lot_id].cost, self._clock))
                quantity -= taken
        return quantity

    def _give_up(self, key: str, leaving: list[Given]) -> None:
        wanted: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        lacking = [
            (lot.date, lot.sequence, lot_id)
            for lot_id, lot in self.lots.items()
            if self.balance(lot_id) < 0
        ]
        for _, _, lot_id in sorted(lacking):
            left = [g for g in leaving if g.lot == lot_id]
            since = min(g.when for g in left)
            last = {key} | {g.source[0] for g in left if g.source}
            for other, line_id, held, free in self._holders(lot_id, since, last):
                quantity = min(free, -self.balance(lot_id))
                if quantity > 0:
                    held.quantity -= quantity
                    wanted[other][line_id] += quantity
            if self.balance(lot_id) < 0:
                self.lots[lot_id].adjusted -= self.balance(lot_id)
        for other, document in self._by_calendar():
            for line in document.lines.values():
                line.held = [held for held in line.held if held.quantity > 0]
            if other in wanted:
                by_line = {n: wanted[other][n] for n in document.lines if n in wanted[other]}
                self._take_all(other, by_line)

    def _holders(
        self, lot_id: str, since: int, last: set[str]
    ) -> list[tuple[str, str, Held, Decimal]]:
        found = []
        for other, document in self.documents.items():
            for number, line_id in enumerate(document.lines):
                for index, (held, free) in enumerate(self._free(other, line_id)):
                    if held.lot == lot_id and free > 0:
                        group = 2 if other in last else 0 if held.when > since else 1
                        place = (-group, document.date, document.order, held.when, number, index)
                        found.append((place, (other, line_id, held, free)))
        found.sort(key=lambda entry: entry[0], reverse=True)
        return [entry for _, entry in found]

    def _settle(self, product: str) -> None:
        self._note(product)
        if not self.open_lots(product):
            return
        self._clock += 1
        for other, document in self._by_calendar():
            settled = False
            for line_id, line in document.lines.items():
                short = self.still_short(other, line_id)
                if line.product == product and short > 0:
                    left = self._take(line, short)
                    settled = settled or left < short
                    line.missing -= short - left
            document.costing += settled


def _goods(line: Line) -> Any:  # noqa: ANN401  (it compares)
    return (
        line.product,
        line.wanted,
        _merged((h.lot, h.cost, h.quantity) for h in line.held),
        line.missing,
        _merged((g.source, g.lot, g.cost, g.quantity) for g in line.given),
    )


def _merged(parts: Iterable[tuple[Any, ...]]) -> tuple[tuple[Any, ...], ...]:
    """Equal parts as one, in the order of the first."""
    merged: dict[tuple[Any, ...], Decimal] = {}
    for *key, quantity in parts:
        merged[tuple(key)] = merged.get(tuple(key), ZERO) + quantity
    return tuple((*key, quantity) for key, quantity in merged.items())
