"""Sales recorded by hand: checked as a whole, then a content like any other. Rule SA10."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

from contracts.currencies import minor_digits
from contracts.sales import RecordManualSale
from sales_processor.domain.matching import FINISHED_GOOD, LinkedProduct
from sales_processor.domain.money import MONEY_LIMIT, ZERO, price_of, total
from sales_processor.domain.sale import Content, Line

RECORDED_VERSION = 0
VOIDED_VERSION = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command cannot be done, and which field says so."""

    reason: str
    message: str
    field: str


def check(
    command: RecordManualSale, products: Mapping[tuple[str, str], LinkedProduct]
) -> Refusal | None:
    """The first thing that is wrong with a sale recorded by hand."""
    prices = _prices(command)
    for index, line in enumerate(command.lines):
        product = products.get((command.business_id, line.product_id))
        field = f"lines.{index}.product_id"
        if product is None:
            return Refusal(
                "unknown-product",
                f"No product {line.product_id} is known; publish put-product first.",
                field,
            )
        if product.product_type != FINISHED_GOOD:
            return Refusal(
                "not-a-finished-good",
                f"{product.name} is a {product.product_type}; only finished goods can be sold.",
                field,
            )
        if prices[index] >= MONEY_LIMIT:
            return Refusal(
                "invalid-value",
                f"Quantity times unit price must stay below {MONEY_LIMIT:,}.",
                f"lines.{index}.unit_price",
            )
    if total(prices) >= MONEY_LIMIT:
        return Refusal("invalid-value", f"The sale must stay below {MONEY_LIMIT:,}.", "lines")
    return None


def content_of(
    command: RecordManualSale, products: Mapping[tuple[str, str], LinkedProduct]
) -> Content:
    """The content of a sale recorded by hand; `check` found nothing wrong with it."""
    prices = _prices(command)
    lines = tuple(
        Line(
            line_number=number,
            item_external_id=None,
            product_id=line.product_id,
            product_name=products[command.business_id, line.product_id].name,
            description=None,
            quantity=line.quantity,
            unit_price=line.unit_price,
            amount=price,
            discount=ZERO,
            revenue=price,
        )
        for number, (line, price) in enumerate(zip(command.lines, prices, strict=True), start=1)
    )
    amount = total([line.amount for line in lines])
    return Content(
        version=RECORDED_VERSION,
        sync_id=None,
        number=command.reference,
        customer_external_id=None,
        customer_name=command.customer_name,
        sale_date=command.sale_date,
        currency=command.currency,
        exchange_rate=None,
        total_amount=amount,
        tax_amount=ZERO,
        revenue=amount,
        lines=lines,
        notes=command.notes,
        home_currency=command.currency,
    )


def _prices(command: RecordManualSale) -> list[Decimal]:
    """What each line costs."""
    places = minor_digits(command.currency)
    return [price_of(line.quantity, line.unit_price, places) for line in command.lines]


def hash_of(command: RecordManualSale) -> str:
    """What tells one sale from another of the same id: all that the command says of it."""
    said = {
        "sale_date": command.sale_date.isoformat(),
        "reference": command.reference,
        "customer_name": command.customer_name,
        "notes": command.notes,
        **({} if command.currency is None else {"currency": command.currency}),
        "lines": [
            [line.product_id, str(line.quantity.normalize()), str(line.unit_price.normalize())]
            for line in command.lines
        ],
    }
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
