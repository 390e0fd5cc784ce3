"""Voids, which QuickBooks does not mark.

The law of this module: a total of zero is not a void, for goods may be given away. A void has every
amount zero, a note that begins with "Voided", and no quantity.
Source: fact sheet section 4.
"""

from collections.abc import Iterator
from typing import Any

from channel_connector.clients.quickbooks import wire

_NOTE = "voided"


def is_void(row: dict[str, Any]) -> bool:
    """Whether a live object is a voided document."""
    note = row.get("PrivateNote")
    if not isinstance(note, str) or not note.lstrip().lower().startswith(_NOTE):
        return False
    try:
        amounts = [wire.number(row.get("TotalAmt"))]
        quantities = []
        for line in _lines(row):
            amounts.append(wire.number(line.get("Amount")))
            detail = line.get("SalesItemLineDetail")
            if isinstance(detail, dict):
                quantities.append(wire.number(detail.get("Qty")))
    except ValueError:
        return False
    return not any(amounts) and not any(quantities)


def _lines(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All lines, the children of bundles too."""
    for line in wire.members(row.get("Line")):
        yield line
        group = line.get("GroupLineDetail")
        if isinstance(group, dict):
            yield from wire.members(group.get("Line"))
