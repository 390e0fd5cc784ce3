"""What people and programs read over HTTP, and how connections are added and removed.

The law of this module: no answer holds a token; another business's rows are as absent as any other.
"""

import asyncio
import json
import zlib
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

import asyncpg
import structlog
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.exceptions import HTTPException

from channel_connector import connections, store, verification
from channel_connector.connections import ConnectionConflictError
from channel_connector.domain.channels import Channel, Connection
from channel_connector.provider import AccountingSystem, ConsentEndpoint, SourceError
from channel_connector.vault import Vault
from chassis.http import PageCursor, PageLimit, decode_cursor, encode_cursor, problem
from chassis.invariants import Report

log = structlog.get_logger(__name__)

CREATED = 201
COMPANY_SECONDS_MAX = 10
"""How long adding a connection waits for the company; the first sync asks again."""
CONFLICT = 409
UNPROCESSABLE = 422

BusinessId = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
_Id = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class NewConnection(BaseModel):
    """A company to connect. The refresh token is stored encrypted and never shown again."""

    model_config = ConfigDict(extra="forbid")

    realm_id: Annotated[
        str,
        Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$", description="the company's id"),
    ]
    refresh_token: Annotated[SecretStr, Field(min_length=1, max_length=4_000)]
    connection_id: Annotated[
        str | None, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")
    ] = None


def router(
    pool: asyncpg.Pool,
    vault: Vault,
    *,
    provider: str,
    system_of: Callable[[Connection], AccountingSystem],
    endpoint: ConsentEndpoint,
    announce: Callable[[], None],
) -> APIRouter:
    """The connector's routes. `announce` is called after events were committed."""
    routes = APIRouter()

    @routes.post("/businesses/{business_id}/connections", status_code=CREATED)
    async def add_connection(business_id: BusinessId, new: NewConnection) -> Response:
        """Connect a company, or connect it again: only its tokens are replaced then."""
        if fault := endpoint.realm_fault(new.realm_id):
            errors = [{"field": "realm_id", "message": fault}]
            return problem(UNPROCESSABLE, "Wrong parameter", fault, errors=errors)
        try:
            connection = await connections.add_connection(
                pool,
                vault,
                provider=provider,
                business_id=business_id,
                realm_id=new.realm_id,
                refresh_token=new.refresh_token.get_secret_value(),
                connection_id=new.connection_id,
            )
        except ConnectionConflictError as error:
            return problem(CONFLICT, "Connection refused", str(error))
        connection = await with_company(pool, connection, system_of(connection))
        announce()
        return _json(_connection(connection), CREATED)

    @routes.delete("/businesses/{business_id}/connections/{connection_id}")
    async def remove_connection(business_id: BusinessId, connection_id: _Id) -> Response:
        """Remove a connection, its tokens and its consent; its channel and sales stay."""
        found = await connections.disconnect(
            pool, vault, endpoint, business_id=business_id, connection_id=connection_id
        )
        if found is None:
            raise HTTPException(404, f"The business has no connection {connection_id}.")
        announce()
        connection, revocation = found
        return _json({**_connection(connection), "revocation": revocation})

    @routes.get("/businesses/{business_id}/connections")
    async def list_connections(
        business_id: BusinessId, limit: PageLimit = 100, cursor: PageCursor = None
    ) -> dict[str, Any]:
        """The accounting connections of a business, without secrets."""
        after = decode_cursor(cursor, str)[0] if cursor else ""
        found = await store.list_connections(pool, business_id, after, limit + 1)
        return _page([_connection(c) for c in found], limit, lambda item: (item["connection_id"],))

    @routes.get("/businesses/{business_id}/channels")
    async def list_channels(
        business_id: BusinessId, limit: PageLimit = 100, cursor: PageCursor = None
    ) -> dict[str, Any]:
        """The channels of a business."""
        after = decode_cursor(cursor, str)[0] if cursor else ""
        found = await store.list_channels(pool, business_id, after, limit + 1)
        return _page([_channel(c) for c in found], limit, lambda item: (item["channel_id"],))

    _add_reads(routes, pool)
    return routes


def _add_reads(routes: APIRouter, pool: asyncpg.Pool) -> None:
    @routes.get("/businesses")
    async def list_businesses(limit: PageLimit = 100, cursor: PageCursor = None) -> dict[str, Any]:
        """The businesses that have a connection or a channel; for operators."""
        after = decode_cursor(cursor, str)[0] if cursor else ""
        rows = store.queries.list_businesses(pool, after=after, count=limit + 1)
        return _page([dict(row) async for row in rows], limit, lambda item: (item["business_id"],))

    @routes.get("/channels/{channel_id}")
    async def find_channel(channel_id: _Id) -> dict[str, Any]:
        """One channel."""
        channel = await store.find_channel(pool, channel_id)
        if channel is None:
            raise HTTPException(404, f"There is no channel {channel_id}.")
        return _channel(channel)

    @routes.get("/channels/{channel_id}/syncs")
    async def list_syncs(
        channel_id: _Id, limit: PageLimit = 100, cursor: PageCursor = None
    ) -> dict[str, Any]:
        """The sync runs of a channel, the latest first."""
        before, after_id = decode_cursor(cursor, datetime, str) if cursor else (None, "")
        rows = store.queries.list_runs(
            pool, channel_id=channel_id, before=before, after_id=after_id, count=limit + 1
        )
        return _page(
            [_run(row) async for row in rows],
            limit,
            lambda item: (item["requested_at"].isoformat(), item["sync_id"]),
        )

    @routes.get("/syncs/{sync_id}")
    async def find_sync(sync_id: _Id) -> dict[str, Any]:
        """One sync run: how far it is, and how it ended."""
        row = await store.queries.find_run(pool, sync_id=sync_id)
        if row is None:
            raise HTTPException(404, f"There is no sync {sync_id}.")
        return _run(row)

    @routes.get("/businesses/{business_id}/transactions/{kind}/{external_id}")
    async def list_versions(
        business_id: BusinessId,
        kind: Literal["invoice", "sales-receipt", "credit-memo", "refund-receipt"],
        external_id: _Id,
    ) -> dict[str, Any]:
        """Every version received of a document, with its raw payload."""
        rows = store.queries.list_versions(
            pool, business_id=business_id, kind=kind, external_id=external_id
        )
        items = [
            {**row, "payload": json.loads(zlib.decompress(row["payload"]))} async for row in rows
        ]
        return {"items": items, "next_cursor": None}

    @routes.get("/verify")
    async def verify(
        business_id: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
    ) -> Report:
        """Check the invariants of channels over everything, or one business, in one snapshot."""
        return await verification.verify(pool, business_id)


async def with_company(
    pool: asyncpg.Pool, connection: Connection, system: AccountingSystem
) -> Connection:
    """The connection with what its company tells, if it can be asked just now."""
    try:
        async with asyncio.timeout(COMPANY_SECONDS_MAX):
            company = await system.company()
    except (SourceError, TimeoutError) as error:
        log.warning("company not read yet", error=str(error))
        return (
            await store.find_connection(pool, connection.business_id, connection.connection_id)
            or connection
        )
    return await connections.save_company(pool, connection, company)


def _page(
    items: list[dict[str, Any]], limit: int, position: Callable[[dict[str, Any]], tuple[str, ...]]
) -> dict[str, Any]:
    more = len(items) > limit
    shown = items[:limit]
    return {"items": shown, "next_cursor": encode_cursor(*position(shown[-1])) if more else None}


def _connection(connection: Connection) -> dict[str, Any]:
    return {
        "business_id": connection.business_id,
        "connection_id": connection.connection_id,
        "provider": connection.provider,
        "realm_id": connection.realm_id,
        "status": connection.status,
        "company_name": connection.company_name,
        "home_currency": connection.home_currency,
        "time_zone": connection.time_zone,
        "changed_at": connection.changed_at.isoformat(),
    }


def _channel(channel: Channel) -> dict[str, Any]:
    return {
        "business_id": channel.business_id,
        "channel_id": channel.channel_id,
        "channel_type": channel.channel_type,
        "status": channel.status,
        "connection_id": channel.connection_id,
        "initial_sync_date": channel.initial_sync_date,
        "settings": channel.settings,
        "synced_up_to": channel.cursor_at,
        "changed_at": channel.changed_at,
    }


def _run(row: Any) -> dict[str, Any]:  # noqa: ANN401  (a database row)
    done = row["published"] + row["failed"]
    return {
        "sync_id": row["sync_id"],
        "business_id": row["business_id"],
        "channel_id": row["channel_id"],
        "status": row["status"],
        "phase": row["phase"],
        "requested_by": row["requested_by"],
        "requested_at": row["requested_at"],
        "started_at": row["started_at"],
        "ended_at": row["ended_at"],
        "read": row["received"],
        "to_publish": row["to_publish"],
        "published": row["published"],
        "unchanged": row["unchanged"],
        "failed": row["failed"],
        "progress": {"done": done, "of": row["to_publish"]},
        "http_calls": row["http_calls"],
        "reason": row["failure_reason"],
        "detail": row["failure_detail"],
    }


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")
