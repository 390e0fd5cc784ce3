"""The control API: what tests and demos do to the books, the clock, the tokens and the network.

Law: nothing here needs a token, so it listens where the sandbox listens, on loopback; every change of
the books goes the way of a client's own request.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from pydantic import Field

from quickbooks_sandbox import api, bookkeeping, generator, wire
from quickbooks_sandbox.books import Profile, Row, TaxCode, Tombstone
from quickbooks_sandbox.clock import milliseconds_text, parse_instant
from quickbooks_sandbox.entities import (
    CUSTOMER,
    ITEM,
    PAYMENT,
    Entity,
)
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
    payment_body,
    sale_body,
    sale_row,
)
from quickbooks_sandbox.sandbox import Sandbox
from quickbooks_sandbox.switches import Switches
from quickbooks_sandbox.traffic import Disturbance
from quickbooks_sandbox.versions import Desk

Collection = Literal[
    "invoices",
    "sales-receipts",
    "credit-memos",
    "refund-receipts",
    "payments",
    "items",
    "customers",
]
SaleCollection = Literal["invoices", "sales-receipts", "credit-memos", "refund-receipts"]
ENTITY: dict[str, Entity] = {
    **generator.KINDS,
    "payments": PAYMENT,
    "items": ITEM,
    "customers": CUSTOMER,
}
DEFAULT = "default"


class ClockForm(Form):
    """Where the clock goes: one of the four."""

    fixed: str | None = Field(None, description="Stand still at this date-time.")
    offset_seconds: float | None = Field(None, description="Run, this far from real time.")
    advance_seconds: float | None = Field(None, description="Jump from where it is.")
    real: bool = Field(False, description="Run as real time.")


class TaxCodeForm(Form):
    """A tax code."""

    id: str
    rate_id: str
    percent: Annotated[Decimal, Field(allow_inf_nan=False)]


class CompanyForm(Form):
    """A company; the books start empty."""

    realm: str = Field(pattern=r"^\d{1,20}$")
    name: str = "Another Workshop"
    country: str = "US"
    currency: str = "USD"
    time_zone: str = "America/Los_Angeles"
    multi_currency: bool = False
    custom_numbers: bool = False
    tax_codes: list[TaxCodeForm] = Field(
        default_factory=lambda: [TaxCodeForm(id="2", rate_id="3", percent=Decimal(8))]
    )
    stocked: bool = Field(False, description="Put the default items and customers in.")
    refresh_token: str | None = Field(None, description="A refresh token to start with.")


class GrantForm(Form):
    """A connection to make."""

    refresh_token: str | None = Field(None, description="A value of your own choice.")


class EmailForm(Form):
    """Where to send a sale."""

    address: str | None = None


class TombstoneForm(Form):
    """A deletion to report, whether or not it happened."""

    collection: SaleCollection
    id: str = Field(pattern=r"^\d{1,20}$")


def router(sandbox: Sandbox) -> APIRouter:
    """All routes of the control API."""
    routes = APIRouter()
    routes.include_router(_world(sandbox), tags=["world"])
    routes.include_router(_network(sandbox), tags=["network"])
    routes.include_router(_connections(sandbox), tags=["companies and tokens"])
    routes.include_router(_records(sandbox), tags=["books"])
    return routes


def _world(sandbox: Sandbox) -> APIRouter:
    routes = APIRouter()

    @routes.get("/control")
    async def overview() -> Response:
        """Show companies, credentials, clock and switches."""
        return _json(_overview(sandbox))

    @routes.post("/control/reset")
    async def reset() -> Response:
        """Go back to the state of a fresh start, the data file included."""
        sandbox.reset()
        return _json(_overview(sandbox))

    @routes.put("/control/clock")
    async def set_clock(form: ClockForm) -> Response:
        """Fix, shift, advance or release the clock."""
        if form.fixed is not None:
            sandbox.clock.fix(_instant(form.fixed))
        elif form.offset_seconds is not None:
            sandbox.clock.shift(timedelta(seconds=form.offset_seconds))
        elif form.advance_seconds is not None:
            sandbox.clock.advance(timedelta(seconds=form.advance_seconds))
        elif form.real:
            sandbox.clock.shift(timedelta(0))
        else:
            raise FormError("give one of fixed, offset_seconds, advance_seconds or real")
        sandbox.save_clock()
        return _json({"now": milliseconds_text(sandbox.clock.now())})

    @routes.get("/control/switches")
    async def switches() -> Response:
        """Show every switch; the schema at /docs explains them."""
        return _json(sandbox.switches.model_dump())

    @routes.patch("/control/switches")
    async def set_switches(values: Annotated[dict[str, object], Body()]) -> Response:
        """Set some switches; all or none of them change."""
        checked = Switches.model_validate(sandbox.switches.model_dump() | values)
        for name in values:
            setattr(sandbox.switches, name, getattr(checked, name))
        sandbox.save_switches()
        return _json(sandbox.switches.model_dump())

    return routes


def _network(sandbox: Sandbox) -> APIRouter:
    routes = APIRouter()

    @routes.get("/control/faults")
    async def faults_planted() -> Response:
        """Show what was planted, and how often each was met."""
        return _json([planted.model_dump() for planted in sandbox.disturbances.planted])

    @routes.post("/control/faults", status_code=201)
    async def plant(disturbance: Disturbance) -> Response:
        """Let something go wrong with the next requests that match."""
        sandbox.disturbances.planted.append(disturbance)
        return _json(disturbance.model_dump(), 201)

    @routes.delete("/control/faults")
    async def clear_faults() -> Response:
        """Forget all that was planted."""
        sandbox.disturbances.planted.clear()
        return _json([])

    @routes.get("/control/requests")
    async def requests(since: Annotated[int, Query(ge=0)] = 0) -> Response:
        """Show the counters, and the log after line `since`."""
        entries = sandbox.log.since(since)
        last = sandbox.log.number
        counters = dict(sandbox.log.counters)
        return _json({"last": last, "counters": counters, "requests": entries})

    @routes.delete("/control/requests")
    async def clear_requests() -> Response:
        """Forget the log and set the counters to zero, the monthly reads included."""
        sandbox.log.clear()
        sandbox.limits.reads.clear()
        return _json({"last": sandbox.log.number, "counters": {}, "requests": []})

    return routes


def _connections(sandbox: Sandbox) -> APIRouter:
    routes = APIRouter()

    @routes.post("/control/companies", status_code=201)
    async def open_company(form: CompanyForm) -> Response:
        """Create a company, or replace one with the same realm."""
        codes = tuple(TaxCode(c.id, c.rate_id, c.percent) for c in form.tax_codes)
        facts = form.model_dump(exclude={"tax_codes", "stocked", "refresh_token"})
        profile = Profile(**facts, tax_codes=codes)
        try:
            _ = profile.zone
        except (KeyError, ValueError) as error:
            raise FormError(f"there is no time zone {form.time_zone!r}") from error
        desk = sandbox.open_company(profile)
        if form.stocked:
            sandbox.stock(desk)
        if form.refresh_token is not None:
            sandbox.tokens.open_grant(form.realm, form.refresh_token)
            sandbox.save_tokens()
        return _json(_company(sandbox, form.realm), 201)

    @routes.delete("/control/companies/{realm}")
    async def close_company(realm: str) -> Response:
        """Remove a company and its connections."""
        sandbox.close_company(_desk(sandbox, realm).books.profile.realm)
        return _json({"closed": realm})

    @routes.post("/control/companies/{realm}/tokens", status_code=201)
    async def connect(realm: str, form: GrantForm) -> Response:
        """Make a connection, as if the owner had said yes; both tokens come back."""
        owner = _desk(sandbox, realm).books.profile.realm
        grant = sandbox.tokens.open_grant(owner, form.refresh_token)
        answer = sandbox.tokens.answer(grant)
        sandbox.save_tokens()
        return _json(answer | {"realmId": owner}, 201)

    @routes.post("/control/companies/{realm}/tokens/expire")
    async def expire(realm: str) -> Response:
        """Expire the access tokens now; refresh tokens live on."""
        count = sandbox.tokens.expire_access(_desk(sandbox, realm).books.profile.realm)
        sandbox.save_tokens()
        return _json({"expired": count})

    @routes.post("/control/companies/{realm}/tokens/revoke")
    async def disconnect(realm: str) -> Response:
        """End all connections, as when the owner disconnects the app in QuickBooks."""
        count = sandbox.tokens.revoke_realm(_desk(sandbox, realm).books.profile.realm)
        sandbox.save_tokens()
        return _json({"revoked": count})

    return routes


def _records(sandbox: Sandbox) -> APIRouter:  # noqa: C901 - one nested function for each route
    routes = APIRouter()
    at_desk = Depends(lambda realm: _desk(sandbox, realm))

    @routes.post("/control/generate", status_code=201)
    async def generate(form: generator.GenerateForm) -> Response:
        """Record any number of realistic sales, the same ones for the same seed."""
        desk = _desk(sandbox, form.realm or DEFAULT)
        return _json(generator.generate(desk, form), 201)

    @routes.post("/control/companies/{realm}/items", status_code=201)
    async def create_item(form: ItemForm, desk: Desk = at_desk) -> Response:
        """Create an item."""
        return _row(api.create(desk, ITEM, item_body(desk, form), _second(form.at)), 201)

    @routes.post("/control/companies/{realm}/customers", status_code=201)
    async def create_customer(form: CustomerForm, desk: Desk = at_desk) -> Response:
        """Create a customer."""
        body: wire.Document = {"DisplayName": form.name}
        if form.email is not None:
            body["PrimaryEmailAddr"] = {"Address": form.email}
        return _row(api.create(desk, CUSTOMER, body, _second(form.at)), 201)

    @routes.post("/control/companies/{realm}/payments", status_code=201)
    async def create_payment(form: PaymentForm, desk: Desk = at_desk) -> Response:
        """Record a payment, or apply a credit memo to an invoice."""
        return _row(api.create(desk, PAYMENT, payment_body(desk, form), _second(form.at)), 201)

    @routes.post("/control/companies/{realm}/tombstones", status_code=201)
    async def bury(form: TombstoneForm, desk: Desk = at_desk) -> Response:
        """Let CDC report a deletion, also of a record that lives."""
        stone = Tombstone(ENTITY[form.collection], form.id, desk.clock.second())
        desk.books.bury(stone)
        return Response(stone.body(), 201, media_type="application/json")

    @routes.post("/control/companies/{realm}/{collection}", status_code=201)
    async def create_sale(
        collection: SaleCollection, form: SaleForm, desk: Desk = at_desk
    ) -> Response:
        """Create an invoice, sales receipt, credit memo or refund receipt."""
        entity = ENTITY[collection]
        body = sale_body(desk, entity, form)
        return _row(api.create(desk, entity, body, _second(form.at)), 201)

    @routes.get("/control/companies/{realm}/{collection}")
    async def list_records(collection: Collection, desk: Desk = at_desk) -> Response:
        """Show all live records of a kind, oldest change first."""
        rows = desk.books.table(ENTITY[collection]).between(None, None)
        text = ",".join(row.body() for row in rows)
        return Response(f"[{text}]", media_type="application/json")

    @routes.get("/control/companies/{realm}/{collection}/{record}")
    async def show_record(collection: Collection, record: str, desk: Desk = at_desk) -> Response:
        """Show one record, by id or DocNumber."""
        return _row(sale_row(desk, ENTITY[collection], record))

    @routes.patch("/control/companies/{realm}/{collection}/{record}")
    async def change_sale(
        collection: SaleCollection, record: str, form: SaleChange, desk: Desk = at_desk
    ) -> Response:
        """Change a line's quantity, price or item, all lines, or the header."""
        row = sale_row(desk, ENTITY[collection], record)
        return _row(api.update(desk, row, change_body(desk, row, form)))

    @routes.post("/control/companies/{realm}/{collection}/{record}/update")
    async def update_record(
        collection: Collection,
        record: str,
        body: Annotated[wire.Document, Body()],
        desk: Desk = at_desk,
    ) -> Response:
        """Change any record by a sparse body in QuickBooks' own form, without SyncToken."""
        row = sale_row(desk, ENTITY[collection], record)
        plain = {name: wire.plain(value) for name, value in body.items()}
        full = plain | {"Id": row.id, "SyncToken": str(row.sync_token), "sparse": True}
        return _row(api.update(desk, row, full))

    @routes.post("/control/companies/{realm}/{collection}/{record}/void")
    async def void(
        collection: SaleCollection | Literal["payments"], record: str, desk: Desk = at_desk
    ) -> Response:
        """Void a sale or payment, memos too, as the user interface can."""
        return _row(api.void(desk, sale_row(desk, ENTITY[collection], record)))

    @routes.post("/control/companies/{realm}/{collection}/{record}/email")
    async def email(
        collection: SaleCollection, record: str, form: EmailForm, desk: Desk = at_desk
    ) -> Response:
        """Mark a sale as sent by e-mail."""
        row = sale_row(desk, ENTITY[collection], record)
        address = form.address or row.document.get("BillEmail", {}).get("Address")
        return _row(bookkeeping.email_sale(desk, row, address or "customer@example.com"))

    @routes.post("/control/companies/{realm}/{collection}/{record}/touch")
    async def touch(collection: SaleCollection, record: str, desk: Desk = at_desk) -> Response:
        """Save a sale without changing anything visible: only version and time move."""
        row = sale_row(desk, ENTITY[collection], record)
        body = {"SyncToken": str(row.sync_token), "sparse": True}
        return _row(api.update(desk, row, body))

    @routes.put("/control/companies/{realm}/{collection}/{record}/verbatim")
    async def put_verbatim(
        collection: Collection,
        record: str,
        request: Request,
        updated: datetime | None = None,
        desk: Desk = at_desk,
    ) -> Response:
        """Put any bytes in as the record's JSON, to be handed out as they are."""
        text = (await request.body()).decode("utf-8", errors="replace")
        row = _verbatim(desk, ENTITY[collection], record, text, _second(updated))
        desk.books.put(row)
        return _row(row)

    @routes.delete("/control/companies/{realm}/{collection}/{record}")
    async def delete(
        collection: SaleCollection | Literal["payments"], record: str, desk: Desk = at_desk
    ) -> Response:
        """Delete a sale or payment for good; CDC keeps a tombstone."""
        row = sale_row(desk, ENTITY[collection], record)
        api.delete(desk, row)
        return _json({"deleted": row.id})

    return routes


def _verbatim(desk: Desk, entity: Entity, record: str, text: str, at: int | None) -> Row:
    """A row that shows the text as it is; what filters need is read from it if it can be."""
    if not record.isdigit():
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


def _desk(sandbox: Sandbox, realm: str) -> Desk:
    known = list(sandbox.companies)
    wanted = known[0] if realm == DEFAULT and known else realm
    if wanted not in sandbox.companies:
        raise FormError(f"there is no company {realm!r}; there are: {', '.join(known) or 'none'}")
    return sandbox.desk(wanted)


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise FormError(f"{text!r} is no date-time such as 2026-01-31T09:00:00-08:00") from error


def _second(instant: datetime | None) -> int | None:
    return None if instant is None else int(_instant(instant.isoformat()).timestamp())


def _overview(sandbox: Sandbox) -> wire.Document:
    return {
        "now": milliseconds_text(sandbox.clock.now()),
        "client_id": sandbox.settings.client_id,
        "companies": [_company(sandbox, realm) for realm in sandbox.companies],
        "switches": sandbox.switches.model_dump(),
    }


def _company(sandbox: Sandbox, realm: str) -> wire.Document:
    books = sandbox.companies[realm]
    counts = {name: len(table.rows) for name, table in books.tables.items() if table.rows}
    grants = [grant for grant in sandbox.tokens.grants if grant.realm == realm]
    return {
        "realm": realm,
        "name": books.profile.name,
        "country": books.profile.country,
        "currency": books.profile.currency,
        "records": counts,
        "refresh_tokens": [grant.refresh_token for grant in grants],
    }


def _row(row: Row, status: int = 200) -> Response:
    return Response(row.body(), status, media_type="application/json")


def _json(value: object, status: int = 200) -> Response:
    return Response(wire.encode(wire.plain(value)), status, media_type="application/json")
