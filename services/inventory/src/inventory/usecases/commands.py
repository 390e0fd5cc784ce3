"""Commands to products, links, lots and sales, a whole batch at a time.

Commands of a batch have the same effect as if each came alone, in their order.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from chassis.consumer import Batch
from chassis.messages import Received
from contracts import inventory as messages
from contracts.base import Message
from contracts.currencies import minor_digits
from inventory.domain.ledger import Ledger, ProductKey, Refusal, SaleKey
from inventory.domain.money import shortened
from inventory.domain.operation import MOVED, Effect
from inventory.domain.sale import Demand
from inventory.store.loading import Headers, find_headers, load
from inventory.store.saving import save
from inventory.usecases.announcing import (
    StockTold,
    announce_adjustment,
    announce_cost,
    announce_links,
    announce_new_link,
    announce_product,
    announce_shortages,
    announce_voided,
    publish,
    reject,
)
from inventory.usecases.recosting import recost_product


async def apply_commands(batch: Batch[Message]) -> None:
    """Apply commands to products, links, lots and sales."""
    rest = [_named(received) for received in batch.messages]
    stock = StockTold()
    while rest:
        if isinstance(rest[0].message, messages.RecostProduct):
            await recost_product(batch, rest.pop(0), stock)
            continue
        headers = await find_headers(batch.connection, [r.message for r in rest])
        count, deep = _first_part(rest, headers)
        part, rest = rest[:count], rest[count:]
        ledger = await load(batch.connection, [r.message for r in part], headers, deep=deep)
        for received in part:
            _APPLY[type(received.message)](batch, ledger, received)
        stock.add(ledger)
        await save(batch.connection, ledger, batch.now)
    stock.announce(batch)


def _named(received: Received[Message]) -> Received[Message]:
    """The command with the id of what it creates, the same one whenever it is delivered (SA11)."""
    command = received.message
    if isinstance(command, messages.ReceiveLot) and command.lot_id is None:
        made: Message = command.model_copy(update={"lot_id": received.derived_id("lot")})
    elif isinstance(command, messages.AdjustLot) and command.adjustment_id is None:
        made = command.model_copy(update={"adjustment_id": received.derived_id("adjustment")})
    else:
        return received
    return Received(received.record, made)


def _first_part(batch: Sequence[Received[Message]], headers: Headers) -> tuple[int, bool]:
    """How many commands are applied together, and whether they are loaded deep.

    A new revision of a document with returns may move what any holder of a lot has: it stands
    alone, and so does a re-costing. After a return, whether a known document has any must be looked
    up again.
    """
    seen: set[SaleKey] = set()
    giving: set[str] = set()
    for number, received in enumerate(batch):
        command = received.message
        if isinstance(command, messages.RecostProduct):
            return number, False
        if not isinstance(command, messages.ConsumeLots):
            continue
        key = (command.business_id, command.sale_id)
        known = headers.revision(key)
        if headers.entangled(key) and command.revision > known:
            return max(number, 1), number == 0
        if command.business_id in giving and (known or key in seen):
            return number, False
        seen.add(key)
        if any(line.quantity < 0 for line in command.lines):
            giving.add(command.business_id)
    return len(batch), False


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
        announce_product(batch, received, product)


def _link_item(
    batch: Batch[Message], ledger: Ledger, received: Received[messages.LinkItem]
) -> None:
    command = received.message
    key = (command.business_id, command.connection_id, command.item_external_id)
    before = ledger.links.get(key)
    announce_links(batch, received, ledger.link_item(key, command.product_id))
    announce_new_link(batch, received, ledger, before)


def _unlink_item(
    batch: Batch[Message], ledger: Ledger, received: Received[messages.UnlinkItem]
) -> None:
    command = received.message
    key = (command.business_id, command.connection_id, command.item_external_id)
    before = ledger.links.get(key)
    announce_links(batch, received, ledger.unlink_item(key, command.product_id))
    announce_new_link(batch, received, ledger, before)


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
        reject(batch, received, outcome)
    elif outcome is not None:
        publish(
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
        reject(batch, received, outcome)
    elif outcome is not None:
        announce_adjustment(
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
        reject(batch, received, outcome)
    elif outcome is not None:
        announce_adjustment(batch, received, outcome, Decimal(0), "cost-changed", None)


def _void_lot(batch: Batch[Message], ledger: Ledger, received: Received[messages.VoidLot]) -> None:
    command = received.message
    outcome = ledger.void_lot(command.business_id, command.lot_id)
    if isinstance(outcome, Refusal):
        reject(batch, received, outcome)
        return
    lot, left = outcome
    announce_voided(batch, received, lot, left)


def _consume_lots(
    batch: Batch[Message], ledger: Ledger, received: Received[messages.ConsumeLots]
) -> None:
    command = received.message
    key = (command.business_id, command.sale_id)
    places = minor_digits(command.currency)
    outcome = ledger.consume(
        key,
        revision=command.revision,
        sale_date=command.sale_date,
        customer_external_id=command.customer_external_id,
        returns=command.returns,
        demands=[Demand(d.line_id, d.product_id, d.quantity, places) for d in command.lines],
    )
    if isinstance(outcome, Refusal):
        reject(batch, received, outcome)
        return
    announce_cost(batch, ledger, received, key)
    if isinstance(outcome, Effect):
        _announce_effect(batch, ledger, received, outcome)


def _announce_effect(
    batch: Batch[Message],
    ledger: Ledger,
    received: Received[messages.ConsumeLots],
    effect: Effect,
) -> None:
    """Tell of other documents that moved, of shortages and voided lots; settle with the rest."""
    business_id = received.message.business_id
    books = ledger.books[business_id]
    announce_shortages(batch, received, effect.sale)
    for sale_id in effect.moved:
        announce_cost(batch, ledger, received, (business_id, sale_id), reason=MOVED)
        announce_shortages(batch, received, books.sales[sale_id])
    for lot_id, quantity in effect.stranded:
        announce_voided(batch, received, books.lots[lot_id], quantity)
    _settle(batch, ledger, received, [(business_id, p) for p in effect.supplied])


def _settle(
    batch: Batch[Message],
    ledger: Ledger,
    received: Received[Any],
    products: Iterable[ProductKey],
) -> None:
    """Let goods that became available stand behind sales that were short (SA9)."""
    for key in products:
        business_id, product_id = key
        settlements = ledger.settle(key)
        for number, settlement in enumerate(settlements):
            publish(
                batch,
                received,
                messages.ShortageSettled(
                    business_id=business_id,
                    product_id=product_id,
                    sale_id=settlement.sale_id,
                    line_id=settlement.line_id,
                    quantity=settlement.allocation.quantity,
                    unit_cost=settlement.allocation.unit_cost,
                    lot_id=settlement.allocation.lot_id,
                ),
                identity=f"{received.identity}/{product_id}/{number}",
            )
        for sale_id in dict.fromkeys(settlement.sale_id for settlement in settlements):
            announce_cost(
                batch, ledger, received, (business_id, sale_id), reason="shortage-settled"
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
}
