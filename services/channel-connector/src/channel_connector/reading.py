"""The first half of a run: pull pages and keep them.

The laws of this module: no transaction is open while the source is asked; a page, its deletions and
the position after it are stored in one transaction, so a run goes on from its last stored page; a
reported deletion is confirmed by a read, and one of a document never met is dropped.
"""

from collections.abc import Collection
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg

from channel_connector import store
from channel_connector.domain.channels import Channel
from channel_connector.domain.documents import KINDS, Document, DocumentKey
from channel_connector.provider import AccountingSystem, Page, ReadRequest
from channel_connector.store import Deletable, Run

NOTHING = b"null"
"""The payload of a deletion: the source has nothing more to show."""


def request_for(channel: Channel) -> ReadRequest:
    """What a channel's run reads.

    Raises:
        ValueError: the channel has no initial date; the database does not allow that.
    """
    if channel.initial_sync_date is None:
        raise ValueError(f"channel {channel.channel_id} has no initial date")
    kinds = tuple(
        kind
        for kind in KINDS
        if kind != "refund-receipt" or channel.settings.get("refund_receipts", True)
    )
    never_read = (
        tuple(kind for kind in kinds if kind not in channel.kinds_read)
        if channel.cursor_at is not None and channel.kinds_read is not None
        else ()
    )
    return ReadRequest(kinds, channel.initial_sync_date, channel.cursor_at, never_read)


async def read_everything(
    pool: asyncpg.Pool, run: Run, channel: Channel, system: AccountingSystem
) -> datetime:
    """Read and keep what is new; returns the source's clock at the beginning.

    Raises:
        SourceError: the source cannot be read.
        LeaseLostError: another process has the run.
    """
    source_time = run.source_time
    request = request_for(channel)
    async with aclosing(system.read(request, run.position)) as pages:  # type: ignore[type-var]
        async for page in pages:
            source_time = source_time or page.source_time
            await _keep_page(pool, run, channel, system, page)
    if source_time is None:
        raise ValueError(f"run {run.sync_id} read nothing and has no source time")
    return source_time


async def _keep_page(
    pool: asyncpg.Pool,
    run: Run,
    channel: Channel,
    system: AccountingSystem,
    page: Page,
) -> None:
    reported = [*page.deleted, *await _missing(pool, run, system, page)]
    changed = await _confirm(pool, run, system, reported)
    key = (channel.business_id, channel.connection_id or "")
    kinds = request_for(channel).kinds
    calls = run.http_calls + system.http_calls
    async with pool.acquire() as session, session.transaction():
        await store.save_position(session, run, page, kinds, calls)
        await store.save_items(session, key, page.items)
        await store.save_documents(session, run, [*page.documents, *changed], datetime.now(UTC))


async def _missing(
    pool: asyncpg.Pool, run: Run, system: AccountingSystem, page: Page
) -> list[DocumentKey]:
    """Known documents that the source does not have any more, by comparing ids."""
    missing: list[DocumentKey] = []
    for kind in page.compare:
        known = await store.list_live_ids(pool, run.channel_id, kind)
        if known:
            there = await system.existing(kind, known)
            missing += [DocumentKey(kind, i) for i in known if i not in there]
    return missing


async def _confirm(
    pool: asyncpg.Pool, run: Run, system: AccountingSystem, reported: Collection[DocumentKey]
) -> list[Document]:
    """Deletions of known documents that a read confirms; those alive after all come as such."""
    if not reported:
        return []
    keys = list(dict.fromkeys(reported))
    pending = await store.list_unsettled_deletions(pool, run.channel_id, keys)
    outcome: list[Document] = []
    for last in await store.list_deletable(pool, run.channel_id, keys):
        alive = await system.find(last.key)
        if alive is not None:
            outcome.append(alive)
            continue
        version = pending.get(last.key, last.version_max + 1)
        outcome.append(_deletion(last, version))
    return outcome


def _deletion(last: Deletable, version: int) -> Document:
    """A deletion as a version of the document, dated like the sale that it undoes."""
    return Document(
        key=last.key,
        version=version,
        status="deleted",
        transaction_date=last.transaction_date,
        created_at=last.created_at,
        updated_at=datetime.now(UTC),
        payload=NOTHING,
    )


def as_deleted(last: Document, deletion: Document) -> Document:
    """What was last known of a document, as the deleted version."""
    return replace(
        deletion, payload=last.payload, transaction_date=last.transaction_date, status="deleted"
    )
