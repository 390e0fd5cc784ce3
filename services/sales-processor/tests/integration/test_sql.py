"""Every statement fits the migrated schema."""

import asyncpg

from sales_processor.store import queries
from sales_processor.verify import invariants


async def test_every_statement_fits_the_schema(pool: asyncpg.Pool) -> None:
    statements = {
        name: getattr(loaded, name).sql
        for loaded in (queries, invariants)
        for name in loaded.available_queries
        if not name.endswith("_cursor")
    }
    assert len(statements) > 40
    async with pool.acquire() as connection:
        for name, sql in statements.items():
            assert await connection.prepare(sql), name
