"""A product's history run again by the calendar, alone in its batch's turn (LO6)."""

from typing import Any

from chassis.consumer import Batch
from chassis.messages import Received
from contracts import inventory as messages
from contracts.base import Message
from inventory.domain.ledger import unknown_product
from inventory.domain.recost import REASON, Recosted, moved, recost
from inventory.store.loading import load_history, load_sales
from inventory.store.saving import save
from inventory.usecases.announcing import StockTold, announce_cost, publish, reject


async def recost_product(batch: Batch[Message], received: Received[Any], stock: StockTold) -> None:
    """Run a product's history again; a dry run only tells what would change (LO6)."""
    command: messages.RecostProduct = received.message
    business_id, product_id = command.business_id, command.product_id
    history = await load_history(batch.connection, (business_id, product_id))
    if history is None:
        reject(batch, received, unknown_product(product_id))
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
            announce_cost(batch, ledger, received, (business_id, sale_id), reason=REASON)
    _announce_recosted(batch, received, result)
    if not command.dry_run:
        stock.add(ledger)
        await save(batch.connection, ledger, batch.now)


def _announce_recosted(
    batch: Batch[Message], received: Received[messages.RecostProduct], result: Recosted
) -> None:
    command = received.message
    publish(
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
