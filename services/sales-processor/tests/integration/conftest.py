"""What the integration tests share: a fresh database and a driver of all subscriptions."""

from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from chassis.health import Health
from chassis.http import create_app
from chassis.testing import Databases, databases, fresh_pool, stack
from sales_processor.app import MIGRATIONS
from sales_processor.reads import router
from sales_processor.testing import Story, empty, new_story

__all__ = ["databases", "stack"]


@pytest.fixture(scope="session")
async def shared_pool(databases: Databases) -> AsyncIterator[asyncpg.Pool]:
    """A pool on a migrated database of this folder's tests."""
    async with fresh_pool(databases, MIGRATIONS) as fresh:
        yield fresh


@pytest.fixture
async def pool(shared_pool: asyncpg.Pool) -> asyncpg.Pool:
    """The pool, all tables empty: a clone for each test would take most of the time."""
    await empty(shared_pool)
    return shared_pool


@pytest.fixture
async def story(pool: asyncpg.Pool) -> AsyncIterator[Story]:
    """Business `acme`, its messages applied as the consumer would; every invariant holds after."""
    told = new_story(pool)
    yield told
    assert await told.violations() == []


@pytest.fixture
async def http(pool: asyncpg.Pool) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the reads, without a network."""

    async def ready() -> None: ...

    app = create_app(title="sales-processor", health=Health(), ready=ready, asyncapi={})
    app.include_router(router(pool))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sales") as client:
        yield client
