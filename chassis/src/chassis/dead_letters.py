"""A dead letter is the record as it came, its key, bytes and headers, plus where and why."""

import traceback
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from chassis.messages import Outgoing, Record
from contracts.topics import dead_letter_topic

MESSAGE_LENGTH_MAX = 8_000
PREFIX = "dlq."
BODY_BYTES_MAX = 7 * 1_048_576
HEADER_BYTES_MAX = 524_288
"""Together below what a dead-letter topic accepts."""


def dead_letter(record: Record, *, group: str, reason: str, message: str) -> Outgoing:
    """The record for the dead-letter topic; `reason` is a short code, `message` for people.

    A record that was compressed may be larger than any dead letter: then the head of its body is
    kept, or none of its headers, and `dlq.truncated` says what it had.
    """
    kept = tuple((n, v) for n, v in record.headers if not n.startswith(PREFIX))
    body_bytes = len(record.value or b"")
    header_bytes = sum(len(n) + len(v or b"") for n, v in kept)
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
    if body_bytes > BODY_BYTES_MAX or header_bytes > HEADER_BYTES_MAX:
        facts["truncated"] = f"body of {body_bytes} bytes, headers of {header_bytes} bytes"
    if header_bytes > HEADER_BYTES_MAX:
        kept = ()
    added = tuple(
        (f"{PREFIX}{name}", text.encode("utf-8", "replace")) for name, text in facts.items()
    )
    return Outgoing(
        topic=dead_letter_topic(record.topic, group),
        key=record.key,
        type="dead-letter",
        payload=record.value if record.value is None else record.value[:BODY_BYTES_MAX],
        subject=record.place,
        id=uuid5(NAMESPACE_URL, f"{group}/{record.place}"),
        time=datetime.now(UTC),
        headers=kept + added,
    )


def traceback_text(error: BaseException) -> str:
    """The traceback, its end kept where it is too long for a header."""
    return "".join(traceback.format_exception(error))[-MESSAGE_LENGTH_MAX:]
