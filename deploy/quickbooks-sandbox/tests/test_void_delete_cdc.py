"""Voids stay as zeroed rows, deletions leave bare tombstones, and CDC is cut without a word."""

import pytest

from quickbooks_sandbox.testing import SandboxClient

SINCE = "2026-01-01T00:00:00-08:00"
COLLECTIONS = {
    "invoices": "Invoice",
    "sales-receipts": "SalesReceipt",
    "credit-memos": "CreditMemo",
    "refund-receipts": "RefundReceipt",
}


def test_a_void_zeroes_the_row_and_keeps_it(sandbox: SandboxClient) -> None:
    made = sandbox.record(
        "invoices",
        customer="1",
        doc_number="V-1",
        private_note="Two chairs",
        lines=[{"item": "Oak Chair", "qty": 2}, {"item": "Assembly", "amount": 10}],
        discount_percent=10,
        shipping=5,
        tax_code="2",
    )
    body = {"Id": made["Id"], "SyncToken": "0"}
    voided = sandbox.post("invoice", body, operation="void").json()["Invoice"]
    assert voided["PrivateNote"] == "Voided - Two chairs"
    assert (voided["TotalAmt"], voided["Balance"], voided["SyncToken"]) == (0, 0, "1")
    assert voided["TxnTaxDetail"] == {"TotalTax": 0}
    assert [line["Amount"] for line in voided["Line"]] == [0, 0, 0, 0, 0]
    chairs = voided["Line"][0]["SalesItemLineDetail"]
    assert (chairs["Qty"], chairs["ItemRef"]["value"]) == (0, "2")
    assert "UnitPrice" not in chairs
    assert "Qty" not in voided["Line"][1]["SalesItemLineDetail"]
    for name in ("Id", "DocNumber", "TxnDate", "CustomerRef"):
        assert voided[name] == made[name]
    assert sandbox.rows("Invoice") == [voided]
    assert "status" not in voided


def test_a_second_void_changes_nothing(sandbox: SandboxClient) -> None:
    made = sandbox.record("invoices", lines=[{"item": "Oak Chair", "qty": 2}])
    first = sandbox.change("POST", f"invoices/{made['Id']}/void")
    assert first["PrivateNote"] == "Voided"
    assert sandbox.change("POST", f"invoices/{made['Id']}/void") == first


def test_a_void_keeps_unit_price_as_zero_by_switch(sandbox: SandboxClient) -> None:
    sandbox.switch(voided_unit_price="zero")
    made = sandbox.record("sales-receipts", lines=[{"item": "Oak Chair", "qty": 2}])
    voided = sandbox.change("POST", f"sales-receipts/{made['Id']}/void")
    detail = voided["Line"][0]["SalesItemLineDetail"]
    assert (detail["Qty"], detail["UnitPrice"]) == (0, 0)


def test_a_voided_bundle_keeps_its_components_at_zero(sandbox: SandboxClient) -> None:
    made = sandbox.record("invoices", lines=[{"bundle": "Study Corner", "qty": 3}])
    voided = sandbox.change("POST", f"invoices/{made['Id']}/void")
    group = voided["Line"][0]["GroupLineDetail"]
    assert group["Quantity"] == 0
    assert [child["SalesItemLineDetail"]["Qty"] for child in group["Line"]] == [0, 0]


@pytest.mark.parametrize(
    ("entity", "params", "status"),
    [
        ("invoice", {"operation": "void"}, 200),
        ("invoice", {"operation": "update", "include": "void"}, 400),
        ("salesreceipt", {"operation": "update", "include": "void"}, 200),
        ("salesreceipt", {"operation": "void"}, 400),
        ("creditmemo", {"operation": "void"}, 400),
        ("creditmemo", {"operation": "update", "include": "void"}, 400),
    ],
)
def test_each_entity_is_voided_in_its_own_way(
    sandbox: SandboxClient, entity: str, params: dict[str, str], status: int
) -> None:
    collection = next(c for c, name in COLLECTIONS.items() if name.lower() == entity)
    made = sandbox.record(collection, lines=[{"item": "Oak Chair", "qty": 2}])
    answer = sandbox.post(entity, {"Id": made["Id"], "SyncToken": "0", "sparse": True}, **params)
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["Fault"]["Error"][0]["code"] == "500"


def test_the_user_interface_can_void_a_credit_memo(sandbox: SandboxClient) -> None:
    made = sandbox.record("credit-memos", lines=[{"item": "Oak Chair", "qty": 2}])
    voided = sandbox.change("POST", f"credit-memos/{made['Id']}/void")
    assert (voided["TotalAmt"], voided["RemainingCredit"], voided["PrivateNote"]) == (
        0,
        0,
        "Voided",
    )


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_a_deleted_sale_vanishes_and_leaves_a_bare_tombstone(
    sandbox: SandboxClient, collection: str
) -> None:
    entity = COLLECTIONS[collection]
    made = sandbox.record(collection, lines=[{"item": "Oak Chair", "qty": 2}])
    body = {"Id": made["Id"], "SyncToken": "0"}
    answer = sandbox.post(entity.lower(), body, operation="delete").json()
    assert answer[entity] == {"domain": "QBO", "status": "Deleted", "Id": made["Id"]}
    assert sandbox.rows(entity) == []
    read = sandbox.get(f"{entity.lower()}/{made['Id']}")
    assert (read.status_code, read.json()["Fault"]["Error"][0]["code"]) == (400, "610")
    (block,) = sandbox.changes(entity, SINCE)
    (stone,) = block[entity]
    assert set(stone) == {"domain", "status", "Id", "MetaData"}
    assert stone["status"] == "Deleted"
    assert set(stone["MetaData"]) == {"LastUpdatedTime"}
    assert "startPosition" not in block
    assert block["maxResults"] == 1


def test_a_stale_deletion_is_refused(sandbox: SandboxClient) -> None:
    made = sandbox.record("invoices", lines=[{"item": "Oak Chair", "qty": 2}])
    sandbox.change("PATCH", f"invoices/{made['Id']}", qty=3)
    body = {"Id": made["Id"], "SyncToken": "0"}
    answer = sandbox.post("invoice", body, operation="delete")
    assert answer.json()["Fault"]["Error"][0]["code"] == "5010"
    assert len(sandbox.rows("Invoice")) == 1


def test_lists_cannot_be_deleted(sandbox: SandboxClient) -> None:
    answer = sandbox.post("item", {"Id": "1", "SyncToken": "0"}, operation="delete")
    assert answer.json()["Fault"]["Error"][0]["code"] == "500"


def test_cdc_answers_one_block_for_each_entity_with_tombstones_last(
    sandbox: SandboxClient,
) -> None:
    sandbox.fix_clock("2026-06-01T09:00:00-07:00")
    gone = sandbox.record("invoices", lines=[{"item": "Oak Chair", "qty": 1}])
    sandbox.change("DELETE", f"invoices/{gone['Id']}")
    sandbox.control("PUT", "/clock", {"advance_seconds": 60})
    second = sandbox.record("invoices", lines=[{"item": "Oak Chair", "qty": 1}])
    third = sandbox.record("invoices", lines=[{"item": "Oak Chair", "qty": 1}])
    sandbox.control("PUT", "/clock", {"advance_seconds": 60})
    sandbox.change("PATCH", f"invoices/{second['Id']}", qty=2)
    blocks = sandbox.changes("Invoice,CreditMemo,Bill", "2026-05-31T00:00:00-07:00")
    assert [row["Id"] for row in blocks[0]["Invoice"]] == [third["Id"], second["Id"], gone["Id"]]
    assert (blocks[0]["startPosition"], blocks[0]["maxResults"]) == (1, 3)
    assert blocks[1:] == [{}, {}]
    late = sandbox.changes("Invoice", "2026-06-01T09:02:00-07:00")
    assert [row["Id"] for row in late[0]["Invoice"]] == [second["Id"]]


def test_cdc_is_cut_at_its_limit_and_loses_tombstones_first(sandbox: SandboxClient) -> None:
    gone = sandbox.record("invoices", lines=[{"item": "Oak Chair", "qty": 1}])
    sandbox.change("DELETE", f"invoices/{gone['Id']}")
    sandbox.control("POST", "/generate", {"count": 999, "lines": 1})
    whole = sandbox.changes("Invoice", SINCE)[0]
    assert len(whole["Invoice"]) == 1000
    assert whole["Invoice"][-1]["status"] == "Deleted"
    sandbox.record("invoices", lines=[{"item": "Oak Chair", "qty": 1}])
    cut = sandbox.changes("Invoice,Item", SINCE)
    assert len(cut[0]["Invoice"]) == 1000
    assert all("status" not in row for row in cut[0]["Invoice"])
    assert cut[1] == {}


def test_cdc_looks_back_thirty_days(sandbox: SandboxClient) -> None:
    sandbox.fix_clock("2026-06-30T12:00:00-07:00")
    for day in ("2026-05-31T11:59:59-07:00", "2026-05-31T12:00:00-07:00"):
        sandbox.record("invoices", at=day, lines=[{"item": "Oak Chair", "qty": 1}])
    blocks = sandbox.changes("Invoice", "2020-01-01T00:00:00Z")
    assert [row["Id"] for row in blocks[0]["Invoice"]] == ["102"]


def test_cdc_can_report_a_deletion_that_did_not_happen(sandbox: SandboxClient) -> None:
    made = sandbox.record("invoices", lines=[{"item": "Oak Chair", "qty": 1}])
    sandbox.record("tombstones", collection="invoices", id=made["Id"])
    rows = sandbox.changes("Invoice", SINCE)[0]["Invoice"]
    assert [row.get("status") for row in rows] == [None, "Deleted"]
    assert sandbox.get(f"invoice/{made['Id']}").status_code == 200


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"entities": "Invoice"}, "2020"),
        ({"changedSince": SINCE}, "2020"),
        ({"entities": "Invoice", "changedSince": "yesterday"}, "2040"),
        ({"entities": "Invoice,Custmoer", "changedSince": SINCE}, "4001"),
    ],
)
def test_cdc_refuses_what_it_cannot_read(
    sandbox: SandboxClient, params: dict[str, str], code: str
) -> None:
    answer = sandbox.get("cdc", **params)
    assert (answer.status_code, answer.json()["Fault"]["Error"][0]["code"]) == (400, code)
