"""The imitated OAuth 2.0 endpoints: discovery, consent page, token, revoke, user info.

Law: the redirect URI must be registered (if any are) and be the same at both ends; the client
authenticates with Basic; an answer never holds an `id_token`.
"""

import base64
import binascii
import html
from typing import Annotated
from urllib.parse import parse_qs, urlencode, urlsplit

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from quickbooks_sandbox import faults, wire
from quickbooks_sandbox.gateway import JSON, Gateway
from quickbooks_sandbox.sandbox import Sandbox, Settings
from quickbooks_sandbox.tokens import OAuthError
from quickbooks_sandbox.traffic import Call

SCOPES = ("com.intuit.quickbooks.accounting", "openid", "profile", "email", "phone", "address")
TOKEN_PATH = "/oauth2/v1/tokens/bearer"  # noqa: S105 - a path
REVOKE_PATH = "/v2/oauth2/tokens/revoke"
USERINFO_PATH = "/v1/openid_connect/userinfo"
CONSENT_PATH = "/connect/oauth2"
SEE_OTHER = 302
STYLE = """
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto;
       padding: 0 1rem }
h1 { font-size: 1.6rem }
ul { padding: 0 }
li { list-style: none; margin: .6rem 0 }
li a { display: block; padding: .6rem 1rem; border: 1px solid #888; border-radius: .4rem }
"""


def router(gateway: Gateway) -> APIRouter:
    """The routes of OAuth."""
    routes = APIRouter(include_in_schema=False)
    sandbox = gateway.sandbox

    @routes.get("/.well-known/openid_configuration")
    @routes.get("/.well-known/openid_configuration/")
    @routes.get("/.well-known/openid_sandbox_configuration")
    @routes.get("/.well-known/openid_sandbox_configuration/")
    async def discovery(request: Request) -> JSONResponse:
        return JSONResponse(discovery_document(str(request.base_url).rstrip("/")))

    @routes.get("/op/v1/jwks")
    async def keys() -> JSONResponse:
        return JSONResponse({"keys": []})

    @routes.post(TOKEN_PATH)
    async def token(request: Request) -> Response:
        form = _form(await request.body())
        call = Call("POST", request.url.path, operation="token")
        credentials = request.headers.get("authorization", "")
        return await gateway.serve(call, lambda: _token(sandbox, credentials, form))

    @routes.post(REVOKE_PATH)
    async def revoke(request: Request) -> Response:
        body = await request.body()
        call = Call("POST", request.url.path, operation="revoke")
        credentials = request.headers.get("authorization", "")
        return await gateway.serve(call, lambda: _revoke(sandbox, credentials, body))

    @routes.get(USERINFO_PATH)
    async def userinfo(request: Request) -> Response:
        call = Call("GET", request.url.path, operation="userinfo")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return await gateway.serve(call, lambda: _userinfo(sandbox, token))

    _consent(routes, sandbox)
    return routes


def _consent(routes: APIRouter, sandbox: Sandbox) -> None:
    @routes.get(CONSENT_PATH)
    async def consent_page(
        client_id: str = "", redirect_uri: str = "", response_type: str = "", state: str = ""
    ) -> Response:
        problem = _problem(sandbox.settings, client_id, redirect_uri, response_type)
        if problem is not None:
            return _page(
                "Sorry, but this app did not connect", f"<p>{html.escape(problem)}</p>", 400
            )
        return _page("Connect to QuickBooks", _choices(sandbox, client_id, redirect_uri, state))

    @routes.get(CONSENT_PATH + "/answer")
    async def consent_answer(
        client_id: str,
        redirect_uri: str,
        realm: Annotated[str, Query()] = "",
        state: str = "",
    ) -> Response:
        problem = _problem(sandbox.settings, client_id, redirect_uri, "code")
        if problem is not None or (realm and realm not in sandbox.companies):
            text = html.escape(problem or f"There is no company {realm}.")
            return _page("Sorry, but this app did not connect", f"<p>{text}</p>", 400)
        if not realm:
            answer = {"error": "access_denied", "state": state}
        else:
            code = sandbox.tokens.issue_code(realm, redirect_uri, client_id)
            answer = {"code": code, "state": state, "realmId": realm}
        joint = "&" if urlsplit(redirect_uri).query else "?"
        return RedirectResponse(redirect_uri + joint + urlencode(answer), SEE_OTHER)


def discovery_document(base: str) -> dict[str, str | list[str]]:
    """The discovery document, with this sandbox's own addresses."""
    return {
        "issuer": base + "/op/v1",
        "authorization_endpoint": base + CONSENT_PATH,
        "token_endpoint": base + TOKEN_PATH,
        "userinfo_endpoint": base + USERINFO_PATH,
        "revocation_endpoint": base + REVOKE_PATH,
        "jwks_uri": base + "/op/v1/jwks",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": list(SCOPES),
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "claims_supported": ["sub", "email", "givenName", "familyName"],
    }


def _token(sandbox: Sandbox, credentials: str, form: dict[str, str]) -> Response:
    client_id = _client(sandbox.settings, credentials)
    match form.get("grant_type"):
        case "refresh_token":
            answer = sandbox.tokens.refresh(form.get("refresh_token", ""))
        case "authorization_code":
            answer = sandbox.tokens.exchange_code(
                form.get("code", ""), form.get("redirect_uri", ""), client_id
            )
        case other:
            raise OAuthError("unsupported_grant_type", f"grant_type {other} is not supported")
    sandbox.save_tokens()
    headers = {"Cache-Control": "no-cache, no-store"}
    return Response(wire.encode(answer), headers=headers, media_type=JSON)


def _revoke(sandbox: Sandbox, credentials: str, body: bytes) -> Response:
    _client(sandbox.settings, credentials)
    try:
        parsed = wire.decode(body)
    except ValueError:
        parsed = _form(body)
    token = parsed.get("token", "") if isinstance(parsed, dict) else ""
    if not sandbox.tokens.revoke(str(token)):
        raise OAuthError("invalid_request", "The token is unknown or was revoked already")
    sandbox.save_tokens()
    return Response(b"", media_type=JSON)


def _userinfo(sandbox: Sandbox, token: str) -> Response:
    realm = sandbox.tokens.realm_of(token)
    if realm is None:
        raise faults.token_expired(token)
    person = {"sub": f"sandbox-{realm}", "email": "books@cedar.example", "emailVerified": True}
    person |= {"givenName": "Cedar", "familyName": "Bookkeeper"}
    return Response(wire.encode(person), media_type=JSON)


def _client(settings: Settings, credentials: str) -> str:
    scheme, _, encoded = credentials.partition(" ")
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    wanted = f"{settings.client_id}:{settings.client_secret}"
    if scheme.lower() != "basic" or decoded != wanted:
        raise OAuthError("invalid_client", "Client id or secret is wrong", faults.UNAUTHORIZED)
    return settings.client_id


def _problem(
    settings: Settings, client_id: str, redirect_uri: str, response_type: str
) -> str | None:
    if client_id != settings.client_id:
        return f"The client_id {client_id!r} is unknown; this sandbox knows {settings.client_id!r}."
    if response_type != "code":
        return "The response_type must be 'code'."
    if urlsplit(redirect_uri).scheme not in {"http", "https"}:
        return "The redirect_uri query parameter value is invalid: it must be an absolute URL."
    if settings.redirect_uris and redirect_uri not in settings.redirect_uris:
        return f"The redirect_uri {redirect_uri!r} is none of those that the app registered."
    return None


def _choices(sandbox: Sandbox, client_id: str, redirect_uri: str, state: str) -> str:
    common = {"client_id": client_id, "redirect_uri": redirect_uri, "state": state}
    links = []
    for realm, books in sandbox.companies.items():
        target = html.escape(f"{CONSENT_PATH}/answer?" + urlencode(common | {"realm": realm}))
        name = html.escape(books.profile.name)
        links.append(f'<li><a id="connect-{realm}" href="{target}">{name} ({realm})</a></li>')
    cancel = html.escape(f"{CONSENT_PATH}/answer?" + urlencode(common))
    return (
        "<p>An app would like to read and change the books of one of these companies:</p>"
        f'<ul>{"".join(links)}</ul><p><a id="cancel" href="{cancel}">No, thanks</a></p>'
    )


def _page(title: str, content: str, status: int = 200) -> HTMLResponse:
    text = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style></head>"
        f"<body><h1>{title}</h1>{content}<p><small>QuickBooks sandbox: no real company is here."
        "</small></p></body></html>"
    )
    return HTMLResponse(text, status)


def _form(body: bytes) -> dict[str, str]:
    parsed = parse_qs(body.decode("utf-8", errors="replace"))
    return {name: values[-1] for name, values in parsed.items()}
