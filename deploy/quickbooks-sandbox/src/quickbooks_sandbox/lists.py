"""Items and customers: records that are made inactive, never deleted.

Law: a name is unique among the active records of its list; an inactive record's name ends in
" (deleted)" and existing sales keep their reference to it.
"""

from decimal import Decimal

from quickbooks_sandbox import faults, fields
from quickbooks_sandbox.books import Books, Row
from quickbooks_sandbox.entities import ITEM, Entity
from quickbooks_sandbox.sales import decimal_of, given
from quickbooks_sandbox.versions import Desk, check_token, stamp
from quickbooks_sandbox.wire import Document

DELETED = " (deleted)"
ITEM_TYPES = ("Inventory", "NonInventory", "Service", "Group", "Category")
INCOME = {"value": "79", "name": "Sales of Product Income"}
SERVICES = {"value": "1", "name": "Services"}
EXPENSE = {"value": "80", "name": "Cost of Goods Sold"}
ASSET = {"value": "81", "name": "Inventory Asset"}


def create(desk: Desk, entity: Entity, body: Document, *, at: int | None = None) -> Row:
    """Record a new item or customer.

    Raises: QboError, 6240 for a name in use, 2020 for one missing.
    """
    second = desk.clock.second() if at is None else at
    document = _compose(desk, entity, given(body), None)
    document |= {"Id": desk.books.next_id(entity), "SyncToken": "0"}
    return _save(desk.books, Row(entity, document, second, second))


def update(desk: Desk, row: Row, body: Document) -> Row:
    """Change a record; `Active: false` makes it inactive.

    Raises: QboError 5010 if SyncToken is not the latest.
    """
    check_token(row, body)
    if row.verbatim:
        raise faults.business("this record was put in verbatim by the control API; put it again")
    sent = given(body)
    if body.get("sparse") is True:
        sent = {**row.document, **sent}
    document = _compose(desk, row.entity, sent, row)
    if all(row.document.get(name) == value for name, value in document.items()) and (
        row.document.get("Active") is False
    ):
        return row
    document |= {"Id": row.id, "SyncToken": str(row.sync_token + 1)}
    return _save(desk.books, Row(row.entity, document, row.created, desk.clock.second()))


def named(books: Books, entity: Entity, name: str) -> Row | None:
    """The record with that id or, in any case, that name."""
    return books.find(entity, name) or _by_name(books, entity, name)


def _by_name(books: Books, entity: Entity, name: str) -> Row | None:
    wanted = name.casefold()
    return next(
        (
            row
            for row in books.table(entity).rows.values()
            if str(row.document.get(entity.order, "")).casefold() == wanted
        ),
        None,
    )


def _save(books: Books, row: Row) -> Row:
    stamp(row.document, row.created, row.updated, modifier=False)
    books.put(row)
    return row


def _compose(desk: Desk, entity: Entity, body: Document, current: Row | None) -> Document:
    known = fields.ITEM_KNOWN if entity is ITEM else fields.CUSTOMER_KNOWN
    unknown = next((name for name in body if name not in known), None)
    if unknown is not None:
        raise faults.unknown_property(entity.name, unknown)
    active = body.get("Active", True) is not False
    made = _item(desk, body, current) if entity is ITEM else _customer(desk, body, current)
    made["Active"] = active
    key = "Name" if entity is ITEM else "DisplayName"
    for name in (key, "FullyQualifiedName"):
        text = str(made[name]).removesuffix(DELETED)
        made[name] = text if active else text + DELETED
    if active:
        other = _by_name(desk.books, entity, made[entity.order])
        if other is not None and (current is None or other.id != current.id):
            detail = (
                "The name supplied already exists. : Another item, customer, vendor or employee "
            )
            detail += "is already using this name. Please use a different name."
            raise faults.QboError("6240", "Duplicate Name Exists Error", detail)
    return made


def _item(desk: Desk, body: Document, current: Row | None) -> Document:
    if "Name" not in body:
        raise faults.missing("Name")
    before = current.document if current else {}
    kind = str(body.get("Type", before.get("Type", "Service")))
    if kind not in ITEM_TYPES:
        raise faults.business(f"Type {kind} is none of {', '.join(ITEM_TYPES)}")
    made: Document = {"Name": str(body["Name"])}
    made |= {field: body[field] for field in ("Sku", "Description") if field in body}
    made |= {"Active": True, "FullyQualifiedName": made["Name"]}
    made |= _parent(desk.books, body, made["Name"])
    if kind == "Category":
        return made | {"Type": kind, "domain": "QBO", "sparse": False}
    made["Taxable"] = bool(body.get("Taxable", kind != "Service"))
    made["UnitPrice"] = decimal_of(body.get("UnitPrice", 0), "UnitPrice")
    made["Type"] = kind
    made |= _accounts(body, kind)
    if "PurchaseDesc" in body:
        made["PurchaseDesc"] = body["PurchaseDesc"]
    made["PurchaseCost"] = decimal_of(body.get("PurchaseCost", 0), "PurchaseCost")
    if kind == "Group":
        made["ItemGroupDetail"] = _components(desk.books, body)
        made["PrintGroupedItems"] = bool(body.get("PrintGroupedItems"))
    made["TrackQtyOnHand"] = kind == "Inventory"
    if kind == "Inventory":
        quantity = body.get("QtyOnHand", before.get("QtyOnHand", 0))
        made["QtyOnHand"] = decimal_of(quantity, "QtyOnHand")
        today = desk.clock.today(desk.books.profile.zone).isoformat()
        made["InvStartDate"] = body.get("InvStartDate", before.get("InvStartDate", today))
    return made | {"domain": "QBO", "sparse": False}


def _components(books: Books, body: Document) -> Document:
    lines = []
    for part in (body.get("ItemGroupDetail") or {}).get("ItemGroupLine") or []:
        wanted = str((part.get("ItemRef") or {}).get("value"))
        item = books.find(ITEM, wanted)
        if item is None:
            raise faults.invalid_reference("ItemGroupDetail.ItemGroupLine.ItemRef", wanted)
        reference = {"value": item.id, "name": item.document["Name"], "type": item.document["Type"]}
        lines.append({"Qty": decimal_of(part.get("Qty", 1), "Qty"), "ItemRef": reference})
    return {"ItemGroupLine": lines}


def _parent(books: Books, body: Document, name: str) -> Document:
    if "ParentRef" not in body:
        return {}
    wanted = str(body["ParentRef"].get("value"))
    parent = books.find(ITEM, wanted)
    if parent is None:
        raise faults.invalid_reference("ParentRef", wanted)
    path = f"{parent.document['FullyQualifiedName']}:{name}"
    reference = {"value": parent.id, "name": parent.document["Name"]}
    made = {"FullyQualifiedName": path, "SubItem": True, "ParentRef": reference}
    return made | {"Level": path.count(":")}


def _accounts(body: Document, kind: str) -> Document:
    used: Document = {}
    if kind != "Group":
        used["IncomeAccountRef"] = SERVICES if kind == "Service" else INCOME
    if kind in {"Inventory", "NonInventory"}:
        used["ExpenseAccountRef"] = EXPENSE
    if kind == "Inventory":
        used["AssetAccountRef"] = ASSET
    return {name: body.get(name, account) for name, account in used.items()}


def _customer(desk: Desk, body: Document, current: Row | None) -> Document:
    parts = [str(body[part]) for part in ("GivenName", "MiddleName", "FamilyName") if part in body]
    name = str(body.get("DisplayName") or " ".join(parts) or body.get("CompanyName", ""))
    if not name:
        raise faults.missing("DisplayName")
    before = current.document if current else {}
    made: Document = {
        "Taxable": bool(body.get("Taxable", True)),
        "Job": False,
        "BillWithParent": False,
        "Balance": before.get("Balance", Decimal(0)),
        "BalanceWithJobs": before.get("BalanceWithJobs", Decimal(0)),
        "CurrencyRef": body.get(
            "CurrencyRef",
            {"value": desk.books.profile.currency, "name": desk.books.profile.currency},
        ),
        "PreferredDeliveryMethod": "Print",
        "IsProject": False,
        "domain": "QBO",
        "sparse": False,
    }
    skipped = {*made, "Active", "Id", "SyncToken", "MetaData", "status"}
    made |= {field: value for field, value in body.items() if field not in skipped}
    made |= {"FullyQualifiedName": name, "DisplayName": name}
    return made | {"PrintOnCheckName": body.get("PrintOnCheckName", name)}
