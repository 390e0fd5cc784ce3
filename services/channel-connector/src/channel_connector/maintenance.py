"""What an operator has done now and then: new keys for tokens, and reading stored payloads anew.

The laws of this module: rotating never replaces a token that was refreshed meanwhile, and can be
stopped and begun again at any time; a channel is read anew under a run of its own, so that no sync
is under way; only what reads differently is published again, as a newer version of its document,
in the order of the books; a payload that read well and would fail now is reported and left alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg

from channel_connector import store
from channel_connector.domain.content import content_hash
from channel_connector.domain.documents import Document, DocumentKey, Failure, NormalisedDocument
from channel_connector.messages import event
from channel_connector.store import LeaseLostError
from channel_connector.vault import Owner, UnknownKeyError, Vault
from chassis import outbox
from contracts.channels import SyncStarted

ROWS_AT_ONCE = 200
LEASE_SECONDS = 120.0
REQUESTED_BY = "renormalise"

Normalise = Callable[[Document, str | None], NormalisedDocument | Failure]


@dataclass(frozen=True, slots=True)
class Rotation:
    """How many connections' tokens were encrypted anew, and which could not be, with the reason."""

    rotated: int
    refused: tuple[str, ...]


async def rotate_keys(pool: asyncpg.Pool, vault: Vault) -> Rotation:
    """Encrypt every token with the newest key; tokens of unknown keys stay as they are."""
    rotated = 0
    refused: list[str] = []
    after = ("", "")
    while True:
        rows = [
            row
            async for row in store.queries.list_old_tokens(
                pool,
                key_id=vault.newest_key_id,
                after_business_id=after[0],
                after_connection_id=after[1],
                count=ROWS_AT_ONCE,
            )
        ]
        if not rows:
            return Rotation(rotated, tuple(refused))
        for row in rows:
            try:
                rotated += await _rotate(pool, vault, row)
            except UnknownKeyError as error:
                refused.append(str(error))
        after = (rows[-1]["business_id"], rows[-1]["connection_id"])


async def _rotate(pool: asyncpg.Pool, vault: Vault, row: asyncpg.Record) -> bool:
    """Whether these tokens were encrypted anew; not if they were replaced since they were read."""
    key = {"business_id": row["business_id"], "connection_id": row["connection_id"]}
    owner = Owner(realm_id=row["realm_id"], **key)

    def anew(purpose: str) -> bytes | None:
        sealed = row[f"{purpose}_token"]
        if sealed is None:
            return None
        return vault.seal(vault.open(sealed, row["key_id"], owner, purpose), owner, purpose)

    saved = await store.queries.save_rotated_tokens(
        pool,
        **key,
        version=row["version"],
        old_key_id=row["key_id"],
        key_id=vault.newest_key_id,
        refresh_token=anew("refresh"),
        access_token=anew("access"),
    )
    return bool(saved)


@dataclass(frozen=True, slots=True)
class Rereading:
    """What reading a channel's payloads anew came to; `busy` if a sync was under way."""

    channel_id: str
    read: int = 0
    to_publish: int = 0
    worse: tuple[str, ...] = ()
    busy: bool = False


async def renormalise(pool: asyncpg.Pool, normalise: Normalise) -> list[Rereading]:
    """Read the newest stored payload of every document anew, in all channels ever synced.

    What is to be published is left to the running service.
    """
    return [
        await _reread_channel(pool, normalise, channel_id, business_id, connection_id)
        for channel_id, business_id, connection_id in await store.list_synced_channels(pool)
    ]


async def _reread_channel(
    pool: asyncpg.Pool,
    normalise: Normalise,
    channel_id: str,
    business_id: str,
    connection_id: str,
) -> Rereading:
    connection = await store.find_connection(pool, business_id, connection_id)
    if connection is None:
        raise ValueError(f"channel {channel_id} has no connection; a constraint forbids that")
    run = await store.open_rereading(
        pool, channel_id, uuid4(), requested_by=REQUESTED_BY, lease_seconds=LEASE_SECONDS
    )
    if run is None:
        return Rereading(channel_id, busy=True)
    read = 0
    worse: list[str] = []
    changed: list[tuple[DocumentKey, int]] = []
    after = DocumentKey("credit-memo", "")
    while rows := await list_newest(pool, channel_id, after, ROWS_AT_ONCE):
        after = rows[-1].document.key
        read += len(rows)
        for kept in rows:
            outcome = normalise(kept.document, connection.home_currency)
            if isinstance(outcome, Failure):
                if kept.content_hash is not None:
                    key = kept.document.key
                    worse.append(f"{key.kind} {key.external_id}: {outcome.message}")
            elif content_hash(outcome) != kept.content_hash:
                changed.append((kept.document.key, kept.document.version))
        if not await store.renew_lease(pool, run, LEASE_SECONDS):
            raise LeaseLostError
    started = SyncStarted(
        business_id=business_id,
        channel_id=channel_id,
        sync_id=run.sync_id,
        started_at=datetime.now(UTC),
        requested_by=REQUESTED_BY,
    )
    async with pool.acquire() as session, session.transaction():
        if changed:
            await store.plan_rereading(session, run, changed)
            await outbox.append(session, [event(channel_id, started, identity=run.sync_id)])
        else:
            await store.queries.drop_run(
                session, sync_id=run.sync_id, fencing_token=run.fencing_token
            )
    return Rereading(channel_id, read, len(changed), tuple(worse))


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored document, and the hash that it was published with, if it was."""

    document: Document
    content_hash: str | None


async def list_newest(
    pool: asyncpg.Pool, channel_id: str, after: DocumentKey, count: int
) -> list[Kept]:
    """The next live documents of a channel in their newest versions, by kind and id.

    As many as fit into `store.PAYLOAD_BYTES_MAX`; at least one.
    """
    rows = store.queries.list_newest(
        pool,
        channel_id=channel_id,
        after_kind=after.kind,
        after_id=after.external_id,
        count=count,
        bytes_max=store.PAYLOAD_BYTES_MAX,
    )
    return [
        Kept(document, row["content_hash"])
        for row, document in store.fitting([row async for row in rows])
    ]
