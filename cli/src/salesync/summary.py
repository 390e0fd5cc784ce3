"""The outcome of a sync as a table that a bookkeeper can read."""

from decimal import Decimal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts.channels import SyncFailed, SyncRejected
from contracts.rejections import CommandRejected
from contracts.sales import SyncCompleted

SKIPPED = {
    "unchanged": "already synced, nothing new",
    "irrelevant-change": "changed in nothing that matters here",
    "void-of-unknown": "voided before it was ever seen",
    "older-version": "older than what is known",
}
REJECTED = {
    "already-running": "a sync of this channel is running; wait for its end",
    "unknown-channel": "there is no such channel; publish connect-channel first",
    "channel-inactive": "the channel is switched off; publish activate-channel",
    "manual-channel": "a manual channel has nothing to sync",
}


def show(outcome: SyncCompleted | SyncFailed | SyncRejected | CommandRejected, to: Console) -> None:
    """Print how a sync ended."""
    match outcome:
        case SyncCompleted():
            _show_completed(outcome, to)
        case SyncFailed():
            to.print(f"[red]The sync failed[/]: {outcome.reason}.")
            to.print(outcome.detail, markup=False)
            to.print("Nothing is lost: the next sync starts where the last good one ended.")
        case SyncRejected():
            to.print(f"[red]The sync was rejected[/]: {outcome.reason}.")
            to.print(outcome.message, markup=False)
            if outcome.reason in REJECTED:
                to.print(f"({REJECTED[outcome.reason]})", markup=False)
        case CommandRejected():
            to.print(f"[red]The command was rejected[/]: {outcome.reason}.")
            to.print(outcome.message, markup=False)


def _show_completed(summary: SyncCompleted, to: Console) -> None:
    omitted = summary.errors_omitted or 0
    seconds = (summary.completed_at - summary.started_at).total_seconds()
    to.print(
        f"Sync {summary.sync_id} ended after {seconds:.1f} seconds{_calls(summary.http_calls)}.",
        markup=False,
        soft_wrap=True,
    )
    counts = Table(box=None, show_header=False, pad_edge=False)
    counts.add_column(justify="right")
    counts.add_column()
    for count, what in (
        (summary.created, "created"),
        (summary.updated, "updated"),
        (summary.voided, "voided"),
        *(
            (count, f"skipped: {SKIPPED.get(reason, reason)}")
            for reason, count in sorted(summary.skipped.items())
        ),
        (len(summary.errors) + omitted, "with errors"),
        (summary.received, "received in all"),
    ):
        counts.add_row(str(count), what)
    to.print(counts)
    to.print(
        f"Revenue {money(summary.revenue)}, cost {money(summary.cost)},"
        f" margin {money(summary.margin)}."
    )
    for error in summary.errors:
        number = error.number or error.external_id or ""
        to.print(f"[red]{error.kind} {escape(number)}[/]: {escape(error.message)}", soft_wrap=True)
        if error.hint:
            to.print(f"  {error.hint}", style="dim", markup=False, soft_wrap=True)
    if omitted:
        to.print(
            f"… and {omitted} more; the sales-processor lists all at"
            f" /syncs/{summary.sync_id}/summary.",
            markup=False,
            soft_wrap=True,
        )


def _calls(count: int | None) -> str:
    """How often the accounting system was asked, retries included, if the run says so."""
    return (
        "" if count is None else f" and {count} HTTP call{'' if count == 1 else 's'} to the source"
    )


def money(amount: Decimal) -> str:
    """An amount with two places at least and thousands set apart."""
    places = max(2, -int(amount.normalize().as_tuple().exponent))
    return f"{amount:,.{places}f}"
