"""Versions of documents taken in: they become sales that ask for their goods, or they wait.

The laws of this module: each message has the effect that it would have alone, in its order; what a
batch writes, it writes once for each sale; only the newest content of a sale asks inventory.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from chassis.consumer import Batch
from chassis.messages import Received
from contracts.channels import TransactionCaptured
from sales_processor import store
from sales_processor.domain.intake import Decision, accept, decide, note, wait
from sales_processor.domain.matching import Fault, ItemKey, LinkedProduct, home_currency, match
from sales_processor.domain.money import ZERO
from sales_processor.domain.sale import Content, Costed, Sale, SaleKey, State, taken_back
from sales_processor.usecases import costing, messages
from sales_processor.usecases.runs import Tally


def sale_id_of(channel_id: str, kind: str, external_id: str) -> str:
    """The id of the sale that a document of a channel stands for."""
    return str(uuid5(NAMESPACE_URL, f"{channel_id}/{kind}/{external_id}"))


async def record_transactions(batch: Batch[TransactionCaptured]) -> None:
    """Take in what a channel published: create, update, void, skip or let wait."""
    documents = [received.message for received in batch.messages]
    keys = [(d.business_id, sale_id_of(d.channel_id, d.kind, d.external_id)) for d in documents]
    intake = Intake(batch)
    await intake.load(keys, documents)
    for received, key in zip(batch.messages, keys, strict=True):
        intake.take(received, key)
    await intake.write()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A document to apply, with its bytes as they came.

    `tried_by` names the run or retry that tries it, `waits_for` the run whose summary needs its
    cost; `known_errors` are those of the last try.
    """

    document: TransactionCaptured
    body: bytes
    tried_by: str
    waits_for: str | None
    cause: Received[Any] | None
    known_errors: Sequence[Mapping[str, str]] = ()


class Intake:
    """Sales while a batch works on them: loaded once, changed in memory, written once."""

    def __init__(self, batch: Batch[Any]) -> None:
        self.sales: dict[SaleKey, Sale] = {}
        self.tally = Tally()
        self.links: dict[ItemKey, LinkedProduct] = {}
        self._returns: dict[store.ChannelKey, str] = {}
        self._batch = batch
        self._stored: frozenset[SaleKey] = frozenset()
        self._entombed: Mapping[SaleKey, int] = {}
        self._shown: dict[SaleKey, Costed] = {}
        self._changed: set[SaleKey] = set()
        self._accepted: dict[SaleKey, Received[Any] | None] = {}
        self._waiting: dict[SaleKey, store.Waiting] = {}
        self._waited: set[SaleKey] = set()
        self._headers: dict[SaleKey, Content] = {}

    async def load(self, keys: Iterable[SaleKey], documents: Iterable[TransactionCaptured]) -> None:
        """Lock the sales, and read the links of the documents' items and the channels' settings."""
        connection = self._batch.connection
        keys, documents = set(keys), list(documents)
        await store.lock_links(connection, {key[0] for key in keys}, shared=True)
        self.sales = await store.lock_sales(connection, keys)
        self._stored = frozenset(self.sales)
        unknown = keys - self._stored
        if unknown:
            self._entombed = await store.find_tombstones(connection, unknown)
        self.links = await store.find_links(
            connection,
            {
                (d.business_id, d.connection_id, line.item.external_id)
                for d in documents
                for line in d.lines
                if line.item is not None
            },
        )
        self._returns = await store.find_returns(
            connection, {(d.business_id, d.channel_id) for d in documents}
        )
        voids = {
            key
            for d in documents
            if d.status != "active"
            for key in [(d.business_id, sale_id_of(d.channel_id, d.kind, d.external_id))]
        }
        await self.load_shown(voids & self._stored)

    async def load_shown(self, keys: Iterable[SaleKey]) -> None:
        """Read what is shown of sales that may be taken back."""
        wanted = list(keys)
        if wanted:
            self._shown.update(await store.find_shown(self._batch.connection, wanted))

    def take(self, received: Received[TransactionCaptured], key: SaleKey) -> None:
        """Apply one version as the run published it, and count it."""
        document = received.message
        sale = self.sales.get(key) or self._new(key, document)
        void = document.status != "active"
        decision = decide(
            sale, version=document.version, void=void, content_hash=document.content_hash
        )
        outcome, reason, error = "skipped", None, None
        if decision is Decision.APPLY:
            sync_id = document.sync_id
            body = received.record.value or b""
            outcome, error = self.apply(
                sale, Arrival(document, body, tried_by=sync_id, waits_for=sync_id, cause=received)
            )
        elif decision is Decision.VOID:
            outcome = "voided"
            self.take_back(
                sale,
                version=document.version,
                sync_id=document.sync_id,
                reason=document.status,
                cause=received,
            )
        else:
            reason = decision.value
            if decision is Decision.VOID_OF_UNKNOWN:
                self._put(sale._replace(state=State.TOMBSTONE, seen_version=document.version))
            elif decision is Decision.IRRELEVANT_CHANGE:
                self._put(note(sale, document.version))
                self._wait_no_longer(sale)
        entry = (
            *(document.business_id, document.sync_id, False, document.sequence),
            *(key[1], document.version, outcome, reason, error),
        )
        self.tally.add(entry, document.channel_id)

    def _new(self, key: SaleKey, document: TransactionCaptured) -> Sale:
        version = self._entombed.get(key)
        return Sale(
            key[0],
            key[1],
            document.channel_id,
            "synced",
            document.kind,
            document.external_id,
            State.UNKNOWN if version is None else State.TOMBSTONE,
            -1 if version is None else version,
        )

    def apply(self, sale: Sale, arrival: Arrival) -> tuple[str, dict[str, str] | None]:
        """Make a document the sale's content, or let it wait; returns outcome and error."""
        document = arrival.document
        channel = (document.business_id, document.channel_id)
        content = match(document, self.links, self._returns.get(channel, "original-lots"))
        if isinstance(content, Fault):
            return "error", self._let_wait(sale, arrival, content)
        outcome = self.accept(
            sale,
            content,
            content_hash=document.content_hash,
            waits_for=arrival.waits_for,
            cause=arrival.cause,
        )
        return outcome, None

    def accept(
        self,
        sale: Sale,
        content: Content,
        *,
        content_hash: str | None,
        waits_for: str | None,
        cause: Received[Any] | None,
    ) -> str:
        """Make a content the sale's newest, for whose cost a run may wait; returns the outcome."""
        self._wait_no_longer(sale)
        self.tally.wait(sale.business_id, sale.pending_sync_id, -1)
        self.tally.wait(sale.business_id, waits_for, 1)
        self._put(accept(sale, content, content_hash=content_hash, sync_id=waits_for))
        self._accepted.pop(sale.key, None)
        self._accepted[sale.key] = cause
        return "created" if sale.revision == 0 else "updated"

    def take_back(
        self,
        sale: Sale,
        *,
        version: int,
        sync_id: str | None,
        reason: str,
        cause: Received[Any] | None,
    ) -> None:
        """Take a sale back by our own records."""
        known = sale.draft or self._headers.get(sale.key)
        content = taken_back(
            known or self._shown[sale.key].content, version=version, sync_id=sync_id, reason=reason
        )
        self.accept(sale, content, content_hash=None, waits_for=sync_id, cause=cause)

    def _let_wait(self, sale: Sale, arrival: Arrival, fault: Fault) -> dict[str, str]:
        document = arrival.document
        error = messages.error_of(
            sale, number=document.number, code=fault.code, message=fault.message, hint=fault.hint
        )
        waiting = wait(sale, document.version)
        self._put(waiting)
        self._waited.discard(sale.key)
        self._waiting[sale.key] = store.Waiting(
            version=document.version,
            document=arrival.body,
            content=None,
            errors=[error],
            sale_date=document.transaction_date,
            created_at=document.source_created_at or document.source_updated_at,
            order_id=document.external_id,
            tried_by=arrival.tried_by,
            connection_id=document.connection_id,
            missing=fault.missing,
        )
        if waiting.state is State.WAITING:
            self._headers[sale.key] = _header(document)
        if arrival.known_errors != [error]:
            self._batch.publish(
                messages.SALES_EVENTS,
                sale.business_id,
                messages.failed(
                    sale, number=document.number, version=document.version, error=error
                ),
                identity=f"{'/'.join(sale.key)}/{document.version}/{error['message']}",
                cause=arrival.cause,
            )
        return error

    def _put(self, sale: Sale) -> None:
        self.sales[sale.key] = sale
        self._changed.add(sale.key)

    def _wait_no_longer(self, sale: Sale) -> None:
        if sale.waits:
            self._waiting.pop(sale.key, None)
            self._waited.add(sale.key)

    async def write(self) -> None:
        """Write sales, questions to inventory, and the tally."""
        connection = self._batch.connection
        entombed = {
            key: self.sales[key].seen_version
            for key in self._changed
            if self.sales[key].state is State.TOMBSTONE
        }
        added = [key for key in self.sales if key not in self._stored and key not in entombed]
        await store.insert_sales(
            connection, [(self.sales[key], self._first_content(key)) for key in added]
        )
        stored = sorted(self._changed & self._stored)
        if stored:
            await store.save_intake(connection, [self.sales[key] for key in stored])
        await self._write_tombstones(entombed, added)
        await self._write_waiting()
        await self._ask()
        await self.tally.write(self._batch)

    def _first_content(self, key: SaleKey) -> Content:
        draft = self.sales[key].draft
        return self._headers[key] if draft is None else draft

    async def _write_tombstones(
        self, entombed: Mapping[SaleKey, int], added: Iterable[SaleKey]
    ) -> None:
        risen = [key for key in added if key in self._entombed]
        if entombed:
            await store.save_tombstones(self._batch.connection, entombed)
        if risen:
            await store.delete_tombstones(self._batch.connection, risen)

    async def _write_waiting(self) -> None:
        connection = self._batch.connection
        gone = [key for key in self._waited if key in self._stored]
        if gone:
            await store.delete_waiting(connection, gone)
        if self._waiting:
            await store.save_waiting(
                connection, {key: (self.sales[key], w) for key, w in self._waiting.items()}
            )
        headers = {
            key: header
            for key, header in self._headers.items()
            if key in self._stored and self.sales[key].state is State.WAITING
        }
        if headers:
            await store.save_headers(connection, headers)

    async def _ask(self) -> None:
        """Ask inventory for goods; a sale that takes and gives back none is finished here."""
        finished = []
        for key, cause in self._accepted.items():
            sale = self.sales[key]
            content = sale.draft
            if content is None:
                continue
            if sale.holds_goods:
                self._batch.publish(
                    messages.INVENTORY_COMMANDS,
                    sale.business_id,
                    messages.consume_lots(sale, content),
                    identity=f"{sale.business_id}/{sale.sale_id}/{sale.revision}",
                    cause=cause,
                )
            else:
                done = costing.without_goods(sale, content, cause)
                costing.announce(self._batch, done, self._batch.now)
                self.tally.wait(sale.business_id, sale.pending_sync_id, -1)
                finished.append(done)
        await costing.show(self._batch.connection, finished, self._batch.now)


def _header(document: TransactionCaptured) -> Content:
    """What is shown of a document that waits: all but its lines."""
    return Content(
        version=document.version,
        sync_id=document.sync_id,
        number=document.number,
        customer_external_id=document.customer.external_id,
        customer_name=document.customer.name,
        sale_date=document.transaction_date,
        currency=document.currency,
        exchange_rate=document.exchange_rate,
        total_amount=document.total_amount,
        tax_amount=document.tax_amount,
        revenue=ZERO,
        lines=(),
        home_currency=home_currency(document),
    )
