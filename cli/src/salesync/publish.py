"""`publish`: messages from a file or a pipe, checked against the contracts, to their topics.

The law of this module: nothing is published unless every line is good.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4, uuid5

import typer

from contracts.registry import (
    UnreadableError,
    WrongValueError,
    command_topics,
    read,
    record_key,
    topics_by_type,
)
from local_stack import StackError
from salesync.addresses import DEFAULT_FOLDER, DataFolder, address
from salesync.kafka import BROKERS, producing, talk

SOURCE = "/salesync"
FAULTS_SHOWN_MAX = 20
IN_FLIGHT_MAX = 1_000


@dataclass(frozen=True)
class Checked:
    """A message that fits the contracts, with where it goes and the trace that it begins."""

    topic: str
    key: str
    type: str
    body: bytes
    traceparent: str | None = None


@dataclass(frozen=True)
class Fault:
    """What is wrong with a line, and what to do."""

    line: int
    field: str | None
    message: str
    advice: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message} {self.advice}"


def publish(
    file: Annotated[
        str, typer.Argument(metavar="[FILE|-]", help="JSON lines; `-` reads standard input.")
    ] = "-",
    data: DataFolder = DEFAULT_FOLDER,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as one JSON object.")
    ] = False,
) -> None:
    """Publish messages, one JSON object per line, each to the topic that its `type` belongs to.

    Every line is checked first. If one is wrong, it is named with what to do, nothing is
    published, and the exit code is 1.

    Example: echo '{"type": "sync-requested", "business_id": "acme", "channel_id": "shop"}' |
    salesync publish
    """
    messages, faults = check(_lines(file))
    if faults:
        _complain(faults, as_json=as_json)
        raise typer.Exit(1)
    brokers = address(BROKERS, data)
    talk(brokers, send(brokers, messages))
    counts = Counter(message.topic for message in messages)
    if as_json:
        typer.echo(json.dumps({"published": len(messages), "topics": counts}))
        return
    for topic, count in counts.items():
        typer.echo(f"{count} to {topic}")
    typer.echo(f"Published {len(messages)} message{'' if len(messages) == 1 else 's'}.")


def check(lines: Iterable[bytes]) -> tuple[list[Checked], list[Fault]]:
    """Each line as a message with its topic and key, or what is wrong with it; blank lines go."""
    messages: list[Checked] = []
    faults: list[Fault] = []
    for number, line in enumerate(lines, 1):
        body = line.strip()
        if body:
            outcome = _check_line(number, body)
            (messages if isinstance(outcome, Checked) else faults).append(outcome)  # type: ignore[arg-type]
    return messages, faults


def checked(message: dict[str, Any]) -> Checked:
    """A message that was made here.

    Raises:
        StackError: the values it was made of are not allowed.
    """
    outcome = _check_line(1, json.dumps(message).encode())
    if isinstance(outcome, Fault):
        raise StackError(outcome.message)
    return outcome


async def send(brokers: str, messages: Sequence[Checked]) -> None:
    """Publish in order, with CloudEvents headers, and wait until all are stored safely."""
    run = uuid4()
    async with producing(brokers) as producer:
        for start in range(0, len(messages), IN_FLIGHT_MAX):
            acknowledgements = [
                await producer.send(
                    message.topic,
                    message.body,
                    key=message.key.encode(),
                    headers=_headers(message, uuid5(run, str(number))),
                )
                for number, message in enumerate(messages[start : start + IN_FLIGHT_MAX], start)
            ]
            await asyncio.gather(*acknowledgements)


def _headers(message: Checked, identity: UUID) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0, binary mode."""
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": str(identity),
        "ce_source": SOURCE,
        "ce_type": message.type,
        "ce_time": datetime.now(UTC).isoformat(),
        "ce_subject": message.key,
        "content-type": "application/json",
    }
    if message.traceparent is not None:
        attributes["traceparent"] = message.traceparent
    return [(name, value.encode()) for name, value in attributes.items()]


def _lines(file: str) -> list[bytes]:
    if file == "-":
        return sys.stdin.buffer.read().splitlines()
    try:
        return Path(file).read_bytes().splitlines()
    except OSError as error:
        raise StackError(
            f"{file} cannot be read: {error.strerror}. Name a file of JSON lines, or `-` for"
            " standard input."
        ) from error


def _check_line(number: int, body: bytes) -> Checked | Fault:
    try:
        kind = json.loads(body)["type"]
        topic = topics_by_type()[kind]
    except (ValueError, RecursionError) as error:
        return Fault(
            number,
            None,
            f"This is not valid JSON ({error}).",
            "Write one JSON object on each line.",
        )
    except (TypeError, KeyError):
        return _unknown_type(number, body)
    try:
        message = read(topic, body)
    except UnreadableError as error:
        field = str(error).split("`")[1] if error.reason == "wrong-shape" else None
        return Fault(number, field, _sentence(error), _advice(kind))
    except WrongValueError as error:
        return Fault(number, error.field, _sentence(error), "Correct the value.")
    return Checked(topic, record_key(topic, message), kind, body)


def _unknown_type(number: int, body: bytes) -> Fault:
    """A line that is JSON but names no command."""
    parsed = json.loads(body)
    if not isinstance(parsed, dict):
        return Fault(number, None, "This is JSON, but not an object.", "Write {…} with a `type`.")
    kind, known = parsed.get("type"), sorted(command_topics())
    if "type" not in parsed:
        return Fault(number, "type", "`type` is missing.", f"It is one of {', '.join(known)}.")
    shown = json.dumps(kind)[:80]
    if kind == "command-rejected":
        return Fault(
            number,
            "type",
            f"`type` is {shown}, which each service sends on a topic of its own.",
            "Send a command instead.",
        )
    near = get_close_matches(str(kind), sorted(topics_by_type()), 1)
    advice = f"Did you mean `{near[0]}`?" if near else f"It is one of {', '.join(known)}."
    return Fault(number, "type", f"`type` is {shown}, which is unknown.", advice)


def _sentence(error: Exception) -> str:
    return f"{str(error).rstrip('.')}."


def _advice(kind: str) -> str:
    return f"See contracts/schemas/{topics_by_type()[kind]}/{kind}.json for its fields."


def _complain(faults: Sequence[Fault], *, as_json: bool) -> None:
    if as_json:
        shown = [{**vars(fault)} for fault in faults]
        typer.echo(json.dumps({"published": 0, "faults": shown}, indent=2))
        return
    for fault in faults[:FAULTS_SHOWN_MAX]:
        typer.echo(str(fault), err=True)
    if len(faults) > FAULTS_SHOWN_MAX:
        typer.echo(f"… and {len(faults) - FAULTS_SHOWN_MAX} more lines are wrong.", err=True)
    typer.echo("Nothing was published.", err=True)
