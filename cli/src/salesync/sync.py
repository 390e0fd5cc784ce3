"""`sync`: asks for a sync, follows it to its end, and shows what became of every transaction.

The law of this module: the end of a sync is an event of this very run; what HTTP tells on the way
is only shown.
"""

import asyncio
import json
from contextlib import nullcontext
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from contracts.base import Message
from contracts.channels import SyncFailed, SyncRejected
from contracts.rejections import CommandRejected
from contracts.sales import SyncCompleted
from local_stack import StackError
from salesync.addresses import DEFAULT_FOLDER, DataFolder, address
from salesync.answers import POLL_MS, answer, listening
from salesync.http import CONNECTOR, PROCESSOR, Service
from salesync.kafka import BROKERS, talk
from salesync.publish import Checked, checked, send
from salesync.summary import show

OUTCOMES = ("channels.events.v1", "sales.events.v1")
WAIT_SECONDS = 3_600
REJECTED = 1
HAD_ERRORS = 2

Outcome = SyncCompleted | SyncFailed | SyncRejected | CommandRejected


def sync(
    channel: Annotated[str, typer.Argument(help="The channel's id.")],
    business: Annotated[
        str | None, typer.Option(help="The business; without it, the channel's own.")
    ] = None,
    data: DataFolder = DEFAULT_FOLDER,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the sync to its end.")] = False,
    wait_seconds: Annotated[
        int, typer.Option(min=1, help="How long to wait; the sync itself goes on.")
    ] = WAIT_SECONDS,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as the event that tells it.")
    ] = False,
) -> None:
    """Fetch new and changed sales of a channel, and show what became of them.

    Without --wait it prints the sync's id and returns. With it, the exit code is 0 if all went
    well, 1 if the sync was rejected or failed, 2 if some transactions could not be processed.
    """
    sync_id = str(uuid4())
    with Service(CONNECTOR, data) as connector, Service(PROCESSOR, data) as processor:
        request = checked(
            {
                "type": "sync-requested",
                "business_id": business or _business_of(connector, channel),
                "channel_id": channel,
                "sync_id": sync_id,
                "requested_by": "salesync",
            }
        )
        brokers = address(BROKERS, data)
        if not wait:
            talk(brokers, send(brokers, [request]))
            typer.echo(json.dumps({"sync_id": sync_id}) if as_json else sync_id)
            return
        view = View(connector, processor, sync_id, quiet=as_json)
        outcome = talk(brokers, _follow(brokers, request, view, wait_seconds))
    if as_json:
        typer.echo(outcome.encode())
    else:
        show(outcome, Console(highlight=False))
    raise typer.Exit(exit_code(outcome))


def exit_code(outcome: Outcome) -> int:
    """What a script is told of an outcome."""
    if not isinstance(outcome, SyncCompleted):
        return REJECTED
    return HAD_ERRORS if outcome.errors else 0


class View:
    """The progress bar: what the connector has read, and what the processor has costed."""

    def __init__(
        self, connector: Service, processor: Service, sync_id: str, *, quiet: bool
    ) -> None:
        self._services = connector, processor
        self._sync_id = sync_id
        self.address = f"{connector.url}/syncs/{sync_id}"
        self.progress = (
            None
            if quiet
            else Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                console=Console(stderr=True, highlight=False),
                transient=True,
            )
        )
        if self.progress:
            self._task = self.progress.add_task("Asking for the sync", total=None, count="")

    def update(self) -> None:
        """Ask both services how far the run is, and show it."""
        if self.progress is None:
            return
        connector, processor = self._services
        try:
            run = connector.find("syncs", self._sync_id)
            tally = processor.find("syncs", self._sync_id, "summary")
        except StackError as error:
            self.progress.update(self._task, description=f"Waiting; no progress known ({error})")
            return
        if run is not None:
            self.progress.update(self._task, **_described(run, tally or {}))


def _described(run: dict[str, Any], tally: dict[str, Any]) -> dict[str, Any]:
    """The bar's text and length: first what is read, then what has its cost."""
    total = run.get("to_publish")
    settled = int(tally.get("received") or 0) - int(tally.get("pending") or 0)
    if total is None:
        read_so_far = int(run.get("read") or 0)
        return {"description": "Reading transactions", "count": f"{read_so_far} read"}
    if settled <= 0 and run.get("status") != "completed":
        done = int(run["progress"]["done"])
        return {
            "description": "Publishing transactions",
            "total": max(total, 1),
            "completed": done,
            "count": f"{done} of {total}",
        }
    return {
        "description": "Working out costs and margins",
        "total": max(total, 1),
        "completed": min(settled, total),
        "count": f"{min(settled, total)} of {total}",
    }


async def _follow(brokers: str, request: Checked, view: View, seconds: int) -> Outcome:
    """Publish the request and wait for the event that ends it."""
    sync_id = json.loads(request.body)["sync_id"]

    def ours(message: Message, _: str | None) -> Outcome | None:
        return message if isinstance(message, Outcome) and message.sync_id == sync_id else None

    async with listening(brokers, OUTCOMES) as consumer:
        with view.progress or nullcontext():
            await send(brokers, [request])
            showing = asyncio.create_task(_keep_showing(view))
            try:
                async with asyncio.timeout(seconds):
                    return await answer(consumer, ours)
            except TimeoutError as error:
                raise StackError(
                    f"The sync {sync_id} had not ended after {seconds} seconds. It goes on; see"
                    f" {view.address}."
                ) from error
            finally:
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)


async def _keep_showing(view: View) -> None:
    while True:
        await asyncio.to_thread(view.update)
        await asyncio.sleep(POLL_MS / 1000)


def _business_of(connector: Service, channel: str) -> str:
    """The business that a channel belongs to."""
    found = connector.find("channels", channel)
    if found is None:
        raise StackError(
            f"There is no channel {channel}. Publish `connect-channel` first, or say whose channel"
            " it will be with --business."
        )
    return str(found["business_id"])
