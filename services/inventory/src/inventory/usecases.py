"""What inventory does with a batch of commands: load what they touch, apply each, save, announce.

Commands of a batch have the same effect as if each came alone, in their order. The events of a
batch tell each step; stock on hand is announced once for each product.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from chassis.consumer import Batch
from chassis.messages import Received
from contracts import inventory as messages
from contracts.base import Message
from inventory import store
from inventory.domain.ledger import Ledger, Product, ProductKey, Refusal, SaleKey
from inventory.domain.money import shortened
from inventory.domain.stock import Demand, Effect, Line, Lot, Sale

EVENTS = "inventory.events.v1"
PRODUCTS = "inventory.products.v1"


async def apply_commands(batch: Batch[Message]) -> None:
    """Apply commands to products, links, lots and sales."""
    ledger = await store.load(batch.connection, [r.message for r in batch.messages])
    for received in batch.messages:
        _APPLY[type(received.message)](batch, ledger, received)
    _announce_stock(batch, ledger)
    await store.save(batch.connection, ledger)


def _put_product(
    batch: Batch[Message], ledger: Ledger, received: Received[messages.PutProduct]
) -> None:
    command = received.message
    product = ledger.put_product(
        (command.business_id, command.product_id),
        name=command.name,
        sku=command.sku,
        product_type=command.product_type,
        purchase_cost=command.purchase_cost,
    )
    if product is not None:
        _announce_product(batch, received, product)


def _link_item(
    batch: Batch[Message], ledger: Ledger, received: Received[messages.LinkItem]
) -> None:
    command = received.message
    key = (command.business_id, command.connection_id, command.item_external_id)
    _announce_links(batch, received, ledger.link_item(key, command.product_id))


def _unlink_item(
    batch: Batch[Message], ledger: Ledger, received: Received[messages.UnlinkItem]
) -> None:
    command = received.message
    key = (command.business_id, command.connection_id, command.item_external_id)
    _announce_links(batch, received, ledger.unlink_item(key, command.product_id))


def _announce_links(
    batch: Batch[Message], received: Received[Any], outcome: list[Product] | Refusal
) -> None:
    if isinstance(outcome, Refusal):
        _reject(batch, received, outcome)
        return
    for product in outcome:
        _announce_product(batch, received, product)


def _receive_lot(
    batch: Batch[Message], ledger: Ledger, received: Received[messages.ReceiveLot]
) -> None:
    command = received.message
    key = (command.business_id, command.product_id)
    outcome = ledger.receive_lot(
        key,
        lot_id=command.lot_id or received.derived_id("lot"),
        lot_number=command.lot_number,
        quantity=command.quantity,
        unit_cost=shortened(command.unit_cost),
        received_on=command.received_on,
    )
    if isinstance(outcome, Refusal):
        _reject(batch, received, outcome)
    elif outcome is not None:
        _publish(
            batch,
            received,
            messages.LotReceived(
                business_id=command.business_id,
                product_id=command.product_id,
                lot_id=outcome.lot_id,
                lot_number=outcome.lot_number,
                quantity=outcome.quantity_received,
                unit_cost=outcome.unit_cost,
                received_on=outcome.received_on,
            ),
            identity=f"{command.business_id}/{outcome.lot_id}",
        )
        _settle(batch, ledger, received, [key])


def _adjust_lot(
    batch: Batch[Message], ledger: Ledger, received: Received[messages.AdjustLot]
) -> None:
    command = received.message
    adjustment_id = command.adjustment_id or received.derived_id("adjustment")
    outcome = ledger.adjust_lot(
        command.business_id,
        command.lot_id,
        adjustment_id=adjustment_id,
        quantity=command.quantity,
        reason=command.reason,
    )
    if isinstance(outcome, Refusal):
        _reject(batch, received, outcome)
    elif outcome is not None:
        _announce_adjustment(
            batch, received, outcome, command.quantity, command.reason, adjustment_id
        )
        _settle(batch, ledger, received, [(command.business_id, outcome.product_id)])


def _change_lot_cost(
    batch: Batch[Message], ledger: Ledger, received: Received[messages.ChangeLotCost]
) -> None:
    command = received.message
    outcome = ledger.change_lot_cost(
        command.business_id, command.lot_id, shortened(command.unit_cost)
    )
    if isinstance(outcome, Refusal):
        _reject(batch, received, outcome)
    elif outcome is not None:
        _announce_adjustment(batch, received, outcome, Decimal(0), "cost-changed", None)


def _void_lot(batch: Batch[Message], ledger: Ledger, received: Received[messages.VoidLot]) -> None:
    command = received.message
    outcome = ledger.void_lot(command.business_id, command.lot_id)
    if isinstance(outcome, Refusal):
        _reject(batch, received, outcome)
        return
    lot, left = outcome
    _announce_voided(batch, received, lot, left)


def _consume_lots(
    batch: Batch[Message], ledger: Ledger, received: Received[messages.ConsumeLots]
) -> None:
    command = received.message
    key = (command.business_id, command.sale_id)
    outcome = ledger.consume(
        key,
        revision=command.revision,
        sale_date=command.sale_date,
        customer_external_id=command.customer_external_id,
        demands=[Demand(d.line_id, d.product_id, d.quantity) for d in command.lines],
    )
    if isinstance(outcome, Refusal):
        _reject(batch, received, outcome)
        return
    if isinstance(outcome, Sale):
        _announce_cost(batch, ledger, received, key)
        return
    _announce_cost(batch, ledger, received, key)
    _announce_effect(batch, ledger, received, outcome)


def _announce_effect(
    batch: Batch[Message],
    ledger: Ledger,
    received: Received[messages.ConsumeLots],
    effect: Effect,
) -> None:
    """Tell of shortages that opened and goods that came back to voided lots; settle the rest."""
    business_id = received.message.business_id
    sale = effect.sale
    for line in sale.lines:
        if line.open > 0:
            _publish(
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
                identity=f"{business_id}/{sale.sale_id}/{sale.revision}/{line.line_id}",
            )
    for lot_id, quantity in effect.stranded:
        _announce_voided(batch, received, ledger.lots[business_id, lot_id], quantity)
    returned = {m.product_id for m in effect.movements if m.quantity > 0}
    _settle(batch, ledger, received, [(business_id, p) for p in sorted(returned)])


def _settle(
    batch: Batch[Message], ledger: Ledger, received: Received[Any], products: list[ProductKey]
) -> None:
    """Let goods that became available stand behind sales that were short (SA9)."""
    recosted: dict[SaleKey, None] = {}
    for key in products:
        business_id, product_id = key
        for number, settlement in enumerate(ledger.settle(key)):
            recosted[business_id, settlement.sale.sale_id] = None
            _publish(
                batch,
                received,
                messages.ShortageSettled(
                    business_id=business_id,
                    product_id=product_id,
                    sale_id=settlement.sale.sale_id,
                    line_id=settlement.line_id,
                    quantity=settlement.allocation.quantity,
                    unit_cost=settlement.allocation.unit_cost,
                    lot_id=settlement.allocation.lot_id,
                ),
                identity=f"{received.identity}/{product_id}/{number}",
            )
    for sale_key in recosted:
        _announce_cost(batch, ledger, received, sale_key, reason="shortage-settled")


def _announce_cost(
    batch: Batch[Message],
    ledger: Ledger,
    received: Received[Any],
    key: SaleKey,
    *,
    reason: str | None = None,
) -> None:
    business_id, sale_id = key
    sale = ledger.sales[key]
    _publish(
        batch,
        received,
        messages.SaleCosted.model_construct(
            type="sale-costed",
            business_id=business_id,
            sale_id=sale_id,
            revision=sale.revision,
            costing=sale.costing,
            lines=[_costed_line(ledger, business_id, line) for line in sale.lines],
            cost=sale.cost,
            reason=reason,
        ),
        identity=f"{business_id}/{sale_id}/{sale.revision}/{sale.costing}",
    )


def _costed_line(ledger: Ledger, business_id: str, line: Line) -> messages.CostedLine:
    flags = ["short"] if line.open > 0 else []
    if line.uncosted:
        flags.append("uncosted")
    allocations = []
    for a in line.allocations:
        lot = ledger.lots[business_id, a.lot_id]
        allocations.append(
            messages.Allocation.model_construct(
                lot_id=a.lot_id,
                lot_number=lot.lot_number,
                quantity=a.quantity,
                unit_cost=a.unit_cost,
                received_on=lot.received_on,
            )
        )
    shortage = None
    if line.short > 0:
        shortage = messages.Shortage.model_construct(
            quantity=line.short, open=line.open, unit_cost=line.average
        )
    return messages.CostedLine.model_construct(
        line_id=line.line_id,
        product_id=line.product_id,
        quantity=line.quantity,
        cost=line.cost,
        allocations=allocations,
        shortage=shortage,
        flags=flags,
    )


def _announce_product(batch: Batch[Message], received: Received[Any], product: Product) -> None:
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
            changed_at=datetime.now(UTC),
        ),
        identity=f"{business_id}/{product_id}/{product.version}",
        cause=received,
    )


def _announce_adjustment(  # noqa: PLR0917
    batch: Batch[Message],
    received: Received[Any],
    lot: Lot,
    quantity: Decimal,
    reason: str,
    adjustment_id: str | None,
) -> None:
    business_id = received.message.business_id
    _publish(
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


def _announce_voided(
    batch: Batch[Message], received: Received[Any], lot: Lot, quantity: Decimal
) -> None:
    business_id = received.message.business_id
    _publish(
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


def _announce_stock(batch: Batch[Message], ledger: Ledger) -> None:
    """Tell stock on hand once for each product that this batch changed."""
    moved = dict.fromkeys((business, m.product_id) for business, m in ledger.movements)
    for business_id, product_id in moved:
        product = ledger.products[business_id, product_id]
        change = product.stock_on_hand - product.stock_before
        if change == 0:
            continue
        product.stock_version += 1
        batch.publish(
            EVENTS,
            business_id,
            messages.StockChanged(
                business_id=business_id,
                product_id=product_id,
                stock_on_hand=product.stock_on_hand,
                change=change,
            ),
            identity=f"{business_id}/{product_id}/{product.stock_version}",
        )


def _publish(
    batch: Batch[Message], received: Received[Any], message: Message, *, identity: str
) -> None:
    batch.publish(EVENTS, received.message.business_id, message, identity=identity, cause=received)


def _reject(batch: Batch[Message], received: Received[Any], refusal: Refusal) -> None:
    batch.reject(received, reason=refusal.reason, message=refusal.message, field=refusal.field)


def _recost_product(
    batch: Batch[Message],
    ledger: Ledger,  # noqa: ARG001  (as the others)
    received: Received[messages.RecostProduct],
) -> None:
    _reject(
        batch,
        received,
        Refusal("not-supported", "Re-costing is not built yet; sales are costed as processed."),
    )


_APPLY: dict[type[Message], Callable[[Batch[Message], Ledger, Received[Any]], None]] = {
    messages.PutProduct: _put_product,
    messages.LinkItem: _link_item,
    messages.UnlinkItem: _unlink_item,
    messages.ReceiveLot: _receive_lot,
    messages.AdjustLot: _adjust_lot,
    messages.ChangeLotCost: _change_lot_cost,
    messages.VoidLot: _void_lot,
    messages.ConsumeLots: _consume_lots,
    messages.RecostProduct: _recost_product,
}
