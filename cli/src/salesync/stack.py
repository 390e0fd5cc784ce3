"""`up`, `down` and `env`: the local system as three commands."""

import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from local_stack import StackError, system
from local_stack.starting import QuickBooks
from local_stack.state import State
from salesync.addresses import DEFAULT_FOLDER, DataFolder
from salesync.topics import apply_all

WATCH_SECONDS = 0.5
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(
    data: DataFolder = DEFAULT_FOLDER,
    *,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when all is ready, and leave it running.")
    ] = False,
    quickbooks_api_url: Annotated[
        str | None,
        typer.Option(help="Base address of QuickBooks' API, instead of the sandbox.", metavar="U"),
    ] = None,
    quickbooks_oauth_url: Annotated[
        str | None,
        typer.Option(help="Base address of QuickBooks' OAuth, likewise.", metavar="U"),
    ] = None,
) -> None:
    """Start Kafka, Postgres, the QuickBooks sandbox and the services on free loopback ports.

    State lives in the data folder and survives `down` and `up`. KAFKA_BOOTSTRAP_SERVERS and
    DATABASE_URL, where they are set, are used instead of servers of its own.
    """
    quickbooks = _quickbooks(quickbooks_api_url, quickbooks_oauth_url)
    console = Console(stderr=True, highlight=False)
    if not detach and State.read(data).running():
        raise StackError(
            f"A system is already running in {data}. Stop it with `salesync down --data {data}`,"
            " or name another folder with --data."
        )
    for number in _STOP_SIGNALS:
        signal.signal(number, _interrupt)
    try:
        state = start(data, console, quickbooks)
    except KeyboardInterrupt:
        console.print("Stopped before it was ready.")
        sys.exit(130)
    _show(state)
    if not detach:
        _stay(data, state, console)


def down(data: DataFolder = DEFAULT_FOLDER) -> None:
    """Stop what `up` started; the state stays for the next `up`."""
    console = Console(stderr=True, highlight=False)
    if system.down(data, lambda line: console.print(f"  {line}", markup=False)):
        console.print(f"Stopped. The state is kept in {data}.", markup=False)
    else:
        console.print(f"Nothing was running in {data}.", markup=False)


def env(
    data: DataFolder = DEFAULT_FOLDER,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the addresses and process ids of the running system as NAME=value lines."""
    known = system.environment(data)
    if as_json:
        typer.echo(json.dumps(known, indent=2))
        return
    for name, value in known.items():
        typer.echo(f"{name}={value}")


def start(data: Path, console: Console, quickbooks: QuickBooks | None = None) -> State:
    """Start the system in `data`, telling the console each step.

    Raises:
        StackError: something cannot be started; what was started is stopped again.
    """
    began = time.monotonic()
    with console.status("starting ..."):
        state = system.up(
            data,
            apply_topics=apply_all,
            quickbooks=quickbooks,
            on_progress=lambda line: console.print(f"  {line}", markup=False),
        )
    console.print(f"Ready after {time.monotonic() - began:.0f} s.")
    return state


def _quickbooks(api_url: str | None, oauth_url: str | None) -> QuickBooks | None:
    if api_url and oauth_url:
        return QuickBooks(api_url.rstrip("/"), oauth_url.rstrip("/"))
    if api_url or oauth_url:
        raise typer.BadParameter(
            "--quickbooks-api-url and --quickbooks-oauth-url are only given together."
        )
    return None


def _show(state: State) -> None:
    table = Table("Part", "Address", "Process", box=None, pad_edge=False)
    pids = {process.name: str(process.pid) for process in state.running()}
    table.add_row("Kafka", state.addresses["KAFKA_BOOTSTRAP_SERVERS"], pids.get("kafka", "yours"))
    for name in ("quickbooks-sandbox", "channel-connector", "sales-processor", "inventory"):
        url = state.addresses.get(f"{name.upper().replace('-', '_')}_URL")
        if url:
            table.add_row(name, url, pids.get(name, ""))
    Console().print(table)


def _stay(data: Path, state: State, console: Console) -> None:
    """Wait for Ctrl-C, `down`, or the end of a process; then stop everything."""
    console.print("Press Ctrl-C to stop.")
    ended = None
    try:
        while ended is None:
            time.sleep(WATCH_SECONDS)
            ended = next((p for p in state.processes.values() if not p.is_running()), None)
    except KeyboardInterrupt:
        console.print()
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if not system.down(data, lambda line: console.print(f"  {line}", markup=False)):
        console.print("It was stopped by `salesync down`.")
    elif ended is not None:
        raise StackError(
            f"{ended.name} ended by itself, so the rest was stopped. The end of {ended.log}:\n"
            f"{ended.last_lines()}"
        )


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
