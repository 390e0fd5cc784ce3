"""Commands of people and programs: sales recorded and voided by hand, and retries.

The law of this module: a command is done whole or rejected with the field and what is allowed; the
same command again changes nothing.
"""

from collections.abc import Sequence
from typing import Any

from chassis.consumer import Batch
from chassis.messages import Received
from contracts.base import Message
from contracts.sales import RecordManualSale, RetryFailedSales, VoidManualSale
from sales_processor import store
from sales_processor.domain import manual
from sales_processor.domain.matching import LinkedProduct
from sales_processor.domain.sale import Sale, SaleKey, State
from sales_processor.store import queries
from sales_processor.usecases.intake import Intake
from sales_processor.usecases.retries import retry_failed_sales


async def apply_commands(batch: Batch[Message]) -> None:
    """Do what the commands say, manual sales of a run of commands together.

    While waiting sales are tried again, nobody else changes which sales of the business wait.
    """
    commands: Sequence[Received[Any]] = batch.messages
    if any(isinstance(received.message, RetryFailedSales) for received in commands):
        businesses = {received.message.business_id for received in commands}
        await store.lock_links(batch.connection, businesses, shared=False)
    manual_sales: list[Received[Any]] = []
    for received in commands:
        if isinstance(received.message, RetryFailedSales):
            await _change_manual_sales(batch, manual_sales)
            manual_sales = []
            await retry_failed_sales(batch, received, received.message)
        else:
            manual_sales.append(received)
    await _change_manual_sales(batch, manual_sales)


async def _change_manual_sales(batch: Batch[Message], commands: Sequence[Received[Any]]) -> None:
    """Record and void sales by hand, each command as if it came alone."""
    if not commands:
        return
    connection = batch.connection
    keys = [_key(received) for received in commands]
    records = [r.message for r in commands if isinstance(r.message, RecordManualSale)]
    intake = Intake(batch)
    await intake.load(keys, ())
    await intake.load_shown(
        {key for key in keys if key in intake.sales and intake.sales[key].source == "manual"}
    )
    channels = {
        row["business_id"]: row["channel_id"]
        for row in await store.rows(
            queries.find_manual_channels(connection, business_ids=sorted({key[0] for key in keys}))
        )
    }
    products = await store.find_products(
        connection,
        {(record.business_id, line.product_id) for record in records for line in record.lines},
    )
    for received, key in zip(commands, keys, strict=True):
        if isinstance(received.message, RecordManualSale):
            _record(batch, intake, received, key, channels, products)
        else:
            _void(batch, intake, received, key)
    await intake.write()


def _key(received: Received[Any]) -> SaleKey:
    message = received.message
    return (message.business_id, message.sale_id or received.derived_id("manual-sale"))


def _record(  # noqa: PLR0917
    batch: Batch[Message],
    intake: Intake,
    received: Received[RecordManualSale],
    key: SaleKey,
    channels: dict[str, str],
    products: dict[store.ProductKey, LinkedProduct],
) -> None:
    command = received.message
    said = manual.hash_of(command)
    known = intake.sales.get(key)
    if known is not None:
        if known.source != "manual" or known.content_hash != said:
            batch.reject(
                received,
                reason="sale-id-taken",
                message=f"Another sale has the id {key[1]}; leave sale_id out or take a new one.",
                field="sale_id",
            )
        return
    channel_id = channels.get(command.business_id)
    if channel_id is None:
        batch.reject(
            received,
            reason="no-manual-channel",
            message=f"Sales are not tracked for {command.business_id} yet; publish "
            "enable-sales-tracking to channels.commands.v1 first.",
            field="business_id",
        )
        return
    refusal = manual.check(command, products)
    if refusal is not None:
        batch.reject(received, reason=refusal.reason, message=refusal.message, field=refusal.field)
        return
    sale = Sale(*key, channel_id, "manual", "manual", None)
    content = manual.content_of(command, products)
    intake.accept(sale, content, content_hash=said, waits_for=None, cause=received)


def _void(
    batch: Batch[Message], intake: Intake, received: Received[VoidManualSale], key: SaleKey
) -> None:
    sale = intake.sales.get(key)
    if sale is None or sale.source != "manual":
        reason, message = (
            ("unknown-sale", f"No sale {key[1]} is known.")
            if sale is None
            else (
                "not-a-manual-sale",
                "This sale comes from an accounting system; void it there, then sync.",
            )
        )
        batch.reject(received, reason=reason, message=message, field="sale_id")
    elif sale.state is State.VOIDED:
        batch.reject(
            received,
            reason="already-voided",
            message=f"The sale {key[1]} is voided already.",
            field="sale_id",
        )
    else:
        intake.take_back(
            sale,
            version=manual.VOIDED_VERSION,
            sync_id=None,
            reason="voided",
            cause=received,
        )
