"""JSON in and out without a float.

Law: a number that came in as `26.82` leaves as `26.82`; amounts are Decimal in between.
"""

import json
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
    match value:
        case str():
            return encode_basestring_ascii(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return number(value)
        case dict():
            pairs = (
                f"{encode_basestring_ascii(key)}:{encode(item)}" for key, item in value.items()
            )
            return "{" + ",".join(pairs) + "}"
        case list() | tuple():
            return "[" + ",".join(map(encode, value)) + "]"
    raise TypeError(f"{type(value).__name__} is not JSON")


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
