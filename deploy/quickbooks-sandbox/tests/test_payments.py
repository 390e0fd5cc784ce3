"""Payments move balance, version and time of what they pay, and nothing else."""

from typing import Any

import pytest

from quickbooks_sandbox.testing import SandboxClient

Document = dict[str, Any]
CHAIRS = [{"item": "Oak Chair", "qty": 2, "price": 100}]


@pytest.fixture
def invoice(sandbox: SandboxClient) -> Document:
    sandbox.fix_clock("2026-05-01T10:00:00-07:00")
    made = sandbox.record("invoices", customer="2", doc_number="P-1", lines=CHAIRS)
    sandbox.control("PUT", "/clock", {"advance_seconds": 60})
    return made


def test_a_payment_moves_the_invoice_and_not_its_revenue(
    sandbox: SandboxClient, invoice: Document
) -> None:
    payment = sandbox.record("payments", invoice="P-1", amount=150)
    paid = sandbox.change("GET", f"invoices/{invoice['Id']}")
    changed = {name for name in paid if paid[name] != invoice[name]}
    assert changed == {"Balance", "LinkedTxn", "SyncToken", "MetaData"}
    assert (paid["Balance"], paid["SyncToken"]) == (50, "1")
    assert paid["LinkedTxn"] == [{"TxnId": payment["Id"], "TxnType": "Payment"}]
    assert paid["MetaData"]["LastUpdatedTime"] == "2026-05-01T10:01:00-07:00"
    assert payment["MetaData"]["CreateTime"] == "2026-05-01T10:01:00-07:00"
    assert sandbox.change("GET", "customers/2")["Balance"] == 50


def test_a_voided_and_a_deleted_payment_open_the_invoice_again(
    sandbox: SandboxClient, invoice: Document
) -> None:
    first = sandbox.record("payments", invoice="P-1", amount=150)
    voided = sandbox.change("POST", f"payments/{first['Id']}/void")
    assert (voided["TotalAmt"], voided["Line"], voided["PrivateNote"]) == (0, [], "Voided")
    opened = sandbox.change("GET", f"invoices/{invoice['Id']}")
    assert (opened["Balance"], opened["SyncToken"], opened["LinkedTxn"]) == (200, "2", [])
    second = sandbox.record("payments", invoice="P-1")
    sandbox.change("DELETE", f"payments/{second['Id']}")
    opened = sandbox.change("GET", f"invoices/{invoice['Id']}")
    assert (opened["Balance"], opened["SyncToken"]) == (200, "4")


def test_an_update_of_a_paid_invoice_keeps_its_payment(
    sandbox: SandboxClient, invoice: Document
) -> None:
    sandbox.record("payments", invoice="P-1", amount=150)
    grown = sandbox.change("PATCH", f"invoices/{invoice['Id']}", qty=3)
    assert (grown["TotalAmt"], grown["Balance"], len(grown["LinkedTxn"])) == (300, 150, 1)


def test_a_voided_invoice_frees_its_payment(sandbox: SandboxClient, invoice: Document) -> None:
    payment = sandbox.record("payments", invoice="P-1", amount=150)
    voided = sandbox.change("POST", f"invoices/{invoice['Id']}/void")
    assert (voided["Balance"], voided["LinkedTxn"]) == (0, [])
    freed = sandbox.change("GET", f"payments/{payment['Id']}")
    assert (freed["TotalAmt"], freed["UnappliedAmt"], freed["Line"]) == (150, 150, [])


def test_a_credit_memo_is_applied_by_a_payment_of_zero(
    sandbox: SandboxClient, invoice: Document
) -> None:
    memo = sandbox.record("credit-memos", customer="2", doc_number="C-1", lines=CHAIRS[:1])
    assert (memo["Balance"], memo["RemainingCredit"]) == (200, 200)
    payment = sandbox.record("payments", invoice="P-1", credit_memo="C-1", amount=80)
    assert (payment["TotalAmt"], payment["UnappliedAmt"]) == (0, 0)
    links = [line["LinkedTxn"][0]["TxnType"] for line in payment["Line"]]
    assert links == ["Invoice", "CreditMemo"]
    applied = sandbox.change("GET", f"credit-memos/{memo['Id']}")
    assert (applied["TotalAmt"], applied["Balance"], applied["RemainingCredit"]) == (200, 120, 120)
    assert applied["SyncToken"] == "1"
    assert "LinkedTxn" not in applied
    assert sandbox.change("GET", f"invoices/{invoice['Id']}")["Balance"] == 120


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"Amount": 201, "LinkedTxn": [{"TxnId": "101", "TxnType": "Invoice"}]}, "6000"),
        ({"Amount": 1, "LinkedTxn": [{"TxnId": "999", "TxnType": "Invoice"}]}, "2500"),
        ({"Amount": 1, "LinkedTxn": [{"TxnId": "101", "TxnType": "Bill"}]}, "6000"),
        ({"Amount": 1}, "2020"),
    ],
)
@pytest.mark.usefixtures("invoice")
def test_a_payment_that_the_books_refuse(sandbox: SandboxClient, line: Document, code: str) -> None:
    body = {"CustomerRef": {"value": "2"}, "TotalAmt": 300, "Line": [line]}
    answer = sandbox.post("payment", body)
    assert answer.json()["Fault"]["Error"][0]["code"] == code
    assert sandbox.rows("Payment") == []
