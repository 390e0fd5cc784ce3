"""JSON in and out without a float.

Law: a number that came in as `26.82` leaves as `26.82`; amounts are Decimal in between.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Any

Document = dict[str, Any]


def decode(text: str | bytes) -> object:
    """Parse JSON with Decimal for every number that has a fraction.

    Raises: ValueError for text that is no JSON, NaN and Infinity included.
    """
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)


def encode(value: object) -> str:
    """Write a value as compact ASCII JSON, Decimals as plain numbers.

    Raises: TypeError for anything that JSON does not know.
    """
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise TypeError(f"{type(value).__name__} is not JSON")
    return writer(value)


def number(value: Decimal) -> str:
    """Write a Decimal without exponent and without trailing zeros: `100`, `12.5`."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def plain(value: object) -> object:
    """The same value with Decimals for floats, as a JSON library without Decimals gave them."""
    match value:
        case float():
            return Decimal(str(value))
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _object(value: Document) -> str:
    pairs = [f"{encode_basestring_ascii(key)}:{encode(item)}" for key, item in value.items()]
    return "{" + ",".join(pairs) + "}"


def _array(value: list[Any] | tuple[Any, ...]) -> str:
    return "[" + ",".join([encode(item) for item in value]) + "]"


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: encode_basestring_ascii,
    dict: _object,
    Decimal: number,
    list: _array,
    tuple: _array,
    int: str,
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): {None: "null"}.__getitem__,
}
