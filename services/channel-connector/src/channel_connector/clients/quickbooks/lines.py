"""QuickBooks' lines become ours, one rule a function.

The laws of this module: a bundle counts by its children; what a line earns is its Amount, which is
net of tax in every mode; the price is never multiplied out. A subtotal repeats what stands above it
and so has amount 0, but where an invoice has nothing else because its revenue sits in a linked
statement charge.
Source: fact sheet sections 5 and 6.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from channel_connector.clients.quickbooks import wire
from channel_connector.domain.discounts import shares
from channel_connector.domain.documents import Line, Skip

SHIPPING_ITEM_ID = "SHIPPING_ITEM_ID"
GRATUITY_ITEM_ID = "GRATUITY_ITEM_ID"
LINES_MAX = 5_000
_ZERO = Decimal(0)
_OUTSIDE_SUBTOTAL: frozenset[Skip | None] = frozenset({"shipping", "gratuity", "subtotal"})


@dataclass(frozen=True, slots=True)
class RawLine:
    """A line of the document with its detail; bundles are already taken apart."""

    type: str
    fields: dict[str, Any]
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines before the discount was shared out, and what stands between them and the total."""

    lines: tuple[Line, ...]
    discount: Decimal
    descriptions: Decimal
    subtotal: Decimal
    unknown_types: tuple[str, ...]

    @property
    def net(self) -> Decimal:
        """What the lines come to, less the discount; descriptions count as nothing."""
        return sum((line.amount for line in self.lines), _ZERO) - self.discount


def flatten(document: dict[str, Any]) -> Iterator[RawLine]:
    """Lines in their order, each bundle replaced by its children.

    Raises:
        ValueError: there are more lines than any document may have.
    """
    count = 0
    for line in wire.members(document.get("Line")):
        kind = line_type(line)
        inner = [(kind, line)]
        if kind == "grouplinedetail":
            group = line.get("GroupLineDetail")
            children = wire.members(group.get("Line")) if isinstance(group, dict) else []
            inner = [(line_type(child), child) for child in children]
        for child_kind, child in inner:
            count += 1
            if count > LINES_MAX:
                raise ValueError(f"the document has more than {LINES_MAX} lines")
            yield RawLine(child_kind, child, _detail(child, child_kind))


def line_type(line: dict[str, Any]) -> str:
    """The detail type in one spelling: `SalesItemLineDetail` and `SALES_ITEM_LINE_DETAIL`."""
    return str(line.get("DetailType") or "").replace("_", "").lower()


def _detail(line: dict[str, Any], kind: str) -> dict[str, Any]:
    for name, value in line.items():
        if isinstance(value, dict) and name.replace("_", "").lower() == kind:
            return value
    return {}


def read_lines(document: dict[str, Any]) -> Lines:
    """All lines of a document.

    Raises:
        ValueError: a number is none, or there are too many lines.
    """
    lines: list[Line] = []
    discount = descriptions = subtotal = _ZERO
    unknown: list[str] = []
    for raw in flatten(document):
        amount = wire.number(raw.fields.get("Amount")) or _ZERO
        number = len(lines) + 1
        match raw.type:
            case "salesitemlinedetail":
                lines.append(sales_line(number, raw, amount))
            case "discountlinedetail":
                discount += amount
            case "subtotallinedetail":
                subtotal += amount
                lines.append(Line(number, _ZERO, description=_description(raw), skip="subtotal"))
            case "descriptiononly" | "descriptionlinedetail":
                descriptions += amount
                lines.append(Line(number, _ZERO, description=_description(raw), skip="description"))
            case _:
                unknown.append(str(raw.fields.get("DetailType") or "none")[:80])
    return Lines(tuple(lines), discount, descriptions, subtotal, tuple(unknown))


def sales_line(number: int, raw: RawLine, amount: Decimal) -> Line:
    """A line of goods, service or charge; quantity and price stay absent where they are.

    Raises:
        ValueError: a quantity or price is no number.
    """
    item_id, item_name = wire.reference(raw.detail.get("ItemRef"))
    skip = skip_of(item_id)
    return Line(
        line_number=number,
        amount=amount,
        item_id=item_id if skip is None else None,
        item_name=item_name if skip is None else None,
        description=_description(raw),
        quantity=wire.number(raw.detail.get("Qty")),
        unit_price=wire.number(raw.detail.get("UnitPrice")),
        skip=skip,
    )


def skip_of(item_id: str | None) -> Skip | None:
    """Why a sales line moves no goods, by its item alone. Source: fact sheet section 5."""
    if item_id is None:
        return "no-item"
    if item_id == SHIPPING_ITEM_ID:
        return "shipping"
    if item_id == GRATUITY_ITEM_ID:
        return "gratuity"
    return None


def with_descriptions(lines: Lines, document: dict[str, Any]) -> Lines:
    """The same with the amounts of description lines counted, for documents that mean them."""
    amounts = iter(
        wire.number(raw.fields.get("Amount")) or _ZERO
        for raw in flatten(document)
        if raw.type in {"descriptiononly", "descriptionlinedetail"}
    )
    counted = tuple(
        replace(line, amount=next(amounts)) if line.skip == "description" else line
        for line in lines.lines
    )
    return replace(lines, lines=counted, descriptions=_ZERO)


def with_charge(lines: Lines) -> Lines:
    """The same with the subtotal counted: the revenue of a linked statement charge."""
    last = max(place for place, line in enumerate(lines.lines) if line.skip == "subtotal")
    counted = [*lines.lines]
    counted[last] = replace(counted[last], amount=lines.subtotal)
    return replace(lines, lines=tuple(counted))


def is_statement_charge(document: dict[str, Any], lines: Lines) -> bool:
    """Whether an invoice shows only a subtotal because it bills a statement charge."""
    linked = {wire.text(link.get("TxnType")) for link in wire.members(document.get("LinkedTxn"))}
    return "StatementCharge" in linked and all(line.skip == "subtotal" for line in lines.lines)


def share_discount(lines: Lines, digits: int) -> tuple[Line, ...]:
    """The lines with their shares of the discount; shipping and gratuity bear none.

    Raises:
        ValueError: no line could bear the discount.
    """
    if not lines.discount:
        return lines.lines
    bearing = [line for line in lines.lines if line.skip not in _OUTSIDE_SUBTOTAL]
    parts = iter(shares(lines.discount, [line.amount for line in bearing], digits))
    return tuple(
        line if line.skip in _OUTSIDE_SUBTOTAL else replace(line, discount=next(parts))
        for line in lines.lines
    )


def _description(raw: RawLine) -> str | None:
    return wire.text(raw.fields.get("Description"))
