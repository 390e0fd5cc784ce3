"""A product's history run again by the calendar, alone in its batch's turn (LO6)."""

import asyncio
from typing import Any

from chassis.consumer import Batch
from chassis.messages import Received
from contracts import inventory as messages
from contracts.base import Message
from inventory.domain.ledger import Ledger, unknown_product
from inventory.domain.recost import REASON, Recosted, moved, recost
from inventory.store.loading import load_history, load_sales
from inventory.store.saving import save
from inventory.usecases.announcing import StockTold, announce_cost, publish, reject


async def recost_product(batch: Batch[Message], received: Received[Any], stock: StockTold) -> None:
    """Run a product's history again; a dry run only tells what would change (LO6).

    What takes long is done in a thread, so that the service goes on to answer and to tell Kafka
    that it lives.
    """
    command: messages.RecostProduct = received.message
    business_id, product_id = command.business_id, command.product_id
    history = await load_history(batch.connection, (business_id, product_id))
    if history is None:
        reject(batch, received, unknown_product(product_id))
        return
    ledger, sales = history
    books = ledger.books[business_id]
    result = await asyncio.to_thread(
        recost, books.stocks[product_id], books.lots, sales, command.from_date
    )
    books.stocks[product_id] = result.stock
    if not command.dry_run:
        written = (*(after for _, after in result.changed), *result.marked)
        await load_sales(batch.connection, ledger, [(business_id, s.sale_id) for s in written])
        await asyncio.to_thread(_put_recosted, batch, ledger, received, result)
    _announce_recosted(batch, received, result)
    if not command.dry_run:
        stock.add(ledger)
        await save(batch.connection, ledger, batch.now)


def _put_recosted(
    batch: Batch[Message],
    ledger: Ledger,
    received: Received[messages.RecostProduct],
    result: Recosted,
) -> None:
    """Put what came out into the books, and tell of each document that costs something else."""
    business_id = received.message.business_id
    books = ledger.books[business_id]
    changed = [after for _, after in result.changed]
    for sale in (*changed, *result.marked):
        books.put(books.sales[sale.sale_id].with_lines_of(sale))
    books.move(moved(result, books.lots))
    for sale in changed:
        announce_cost(batch, ledger, received, (business_id, sale.sale_id), reason=REASON)


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
