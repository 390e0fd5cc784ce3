"""What the sales-processor answers over HTTP about runs: how far each is, and its summary."""

from datetime import datetime
from typing import Annotated, Any, Literal

import asyncpg
from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from chassis.http import PageCursor, PageLimit, decode_cursor, encode_cursor, storable
from contracts.sales import SyncCompleted
from sales_processor import store
from sales_processor.store import queries


class RunRead(BaseModel):
    """How far a run is: what came, what waits for its cost; at the end the summary.

    `published` is None until the connector has said how much it published.
    """

    business_id: str
    sync_id: str
    channel_id: str
    status: Literal["receiving", "retrying", "costing", "completed", "failed"]
    started_at: datetime | None
    completed_at: datetime | None
    published: int | None
    received: int
    retried: int
    pending: int
    summary: SyncCompleted | None
    failure: dict[str, Any] | None


class Summaries(BaseModel):
    """A page of summaries."""

    items: list[SyncCompleted]
    next_cursor: str | None


def add_runs(routes: APIRouter, pool: asyncpg.Pool) -> None:
    """Add the routes about runs."""

    @routes.get("/syncs/{sync_id}/summary", tags=["syncs"])
    async def get_run(
        sync_id: str,
        business_id: Annotated[
            str | None, Query(description="whose run, where two businesses chose one id")
        ] = None,
    ) -> RunRead:
        """How far a run is, and its summary when it is completed."""
        async with pool.acquire() as connection:
            found = await store.rows(
                queries.find_runs(
                    connection, sync_id=storable(sync_id), business_id=storable(business_id)
                )
            )
        if not found:
            raise HTTPException(404, f"No transaction or event of a sync {sync_id} has come yet.")
        if len(found) > 1:
            raise HTTPException(
                409, f"Two businesses have a sync {sync_id}; say whose with ?business_id=."
            )
        values = dict(found[0])
        return RunRead(status=values.pop("phase"), **values)

    @routes.get("/businesses/{business_id}/sync-summaries", tags=["syncs"])
    async def list_summaries(
        business_id: str,
        channel_id: str | None = None,
        limit: PageLimit = 100,
        cursor: PageCursor = None,
    ) -> Summaries:
        """The summaries of a business's runs, newest first."""
        before = decode_cursor(cursor, datetime, str) if cursor else (None, None)
        async with pool.acquire() as connection:
            found = await store.rows(
                queries.list_summaries(
                    connection,
                    business_id=storable(business_id),
                    channel_id=storable(channel_id),
                    before_instant=before[0],
                    before_id=before[1],
                    count=limit + 1,
                )
            )
        page = found[:limit]
        return Summaries(
            items=[SyncCompleted(**row["summary"]) for row in page],
            next_cursor=(
                encode_cursor(page[-1]["completed_at"].isoformat(), page[-1]["sync_id"])
                if len(found) > limit
                else None
            ),
        )
