"""JSON as QuickBooks sends it: every number exact, and written again digit by digit.

The law of this module: `encode(decode(text))` has the values of `text`, numbers included.
"""

import json
import re
import secrets
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

_MARK = secrets.token_hex(8)
_MARKED = re.compile(f'"{_MARK}([^"]+)"')
_BASIC_OFFSET = re.compile(r"([+-]\d{2})(\d{2})$")
_FRACTION = re.compile(r"\.(\d{1,9})")
_MICROSECOND_DIGITS = 6
DEPTH_MAX = 100
"""Deeper nesting is cut out of an answer, so that one document does not spoil a page."""
CUT_MARK = b"(cut out: nested too deeply)"
"""Stands in a stored payload where something was cut out."""
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def decode(text: str | bytes) -> Any:  # noqa: ANN401  (any JSON value)
    """A JSON text with its fractions as Decimal; raw control characters in texts are let through.

    What is nested too deeply is `CUT_MARK` in the result.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return _loads(text)
    except RecursionError:
        return _loads(_cut_depths(text.encode() if isinstance(text, str) else text))


def _loads(text: str | bytes) -> Any:  # noqa: ANN401  (any JSON value)
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse, strict=False)


def _cut_depths(text: bytes) -> bytes:
    """The text with `CUT_MARK` in place of every array and object below the greatest depth."""
    kept: list[bytes] = []
    depth = kept_until = 0
    for token in _TOKENS.finditer(text):
        if token[0] in b"[{":
            depth += 1
            if depth == DEPTH_MAX + 1:
                kept += [text[kept_until : token.start()], b'"' + CUT_MARK + b'"']
        elif token[0] in b"]}":
            depth -= 1
            if depth == DEPTH_MAX:
                kept_until = token.end()
    if depth > DEPTH_MAX:
        raise ValueError("nested too deeply, and broken off")
    return b"".join([*kept, text[kept_until:]])


def decode_object(text: str | bytes) -> dict[str, Any]:
    """A JSON text that must be an object.

    Raises:
        ValueError: it is no JSON, nested too deeply, or no object.
    """
    value = decode(text)
    if isinstance(value, dict):
        return value
    raise ValueError("the JSON is no object")


def encode(value: object) -> bytes:
    """A decoded value as compact JSON. The mark cannot occur in a document: it is random."""
    text = json.dumps(value, default=_marked, ensure_ascii=False, separators=(",", ":"))
    return _MARKED.sub(r"\1", text).encode("utf-8", "surrogatepass")


def _marked(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{_MARK}{value}"
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _refuse(name: str) -> Decimal:
    raise ValueError(f"{name} is not JSON")


def number(value: object) -> Decimal | None:
    """A number, sent as such or as text; None where there is none.

    Raises:
        ValueError: it is something else, or not finite.
    """
    if value is None or value == "":
        return None
    try:
        parsed = Decimal(str(value)) if not isinstance(value, Decimal) else value
    except InvalidOperation:
        raise ValueError(f"{_shown(value)} is not a number") from None
    if not parsed.is_finite():
        raise ValueError(f"{_shown(value)} is not a number")
    return parsed


def text(value: object) -> str | None:
    """A text, also where an id was sent as a number; None where there is none.

    What no database and no message can hold (NUL, half characters) is taken out.
    """
    if value is None or value == "" or isinstance(value, bool | dict | list):
        return None
    shown = str(value).replace("\x00", "")
    return shown if shown.isascii() else shown.encode("utf-8", "replace").decode()


def reference(value: object) -> tuple[str | None, str | None]:
    """Id and name in a `…Ref`."""
    if not isinstance(value, dict):
        return None, None
    return text(value.get("value")), text(value.get("name"))


def members(value: object) -> list[dict[str, Any]]:
    """The objects in a list, which may be absent or stand alone."""
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return [member for member in value if isinstance(member, dict)]
    return []


def instant(value: object) -> datetime | None:
    """An instant in UTC, with or without colon in its offset; None where none can be read.

    Nanoseconds are cut to microseconds. A time without offset is ambiguous and counts as none.
    """
    if not isinstance(value, str):
        return None
    cut = _FRACTION.sub(lambda found: "." + found[1][:_MICROSECOND_DIGITS], value.strip())
    try:
        parsed = datetime.fromisoformat(_BASIC_OFFSET.sub(r"\1:\2", cut))
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else None


def day(value: object) -> date | None:
    """A calendar date; None where none can be read."""
    if not isinstance(value, str):
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        return None


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:39]}…"  # noqa: PLR2004
