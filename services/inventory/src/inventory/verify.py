"""The invariants of stock (I1 to I5, I8 to I12), checked by SQL in one snapshot."""

from pathlib import Path

import aiosql
import asyncpg

from chassis.invariants import Invariants, Report

INVARIANTS = Invariants(
    "inventory",
    aiosql.from_path(Path(__file__).parent / "sql" / "invariants.sql", "asyncpg"),
    tenant_column="business_id",
)


async def verify(pool: asyncpg.Pool, business_id: str | None) -> Report:
    """Check everything, or one business, in one snapshot."""
    return await INVARIANTS.verify(pool, business_id)
