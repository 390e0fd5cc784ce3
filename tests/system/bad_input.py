"""What suites of bad input share: rows of commands that are wrong, and what answers them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from salesync.client import Client, Event

THIRTY_DECIMALS = "1.000000000000000000000000000001"
INVALID = "invalid-value"


class Row(NamedTuple):
    """A command, and what its rejection says: reason, field and a part of the message.

    A sync that is rejected names no field.
    """

    name: str
    command: dict[str, Any]
    reason: str
    field: str | None
    says: str


async def answers_to(client: Client, business: str, rows: Sequence[Row]) -> list[Event]:
    """Publish every row for a business at once; what answers them."""
    since = len(client.events)
    await client.publish(*({**row.command, "business_id": business} for row in rows))

    def rejections() -> list[Event]:
        return [
            e
            for e in client.events[since:]
            if e["type"] in {"command-rejected", "sync-rejected"}
            and e.get("business_id") == business
        ]

    await client.wait_for(
        lambda _: len(rejections()) >= len(rows), what=f"{len(rows)} rejections", since=since
    )
    return rejections()


def assert_told(rows: Sequence[Row], answers: Sequence[Event]) -> None:
    """Each row has an answer of its own; values out of range are answered first."""
    left = list(answers)
    for row in rows:
        told = (row.command["type"], row.reason, row.field)
        fitting = [
            answer
            for answer in left
            if (_command_of(answer), answer["reason"], answer.get("field")) == told
            and row.says in answer["message"]
        ]
        assert fitting, (row.name, told, row.says, left)
        left.remove(fitting[0])
    assert left == []


def _command_of(answer: Event) -> str:
    return "sync-requested" if answer["type"] == "sync-rejected" else str(answer["command"])
