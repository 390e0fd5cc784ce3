"""The command line: which commands there are, and which module has each.

A fault that a person can mend ends with its sentence on stderr and exit code 1, never a traceback.
"""

import logging
import sys

import typer

from local_stack import StackError
from salesync import connections, dead_letters, stack, topics
from salesync.explain import explain, lot
from salesync.margins import margins
from salesync.publish import publish
from salesync.recost import recost
from salesync.sales import sales
from salesync.sync import sync
from salesync.verify import verify

app = typer.Typer(
    name="salesync",
    help="Run the Partsemble sales sync, send it messages, and look at what it did.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",  # paragraphs flow to the width of the screen
    pretty_exceptions_enable=False,
)
app.command()(stack.up)
app.command()(stack.down)
app.command()(stack.env)
app.add_typer(connections.app, name="connection")
app.command()(publish)
app.command()(sync)
app.command()(sales)
app.command()(explain)
app.command()(lot)
app.command()(margins)
app.command()(recost)
app.command()(verify)
app.add_typer(topics.app, name="topics")
app.add_typer(dead_letters.app, name="dlq")


def main() -> None:
    """Run the command that the arguments name."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what fails is said by the command
    try:
        app()
    except StackError as error:
        typer.echo(f"salesync: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
