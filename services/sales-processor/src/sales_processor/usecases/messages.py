"""Domain values as the public messages that announce them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from contracts import sales as messages
from contracts.base import Part
from contracts.channels import TransactionError
from contracts.inventory import ConsumeLots, DemandLine
from contracts.registry import message_type
from sales_processor.domain.money import margin_percent
from sales_processor.domain.sale import Content, Costed, CostedLine, Sale, demands

SALES_EVENTS = "sales.events.v1"
SALES_COMMANDS = "sales.commands.v1"
INVENTORY_COMMANDS = "inventory.commands.v1"
TRANSACTIONS = "channels.transactions.v1"

PartT = TypeVar("PartT", bound=Part)


def recorded_or_updated(sale: Sale, costed: Costed) -> messages.Sale:
    """The event of a sale that has its cost now, for the first time or for a newer version."""
    kind = messages.SaleRecorded if sale.costed_revision == 0 else messages.SaleUpdated
    return _trusted(kind, {"type": message_type(kind), **_whole(sale, costed)})


def voided(sale: Sale, costed: Costed, *, voided_at: datetime) -> messages.SaleVoided:
    """The event of a sale that was taken back."""
    reason = costed.content.void_reason or "voided"
    return messages.SaleVoided(**_whole(sale, costed), voided_at=voided_at, reason=reason)


def recosted(
    sale: Sale, costed: Costed, *, previous_cost: Decimal, reason: str
) -> messages.SaleRecosted:
    """The event of a cost that changed though the sale did not."""
    return messages.SaleRecosted(**_whole(sale, costed), previous_cost=previous_cost, reason=reason)


def _whole(sale: Sale, costed: Costed) -> dict[str, Any]:
    content = costed.content
    flags = list(costed.flags)
    if sale.update_waiting:
        flags.append("update-waiting")
    return {
        "business_id": sale.business_id,
        "sale_id": sale.sale_id,
        "channel_id": sale.channel_id,
        "source": sale.source,
        "kind": sale.kind,
        "external_id": sale.external_id,
        "number": content.number,
        "version": content.version,
        "revision": sale.revision,
        "status": costed.status,
        "customer_external_id": content.customer_external_id,
        "customer_name": content.customer_name,
        "sale_date": content.sale_date,
        "currency": content.currency,
        "exchange_rate": content.exchange_rate,
        "home_currency": content.home_currency,
        "total_amount": content.total_amount,
        "tax_amount": content.tax_amount,
        "revenue": content.revenue,
        "cost": costed.cost,
        "margin": content.revenue - costed.cost,
        "margin_percent": margin_percent(content.revenue, costed.cost),
        "short": "short" in costed.flags,
        "flags": flags,
        "lines": [line_message(line) for line in costed.lines],
        "sync_id": content.sync_id,
    }


def line_message(costed: CostedLine) -> messages.SaleLine:
    """A line as events and reads carry it."""
    line = costed.line
    return _trusted(
        messages.SaleLine,
        {
            "line_id": str(line.line_number),
            "line_number": line.line_number,
            "item_external_id": line.item_external_id,
            "product_id": line.product_id,
            "product_name": line.product_name,
            "description": line.description,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
            "amount": line.amount,
            "discount": line.discount,
            "revenue": line.revenue,
            "cost": costed.cost,
            "margin": line.revenue - costed.cost,
            "allocations": list(costed.allocations),
            "shortage": costed.shortage,
            "returned": list(costed.returned),
            "skipped_reason": line.skipped_reason,
            "flags": list(costed.flags),
        },
    )


def _trusted(model: type[PartT], values: dict[str, Any]) -> PartT:
    """A message of all its fields' values, not validated again: they were on their way in.

    It is `model_construct` without the search for defaults and aliases, a tenth of its time.
    """
    made = model.__new__(model)
    for name, value in (
        ("__dict__", values),
        ("__pydantic_fields_set__", set(values)),
        ("__pydantic_extra__", None),
        ("__pydantic_private__", None),
    ):
        object.__setattr__(made, name, value)
    return made


def consume_lots(sale: Sale, content: Content) -> ConsumeLots:
    """The question to inventory: all goods that the sale takes and gives back at its revision."""
    lines = () if content.void_reason else content.lines
    return _trusted(
        ConsumeLots,
        {
            "type": "consume-lots",
            "business_id": sale.business_id,
            "sale_id": sale.sale_id,
            "revision": sale.revision,
            "sale_date": content.sale_date,
            "customer_external_id": content.customer_external_id,
            "currency": content.home_currency,
            "returns": content.returns,
            "lines": [_trusted(DemandLine, d._asdict()) for d in demands(lines)],
        },
    )


def failed(
    sale: Sale, *, number: str | None, version: int, error: Mapping[str, Any]
) -> messages.SaleFailed:
    """The event of a version that must wait."""
    return messages.SaleFailed(
        business_id=sale.business_id,
        sale_id=sale.sale_id,
        channel_id=sale.channel_id,
        kind=sale.kind,
        external_id=sale.external_id or sale.sale_id,
        number=number,
        version=version,
        errors=[TransactionError(**error)],
    )


def error_of(
    sale: Sale, *, number: str | None, code: str, message: str, hint: str
) -> dict[str, str]:
    """An error as summaries, events and reads carry it."""
    error = TransactionError(
        kind=sale.kind,
        external_id=sale.external_id or sale.sale_id,
        number=number,
        code=code,
        message=message[:4_000],
        hint=hint[:4_000],
    )
    return error.model_dump(mode="json", exclude_none=True)
