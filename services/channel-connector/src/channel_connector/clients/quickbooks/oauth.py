"""Intuit's OAuth 2.0: the consent page, the token endpoint, revocation.

The law of this module: a refresh token or a code is used by one call alone and never retried here,
for a second use may end the connection; the caller stores the answer before anything else. No
error and no log line holds a token, a code or the client's secret.
Source: Intuit's OAuth 2.0 page and FAQ, fact sheet section 9.
"""

from collections.abc import Mapping

import httpx
import structlog
from pydantic import SecretStr

from channel_connector.clients.quickbooks import wire
from channel_connector.clients.quickbooks.addresses import Addresses
from channel_connector.clients.quickbooks.faults import OK, TOO_MANY_REQUESTS
from channel_connector.provider import Callback, Grant, InvalidGrantError, SourceError, Tokens

log = structlog.get_logger(__name__)

SCOPE = "com.intuit.quickbooks.accounting"
TIMEOUT_SECONDS = 20.0
ACCESS_TOKEN_SECONDS_DEFAULT = 3600
REALM_DIGITS_MAX = 40
_REFUSALS = {
    "access_denied": "You did not allow access to the company. Nothing was changed. "
    "To connect it after all, start again from the program.",
    "invalid_scope": "Intuit does not allow this app to read accounting data; check the app's "
    "scopes at Intuit.",
}


class IntuitTokens:
    """Asks for consent, and trades codes and refresh tokens."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        addresses: Addresses,
        client_id: str,
        client_secret: SecretStr,
    ) -> None:
        self._http = http
        self._at = addresses
        self._client_id = client_id
        self._client = httpx.BasicAuth(client_id, client_secret.get_secret_value())

    def consent_address(self, state: str) -> str:
        """Where a person says yes; `state` comes back with the answer."""
        question = {
            "client_id": self._client_id,
            "response_type": "code",
            "scope": SCOPE,
            "redirect_uri": self._at.redirect,
            "state": state,
        }
        return str(httpx.URL(self._at.authorize).copy_merge_params(question))

    def read_callback(self, parameters: Mapping[str, str]) -> Callback:
        """What the consent page sent back."""
        state = parameters.get("state", "")
        if error := parameters.get("error"):
            refusal = _REFUSALS.get(
                error, f"Intuit refused the connection ({_shown(error)}). Try again."
            )
            return Callback(state, refusal=refusal)
        code, realm = parameters.get("code", ""), parameters.get("realmId", "")
        if not code or self.realm_fault(realm):
            text = "Intuit's answer lacks the code or the company. Start again from the program."
            return Callback(state, refusal=text)
        return Callback(state, code=code, realm_id=realm)

    def realm_fault(self, realm_id: str) -> str | None:
        """What is wrong with a company's id, if anything."""
        if realm_id.isascii() and realm_id.isdigit() and len(realm_id) <= REALM_DIGITS_MAX:
            return None
        return f"A QuickBooks company's id has digits only, {REALM_DIGITS_MAX} at most."

    async def exchange(self, callback: Callback) -> Grant:
        """Use the code of a consent once.

        Raises:
            InvalidGrantError: it was refused.
            SourceError: the endpoint did not answer, or with something else.
        """
        tokens = await self._trade(
            {
                "grant_type": "authorization_code",
                "code": callback.code,
                "redirect_uri": self._at.redirect,
            }
        )
        return Grant(callback.realm_id, tokens)

    async def refresh(self, refresh_token: str) -> Tokens:
        """Use a refresh token once.

        Raises:
            InvalidGrantError: it was refused.
            SourceError: the endpoint did not answer, or with something else.
        """
        return await self._trade({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def revoke(self, refresh_token: str) -> None:
        """End the consent that a refresh token stands for.

        Raises:
            SourceError: the endpoint did not answer, or refused.
        """
        answer = await self._post(self._at.revoke, json={"token": refresh_token})
        log.info(
            "consent revoked" if answer.status_code == OK else "revocation refused",
            status=answer.status_code,
            intuit_tid=answer.headers.get("intuit_tid"),
        )
        if answer.status_code != OK:
            raise SourceError(
                "upstream-error",
                f"Intuit did not revoke the consent (HTTP {answer.status_code}); most often it had "
                "ended already. To be sure, disconnect this app in QuickBooks.",
            )

    async def _trade(self, form: dict[str, str]) -> Tokens:
        answer = await self._post(self._at.token, data=form)
        log.info(
            "tokens issued" if answer.status_code == OK else "tokens refused",
            grant=form["grant_type"],
            status=answer.status_code,
            intuit_tid=answer.headers.get("intuit_tid"),
        )
        return read_tokens(answer.status_code, answer.content)

    async def _post(
        self, url: str, *, data: dict[str, str] | None = None, json: object = None
    ) -> httpx.Response:
        try:
            return await self._http.post(
                url,
                auth=self._client,
                data=data,
                json=json,
                headers={"Accept": "application/json"},
                timeout=TIMEOUT_SECONDS,
            )
        except httpx.HTTPError as error:
            raise SourceError(
                "upstream-error",
                f"Intuit's token endpoint did not answer ({type(error).__name__}); try later.",
            ) from None


def _shown(error: str) -> str:
    return "".join(c for c in error[:40] if c.isalnum() or c in "_-") or "no reason given"


def read_tokens(status: int, content: bytes) -> Tokens:
    """The tokens in an answer of the token endpoint.

    Raises:
        InvalidGrantError: the code or refresh token was refused.
        SourceError: anything else but tokens.
    """
    try:
        body = wire.decode_object(content)
    except ValueError:
        body = {}
    if status == OK:
        access, refresh = wire.text(body.get("access_token")), wire.text(body.get("refresh_token"))
        if access and refresh:
            seconds = body.get("expires_in")
            lives = seconds if isinstance(seconds, int) else ACCESS_TOKEN_SECONDS_DEFAULT
            return Tokens(access, lives, refresh)
    code = wire.text(body.get("error")) or ""
    if code == "invalid_grant":
        raise InvalidGrantError("Intuit refused the code or refresh token")
    if code == "invalid_client":
        raise SourceError(
            "needs-reconnect",
            "Intuit does not accept this program's client id and secret; check "
            "QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET.",
        )
    if status == TOO_MANY_REQUESTS:
        raise SourceError("rate-limited", "Intuit's token endpoint limits requests; try later.")
    raise SourceError(
        "upstream-error", f"Intuit's token endpoint answered HTTP {status} without tokens."
    )
