"""Random histories, and the domain without a database, for tests.

A history is a list of choices, each a command that may name what the history so far has made.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any

from hypothesis import strategies as st

from inventory.domain.ledger import Ledger, Refusal
from inventory.domain.money import shortened
from inventory.domain.operation import Effect
from inventory.domain.recost import Recosted, moved, recost
from inventory.domain.sale import Demand, gave, held
from inventory.reference import Command, Reference

State = tuple[dict[Any, Any], dict[Any, Any]]
"""Lots by product and sequence, documents by id, in a form that compares."""

PURCHASE_COSTS = {"desk": Decimal(7), "chair": None}
"""The products of every history."""


class Domain:
    """The domain without a database: everything in one ledger, for ever.

    Its products are finished goods, given with their purchase costs.
    """

    def __init__(self, purchase_costs: Mapping[str, Decimal | None] = PURCHASE_COSTS) -> None:
        self.ledger = Ledger()
        orders = count()
        self.ledger.next_order = lambda: next(orders)
        self._adjustments = count()
        for product_id, cost in purchase_costs.items():
            self.ledger.put_product(
                ("b", product_id),
                name=product_id,
                sku=None,
                product_type="finished-good",
                purchase_cost=cost,
            )
        self.books = self.ledger.books_of("b")

    def apply(self, command: Command) -> bool:
        """Apply a command; whether it was allowed."""
        return not isinstance(self.do(command), Refusal)

    def translated(self, command: Command, reference: Reference) -> Command:
        """The command with the id that a lot has here."""
        lot = reference.lots.get(command.get("lot_id", ""))
        if lot is None:
            return command
        found = (
            lot_id
            for lot_id, other in self.books.lots.items()
            if (other.product_id, other.sequence) == (lot.product, lot.sequence)
        )
        return {**command, "lot_id": next(found)}

    def do(self, c: Command) -> object:
        """Apply a command; what the ledger answers."""
        match c["type"]:
            case "receive-lot":
                lot = self.ledger.receive_lot(
                    ("b", c["product_id"]),
                    lot_id=c["lot_id"],
                    lot_number=c.get("lot_number"),
                    quantity=Decimal(c["quantity"]),
                    unit_cost=shortened(Decimal(c["unit_cost"])),
                    received_on=date.fromisoformat(c["received_on"]),
                )
                if not isinstance(lot, Refusal):
                    self.settle(c["product_id"])
                return lot
            case "adjust-lot":
                lot = self.ledger.adjust_lot(
                    "b",
                    c["lot_id"],
                    adjustment_id=c.get("adjustment_id") or str(next(self._adjustments)),
                    quantity=Decimal(c["quantity"]),
                    reason=c.get("reason", "other"),
                )
                self.settle(*self.books.stocks)
                return lot
            case "change-lot-cost":
                return self.ledger.change_lot_cost(
                    "b", c["lot_id"], shortened(Decimal(c["unit_cost"]))
                )
            case "void-lot":
                return self.ledger.void_lot("b", c["lot_id"])
            case "recost-product":
                return self.recost(c["product_id"], date.fromisoformat(c["from_date"]))
        effect = self.ledger.consume(
            ("b", c["sale_id"]),
            revision=c["revision"],
            sale_date=date.fromisoformat(c["sale_date"]),
            customer_external_id=c.get("customer_external_id"),
            returns=c.get("returns", "original-lots"),
            demands=[
                Demand(d["line_id"], d["product_id"], Decimal(d["quantity"])) for d in c["lines"]
            ],
        )
        if isinstance(effect, Effect):
            self.settle(*effect.supplied)
        return effect

    def recost(self, product_id: str, from_date: date) -> Recosted:
        """Run a product's history again."""
        books = self.books
        lots = {key: lot for key, lot in books.lots.items() if lot.product_id == product_id}
        sales = [
            replace(sale, lines=lines)
            for sale in books.sales.values()
            if (lines := tuple(li for li in sale.lines if li.product_id == product_id))
        ]
        result = recost(books.stocks[product_id], lots, sales, from_date)
        books.stocks[product_id] = result.stock
        books.lots |= lots
        for sale in (*(after for _, after in result.changed), *result.marked):
            books.put(books.sales[sale.sale_id].with_lines_of(sale))
        books.move(moved(result, books.lots))
        return result

    def settle(self, *products: str) -> None:
        """Settle the shortages of products."""
        for product in products:
            self.ledger.settle(("b", product))


def state_of(reference: Reference) -> State:
    """What the naive model holds."""
    lots = {
        (lot.product, lot.sequence): (lot.return_of, lot.date, reference.balance(lot_id), lot.cost)
        for lot_id, lot in reference.lots.items()
    }
    names = {lot_id: (lot.product, lot.sequence) for lot_id, lot in reference.lots.items()}
    documents = {
        key: (
            document.revision,
            document.costing,
            {
                n: (
                    product,
                    wanted,
                    [(names[lot], cost, q) for lot, cost, q in held_],
                    short,
                    missing,
                    average,
                    [(source, names.get(lot), cost, q) for source, lot, cost, q in given_],
                    cost_,
                )
                for n, (product, wanted, held_, short, missing, average, given_, cost_) in (
                    reference.told(key).items()
                )
            },
        )
        for key, document in reference.documents.items()
    }
    return lots, documents


def state_of_domain(domain: Domain) -> State:
    """What the domain holds."""
    books = domain.books
    names = {lot_id: (lot.product_id, lot.sequence) for lot_id, lot in books.lots.items()}
    lots = {
        names[lot_id]: (
            lot.return_sale_id,
            lot.received_on.isoformat(),
            lot.balance,
            lot.unit_cost,
        )
        for lot_id, lot in books.lots.items()
    }
    documents = {
        key: (
            sale.revision,
            sale.costing,
            {
                line.line_id: (
                    line.product_id,
                    line.quantity,
                    [(names[lot], cost, q) for lot, cost, q in held(line.allocations)],
                    line.open,
                    line.missing,
                    (line.average, line.uncosted) if line.missing else (Decimal(0), False),
                    [
                        ((sid, lid) if sid else None, names.get(lot), cost, q)
                        for sid, lid, lot, cost, q in gave(line.returned)
                    ],
                    line.cost,
                )
                for line in sale.lines
            },
        )
        for key, sale in books.sales.items()
    }
    return lots, documents


Choice = Callable[[Reference], Command | None]
"""A command of a history; it may name a lot that only the history so far has made."""


def histories() -> st.SearchStrategy[list[Choice]]:
    """Random histories of two products, few documents and customers, so that they meet."""
    days = st.integers(1, 9).map(lambda day: f"2026-03-0{day}")
    quantities = st.sampled_from(["0.5", "1", "2", "3", "5", "8"])
    costs = st.sampled_from(["0", "1.25", "2", "3.333333", "10"])
    products = st.sampled_from(["desk", "desk", "desk", "chair"])
    sold = st.lists(st.tuples(products, quantities), max_size=3)
    back = st.tuples(products, st.sampled_from(["-1", "-2", "-4", "-7"]))
    given = st.lists(back, min_size=1, max_size=2)
    mixed = st.lists(st.one_of(back, st.tuples(products, quantities)), max_size=3)
    received = st.builds(
        lambda product, quantity, cost, day, number: _always(
            {
                "type": "receive-lot",
                "lot_id": f"l{number}",
                "product_id": product,
                "quantity": quantity,
                "unit_cost": cost,
                "received_on": day,
            }
        ),
        products,
        quantities,
        costs,
        days,
        st.integers(1, 10_000),
    )
    adjusted = st.builds(
        lambda index, quantity: _of_lot({"type": "adjust-lot", "quantity": quantity}, index),
        st.integers(0, 7),
        st.sampled_from(["-1", "-2", "-3", "1", "4"]),
    )
    recosted = st.builds(
        lambda index, cost: _of_lot({"type": "change-lot-cost", "unit_cost": cost}, index),
        st.integers(0, 7),
        costs,
    )
    voided = st.builds(lambda index: _of_lot({"type": "void-lot"}, index), st.integers(0, 7))
    run_again = st.builds(
        lambda product, day: (
            lambda _: {
                "type": "recost-product",
                "product_id": product,
                "from_date": day,
            }
        ),
        products,
        days,
    )
    again = st.builds(_again, st.sampled_from(_SALES + _MEMOS))
    choices = st.one_of(
        _written(_SALES, sold, days),
        _written(_SALES, sold, days),
        _written(_MEMOS, given, days),
        _written(_MEMOS, given, days),
        _written(_SALES + _MEMOS, mixed, days),
        _written(_SALES + _MEMOS, st.just([]), days),
        again,
        received,
        received,
        adjusted,
        recosted,
        voided,
        run_again,
    )
    return st.lists(choices, min_size=6, max_size=40)


_SALES = ["s1", "s2", "s3", "s4"]
_MEMOS = ["m1", "m2", "m3"]


def _written(
    keys: list[str],
    lines: st.SearchStrategy[list[tuple[str, str]]],
    days: st.SearchStrategy[str],
) -> st.SearchStrategy[Choice]:
    """New revisions of documents, a few of them old ones."""

    def build(  # noqa: PLR0917
        key: str,
        step: int,
        day: str,
        customer: str | None,
        mode: str,
        lines: list[tuple[str, str]],
    ) -> Choice:
        return _next_revision(
            {
                "type": "consume-lots",
                "sale_id": key,
                "sale_date": day,
                "returns": mode,
                **({"customer_external_id": customer} if customer else {}),
                "lines": [
                    {"line_id": str(number), "product_id": product, "quantity": quantity}
                    for number, (product, quantity) in enumerate(lines, 1)
                ],
            },
            step,
        )

    return st.builds(
        build,
        st.sampled_from(keys),
        st.sampled_from([1, 1, 1, 1, 0, -1]),
        days,
        st.sampled_from(["ada", "ada", "ada", "ada", "bob", None]),
        st.sampled_from(["original-lots"] * 7 + ["return-lot"]),
        lines,
    )


def _always(command: Command) -> Choice:
    return lambda reference: None if command["lot_id"] in reference.lots else command


def _of_lot(command: Command, index: int) -> Choice:
    def choose(reference: Reference) -> Command | None:
        lots = list(reference.lots)
        return {**command, "lot_id": lots[index % len(lots)]} if lots else None

    return choose


def _next_revision(command: Command, step: int) -> Choice:
    def choose(reference: Reference) -> Command:
        known = reference.documents.get(command["sale_id"])
        revision = 1 if known is None else max(1, known.revision + step)
        return {**command, "revision": revision}

    return choose


def _again(key: str) -> Choice:
    """The newest content once more, as an edit that changes no goods."""

    def choose(reference: Reference) -> Command | None:
        known = reference.documents.get(key)
        if known is None:
            return None
        customer = {} if known.customer is None else {"customer_external_id": known.customer}
        return {
            "type": "consume-lots",
            "sale_id": key,
            "revision": known.revision + 1,
            "sale_date": known.date,
            "returns": known.mode,
            **customer,
            "lines": [
                {"line_id": n, "product_id": line.product, "quantity": str(line.wanted)}
                for n, line in known.lines.items()
            ],
        }

    return choose
