"""Intuit's token endpoint.

The law of this module: a refresh token is used by this call alone and never retried here, for a
second use may end the connection; the caller stores the answer before anything else.
Source: Intuit's OAuth 2.0 page and FAQ, fact sheet section 9.
"""

import httpx
import structlog
from pydantic import SecretStr

from channel_connector.clients.quickbooks import wire
from channel_connector.clients.quickbooks.faults import OK, TOO_MANY_REQUESTS
from channel_connector.provider import InvalidGrantError, SourceError, Tokens

log = structlog.get_logger(__name__)

TOKEN_PATH = "/oauth2/v1/tokens/bearer"  # noqa: S105  (a path)
TIMEOUT_SECONDS = 20.0
ACCESS_TOKEN_SECONDS_DEFAULT = 3600


class IntuitTokens:
    """Trades refresh tokens at the token endpoint."""

    def __init__(
        self, http: httpx.AsyncClient, base_url: str, client_id: str, client_secret: SecretStr
    ) -> None:
        self._http = http
        self._url = base_url + TOKEN_PATH
        self._client = httpx.BasicAuth(client_id, client_secret.get_secret_value())

    async def refresh(self, refresh_token: str) -> Tokens:
        """Use a refresh token once.

        Raises:
            InvalidGrantError: it was refused.
            SourceError: the endpoint did not answer, or with something else.
        """
        try:
            answer = await self._http.post(
                self._url,
                auth=self._client,
                data={"grant_type": "refresh_token", "refresh_token": refresh_token},
                headers={"Accept": "application/json"},
                timeout=TIMEOUT_SECONDS,
            )
        except httpx.HTTPError as error:
            raise SourceError(
                "upstream-error",
                f"Intuit's token endpoint did not answer ({type(error).__name__}); try later.",
            ) from None
        log.info(
            "tokens refreshed" if answer.status_code == OK else "token refresh refused",
            status=answer.status_code,
            intuit_tid=answer.headers.get("intuit_tid"),
        )
        return read_tokens(answer.status_code, answer.content)


def read_tokens(status: int, content: bytes) -> Tokens:
    """The tokens in an answer of the token endpoint.

    Raises:
        InvalidGrantError: the refresh token was refused.
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
        raise InvalidGrantError("Intuit refused the refresh token")
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
