"""The second half of a run: publish what was read, in the order of the books.

The laws of this module: everything leaves through the outbox, in chunks, each in the transaction
that notes how far the run is; a run that is taken over goes on after the last chunk and
publishes nothing twice; the cursor moves in the transaction of the last message; a version that is
published again because it reads differently now gets a number of its own, one higher, and so do all
versions of that document from then on.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from pydantic import ValidationError

from channel_connector import store
from channel_connector.domain.channels import Channel, Connection
from channel_connector.domain.documents import (
    Document,
    Failure,
    ItemsById,
    NormalisedDocument,
)
from channel_connector.messages import (
    SOURCE,
    TEXT_LENGTH_MAX,
    TRANSACTIONS_TOPIC,
    event,
    transaction_captured,
)
from channel_connector.provider import AccountingSystem, SourceError
from channel_connector.reading import as_deleted
from channel_connector.store import Numbered, Run, Settlement
from chassis import outbox
from chassis.errors import PoisonError
from chassis.messages import Outgoing, outgoing
from contracts.channels import (
    KindCounts,
    SyncFailed,
    SyncStarted,
    TransactionError,
    TransactionsPublished,
)

CHUNK_DOCUMENTS = 500
OVERLAP = timedelta(minutes=5)
"""How far each cursor reaches back: what a query may not show yet comes with the next run."""
FAILURES_MAX = 1_000
FAILURE_TEXT_LENGTH_MAX = 300
NUMBER_LENGTH_MAX = 100
MESSAGE_BYTES_MAX = 900_000
"""What the topic and its readers take, with room for headers."""


async def plan(pool: asyncpg.Pool, run: Run, channel: Channel, http_calls: int) -> int:
    """Fix what is published and its order, and announce that it begins; returns how many.

    Raises:
        LeaseLostError: another process has the run.
    """
    assert channel.initial_sync_date is not None  # noqa: S101  (a constraint of the table)
    started = SyncStarted(
        business_id=run.business_id,
        channel_id=run.channel_id,
        sync_id=run.sync_id,
        started_at=run.started_at,
        requested_by=run.requested_by,
    )
    async with pool.acquire() as session, session.transaction():
        to_publish, _ = await store.plan_publication(
            session, run, channel.initial_sync_date, http_calls
        )
        await outbox.append(session, [event(run.channel_id, started, identity=run.sync_id)])
    return to_publish


async def publish_everything(
    pool: asyncpg.Pool,
    run: Run,
    connection: Connection,
    system: AccountingSystem,
    *,
    from_sequence: int,
) -> None:
    """Publish the chosen documents from a place on.

    Raises:
        SourceError: items cannot be read.
        LeaseLostError: another process has the run.
    """
    while True:
        chunk = await store.list_to_publish(pool, run.sync_id, from_sequence, CHUNK_DOCUMENTS)
        if not chunk:
            return
        normalised = await _normalise(pool, run, connection, system, chunk)
        items = await _items(pool, connection, system, [n for _, n in normalised])
        messages, settlements = _outcomes(run, connection, items, normalised)
        from_sequence = chunk[-1].sequence + 1
        async with pool.acquire() as session, session.transaction():
            await store.save_settlements(session, run, settlements, from_sequence)
            await outbox.append(session, messages)


_Normalised = tuple[Numbered, NormalisedDocument | Failure]


async def _normalise(
    pool: asyncpg.Pool,
    run: Run,
    connection: Connection,
    system: AccountingSystem,
    chunk: Sequence[Numbered],
) -> list[_Normalised]:
    """Each document in our words; a deletion carries what was last published of it."""
    deleted = [n.document.key for n in chunk if n.document.status == "deleted"]
    last = await store.list_last_payloads(pool, run.channel_id, deleted) if deleted else {}
    outcome: list[_Normalised] = []
    for numbered in chunk:
        document: Document = numbered.document
        if document.status == "deleted":
            document = as_deleted(last[document.key], document)
        if numbered.rereadings:
            document = replace(document, version=document.version + numbered.rereadings)
        outcome.append((numbered, system.normalise(document, connection.home_currency)))
    return outcome


async def _items(
    pool: asyncpg.Pool,
    connection: Connection,
    system: AccountingSystem,
    documents: Sequence[NormalisedDocument | Failure],
) -> ItemsById:
    """The items of the lines: those known, and the others read and remembered."""
    wanted = {
        line.item_id
        for document in documents
        if isinstance(document, NormalisedDocument)
        for line in document.lines
        if line.item_id is not None
    }
    if not wanted:
        return {}
    key = (connection.business_id, connection.connection_id)
    known = await store.list_items(pool, key, wanted)
    if missing := wanted - known.keys():
        found = await system.items(missing)
        await store.save_items(pool, key, found)
        known |= {item.external_id: item for item in found}
    return known


def _outcomes(
    run: Run, connection: Connection, items: ItemsById, normalised: Sequence[_Normalised]
) -> tuple[list[Outgoing], list[Settlement]]:
    """Messages for what can be published, and what became of each version."""
    messages: list[Outgoing] = []
    settlements: list[Settlement] = []
    for numbered, document in normalised:
        key, version = numbered.document.key, numbered.document.version
        outcome = (
            document
            if isinstance(document, Failure)
            else _captured(run, connection, items, numbered.sequence, document)
        )
        if isinstance(outcome, Failure):
            settlements.append(
                Settlement(
                    key,
                    version,
                    failure_code=outcome.code,
                    failure_message=outcome.message[:FAILURE_TEXT_LENGTH_MAX],
                    failure_hint=outcome.hint,
                    number=outcome.number[:NUMBER_LENGTH_MAX] if outcome.number else None,
                )
            )
        else:
            message, content_hash = outcome
            messages.append(message)
            settlements.append(Settlement(key, version, content_hash=content_hash))
    return messages, settlements


def _captured(
    run: Run,
    connection: Connection,
    items: ItemsById,
    sequence: int,
    document: NormalisedDocument,
) -> tuple[Outgoing, str] | Failure:
    """The encoded message of a document and its content hash, or why there can be none."""
    try:
        message = transaction_captured(
            document, run=run, connection=connection, sequence=sequence, items=items
        )
    except (ValidationError, ArithmeticError) as error:
        return _out_of_range(error)
    key = document.key
    identity = f"{run.channel_id}/{key.kind}/{key.external_id}/{document.version}"
    try:
        sent = outgoing(
            TRANSACTIONS_TOPIC, run.channel_id, message, source=SOURCE, identity=identity
        )
    except PoisonError:
        return _TOO_LARGE
    too_large = sent.payload is None or len(sent.payload) > MESSAGE_BYTES_MAX
    return _TOO_LARGE if too_large else (sent, message.content_hash)


_TOO_LARGE = Failure(
    "document-invalid",
    f"The document is larger than {MESSAGE_BYTES_MAX} bytes and cannot be passed on.",
    "Split the document, or shorten the texts of its lines.",
)


def _out_of_range(error: ValidationError | ArithmeticError) -> Failure:
    """A value that no message may carry, named by its field and never shown."""
    what = "An amount is too large to be computed with."
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        what = f"`{place}` of the document is out of range: {first['msg']}."
    return Failure(
        "document-invalid",
        what,
        "Correct the document in the accounting system; the next sync tries it anew.",
    )


def _errors(failures: Sequence[dict[str, Any]]) -> list[TransactionError]:
    """Failures as the summary lists them; one message cannot hold any number of them."""
    errors = [
        TransactionError(
            kind=row["kind"],
            external_id=row["external_id"],
            number=row["number"],
            code=row["failure_code"],
            message=row["failure_message"],
            hint=row["failure_hint"],
        )
        for row in failures[:FAILURES_MAX]
    ]
    if len(failures) > FAILURES_MAX:
        rest = failures[FAILURES_MAX]
        text = f"More than {FAILURES_MAX} documents of this sync cannot be read."
        hint = "Look at these first; most often all have the same cause."
        errors.append(
            TransactionError(kind=rest["kind"], code="document-invalid", message=text, hint=hint)
        )
    return errors


async def complete(
    pool: asyncpg.Pool, run: Run, system: AccountingSystem, source_time: datetime
) -> None:
    """Say what was published, end the run and move the cursor.

    Raises:
        LeaseLostError: another process has the run.
    """
    async with pool.acquire() as session, session.transaction():
        counts = await store.list_counts(session, run.sync_id)
        failures = await store.list_failures(session, run.sync_id, FAILURES_MAX + 1)
        message = TransactionsPublished(
            business_id=run.business_id,
            channel_id=run.channel_id,
            sync_id=run.sync_id,
            started_at=run.started_at,
            published=sum(published for published, _ in counts.values()),
            unchanged=sum(unchanged for _, unchanged in counts.values()),
            by_kind={
                kind: KindCounts(published=published, unchanged=unchanged)
                for kind, (published, unchanged) in counts.items()
            },
            failed=_errors(failures),
            http_calls=run.http_calls + system.http_calls,
        )
        await store.complete_run(
            session,
            run,
            source_time - OVERLAP,
            datetime.now(UTC),
            http_calls=run.http_calls + system.http_calls,
        )
        await outbox.append(session, [event(run.channel_id, message, identity=run.sync_id)])


async def fail(pool: asyncpg.Pool, run: Run, error: SourceError, http_calls: int) -> None:
    """End a run that cannot go on, and say why; the cursor stays.

    Raises:
        LeaseLostError: another process has the run.
    """
    detail = error.detail[:TEXT_LENGTH_MAX]
    message = SyncFailed(
        business_id=run.business_id,
        channel_id=run.channel_id,
        sync_id=run.sync_id,
        reason=error.reason,
        detail=detail,
    )
    async with pool.acquire() as session, session.transaction():
        await store.fail_run(
            session,
            run,
            reason=error.reason,
            detail=detail,
            http_calls=http_calls,
            now=datetime.now(UTC),
        )
        await outbox.append(session, [event(run.channel_id, message, identity=run.sync_id)])
