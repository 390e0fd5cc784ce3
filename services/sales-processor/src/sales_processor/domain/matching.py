"""A document's lines matched to products, by item links only, and their revenue.

The law of this module: a document is read whole or not at all. Each line ends tracked or skipped
with a reason; anything else is a fault of the document, and all its faults are named at once. The
kind of a document carries the sign: what credit memos and refund receipts name goes back.
Rules SA1, SA3, SA4, SA7 and SA8.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from contracts.channels import TransactionCaptured, TransactionLine
from contracts.currencies import minor_digits
from sales_processor.domain.money import MONEY_LIMIT, ZERO, line_revenue, negated, total
from sales_processor.domain.sale import NO_QUANTITY, NO_RESTOCK, Content, Line, sum_revenue

FINISHED_GOOD = "finished-good"
LINES_MAX = 2_000
"""So that no message about a sale exceeds what is read."""
SALE_KINDS = frozenset({"invoice", "sales-receipt"})
RETURN_KINDS = frozenset({"credit-memo", "refund-receipt"})

ItemKey = tuple[str, str, str]
"""Business, connection and item."""


@dataclass(frozen=True, slots=True)
class LinkedProduct:
    """The product that an item is linked to."""

    product_id: str
    name: str
    product_type: str


@dataclass(frozen=True, slots=True)
class MissingItem:
    """An item that a document names and that no product is linked to."""

    external_id: str
    name: str | None
    kind: str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a document cannot become a sale now, and what to do about it."""

    code: str
    message: str
    hint: str
    missing: tuple[MissingItem, ...] = ()


class _Terms(NamedTuple):
    """What all lines of a document share: the rate, its sign, whether returned goods are stock.

    Revenue is rounded to so many places.
    """

    rate: Decimal | None
    places: int
    negative: bool
    restock: bool


def match(
    document: TransactionCaptured,
    links: Mapping[ItemKey, LinkedProduct],
    returns: str = "original-lots",
) -> Content | Fault:
    """The content of the sale that a document stands for, or why it must wait.

    `returns` is the channel's setting: where goods go that the document gives back.
    """
    fault = _fault_of_document(document)
    if fault is not None:
        return fault
    terms = _Terms(
        _rate(document),
        minor_digits(home_currency(document)),
        document.kind in RETURN_KINDS,
        returns != "no-restock",
    )
    business, connection = document.business_id, document.connection_id
    lines: list[Line] = []
    missing: dict[str, MissingItem] = {}
    for line in document.lines:
        item = line.item
        product = links.get((business, connection, item.external_id)) if item else None
        reason = _skip_reason(line, product)
        if reason is None and product is None and item is not None:
            missing.setdefault(
                item.external_id, MissingItem(item.external_id, item.name, item.kind)
            )
        else:
            lines.append(_line(line, product, reason, terms))
    if missing:
        return _not_linked(document, tuple(missing.values()))
    return _fault_of_lines(lines) or _content(document, tuple(lines), returns)


def _fault_of_document(document: TransactionCaptured) -> Fault | None:
    if document.kind not in SALE_KINDS | RETURN_KINDS:
        return Fault(
            "kind-not-supported",
            f"Nobody knows here what a document of kind {document.kind} does to stock and revenue.",
            "It waits and is tried again with every sync; a newer release may know the kind.",
        )
    if (
        document.exchange_rate is None
        and document.currency is not None
        and document.home_currency is not None
        and document.currency != document.home_currency
    ):
        return Fault(
            "exchange-rate-missing",
            f"The document is in {document.currency}, the books are in {document.home_currency}, "
            "and it carries no exchange rate.",
            "Set the exchange rate on the document in the accounting system, then sync again.",
        )
    if len(document.lines) > LINES_MAX:
        return Fault(
            "document-invalid",
            f"The document has {len(document.lines):,} lines; at most {LINES_MAX:,} are processed.",
            "Split the document in the accounting system, then sync again.",
        )
    numbers = Counter(line.line_number for line in document.lines)
    if len(numbers) < len(document.lines):
        twice = sorted(number for number, count in numbers.items() if count > 1)
        return Fault(
            "document-invalid",
            f"Line numbers occur more than once: {', '.join(map(str, twice[:10]))}.",
            "The channel must number the lines of a document uniquely; publish it anew.",
        )
    return None


def _rate(document: TransactionCaptured) -> Decimal | None:
    """The rate into home currency; None for a document in home currency."""
    if document.currency is not None and document.currency == document.home_currency:
        return None
    return document.exchange_rate


def home_currency(document: TransactionCaptured) -> str | None:
    """The currency of the books; without a rate it is the document's."""
    if document.home_currency is None and document.exchange_rate is None:
        return document.currency
    return document.home_currency


def _skip_reason(line: TransactionLine, product: LinkedProduct | None) -> str | None:
    if line.skip is not None:
        return line.skip
    if line.item is None:
        return "no-item"
    if product is not None:
        return None if product.product_type == FINISHED_GOOD else "not-a-finished-good"
    return "service" if line.item.kind == "service" else None


def _line(
    line: TransactionLine, product: LinkedProduct | None, reason: str | None, terms: _Terms
) -> Line:
    tracked = reason is None and product is not None
    quantity, revenue = line.quantity, ZERO
    if tracked:
        revenue = line_revenue(line.amount, line.discount, terms.rate, terms.places)
    if terms.negative:
        quantity, revenue = quantity and negated(quantity), negated(revenue)
    return Line(
        line.line_number,
        line.item.external_id if line.item else None,
        product.product_id if tracked and product else None,
        product.name if tracked and product else None,
        line.description,
        quantity,
        line.unit_price,
        line.amount,
        line.discount,
        revenue,
        reason,
        _flags(quantity, terms) if tracked else (),
    )


def _flags(quantity: Decimal | None, terms: _Terms) -> tuple[str, ...]:
    """The flags of a tracked line."""
    if not quantity:
        return (NO_QUANTITY,)
    return () if quantity > 0 or terms.restock else (NO_RESTOCK,)


def _not_linked(document: TransactionCaptured, missing: tuple[MissingItem, ...]) -> Fault:
    shown = [_shown(item) for item in missing[:20]]
    more = len(missing) - len(shown)
    example = {
        "type": "link-item",
        "business_id": document.business_id,
        "connection_id": document.connection_id,
        "item_external_id": missing[0].external_id,
        "product_id": "…",
    }
    fields = ", ".join(f'"{name}": "{value}"' for name, value in example.items())
    return Fault(
        "item-not-linked",
        f"{'Items are' if len(missing) > 1 else 'An item is'} not linked to a product: "
        + ", ".join(shown)
        + (f" and {more} more" if more else "")
        + ".",
        "Publish link-item for each to inventory.commands.v1, then the sale is picked up by "
        f"itself or by the next sync: {{{fields}}}",
        missing,
    )


def _shown(item: MissingItem) -> str:
    name = f"“{item.name[:60]}” " if item.name else ""
    return f"{name}({item.kind or 'kind unknown'}, item {item.external_id})"


def _fault_of_lines(lines: list[Line]) -> Fault | None:
    if total([abs(line.revenue) for line in lines]) >= MONEY_LIMIT:
        return Fault(
            "document-invalid",
            f"The amounts of the lines reach {MONEY_LIMIT:,} in home currency.",
            "Correct the amounts or the exchange rate in the accounting system, then sync again.",
        )
    return None


def _content(document: TransactionCaptured, lines: tuple[Line, ...], returns: str) -> Content:
    return Content(
        document.version,
        document.sync_id,
        document.number,
        document.customer.external_id,
        document.customer.name,
        document.transaction_date,
        document.currency,
        document.exchange_rate,
        document.total_amount,
        document.tax_amount,
        sum_revenue(lines),
        lines,
        returns="return-lot" if returns == "return-lot" else "original-lots",
        home_currency=home_currency(document),
    )
