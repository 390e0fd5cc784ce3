"""Messages leave through a table: written in the transaction of the effects, published after it.

The laws of this module: one relay per database publishes (an advisory lock on its own session);
rows go out in id order for each partition; a row is deleted only when its batch was acknowledged;
a journal entry goes out when everything before it was acknowledged. A crash in between publishes
rows again, with the same `ce_id`, never loses one.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner
from asyncpg.pool import PoolConnectionProxy

from chassis import metrics
from chassis.messages import Headers, Outgoing

Connection = asyncpg.Connection | PoolConnectionProxy

log = structlog.get_logger(__name__)

ROWS_PER_ROUND = 2_000
PAYLOAD_BYTES_PER_ROUND = 8_388_608
IDLE_SECONDS = 0.02
RETRY_SECONDS_MIN = 0.1
RETRY_SECONDS_MAX = 5.0
BATCH_BYTES_MAX = 1_048_576
REQUEST_BYTES_MAX = 8_388_608
_LOCK_CLASS = 0x0B0C

_COLUMNS = (
    "aggregatetype",
    "aggregateid",
    "type",
    "payload",
    "message_key",
    "ce_id",
    "ce_time",
    "traceparent",
    "header_names",
    "header_values",
)
_NEXT_ROWS = """
    select id, aggregatetype, aggregateid, type, payload, message_key, ce_id, ce_time, traceparent,
           header_names, header_values
    from (
        select next_rows.*,
               sum(octet_length(payload)) over (
                   order by id rows between unbounded preceding and 1 preceding
               ) as bytes_before
        from (select * from outbox order by id limit $1) as next_rows
    ) as measured
    where coalesce(bytes_before, 0) < $2
    order by id
"""


async def append(connection: Connection, messages: Sequence[Outgoing]) -> None:
    """Write messages to the outbox, in their order, within the caller's transaction."""
    if not messages:
        return
    await connection.copy_records_to_table(
        "outbox",
        columns=_COLUMNS,
        records=[
            (
                m.topic,
                m.subject,
                m.type,
                m.payload,
                m.key,
                m.id,
                m.time,
                m.traceparent,
                None if m.headers is None else [name for name, _ in m.headers],
                None if m.headers is None else [value for _, value in m.headers],
            )
            for m in messages
        ],
    )


def sendable(rows: Sequence[Any], journal: str | None) -> list[Any]:
    """The rows of a round that may go out now: journal entries only if nothing stands before them.

    The first row always may. An entry that is held back goes with the next round.
    """
    first = next((n for n, row in enumerate(rows) if row["aggregatetype"] != journal), len(rows))
    return [row for n, row in enumerate(rows) if n < first or row["aggregatetype"] != journal]


class Relay:
    """Publishes the outbox to Kafka until it is stopped; `journal` is the topic of its journal."""

    def __init__(
        self, *, database_url: str, bootstrap_servers: str, source: str, journal: str | None = None
    ) -> None:
        self.journal = journal
        self._database_url = database_url
        self._bootstrap_servers = bootstrap_servers
        self._source = source.encode()
        self._wake = asyncio.Event()
        self._stopping = False
        self._partition = DefaultPartitioner()

    def wake(self) -> None:
        """Say that a transaction with messages was committed."""
        self._wake.set()

    def stop(self) -> None:
        """Publish what is there, then let `run` return."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Publish until stopped; faults are logged and the round is repeated, with backoff."""
        delay = RETRY_SECONDS_MIN
        while True:
            try:
                await self._run_session()
            except Exception as error:  # noqa: BLE001  (logged, counted and repeated)
                metrics.OUTBOX_FAILURES.inc()
                log.warning("outbox round failed", error=repr(error), retry_seconds=delay)
                if self._stopping:
                    return
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_SECONDS_MAX)
            else:
                return

    async def _run_session(self) -> None:
        """Hold the lock on one session and one producer until stopped or a fault."""
        connection = await asyncpg.connect(self._database_url, command_timeout=60)
        try:
            while not await connection.fetchval("select pg_try_advisory_lock($1, 1)", _LOCK_CLASS):
                if self._stopping:
                    return
                await asyncio.sleep(1)  # another replica publishes; stand by
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap_servers,
                acks="all",
                enable_idempotence=True,
                max_batch_size=BATCH_BYTES_MAX,
                max_request_size=REQUEST_BYTES_MAX,
                linger_ms=0,
                request_timeout_ms=30_000,
            )
            await producer.start()
            try:
                await self._publish_until_stopped(connection, producer)
            finally:
                await producer.stop()
        finally:
            await connection.close(timeout=5)

    async def _publish_until_stopped(
        self, connection: asyncpg.Connection, producer: AIOKafkaProducer
    ) -> None:
        while True:
            self._wake.clear()
            found = await connection.fetch(_NEXT_ROWS, ROWS_PER_ROUND, PAYLOAD_BYTES_PER_ROUND)
            rows = sendable(found, self.journal)
            if rows:
                published, fault = await self._publish(producer, rows)
                await connection.execute("delete from outbox where id = any($1)", published)
                if fault is not None:
                    raise fault
            elif self._stopping:
                return
            else:
                await self._idle()

    async def _idle(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), IDLE_SECONDS)
        except TimeoutError:
            return

    async def _publish(
        self, producer: AIOKafkaProducer, rows: Sequence[Any]
    ) -> tuple[list[int], BaseException | None]:
        """Send rows in per-partition batches; the ids that brokers have, and the first fault."""
        queues: dict[tuple[str, int], list[Any]] = defaultdict(list)
        for row in rows:
            topic = row["aggregatetype"]
            partitions = sorted(await producer.partitions_for(topic))
            queues[topic, self._partition(row["message_key"], partitions, partitions)].append(row)
        outcomes = await asyncio.gather(
            *(
                self._publish_to_partition(producer, topic, partition, queue)
                for (topic, partition), queue in queues.items()
            ),
            return_exceptions=True,
        )
        published: list[int] = []
        fault: BaseException | None = None
        for ((topic, _), queue), outcome in zip(queues.items(), outcomes, strict=True):
            if outcome is None:
                published += [row["id"] for row in queue]
                metrics.OUTBOX_PUBLISHED.labels(topic).inc(len(queue))
            else:
                fault = fault or outcome
        return published, fault

    async def _publish_to_partition(
        self, producer: AIOKafkaProducer, topic: str, partition: int, rows: Sequence[Any]
    ) -> None:
        acknowledgements = []
        batch = producer.create_batch()
        for row in rows:
            message = {
                "key": row["message_key"],
                "value": row["payload"],
                "timestamp": None,
                "headers": list(self._headers(row)),
            }
            if batch.append(**message) is None:
                acknowledgements.append(
                    await producer.send_batch(batch, topic, partition=partition)
                )
                batch = producer.create_batch()
                if batch.append(**message) is None:
                    raise ValueError(
                        f"A message of {len(row['payload'] or b'')} bytes fits no batch."
                    )
        acknowledgements.append(await producer.send_batch(batch, topic, partition=partition))
        for acknowledgement in acknowledgements:
            await acknowledgement

    def _headers(self, row: Any) -> Headers:  # noqa: ANN401  (a database row)
        """CloudEvents 1.0 binary mode, or the headers that a dead letter brought."""
        if row["header_names"] is not None:
            return tuple(zip(row["header_names"], row["header_values"], strict=True))
        created: datetime = row["ce_time"]
        headers = (
            ("ce_specversion", b"1.0"),
            ("ce_id", str(row["ce_id"]).encode()),
            ("ce_source", self._source),
            ("ce_type", row["type"].encode()),
            ("ce_time", created.isoformat().encode()),
            ("ce_subject", row["aggregateid"].encode()),
            ("content-type", b"application/json"),
        )
        traceparent = row["traceparent"]
        if traceparent is None:
            return headers
        return (*headers, ("traceparent", traceparent.encode()))
