"""The control API: what tests and demos do to the books, the clock, the tokens and the network.

Law: nothing here needs a token, so it must listen on loopback only; every change of the books goes
the way of a client's own request.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Body, Query, Response
from pydantic import Field

from quickbooks_sandbox import records, webhooks, wire
from quickbooks_sandbox.books import Profile, TaxCode
from quickbooks_sandbox.clock import milliseconds_text
from quickbooks_sandbox.forms import Form, FormError
from quickbooks_sandbox.records import desk_of, instant, json_answer
from quickbooks_sandbox.sandbox import Sandbox
from quickbooks_sandbox.switches import Switches
from quickbooks_sandbox.traffic import Disturbance


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


def router(sandbox: Sandbox) -> APIRouter:
    """All routes of the control API."""
    routes = APIRouter()
    routes.include_router(_world(sandbox), tags=["world"])
    routes.include_router(_switches(sandbox), tags=["switches"])
    routes.include_router(_network(sandbox), tags=["network"])
    routes.include_router(_connections(sandbox), tags=["companies and tokens"])
    routes.include_router(records.router)
    return routes


def _world(sandbox: Sandbox) -> APIRouter:
    routes = APIRouter()

    @routes.get("/control")
    async def overview() -> Response:
        """Show companies, credentials, clock and switches."""
        return json_answer(_overview(sandbox))

    @routes.post("/control/reset")
    async def reset() -> Response:
        """Go back to the state of a fresh start, the data file included."""
        sandbox.reset()
        return json_answer(_overview(sandbox))

    @routes.put("/control/clock")
    async def set_clock(form: ClockForm) -> Response:
        """Fix, shift, advance or release the clock."""
        if form.fixed is not None:
            sandbox.clock.fix(instant(form.fixed))
        elif form.offset_seconds is not None:
            sandbox.clock.shift(timedelta(seconds=form.offset_seconds))
        elif form.advance_seconds is not None:
            sandbox.clock.advance(timedelta(seconds=form.advance_seconds))
        elif form.real:
            sandbox.clock.shift(timedelta(0))
        else:
            raise FormError("give one of fixed, offset_seconds, advance_seconds or real")
        sandbox.save_clock()
        return json_answer({"now": milliseconds_text(sandbox.clock.now())})

    return routes


def _switches(sandbox: Sandbox) -> APIRouter:
    routes = APIRouter()

    @routes.get("/control/switches")
    async def switches() -> Response:
        """Show every switch; the schema at /docs explains them."""
        return json_answer(sandbox.switches.model_dump())

    @routes.patch("/control/switches")
    async def set_switches(values: Annotated[dict[str, object], Body()]) -> Response:
        """Set some switches; all or none of them change."""
        checked = Switches.model_validate(sandbox.switches.model_dump() | values)
        for name in values:
            setattr(sandbox.switches, name, getattr(checked, name))
        sandbox.save_switches()
        return json_answer(sandbox.switches.model_dump())

    return routes


def _network(sandbox: Sandbox) -> APIRouter:
    routes = APIRouter()

    @routes.get("/control/faults")
    async def faults_planted() -> Response:
        """Show what was planted, and how often each was met."""
        return json_answer([planted.model_dump() for planted in sandbox.disturbances.planted])

    @routes.post("/control/faults", status_code=201)
    async def plant(disturbance: Disturbance) -> Response:
        """Let something go wrong with the next requests that match."""
        sandbox.disturbances.planted.append(disturbance)
        return json_answer(disturbance.model_dump(), 201)

    @routes.delete("/control/faults")
    async def clear_faults() -> Response:
        """Forget all that was planted."""
        sandbox.disturbances.planted.clear()
        return json_answer([])

    @routes.post("/control/webhooks")
    async def webhook(form: webhooks.WebhookForm) -> Response:
        """Write out a signed delivery; the caller delivers it."""
        realm = _realm(sandbox, records.DEFAULT)
        return json_answer(webhooks.deliver(form, realm, sandbox.clock.now()))

    @routes.get("/control/requests")
    async def requests(since: Annotated[int, Query(ge=0)] = 0) -> Response:
        """Show the counters, and the log after line `since`."""
        entries = sandbox.log.since(since)
        last = sandbox.log.number
        counters = dict(sandbox.log.counters)
        return json_answer({"last": last, "counters": counters, "requests": entries})

    @routes.delete("/control/requests")
    async def clear_requests() -> Response:
        """Forget the log and set the counters to zero, the monthly reads included."""
        sandbox.log.clear()
        sandbox.limits.reads.clear()
        return json_answer({"last": sandbox.log.number, "counters": {}, "requests": []})

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
        return json_answer(_company(sandbox, form.realm), 201)

    @routes.delete("/control/companies/{realm}")
    async def close_company(realm: str) -> Response:
        """Remove a company and its connections."""
        sandbox.close_company(_realm(sandbox, realm))
        return json_answer({"closed": realm})

    @routes.post("/control/companies/{realm}/tokens", status_code=201)
    async def connect(realm: str, form: GrantForm) -> Response:
        """Make a connection, as if the owner had said yes; both tokens come back."""
        owner = _realm(sandbox, realm)
        grant = sandbox.tokens.open_grant(owner, form.refresh_token)
        answer = sandbox.tokens.answer(grant)
        sandbox.save_tokens()
        return json_answer(answer | {"realmId": owner}, 201)

    @routes.post("/control/companies/{realm}/tokens/expire")
    async def expire(realm: str) -> Response:
        """Expire the access tokens now; refresh tokens live on."""
        count = sandbox.tokens.expire_access(_realm(sandbox, realm))
        sandbox.save_tokens()
        return json_answer({"expired": count})

    @routes.post("/control/companies/{realm}/tokens/revoke")
    async def disconnect(realm: str) -> Response:
        """End all connections, as when the owner disconnects the app in QuickBooks."""
        count = sandbox.tokens.revoke_realm(_realm(sandbox, realm))
        sandbox.save_tokens()
        return json_answer({"revoked": count})

    return routes


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


def _realm(sandbox: Sandbox, realm: str) -> str:
    return desk_of(sandbox, realm).books.profile.realm
