"""Accounting connections: added, reconnected, removed.

The laws of this module: a connection belongs to one company for ever; reconnecting replaces tokens
and nothing else; removing forgets the secrets and keeps the row, for channels stand on it.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import structlog

from channel_connector import store
from channel_connector.domain.channels import Connection
from channel_connector.messages import connection_changed
from channel_connector.provider import Company, ConsentEndpoint, SourceError
from channel_connector.vault import Owner, UnknownKeyError, Vault
from chassis import outbox

log = structlog.get_logger(__name__)


class ConnectionConflictError(Exception):
    """What was asked for does not fit what is there; the text says what to do."""


def owner_of(connection: Connection) -> Owner:
    """Whose a connection's tokens are."""
    return Owner(connection.business_id, connection.connection_id, connection.realm_id)


async def add_connection(
    pool: asyncpg.Pool,
    vault: Vault,
    *,
    provider: str,
    business_id: str,
    realm_id: str,
    refresh_token: str,
    connection_id: str | None,
) -> Connection:
    """Connect a company, or connect it again. A business that was never enabled may have one.

    Raises:
        ConnectionConflictError: the plan allows no more, or the id or company is taken.
    """
    now = datetime.now(UTC)
    async with pool.acquire() as session, session.transaction():
        await store.make_business(session, business_id)
        limits = await store.lock_businesses(session, [business_id])
        known = await store.lock_connections_of_business(session, business_id)
        connection = connection_for(
            known,
            provider=provider,
            business_id=business_id,
            realm_id=realm_id,
            connection_id=connection_id,
            now=now,
        )
        refuse_over_limit(known, connection, limits[business_id])
        await store.save_connection(session, connection)
        await store.queries.save_tokens(
            session,
            business_id=business_id,
            connection_id=connection.connection_id,
            key_id=vault.newest_key_id,
            refresh_token=vault.seal(refresh_token, owner_of(connection), "refresh"),
        )
        await outbox.append(session, [connection_changed(connection)])
    return connection


def connection_for(
    known: Sequence[Connection],
    *,
    provider: str,
    business_id: str,
    realm_id: str,
    connection_id: str | None,
    now: datetime,
) -> Connection:
    """The connection that a request means: the one of that company, or a new one.

    Raises:
        ConnectionConflictError: the id is another company's, or the company has another id.
    """
    of_realm = next((c for c in known if (c.provider, c.realm_id) == (provider, realm_id)), None)
    of_id = next((c for c in known if c.connection_id == connection_id), None)
    if of_id is not None and of_id.realm_id != realm_id:
        raise ConnectionConflictError(
            f"The connection {connection_id} belongs to the company {of_id.realm_id}; it can be "
            "connected again to that company only. For another company, add another connection."
        )
    if of_realm is not None:
        if connection_id not in {None, of_realm.connection_id}:
            raise ConnectionConflictError(
                f"The company {realm_id} is the connection {of_realm.connection_id} already; "
                "leave the id out to connect it again."
            )
        return replace(of_realm, status="connected", changed_at=now)
    return Connection(
        business_id=business_id,
        connection_id=connection_id or str(uuid4()),
        provider=provider,
        realm_id=realm_id,
        status="connected",
        changed_at=now,
    )


def refuse_over_limit(known: Sequence[Connection], connection: Connection, limit: int) -> None:
    """Refuse one connection more than the plan allows; removed ones do not count.

    Raises:
        ConnectionConflictError: the plan allows no more.
    """
    others = [
        c for c in known if c.status != "removed" and c.connection_id != connection.connection_id
    ]
    counted = any(
        c.status != "removed" and c.connection_id == connection.connection_id for c in known
    )
    if not counted and len(others) >= limit:
        raise ConnectionConflictError(
            f"The plan of business {connection.business_id} allows {limit} accounting "
            f"connection{'' if limit == 1 else 's'}, and there "
            f"{'is' if len(others) == 1 else 'are'} {len(others)}. Remove one, or raise "
            "max_accounting_connections with `enable-sales-tracking`."
        )


async def disconnect(
    pool: asyncpg.Pool,
    vault: Vault,
    endpoint: ConsentEndpoint,
    *,
    business_id: str,
    connection_id: str,
) -> tuple[Connection, str] | None:
    """Remove a connection, then end its consent at the source; None if there is none.

    The second value says what became of the consent: `revoked`, `none` where no token was kept, or
    a sentence why it may still stand. The tokens are forgotten either way.
    """
    connection, tokens = await _remove(pool, business_id, connection_id)
    if connection is None:
        return None
    if tokens is None:
        return connection, "none"
    try:
        refresh_token = vault.open(
            tokens["refresh_token"], tokens["key_id"], owner_of(connection), "refresh"
        )
        await endpoint.revoke(refresh_token)
    except (SourceError, UnknownKeyError) as error:
        log.warning("consent not revoked", connection_id=connection_id, error=str(error))
        return connection, str(error)
    return connection, "revoked"


async def remove_connection(
    pool: asyncpg.Pool, business_id: str, connection_id: str
) -> Connection | None:
    """Remove a connection and forget its tokens; channel and sales stay. None if there is none."""
    return (await _remove(pool, business_id, connection_id))[0]


async def _remove(
    pool: asyncpg.Pool, business_id: str, connection_id: str
) -> tuple[Connection | None, Any]:
    """The connection as it is now, and the row of the tokens that it had."""
    async with pool.acquire() as session, session.transaction():
        known = await store.lock_connections_of_business(session, business_id)
        connection = next((c for c in known if c.connection_id == connection_id), None)
        if connection is None or connection.status == "removed":
            return connection, None
        removed = replace(connection, status="removed", changed_at=datetime.now(UTC))
        await store.save_connection(session, removed)
        tokens = await store.queries.delete_tokens(
            session, business_id=business_id, connection_id=connection_id
        )
        await outbox.append(session, [connection_changed(removed)])
    return removed, tokens


async def save_company(pool: asyncpg.Pool, connection: Connection, company: Company) -> Connection:
    """Remember what the company told about itself, and announce it."""
    now = datetime.now(UTC)
    known = replace(
        connection,
        company_name=company.name,
        home_currency=company.home_currency,
        time_zone=company.time_zone,
        company_read_at=now,
        changed_at=now,
    )
    async with pool.acquire() as session, session.transaction():
        await store.queries.save_company(
            session,
            business_id=connection.business_id,
            connection_id=connection.connection_id,
            name=company.name,
            home_currency=company.home_currency,
            time_zone=company.time_zone,
            now=now,
        )
        await outbox.append(session, [connection_changed(known)])
    return known
