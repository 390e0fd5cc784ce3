"""What inventory does with a batch of commands: load what they touch, apply each, save, announce.

Commands of a batch have the same effect as if each came alone, in their order. The events of a
batch tell each step; stock on hand is announced once for each product.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from chassis.consumer import Batch
from chassis.messages import Received
from contracts import inventory as messages
from contracts.base import Message
from contracts.currencies import minor_digits
from inventory.domain.ledger import (
    Ledger,
    Product,
    ProductKey,
    Refusal,
    SaleKey,
    unknown_product,
)
from inventory.domain.money import ZERO, shortened
from inventory.domain.operation import MOVED, Effect
from inventory.domain.recost import REASON, Recosted, moved, recost
from inventory.domain.sale import Demand, Line, Sale
from inventory.domain.stock import Lot
from inventory.store.loading import Headers, find_headers, load, load_history, load_sales
from inventory.store.saving import save

EVENTS = "inventory.events.v1"
PRODUCTS = "inventory.products.v1"


async def apply_commands(batch: Batch[Message]) -> None:
    """Apply commands to products, links, lots and sales."""
    rest = [_named(received) for received in batch.messages]
    stock = _StockTold()
    while rest:
        if isinstance(rest[0].message, messages.RecostProduct):
            await _recost_product(batch, rest.pop(0), stock)
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


class _StockTold:
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
    before = ledger.links.get(key)
    _announce_links(batch, received, ledger.link_item(key, command.product_id))
    _announce_new_link(batch, received, ledger, before)


def _unlink_item(
    batch: Batch[Message], ledger: Ledger, received: Received[messages.UnlinkItem]
) -> None:
    command = received.message
    key = (command.business_id, command.connection_id, command.item_external_id)
    before = ledger.links.get(key)
    _announce_links(batch, received, ledger.unlink_item(key, command.product_id))
    _announce_new_link(batch, received, ledger, before)


def _announce_links(
    batch: Batch[Message], received: Received[Any], outcome: list[Product] | Refusal
) -> None:
    if isinstance(outcome, Refusal):
        _reject(batch, received, outcome)
        return
    for product in outcome:
        _announce_product(batch, received, product)


def _announce_new_link(
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
    _publish(batch, received, changed, identity=f"item-link/{received.identity}")


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
        _reject(batch, received, outcome)
        return
    _announce_cost(batch, ledger, received, key)
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
    _announce_shortages(batch, received, effect.sale)
    for sale_id in effect.moved:
        _announce_cost(batch, ledger, received, (business_id, sale_id), reason=MOVED)
        _announce_shortages(batch, received, books.sales[sale_id])
    for lot_id, quantity in effect.stranded:
        _announce_voided(batch, received, books.lots[lot_id], quantity)
    _settle(batch, ledger, received, [(business_id, p) for p in effect.supplied])


def _announce_shortages(
    batch: Batch[Message], received: Received[messages.ConsumeLots], sale: Sale
) -> None:
    business_id = received.message.business_id
    costing = "" if sale.costing == 1 else f"/{sale.costing}"
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
                identity=f"{business_id}/{sale.sale_id}/{sale.revision}{costing}/{line.line_id}",
            )


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
            _publish(
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
            _announce_cost(
                batch, ledger, received, (business_id, sale_id), reason="shortage-settled"
            )


def _announce_cost(
    batch: Batch[Message],
    ledger: Ledger,
    received: Received[Any],
    key: SaleKey,
    *,
    reason: str | None = None,
) -> None:
    business_id, sale_id = key
    books = ledger.books[business_id]
    sale = books.sales[sale_id]
    _publish(
        batch,
        received,
        messages.SaleCosted.model_construct(
            type="sale-costed",
            business_id=business_id,
            sale_id=sale_id,
            revision=sale.revision,
            costing=sale.costing,
            lines=[_costed_line(books.lots, line) for line in sale.lines],
            cost=sale.cost,
            reason=reason,
        ),
        identity=f"{business_id}/{sale_id}/{sale.revision}/{sale.costing}",
    )


def _costed_line(lots: Mapping[str, Lot], line: Line) -> messages.CostedLine:
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
            changed_at=batch.now,
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


def _publish(
    batch: Batch[Message], received: Received[Any], message: Message, *, identity: str
) -> None:
    batch.publish(EVENTS, received.message.business_id, message, identity=identity, cause=received)


def _reject(batch: Batch[Message], received: Received[Any], refusal: Refusal) -> None:
    batch.reject(received, reason=refusal.reason, message=refusal.message, field=refusal.field)


async def _recost_product(
    batch: Batch[Message], received: Received[Any], stock: "_StockTold"
) -> None:
    """Run a product's history again; a dry run only tells what would change (LO6)."""
    command: messages.RecostProduct = received.message
    business_id, product_id = command.business_id, command.product_id
    history = await load_history(batch.connection, (business_id, product_id))
    if history is None:
        _reject(batch, received, unknown_product(product_id))
        return
    ledger, sales = history
    books = ledger.books[business_id]
    result = recost(books.stocks[product_id], books.lots, sales, command.from_date)
    books.stocks[product_id] = result.stock
    if not command.dry_run:
        changed = {after.sale_id: after for _, after in result.changed}
        written = {**changed, **{sale.sale_id: sale for sale in result.marked}}
        await load_sales(batch.connection, ledger, [(business_id, key) for key in written])
        for sale_id, sale in written.items():
            books.put(books.sales[sale_id].with_lines_of(sale))
        books.move(moved(result, books.lots))
        for sale_id in changed:
            _announce_cost(batch, ledger, received, (business_id, sale_id), reason=REASON)
    _announce_recosted(batch, received, result)
    if not command.dry_run:
        stock.add(ledger)
        await save(batch.connection, ledger, batch.now)


def _announce_recosted(
    batch: Batch[Message], received: Received[messages.RecostProduct], result: Recosted
) -> None:
    command = received.message
    _publish(
        batch,
        received,
        messages.ProductRecosted(
            business_id=command.business_id,
            product_id=command.product_id,
            from_date=command.from_date,
            dry_run=command.dry_run,
            sales_checked=result.checked,
            sales_changed=len(result.changed),
            cost_before=result.cost_before,
            cost_after=result.cost_after,
            lots_changed=result.lots_changed,
            sales=[
                messages.RecostedSale(
                    sale_id=after.sale_id, cost_before=before.cost, cost_after=after.cost
                )
                for before, after in result.changed[: messages.RECOSTED_SALES_SHOWN_MAX]
            ],
        ),
        identity=f"{command.business_id}/{command.product_id}/{received.identity}",
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
