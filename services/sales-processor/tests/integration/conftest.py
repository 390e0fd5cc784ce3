"""What the integration tests share: a fresh database and a driver of all subscriptions."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from chassis.testing import Databases, Driver, databases, fresh_pool, stack
from sales_processor.app import MIGRATIONS
from sales_processor.handlers import subscriptions
from sales_processor.testing import Story

__all__ = ["databases", "stack"]


@pytest.fixture(scope="session")
async def shared_pool(databases: Databases) -> AsyncIterator[asyncpg.Pool]:
    """A pool on a migrated database of this folder's tests."""
    async with fresh_pool(databases, MIGRATIONS) as fresh:
        yield fresh


@pytest.fixture
async def pool(shared_pool: asyncpg.Pool) -> asyncpg.Pool:
    """The pool, all tables empty: a clone for each test would take most of the time."""
    tables = await shared_pool.fetch(
        "select relname from pg_stat_user_tables where relname <> 'schema_migrations'"
    )
    names = ", ".join(row["relname"] for row in tables)
    await shared_pool.execute(f"truncate {names}")
    return shared_pool


@pytest.fixture
async def story(pool: asyncpg.Pool) -> AsyncIterator[Story]:
    """Business `acme`, its messages applied as the consumer would; every invariant holds after."""
    told = Story(Driver(pool, subscriptions(), group="sales-processor"))
    yield told
    assert await told.violations() == []
