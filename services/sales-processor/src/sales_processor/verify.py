"""The invariants of sales (I2, I3, I6, I7, I10), checked by SQL in one snapshot.

Each check selects the rows that break an invariant, so an empty answer is the proof. What only
inventory can say of them is checked there.
"""

from pathlib import Path
from typing import Any

import aiosql
import asyncpg
from pydantic import BaseModel

from chassis.outbox import Connection

invariants: Any = aiosql.from_path(Path(__file__).parent / "sql" / "invariants.sql", "asyncpg")
CHECKS = sorted(
    (name for name in invariants.available_queries if not name.endswith("_cursor")),
    key=lambda name: int(name[1:].split("_")[0]),
)

VIOLATIONS_SHOWN_MAX = 20
VERIFY_SECONDS_MAX = 600


class Check(BaseModel):
    """One invariant and the rows that break it, the first of them at most 20."""

    invariant: str
    description: str
    violations: list[dict[str, Any]]


class Report(BaseModel):
    """The outcome of every check of a service."""

    service: str
    checks: list[Check]


async def verify(pool: asyncpg.Pool, business_id: str | None) -> Report:
    """Check everything, or one business, in one snapshot."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        checks = [
            Check(
                invariant=name.split("_", 1)[0].upper(),
                description=getattr(invariants, name).__doc__,
                violations=await _violations(connection, name, business_id),
            )
            for name in CHECKS
        ]
    return Report(service="sales-processor", checks=checks)


async def _violations(
    connection: Connection, name: str, business_id: str | None
) -> list[dict[str, Any]]:
    """The first rows that break an invariant."""
    rows = []
    async for row in connection.cursor(
        getattr(invariants, name).sql, business_id, timeout=VERIFY_SECONDS_MAX
    ):
        rows.append(dict(row))
        if len(rows) == VIOLATIONS_SHOWN_MAX:
            break
    return rows
