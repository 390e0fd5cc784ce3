"""Begins runs that nobody commands: by a channel's interval, and when a webhook asked for one.

The laws of this module: both are off unless a channel's settings say otherwise; a run is begun only
where none is open, in one statement that replicas may run at once; a connection that must be
connected again is left alone; what was asked for during a run begins after it.
"""

import asyncio

import asyncpg
import structlog

from channel_connector import store
from chassis.errors import TRANSIENT_ERRORS

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
BEGUN_AT_ONCE_MAX = 100


async def begin_due_runs(pool: asyncpg.Pool) -> int:
    """Begin what is due; how many."""
    rows = [row async for row in store.queries.open_due_runs(pool, count=BEGUN_AT_ONCE_MAX)]
    for row in rows:
        log.info("sync begun", channel_id=row["channel_id"], requested_by=row["requested_by"])
    return len(rows)


async def keep_schedule(pool: asyncpg.Pool) -> None:
    """Begin runs as they fall due, until cancelled."""
    while True:
        try:
            await begin_due_runs(pool)
        except TRANSIENT_ERRORS as error:
            log.warning("schedule not looked at", error=repr(error))
        await asyncio.sleep(LOOK_SECONDS)
