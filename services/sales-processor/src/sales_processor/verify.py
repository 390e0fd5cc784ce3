"""The invariants of sales (I2, I3, I5 to I7, I10 to I12), checked by SQL in one snapshot.

What only inventory can say of them is checked there.
"""

from pathlib import Path
from typing import Any

import aiosql
import asyncpg

from chassis.invariants import Invariants, Report

invariants: Any = aiosql.from_path(Path(__file__).parent / "sql" / "invariants.sql", "asyncpg")
INVARIANTS = Invariants("sales-processor", invariants, tenant_column="business_id")


async def verify(pool: asyncpg.Pool, business_id: str | None) -> Report:
    """Check everything, or one business, in one snapshot."""
    return await INVARIANTS.verify(pool, business_id)
