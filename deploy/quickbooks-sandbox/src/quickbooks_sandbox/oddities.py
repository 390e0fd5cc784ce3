"""Spellings that some recorded answers have and others have not, by switch.

Law: the books keep one spelling; only what a query, a read or change data capture shows is changed,
and never a verbatim record.
Source: recorded and documented answers where ids are numbers, enums are in upper case with
underscores, and lines of one document share an id.
"""

import re

from quickbooks_sandbox import wire
from quickbooks_sandbox.books import Row
from quickbooks_sandbox.switches import Switches
from quickbooks_sandbox.wire import Document

_IDS = frozenset(("Id", "value", "SyncToken", "TxnId", "TxnLineId"))
_ENUMS = frozenset(("DetailType", "EmailStatus", "PrintStatus"))
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def shown(row: Row, switches: Switches) -> str:
    """A record as JSON text, spelled as the switches say."""
    plain = (
        switches.id_form == "text"
        and switches.enum_spelling == "camel"
        and switches.line_ids == "unique"
    )
    if plain or row.verbatim:
        return row.body()
    return wire.encode(_object(row.document, switches, of_a_line=False))


def _object(value: Document, switches: Switches, *, of_a_line: bool) -> Document:
    spelled = {name: _spelled(name, member, switches) for name, member in value.items()}
    if of_a_line and "Id" in spelled and switches.line_ids == "repeated":
        spelled["Id"] = _spelled("Id", "1", switches)
    return spelled


def _spelled(name: str, value: object, switches: Switches) -> object:
    match value:
        case dict():
            return _object(value, switches, of_a_line=False)
        case list():
            return [
                _object(member, switches, of_a_line=name == "Line")
                if isinstance(member, dict)
                else member
                for member in value
            ]
        case str() if name in _IDS and switches.id_form == "number" and value.isdigit():
            return int(value)
        case str() if name in _ENUMS and switches.enum_spelling == "upper":
            return _HUMP.sub("_", value).upper()
    return value
