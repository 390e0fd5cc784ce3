"""SQL in, domain values out: plain functions; transactions are their callers'.

Locks are taken in one order: business, connections, channels, runs.
"""

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiosql
import asyncpg

from channel_connector.domain.channels import Channel, Connection
from channel_connector.domain.documents import Document, DocumentKey, Item, Kind
from channel_connector.provider import Page, Position
from chassis.outbox import Connection as Session

queries = aiosql.from_path(Path(__file__).parent / "sql" / "queries.sql", "asyncpg")

PAYLOAD_BYTES_MAX = 16_777_216
"""How much of payloads is in memory at a time, unless one alone is larger."""

Key = tuple[str, str]
"""Business and connection."""


async def lock_businesses(session: Session, business_ids: Collection[str]) -> dict[str, int]:
    """The connections that each known business may have."""
    return {
        row["business_id"]: row["max_accounting_connections"]
        async for row in queries.lock_businesses(session, business_ids=list(business_ids))
    }


async def save_businesses(session: Session, limits: Mapping[str, int | None]) -> None:
    """Make businesses or change their plans."""
    await queries.save_businesses(session, business_ids=list(limits), limits=list(limits.values()))


async def make_business(session: Session, business_id: str) -> None:
    """Make a business with the default plan unless it is there."""
    await queries.make_business(session, business_id=business_id)


async def lock_connections(session: Session, keys: Collection[Key]) -> dict[Key, Connection]:
    """Those connections, kept from going away until the transaction ends."""
    rows = queries.lock_connections(
        session, business_ids=[k[0] for k in keys], connection_ids=[k[1] for k in keys]
    )
    return {(row["business_id"], row["connection_id"]): Connection(**row) async for row in rows}


async def lock_connections_of_business(session: Session, business_id: str) -> list[Connection]:
    """All connections of a business, locked to be changed."""
    rows = queries.lock_connections_of_business(session, business_id=business_id)
    return [Connection(**row) async for row in rows]


async def find_connection(
    session: Session | asyncpg.Pool, business_id: str, connection_id: str
) -> Connection | None:
    """One connection, if it is there."""
    row = await queries.find_connection(
        session, business_id=business_id, connection_id=connection_id
    )
    return Connection(**row) if row else None


async def list_connections(
    session: Session | asyncpg.Pool, business_id: str, after: str, count: int
) -> list[Connection]:
    """A page of connections by id."""
    rows = queries.list_connections(session, business_id=business_id, after=after, count=count)
    return [Connection(**row) async for row in rows]


async def save_connection(session: Session, connection: Connection) -> None:
    """Add a connection or bring it back."""
    await queries.save_connection(
        session,
        business_id=connection.business_id,
        connection_id=connection.connection_id,
        provider=connection.provider,
        realm_id=connection.realm_id,
        status=connection.status,
        changed_at=connection.changed_at,
    )


async def lock_channels(
    session: Session, channel_ids: Collection[str], on_connections: Collection[Key]
) -> list[Channel]:
    """Channels by id or by what they stand on, locked to be changed."""
    rows = queries.lock_channels(
        session,
        channel_ids=list(channel_ids),
        business_ids=[k[0] for k in on_connections],
        connection_ids=[k[1] for k in on_connections],
    )
    return [Channel(**row) async for row in rows]


async def save_channels(session: Session, channels: Sequence[Channel]) -> None:
    """Write whole channels but for their cursors."""
    await queries.save_channels(
        session,
        channel_ids=[c.channel_id for c in channels],
        business_ids=[c.business_id for c in channels],
        channel_types=[c.channel_type for c in channels],
        statuses=[c.status for c in channels],
        connection_ids=[c.connection_id for c in channels],
        initial_sync_dates=[c.initial_sync_date for c in channels],
        settings=[c.settings for c in channels],
        changed_at=[c.changed_at for c in channels],
    )


async def find_channel(session: Session | asyncpg.Pool, channel_id: str) -> Channel | None:
    """One channel, if it is there."""
    row = await queries.find_channel(session, channel_id=channel_id)
    return Channel(**row) if row else None


async def list_channels(
    session: Session | asyncpg.Pool, business_id: str, after: str, count: int
) -> list[Channel]:
    """A page of channels by id."""
    rows = queries.list_channels(session, business_id=business_id, after=after, count=count)
    return [Channel(**row) async for row in rows]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run to begin."""

    sync_id: str
    business_id: str
    channel_id: str
    requested_by: str | None


async def find_run_owners(session: Session, sync_ids: Collection[str]) -> dict[str, Key]:
    """Business and channel of the runs that are there."""
    return {
        row["sync_id"]: (row["business_id"], row["channel_id"])
        async for row in queries.find_run_owners(session, sync_ids=list(sync_ids))
    }


async def open_runs(session: Session, requests: Sequence[RunRequest], now: datetime) -> set[str]:
    """Begin runs; returns the ids of those that did, the others' channels being busy."""
    if not requests:
        return set()
    rows = queries.open_runs(
        session,
        sync_ids=[r.sync_id for r in requests],
        business_ids=[r.business_id for r in requests],
        channel_ids=[r.channel_id for r in requests],
        requested_by=[r.requested_by for r in requests],
        now=now,
    )
    return {row["sync_id"] async for row in rows}


@dataclass(frozen=True, slots=True)
class Run:
    """A run that this process holds. Every write names its fencing token."""

    sync_id: str
    business_id: str
    channel_id: str
    requested_by: str | None
    started_at: datetime
    fencing_token: int
    phase: str
    position: Position | None
    source_time: datetime | None
    http_calls: int
    to_publish: int
    next_sequence: int


class LeaseLostError(Exception):
    """Another process took the run over; nothing of this transaction may stay."""


async def claim_run(pool: asyncpg.Pool, holder: UUID, lease_seconds: float) -> Run | None:
    """The run that waited longest, now held by this process."""
    row = await queries.claim_run(pool, holder=holder, lease_seconds=lease_seconds)
    return Run(**row) if row else None


async def renew_lease(pool: asyncpg.Pool, run: Run, lease_seconds: float) -> bool:
    """Whether the run is still ours, and for so long again."""
    return bool(
        await queries.renew_lease(
            pool,
            sync_id=run.sync_id,
            fencing_token=run.fencing_token,
            lease_seconds=lease_seconds,
        )
    )


async def release_lease(pool: asyncpg.Pool, run: Run) -> None:
    """Let another process take the run at once."""
    await queries.release_lease(pool, sync_id=run.sync_id, fencing_token=run.fencing_token)


async def save_position(
    session: Session, run: Run, page: Page, kinds: Collection[str], http_calls: int
) -> None:
    """Note where reading goes on.

    Raises:
        LeaseLostError: the run is another's.
    """
    _guard(
        await queries.save_position(
            session,
            sync_id=run.sync_id,
            fencing_token=run.fencing_token,
            position=page.position,
            kinds=list(kinds),
            source_time=page.source_time,
            http_calls=http_calls,
            received=len(page.documents) + len(page.deleted),
        )
    )


def _guard(found: object) -> None:
    if not found:
        raise LeaseLostError


async def save_documents(
    session: Session, run: Run, documents: Iterable[Document], now: datetime
) -> None:
    """Keep versions with their raw payloads, compressed; known ones are noted as met again."""
    unique = {(d.key, d.version): d for d in documents}
    if not unique:
        return
    kept = list(unique.values())
    await queries.save_documents(
        session,
        business_id=run.business_id,
        channel_id=run.channel_id,
        sync_id=run.sync_id,
        now=now,
        kinds=[d.key.kind for d in kept],
        external_ids=[d.key.external_id for d in kept],
        versions=[d.version for d in kept],
        statuses=[d.status for d in kept],
        transaction_dates=[d.transaction_date for d in kept],
        created_at=[d.created_at for d in kept],
        updated_at=[d.updated_at for d in kept],
        payloads=[zlib.compress(d.payload) for d in kept],
    )


@dataclass(frozen=True, slots=True)
class Deletable:
    """A document that may be deleted, dated as it was last published or, if it never was, met.

    `version_max` is the highest version known at all.
    """

    key: DocumentKey
    transaction_date: date | None
    created_at: datetime | None
    version_max: int


async def list_deletable(
    session: Session | asyncpg.Pool, channel_id: str, keys: Collection[DocumentKey]
) -> list[Deletable]:
    """Those of the documents that are known and not known to be deleted."""
    rows = queries.list_deletable(
        session,
        channel_id=channel_id,
        kinds=[k.kind for k in keys],
        external_ids=[k.external_id for k in keys],
    )
    return [
        Deletable(
            key=DocumentKey(row["kind"], row["external_id"]),
            transaction_date=row["transaction_date"],
            created_at=row["source_created_at"],
            version_max=row["version_max"],
        )
        async for row in rows
    ]


async def list_live_ids(session: Session | asyncpg.Pool, channel_id: str, kind: Kind) -> list[str]:
    """Ids of documents that are known and not known to be deleted."""
    rows = queries.list_live_ids(session, channel_id=channel_id, kind=kind)
    return [row["external_id"] async for row in rows]


async def list_unsettled_deletions(
    session: Session | asyncpg.Pool, channel_id: str, keys: Collection[DocumentKey]
) -> dict[DocumentKey, int]:
    """Versions given to deletions that are not published yet."""
    rows = queries.list_unsettled_deletions(
        session,
        channel_id=channel_id,
        kinds=[k.kind for k in keys],
        external_ids=[k.external_id for k in keys],
    )
    return {DocumentKey(row["kind"], row["external_id"]): row["version"] async for row in rows}


async def plan_publication(
    session: Session, run: Run, initial_date: date, http_calls: int
) -> tuple[int, int]:
    """Choose and number what the run publishes; returns how many, and how many are unchanged.

    Raises:
        LeaseLostError: the run is another's.
    """
    _guard(
        await queries.begin_publishing(
            session,
            sync_id=run.sync_id,
            fencing_token=run.fencing_token,
            http_calls=http_calls,
        )
    )
    chosen = {"channel_id": run.channel_id, "sync_id": run.sync_id}
    await queries.settle_superseded(session, **chosen)
    await queries.settle_unpublished_deletions(session, **chosen)
    await queries.settle_before_initial_date(session, **chosen, initial_date=initial_date)
    to_publish = await queries.number_documents(session, sync_id=run.sync_id)
    counts = await list_counts(session, run.sync_id)
    unchanged = sum(met_again for _, met_again in counts.values())
    await queries.save_plan(
        session, sync_id=run.sync_id, to_publish=to_publish, unchanged=unchanged
    )
    return to_publish, unchanged


@dataclass(frozen=True, slots=True)
class Numbered:
    """A document with its place in the run's order.

    `rereadings` is how often any version of it was published again with other content.
    """

    sequence: int
    document: Document
    rereadings: int = 0


async def list_to_publish(
    session: Session | asyncpg.Pool, sync_id: str, from_sequence: int, count: int
) -> list[Numbered]:
    """The next documents of a run, as many as fit into `PAYLOAD_BYTES_MAX`; at least one."""
    rows = queries.list_to_publish(
        session,
        sync_id=sync_id,
        from_sequence=from_sequence,
        count=count,
        bytes_max=PAYLOAD_BYTES_MAX,
    )
    return [
        Numbered(row["sequence"], document, row["rereadings"])
        for row, document in fitting([row async for row in rows])
    ]


async def list_synced_channels(pool: asyncpg.Pool) -> list[tuple[str, str, str]]:
    """Channel, business and connection of every channel that was synced at least once."""
    return [
        (row["channel_id"], row["business_id"], row["connection_id"])
        async for row in queries.list_synced_channels(pool)
    ]


async def open_rereading(
    pool: asyncpg.Pool, channel_id: str, holder: UUID, *, requested_by: str, lease_seconds: float
) -> Run | None:
    """A run that publishes stored documents anew, held by this process; None while one is open."""
    row = await queries.open_rereading(
        pool,
        channel_id=channel_id,
        sync_id=str(uuid4()),
        holder=holder,
        requested_by=requested_by,
        lease_seconds=lease_seconds,
    )
    return Run(**row) if row else None


async def plan_rereading(
    session: Session, run: Run, versions: Sequence[tuple[DocumentKey, int]]
) -> None:
    """Number what a run publishes again, and give the run to whoever publishes.

    Raises:
        LeaseLostError: the run is another's.
    """
    _guard(
        await queries.begin_publishing(
            session, sync_id=run.sync_id, fencing_token=run.fencing_token, http_calls=0
        )
    )
    await queries.mark_reread(
        session,
        channel_id=run.channel_id,
        sync_id=run.sync_id,
        kinds=[key.kind for key, _ in versions],
        external_ids=[key.external_id for key, _ in versions],
        versions=[version for _, version in versions],
    )
    to_publish = await queries.number_documents(session, sync_id=run.sync_id)
    await queries.save_plan(session, sync_id=run.sync_id, to_publish=to_publish, unchanged=0)
    await queries.release_lease(session, sync_id=run.sync_id, fencing_token=run.fencing_token)


def fitting(rows: Iterable[Any]) -> Iterator[tuple[Any, Document]]:
    """Rows with their documents until memory's share is used up; at least one."""
    size = 0
    for row in rows:
        document = _document(row)
        size += len(document.payload)
        if size > PAYLOAD_BYTES_MAX and size > len(document.payload):
            return
        yield row, document


def _document(row: Any) -> Document:  # noqa: ANN401  (a database row)
    return Document(
        key=DocumentKey(row["kind"], row["external_id"]),
        version=row["version"],
        status=row["status"],
        transaction_date=row["transaction_date"],
        created_at=row["source_created_at"],
        updated_at=row["source_updated_at"],
        payload=zlib.decompress(row["payload"]),
    )


async def list_last_payloads(
    session: Session | asyncpg.Pool, channel_id: str, keys: Collection[DocumentKey]
) -> dict[DocumentKey, Document]:
    """The last published live version of documents."""
    rows = queries.list_last_payloads(
        session,
        channel_id=channel_id,
        kinds=[k.kind for k in keys],
        external_ids=[k.external_id for k in keys],
    )
    documents = [_document(row) async for row in rows]
    return {document.key: document for document in documents}


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a version: published with a hash, or failed with a code."""

    key: DocumentKey
    version: int
    content_hash: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    failure_hint: str | None = None
    number: str | None = None


async def save_settlements(
    session: Session, run: Run, settlements: Sequence[Settlement], next_sequence: int
) -> None:
    """Note what became of a chunk, and how far the run is.

    Raises:
        LeaseLostError: the run is another's.
    """
    failed = sum(s.failure_code is not None for s in settlements)
    _guard(
        await queries.save_progress(
            session,
            sync_id=run.sync_id,
            fencing_token=run.fencing_token,
            next_sequence=next_sequence,
            published=len(settlements) - failed,
            failed=failed,
        )
    )
    await queries.settle_documents(
        session,
        channel_id=run.channel_id,
        kinds=[s.key.kind for s in settlements],
        external_ids=[s.key.external_id for s in settlements],
        versions=[s.version for s in settlements],
        outcomes=["failed" if s.failure_code else "published" for s in settlements],
        hashes=[s.content_hash for s in settlements],
        codes=[s.failure_code for s in settlements],
        messages=[s.failure_message for s in settlements],
        hints=[s.failure_hint for s in settlements],
        numbers=[s.number for s in settlements],
    )


async def list_counts(session: Session, sync_id: str) -> dict[str, tuple[int, int]]:
    """Published and unchanged by kind."""
    return {
        row["kind"]: (row["published"], row["unchanged"])
        async for row in queries.list_counts(session, sync_id=sync_id)
    }


async def complete_run(
    session: Session, run: Run, cursor_at: datetime, now: datetime, *, http_calls: int
) -> None:
    """Move the channel's cursor and end a run that published everything, in the order of locks.

    Raises:
        LeaseLostError: the run is another's.
    """
    await queries.move_cursor(
        session, channel_id=run.channel_id, sync_id=run.sync_id, cursor_at=cursor_at
    )
    _guard(
        await queries.complete_run(
            session,
            sync_id=run.sync_id,
            fencing_token=run.fencing_token,
            now=now,
            http_calls=http_calls,
        )
    )


async def fail_run(
    session: Session, run: Run, *, reason: str, detail: str, http_calls: int, now: datetime
) -> None:
    """End a run that cannot go on.

    Raises:
        LeaseLostError: the run is another's.
    """
    _guard(
        await queries.fail_run(
            session,
            sync_id=run.sync_id,
            fencing_token=run.fencing_token,
            reason=reason,
            detail=detail,
            http_calls=http_calls,
            now=now,
        )
    )


async def list_items(
    session: Session | asyncpg.Pool, key: Key, external_ids: Collection[str]
) -> dict[str, Item]:
    """What is known of items, by id."""
    rows = queries.list_items(
        session, business_id=key[0], connection_id=key[1], external_ids=list(external_ids)
    )
    return {
        row["external_id"]: Item(row["external_id"], row["kind"], row["name"]) async for row in rows
    }


async def save_items(session: Session | asyncpg.Pool, key: Key, items: Sequence[Item]) -> None:
    """Remember what the source says of its items."""
    if items:
        await queries.save_items(
            session,
            business_id=key[0],
            connection_id=key[1],
            external_ids=[i.external_id for i in items],
            kinds=[i.kind for i in items],
            names=[i.name for i in items],
        )


async def list_failures(session: Session, sync_id: str, count: int) -> list[dict[str, Any]]:
    """Documents of a run that could not be normalised, and why."""
    rows = queries.list_failures(session, sync_id=sync_id, count=count)
    return [dict(row) async for row in rows]
