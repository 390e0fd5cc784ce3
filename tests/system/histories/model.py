"""A naive model of the whole books of one business: messages in, figures out.

The laws of this module: nothing of the services is used but inventory's naive model; each message
has its whole effect before the next one, as if everything were one slow program.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from inventory.reference import Reference

Body = dict[str, Any]
Figures = dict[str, Any]
"""What is told of a sale, a lot or a product, in a form that compares."""

ZERO = Decimal(0)
RETURNS = ("credit-memo", "refund-receipt")


@dataclass
class Line:
    """A line as the model reads it: tracked, or skipped with its reason."""

    number: int
    product: str | None
    quantity: Decimal | None
    revenue: Decimal
    skipped: str | None
    flags: set[str]


@dataclass
class Accepted:
    """A version of a document that is in force."""

    date: str
    customer: str | None
    lines: list[Line]
    content: str | None


@dataclass
class Waiting:
    """A version of a document that waits, and why."""

    document: Body
    code: str
    missing: set[str]


@dataclass
class Sale:
    """What is known of a document; `seen` is the newest version met, `shown` the one shown.

    `asked` says that a version was accepted, `has_goods` that one moved goods.
    """

    name: str
    seen: int = -1
    shown: int = -1
    accepted: Accepted | None = None
    waiting: Waiting | None = None
    voided: bool = False
    asked: bool = False
    has_goods: bool = False

    @property
    def exists(self) -> bool:
        """Whether there is a sale, and not only a void of what was never seen."""
        return self.accepted is not None or self.waiting is not None or self.voided

    @property
    def active(self) -> bool:
        """Whether it counts."""
        return self.accepted is not None and not self.voided


@dataclass
class Run:
    """A sync: what became of its documents, by place and by outcome."""

    sync_id: str
    places: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)


class Books:
    """Sales and stock of one business as they must be after the messages so far.

    While `overtaken` is set, what is applied moves no goods: a newer version came with it. `asks`
    counts how often the goods of a document were asked for.
    """

    def __init__(self) -> None:
        self.stock = Reference({})
        self.overtaken = False
        self.asks = 0
        self.types: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.settings: Body = {}
        self.settings_of = ""
        self.sales: dict[str, Sale] = {}
        self.runs: dict[str, Run] = {}
        self.summaries: dict[str, Figures] = {}

    def apply(self, message: Body) -> None:
        """Let a message have all its effects."""
        kind = message["type"].replace("-", "_")
        getattr(self, f"_{kind}")(message)

    # Channels and products

    def _channel_changed(self, message: Body) -> None:
        if message["channel_type"] == "accounting" and message["changed_at"] >= self.settings_of:
            self.settings, self.settings_of = message["settings"], message["changed_at"]

    def _put_product(self, message: Body) -> None:
        product, cost = message["product_id"], message.get("purchase_cost")
        known = (self.types.get(product), self.stock.purchase_costs.get(product))
        self.types[product] = message["product_type"]
        self.stock.purchase_costs[product] = None if cost is None else Decimal(cost)
        self.stock.last.setdefault(product, None)
        if known != (self.types[product], self.stock.purchase_costs[product]):
            self._heal({product})

    def _link_item(self, message: Body) -> None:
        item, product = message["item_external_id"], message["product_id"]
        if self.links.get(item) != product:
            self.links[item] = product
            self._heal({product})

    def _unlink_item(self, message: Body) -> None:
        product = self.links.pop(message["item_external_id"], None)
        if product is not None:
            self._heal({product})

    def _heal(self, products: set[str]) -> None:
        if self.settings.get("heal_on_link", True):
            for sale in self._in_order(self._waiting()):
                missing = sale.waiting.missing if sale.waiting else set()
                if any(self.links.get(item) in products for item in missing):
                    self._try_again(sale)

    # Lots

    def _receive_lot(self, message: Body) -> None:
        if self.types[message["product_id"]] != "service":
            self.stock.apply(message)

    def _adjust_lot(self, message: Body) -> None:
        adjustment = message["adjustment_id"]
        if adjustment not in self.stock.adjustments and self.stock.apply(message):
            self.stock.adjustments.add(adjustment)

    def _change_lot_cost(self, message: Body) -> None:
        self.stock.apply(message)

    def _void_lot(self, message: Body) -> None:
        self.stock.apply(message)

    def _recost_product(self, message: Body) -> None:
        self.stock.apply(message)

    # Documents

    def _transaction_captured(self, message: Body) -> None:
        name = f"{message['kind']} {message['external_id']}"
        run = self.runs.setdefault(message["sync_id"], Run(message["sync_id"]))
        sale = self.sales.setdefault(name, Sale(name))
        outcome = self._take(sale, message)
        if message["sequence"] not in run.places:
            run.places.add(message["sequence"])
            run.names.add(name)
            run.outcomes[outcome] += 1

    def _take(self, sale: Sale, document: Body) -> str:
        version = document["version"]
        if version <= sale.seen:
            return "unchanged" if version == sale.seen else "older-version"
        sale.seen = version
        if document["status"] == "active":
            if sale.active and sale.accepted and sale.accepted.content == document["content_hash"]:
                sale.waiting, sale.shown = None, version
                return "irrelevant-change"
            return self._try(sale, document)
        if not sale.exists:
            return "void-of-unknown"
        if sale.voided:
            sale.waiting, sale.shown = None, version
            return "irrelevant-change"
        self._void(sale, version)
        return "voided"

    def _void(self, sale: Sale, version: int) -> None:
        if sale.accepted is None and sale.waiting is not None:
            document = sale.waiting.document
            sale.accepted = Accepted(document["transaction_date"], _customer(document), [], None)
        sale.waiting, sale.voided, sale.shown = None, True, version
        sale.asked = True
        self._consume(sale, "original-lots")

    def _try(self, sale: Sale, document: Body) -> str:
        """Apply a version, or let it wait; returns the outcome."""
        missing = {
            line["item"]["external_id"]
            for line in document["lines"]
            if self._skipped(line) is None and line["item"]["external_id"] not in self.links
        }
        if document["currency"] != document["home_currency"] and not document.get("exchange_rate"):
            sale.waiting = Waiting(document, "exchange-rate-missing", set())
            return "error"
        if missing:
            sale.waiting = Waiting(document, "item-not-linked", missing)
            return "error"
        returns = self.settings.get("returns", "original-lots")
        sale.accepted = Accepted(
            document["transaction_date"],
            _customer(document),
            [self._line(document, line, returns) for line in document["lines"]],
            document["content_hash"],
        )
        outcome = "updated" if sale.asked else "created"
        sale.waiting, sale.voided, sale.shown = None, False, document["version"]
        sale.asked = True
        self._consume(sale, "return-lot" if returns == "return-lot" else "original-lots")
        return outcome

    def _skipped(self, line: Body) -> str | None:
        if line.get("skip"):
            return str(line["skip"])
        if "item" not in line:
            return "no-item"
        product = self.links.get(line["item"]["external_id"])
        if product is None:
            return "service" if line["item"]["kind"] == "service" else None
        return None if self.types[product] == "finished-good" else "not-a-finished-good"

    def _line(self, document: Body, line: Body, returns: str) -> Line:
        skipped = self._skipped(line)
        sign = -1 if document["kind"] in RETURNS else 1
        quantity = sign * Decimal(line["quantity"]) if "quantity" in line else None
        if skipped is not None:
            return Line(line["line_number"], None, quantity, ZERO, skipped, set())
        net = Decimal(line["amount"]) - Decimal(line["discount"])
        exact = sign * net * Decimal(document.get("exchange_rate", "1"))
        flags = set()
        if not quantity:
            flags.add("no-quantity")
        elif quantity < 0 and returns == "no-restock":
            flags.add("no-restock")
        product = self.links[line["item"]["external_id"]]
        return Line(line["line_number"], product, quantity, _cents(exact), None, flags)

    def _consume(self, sale: Sale, returns: str) -> None:
        accepted = sale.accepted
        lines = [] if accepted is None or sale.voided else accepted.lines
        goods = [
            {"line_id": str(li.number), "product_id": li.product, "quantity": str(li.quantity)}
            for li in lines
            if li.product is not None and not li.flags
        ]
        self.asks += 1
        sale.has_goods = sale.has_goods or bool(goods)
        known = self.stock.documents.get(sale.name)
        if accepted is not None and sale.has_goods and not self.overtaken:
            self.stock.apply(
                {
                    "type": "consume-lots",
                    "sale_id": sale.name,
                    "revision": known.revision + 1 if known else 1,
                    "sale_date": accepted.date,
                    "customer_external_id": accepted.customer,
                    "returns": returns,
                    "lines": goods,
                }
            )

    # Retries and runs

    def _waiting(self) -> list[Sale]:
        return [sale for sale in self.sales.values() if sale.waiting is not None]

    @staticmethod
    def _in_order(sales: list[Sale]) -> list[Sale]:
        def place(sale: Sale) -> tuple[str, int, str]:
            document = sale.waiting.document if sale.waiting else {}
            external_id = document["external_id"]
            return document["transaction_date"], len(external_id), external_id

        return sorted(sales, key=place)

    def _try_again(self, sale: Sale) -> str:
        return self._try(sale, sale.waiting.document) if sale.waiting else ""

    def _retry_failed_sales(self, message: Body) -> None:  # noqa: ARG002  (all of the business)
        for sale in self._in_order(self._waiting()):
            self._try_again(sale)

    def _transactions_published(self, message: Body) -> None:
        sync_id = message["sync_id"]
        if sync_id in self.summaries:
            return
        run = self.runs.setdefault(sync_id, Run(sync_id))
        retried = [sale for sale in self._waiting() if sale.name not in run.names]
        for sale in self._in_order(retried):
            run.outcomes[self._try_again(sale)] += 1
        counts = {name: run.outcomes.pop(name, 0) for name in ("created", "updated", "voided")}
        errors = run.outcomes.pop("error", 0)
        self.summaries[sync_id] = {**counts, "errors": errors, "skipped": dict(+run.outcomes)}

    # Manual sales

    def _record_manual_sale(self, message: Body) -> None:
        name = message["sale_id"]
        products = [line["product_id"] for line in message["lines"]]
        if name in self.sales or any(self.types[p] != "finished-good" for p in products):
            return
        lines = [
            Line(
                number,
                line["product_id"],
                Decimal(line["quantity"]),
                _cents(Decimal(line["quantity"]) * Decimal(line["unit_price"])),
                None,
                set(),
            )
            for number, line in enumerate(message["lines"], 1)
        ]
        sale = self.sales[name] = Sale(name, seen=0, shown=0, asked=True)
        sale.accepted = Accepted(message["sale_date"], None, lines, None)
        self._consume(sale, "original-lots")

    def _void_manual_sale(self, message: Body) -> None:
        sale = self.sales.get(message["sale_id"])
        if sale is not None and not sale.voided:
            self._void(sale, 1)

    # What must be told

    def told(self) -> Figures:
        """Sales by name, lots in their order, and stock on hand, as the reads must tell them."""
        return {
            "sales": {s.name: self._told_sale(s) for s in self.sales.values() if s.exists},
            "lots": {product: self._told_lots(product) for product in self.types},
            "stock": {product: self._on_hand(product) for product in self.types},
            "summaries": self.summaries,
        }

    def state(self) -> Any:  # noqa: ANN401  (whatever compares)
        """All that tells these books from others: what they tell, and what decides what follows."""
        documents = self.stock.documents
        moments: dict[str, list[tuple[int, str, str, int]]] = defaultdict(list)
        for name, document in documents.items():
            for line_id, line in document.lines.items():
                whens = [*(held.when for held in line.held), *(back.when for back in line.given)]
                moments[line.product] += [
                    (when, name, line_id, place) for place, when in enumerate(whens)
                ]
        ranks = {
            product: [
                (sorted({when for when, *_ in of_product}).index(moment[0]), *moment[1:])
                for moment in sorted(of_product)
            ]
            for product, of_product in moments.items()
        }
        order = sorted(documents, key=lambda name: documents[name].order)
        told = {**self.told(), "summaries": None}
        return told, order, ranks, dict(self.stock.last)

    def _told_sale(self, sale: Sale) -> Figures:
        accepted, waiting = sale.accepted, sale.waiting
        lines = [] if accepted is None else [self._told_line(sale, li) for li in accepted.lines]
        flags = {flag for line in lines for flag in line["flags"]}
        if accepted is not None and waiting is not None:
            flags.add("update-waiting")
        revenue = sum((line["revenue"] for line in lines), ZERO)
        cost = sum((line["cost"] for line in lines), ZERO)
        document = waiting.document if waiting else {}
        return {
            "status": "voided" if sale.voided else "active" if accepted else "waiting",
            "version": sale.shown if accepted else sale.seen,
            "date": accepted.date if accepted else document["transaction_date"],
            "customer": accepted.customer if accepted else _customer(document),
            "revenue": revenue,
            "cost": cost,
            "margin": revenue - cost,
            "percent": _cents((revenue - cost) * 100 / revenue) if revenue else None,
            "short": "short" in flags,
            "flags": sorted(flags),
            "errors": [waiting.code] if waiting else [],
            "lines": lines,
        }

    def _told_line(self, sale: Sale, line: Line) -> Figures:
        told: Figures = {
            "line": line.number,
            "product": line.product,
            "quantity": line.quantity,
            "revenue": ZERO if sale.voided else line.revenue,
            "cost": ZERO,
            "skipped": line.skipped,
            "flags": [] if sale.voided else sorted(line.flags),
            "lots": {},
            "short": None,
            "returned": {},
        }
        if sale.voided or line.product is None or line.flags:
            return told
        line_id = str(line.number)
        (_, _, held, open_, missing, (average, _), given, cost) = self.stock.told(sale.name)[
            line_id
        ]
        goods: dict[tuple[str, Decimal], Decimal] = defaultdict(Decimal)
        for lot, unit_cost, quantity in held:
            goods[self._lot_name(lot), unit_cost] += quantity
        for _, lot, unit_cost, quantity in given:
            if lot is not None:
                goods[self._lot_name(lot), unit_cost] -= quantity
        flags = {"short"} if open_ else set()
        if self.stock.uncosted(sale.name, line_id):
            flags.add("uncosted")
        return {
            **told,
            "cost": cost,
            "flags": sorted(flags),
            "lots": dict(goods),
            "short": (open_, missing - open_, average) if missing else None,
            "returned": {
                (source, lot and self._lot_name(lot), unit_cost): quantity
                for source, lot, unit_cost, quantity in given
            },
        }

    def _lot_name(self, lot_id: str) -> str:
        """The id that the message gave, or for a return lot its product and place."""
        lot = self.stock.lots[lot_id]
        if lot.return_of is None:
            return lot_id
        place = [name for name, _ in self._lots_of(lot.product)].index(lot_id)
        return f"{lot.product} lot {place} in order"

    def _lots_of(self, product: str) -> list[tuple[str, Any]]:
        found = [(k, lot) for k, lot in self.stock.lots.items() if lot.product == product]
        return sorted(found, key=lambda item: (item[1].date, item[1].sequence))

    def _told_lots(self, product: str) -> list[Figures]:
        told = []
        for lot_id, lot in self._lots_of(product):
            remaining = ZERO if lot.voided else self.stock.balance(lot_id)
            told.append(
                {
                    "lot": self._lot_name(lot_id),
                    "date": lot.date,
                    "cost": lot.cost,
                    "remaining": remaining,
                    "status": "voided" if lot.voided else "active" if remaining else "exhausted",
                    "return": lot.return_of,
                }
            )
        return told

    def _on_hand(self, product: str) -> Decimal:
        there = sum((lot["remaining"] for lot in self._told_lots(product)), ZERO)
        return there - sum(
            (
                self.stock.still_short(name, line_id)
                for name, document in self.stock.documents.items()
                for line_id, line in document.lines.items()
                if line.product == product
            ),
            ZERO,
        )


def _customer(document: Body) -> str | None:
    customer = document["customer"].get("external_id")
    return None if customer is None else str(customer)


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)
