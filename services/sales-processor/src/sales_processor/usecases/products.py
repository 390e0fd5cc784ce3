"""Products and item links as inventory describes them; a link heals the sales that lacked it."""

from chassis.consumer import Batch
from contracts.inventory import ProductChanged
from sales_processor import store
from sales_processor.usecases.retries import heal


async def follow_products(batch: Batch[ProductChanged]) -> None:
    """Keep products and links as described, and try the sales again that waited for a link."""
    changed = [received.message for received in batch.messages]
    await store.lock_links(batch.connection, {m.business_id for m in changed}, shared=False)
    saved = await store.save_products(batch.connection, changed)
    await heal(batch, saved)
