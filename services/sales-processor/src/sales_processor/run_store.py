"""SQL of sync runs: sets in, rows out. Runs are locked by business and sync id, after sales."""

import json
from collections.abc import Sequence
from typing import Any

from chassis.outbox import Connection
from contracts.channels import SyncFailed, SyncStarted, TransactionsPublished
from sales_processor.store import named, queries, rows

EntryRecord = tuple[str, str, bool, int, str, int, str, str | None, dict[str, str] | None]
"""Business, sync, retried, sequence, sale, version, outcome, skipped reason and error."""


async def append_entries(connection: Connection, entries: Sequence[EntryRecord]) -> list[Any]:
    """Add what became of transactions of runs; returns the rows that were not there yet."""
    if not entries:
        return []
    return await rows(
        queries.append_entries(
            connection,
            **named(
                entries,
                *("business_ids", "sync_ids", "retried", "sequences", "sale_ids", "versions"),
                *("outcomes", "reasons", "errors"),
            ),
        )
    )


async def fail_entries(
    connection: Connection, refused: Sequence[tuple[str, str, str, dict[str, str]]]
) -> None:
    """Turn accepted transactions (business, sync, sale) into errors: inventory refused them."""
    await queries.fail_entries(
        connection, **named(refused, "business_ids", "sync_ids", "sale_ids", "errors")
    )


async def add_runs(connection: Connection, runs: Sequence[tuple[str, str, str]]) -> None:
    """Add runs (business, sync, channel) that are named for the first time."""
    await queries.add_runs(connection, **named(runs, "business_ids", "sync_ids", "channel_ids"))


async def lock_runs(
    connection: Connection, added: Sequence[tuple[str, str, int, int, int]]
) -> list[Any]:
    """Count what runs received, tried again and wait for; returns them, locked."""
    return await rows(
        queries.lock_runs(
            connection,
            **named(added, "business_ids", "sync_ids", "received", "retried", "pending"),
        )
    )


async def start_runs(connection: Connection, started: Sequence[SyncStarted]) -> None:
    """Keep when runs started."""
    records = [(m.business_id, m.sync_id, m.started_at) for m in started]
    await queries.start_runs(connection, **named(records, "business_ids", "sync_ids", "instants"))


async def declare_runs(connection: Connection, declared: Sequence[TransactionsPublished]) -> None:
    """Keep what runs published; what was said first counts."""
    records = [
        (
            *(m.business_id, m.sync_id, m.started_at, m.published, m.unchanged),
            json.dumps([f.model_dump(mode="json", exclude_none=True) for f in m.failed]),
            m.http_calls,
        )
        for m in declared
    ]
    await queries.declare_runs(
        connection,
        **named(
            records,
            *("business_ids", "sync_ids", "instants", "published", "unchanged", "failures"),
            "http_calls",
        ),
    )


async def fail_runs(connection: Connection, failed: Sequence[SyncFailed]) -> None:
    """Keep why runs ended without publishing."""
    records = [(m.business_id, m.sync_id, {"reason": m.reason, "detail": m.detail}) for m in failed]
    await queries.fail_runs(connection, **named(records, "business_ids", "sync_ids", "failures"))
