"""The sandbox's documents have the fields of recorded payloads: none invented, none missing.

The recordings are not part of this repository; QUICKBOOKS_SAMPLES names the folder that holds them.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quickbooks_sandbox.testing import REFRESH_TOKEN, SandboxClient

FOLDER = os.environ.get("QUICKBOOKS_SAMPLES", "")
pytestmark = pytest.mark.skipif(
    not FOLDER,
    reason="QUICKBOOKS_SAMPLES is not set: the folder of recorded QuickBooks payloads is needed",
)

Document = dict[str, Any]
ENTITIES = ("Invoice", "SalesReceipt", "CreditMemo", "RefundReceipt", "Payment", "Item")
COLLECTIONS = {
    "Invoice": "invoices",
    "SalesReceipt": "sales-receipts",
    "CreditMemo": "credit-memos",
    "RefundReceipt": "refund-receipts",
}
NEWER_FIELDS = {"CustomExtensions", "FreeFormAddress", "BillEmail", "CurrencyRef", "PrivateNote"}
"""Fields of recent recordings that kinds with only an old sample (RefundReceipt) cannot show."""


def load(name: str) -> Document:
    parsed: Document = json.loads((Path(FOLDER) / name).read_text(encoding="utf-8"))
    return parsed


def found_in(value: object, name: str) -> Iterator[Document]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == name:
                yield from item if isinstance(item, list) else [item]
            else:
                yield from found_in(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from found_in(item, name)


def samples(entity: str) -> list[Document]:
    documents = []
    for path in sorted(Path(FOLDER).glob("*.json")):
        parsed = json.loads(path.read_text(encoding="utf-8"))
        documents += list(found_in(parsed, entity))
        if path.name.startswith(entity.lower()) and "Id" in parsed:
            documents.append(parsed)
    return [sample for sample in documents if "MetaData" in sample and "status" not in sample]


def flat(lines: list[Document]) -> Iterator[Document]:
    for line in lines:
        yield line
        yield from line.get("GroupLineDetail", {}).get("Line", [])


def line_keys(documents: list[Document], kind: str) -> list[set[str]]:
    return [
        set(line)
        for document in documents
        for line in flat(document.get("Line", []))
        if line.get("DetailType") == kind
    ]


def detail_keys(documents: list[Document], kind: str) -> list[set[str]]:
    return [
        set(line.get(kind, {}))
        for document in documents
        for line in flat(document.get("Line", []))
        if line.get("DetailType") == kind
    ]


def every_sale() -> list[Document]:
    return [sample for entity in COLLECTIONS for sample in samples(entity)]


def rich_sale(sandbox: SandboxClient, entity: str) -> Document:
    made = sandbox.record(
        COLLECTIONS[entity],
        customer="Harbour View Hotel",
        lines=[
            {"item": "Walnut Desk", "qty": 2, "service_date": "2026-03-01"},
            {"item": "Assembly", "amount": 30},
            {"bundle": "Study Corner", "qty": 1},
        ],
        discount_percent=10,
        shipping=20,
        tax_code="2",
        private_note="Leave at the gate",
        **({"deposit": 12} if entity == "Invoice" else {}),
    )
    return sandbox.rows(entity, f"Id = '{made['Id']}'")[0]


def plain_sale(sandbox: SandboxClient, entity: str) -> Document:
    return sandbox.record(COLLECTIONS[entity], customer="1", lines=[{"item": "3", "amount": 9}])


@pytest.mark.parametrize("entity", COLLECTIONS)
def test_a_sale_has_no_field_that_was_never_seen(sandbox: SandboxClient, entity: str) -> None:
    seen = {name for sample in samples(entity) for name in sample}
    for made in (rich_sale(sandbox, entity), plain_sale(sandbox, entity)):
        assert set(made) - seen <= NEWER_FIELDS
        meta = {name for sample in samples(entity) for name in sample["MetaData"]}
        assert set(made["MetaData"]) <= meta


@pytest.mark.parametrize("entity", COLLECTIONS)
def test_a_sale_has_every_field_that_all_recordings_have(
    sandbox: SandboxClient, entity: str
) -> None:
    common = set.intersection(*(set(sample) for sample in samples(entity)))
    optional = {"PaymentMethodRef", "CustomerMemo", "BillEmail", "ShipAddr"}
    for made in (rich_sale(sandbox, entity), plain_sale(sandbox, entity)):
        assert common - optional <= set(made)
        meta = set.intersection(*(set(sample["MetaData"]) for sample in samples(entity)))
        assert meta <= set(made["MetaData"])


@pytest.mark.parametrize(
    "kind", ["SalesItemLineDetail", "SubTotalLineDetail", "DiscountLineDetail", "GroupLineDetail"]
)
def test_lines_and_their_details_have_the_recorded_fields(
    sandbox: SandboxClient, kind: str
) -> None:
    recorded = every_sale()
    made = [rich_sale(sandbox, entity) for entity in COLLECTIONS]
    for keys in (line_keys, detail_keys):
        seen, ours = keys(recorded, kind), keys(made, kind)
        assert ours, f"the sandbox made no {kind}"
        for fields in ours:
            assert fields - {name for sample in seen for name in sample} <= NEWER_FIELDS
            assert set.intersection(*seen) <= fields


def test_the_tax_detail_has_the_recorded_fields(sandbox: SandboxClient) -> None:
    recorded = [s["TxnTaxDetail"] for s in every_sale() if "TaxLine" in s["TxnTaxDetail"]]
    made = rich_sale(sandbox, "Invoice")["TxnTaxDetail"]
    assert set(made) == {"TxnTaxCodeRef", "TotalTax", "TaxLine"}
    assert set(made) <= {name for sample in recorded for name in sample}
    line, sample = made["TaxLine"][0], recorded[0]["TaxLine"][0]
    assert set(line) == set(sample)
    assert set(line["TaxLineDetail"]) == set(sample["TaxLineDetail"])


def test_a_foreign_sale_has_the_fields_of_a_foreign_recording(sandbox: SandboxClient) -> None:
    tax = [{"id": "10", "rate_id": "20", "percent": 10}]
    company = {"realm": "9130000000000003", "country": "AU", "currency": "AUD", "tax_codes": tax}
    sandbox.control("POST", "/companies", company | {"multi_currency": True, "stocked": True})
    form = {
        "lines": [{"item": "Walnut Desk", "qty": 3, "price": 2000, "tax_code": "10"}],
        "tax_mode": "TaxInclusive",
        "customer": "2",
    }
    made = sandbox.control("POST", "/companies/9130000000000003/invoices", form)
    sample = load("invoice-tax-inclusive-aud.json")
    missing = {"RecurDataRef", "CustomerMemo", "SalesTermRef"}
    assert set(sample) - set(made) == missing
    assert set(made) - set(sample) == set()
    ours, theirs = made["Line"][0], sample["Line"][0]
    assert set(theirs["SalesItemLineDetail"]) == set(ours["SalesItemLineDetail"])
    assert (ours["Amount"], made["TotalAmt"]) == (theirs["Amount"], sample["TotalAmt"])
    detail = ours["SalesItemLineDetail"]
    assert detail["TaxInclusiveAmt"] == theirs["SalesItemLineDetail"]["TaxInclusiveAmt"]


def test_a_void_does_to_fields_what_the_recorded_void_did(sandbox: SandboxClient) -> None:
    before = load("invoice-response-before-void.json")["Invoice"]
    after = load("invoice-response-voided.json")["Invoice"]
    made = plain_sale(sandbox, "Invoice")
    voided = sandbox.change("POST", f"invoices/{made['Id']}/void")
    assert set(voided) - set(made) == set(after) - set(before) == {"PrivateNote"}
    assert set(made) - set(voided) == set(before) - set(after) == set()
    for name in ("TotalAmt", "Balance", "PrivateNote", "LinkedTxn", "TxnTaxDetail"):
        assert voided[name] == after[name]
    assert [line["Amount"] for line in voided["Line"]] == [0, 0]
    assert "Qty" not in voided["Line"][0]["SalesItemLineDetail"]


@pytest.mark.parametrize("kind", ["Inventory", "Service", "Group", "Category"])
def test_items_have_the_fields_of_recorded_items_of_their_type(
    sandbox: SandboxClient, kind: str
) -> None:
    sandbox.record("items", name="Furniture", type="Category")
    recorded = [sample for sample in samples("Item") if sample.get("Type") == kind]
    rows = sandbox.rows("Item", f"Type = '{kind}'")
    seen = {name for sample in recorded for name in sample}
    common = set.intersection(*(set(sample) for sample in recorded)) - {"PurchaseDesc", "Sku"}
    for row in rows:
        assert set(row) - {"Sku", "Description"} <= seen
        assert common <= set(row) | {"SubItem", "ParentRef", "Level"}


def test_a_payment_has_the_recorded_fields(sandbox: SandboxClient) -> None:
    invoice = plain_sale(sandbox, "Invoice")
    made = sandbox.record("payments", invoice=invoice["Id"])
    recorded = load("query-payment-page.json")["QueryResponse"]["Payment"]
    assert set(made) <= {name for sample in recorded for name in sample}
    assert set.intersection(*(set(s) for s in recorded)) <= set(made)
    sample = next(line for s in recorded for line in s["Line"])
    line = made["Line"][0]
    assert set(line) == set(sample)
    assert set(line["LineEx"]["any"][0]) == set(sample["LineEx"]["any"][0])
    ours = [pair["value"]["Name"] for pair in line["LineEx"]["any"]]
    assert ours == [pair["value"]["Name"] for pair in sample["LineEx"]["any"]]


@pytest.mark.parametrize(
    ("name", "entity"),
    [
        ("query-invoice-page-default-order.json", "Invoice"),
        ("query-salesreceipt-page-with-discount.json", "SalesReceipt"),
        ("query-creditmemo-page.json", "CreditMemo"),
        ("query-item-page-services-and-inventory.json", "Item"),
        ("query-payment-page.json", "Payment"),
    ],
)
def test_a_page_has_the_recorded_envelope(sandbox: SandboxClient, name: str, entity: str) -> None:
    invoice = plain_sale(sandbox, "Invoice")
    plain_sale(sandbox, "SalesReceipt")
    plain_sale(sandbox, "CreditMemo")
    sandbox.record("payments", invoice=invoice["Id"])
    assert set(sandbox.page(entity)) == set(load(name)["QueryResponse"])


def test_counts_and_empty_pages_have_the_recorded_envelope(sandbox: SandboxClient) -> None:
    empty = sandbox.get("query", query="SELECT * FROM Invoice").json()
    assert set(empty) == set(load("query-empty-result-2026.json"))
    assert empty["QueryResponse"] == {}
    count = sandbox.query("SELECT COUNT(*) FROM Item")
    assert set(count) == set(load("query-count-result.json")["QueryResponse"])


def test_cdc_has_the_recorded_blocks_and_tombstones(sandbox: SandboxClient) -> None:
    recorded = load("cdc-response-many-entities-empty-blocks-and-deleted-invoice.json")
    recorded_blocks = recorded["CDCResponse"][0]["QueryResponse"]
    recorded_block = next(block for block in recorded_blocks if "Invoice" in block)
    plain_sale(sandbox, "Invoice")
    gone = plain_sale(sandbox, "Invoice")
    sandbox.change("DELETE", f"invoices/{gone['Id']}")
    answer = sandbox.get(
        "cdc", entities="Invoice,Estimate,Payment", changedSince="2026-01-01T00:00:00Z"
    ).json()
    block, *others = answer["CDCResponse"][0]["QueryResponse"]
    assert others == [{}, {}]
    assert {} in recorded_blocks
    assert set(block) == set(recorded_block)
    assert set(block["Invoice"][-1]) == set(recorded_block["Invoice"][-1])
    assert set(block["Invoice"][-1]["MetaData"]) == {"LastUpdatedTime"}


def test_a_deletion_answers_as_recorded(sandbox: SandboxClient) -> None:
    made = plain_sale(sandbox, "Invoice")
    body = {"Id": made["Id"], "SyncToken": made["SyncToken"]}
    answer = sandbox.post("invoice", body, operation="delete").json()
    sample = load("invoice-delete-response.json")
    assert set(answer) == set(sample)
    assert answer["Invoice"] == sample["Invoice"] | {"Id": made["Id"]}


def provoke(sandbox: SandboxClient, name: str) -> Document:
    stale = {"Id": "1", "SyncToken": "7", "Name": "Walnut Desk", "sparse": True}
    parsed: Document = {
        "fault-400-duplicate-name-6240.json": lambda: sandbox.post(
            "customer", {"DisplayName": "Northside Library"}
        ),
        "fault-400-invalid-id-2030-no-time.json": lambda: sandbox.get("invoice/1.5"),
        "fault-400-invalid-query-4001.json": lambda: sandbox.get(
            "query", query="select * from Custmoer"
        ),
        "fault-400-object-not-found-610.json": lambda: sandbox.get("item/9999"),
        "fault-400-position-or-size-zero-4001.json": lambda: sandbox.get(
            "query", query="select * from Item startposition 0"
        ),
        "fault-400-query-parser-4000.json": lambda: sandbox.get("query", query="select null"),
        "fault-400-required-param-2020.json": lambda: sandbox.post("item", {"Type": "Service"}),
        "fault-400-stale-object-5010.json": lambda: sandbox.post("item", stale),
        "fault-400-unsupported-operation-500.json": lambda: sandbox.get("customer/1/5"),
        "fault-400-unsupported-property-2010.json": lambda: sandbox.post("invoice", {"BadJson": 1}),
        "fault-401-token-expired-lowercase-envelope.json": lambda: sandbox.http.get(
            sandbox.address("item/1"), headers={"Authorization": "Bearer old"}
        ),
        "fault-403-application-authorization-failed.json": lambda: sandbox.http.get(
            "/v3/company/1/item/1", headers=sandbox.headers()
        ),
    }[name]().json()
    return parsed


@pytest.mark.parametrize(
    "name",
    [
        "fault-400-duplicate-name-6240.json",
        "fault-400-invalid-id-2030-no-time.json",
        "fault-400-invalid-query-4001.json",
        "fault-400-object-not-found-610.json",
        "fault-400-position-or-size-zero-4001.json",
        "fault-400-query-parser-4000.json",
        "fault-400-required-param-2020.json",
        "fault-400-stale-object-5010.json",
        "fault-400-unsupported-operation-500.json",
        "fault-400-unsupported-property-2010.json",
        "fault-401-token-expired-lowercase-envelope.json",
    ],
)
def test_a_fault_has_the_recorded_form_and_code(sandbox: SandboxClient, name: str) -> None:
    ours, theirs = provoke(sandbox, name), load(name)
    assert set(ours) == set(theirs)
    envelope, errors = ("fault", "error") if "fault" in theirs else ("Fault", "Error")
    our_error, their_error = ours[envelope][errors][0], theirs[envelope][errors][0]
    assert set(our_error) == set(their_error)
    assert our_error["code"] == their_error["code"]
    assert our_error.get("Message") == their_error.get("Message")
    assert ours[envelope]["type"] == theirs[envelope]["type"]


def test_a_token_of_another_company_is_a_403_of_the_recorded_form(sandbox: SandboxClient) -> None:
    name = "fault-403-application-authorization-failed.json"
    ours, theirs = provoke(sandbox, name), load(name)
    assert ours["fault"] == theirs["fault"]


def test_oauth_answers_have_the_recorded_fields(sandbox: SandboxClient) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN}
    where, who = "/oauth2/v1/tokens/bearer", ("sandbox-client", "sandbox-secret")
    answer = sandbox.http.post(where, data=form, auth=who).json()
    assert set(answer) == set(load("oauth-token-response-docs.json"))
    refused = sandbox.http.post(where, data=form, auth=who)
    assert (refused.status_code, refused.json()) == (400, load("oauth-error-invalid-grant.json"))
