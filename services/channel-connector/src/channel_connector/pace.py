"""The pace of requests to one company, shared by all processes.

The law of this module: whoever sends reserves a place in the database first; places are a step
apart and at most one is lent in advance, so no time holds more requests than it has steps, and one,
however many processes ask.
"""

import asyncio

import asyncpg

from channel_connector.store import queries


class SharedPace:
    """A company's turns."""

    def __init__(
        self, pool: asyncpg.Pool, *, provider: str, realm_id: str, step_seconds: float
    ) -> None:
        self._pool = pool
        self._company = {"provider": provider, "realm_id": realm_id}
        self._step_seconds = step_seconds

    async def wait(self) -> None:
        """Wait for a turn; no transaction is open meanwhile."""
        seconds = await queries.reserve_request(
            self._pool, **self._company, step_seconds=self._step_seconds
        )
        if seconds > 0:
            await asyncio.sleep(seconds)
