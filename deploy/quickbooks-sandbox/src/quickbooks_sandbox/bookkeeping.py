"""Create, change, void, e-mail and delete sales, with everything else that this moves.

Law: one modification raises SyncToken by one and sets LastUpdatedTime to the clock's second; what a
modification moves elsewhere (an item's stock, a customer's balance, a payment's links) follows it.
"""

from decimal import Decimal

from quickbooks_sandbox import faults, lists, payments, sales
from quickbooks_sandbox.books import DOC_NUMBER_DIGITS, Books, Row
from quickbooks_sandbox.clock import milliseconds_text
from quickbooks_sandbox.entities import (
    CREDIT_MEMO,
    INVOICE,
    ITEM,
    SALES,
    Entity,
)
from quickbooks_sandbox.sales import decimal_of
from quickbooks_sandbox.versions import Desk, check_token, owe, settle, stamp
from quickbooks_sandbox.wire import Document

SYSTEM_FIELDS = {"Id", "SyncToken", "MetaData", "domain", "status", "time", "sparse"}


def create_sale(
    desk: Desk, entity: Entity, body: Document, *, at: int | None = None, move_lists: bool = True
) -> Row:
    """Record a new sale as of now, or of another epoch second.

    With `move_lists` off, the caller moves stock and customers' balances for many sales at once.

    Raises: QboError for whatever QuickBooks Online refuses.
    """
    books, second = desk.books, desk.clock.second() if at is None else at
    body = dict(sales.given(body))
    body.setdefault("TxnDate", desk.clock.today(books.profile.zone).isoformat())
    if "DocNumber" not in body and not books.profile.custom_numbers:
        body["DocNumber"] = str(books.next_doc_number)
    document = sales.compose(books, entity, body, None)
    _check_number(desk, entity, document, None)
    number = document.get("DocNumber", "")
    if number.isdecimal() and len(number) < DOC_NUMBER_DIGITS:
        books.next_doc_number = max(books.next_doc_number, int(number) + 1)
    document |= {"Id": books.next_id(entity), "SyncToken": "0"}
    row = Row(entity, document, second, second)
    return _save(desk, row, None, move_lists=move_lists)


def update_sale(desk: Desk, row: Row, body: Document) -> Row:
    """Replace a sale's content (or with `sparse`, only the fields sent).

    Raises: QboError 5010 if SyncToken is not the latest.
    """
    check_token(row, body)
    _refuse_verbatim(row)
    sent = {name: value for name, value in body.items() if name not in SYSTEM_FIELDS}
    full = dict(sales.given(sent))
    if body.get("sparse") is True:
        full = {**_writable(row.document), **full}
    for name in ("TxnDate", "DocNumber"):
        if name not in full and name in row.document:
            full[name] = row.document[name]
    document = sales.compose(desk.books, row.entity, full, row.document)
    _check_number(desk, row.entity, document, row)
    return _next_version(desk, row, document)


def void_sale(desk: Desk, row: Row) -> Row:
    """Zero a sale and note it; the row stays live. A second void changes nothing.

    Source: the recorded pair before and after `operation=void`: amounts 0, TaxLine gone, LinkedTxn
    empty, Qty 0 only where it was, UnitPrice dropped (or kept as 0, by switch).
    """
    _refuse_verbatim(row)
    old = row.document
    note = str(old.get("PrivateNote", ""))
    if note.startswith("Voided") and not old["TotalAmt"]:
        return row
    payments.unlink(desk.books, row.entity, row.id, desk.clock.second())
    document = {**old, "TotalAmt": Decimal(0), "TxnTaxDetail": {"TotalTax": Decimal(0)}}
    document["PrivateNote"] = f"Voided - {note}" if note else "Voided"
    keep_price = desk.switches.voided_unit_price == "zero"
    document["Line"] = [_voided_line(line, keep_price=keep_price) for line in old["Line"]]
    if "LinkedTxn" in old:
        document["LinkedTxn"] = []
    document.pop("Deposit", None)
    if "HomeTotalAmt" in document:
        document["HomeTotalAmt"] = Decimal(0)
    return _next_version(desk, row, document)


def email_sale(desk: Desk, row: Row, address: str | None) -> Row:
    """Mark a sale as sent by e-mail: only status, version and time move."""
    _refuse_verbatim(row)
    document = dict(row.document)
    if address:
        document["BillEmail"] = {"Address": address}
    if "BillEmail" not in document:
        raise faults.missing("BillEmail")
    document["EmailStatus"] = "EmailSent"
    sent = milliseconds_text(desk.clock.now())
    document["DeliveryInfo"] = {"DeliveryType": "Email", "DeliveryTime": sent[:19] + sent[23:]}
    return _next_version(desk, row, document)


def delete_sale(desk: Desk, row: Row) -> None:
    """Remove a sale for good; change data capture keeps a bare tombstone."""
    second = desk.clock.second()
    payments.unlink(desk.books, row.entity, row.id, second)
    desk.books.drop(row, second)
    if not row.verbatim:
        _move_stock(desk, second, row.entity, row.document, None)
        _move_customer(desk, row.entity, row.document, None)


def _refuse_verbatim(row: Row) -> None:
    if row.verbatim:
        raise faults.business("this record was put in verbatim by the control API; put it again")


def _next_version(desk: Desk, row: Row, document: Document) -> Row:
    document |= {"Id": row.id, "SyncToken": str(row.sync_token + 1)}
    return _save(desk, Row(row.entity, document, row.created, desk.clock.second()), row.document)


def _save(desk: Desk, row: Row, before: Document | None, *, move_lists: bool = True) -> Row:
    stamp(row.document, row.created, row.updated, modifier=row.entity is INVOICE)
    settle(desk.books, row)
    row.document = sales.ordered(row.document)
    desk.books.put(row)
    if move_lists:
        _move_stock(desk, row.updated, row.entity, before, row.document)
        _move_customer(desk, row.entity, before, row.document)
    return row


def _writable(document: Document) -> Document:
    return {
        name: value
        for name, value in document.items()
        if name not in SYSTEM_FIELDS
        and name not in {"TotalAmt", "HomeTotalAmt", "Balance", "HomeBalance", "RemainingCredit"}
    }


def _check_number(desk: Desk, entity: Entity, document: Document, row: Row | None) -> None:
    number = document.get("DocNumber")
    if desk.switches.duplicate_numbers == "accept" or number is None:
        return
    for other in desk.books.table(entity).rows.values():
        if other.document.get("DocNumber") == number and (row is None or other.id != row.id):
            detail = (
                "Duplicate Document Number Error : You must specify a different number. This "
                f"number has already been used. DocNumber={number} is assigned to "
                f"TxnType={entity.name} with TxnId={other.id}"
            )
            raise faults.QboError("6140", "Duplicate Document Number Error", detail, "")


def _voided_line(line: Document, *, keep_price: bool) -> Document:
    voided = dict(line)
    if "Amount" in voided:
        voided["Amount"] = Decimal(0)
    kind = line["DetailType"]
    if kind == "GroupLineDetail":
        children = [_voided_line(child, keep_price=keep_price) for child in line[kind]["Line"]]
        voided[kind] = {**line[kind], "Quantity": Decimal(0), "Line": children}
    elif kind == "SalesItemLineDetail":
        detail = {k: v for k, v in line[kind].items() if k not in {"UnitPrice", "TaxInclusiveAmt"}}
        if "Qty" in detail:
            detail["Qty"] = Decimal(0)
        if keep_price and "UnitPrice" in line[kind]:
            detail["UnitPrice"] = Decimal(0)
        voided[kind] = detail
    return voided


def merge_items(desk: Desk, gone: Row, kept: Row) -> Row:
    """Let all lines of an item name another one, and make it inactive; returns what is kept.

    Every sale concerned gets a new version: that is our reading, no recording shows a merge.
    """
    if gone.id == kept.id:
        raise faults.business("an item cannot be merged into itself")
    for entity in SALES:
        for row in list(desk.books.table(entity).rows.values()):
            if gone.id in stock_taken(entity, row.document) and not row.verbatim:
                lines = [_renamed(line, gone.id, kept) for line in row.document["Line"]]
                _next_version(desk, row, {**row.document, "Line": lines})
    lists.update(desk, desk.books.table(ITEM).rows[gone.id], _inactive(desk, gone))
    return desk.books.table(ITEM).rows[kept.id]


def _inactive(desk: Desk, row: Row) -> Document:
    token = str(desk.books.table(ITEM).rows[row.id].sync_token)
    return {"SyncToken": token, "sparse": True, "Active": False}


def _renamed(line: Document, item: str, kept: Row) -> Document:
    kind = line["DetailType"]
    detail = line.get(kind, {})
    if kind == "GroupLineDetail":
        children = [_renamed(child, item, kept) for child in detail["Line"]]
        return {**line, kind: {**detail, "Line": children}}
    if detail.get("ItemRef", {}).get("value") != item:
        return line
    reference = {"value": kept.id, "name": kept.document["FullyQualifiedName"]}
    return {**line, kind: {**detail, "ItemRef": reference}}


def stock_taken(entity: Entity, document: Document | None) -> dict[str, Decimal]:
    """How much of each item a sale takes from stock; negative for what it brings back."""
    taken: dict[str, Decimal] = {}
    sign = -1 if entity.restocks else 1
    for line in document["Line"] if document else ():
        children = line.get("GroupLineDetail", {}).get("Line", [line])
        for child in children:
            detail = child.get("SalesItemLineDetail", {})
            if "Qty" in detail and "ItemRef" in detail:
                item = detail["ItemRef"]["value"]
                taken[item] = taken.get(item, Decimal(0)) + sign * decimal_of(detail["Qty"], "Qty")
    return taken


def take_stock(books: Books, taken: dict[str, Decimal], second: int) -> None:
    """Lower the stock of inventory items; each that moved gets a new version.

    Source: a recorded item's LastUpdatedTime is the CreateTime of the invoice that sold it.
    """
    for item_id, quantity in taken.items():
        row = books.find(ITEM, item_id)
        if row is None or row.document.get("Type") != "Inventory" or row.verbatim or not quantity:
            continue
        document = dict(row.document)
        document["QtyOnHand"] = decimal_of(document.get("QtyOnHand", 0), "QtyOnHand") - quantity
        document["SyncToken"] = str(row.sync_token + 1)
        stamp(document, row.created, second, modifier=False)
        books.put(Row(ITEM, document, row.created, second))


def _move_stock(
    desk: Desk, second: int, entity: Entity, before: Document | None, after: Document | None
) -> None:
    taken = stock_taken(entity, after)
    for item, quantity in stock_taken(entity, before).items():
        taken[item] = taken.get(item, Decimal(0)) - quantity
    take_stock(desk.books, taken, second)


def _move_customer(
    desk: Desk, entity: Entity, before: Document | None, after: Document | None
) -> None:
    sign = -1 if entity is CREDIT_MEMO else 1
    for document, direction in ((before, -sign), (after, sign)):
        if document is not None and "CustomerRef" in document:
            owed = decimal_of(document.get("Balance", 0), "Balance")
            owe(desk.books, document["CustomerRef"]["value"], owed * direction)
