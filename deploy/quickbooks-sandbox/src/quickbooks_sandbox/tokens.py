"""OAuth grants, codes and tokens.

Law: a refresh token has one live value per grant; when it rotates, the old value is dead at once. A
code works once, with the redirect URI that it was given for. Expiry follows the sandbox's clock.
Source: Intuit's OAuth 2.0 page and FAQ; Intuit rotates about daily, the default here is every use.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any

from quickbooks_sandbox.clock import Clock
from quickbooks_sandbox.switches import Switches
from quickbooks_sandbox.wire import Document

CODE_SECONDS = 300
DAY_SECONDS = 86_400
DEAD_KEPT_MAX = 20


class OAuthError(Exception):
    """A refusal in OAuth's own form; `error` is the code that clients look at."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        """Carry the code, the sentence and the HTTP status."""
        super().__init__(description)
        self.error, self.description, self.status = error, description, status


@dataclass
class Grant:
    """One connection of an app to a company, as long as its refresh token lives."""

    realm: str
    refresh_token: str
    rotated_at: int
    expires_at: int
    dead: list[str] = field(default_factory=list)
    access: dict[str, int] = field(default_factory=dict)
    """Live access tokens to the epoch second when they expire."""


@dataclass(frozen=True)
class Code:
    """An authorization code that waits to be exchanged."""

    realm: str
    redirect_uri: str
    client_id: str
    expires_at: int


@dataclass
class Tokens:
    """All grants of the sandbox."""

    clock: Clock
    switches: Switches
    grants: list[Grant] = field(default_factory=list)
    codes: dict[str, Code] = field(default_factory=dict)

    def open_grant(self, realm: str, refresh_token: str | None = None) -> Grant:
        """Connect a company, with a given refresh token or a new one."""
        now = self.clock.second()
        token = refresh_token or _secret("RT1")
        life = self.switches.refresh_token_days * DAY_SECONDS
        grant = Grant(realm, token, now, now + life)
        self.grants = [g for g in self.grants if g.refresh_token != token]
        self.grants.append(grant)
        return grant

    def issue_code(self, realm: str, redirect_uri: str, client_id: str) -> str:
        """A code for the redirect of the consent page; it works once, for five minutes."""
        code = _secret("AB1")
        expires = self.clock.second() + CODE_SECONDS
        self.codes[code] = Code(realm, redirect_uri, client_id, expires)
        return code

    def exchange_code(self, code: str, redirect_uri: str, client_id: str) -> Document:
        """The token answer for a code.

        Raises: OAuthError for an unknown, used or expired code or another redirect URI.
        """
        known = self.codes.pop(code, None)
        if known is None or known.expires_at < self.clock.second():
            raise OAuthError("invalid_grant", "The code is unknown, expired or was used already")
        if known.redirect_uri != redirect_uri or known.client_id != client_id:
            raise OAuthError(
                "invalid_grant", "The redirect_uri is not the one the code was given for"
            )
        return self.answer(self.open_grant(known.realm))

    def refresh(self, refresh_token: str) -> Document:
        """The token answer for a refresh token, which rotates by the switch.

        Raises: OAuthError for a dead, expired, revoked or unknown value.
        """
        now = self.clock.second()
        for grant in self.grants:
            if refresh_token in grant.dead and self.switches.refresh_reuse_revokes:
                self.grants.remove(grant)
                break
        live = [g for g in self.grants if g.refresh_token == refresh_token and g.expires_at > now]
        if not live:
            raise OAuthError("invalid_grant", "Token invalid")
        grant = live[0]
        aged = now - grant.rotated_at >= DAY_SECONDS
        rotation = self.switches.refresh_rotation
        if rotation == "every-use" or (rotation == "daily" and aged):
            grant.dead = [*grant.dead[-DEAD_KEPT_MAX:], grant.refresh_token]
            grant.refresh_token, grant.rotated_at = _secret("RT1"), now
        grant.expires_at = now + self.switches.refresh_token_days * DAY_SECONDS
        return self.answer(grant)

    def answer(self, grant: Grant) -> Document:
        """A new access token beside the grant's refresh token, as the token endpoint answers."""
        now, life = self.clock.second(), self.switches.access_token_seconds
        grant.access = {token: end for token, end in grant.access.items() if end > now}
        access = _secret("eyJlbmMiOiJB")
        grant.access[access] = now + life
        return {
            "token_type": "bearer",
            "access_token": access,
            "expires_in": life,
            "refresh_token": grant.refresh_token,
            "x_refresh_token_expires_in": grant.expires_at - now,
        }

    def realm_of(self, access_token: str) -> str | None:
        """The company that a live access token opens."""
        now = self.clock.second()
        for grant in self.grants:
            if grant.access.get(access_token, 0) > now:
                return grant.realm
        return None

    def revoke(self, token: str) -> bool:
        """End the grant of a refresh or access token; whether there was one."""
        for grant in self.grants:
            if token == grant.refresh_token or token in grant.access:
                self.grants.remove(grant)
                return True
        return False

    def revoke_realm(self, realm: str) -> int:
        """End all grants of a company, as when its owner disconnects the app; how many."""
        kept = [grant for grant in self.grants if grant.realm != realm]
        ended = len(self.grants) - len(kept)
        self.grants = kept
        return ended

    def expire_access(self, realm: str | None = None) -> int:
        """Expire access tokens now, of one company or of all; how many."""
        expired = 0
        for grant in self.grants:
            if realm in (None, grant.realm):
                expired += len(grant.access)
                grant.access.clear()
        return expired

    def state(self) -> list[Document]:
        """All grants as plain values."""
        return [vars(grant).copy() for grant in self.grants]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Take over what `state` gave."""
        self.grants = [Grant(**grant) for grant in state]


def _secret(prefix: str) -> str:
    return f"{prefix}-{secrets.token_urlsafe(32)}"
