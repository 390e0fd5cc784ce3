"""A client that nobody here wrote works on the books, and sees what the connector publishes.

python-quickbooks and intuit-oauth write, edit, void and delete; the connector syncs the same
company with a connection of its own. python-quickbooks reads a missing quantity as 0; all else is
compared.
"""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from intuitlib.client import AuthClient
from quickbooks import QuickBooks
from quickbooks.cdc import change_data_capture
from quickbooks.objects import CreditMemo, Invoice, Payment, RefundReceipt, SalesReceipt
from quickbooks.objects.base import Ref
from quickbooks.objects.detailline import (
    DiscountLine,
    DiscountLineDetail,
    SalesItemLine,
    SalesItemLineDetail,
)
from quickbooks.objects.payment import PaymentLine

CLASSES = {
    "invoice": Invoice,
    "sales-receipt": SalesReceipt,
    "credit-memo": CreditMemo,
    "refund-receipt": RefundReceipt,
}
Key = tuple[str, str]
Sign = Callable[[], QuickBooks]


@pytest.fixture
def sign_in(connector: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sign]:
    """Signs the real client in, each time with the refresh token that the time before left."""
    sandbox = connector.sandbox
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setattr(QuickBooks, "api_url_v3", f"{sandbox.url}/v3")
    discovery = f"{sandbox.url}/.well-known/openid_configuration"
    auth = AuthClient(
        "sandbox-client", "sandbox-secret", "http://localhost/callback", environment=discovery
    )
    tokens = sandbox.control("POST", f"/companies/{sandbox.realm}/tokens", {})
    auth.refresh_token = tokens["refresh_token"]
    opened: list[QuickBooks] = []

    def again() -> QuickBooks:
        auth.refresh()
        opened.append(
            QuickBooks(
                auth_client=auth,
                refresh_token=auth.refresh_token,
                company_id=sandbox.realm,
                minorversion=75,
            )
        )
        return opened[-1]

    yield again
    for client in opened:
        client.session.close()
    auth.close()


def ref(value: str) -> Ref:
    made = Ref()
    made.value = value
    return made


def goods(item: str, quantity: str, price: str) -> SalesItemLine:
    line = SalesItemLine()
    line.Amount = float(Decimal(quantity) * Decimal(price))
    line.SalesItemLineDetail = SalesItemLineDetail()
    line.SalesItemLineDetail.ItemRef = ref(item)
    line.SalesItemLineDetail.Qty = float(quantity)
    line.SalesItemLineDetail.UnitPrice = float(price)
    return line


def tenth_off() -> DiscountLine:
    line = DiscountLine()
    line.DiscountLineDetail = DiscountLineDetail()
    line.DiscountLineDetail.PercentBased = True
    line.DiscountLineDetail.DiscountPercent = 10
    return line


def write(books: QuickBooks, kind: str, *lines: Any, day: str = "2026-03-02") -> Any:
    document = CLASSES[kind]()
    document.CustomerRef = ref("1")
    document.TxnDate = day
    document.Line.extend(lines)
    return document.save(qb=books)


def seen_by_the_client(books: QuickBooks) -> dict[Key, dict[str, Any]]:
    """Every document that queries give the real client, in a form to compare."""
    return {
        (kind, row.Id): of_the_client(json.loads(row.to_json()))
        for kind, entity in CLASSES.items()
        for row in entity.all(qb=books, max_results=1000)
    }


def of_the_client(row: dict[str, Any]) -> dict[str, Any]:
    lines = row["Line"]
    sold = [line for line in lines if line["DetailType"] == "SalesItemLineDetail"]
    off = [line for line in lines if line["DetailType"] == "DiscountLineDetail"]
    return {
        "version": int(row["SyncToken"]),
        "voided": "Voided" in row["PrivateNote"],
        "number": row["DocNumber"],
        "day": row["TxnDate"],
        "customer": row["CustomerRef"]["value"],
        "total": exact(row["TotalAmt"]),
        "discount": sum((exact(line["Amount"]) for line in off), Decimal(0)),
        "lines": [
            (
                line["SalesItemLineDetail"]["ItemRef"]["value"],
                exact(line["SalesItemLineDetail"].get("Qty", 0)),
                exact(line["Amount"]),
            )
            for line in sold
        ],
    }


def of_the_connector(captured: dict[str, Any]) -> dict[str, Any]:
    lines = captured["lines"]
    return {
        "version": captured["version"],
        "voided": captured["status"] == "voided",
        "number": captured["number"],
        "day": captured["transaction_date"],
        "customer": captured["customer"]["external_id"],
        "total": Decimal(captured["total_amount"]),
        "discount": sum((Decimal(line["discount"]) for line in lines), Decimal(0)),
        "lines": [
            (
                line["item"]["external_id"],
                Decimal(line.get("quantity") or 0),
                Decimal(line["amount"]),
            )
            for line in lines
            if line.get("item")
        ],
    }


def exact(number: float) -> Decimal:
    return Decimal(str(number))


class Published:
    """What a reader of the connector's topics knows."""

    def __init__(self) -> None:
        self.documents: dict[Key, dict[str, Any]] = {}

    def read(self, outcome: Any) -> None:
        for captured in outcome.captured:
            key = (captured["kind"], captured["external_id"])
            if captured["status"] == "deleted":
                del self.documents[key]
            else:
                self.documents[key] = of_the_connector(captured)


async def stored_versions(connector: Any) -> dict[Key, int]:
    """The newest stored version of every document that is not deleted."""
    rows = await connector.pool.fetch(
        "select distinct on (kind, external_id) kind, external_id, version, status "
        "from documents order by kind, external_id, version desc"
    )
    return {(r["kind"], r["external_id"]): r["version"] for r in rows if r["status"] != "deleted"}


async def test_queries_of_the_real_client_show_what_the_connector_published(
    connector: Any, sign_in: Sign
) -> None:
    await connector.connect()
    connector.sandbox.switch(refresh_reuse_revokes=True)
    published = Published()

    async def compare(books: QuickBooks) -> None:
        published.read(await connector.sync())
        there = seen_by_the_client(books)
        assert published.documents == there
        assert await stored_versions(connector) == {k: row["version"] for k, row in there.items()}

    books = sign_in()
    first = write(books, "invoice", goods("1", "50", "260"), goods("3", "1.5", "45"), tenth_off())
    gone = write(books, "invoice", goods("2", "3", "94.99"))
    receipt = write(books, "sales-receipt", goods("5", "2", "64"), goods("4", "7", "12"))
    memo = write(books, "credit-memo", goods("2", "1", "94.99"))
    write(books, "refund-receipt", goods("5", "1", "64"), day="2026-03-05")
    await compare(books)
    assert len(published.documents) == 5

    connector.sandbox.change("POST", "tokens/expire")
    books = sign_in()
    changed = Invoice.get(first.Id, qb=books)
    changed.Line[0].SalesItemLineDetail.Qty = 40
    changed.Line[0].Amount = 10_400
    changed.save(qb=books)
    Invoice.get(gone.Id, qb=books).delete(qb=books)
    SalesReceipt.get(receipt.Id, qb=books).void(qb=books)
    redated = CreditMemo.get(memo.Id, qb=books)
    redated.TxnDate = "2026-04-01"
    redated.save(qb=books)
    await compare(books)
    assert published.documents["sales-receipt", receipt.Id]["voided"]
    assert ("invoice", gone.Id) not in published.documents

    Invoice.get(first.Id, qb=books).void(qb=books)
    CreditMemo.get(memo.Id, qb=books).delete(qb=books)
    write(books, "invoice", goods("6", "2", "180"), tenth_off(), day="2026-05-01")
    await compare(books)
    assert len(published.documents) == 4


async def test_change_data_capture_of_the_real_client_is_what_the_connector_publishes(
    connector: Any, sign_in: Sign
) -> None:
    sandbox = connector.sandbox
    sandbox.switch(refresh_reuse_revokes=True)
    sandbox.fix_clock("2026-08-01T12:00:00-07:00")
    await connector.connect()
    books = sign_in()
    kept, edited, voided, gone, paid = (
        write(books, "invoice", goods("2", str(n), "95")).Id for n in range(1, 6)
    )
    receipt = write(books, "sales-receipt", goods("5", "2", "64")).Id
    memo = write(books, "credit-memo", goods("2", "1", "95")).Id
    await connector.sync()

    sandbox.fix_clock("2026-08-01T14:00:00-07:00")
    books = sign_in()
    changed = Invoice.get(edited, qb=books)
    changed.Line[0].SalesItemLineDetail.Qty = 9
    changed.Line[0].Amount = 855
    changed.save(qb=books)
    Invoice.get(voided, qb=books).void(qb=books)
    for entity, document in ((Invoice, gone), (CreditMemo, memo)):
        entity.get(document, qb=books).delete(qb=books)
    pay(books, paid)
    SalesReceipt.get(receipt, qb=books).void(qb=books)
    never_published = write(books, "invoice", goods("2", "8", "95"))
    never_published.delete(qb=books)
    new = write(books, "refund-receipt", goods("2", "1", "95")).Id

    seen = change_data_capture([*CLASSES.values()], "2026-08-01T13:00:00-07:00", qb=books)
    rows = [
        (kind, row)
        for kind, entity in CLASSES.items()
        for row in getattr(seen, entity.__name__, [])
    ]
    deleted = {(kind, row.Id) for kind, row in rows if getattr(row, "status", "") == "Deleted"}
    live = {
        (kind, row.Id): int(row.SyncToken) for kind, row in rows if (kind, row.Id) not in deleted
    }
    captured = (await connector.sync()).captured
    told = {(c["kind"], c["external_id"]): c for c in captured}
    assert {k for k, c in told.items() if c["status"] == "deleted"} == deleted - {
        ("invoice", never_published.Id)
    }
    assert {k: c["version"] for k, c in told.items() if c["status"] != "deleted"} == live
    assert {k for k, c in told.items() if c["status"] == "voided"} == {
        ("invoice", voided),
        ("sales-receipt", receipt),
    }
    assert {*live} == {
        ("invoice", edited),
        ("invoice", voided),
        ("invoice", paid),
        ("sales-receipt", receipt),
        ("refund-receipt", new),
    }
    assert ("invoice", kept) not in told


def pay(books: QuickBooks, invoice: str) -> None:
    due = Invoice.get(invoice, qb=books)
    line = PaymentLine()
    line.Amount = due.Balance
    line.LinkedTxn.append(due.to_linked_txn())
    payment = Payment()
    payment.CustomerRef = ref("1")
    payment.TotalAmt = due.Balance
    payment.Line.append(line)
    payment.save(qb=books)
