"""What all messages share: lenient reading, bounded text, exact decimals.

The law of this module: a value of the wrong *type* makes a message unreadable (dead-lettered), a
value of the right type that is out of *range* makes it wrong (the command is rejected). Ranges
stand here as constraints, and `registry.read` tells the two apart by the kind of the violation.
"""

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

TEXT_LENGTH_MAX = 4_000
ID_LENGTH_MAX = 200
LINES_MAX = 5_000

_NO_NUL = r"^[^\x00]*$"


def _refuse_timestamps(value: object) -> object:
    """Let ISO 8601 through; a number, also one in a string, would be read as seconds since 1970."""
    if isinstance(value, (int, float)) or (isinstance(value, str) and "-" not in value[1:]):
        raise PydanticCustomError(
            "not_iso_8601", "Input should be an ISO 8601 date or time such as 2026-01-31"
        )
    return value


Id = Annotated[str, StringConstraints(min_length=1, max_length=ID_LENGTH_MAX, pattern=_NO_NUL)]
Text = Annotated[str, StringConstraints(max_length=TEXT_LENGTH_MAX, pattern=_NO_NUL)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Instant = Annotated[AwareDatetime, BeforeValidator(_refuse_timestamps)]

Quantity = Annotated[Decimal, Field(max_digits=15, decimal_places=6)]
"""Goods, to 6 places, below a billion."""
PositiveQuantity = Annotated[Decimal, Field(gt=0, max_digits=15, decimal_places=6)]
UnitCost = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=6)]
"""Home currency for one unit, to 6 places."""
UnitPrice = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=7)]
"""Document currency for one unit; accounting systems compute it back to 7 places."""
Money = Annotated[Decimal, Field(max_digits=28, decimal_places=5)]
"""Any sum that quantities and unit costs in range can make."""
ExchangeRate = Annotated[Decimal, Field(gt=0, max_digits=24, decimal_places=12)]
"""Home units for one unit of the document's currency."""
BusinessDate = Annotated[
    date, Field(ge=date(1900, 1, 1), le=date(2200, 12, 31)), BeforeValidator(_refuse_timestamps)
]
Version = Annotated[int, Field(ge=0, le=2**62, strict=True)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1, strict=True)]
"""How many, or a place in an order."""


class Part(BaseModel):
    """A part of a message; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Message(Part):
    """A message body: a JSON object with a `type` and the fields of that type."""

    type: str

    def encode(self) -> bytes:
        """The body as it is published: UTF-8 JSON, decimals as strings, absent fields left out."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)
