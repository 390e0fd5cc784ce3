"""python-quickbooks and intuit-oauth, which nobody here wrote, drive the sandbox."""

from collections.abc import Iterator

import pytest
from intuitlib.client import AuthClient
from intuitlib.enums import Scopes
from intuitlib.exceptions import AuthClientError
from quickbooks import QuickBooks
from quickbooks.batch import batch_create, batch_delete
from quickbooks.cdc import change_data_capture
from quickbooks.exceptions import (
    AuthorizationException,
    ObjectNotFoundException,
    QuickbooksException,
    ValidationException,
)
from quickbooks.objects import (
    CompanyInfo,
    CreditMemo,
    Customer,
    Invoice,
    Item,
    Payment,
    RefundReceipt,
    SalesReceipt,
)
from quickbooks.objects.base import Ref
from quickbooks.objects.detailline import SalesItemLine, SalesItemLineDetail

from quickbooks_sandbox.testing import REALM, REFRESH_TOKEN, SandboxClient

SINCE = "2026-01-01T00:00:00-08:00"


@pytest.fixture
def auth(sandbox: SandboxClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[AuthClient]:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    discovery = f"{sandbox.url}/.well-known/openid_configuration"
    client = AuthClient(
        "sandbox-client", "sandbox-secret", "http://localhost/callback", environment=discovery
    )
    yield client
    client.close()


@pytest.fixture
def books(
    sandbox: SandboxClient, auth: AuthClient, monkeypatch: pytest.MonkeyPatch
) -> Iterator[QuickBooks]:
    monkeypatch.setattr(QuickBooks, "api_url_v3", f"{sandbox.url}/v3")
    client = QuickBooks(
        auth_client=auth, refresh_token=REFRESH_TOKEN, company_id=REALM, minorversion=75
    )
    yield client
    client.session.close()


def desk_invoice(quantity: int, price: int) -> Invoice:
    line = SalesItemLine()
    line.Amount = quantity * price
    line.SalesItemLineDetail = SalesItemLineDetail()
    line.SalesItemLineDetail.ItemRef = Ref()
    line.SalesItemLineDetail.ItemRef.value = "1"
    line.SalesItemLineDetail.Qty = quantity
    line.SalesItemLineDetail.UnitPrice = price
    invoice = Invoice()
    invoice.CustomerRef = Ref()
    invoice.CustomerRef.value = "1"
    invoice.Line.append(line)
    return invoice


def test_refresh_rotates_and_the_old_value_is_dead(auth: AuthClient) -> None:
    auth.refresh(refresh_token=REFRESH_TOKEN)
    rotated = auth.refresh_token
    assert rotated != REFRESH_TOKEN
    assert auth.expires_in == 3600
    assert auth.x_refresh_token_expires_in == 101 * 86_400
    with pytest.raises(AuthClientError, match="invalid_grant"):
        auth.refresh(refresh_token=REFRESH_TOKEN)
    auth.refresh(refresh_token=rotated)


def test_a_revoked_connection_is_over(auth: AuthClient, books: QuickBooks) -> None:
    assert auth.revoke() is True
    with pytest.raises(AuthClientError, match="invalid_grant"):
        auth.refresh()
    with pytest.raises(AuthorizationException):
        Item.all(qb=books)


def test_the_consent_page_gives_a_code_that_works_once(
    sandbox: SandboxClient, auth: AuthClient
) -> None:
    page = sandbox.http.get(auth.get_authorization_url([Scopes.ACCOUNTING], state_token="abc"))
    assert "Cedar &amp; Sons Workshop" in page.text
    link = page.text.split(f'id="connect-{REALM}" href="')[1].split('"')[0].replace("&amp;", "&")
    answer = sandbox.http.get(link)
    assert answer.status_code == 302
    assert answer.next_request is not None
    back = answer.next_request.url
    assert str(back).startswith("http://localhost/callback?")
    assert back.params["state"] == "abc"
    assert back.params["realmId"] == REALM
    auth.get_bearer_token(back.params["code"], realm_id=back.params["realmId"])
    assert auth.get_user_info().json()["email"] == "books@cedar.example"
    with pytest.raises(AuthClientError, match="invalid_grant"):
        auth.get_bearer_token(back.params["code"])


def test_a_code_is_bound_to_its_redirect_uri(sandbox: SandboxClient, auth: AuthClient) -> None:
    answer = sandbox.http.get(
        "/connect/oauth2/answer",
        params={
            "client_id": "sandbox-client",
            "redirect_uri": "http://localhost/callback/",
            "realm": REALM,
        },
    )
    assert answer.next_request is not None
    with pytest.raises(AuthClientError, match="redirect_uri"):
        auth.get_bearer_token(answer.next_request.url.params["code"])


def test_lists_items_by_name_and_counts_them(books: QuickBooks) -> None:
    names = [item.Name for item in Item.all(qb=books)]
    assert names == sorted(names)
    assert "Walnut Desk" in names
    assert Item.count(qb=books) == 8
    assert Item.filter(Name="Walnut Desk", qb=books)[0].Sku == "DSK-WAL"


def test_filters_with_an_apostrophe_and_chooses_by_id(books: QuickBooks) -> None:
    found = Customer.where("DisplayName = 'Maura O\\'Neill'", qb=books)
    assert [customer.Id for customer in found] == ["4"]
    chosen = Item.choose(["1", "2"], qb=books)
    assert {item.Id for item in chosen} == {"1", "2"}


def test_creates_reads_updates_voids_and_deletes_an_invoice(books: QuickBooks) -> None:
    created = desk_invoice(3, 260).save(qb=books)
    assert (created.Id, created.SyncToken, created.TotalAmt) == ("101", "0", 780)
    read = Invoice.get(created.Id, qb=books)
    assert read.Line[0].SalesItemLineDetail.Qty == 3
    read.Line[0].SalesItemLineDetail.Qty = 2
    read.Line[0].Amount = 520
    updated = read.save(qb=books)
    assert (updated.SyncToken, updated.TotalAmt, updated.Line[0].Id) == ("1", 520, "1")
    updated.void(qb=books)
    voided = Invoice.get(created.Id, qb=books)
    assert (voided.SyncToken, voided.TotalAmt, voided.PrivateNote) == ("2", 0, "Voided")
    voided.delete(qb=books)
    with pytest.raises(ObjectNotFoundException):
        Invoice.get(created.Id, qb=books)
    assert Invoice.all(qb=books) == []


def test_a_stale_token_is_refused(books: QuickBooks) -> None:
    created = desk_invoice(1, 260).save(qb=books)
    created.save(qb=books)
    with pytest.raises(QuickbooksException) as refused:
        created.save(qb=books)
    assert refused.value.error_code == 5010


def test_an_amount_that_is_not_quantity_times_price_is_refused(books: QuickBooks) -> None:
    invoice = desk_invoice(2, 260)
    invoice.Line[0].Amount = 500
    with pytest.raises(QuickbooksException) as refused:
        invoice.save(qb=books)
    assert refused.value.error_code == 6070


def test_a_missing_customer_is_refused(books: QuickBooks) -> None:
    invoice = desk_invoice(2, 260)
    invoice.CustomerRef = None
    with pytest.raises(ValidationException) as refused:
        invoice.save(qb=books)
    assert refused.value.error_code == 2020


def test_pages_and_orders_as_asked(sandbox: SandboxClient, books: QuickBooks) -> None:
    sandbox.control("POST", "/generate", {"count": 250, "lines": 1})
    first = Invoice.all(order_by="Id", max_results=100, qb=books)
    last = Invoice.all(order_by="Id", start_position=201, max_results=100, qb=books)
    assert [len(first), len(last)] == [100, 50]
    assert first[0].Id == "101"
    assert last[-1].Id == "350"
    assert Invoice.count(qb=books) == 250
    where = Invoice.where("Id IN ('101')", order_by="MetaData.LastUpdatedTime DESC", qb=books)
    assert len(where) == 1


@pytest.mark.parametrize("model", [SalesReceipt, CreditMemo, RefundReceipt])
def test_the_other_sales_documents_are_listed_saved_and_deleted(
    sandbox: SandboxClient,
    books: QuickBooks,
    model: type[SalesReceipt] | type[CreditMemo] | type[RefundReceipt],
) -> None:
    collection = {
        "SalesReceipt": "sales-receipts",
        "CreditMemo": "credit-memos",
        "RefundReceipt": "refund-receipts",
    }[model.__name__]
    made = sandbox.record(collection, lines=[{"item": "Oak Chair", "qty": 2}])
    listed = model.all(qb=books)
    assert [(sale.Id, sale.TotalAmt) for sale in listed] == [(made["Id"], 190)]
    listed[0].PrivateNote = "seen"
    saved = listed[0].save(qb=books)
    assert (saved.SyncToken, saved.PrivateNote) == ("1", "seen")
    saved.delete(qb=books)
    assert model.all(qb=books) == []


def test_a_sales_receipt_and_a_payment_are_voided(
    sandbox: SandboxClient, books: QuickBooks
) -> None:
    receipt = sandbox.record("sales-receipts", lines=[{"item": "Oak Chair", "qty": 2}])
    SalesReceipt.get(receipt["Id"], qb=books).void(qb=books)
    assert SalesReceipt.get(receipt["Id"], qb=books).TotalAmt == 0
    invoice = sandbox.record("invoices", lines=[{"item": "Oak Chair", "qty": 2}])
    payment = sandbox.record("payments", invoice=invoice["Id"])
    assert Invoice.get(invoice["Id"], qb=books).Balance == 0
    Payment.get(payment["Id"], qb=books).void(qb=books)
    assert Invoice.get(invoice["Id"], qb=books).Balance == 190


def test_makes_an_item_inactive(books: QuickBooks) -> None:
    lamp = Item.get("5", qb=books)
    lamp.Active = False
    saved = lamp.save(qb=books)
    assert saved.Name == "Brass Lamp (deleted)"
    assert "5" not in {item.Id for item in Item.all(qb=books)}
    assert Item.where("Active = false", qb=books)[0].Id == "5"


def test_change_data_capture_reports_changes_and_deletions(
    sandbox: SandboxClient, books: QuickBooks
) -> None:
    kept = desk_invoice(1, 260).save(qb=books)
    gone = desk_invoice(2, 260).save(qb=books)
    gone.delete(qb=books)
    seen = change_data_capture([Invoice, SalesReceipt, Item], SINCE, qb=books)
    assert [(row.Id, getattr(row, "status", None)) for row in seen.Invoice] == [
        (kept.Id, None),
        (gone.Id, "Deleted"),
    ]
    assert len(seen.Item) == 8
    assert not hasattr(seen, "SalesReceipt")
    sandbox.switch(cdc_objects=1)
    assert len(change_data_capture([Invoice], SINCE, qb=books).Invoice) == 1


def test_a_batch_reports_each_item(books: QuickBooks) -> None:
    bad = desk_invoice(1, 260)
    bad.CustomerRef.value = "999"
    answer = batch_create([desk_invoice(1, 260), bad], qb=books)
    assert [len(answer.successes), len(answer.faults)] == [1, 1]
    assert answer.faults[0].Error[0].code == "2500"
    assert len(batch_delete(answer.successes, qb=books).faults) == 0


def test_company_info_can_be_read_and_queried(books: QuickBooks) -> None:
    assert CompanyInfo.get(REALM, qb=books).CompanyName == "Cedar & Sons Workshop"
    assert CompanyInfo.all(qb=books)[0].Country == "US"


def test_an_expired_token_is_a_401(sandbox: SandboxClient, books: QuickBooks) -> None:
    sandbox.control("POST", "/companies/default/tokens/expire")
    with pytest.raises(AuthorizationException):
        Item.all(qb=books)


def test_an_invoice_is_sent_by_email(sandbox: SandboxClient, books: QuickBooks) -> None:
    made = sandbox.record("invoices", lines=[{"item": "Oak Chair"}])
    invoice = Invoice.get(made["Id"], qb=books)
    invoice.send(qb=books, send_to="owner@cedar.example")
    sent = Invoice.get(made["Id"], qb=books)
    assert (sent.EmailStatus, sent.BillEmail.Address) == ("EmailSent", "owner@cedar.example")
