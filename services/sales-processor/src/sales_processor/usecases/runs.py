"""Sync runs: what became of their transactions, and one summary when all have their cost.

The laws of this module: the counts of a summary add up to what the run received (a constraint
refuses any other); a run is summed up once, when everything it published has come, its failed sales
were tried again and nothing of it waits for a cost, in whatever order the topics bring the news.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from chassis.consumer import Batch
from contracts.base import Message
from contracts.channels import (
    ChannelChanged,
    SyncFailed,
    SyncStarted,
    TransactionError,
    TransactionsPublished,
)
from contracts.sales import RetryFailedSales, SyncCompleted
from sales_processor import run_store, store
from sales_processor.domain.summary import fit, summarize
from sales_processor.run_store import EntryRecord
from sales_processor.store import queries
from sales_processor.usecases.messages import SALES_COMMANDS, SALES_EVENTS

RunKey = tuple[str, str]
"""Business and sync id."""


class Tally:
    """What a batch adds to runs."""

    def __init__(self) -> None:
        self._channels: dict[RunKey, str] = {}
        self._entries: list[EntryRecord] = []
        self._pending: dict[RunKey, int] = {}
        self._touched: dict[RunKey, None] = {}

    def add(self, entry: EntryRecord, channel_id: str) -> None:
        """Count what became of one transaction of a run, or of a failed sale tried again."""
        self._entries.append(entry)
        self._channels[entry[0], entry[1]] = channel_id

    def wait(self, business_id: str, sync_id: str | None, count: int) -> None:
        """Count a sale of a run that waits for its cost (1) or waits no longer (-1)."""
        if sync_id is not None:
            key = (business_id, sync_id)
            self._pending[key] = self._pending.get(key, 0) + count

    def touch(self, business_id: str, sync_id: str) -> None:
        """See to a run, though nothing is counted."""
        self._touched[business_id, sync_id] = None

    async def write(self, batch: Batch[Any]) -> None:
        """Count, and move the runs on: ask for retries, sum up."""
        connection = batch.connection
        if self._channels:
            runs = [(*key, channel) for key, channel in self._channels.items()]
            await run_store.add_runs(connection, runs)
        received: dict[RunKey, int] = {}
        retried: dict[RunKey, int] = {}
        for row in await run_store.append_entries(connection, self._entries):
            counts = retried if row["retried"] else received
            key = (row["business_id"], row["sync_id"])
            counts[key] = counts.get(key, 0) + 1
        keys = sorted({*self._channels, *self._pending, *self._touched})
        if keys:
            await _move_on(
                batch,
                await run_store.lock_runs(
                    connection,
                    [
                        (*key, received.get(key, 0), retried.get(key, 0), self._pending.get(key, 0))
                        for key in keys
                    ],
                ),
            )


async def _move_on(batch: Batch[Any], runs: Iterable[Any]) -> None:
    """Let runs enter the phases that they are ready for; the last is their summary."""
    for run in runs:
        phase = run["phase"]
        ready = run["published"] is not None and run["received"] >= run["published"]
        if phase == "receiving" and ready:
            phase = await _begin_retries(batch, run)
        if phase == "costing" and run["pending"] == 0:
            await _sum_up(batch, run)
        elif phase != run["phase"]:
            await save_phase(batch, run, phase)


async def save_phase(batch: Batch[Any], run: Any, phase: str) -> None:  # noqa: ANN401  (a row)
    """Say how far a run has come."""
    await queries.save_phases(
        batch.connection,
        business_ids=[run["business_id"]],
        sync_ids=[run["sync_id"]],
        phases=[phase],
    )


async def _begin_retries(batch: Batch[Any], run: Any) -> str:  # noqa: ANN401  (a row)
    """Ask for the channel's failed sales to be tried again, if there are any."""
    waiting = await store.rows(
        queries.list_sales_to_retry(
            batch.connection,
            business_id=run["business_id"],
            channel_id=run["channel_id"],
            token=run["sync_id"],
            limit=1,
        )
    )
    if not waiting:
        return "costing"
    command = RetryFailedSales(
        business_id=run["business_id"], channel_id=run["channel_id"], sync_id=run["sync_id"]
    )
    ask_for_retries(batch, command, identity=run["sync_id"])
    return "retrying"


def ask_for_retries(batch: Batch[Any], command: RetryFailedSales, *, identity: str) -> None:
    """Ask ourselves to try waiting sales again, or further ones."""
    identity = f"{command.business_id}/{identity}"
    batch.publish(SALES_COMMANDS, command.business_id, command, identity=identity)


async def _sum_up(batch: Batch[Any], run: Any) -> None:  # noqa: ANN401  (a database row)
    """Keep and publish the summary of a run."""
    named = {"business_id": run["business_id"], "sync_id": run["sync_id"]}
    connection = batch.connection
    outcomes = await store.rows(queries.list_outcomes(connection, **named))
    errors = await store.rows(queries.list_errors(connection, **named))
    totals = await queries.find_totals(connection, **named)
    counts = summarize(
        [(row["outcome"], row["skipped_reason"], row["count"]) for row in outcomes],
        unchanged=run["unchanged"],
        connector_errors=len(run["failures"]),
        received=run["received"] + run["retried"],
    )
    all_errors = [*run["failures"], *(row["error"] for row in errors)]
    told, omitted = fit(all_errors)
    summary = SyncCompleted(
        **named,
        channel_id=run["channel_id"],
        started_at=run["started_at"],
        completed_at=batch.now,
        received=counts.received,
        created=counts.created,
        updated=counts.updated,
        voided=counts.voided,
        skipped=counts.skipped,
        errors=[TransactionError(**error) for error in told],
        errors_omitted=omitted or None,
        revenue=totals["revenue"],
        cost=totals["cost"],
        margin=totals["revenue"] - totals["cost"],
        http_calls=run["http_calls"],
    )
    body = summary.model_dump(mode="json", exclude_none=True)
    body.pop("errors_omitted", None)
    body.update(errors=all_errors, skipped_total=sum(counts.skipped.values()))
    await queries.complete_run(connection, **named, instant=batch.now, summary=body)
    batch.publish(SALES_EVENTS, run["business_id"], summary, identity="/".join(named.values()))


async def follow_channels(batch: Batch[Message]) -> None:
    """Keep channels as described, and what the connector says of its runs."""
    connection = batch.connection
    messages: list[Message] = [received.message for received in batch.messages]
    channels = [m for m in messages if isinstance(m, ChannelChanged)]
    started = [m for m in messages if isinstance(m, SyncStarted)]
    published = _first_of_each([m for m in messages if isinstance(m, TransactionsPublished)])
    failed = [m for m in messages if isinstance(m, SyncFailed)]
    said: list[SyncStarted | TransactionsPublished | SyncFailed]
    said = [*started, *published, *failed]
    businesses = {m.business_id for m in (*channels, *said)}
    await store.lock_links(connection, businesses, shared=not channels)
    if channels:
        await store.save_channels(connection, channels)
    runs = {(m.business_id, m.sync_id): m.channel_id for m in said}
    if not runs:
        return
    await run_store.add_runs(connection, [(*key, channel) for key, channel in runs.items()])
    await run_store.start_runs(connection, started)
    await run_store.declare_runs(connection, published)
    await run_store.fail_runs(connection, failed)
    tally = Tally()
    for business_id, sync_id in runs:
        tally.touch(business_id, sync_id)
    await tally.write(batch)


def _first_of_each(published: Sequence[TransactionsPublished]) -> list[TransactionsPublished]:
    """What each run said first: a repeat changes nothing."""
    first: dict[RunKey, TransactionsPublished] = {}
    for message in published:
        first.setdefault((message.business_id, message.sync_id), message)
    return list(first.values())
