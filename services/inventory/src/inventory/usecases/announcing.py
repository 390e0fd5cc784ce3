"""What inventory tells: products, lots, costs, shortages, stock on hand, refusals.

The events of a batch tell each step; stock on hand is announced once for each product.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from chassis.consumer import Batch
from chassis.messages import Received
from contracts import inventory as messages
from contracts.base import Message
from inventory.domain.ledger import Ledger, Product, ProductKey, Refusal, SaleKey
from inventory.domain.money import ZERO
from inventory.domain.sale import Line, Sale
from inventory.domain.stock import Lot

EVENTS = "inventory.events.v1"
PRODUCTS = "inventory.products.v1"


class StockTold:
    """What a batch changed of stock on hand, told once for each product."""

    def __init__(self) -> None:
        self._changes: dict[ProductKey, tuple[Decimal, Decimal, int]] = {}

    def add(self, ledger: Ledger) -> None:
        """Note what a part of the batch changed."""
        for business, books in ledger.books.items():
            for product_id in dict.fromkeys(m.product_id for m in books.movements):
                key = (business, product_id)
                stock, product = books.stocks[product_id], ledger.products[key]
                product.stock_version += 1
                before = self._changes.get(key, (ZERO, ZERO, 0))[1]
                change = before + stock.on_hand - stock.on_hand_before
                self._changes[key] = (stock.on_hand, change, product.stock_version)

    def announce(self, batch: Batch[Message]) -> None:
        """Publish what changed."""
        for (business_id, product_id), (on_hand, change, version) in self._changes.items():
            if change:
                batch.publish(
                    EVENTS,
                    business_id,
                    messages.StockChanged(
                        business_id=business_id,
                        product_id=product_id,
                        stock_on_hand=on_hand,
                        change=change,
                    ),
                    identity=f"{business_id}/{product_id}/{version}",
                )


def announce_links(
    batch: Batch[Message], received: Received[Any], outcome: list[Product] | Refusal
) -> None:
    """Tell the products whose links changed, or why none did."""
    if isinstance(outcome, Refusal):
        reject(batch, received, outcome)
        return
    for product in outcome:
        announce_product(batch, received, product)


def announce_new_link(
    batch: Batch[Message],
    received: Received[messages.LinkItem | messages.UnlinkItem],
    ledger: Ledger,
    before: str | None,
) -> None:
    """Say what it means for sales that an item is not any more the product that it was."""
    command = received.message
    now = ledger.links.get((command.business_id, command.connection_id, command.item_external_id))
    if before is None or now == before:
        return
    later = f"count as product {now}" if now else "wait until the item is linked again"
    changed = messages.ItemLinkChanged(
        business_id=command.business_id,
        connection_id=command.connection_id,
        item_external_id=command.item_external_id,
        previous_product_id=before,
        product_id=now,
        message=f"Item {command.item_external_id} was linked to product {before}. Sales recorded "
        f"so far keep it; versions of documents that arrive from now on {later}.",
    )
    publish(batch, received, changed, identity=f"item-link/{received.identity}")


def announce_shortages(
    batch: Batch[Message], received: Received[messages.ConsumeLots], sale: Sale
) -> None:
    """Tell what each line of a document still lacks."""
    business_id = received.message.business_id
    costing = "" if sale.costing == 1 else f"/{sale.costing}"
    for line in sale.lines:
        if line.open > 0:
            publish(
                batch,
                received,
                messages.ShortageOpened(
                    business_id=business_id,
                    product_id=line.product_id,
                    sale_id=sale.sale_id,
                    line_id=line.line_id,
                    quantity=line.open,
                    unit_cost=line.average,
                ),
                identity=f"{business_id}/{sale.sale_id}/{sale.revision}{costing}/{line.line_id}",
            )


def announce_cost(
    batch: Batch[Message],
    ledger: Ledger,
    received: Received[Any],
    key: SaleKey,
    *,
    reason: str | None = None,
) -> None:
    """Tell the whole cost of a document as it is now; `reason` says why it is told again."""
    business_id, sale_id = key
    books = ledger.books[business_id]
    sale = books.sales[sale_id]
    publish(
        batch,
        received,
        messages.SaleCosted.model_construct(
            type="sale-costed",
            business_id=business_id,
            sale_id=sale_id,
            revision=sale.revision,
            costing=sale.costing,
            lines=[costed_line(books.lots, line) for line in sale.lines],
            cost=sale.cost,
            reason=reason,
        ),
        identity=f"{business_id}/{sale_id}/{sale.revision}/{sale.costing}",
    )


def costed_line(lots: Mapping[str, Lot], line: Line) -> messages.CostedLine:
    """A line with its goods and its cost as `sale-costed` tells it."""
    flags = ["short"] if line.open > 0 else []
    if line.uncosted:
        flags.append("uncosted")
    shortage = None
    if line.short > 0:
        shortage = messages.Shortage.model_construct(
            quantity=line.short,
            open=line.open,
            unit_cost=line.average,
            returned=line.short_returned or None,
        )
    goods = [
        *((a.lot_id, a.quantity, a.unit_cost) for a in line.allocations),
        *((r.lot_id, -r.quantity, r.unit_cost) for r in line.returned if r.lot_id is not None),
    ]
    return messages.CostedLine.model_construct(
        line_id=line.line_id,
        product_id=line.product_id,
        quantity=line.quantity,
        cost=line.cost,
        allocations=[
            messages.Allocation.model_construct(
                lot_id=lot_id,
                lot_number=lots[lot_id].lot_number,
                quantity=quantity,
                unit_cost=unit_cost,
                received_on=lots[lot_id].received_on,
            )
            for lot_id, quantity, unit_cost in goods
        ],
        shortage=shortage,
        returned=[
            messages.ReturnedGoods.model_construct(
                source_sale_id=r.source_sale_id,
                source_line_id=r.source_line_id,
                lot_id=r.lot_id,
                quantity=r.quantity,
                unit_cost=r.unit_cost,
            )
            for r in line.returned
        ],
        flags=flags,
    )


def announce_product(batch: Batch[Message], received: Received[Any], product: Product) -> None:
    """Tell a product with its links as it is now."""
    business_id, product_id = product.key
    batch.publish(
        PRODUCTS,
        f"{business_id}/{product_id}",
        messages.ProductChanged(
            business_id=business_id,
            product_id=product_id,
            name=product.name,
            sku=product.sku,
            product_type=product.product_type,
            purchase_cost=product.purchase_cost,
            item_links=[
                messages.ItemLink(connection_id=connection_id, item_external_id=item)
                for connection_id, item in sorted(product.links)
            ],
            version=product.version,
            changed_at=batch.now,
        ),
        identity=f"{business_id}/{product_id}/{product.version}",
        cause=received,
    )


def announce_adjustment(  # noqa: PLR0917
    batch: Batch[Message],
    received: Received[Any],
    lot: Lot,
    quantity: Decimal,
    reason: str,
    adjustment_id: str | None,
) -> None:
    """Tell a lot's corrected quantity or unit cost."""
    business_id = received.message.business_id
    publish(
        batch,
        received,
        messages.LotAdjusted(
            business_id=business_id,
            product_id=lot.product_id,
            lot_id=lot.lot_id,
            quantity=quantity,
            reason=reason,
            quantity_remaining=lot.quantity_remaining,
            unit_cost=lot.unit_cost,
            adjustment_id=adjustment_id,
        ),
        identity=f"{business_id}/{lot.lot_id}/{adjustment_id or received.identity}",
    )


def announce_voided(
    batch: Batch[Message], received: Received[Any], lot: Lot, quantity: Decimal
) -> None:
    """Tell what left stock for good with a lot."""
    business_id = received.message.business_id
    publish(
        batch,
        received,
        messages.LotVoided(
            business_id=business_id,
            product_id=lot.product_id,
            lot_id=lot.lot_id,
            quantity=quantity,
        ),
        identity=f"{business_id}/{lot.lot_id}/{received.identity}",
    )


def publish(
    batch: Batch[Message], received: Received[Any], message: Message, *, identity: str
) -> None:
    """Publish an event of a command under its business."""
    batch.publish(EVENTS, received.message.business_id, message, identity=identity, cause=received)


def reject(batch: Batch[Message], received: Received[Any], refusal: Refusal) -> None:
    """Answer a command that changes nothing."""
    batch.reject(received, reason=refusal.reason, message=refusal.message, field=refusal.field)
