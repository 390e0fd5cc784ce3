"""Intuit's limits hold for all processes together."""

import asyncio

import asyncpg

from channel_connector.clients.quickbooks.client import STEP_SECONDS
from channel_connector.pace import SharedPace

MARGIN_SECONDS = 0.02
"""How far the clocks of the database and of this process may read apart between two turns."""


def pace_of(pool: asyncpg.Pool, realm_id: str) -> SharedPace:
    return SharedPace(pool, provider="p", realm_id=realm_id, step_seconds=STEP_SECONDS)


async def test_no_second_has_more_than_ten_requests_of_two_processes(pool: asyncpg.Pool) -> None:
    loop = asyncio.get_running_loop()
    replicas = [pace_of(pool, "913") for _ in range(2)]
    times: list[float] = []

    async def ask(pace: SharedPace) -> None:
        await pace.wait()
        times.append(loop.time())

    await asyncio.gather(*(ask(replicas[number % 2]) for number in range(20)))
    times.sort()
    for first, eleventh in zip(times, times[10:], strict=False):
        assert eleventh - first >= 1 - MARGIN_SECONDS


def test_no_minute_has_more_than_five_hundred_requests() -> None:
    """Places are a step apart, whoever asks; one is lent in advance."""
    assert 60 / STEP_SECONDS + 1 <= 500


async def test_companies_do_not_wait_for_each_other(pool: asyncpg.Pool) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    paces = [pace_of(pool, str(number)) for number in range(10)]
    await asyncio.gather(*(pace.wait() for pace in paces))
    assert loop.time() - started < 1
