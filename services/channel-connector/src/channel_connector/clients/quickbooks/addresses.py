"""Where Intuit is, or what stands in for it."""

from dataclasses import dataclass

API_URLS = {
    "sandbox": "https://sandbox-quickbooks.api.intuit.com",
    "production": "https://quickbooks.api.intuit.com",
}
OAUTH_URL = "https://oauth.platform.intuit.com"
CONSENT_URL = "https://appcenter.intuit.com"
REVOCATION_URL = "https://developer.api.intuit.com"
AUTHORIZE_PATH = "/connect/oauth2"
TOKEN_PATH = "/oauth2/v1/tokens/bearer"  # noqa: S105  (a path)
REVOKE_PATH = "/v2/oauth2/tokens/revoke"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where Intuit's three endpoints are, and where its consent page sends people back to."""

    authorize: str
    token: str
    revoke: str
    redirect: str


def api_address(environment: str, elsewhere: str | None) -> str:
    """Where the accounting API is; `elsewhere` stands in for Intuit."""
    return (elsewhere or API_URLS[environment]).rstrip("/")


def oauth_addresses(elsewhere: str | None, redirect: str) -> Addresses:
    """Where people consent and tokens are issued; `elsewhere` stands in for all of Intuit."""
    base = elsewhere.rstrip("/") if elsewhere else None
    return Addresses(
        authorize=(base or CONSENT_URL) + AUTHORIZE_PATH,
        token=(base or OAUTH_URL) + TOKEN_PATH,
        revoke=(base or REVOCATION_URL) + REVOKE_PATH,
        redirect=redirect,
    )
