"""Waiting sales tried again: by a run, by a person, or because a link arrived.

The laws of this module: a try reaches each waiting sale once, in the order of a sync, in chunks of
one transaction each; a sale that waits on is reported again only if the reason changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from chassis.consumer import Batch
from chassis.messages import Received
from contracts.channels import TransactionCaptured
from contracts.registry import read
from contracts.sales import RetryFailedSales
from sales_processor import store
from sales_processor.domain.sale import Sale, SaleKey
from sales_processor.store import queries
from sales_processor.usecases.intake import Arrival, Intake
from sales_processor.usecases.messages import TRANSACTIONS
from sales_processor.usecases.runs import ask_for_retries, save_phase

CHUNK = 500

log = structlog.get_logger(__name__)


_Outcome = tuple[str, dict[str, str] | None]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What a chunk of retries shares: who tries, for which run, and the documents that wait."""

    token: str
    sync_id: str | None
    documents: Mapping[SaleKey, TransactionCaptured]
    cause: Received[Any] | None


async def heal(batch: Batch[Any], products: Sequence[store.ProductKey]) -> None:
    """Try the sales again that lacked an item which one of these products is now linked to."""
    if not products:
        return
    found = await store.rows(
        queries.list_healed_sales(
            batch.connection,
            **store.named(products, "business_ids", "product_ids"),
            limit=CHUNK + 1,
        )
    )
    if not found:
        return
    token = f"heal:{batch.messages[0].identity}"
    keys = [(row["business_id"], row["sale_id"]) for row in found[:CHUNK]]
    await try_again(batch, keys, token=token)
    if len(found) > CHUNK:
        for business_id in sorted({row["business_id"] for row in found}):
            command = RetryFailedSales(business_id=business_id, after=token)
            ask_for_retries(batch, command, identity=token)


async def retry_failed_sales(
    batch: Batch[Any], received: Received[Any], command: RetryFailedSales
) -> None:
    """Try a chunk of waiting sales again, and ask ourselves for the next one."""
    run = None
    if command.sync_id is not None:
        run = await queries.find_run(
            batch.connection, business_id=command.business_id, sync_id=command.sync_id
        )
        if run is None:
            batch.reject(
                received,
                reason="unknown-sync",
                message=f"{command.business_id} has no sync {command.sync_id}; leave sync_id out.",
                field="sync_id",
            )
            return
        if run["phase"] != "retrying":
            log.info("retries were asked for a run that wants none", sync_id=command.sync_id)
            return
    token = command.sync_id or command.after or f"retry:{received.identity}"
    found = await store.rows(
        queries.list_sales_to_retry(
            batch.connection,
            business_id=command.business_id,
            channel_id=command.channel_id,
            token=token,
            limit=CHUNK + 1,
        )
    )
    if not found and token.startswith("retry:") and await _is_refused(batch, received, command):
        return
    keys = [(row["business_id"], row["sale_id"]) for row in found[:CHUNK]]
    more = len(found) > CHUNK
    if more:
        ask_for_retries(
            batch, command.model_copy(update={"after": token}), identity=received.identity
        )
    await try_again(batch, keys, token=token, run=run, last=not more, cause=received)


async def _is_refused(
    batch: Batch[Any], received: Received[Any], command: RetryFailedSales
) -> bool:
    """Refuse a person's command about a business or channel that nobody told us of."""
    known = await queries.find_channels(
        batch.connection, business_id=command.business_id, channel_id=command.channel_id
    )
    if not known["business"]:
        batch.reject(
            received,
            reason="unknown-business",
            message=f"Sales are not tracked for {command.business_id}; publish "
            "enable-sales-tracking to channels.commands.v1 first.",
            field="business_id",
        )
    elif not known["channel"]:
        batch.reject(
            received,
            reason="unknown-channel",
            message=f"{command.business_id} has no channel {command.channel_id}; leave channel_id "
            "out to try the failed sales of all its channels again.",
            field="channel_id",
        )
    return not (known["business"] and known["channel"])


async def try_again(
    batch: Batch[Any],
    keys: Sequence[SaleKey],
    *,
    token: str,
    run: Any = None,  # noqa: ANN401  (a database row)
    last: bool = False,
    cause: Received[Any] | None = None,
) -> None:
    """Try waiting sales again, in this order; `run` counts them, if one asks, until the `last`."""
    intake = Intake(batch)
    if run is not None:
        intake.tally.touch(run["business_id"], run["sync_id"])
    waiting = await store.list_waiting(batch.connection, keys)
    documents = {
        key: read_document(row["document"])
        for key, row in waiting.items()
        if row["document"] is not None
    }
    await intake.load(keys, documents.values())
    attempt = _Attempt(token, None if run is None else run["sync_id"], documents, cause)
    sequence = 0 if run is None else run["retried"]
    for key in keys:
        sale = intake.sales.get(key)
        row = waiting.get(key)
        if sale is None or row is None or not sale.waits:
            continue
        outcome, error = _try_one(intake, sale, row, attempt)
        if run is not None:
            entry = (
                *(sale.business_id, run["sync_id"], True, sequence, sale.sale_id),
                *(row["version"], outcome, None, error),
            )
            intake.tally.add(entry, run["channel_id"])
            sequence += 1
    if run is not None and last:
        await save_phase(batch, run, "costing")
    await intake.write()


def _try_one(intake: Intake, sale: Sale, row: Any, attempt: _Attempt) -> _Outcome:  # noqa: ANN401
    """Try one waiting sale (a database row) again; returns outcome and error."""
    sync_id = attempt.sync_id
    if row["document"] is not None:
        document = attempt.documents[sale.key]
        arrival = Arrival(
            document.model_copy(update={"sync_id": sync_id or document.sync_id}),
            row["document"],
            tried_by=attempt.token,
            waits_for=sync_id,
            cause=attempt.cause,
            known_errors=row["errors"],
        )
        return intake.apply(sale, arrival)
    content = store.decode_content(row["content"])
    content = content._replace(sync_id=sync_id or content.sync_id)
    outcome = intake.accept(
        sale, content, content_hash=sale.content_hash, waits_for=sync_id, cause=attempt.cause
    )
    return ("voided" if content.void_reason else outcome), None


def read_document(body: bytes) -> TransactionCaptured:
    """A document that waits, as it came."""
    document = read(TRANSACTIONS, body)
    if not isinstance(document, TransactionCaptured):
        raise TypeError(f"a waiting document is a {document.type}")
    return document
