"""`dlq list|show|replay|drop`: the records that a service could not apply.

The law of this module: a dead letter leaves only when somebody drops it, and a replay sends the
bytes that were received, unchanged.
"""

import base64
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import RecordsToDelete
from rich.console import Console
from rich.table import Table

from contracts.topics import load
from local_stack import StackError
from salesync.addresses import DEFAULT_FOLDER, DataFolder, address
from salesync.kafka import BROKERS, administering, producing, records, talk

app = typer.Typer(
    no_args_is_help=True, help="Look at records that could not be applied; try again or drop them."
)
TopicName = Annotated[
    str, typer.Argument(metavar="TOPIC", help="A dead-letter topic, as `dlq list` shows it.")
]
Partition = Annotated[int, typer.Option(help="Its partition.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PREFIX = "dlq."
ATTEMPTS = "dlq.attempts"
LETTERS_SHOWN_MAX = 500


@dataclass(frozen=True)
class Letter:
    """A dead letter: where it stands, what it holds, and why it is there."""

    record: ConsumerRecord[Any, Any]

    def reason(self, name: str) -> str:
        """One of the facts that were noted when it failed; empty if there is none."""
        for header, value in self.record.headers:
            if header == f"{PREFIX}{name}" and value is not None:
                return str(value.decode("utf-8", "replace"))
        return ""

    @property
    def source(self) -> str:
        """Where the record came from, as `topic/partition/offset`."""
        return f"{self.reason('topic')}/{self.reason('partition')}/{self.reason('offset')}"

    @property
    def original_headers(self) -> list[tuple[str, bytes]]:
        """The headers that it came with, and how often it was tried."""
        return [
            (name, value)
            for name, value in self.record.headers
            if not name.startswith(PREFIX) or name == ATTEMPTS
        ]

    def summary(self) -> dict[str, Any]:
        """Where it stands and why, without its content."""
        return {
            "topic": self.record.topic,
            "partition": self.record.partition,
            "offset": self.record.offset,
            "from": self.source,
            "reason": self.reason("reason"),
            "message": self.reason("message"),
            "attempts": self.reason("attempts"),
            "failed_at": self.reason("failed_at"),
        }


@app.command("list")
def list_(
    topic: Annotated[str | None, typer.Option(help="Only of this dead-letter topic.")] = None,
    data: DataFolder = DEFAULT_FOLDER,
    *,
    as_json: AsJson = False,
) -> None:
    """Show the dead letters: where each stands, why, and since when."""
    brokers = address(BROKERS, data)
    topics = [_known(topic)] if topic else _dead_letter_topics()

    found = talk(brokers, _summaries(brokers, topics))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif not found:
        typer.echo("There are no dead letters.")
    else:
        _print_list(found)


@app.command()
def show(
    topic: TopicName,
    offset: Annotated[int, typer.Argument(help="Its offset, as `dlq list` shows it.")],
    partition: Partition = 0,
    data: DataFolder = DEFAULT_FOLDER,
    *,
    as_json: AsJson = False,
    raw: Annotated[bool, typer.Option("--raw", help="Print only the body, byte for byte.")] = False,
) -> None:
    """Show one dead letter whole: why it is there, its key, headers and body."""
    brokers = address(BROKERS, data)
    letter = talk(brokers, _find(brokers, _known(topic), partition, offset))
    record = letter.record
    if raw:
        sys.stdout.buffer.write(record.value or b"")
    elif as_json:
        headers = [[name, _shown(value)] for name, value in letter.original_headers]
        content = {"key": _shown(record.key), "headers": headers, "body": _shown(record.value)}
        typer.echo(json.dumps({**letter.summary(), **content}, indent=2))
    else:
        for name, value in letter.summary().items():
            typer.echo(f"{name:>10}  {value}")
        typer.echo(f"{'key':>10}  {_shown(record.key)}")
        for name, value in letter.original_headers:
            typer.echo(f"{'header':>10}  {name}: {_shown(value)}")
        typer.echo(f"{'body':>10}  {_shown(record.value)}")


@app.command()
def replay(
    topic: TopicName,
    offset: Annotated[
        int | None, typer.Option(help="Only this one; without it, all that are there now.")
    ] = None,
    partition: Partition = 0,
    data: DataFolder = DEFAULT_FOLDER,
    *,
    as_json: AsJson = False,
) -> None:
    """Send dead letters back to the topic that they came from, after the cause was mended.

    Key, body and headers are those of the record that failed. The letters stay until `dlq drop`;
    one that fails again comes back as a new letter with a higher count of attempts, which this
    call leaves alone.
    """
    brokers = address(BROKERS, data)

    def chosen(letter: Letter) -> bool:
        return offset is None or (letter.record.partition, letter.record.offset) == (
            partition,
            offset,
        )

    count = talk(brokers, _replay(brokers, _known(topic), chosen))
    if offset is not None and count == 0:
        raise _absent(topic, partition, offset)
    if as_json:
        typer.echo(json.dumps({"replayed": count}))
    else:
        typer.echo(f"Sent back {count}. The letters are still there; `dlq drop` removes them.")


@app.command()
def drop(
    topic: TopicName,
    through: Annotated[
        int | None, typer.Option(help="The last offset to drop; without it, all there are now.")
    ] = None,
    partition: Partition = 0,
    data: DataFolder = DEFAULT_FOLDER,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete dead letters for good, from the first up to an offset."""
    brokers = address(BROKERS, data)
    place = TopicPartition(_known(topic), partition)

    doomed = [
        letter["offset"]
        for letter in talk(brokers, _summaries(brokers, [topic]))
        if letter["partition"] == partition and (through is None or letter["offset"] <= through)
    ]
    if not doomed:
        typer.echo("There is nothing to drop.")
        return
    if not yes:
        typer.confirm(f"Delete {len(doomed)} dead letters of {topic} for good?", abort=True)

    async def delete() -> None:
        async with administering(brokers) as admin:
            await admin.delete_records({place: RecordsToDelete(doomed[-1] + 1)})

    talk(brokers, delete())
    typer.echo(f"Dropped {len(doomed)}.")


async def _summaries(brokers: str, topics: Sequence[str]) -> list[dict[str, Any]]:
    async with aclosing(records(brokers, topics)) as found:
        return [Letter(record).summary() async for record in found]


async def _replay(brokers: str, topic: str, chosen: Callable[[Letter], bool]) -> int:
    """Send back, in order, what was there at the start."""
    count = 0
    async with producing(brokers) as producer, aclosing(records(brokers, [topic])) as found:
        async for letter in (Letter(record) async for record in found):
            if not chosen(letter):
                continue
            original = letter.reason("topic")
            if original not in {known.name for known in load()}:
                raise StackError(
                    f"Offset {letter.record.offset} of {topic} does not say which topic it came"
                    f" from, so it cannot be replayed; {count} were sent back before it."
                )
            await producer.send_and_wait(
                original,
                letter.record.value,
                key=letter.record.key,
                headers=letter.original_headers,
            )
            count += 1
    return count


async def _find(brokers: str, topic: str, partition: int, offset: int) -> Letter:
    async with aclosing(records(brokers, [topic])) as found:
        async for record in found:
            if (record.partition, record.offset) == (partition, offset):
                return Letter(record)
    raise _absent(topic, partition, offset)


def _absent(topic: str, partition: int, offset: int) -> StackError:
    return StackError(
        f"{topic} has no dead letter at offset {offset} of partition {partition}. `salesync dlq"
        f" list --topic {topic}` shows those that are there."
    )


def _dead_letter_topics() -> list[str]:
    return [topic.name for topic in load() if topic.name.endswith(".dlq")]


def _known(topic: str) -> str:
    if topic not in _dead_letter_topics():
        raise StackError(
            f"{topic} is no dead-letter topic. There are: {', '.join(_dead_letter_topics())}."
        )
    return topic


def _print_list(found: list[dict[str, Any]]) -> None:
    """A table for each topic."""
    console = Console(highlight=False)
    shown = found[-LETTERS_SHOWN_MAX:]
    for topic in dict.fromkeys(letter["topic"] for letter in shown):
        console.print(topic, style="bold", markup=False)
        table = Table("Offset", "Reason", "Since", "Tried", "What is wrong", box=None)
        for letter in shown:
            if letter["topic"] == topic:
                table.add_row(
                    str(letter["offset"]),
                    letter["reason"],
                    _time(letter["failed_at"]),
                    letter["attempts"],
                    letter["message"].strip().rsplit("\n", 1)[-1][:200],
                )
        console.print(table)
    if len(shown) < len(found):
        console.print(f"These are the last {len(shown)} of {len(found)}.")


def _time(failed_at: str) -> str:
    """The time in words that fit a table; as written where it is no time."""
    try:
        return datetime.fromisoformat(failed_at).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except ValueError:
        return failed_at


def _shown(value: bytes | None) -> str | None:
    """Bytes as text; what is no text as base64."""
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(value).decode()}"
