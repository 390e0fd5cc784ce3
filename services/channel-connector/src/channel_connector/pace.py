"""The pace of requests to one company, shared by all processes.

The law of this module: whoever sends reserves a place in the database first; places are an eighth
of a second apart and at most one is lent in advance, so no second holds more than 10 requests and
no minute more than 500, however many processes ask.
Source: Intuit's limits for one company and app, fact sheet section 10.
"""

import asyncio

import asyncpg

from channel_connector.store import queries

STEP_SECONDS = 0.125


class SharedPace:
    """A company's turns."""

    def __init__(self, pool: asyncpg.Pool, *, provider: str, realm_id: str) -> None:
        self._pool = pool
        self._company = {"provider": provider, "realm_id": realm_id}

    async def wait(self) -> None:
        """Wait for a turn; no transaction is open meanwhile."""
        seconds = await queries.reserve_request(
            self._pool, **self._company, step_seconds=STEP_SECONDS
        )
        if seconds > 0:
            await asyncio.sleep(seconds)
