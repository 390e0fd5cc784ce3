"""Inventory on a real Postgres: a driver that applies commands and reads what was published."""

from collections.abc import AsyncIterator

import pytest

from chassis.testing import Databases, Driver, databases, fresh_pool, stack
from inventory.app import MIGRATIONS
from inventory.handlers import subscriptions

__all__ = ["databases", "stack"]


@pytest.fixture
async def inventory(databases: Databases) -> AsyncIterator[Driver]:
    """The use cases of inventory on an empty database."""
    async with fresh_pool(databases, MIGRATIONS) as pool:
        yield Driver(pool, subscriptions(), group="inventory")
