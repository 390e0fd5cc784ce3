"""What the integration tests share: a fresh database and a driver of all subscriptions."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from chassis.testing import Databases, Driver, databases, fresh_pool, stack
from sales_processor.app import MIGRATIONS
from sales_processor.handlers import subscriptions
from sales_processor.testing import Story

__all__ = ["databases", "stack"]


@pytest.fixture
async def pool(databases: Databases) -> AsyncIterator[asyncpg.Pool]:
    """A pool on a migrated database of this test."""
    async with fresh_pool(databases, MIGRATIONS) as fresh:
        yield fresh


@pytest.fixture
async def story(pool: asyncpg.Pool) -> Story:
    """Business `acme` with a driver that applies messages as the consumer would."""
    return Story(Driver(pool, subscriptions(), group="sales-processor"))
