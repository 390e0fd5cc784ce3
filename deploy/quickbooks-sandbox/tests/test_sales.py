"""What becomes of a sale that is sent: totals, taxes, lines, versions, stock."""

from typing import Any

import pytest

from quickbooks_sandbox.testing import SandboxClient

Document = dict[str, Any]
AU = "9130000000000002"


@pytest.fixture
def sydney(sandbox: SandboxClient) -> SandboxClient:
    """A company with tax by line and several currencies."""
    codes = [
        {"id": "10", "rate_id": "20", "percent": 10},
        {"id": "8", "rate_id": "8", "percent": 0},
    ]
    company = {"realm": AU, "country": "AU", "currency": "AUD", "tax_codes": codes, "stocked": True}
    zone = {"time_zone": "Australia/Sydney", "multi_currency": True, "custom_numbers": True}
    sandbox.control("POST", "/companies", company | zone)
    return sandbox


def au_invoice(sandbox: SandboxClient, **form: object) -> Document:
    made: Document = sandbox.control("POST", f"/companies/{AU}/invoices", form)
    return made


def amounts(document: Document) -> list[object]:
    return [line.get("Amount") for line in document["Line"]]


def test_discount_shipping_and_tax_are_added_up_as_in_the_books(sandbox: SandboxClient) -> None:
    made = sandbox.record(
        "invoices",
        lines=[{"item": "Design Hours", "qty": 1, "price": 50}],
        discount_percent=10,
        shipping=2,
        tax_code="2",
        deposit=12,
    )
    assert amounts(made) == [50, 50, 5, 2]
    assert made["TxnTaxDetail"]["TotalTax"] == 4
    assert (made["TotalAmt"], made["Balance"]) == (51, 39)
    shipping = made["Line"][3]
    assert shipping["SalesItemLineDetail"] == {"ItemRef": {"value": "SHIPPING_ITEM_ID"}}
    assert "Id" not in shipping


def test_tax_may_come_after_the_discount(sandbox: SandboxClient) -> None:
    lines = [{"item": "Oak Chair", "qty": 1, "price": 100}]
    form = {"lines": lines, "tax_code": "2", "discount_amount": 50}
    before = sandbox.record("invoices", **form)
    after = sandbox.record("invoices", **form, tax_after_discount=True)
    assert (before["TxnTaxDetail"]["TotalTax"], before["TotalAmt"]) == (8, 58)
    assert (after["TxnTaxDetail"]["TotalTax"], after["TotalAmt"]) == (4, 54)


def test_a_percent_discount_is_rounded_half_up(sandbox: SandboxClient) -> None:
    lines = [{"item": "Oak Chair", "qty": 1, "price": "10.10"}]
    made = sandbox.record("invoices", lines=lines, discount_percent=5)
    assert amounts(made) == [10.1, 10.1, 0.51]
    assert made["TotalAmt"] == 9.59


def test_a_bundle_has_its_components_and_no_amount_of_its_own(sandbox: SandboxClient) -> None:
    made = sandbox.record("invoices", lines=[{"bundle": "Study Corner", "qty": 3}])
    group = made["Line"][0]
    assert (group["Amount"], group["GroupLineDetail"]["Quantity"]) == (0, 3)
    children = group["GroupLineDetail"]["Line"]
    assert [child["SalesItemLineDetail"]["Qty"] for child in children] == [3, 6]
    assert [child["LineNum"] for child in children] == [2, 3]
    assert made["TotalAmt"] == 3 * 260 + 6 * 95


def test_a_line_without_quantity_keeps_neither_quantity_nor_price(sandbox: SandboxClient) -> None:
    made = sandbox.record("invoices", lines=[{"item": "Oak Chair", "amount": 100}])
    detail = made["Line"][0]["SalesItemLineDetail"]
    assert "Qty" not in detail
    assert "UnitPrice" not in detail


def test_a_line_without_item_and_a_description_line(sandbox: SandboxClient) -> None:
    lines = [{"amount": 12, "description": "Markup"}, {"description": "Thank you"}]
    made = sandbox.record("invoices", lines=lines)
    assert "ItemRef" not in made["Line"][0]["SalesItemLineDetail"]
    assert made["Line"][1]["DetailType"] == "DescriptionOnly"
    assert "Amount" not in made["Line"][1]
    assert made["TotalAmt"] == 12


def test_a_price_is_computed_to_seven_places_from_amount_and_quantity(
    sandbox: SandboxClient,
) -> None:
    line = {"DetailType": "SalesItemLineDetail", "Amount": 7.96}
    line |= {"SalesItemLineDetail": {"ItemRef": {"value": "2"}, "Qty": 15}}
    body = {"CustomerRef": {"value": "1"}, "Line": [line]}
    made = sandbox.post("invoice", body).json()["Invoice"]
    assert made["Line"][0]["SalesItemLineDetail"]["UnitPrice"] == 0.5306667
    assert sandbox.post("invoice", made | {"PrivateNote": "again"}).status_code == 200


def test_tax_inclusive_lines_are_net_with_the_gross_beside(sydney: SandboxClient) -> None:
    lines = [
        {"item": "Walnut Desk", "qty": 3, "gross": "6600", "price": 2000, "tax_code": "10"},
        {"item": "Oak Chair", "qty": 1, "price": 100, "tax_code": "8"},
    ]
    made = au_invoice(sydney, lines=lines, tax_mode="TaxInclusive", txn_date="2026-02-01")
    assert amounts(made) == [6000, 100, 6100]
    assert made["Line"][0]["SalesItemLineDetail"]["TaxInclusiveAmt"] == 6600
    assert made["TxnTaxDetail"]["TotalTax"] == 600
    assert [line["Amount"] for line in made["TxnTaxDetail"]["TaxLine"]] == [600, 0]
    assert (made["TotalAmt"], made["GlobalTaxCalculation"]) == (6700, "TaxInclusive")
    assert "DocNumber" not in made


def test_a_foreign_invoice_has_home_amounts(sydney: SandboxClient) -> None:
    lines = [{"item": "Walnut Desk", "qty": 1, "price": "33.33", "tax_code": "8"}]
    made = au_invoice(sydney, lines=lines, currency="EUR", exchange_rate="1.65")
    assert made["CurrencyRef"] == {"value": "EUR", "name": "Euro"}
    assert (made["ExchangeRate"], made["HomeTotalAmt"], made["HomeBalance"]) == (1.65, 54.99, 54.99)


def test_a_foreign_currency_is_refused_where_there_is_only_one(sandbox: SandboxClient) -> None:
    form = {"lines": [{"item": "Oak Chair"}], "currency": "EUR"}
    answer = sandbox.http.post("/control/companies/default/invoices", json=form)
    assert answer.status_code == 422
    assert "multi-currency is off" in answer.json()["detail"]


def test_the_date_of_a_sale_is_the_companys_own(sydney: SandboxClient) -> None:
    sydney.fix_clock("2026-04-28T07:41:49-07:00")
    made = au_invoice(sydney, lines=[{"item": "Oak Chair"}])
    assert made["TxnDate"] == "2026-04-29"
    assert made["MetaData"]["CreateTime"] == "2026-04-28T07:41:49-07:00"


def test_a_full_update_without_line_ids_renumbers_lines(sandbox: SandboxClient) -> None:
    made = sandbox.record("invoices", lines=[{"item": "Oak Chair"}, {"item": "Assembly"}])
    assert [line.get("Id") for line in made["Line"]] == ["1", "2", None]
    lines = [{k: v for k, v in line.items() if k != "Id"} for line in made["Line"]]
    renumbered = sandbox.post("invoice", made | {"Line": lines}).json()["Invoice"]
    assert [line.get("Id") for line in renumbered["Line"]] == ["3", "4", None]
    assert renumbered["SyncToken"] == "1"
    assert renumbered["TotalAmt"] == made["TotalAmt"]


def test_a_full_update_clears_what_is_left_out_and_a_sparse_one_keeps_it(
    sandbox: SandboxClient,
) -> None:
    made = sandbox.record("invoices", lines=[{"item": "Oak Chair"}], private_note="Keep me")
    sparse = {"Id": made["Id"], "SyncToken": "0", "sparse": True, "DueDate": "2027-01-01"}
    kept = sandbox.post("invoice", sparse).json()["Invoice"]
    assert (kept["PrivateNote"], kept["DueDate"]) == ("Keep me", "2027-01-01")
    full = {name: kept[name] for name in ("Id", "SyncToken", "CustomerRef", "Line")}
    cleared = sandbox.post("invoice", full).json()["Invoice"]
    assert "PrivateNote" not in cleared
    assert cleared["DocNumber"] == made["DocNumber"]
    assert cleared["TxnDate"] == made["TxnDate"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"CustomerRef": None}, "2020"),
        ({"Line": []}, "2020"),
        ({"CustomerRef": {"value": "77"}}, "2500"),
        ({"Surprise": 1}, "2010"),
        ({"DocNumber": "1234567890123456789012"}, "2050"),
        ({"TxnDate": "soon"}, "2040"),
        ({"Line": [{"Amount": 5}]}, "2020"),
        ({"Line": [{"DetailType": "SalesItemLineDetail"}]}, "2020"),
        ({"Line": [{"DetailType": "SalesItemLineDetail", "Amount": "five"}]}, "2090"),
        ({"Line": [{"DetailType": "SalesItemLineDetail", "Amount": -5}]}, "6000"),
    ],
)
def test_a_sale_that_the_books_refuse(sandbox: SandboxClient, change: Document, code: str) -> None:
    body = {
        "CustomerRef": {"value": "1"},
        "Line": [{"DetailType": "SalesItemLineDetail", "Amount": 5}],
    }
    answer = sandbox.post("invoice", body | change)
    assert (answer.status_code, answer.json()["Fault"]["Error"][0]["code"]) == (400, code)
    assert sandbox.rows("Invoice") == []


def test_an_unknown_and_an_inactive_item_are_refused(sandbox: SandboxClient) -> None:
    sandbox.change("POST", "items/5/update", Active=False)
    for item, code in (("99", "2500"), ("5", "610")):
        detail = {"ItemRef": {"value": item}, "Qty": 1, "UnitPrice": 1}
        line = {"DetailType": "SalesItemLineDetail", "Amount": 1, "SalesItemLineDetail": detail}
        answer = sandbox.post("salesreceipt", {"Line": [line]})
        assert answer.json()["Fault"]["Error"][0]["code"] == code


def test_a_receipt_needs_no_customer_and_is_paid(sandbox: SandboxClient) -> None:
    made = sandbox.record("sales-receipts", lines=[{"item": "Oak Chair", "qty": 1}])
    assert "CustomerRef" not in made
    assert made["Balance"] == 0
    assert made["DepositToAccountRef"]["name"] == "Undeposited Funds"


def test_a_sale_moves_the_stock_version_and_time_of_its_items(sandbox: SandboxClient) -> None:
    sandbox.fix_clock("2026-05-01T10:00:00-07:00")
    sandbox.record("invoices", lines=[{"item": "Walnut Desk", "qty": 5}, {"item": "Assembly"}])
    desk = sandbox.change("GET", "items/1")
    assert (desk["QtyOnHand"], desk["SyncToken"]) == (70, "1")
    assert desk["MetaData"]["LastUpdatedTime"] == "2026-05-01T10:00:00-07:00"
    assert sandbox.change("GET", "items/3")["SyncToken"] == "0"
    sandbox.record("credit-memos", lines=[{"item": "Walnut Desk", "qty": 2}])
    assert sandbox.change("GET", "items/1")["QtyOnHand"] == 72
    invoice = sandbox.rows("Invoice")[0]
    sandbox.change("PATCH", f"invoices/{invoice['Id']}", qty=1)
    assert sandbox.change("GET", "items/1")["QtyOnHand"] == 76
    sandbox.change("DELETE", f"invoices/{invoice['Id']}")
    assert sandbox.change("GET", "items/1")["QtyOnHand"] == 77


def test_numbers_follow_the_last_one_and_may_repeat_unless_refused(sandbox: SandboxClient) -> None:
    line = [{"item": "Oak Chair"}]
    assert sandbox.record("invoices", lines=line)["DocNumber"] == "1001"
    sandbox.record("invoices", lines=line, doc_number="2000")
    assert sandbox.record("sales-receipts", lines=line)["DocNumber"] == "2001"
    sandbox.record("invoices", lines=line, doc_number="2000")
    sandbox.switch(duplicate_numbers="reject")
    refused = sandbox.http.post(
        "/control/companies/default/invoices", json={"lines": line, "doc_number": "2000"}
    )
    assert refused.json()["code"] == "6140"


def test_a_request_id_makes_a_write_happen_once(sandbox: SandboxClient) -> None:
    line = {"DetailType": "SalesItemLineDetail", "Amount": 5}
    body = {"CustomerRef": {"value": "1"}, "Line": [line]}
    first = sandbox.post("invoice", body, requestid="abc").json()["Invoice"]
    again = sandbox.post("invoice", body, requestid="abc").json()["Invoice"]
    assert first == again
    assert len(sandbox.rows("Invoice")) == 1
    other = sandbox.post("invoice", body | {"PrivateNote": "x"}, requestid="abc")
    assert other.json()["Fault"]["Error"][0]["code"] == "600"


def test_an_email_moves_status_version_and_time_only(sandbox: SandboxClient) -> None:
    sandbox.fix_clock("2026-05-01T10:00:00-07:00")
    made = sandbox.record("invoices", lines=[{"item": "Oak Chair"}], customer="1")
    sandbox.control("PUT", "/clock", {"advance_seconds": 90})
    sent = sandbox.post(f"invoice/{made['Id']}/send", "").json()["Invoice"]
    changed = {name for name in sent if sent[name] != made.get(name)}
    assert changed == {"SyncToken", "MetaData", "EmailStatus", "DeliveryInfo"}
    assert sent["EmailStatus"] == "EmailSent"
    assert sent["MetaData"]["LastUpdatedTime"] == "2026-05-01T10:01:30-07:00"


def test_a_merged_item_hands_its_lines_over_and_is_inactive(sandbox: SandboxClient) -> None:
    made = sandbox.record(
        "invoices", lines=[{"item": "Brass Lamp", "qty": 2}, {"bundle": "Study Corner"}]
    )
    sandbox.change("POST", "items/5/merge", into="2")
    sandbox.change("POST", "items/1/merge", into="2")
    row = sandbox.rows("Invoice")[0]
    first, bundle = row["Line"][0], row["Line"][1]["GroupLineDetail"]["Line"]
    assert first["SalesItemLineDetail"]["ItemRef"] == {"value": "2", "name": "Oak Chair"}
    assert [line["SalesItemLineDetail"]["ItemRef"]["value"] for line in bundle] == ["2", "2"]
    assert (row["SyncToken"], row["TotalAmt"]) == ("2", made["TotalAmt"])
    gone = sandbox.rows("Item", "Active = false")
    assert {item["Name"] for item in gone} == {"Brass Lamp (deleted)", "Walnut Desk (deleted)"}
    assert sandbox.change("GET", "items/5")["QtyOnHand"] == 40
