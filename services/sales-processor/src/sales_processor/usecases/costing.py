"""Costs from inventory put onto sales, which are announced with their margin then.

The laws of this module: only an answer to the newest revision of a sale changes it; an older one,
or one that is known, changes nothing; a sale is shown with content and cost of one revision.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from chassis.consumer import Batch
from chassis.errors import PoisonError
from chassis.messages import Received
from chassis.outbox import Connection
from contracts.base import Message
from contracts.inventory import SaleCosted
from contracts.rejections import CommandRejected
from sales_processor import run_store, store
from sales_processor.domain.costing import CostingMismatchError, cost
from sales_processor.domain.intake import refuse
from sales_processor.domain.sale import Content, Costed, Sale, SaleKey
from sales_processor.usecases import messages
from sales_processor.usecases.runs import Tally

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finished:
    """A sale whose draft has its cost: as it was, and what is shown of it from now on."""

    sale: Sale
    costed: Costed
    costing: int
    cause: Received[Any] | None


async def follow_inventory(batch: Batch[Message]) -> None:
    """Apply the costs and refusals of inventory to the sales that asked."""
    answers = [
        received
        for received in batch.messages
        if isinstance(received.message, SaleCosted)
        or (
            isinstance(received.message, CommandRejected)
            and received.message.command == "consume-lots"
            and received.message.business_id is not None
            and received.message.sale_id is not None
        )
    ]
    if not answers:
        return
    keys = {_key(received.message) for received in answers}
    await store.lock_links(batch.connection, {key[0] for key in keys}, shared=True)
    sales = await store.lock_sales(batch.connection, keys)
    work = _Answers(batch, sales)
    work.shown = await store.find_shown(batch.connection, _recosted_keys(answers, sales))
    for received in answers:
        message = received.message
        sale = sales.get(_key(message))
        if sale is None:
            work.ignored += 1
        elif isinstance(message, SaleCosted):
            work.cost(sale, received, message)
        elif isinstance(message, CommandRejected):
            work.refuse(sale, received, message)
    await work.write()


def _key(message: Any) -> SaleKey:  # noqa: ANN401  (two message types)
    return (message.business_id, message.sale_id)


def _recosted_keys(answers: Sequence[Received[Any]], sales: dict[SaleKey, Sale]) -> list[SaleKey]:
    """Sales with an answer about what is shown already, whose lines are needed."""
    return sorted(
        {
            key
            for received in answers
            for key in [_key(received.message)]
            if isinstance(received.message, SaleCosted)
            and (sale := sales.get(key)) is not None
            and sale.draft is None
            and received.message.revision == sale.revision
            and received.message.costing > sale.costing
        }
    )


class _Answers:
    """The answers of a batch, applied in their order in memory and written once."""

    def __init__(self, batch: Batch[Message], sales: dict[SaleKey, Sale]) -> None:
        self.shown: dict[SaleKey, Costed] = {}
        self.ignored = 0
        self._batch = batch
        self._sales = sales
        self._tally = Tally()
        self._finished: dict[SaleKey, Finished] = {}
        self._recosted: dict[SaleKey, tuple[Sale, Costed, int]] = {}
        self._refused: dict[SaleKey, tuple[Sale, Content, dict[str, str], str | None]] = {}

    def cost(self, sale: Sale, received: Received[Message], answer: SaleCosted) -> None:
        """Apply a cost: the first for a draft, or a later one for what is shown."""
        if answer.revision != sale.revision:
            self.ignored += 1
        elif sale.draft is not None:
            costed = _put_onto(sale, sale.draft, answer)
            finished = Finished(sale, costed, answer.costing, received)
            self._finished[sale.key] = finished
            announce(self._batch, finished, self._batch.now)
            self._tally.wait(sale.business_id, sale.pending_sync_id, -1)
            self.shown[sale.key] = costed
            self._sales[sale.key] = _after(finished)
        elif answer.costing > sale.costing:
            self._recost(sale, received, answer)
        else:
            self.ignored += 1

    def _recost(self, sale: Sale, received: Received[Message], answer: SaleCosted) -> None:
        before = self.shown[sale.key]
        costed = _put_onto(sale, before.content, answer)
        self.shown[sale.key] = costed
        self._sales[sale.key] = sale._replace(costing=answer.costing)
        finished = self._finished.get(sale.key)
        if finished is None:
            self._recosted[sale.key] = (sale, costed, answer.costing)
        else:
            self._finished[sale.key] = replace(finished, costed=costed, costing=answer.costing)
        self._batch.publish(
            messages.SALES_EVENTS,
            sale.business_id,
            messages.recosted(
                sale, costed, previous_cost=before.cost, reason=answer.reason or "recosted"
            ),
            identity=f"{sale.business_id}/{sale.sale_id}/{sale.revision}/{answer.costing}",
            cause=received,
        )

    def refuse(self, sale: Sale, received: Received[Message], refusal: CommandRejected) -> None:
        """Let a sale wait whose newest question inventory refused."""
        if sale.draft is None or refusal.revision not in {None, sale.revision}:
            self.ignored += 1
            return
        error = messages.error_of(
            sale,
            number=sale.draft.number,
            code="rejected-by-inventory",
            message=f"Inventory refused the goods of this sale: {refusal.message}",
            hint="Mend what the message names, then sync again or publish retry-failed-sales.",
        )
        self._tally.wait(sale.business_id, sale.pending_sync_id, -1)
        waiting = refuse(sale)
        self._refused[sale.key] = (waiting, sale.draft, error, sale.pending_sync_id)
        self._sales[sale.key] = waiting
        self._batch.publish(
            messages.SALES_EVENTS,
            sale.business_id,
            messages.failed(
                sale, number=sale.draft.number, version=sale.draft.version, error=error
            ),
            identity=f"{sale.business_id}/{sale.sale_id}/{sale.revision}/{received.identity}",
            cause=received,
        )

    async def write(self) -> None:
        """Write everything once."""
        connection = self._batch.connection
        await show(connection, list(self._finished.values()), self._batch.now)
        if self._recosted:
            recosted = list(self._recosted.values())
            await store.keep_revisions(connection, self._recosted, self._batch.now)
            await store.save_recosted(connection, recosted)
            await store.replace_lines(connection, list(self._recosted), recosted)
        if self._refused:
            await self._write_refused()
        await self._tally.write(self._batch)
        if self.ignored:
            log.info("answers of inventory changed nothing", count=self.ignored)

    async def _write_refused(self) -> None:
        connection = self._batch.connection
        await store.save_intake(connection, [sale for sale, *_ in self._refused.values()])
        await store.save_waiting(
            connection,
            {
                key: (
                    sale,
                    store.Waiting(
                        version=content.version,
                        document=None,
                        content=content,
                        errors=[error],
                        sale_date=content.sale_date,
                        created_at=self._batch.now,
                        order_id=sale.external_id or sale.sale_id,
                        tried_by=sync_id,
                    ),
                )
                for key, (sale, content, error, sync_id) in self._refused.items()
            },
        )
        await run_store.fail_entries(
            connection,
            [
                (sale.business_id, sync_id, sale.sale_id, error)
                for sale, _, error, sync_id in self._refused.values()
                if sync_id is not None
            ],
        )


def _put_onto(sale: Sale, content: Content, answer: SaleCosted) -> Costed:
    try:
        return cost(content, answer)
    except CostingMismatchError as error:
        raise PoisonError(
            "costing-mismatch",
            f"The answer to revision {answer.revision} of {sale.sale_id} does not fit: {error}.",
        ) from error


def _after(finished: Finished) -> Sale:
    """The sale once its draft is shown."""
    sale = finished.sale
    return sale._replace(
        costed_revision=sale.revision,
        costing=finished.costing,
        draft=None,
        pending_sync_id=None,
        status=finished.costed.status,
        version=finished.costed.content.version,
    )


def announce(batch: Batch[Any], finished: Finished, now: datetime) -> None:
    """Publish a sale that has its cost now."""
    sale, costed = finished.sale, finished.costed
    if costed.content.void_reason is None:
        message = messages.recorded_or_updated(sale, costed)
    else:
        message = messages.voided(sale, costed, voided_at=now)
    batch.publish(
        messages.SALES_EVENTS,
        sale.business_id,
        message,
        identity=f"{sale.business_id}/{sale.sale_id}/{sale.revision}",
        cause=finished.cause,
    )


async def show(connection: Connection, finished: Sequence[Finished], now: datetime) -> None:
    """Write sales that have their cost now, with their lines."""
    if not finished:
        return
    costed = [(f.sale, f.costed, f.costing) for f in finished]
    stale = [f.sale.key for f in finished if f.sale.costed_revision > 0]
    if stale:
        await store.keep_revisions(connection, stale, now)
    await store.save_costed(connection, costed, now)
    await store.replace_lines(connection, stale, costed)


def without_goods(sale: Sale, content: Content, cause: Received[Any] | None) -> Finished:
    """A sale that takes nothing and gives nothing back: its cost is 0 without asking."""
    return Finished(sale, cost(content, None), 1, cause)
