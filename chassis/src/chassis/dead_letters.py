"""A dead letter is the record as it came, its key, bytes and headers, plus where and why."""

import traceback
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from chassis.messages import Outgoing, Record
from contracts.topics import dead_letter_topic

MESSAGE_LENGTH_MAX = 8_000
PREFIX = "dlq."


def dead_letter(record: Record, *, group: str, reason: str, message: str) -> Outgoing:
    """The record for the dead-letter topic; `reason` is a short code, `message` for people."""
    kept = tuple((n, v) for n, v in record.headers if not n.startswith(PREFIX))
    before = record.header("dlq.attempts") or ""
    attempts = int(before) if before.isascii() and before.isdigit() else 0
    facts = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "group": group,
        "reason": reason,
        "message": message[:MESSAGE_LENGTH_MAX],
        "attempts": str(attempts + 1),
        "failed_at": datetime.now(UTC).isoformat(),
    }
    added = tuple(
        (f"{PREFIX}{name}", text.encode("utf-8", "replace")) for name, text in facts.items()
    )
    return Outgoing(
        topic=dead_letter_topic(record.topic, group),
        key=record.key,
        type="dead-letter",
        payload=record.value,
        subject=record.place,
        id=uuid5(NAMESPACE_URL, f"{group}/{record.place}"),
        time=datetime.now(UTC),
        headers=kept + added,
    )


def traceback_text(error: BaseException) -> str:
    """The traceback, its end kept where it is too long for a header."""
    return "".join(traceback.format_exception(error))[-MESSAGE_LENGTH_MAX:]
