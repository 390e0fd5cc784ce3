"""The access token of one connection, refreshed by one process at a time.

The laws of this module:

- A process refreshes only while it holds the lease of the connection's token row for the version
  it read, so one refresh token is used once. A lease rather than a row lock, so that no
  transaction is open during HTTP; it outlives the longest answer of the token endpoint.
- The new refresh token is stored before the new access token is given to anyone.
- A refused refresh token is read again and tried once more before the connection is given up:
  another process may have replaced it, and outages refuse good ones.
- The row is read for each use, so a removed connection stops at once.
Source: fact sheet section 9.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import structlog

from channel_connector.domain.channels import Connection
from channel_connector.messages import connection_changed
from channel_connector.provider import InvalidGrantError, SourceError, TokenEndpoint
from channel_connector.store import queries
from channel_connector.vault import Owner, UnknownKeyError, Vault
from chassis import outbox

log = structlog.get_logger(__name__)

LEASE_SECONDS = 60.0
WAIT_SECONDS = 0.1
WAIT_SECONDS_MAX = 90.0
SECOND_TRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Stored:
    """The token row, opened only where needed."""

    row: Any
    owner: Owner

    @property
    def version(self) -> int:
        return int(self.row["version"])


class ConnectionTokens:
    """A `TokenSource` of one connection, on the token row in the database."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        vault: Vault,
        endpoint: TokenEndpoint,
        *,
        business_id: str,
        connection_id: str,
        second_try_seconds: float = SECOND_TRY_SECONDS,
    ) -> None:
        self._pool = pool
        self._vault = vault
        self._endpoint = endpoint
        self._key = {"business_id": business_id, "connection_id": connection_id}
        self._second_try_seconds = second_try_seconds

    async def current(self) -> str:
        """An access token good for the next minute, refreshed if there is none.

        Raises:
            SourceError: the connection is gone, must be connected again, or cannot be refreshed.
        """
        stored = await self._stored()
        if stored.row["access_is_good"]:
            return self._open(stored, "access")
        return await self._refreshed(stored)

    async def renew(self, rejected: str) -> str:
        """Another access token than the refused one.

        Raises:
            SourceError: as `current`.
        """
        stored = await self._stored()
        if stored.row["access_is_good"]:
            token = self._open(stored, "access")
            if token != rejected:
                return token
        return await self._refreshed(stored)

    async def _stored(self) -> _Stored:
        row = await queries.find_tokens(self._pool, **self._key)
        if row is None or row["status"] == "removed":
            raise SourceError(
                "connection-unavailable",
                f"The accounting connection {self._key['connection_id']} was removed. Add it again "
                "to the same company; the channel then goes on where it was.",
            )
        if row["status"] == "needs-reconnect" or row["refresh_token"] is None:
            raise SourceError("needs-reconnect", self._advice())
        owner = Owner(realm_id=row["realm_id"], **self._key)
        return _Stored(row, owner)

    def _advice(self) -> str:
        return (
            f"The accounting connection {self._key['connection_id']} is not authorised any more. "
            "Connect the company again; nothing is lost meanwhile."
        )

    def _open(self, stored: _Stored, purpose: str) -> str:
        try:
            return self._vault.open(
                stored.row[f"{purpose}_token"], stored.row["key_id"], stored.owner, purpose
            )
        except UnknownKeyError as error:
            raise SourceError("needs-reconnect", str(error)) from None

    async def _refreshed(self, stored: _Stored) -> str:
        """The access token after one refresh, by this process or by another that was faster."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WAIT_SECONDS_MAX
        refused_version: int | None = None
        seen = stored.version
        while True:
            stored = await self._stored()
            if stored.version != seen and stored.row["access_is_good"]:
                return self._open(stored, "access")
            holder = uuid4()
            if await self._claim(stored, holder):
                try:
                    return await self._use(stored, holder)
                except InvalidGrantError:
                    if refused_version == stored.version:
                        await self._give_up(stored)
                    refused_version = stored.version
                    log.warning("refresh token refused", **self._key)
                    await asyncio.sleep(self._second_try_seconds)
                    continue
            if loop.time() > deadline:
                raise SourceError("upstream-error", "The tokens stay locked by another refresh.")
            await asyncio.sleep(WAIT_SECONDS)

    async def _claim(self, stored: _Stored, holder: UUID) -> bool:
        claimed = await queries.claim_refresh(
            self._pool,
            **self._key,
            version=stored.version,
            holder=holder,
            lease_seconds=LEASE_SECONDS,
        )
        return bool(claimed)

    async def _use(self, stored: _Stored, holder: UUID) -> str:
        """Use the refresh token and store the answer, whatever happens to the caller meanwhile."""
        refresh_token = self._open(stored, "refresh")
        return await asyncio.shield(self._use_and_store(stored, holder, refresh_token))

    async def _use_and_store(self, stored: _Stored, holder: UUID, refresh_token: str) -> str:
        try:
            tokens = await self._endpoint.refresh(refresh_token)
        except BaseException:
            await queries.release_refresh(self._pool, **self._key, holder=holder)
            raise
        version = await queries.save_refreshed_tokens(
            self._pool,
            **self._key,
            version=stored.version,
            holder=holder,
            key_id=self._vault.newest_key_id,
            refresh_token=self._vault.seal(tokens.refresh_token, stored.owner, "refresh"),
            access_token=self._vault.seal(tokens.access_token, stored.owner, "access"),
            lives_seconds=tokens.expires_in_seconds,
        )
        if version is None:
            log.warning("tokens were replaced during a refresh", **self._key)
            return await self.current()
        return tokens.access_token

    async def _give_up(self, stored: _Stored) -> None:
        """Mark the connection, unless its tokens were replaced meanwhile.

        Raises:
            SourceError: always, if it was marked.
        """
        async with self._pool.acquire() as session, session.transaction():
            row = await queries.mark_needs_reconnect(
                session, **self._key, version=stored.version, now=datetime.now(UTC)
            )
            if row is not None:
                await outbox.append(session, [connection_changed(Connection(**row))])
        if row is not None:
            raise SourceError("needs-reconnect", self._advice())
