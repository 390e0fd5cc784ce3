"""Signing in to an accounting system in the browser.

The laws of this module: an answer counts once, within ten minutes, and only in the browser that
asked, which a cookie proves that no script reads; the database keeps hashes of both secrets; what
was consented to and cannot be used is revoked at once; every end of the journey is a page with a
sentence that says what to do.
"""

import base64
import html
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256

import asyncpg
import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.datastructures import URL

from channel_connector import connections, store
from channel_connector.connections import ConnectionConflictError
from channel_connector.domain.channels import Connection
from channel_connector.provider import Callback, ConsentEndpoint, InvalidGrantError, SourceError
from channel_connector.vault import Vault

log = structlog.get_logger(__name__)

COOKIE = "salesync-connect"
LIVES_SECONDS = 600
SECRET_BYTES = 32
STATE_LENGTH_MAX = 200
SEE_OTHER = 302

ID_LENGTH_MAX = 200

_OTHER_BROWSER = (
    "This sign-in was finished already, was not begun in this browser, or took longer than ten "
    "minutes. This page changed nothing: a company that you have just connected stays connected. "
    "Otherwise start again from the program, in one browser."
)
_NO_BUSINESS = (
    "The link that brought you here does not say for which business a company is to be connected "
    "(`business_id`), or one of its values is empty or too long. Start again from the program."
)
_STYLE = """
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto; padding: 0 1rem;
       color: #222; background: #fff }
h1 { font-size: 1.6rem }
"""
_STYLE_HASH = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()


@dataclass(frozen=True)
class Consents:
    """What signing in needs."""

    pool: asyncpg.Pool
    vault: Vault
    endpoint: ConsentEndpoint
    provider: str
    redirect_uri: str
    learn: Callable[[Connection], Awaitable[Connection]]
    """Reads what the company tells of itself, if it can be asked just now."""
    announce: Callable[[], None]

    async def begin(
        self, business_id: str, connection_id: str | None, browser: str | None
    ) -> tuple[str, str]:
        """The address of the consent page, and the secret that the browser keeps."""
        state = secrets.token_urlsafe(SECRET_BYTES)
        browser = browser or secrets.token_urlsafe(SECRET_BYTES)
        await store.queries.save_consent_request(
            self.pool,
            state_hash=_hash(state),
            browser_hash=_hash(browser),
            business_id=business_id,
            connection_id=connection_id,
            lives_seconds=LIVES_SECONDS,
        )
        return self.endpoint.consent_address(state), browser

    async def finish(self, callback: Callback, browser: str) -> Connection:
        """Connect the company that the answer names.

        Raises:
            ConsentError: it cannot be connected; the text says why and what to do.
        """
        asked = await store.queries.take_consent_request(
            self.pool, state_hash=_hash(callback.state), browser_hash=_hash(browser)
        )
        if asked is None:
            raise ConsentError(_OTHER_BROWSER)
        if callback.refusal:
            raise ConsentError(callback.refusal)
        try:
            grant = await self.endpoint.exchange(callback)
        except InvalidGrantError:
            raise ConsentError(
                "The accounting system does not accept its own code any more. Start again from "
                "the program."
            ) from None
        except SourceError as error:
            raise ConsentError(error.detail) from None
        try:
            connection = await connections.add_connection(
                self.pool,
                self.vault,
                provider=self.provider,
                business_id=asked["business_id"],
                realm_id=grant.realm_id,
                refresh_token=grant.tokens.refresh_token,
                connection_id=asked["connection_id"],
            )
        except ConnectionConflictError as error:
            await self._take_back(grant.tokens.refresh_token)
            raise ConsentError(str(error)) from None
        self.announce()
        connection = await self.learn(connection)
        self.announce()
        return connection

    async def _take_back(self, refresh_token: str) -> None:
        try:
            await self.endpoint.revoke(refresh_token)
        except SourceError as error:
            log.warning("unused consent not revoked", error=error.detail)


class ConsentError(Exception):
    """A sign-in ends without a connection; the text is for the person at the browser."""


def router(consents: Consents) -> APIRouter:
    """`/connect` and `/callback`."""
    routes = APIRouter()

    @routes.get("/connect", status_code=SEE_OTHER, response_class=HTMLResponse)
    async def connect(
        request: Request, business_id: str = "", connection_id: str | None = None, moved: str = ""
    ) -> Response:
        """Send the browser to the consent page; with a connection id, to connect that one again.

        A cookie counts for one host. A browser that came by another name of this service than the
        consent page will send it back to is first sent there, once.
        """
        if not _is_id(business_id) or not (connection_id is None or _is_id(connection_id)):
            return _page("Not connected", _NO_BUSINESS, 400)
        if not moved and request.url.netloc != URL(consents.redirect_uri).netloc:
            asked = {"business_id": business_id, "connection_id": connection_id, "moved": "1"}
            return RedirectResponse(_beside(consents.redirect_uri, asked), SEE_OTHER)
        known = request.cookies.get(COOKIE)
        address, browser = await consents.begin(business_id, connection_id, known)
        answer = RedirectResponse(address, SEE_OTHER, headers={"Cache-Control": "no-store"})
        answer.set_cookie(
            COOKIE,
            browser,
            max_age=LIVES_SECONDS,
            httponly=True,
            samesite="lax",
            secure=consents.redirect_uri.startswith("https:"),
        )
        return answer

    @routes.get("/callback", response_class=HTMLResponse)
    async def finish(request: Request) -> Response:
        """Where the consent page sends the browser back to."""
        found = consents.endpoint.read_callback(request.query_params)
        browser = request.cookies.get(COOKIE, "")
        try:
            connection = await consents.finish(found, browser)
        except ConsentError as error:
            return _page("Not connected", str(error), 400)
        name = connection.company_name or f"Company {connection.realm_id}"
        return _page(
            "Connected",
            f"{name} is connected as {connection.connection_id}. You can close this page.",
        )

    return routes


def _hash(secret: str) -> bytes:
    return sha256(secret[:STATE_LENGTH_MAX].encode()).digest()


def _is_id(text: str) -> bool:
    return 0 < len(text) <= ID_LENGTH_MAX and "\x00" not in text


def _beside(redirect_uri: str, asked: dict[str, str | None]) -> str:
    """The address of `/connect` where the consent page finds `/callback`."""
    at = URL(redirect_uri)
    beside = at.replace(path=f"{at.path.rpartition('/')[0]}/connect", query="")
    given = {name: value for name, value in asked.items() if value is not None}
    return str(beside.include_query_params(**given))


def _page(title: str, sentence: str, status: int = 200) -> HTMLResponse:
    """A page that loads nothing, is kept nowhere and tells no other site its address."""
    text = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{title}</h1><p>{html.escape(sentence)}</p></body></html>"
    )
    headers = {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'"
        ),
    }
    return HTMLResponse(text, status, headers)
