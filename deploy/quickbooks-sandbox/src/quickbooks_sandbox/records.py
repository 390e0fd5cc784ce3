"""The part of the control API that changes the books.

Law: every change goes the way of a client's own request, but for tombstones and verbatim records,
which exist to hand out what the real service could only hand out by mistake.
"""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import Field

from quickbooks_sandbox import api, bookkeeping, generator, wire
from quickbooks_sandbox.books import Row, Tombstone
from quickbooks_sandbox.clock import parse_instant
from quickbooks_sandbox.entities import CUSTOMER, ITEM, PAYMENT, Entity
from quickbooks_sandbox.forms import (
    CustomerForm,
    Form,
    FormError,
    ItemForm,
    PaymentForm,
    SaleChange,
    SaleForm,
    change_body,
    item_body,
    item_row,
    payment_body,
    sale_body,
    sale_row,
)
from quickbooks_sandbox.sandbox import Sandbox
from quickbooks_sandbox.versions import Desk

SaleCollection = Literal["invoices", "sales-receipts", "credit-memos", "refund-receipts"]
Transactions = SaleCollection | Literal["payments"]
Collection = Transactions | Literal["items", "customers"]
ENTITY: dict[str, Entity] = {
    **generator.KINDS,
    "payments": PAYMENT,
    "items": ITEM,
    "customers": CUSTOMER,
}
DEFAULT = "default"
COMPANY = "/control/companies/{realm}"


router = APIRouter(tags=["books"])


async def at_desk(realm: str, request: Request) -> Desk:
    """The desk of the company in the path."""
    return desk_of(request.app.state.sandbox, realm)


AtDesk = Annotated[Desk, Depends(at_desk)]


class EmailForm(Form):
    """Where to send a sale."""

    address: str | None = None


class MergeForm(Form):
    """Which item survives."""

    into: str


class TombstoneForm(Form):
    """A deletion to report, whether or not it happened."""

    collection: SaleCollection
    id: str = Field(pattern=r"^\d{1,20}$")


@router.post("/control/generate", status_code=201)
async def generate(form: generator.GenerateForm, request: Request) -> Response:
    """Record any number of realistic sales, the same ones for the same seed."""
    desk = desk_of(request.app.state.sandbox, form.realm or DEFAULT)
    return json_answer(generator.generate(desk, form), 201)


@router.post(COMPANY + "/items", status_code=201)
async def create_item(form: ItemForm, desk: AtDesk) -> Response:
    """Create an item."""
    return _row(api.create(desk, ITEM, item_body(desk, form), _second(form.at)), 201)


@router.post(COMPANY + "/customers", status_code=201)
async def create_customer(form: CustomerForm, desk: AtDesk) -> Response:
    """Create a customer."""
    body: wire.Document = {"DisplayName": form.name}
    if form.email is not None:
        body["PrimaryEmailAddr"] = {"Address": form.email}
    return _row(api.create(desk, CUSTOMER, body, _second(form.at)), 201)


@router.post(COMPANY + "/payments", status_code=201)
async def create_payment(form: PaymentForm, desk: AtDesk) -> Response:
    """Record a payment, or apply a credit memo to an invoice."""
    return _row(api.create(desk, PAYMENT, payment_body(desk, form), _second(form.at)), 201)


@router.post(COMPANY + "/tombstones", status_code=201)
async def bury(form: TombstoneForm, desk: AtDesk) -> Response:
    """Let CDC report a deletion, also of a record that lives."""
    stone = Tombstone(ENTITY[form.collection], form.id, desk.clock.second())
    desk.books.bury(stone)
    return Response(stone.body(), 201, media_type="application/json")


@router.post(COMPANY + "/{collection}", status_code=201)
async def create_sale(collection: SaleCollection, form: SaleForm, desk: AtDesk) -> Response:
    """Create an invoice, sales receipt, credit memo or refund receipt."""
    entity = ENTITY[collection]
    return _row(api.create(desk, entity, sale_body(desk, entity, form), _second(form.at)), 201)


@router.get(COMPANY + "/{collection}")
async def list_records(collection: Collection, desk: AtDesk) -> Response:
    """Show all live records of a kind, oldest change first."""
    rows = desk.books.table(ENTITY[collection]).between(None, None)
    text = ",".join(row.body() for row in rows)
    return Response(f"[{text}]", media_type="application/json")


@router.get(COMPANY + "/{collection}/{record}")
async def show_record(collection: Collection, record: str, desk: AtDesk) -> Response:
    """Show one record, by id or DocNumber."""
    return _row(sale_row(desk, ENTITY[collection], record))


@router.patch(COMPANY + "/{collection}/{record}")
async def change_sale(
    collection: SaleCollection, record: str, form: SaleChange, desk: AtDesk
) -> Response:
    """Change a line's quantity, price or item, all lines, or the header."""
    row = sale_row(desk, ENTITY[collection], record)
    return _row(api.update(desk, row, change_body(desk, row, form)))


@router.post(COMPANY + "/{collection}/{record}/update")
async def update_record(
    collection: Collection,
    record: str,
    body: Annotated[wire.Document, Body()],
    desk: AtDesk,
) -> Response:
    """Change any record by a sparse body in QuickBooks' own form, without SyncToken."""
    row = sale_row(desk, ENTITY[collection], record)
    plain = {name: wire.plain(value) for name, value in body.items()}
    full = plain | {"Id": row.id, "SyncToken": str(row.sync_token), "sparse": True}
    return _row(api.update(desk, row, full))


@router.post(COMPANY + "/items/{record}/merge")
async def merge(record: str, form: MergeForm, desk: AtDesk) -> Response:
    """Merge an item into another: its lines move, and it becomes inactive."""
    return _row(bookkeeping.merge_items(desk, item_row(desk, record), item_row(desk, form.into)))


@router.post(COMPANY + "/{collection}/{record}/void")
async def void(collection: Transactions, record: str, desk: AtDesk) -> Response:
    """Void a sale or payment, memos too, as the user interface can."""
    return _row(api.void(desk, sale_row(desk, ENTITY[collection], record)))


@router.post(COMPANY + "/{collection}/{record}/email")
async def email(collection: SaleCollection, record: str, form: EmailForm, desk: AtDesk) -> Response:
    """Mark a sale as sent by e-mail."""
    row = sale_row(desk, ENTITY[collection], record)
    address = form.address or row.document.get("BillEmail", {}).get("Address")
    return _row(bookkeeping.email_sale(desk, row, address or "customer@cedar.example"))


@router.post(COMPANY + "/{collection}/{record}/touch")
async def touch(collection: SaleCollection, record: str, desk: AtDesk) -> Response:
    """Save a sale without changing anything visible: only version and time move."""
    row = sale_row(desk, ENTITY[collection], record)
    body = {"SyncToken": str(row.sync_token), "sparse": True}
    return _row(api.update(desk, row, body))


@router.put(COMPANY + "/{collection}/{record}/verbatim")
async def put_verbatim(
    collection: Collection,
    record: str,
    request: Request,
    desk: AtDesk,
    updated: datetime | None = None,
) -> Response:
    """Put any text in as the record's JSON, to be handed out as it is."""
    text = (await request.body()).decode("utf-8", errors="replace")
    row = _verbatim(desk, ENTITY[collection], record, text, _second(updated))
    desk.books.put(row)
    return _row(row)


@router.delete(COMPANY + "/{collection}/{record}")
async def delete(collection: Transactions, record: str, desk: AtDesk) -> Response:
    """Delete a sale or payment for good; CDC keeps a tombstone."""
    row = sale_row(desk, ENTITY[collection], record)
    api.delete(desk, row)
    return json_answer({"deleted": row.id})


def desk_of(sandbox: Sandbox, realm: str) -> Desk:
    """The desk of a company; `default` is the first one.

    Raises: FormError with the companies there are.
    """
    known = list(sandbox.companies)
    wanted = known[0] if realm == DEFAULT and known else realm
    if wanted not in sandbox.companies:
        raise FormError(f"there is no company {realm!r}; there are: {', '.join(known) or 'none'}")
    return sandbox.desk(wanted)


def instant(text: str) -> datetime:
    """A date-time of a form.

    Raises: FormError.
    """
    try:
        return parse_instant(text)
    except ValueError as error:
        raise FormError(f"{text!r} is no date-time such as 2026-01-31T09:00:00-08:00") from error


def json_answer(value: object, status: int = 200) -> Response:
    """An answer of the control API."""
    return Response(wire.encode(wire.plain(value)), status, media_type="application/json")


def _verbatim(desk: Desk, entity: Entity, record: str, text: str, at: int | None) -> Row:
    """A row that shows the text as it is; what filters need is read from it if it can be."""
    if not (record.isascii() and record.isdigit()):
        raise FormError(f"a record's id is a number, not {record!r}")
    try:
        parsed = wire.decode(text)
    except (ValueError, RecursionError):
        parsed = None
    document: wire.Document = {"Id": record}
    if isinstance(parsed, dict):
        filters = {name for name in entity.filters if name in parsed}
        document |= {name: parsed[name] for name in filters} | {"Id": record}
    second = at if at is not None else desk.clock.second()
    return Row(entity, document, second, second, text, verbatim=True)


def _second(moment: datetime | None) -> int | None:
    return None if moment is None else int(instant(moment.isoformat()).timestamp())


def _row(row: Row, status: int = 200) -> Response:
    return Response(row.body(), status, media_type="application/json")
