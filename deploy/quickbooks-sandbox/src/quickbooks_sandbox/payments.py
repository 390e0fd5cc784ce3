"""Payments, and what they do to the invoices and memos that they are applied to.

Law: what is applied to a document is known from the payments alone (`Books.applied`); its balance,
version and time follow. A payment changes no revenue and no quantity.
Source: recorded invoices: a payment sets the invoice's LastUpdatedTime and raises its SyncToken; a
credit memo never shows a LinkedTxn, the link exists only as a payment of 0 with two lines.
"""

from decimal import Decimal

from quickbooks_sandbox import faults
from quickbooks_sandbox.books import Books, Row
from quickbooks_sandbox.entities import CREDIT_MEMO, CUSTOMER, INVOICE, PAYMENT, Entity
from quickbooks_sandbox.sales import CURRENCIES, calendar_date, cents, decimal_of, given, reference
from quickbooks_sandbox.versions import Desk, check_token, owe, settle, stamp
from quickbooks_sandbox.wire import Document

APPLICABLE = {"Invoice": INVOICE, "CreditMemo": CREDIT_MEMO}
KEPT = ("PaymentMethodRef", "PaymentRefNum", "DepositToAccountRef", "PrivateNote", "ProjectRef")


def create(desk: Desk, body: Document, *, at: int | None = None) -> Row:
    """Record a payment and apply it.

    Raises: QboError if a line names an unknown document or more than its balance.
    """
    second = desk.clock.second() if at is None else at
    document = _compose(desk, given(body), body.get("TxnDate"), None)
    document |= {"Id": desk.books.next_id(PAYMENT), "SyncToken": "0"}
    row = Row(PAYMENT, document, second, second)
    _apply(desk.books, row, second)
    return _save(desk.books, row)


def update(desk: Desk, row: Row, body: Document) -> Row:
    """Replace a payment (or with `sparse`, the fields sent) and apply it anew."""
    check_token(row, body)
    sent = given(body)
    if body.get("sparse") is True:
        sent = {**row.document, **sent}
    document = _compose(desk, sent, sent.get("TxnDate", row.document["TxnDate"]), row)
    return _next_version(desk, row, document)


def void(desk: Desk, row: Row) -> Row:
    """Zero a payment; the documents it paid are open again. A second void changes nothing."""
    note = str(row.document.get("PrivateNote", ""))
    if note.startswith("Voided") and not row.document["TotalAmt"]:
        return row
    zeroed = {"TotalAmt": Decimal(0), "UnappliedAmt": Decimal(0), "Line": []}
    zeroed["PrivateNote"] = f"Voided - {note}" if note else "Voided"
    return _next_version(desk, row, {**row.document, **zeroed})


def delete(desk: Desk, row: Row) -> None:
    """Remove a payment; the documents it paid are open again."""
    second = desk.clock.second()
    _withdraw(desk.books, row, second)
    desk.books.drop(row, second)


def unlink(books: Books, entity: Entity, record_id: str, second: int) -> None:
    """Take a document out of all payments: it is about to be voided or deleted."""
    for payment_id, amount in books.applied.pop((entity.name, record_id), {}).items():
        row = books.table(PAYMENT).rows[payment_id]
        document = dict(row.document)
        document["Line"] = [
            line
            for line in document["Line"]
            if (line["LinkedTxn"][0]["TxnType"], line["LinkedTxn"][0]["TxnId"])
            != (entity.name, record_id)
        ]
        sign = 1 if entity is INVOICE else -1
        document["UnappliedAmt"] = max(Decimal(0), document["UnappliedAmt"] + sign * amount)
        document["SyncToken"] = str(row.sync_token + 1)
        _save(books, Row(PAYMENT, document, row.created, second))


def _next_version(desk: Desk, row: Row, document: Document) -> Row:
    second = desk.clock.second()
    _withdraw(desk.books, row, second)
    document |= {"Id": row.id, "SyncToken": str(row.sync_token + 1)}
    new = Row(PAYMENT, document, row.created, second)
    _apply(desk.books, new, second)
    return _save(desk.books, new)


def _save(books: Books, row: Row) -> Row:
    stamp(row.document, row.created, row.updated, modifier=False)
    books.put(row)
    return row


def _compose(desk: Desk, body: Document, txn_date: str | None, current: Row | None) -> Document:
    books = desk.books
    if "CustomerRef" not in body:
        raise faults.missing("CustomerRef")
    if "TotalAmt" not in body:
        raise faults.missing("TotalAmt")
    total = cents(decimal_of(body["TotalAmt"], "TotalAmt"))
    lines = [_line(books, given(line), current) for line in body.get("Line") or []]
    unapplied = total
    for line in lines:
        sign = 1 if line["LinkedTxn"][0]["TxnType"] == "CreditMemo" else -1
        unapplied += sign * line["Amount"]
    if unapplied < 0:
        raise faults.business("the lines of the payment are more than its amount")
    today = desk.clock.today(books.profile.zone)
    day = calendar_date(txn_date, "TxnDate") if txn_date else today
    currency = str((body.get("CurrencyRef") or {}).get("value", books.profile.currency))
    made: Document = {
        "CustomerRef": reference(books, CUSTOMER, body["CustomerRef"], "CustomerRef"),
        "DepositToAccountRef": {"value": "4"},
        "TotalAmt": total,
        "UnappliedAmt": unapplied,
        "ProcessPayment": False,
        "domain": "QBO",
        "sparse": False,
        "TxnDate": day.isoformat(),
        "CurrencyRef": {"value": currency, "name": CURRENCIES.get(currency, currency)},
    }
    made |= {name: body[name] for name in KEPT if name in body}
    return made | {"Line": lines}


def _line(books: Books, line: Document, current: Row | None) -> Document:
    amount = cents(decimal_of(line.get("Amount", 0), "Line.Amount"))
    links = line.get("LinkedTxn") or []
    if len(links) != 1:
        raise faults.missing("Line.LinkedTxn")
    kind, target_id = str(links[0].get("TxnType")), str(links[0].get("TxnId"))
    entity = APPLICABLE.get(kind)
    if entity is None:
        raise faults.business(f"a payment cannot be applied to {kind}")
    target = books.find(entity, target_id)
    if target is None or target.verbatim:
        raise faults.invalid_reference("Line.LinkedTxn", target_id)
    own = books.applied.get((kind, target_id), {}).get(current.id, 0) if current else 0
    if amount > target.document["Balance"] + own:
        raise faults.business(f"{amount} is more than the balance of {kind} {target_id}")
    names = {
        "txnId": target_id,
        "txnOpenBalance": str(target.document["Balance"] + own),
        "txnReferenceNumber": target.document.get("DocNumber", ""),
    }
    noise = [
        {
            "name": "{http://schema.intuit.com/finance/v3}NameValue",
            "declaredType": "com.intuit.schema.finance.v3.NameValue",
            "scope": "javax.xml.bind.JAXBElement$GlobalScope",
            "value": {"Name": name, "Value": value},
            "nil": False,
            "globalScope": True,
            "typeSubstituted": False,
        }
        for name, value in names.items()
    ]
    link = {"TxnId": target_id, "TxnType": kind}
    return {"Amount": amount, "LinkedTxn": [link], "LineEx": {"any": noise}}


def _apply(books: Books, row: Row, second: int) -> None:
    for line in row.document["Line"]:
        link = line["LinkedTxn"][0]
        key = (link["TxnType"], link["TxnId"])
        books.applied.setdefault(key, {})[row.id] = line["Amount"]
        _retouch(books, row.id, key, second, linked=True)


def _withdraw(books: Books, row: Row, second: int) -> None:
    for line in row.document["Line"]:
        link = line["LinkedTxn"][0]
        key = (link["TxnType"], link["TxnId"])
        books.applied.get(key, {}).pop(row.id, None)
        _retouch(books, row.id, key, second, linked=False)


def _retouch(
    books: Books, payment_id: str, key: tuple[str, str], second: int, *, linked: bool
) -> None:
    row = books.find(APPLICABLE[key[0]], key[1])
    if row is None:
        return
    document = dict(row.document)
    if row.entity is INVOICE:
        others = [
            link
            for link in document["LinkedTxn"]
            if (link["TxnType"], link["TxnId"]) != ("Payment", payment_id)
        ]
        payment = {"TxnId": payment_id, "TxnType": "Payment"}
        document["LinkedTxn"] = [*others, payment] if linked else others
    document["SyncToken"] = str(row.sync_token + 1)
    changed = Row(row.entity, document, row.created, second)
    stamp(document, row.created, second, modifier=row.entity is INVOICE)
    settle(books, changed)
    books.put(changed)
    sign = -1 if row.entity is CREDIT_MEMO else 1
    moved = document["Balance"] - row.document["Balance"]
    owe(books, document.get("CustomerRef", {}).get("value", ""), sign * moved)
