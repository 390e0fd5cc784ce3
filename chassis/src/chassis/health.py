"""Whether a process is alive and ready; and the watchdog that ends one whose consumption stalls.

A Kafka client can be stuck without a sign (its coordinator died, it may not rejoin). So liveness is
judged by what counts: records wait, and none is applied.
"""

import asyncio
from dataclasses import dataclass, field

import structlog
from aiokafka.errors import KafkaError

from chassis import metrics
from chassis.consumer import Consumer
from chassis.errors import FatalError

log = structlog.get_logger(__name__)

CHECK_SECONDS = 5.0
UNASSIGNED_SECONDS_MAX = 240
"""A member without partitions for five minutes cannot rejoin its group: end before that."""


@dataclass
class Health:
    """What the health routes answer; `problems` maps a check's name to what is wrong."""

    problems: dict[str, str] = field(default_factory=dict)
    stalled: str | None = None

    def set(self, check: str, problem: str | None) -> None:
        """Record the outcome of a check."""
        if problem is None:
            self.problems.pop(check, None)
        else:
            self.problems[check] = problem


async def watch(consumer: Consumer, health: Health, *, stall_seconds_max: int) -> None:
    """Keep the consumer's health up to date until cancelled.

    Raises:
        FatalError: records waited for `stall_seconds_max` and none was applied, or the process held
            no partition for minutes.
    """
    loop = asyncio.get_running_loop()
    progress = assigned_at = loop.time()
    positions: dict[object, int] = {}
    while True:
        client = consumer.client
        assigned = client.assignment() if client else set()
        if assigned and client:
            assigned_at = loop.time()
            health.set("assignment", None)
            lag = await _lag(consumer)
            if lag is not None:
                metrics.CONSUMER_LAG.set(lag)
            if not lag or consumer.positions != positions:
                progress = loop.time()
                positions = dict(consumer.positions)
        else:
            progress = loop.time()
            health.set("assignment", "no partition is assigned")
            if "rebuild" in health.problems:
                assigned_at = loop.time()  # partitions are asked for after it
        if loop.time() - progress > stall_seconds_max:
            raise FatalError(
                f"Records wait and none was applied for {stall_seconds_max} seconds; "
                "the process ends to be started again."
            )
        if loop.time() - assigned_at > UNASSIGNED_SECONDS_MAX:
            raise FatalError(
                f"No partition was assigned for {UNASSIGNED_SECONDS_MAX} seconds; more replicas "
                "than partitions, or a lost group. The process ends to be started again."
            )
        await asyncio.sleep(0.1 if not assigned else CHECK_SECONDS)


async def _lag(consumer: Consumer) -> int | None:
    """Records between the applied offsets and the ends; None if the brokers do not say."""
    positions = dict(consumer.positions)
    client = consumer.client
    if client is None or not positions:
        return None
    try:
        ends = await client.end_offsets(list(positions))
    except KafkaError as error:
        log.warning("end offsets unknown", error=repr(error))
        return None
    lag: int = sum(max(0, ends[p] - position) for p, position in positions.items())
    return lag
