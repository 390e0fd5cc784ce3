"""Which objects are sales documents, and their headers.

The law of this module: whatever is wrong with an object is an error of that document alone. One
without a usable id is named by its content, so that it can be reported; the normaliser refuses it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

from channel_connector.clients.quickbooks import wire
from channel_connector.clients.quickbooks.voids import is_void
from channel_connector.domain.documents import Document, DocumentKey, Item, Kind

ENTITIES: dict[Kind, str] = {
    "invoice": "Invoice",
    "sales-receipt": "SalesReceipt",
    "credit-memo": "CreditMemo",
    "refund-receipt": "RefundReceipt",
}
KINDS: dict[str, Kind] = {entity: kind for kind, entity in ENTITIES.items()}
ITEM = "Item"
_ITEM_KINDS = {"NonInventory": "non-inventory"}
_ID_LENGTH_MAX = 200
UNNAMED = "unnamed-"
"""How the id of an object begins that came without one; QuickBooks' own are digits."""
UNDATED = datetime.fromtimestamp(0, UTC)
"""The time of change of an object that came without one."""


def rows_of(response: object, entity: str) -> list[dict[str, Any]]:
    """The objects of one entity in a QueryResponse, or in one block of a CDCResponse.

    What is no object counts as one without an id, so that it is reported and no page looks shorter
    than it was.
    """
    found = response.get(entity) if isinstance(response, dict) else None
    if found is None:
        return []
    members = found if isinstance(found, list) else [found]
    return [member if isinstance(member, dict) else {"value": member} for member in members]


def cdc_blocks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The blocks of a CDC answer, each with the objects of one entity, or empty."""
    for answer in wire.members(body.get("CDCResponse")):
        yield from wire.members(answer.get("QueryResponse"))


def is_bare(row: dict[str, Any]) -> bool:
    """Whether an invoice came with a subtotal only, which queries sometimes give by mistake.

    Invoices of statement charges have no other lines. Source: fact sheet section 1.
    """
    types = {wire.text(line.get("DetailType")) for line in wire.members(row.get("Line"))}
    linked = {wire.text(link.get("TxnType")) for link in wire.members(row.get("LinkedTxn"))}
    return types == {"SubTotalLineDetail"} and "StatementCharge" not in linked


def is_tombstone(row: dict[str, Any]) -> bool:
    """Whether an object only says that it was deleted. Voided ones have no status."""
    return row.get("status") == "Deleted"


def id_of(row: dict[str, Any]) -> str:
    """The id of an object; of one that has none that can be used, a name made of its content."""
    external_id = wire.text(row.get("Id"))
    if external_id is None or len(external_id) > _ID_LENGTH_MAX:
        return f"{UNNAMED}{sha256(wire.encode(row)).hexdigest()[:16]}"
    return external_id


def document_of(kind: Kind, row: dict[str, Any]) -> Document:
    """A live object as a document, its payload exact."""
    times = row.get("MetaData")
    times = times if isinstance(times, dict) else {}
    created = wire.instant(times.get("CreateTime"))
    updated = wire.instant(times.get("LastUpdatedTime")) or created or UNDATED
    return Document(
        key=DocumentKey(kind, id_of(row)),
        version=version_of(row),
        status="voided" if is_void(row) else "active",
        transaction_date=wire.day(row.get("TxnDate")),
        created_at=created,
        updated_at=updated,
        payload=wire.encode(row),
    )


def version_of(row: dict[str, Any]) -> int:
    """The SyncToken as a number, so that "10" comes after "9"; 0 where there is none."""
    try:
        token = wire.number(row.get("SyncToken"))
    except ValueError:
        return 0
    if token is None or token != token.to_integral_value() or not 0 <= token < Decimal(2**62):
        return 0
    return int(token)


def item_of(row: dict[str, Any]) -> Item:
    """An item with its kind in kebab-case."""
    kind = wire.text(row.get("Type")) or "unknown"
    return Item(
        external_id=id_of(row),
        kind=_ITEM_KINDS.get(kind, kind.lower())[:_ID_LENGTH_MAX],
        name=wire.text(row.get("FullyQualifiedName")) or wire.text(row.get("Name")),
    )
