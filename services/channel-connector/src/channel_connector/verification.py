"""The invariants of channels and syncs, checked by SQL in one snapshot."""

from pathlib import Path

import aiosql
import asyncpg

from channel_connector.messages import SERVICE
from chassis.invariants import Invariants, Report

INVARIANTS = Invariants(
    SERVICE,
    aiosql.from_path(Path(__file__).parent / "sql" / "invariants.sql", "asyncpg"),
    tenant_column="business_id",
    tables_of_all=("request_paces",),
    keys_of_all=("channels", "sync_runs"),
)


async def verify(pool: asyncpg.Pool, business_id: str | None) -> Report:
    """Check everything, or one business, in one snapshot."""
    return await INVARIANTS.verify(pool, business_id)
