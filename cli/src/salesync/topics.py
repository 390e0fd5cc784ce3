"""`topics plan` and `topics apply`: the contracts' topics against those of a cluster."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from chassis import topics as chassis_topics
from contracts import topics as declared
from local_stack import StackError
from salesync.addresses import DEFAULT_FOLDER, DataFolder, address
from salesync.kafka import talk

app = typer.Typer(no_args_is_help=True, help="Compare or create the topics of the contracts.")
AsJson = Annotated[bool, typer.Option("--json", help="Print the changes as JSON.")]


@app.command()
def plan(data: DataFolder = DEFAULT_FOLDER, *, as_json: AsJson = False) -> None:
    """Show what `apply` would change; nothing is changed."""
    brokers = address("KAFKA_BOOTSTRAP_SERVERS", data)
    _report(talk(brokers, chassis_topics.plan(brokers, declared.load())), as_json=as_json)


@app.command()
def apply(data: DataFolder = DEFAULT_FOLDER, *, as_json: AsJson = False) -> None:
    """Create missing topics, add partitions, alter settings; exit 1 if a conflict is left."""
    brokers = address("KAFKA_BOOTSTRAP_SERVERS", data)
    changes = talk(brokers, chassis_topics.apply(brokers, declared.load()))
    _report(changes, as_json=as_json)
    if any(change.kind == "conflict" for change in changes):
        raise typer.Exit(1)


def apply_all(brokers: str) -> None:
    """Make the topics of a cluster as the contracts say.

    Raises:
        StackError: the cluster cannot be reached, or a topic is there that contradicts.
    """
    changes = talk(brokers, chassis_topics.apply(brokers, declared.load()))
    conflicts = [f"{c.topic} {c.detail}" for c in changes if c.kind == "conflict"]
    if conflicts:
        raise StackError(
            f"Topics on {brokers} contradict the contracts: {'; '.join(conflicts)}. Take another"
            " cluster, or move the data of those topics to new ones."
        )


def _report(changes: list[chassis_topics.Change], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(change) for change in changes], indent=2))
    elif not changes:
        typer.echo("All topics are as the contracts say.")
    else:
        table = Table("Topic", "Change", "Detail", box=None, pad_edge=False)
        for change in changes:
            table.add_row(change.topic, change.kind, change.detail)
        Console().print(table)
