"""Records become committed effects exactly once.

The laws of this module:

- The offset to apply next stands in Postgres and is written in the transaction of the effects. What
  is below it is dropped, so a redelivery, a zombie or a repeated batch changes nothing.
- Kafka's own committed offset follows, for lag tools only. On assignment the position is taken from
  Postgres, never from Kafka.
- A record that cannot be applied is isolated in a savepoint and dead-lettered in the same
  transaction; the records around it are applied in their order.
- A passing fault retries the whole batch, with backoff and an end; anything else ends the process.
- What a batch does follows from its records, the database and `now`, so a journal can repeat it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Generic

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import KafkaAckableMessage

from chassis import dead_letters, journal, metrics, outbox
from chassis.errors import TRANSIENT_ERRORS, FatalError, PoisonError
from chassis.messages import MessageT_co, Outgoing, Received, Record, outgoing
from chassis.offsets import find_offsets, lock_offsets, store_offsets
from chassis.outbox import Connection
from chassis.tracing import child_traceparent
from contracts.base import Message
from contracts.journal import BatchApplied
from contracts.registry import UnreadableError, WrongValueError, read
from contracts.rejections import CommandRejected

log = structlog.get_logger(__name__)

RETRY_SECONDS_FIRST = 0.1
RETRY_SECONDS_STEP_MAX = 10.0
REBALANCE_SECONDS_MAX = 60
SESSION_SECONDS = 10
IDLE_POLL_MS = 10

Reader = Callable[[str, bytes | None], Message]


@dataclass(frozen=True)
class Rejections:
    """Where answers to wrong commands go: the events topic of the service, by this key."""

    topic: str
    key: Callable[[CommandRejected], str]


@dataclass
class Batch(Generic[MessageT_co]):
    """Messages of one topic to apply in one transaction, and what is published with it.

    `connection` is inside the transaction. An exception rolls everything of this batch back,
    what it published included. `now` is when it is applied; of a batch that is repeated from a
    journal, when it was applied first.
    """

    connection: Connection
    messages: Sequence[Received[MessageT_co]]
    source: str
    rejections: Rejections | None
    now: datetime
    published: list[Outgoing] = field(default_factory=list)

    def publish(
        self,
        topic: str,
        key: str,
        message: Message,
        *,
        identity: str,
        cause: Received[Message] | None = None,
    ) -> None:
        """Publish a message when this transaction commits.

        `identity` names the fact within its topic and type: the same fact gets the same `ce_id`.
        """
        parent = cause or (self.messages[0] if self.messages else None)
        traceparent = parent.record.header("traceparent") if parent else None
        self.published.append(
            outgoing(
                topic,
                key,
                message,
                source=self.source,
                identity=identity,
                traceparent=child_traceparent(traceparent),
            )
        )

    def reject(
        self, command: Received[Message], *, reason: str, message: str, field: str | None = None
    ) -> None:
        """Answer a command that cannot be done; the rest of the batch is not concerned."""
        ids = {
            name: value
            for name in CommandRejected.model_fields
            if (name.endswith("_id") or name == "revision")
            and (value := getattr(command.message, name, None)) is not None
        }
        self._reject(
            command.record,
            CommandRejected(
                command=command.message.type, reason=reason, message=message, field=field, **ids
            ),
        )

    def _reject(self, record: Record, rejection: CommandRejected) -> None:
        if self.rejections is None:
            raise PoisonError(rejection.reason, rejection.message)
        metrics.COMMANDS_REJECTED.labels(record.topic).inc()
        self.published.append(
            outgoing(
                self.rejections.topic,
                self.rejections.key(rejection),
                rejection,
                source=self.source,
                identity=record.place,
                traceparent=child_traceparent(record.header("traceparent")),
            )
        )


@dataclass(frozen=True)
class Subscription:
    """One topic that a service applies, and the use case that applies it.

    `apply` gets the readable messages of a batch in the order of their offsets, in a transaction.
    Without `rejections`, a readable message with a wrong value is dead-lettered. `on_commit` is
    called after each commit: whoever waits for rows that `apply` writes may look at once.
    """

    topic: str
    apply: Callable[[Batch[Any]], Awaitable[None]]
    rejections: Rejections | None = None
    read: Reader = read
    on_commit: Callable[[], None] | None = None


@dataclass(frozen=True)
class _Unreadable:
    record: Record
    reason: str
    message: str


@dataclass(frozen=True)
class _Wrong:
    record: Record
    rejection: CommandRejected


class Consumer:
    """Takes batches from Kafka through FastStream and applies them, one transaction per topic."""

    def __init__(
        self,
        *,
        group: str,
        subscriptions: Sequence[Subscription],
        pool: asyncpg.Pool,
        relay: outbox.Relay,
        bootstrap_servers: str,
        batch_records_max: int = 1_000,
        dead_letters_in_a_row_max: int = 1_000,
        retry_seconds_max: int = 180,
    ) -> None:
        self.group = group
        self.journal_topic = relay.journal
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.positions: dict[TopicPartition, int] = {}
        self._known_gaps: dict[TopicPartition, int] = {}
        self._subscriptions = {s.topic: s for s in subscriptions}
        self._pool = pool
        self._relay = relay
        self._dead_letters_in_a_row_max = dead_letters_in_a_row_max
        self._dead_letters_in_a_row = dict.fromkeys(self._subscriptions, 0)
        self._retry_seconds_max = retry_seconds_max
        self._idle = asyncio.Event()
        self._idle.set()
        self._broker = KafkaBroker(
            bootstrap_servers,
            acks="all",
            allow_auto_create_topics=False,
            graceful_timeout=30,
            logger=None,
        )
        self._subscriber: Any = self._broker.subscriber(
            *self._subscriptions,
            batch=True,
            group_id=group,
            auto_offset_reset="earliest",
            max_records=batch_records_max,
            batch_timeout_ms=IDLE_POLL_MS,
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=2_097_152,
            session_timeout_ms=SESSION_SECONDS * 1000,
            rebalance_timeout_ms=REBALANCE_SECONDS_MAX * 1000,
            ack_policy=AckPolicy.MANUAL,
            listener=_Rebalance(self),
            parser=self._parse,
            decoder=_keep_raw,
        )
        self._subscriber(self._on_batch)

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that it applies."""
        return tuple(self._subscriptions)

    @property
    def client(self) -> AIOKafkaConsumer | None:
        """The Kafka consumer, once started."""
        consumer: AIOKafkaConsumer | None = self._subscriber.consumer
        return consumer

    async def start(self) -> None:
        """Join the group and consume until `stop`."""
        await self._broker.start()

    async def stop(self) -> None:
        """Finish the batch in flight and leave the group."""
        await self._broker.stop()

    async def _parse(self, records: tuple[Any, ...]) -> KafkaMessage:
        """Wrap raw records without looking into them: nothing here can raise."""
        return KafkaAckableMessage(
            body=[],
            headers={},
            batch_headers=[],
            raw_message=records,
            consumer=self._subscriber.consumer,
            message_id="",
        )

    async def _on_batch(self, message: KafkaMessage) -> None:
        self._idle.clear()
        try:
            raw: Any = message.raw_message
            await self.apply(self._without_gaps([Record.of(r) for r in raw]))
            await _commit_to_kafka(message)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.fail(error)
            raise
        finally:
            self._idle.set()

    def _without_gaps(self, records: Sequence[Record]) -> list[Record]:
        """Leave out what does not follow on the applied offset; it is fetched again from there.

        The client may hand out records from Kafka's committed offset before an assignment is
        started from Postgres. A gap that is still there when fetched again is a compacted topic's.
        """
        firsts: dict[TopicPartition, int] = {}
        for record in records:
            firsts.setdefault(TopicPartition(record.topic, record.partition), record.offset)
        refused = set()
        for place, first in firsts.items():
            position = self.positions.get(place)
            if position is None:
                refused.add(place)
            elif first > position and self._known_gaps.get(place) != first:
                self._known_gaps[place] = first
                refused.add(place)
                if self.client is not None:
                    self.client.seek(place, position)
        return [r for r in records if TopicPartition(r.topic, r.partition) not in refused]

    def fail(self, error: BaseException) -> None:
        """Report the fault that ends this consumer."""
        if not self.failed.done():
            self.failed.set_exception(error)

    async def apply(self, records: Sequence[Record]) -> None:
        """Apply records, topic by topic in the order of the subscriptions, one commit for each.

        Raises:
            FatalError: too many dead letters in a row.
        """
        if self.failed.done():
            raise FatalError("The consumer has stopped; nothing more is applied.")
        for topic, subscription in self._subscriptions.items():
            of_topic = [r for r in records if r.topic == topic]
            if of_topic:
                metrics.RECORDS_CONSUMED.labels(topic).inc(len(of_topic))
                with metrics.BATCH_SECONDS.labels(topic).time():
                    await self._apply_with_retries(subscription, of_topic)

    async def _apply_with_retries(
        self, subscription: Subscription, records: Sequence[Record]
    ) -> None:
        deadline = asyncio.get_running_loop().time() + self._retry_seconds_max
        delay = RETRY_SECONDS_FIRST
        while True:
            try:
                await self._apply_once(subscription, records)
            except TRANSIENT_ERRORS as error:
                if asyncio.get_running_loop().time() + delay > deadline:
                    raise
                metrics.BATCH_RETRIES.labels(subscription.topic).inc()
                log.warning("batch retried", topic=subscription.topic, error=repr(error))
                await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311  (jitter)
                delay = min(delay * 2, RETRY_SECONDS_STEP_MAX)
            else:
                return

    async def _apply_once(self, subscription: Subscription, records: Sequence[Record]) -> None:
        topic = subscription.topic
        partitions = sorted({r.partition for r in records})
        in_a_row = self._dead_letters_in_a_row[topic]
        async with self._pool.acquire() as connection, connection.transaction():
            stored = await lock_offsets(connection, self.group, topic, partitions)
            fresh = [r for r in records if r.offset >= stored[r.partition]]
            now = datetime.now(UTC)
            published, in_a_row = await self._apply_fresh(
                connection, subscription, fresh, in_a_row, now
            )
            await outbox.append(connection, published)
            ends = {r.partition: r.offset + 1 for r in fresh}
            await store_offsets(connection, self.group, topic, ends)
            if fresh:
                await self._keep_journal(connection, fresh, published, now)
        self._dead_letters_in_a_row[topic] = in_a_row
        metrics.RECORDS_REPEATED.labels(topic).inc(len(records) - len(fresh))
        for partition in partitions:
            place = TopicPartition(topic, partition)
            if place in self.positions:
                self.positions[place] = max(stored[partition], ends.get(partition, 0))
        if published:
            self._relay.wake()
        if subscription.on_commit is not None:
            subscription.on_commit()

    async def _keep_journal(
        self,
        connection: Connection,
        records: Sequence[Record],
        published: Sequence[Outgoing],
        now: datetime,
    ) -> None:
        """Add a batch to the journal, if there is one."""
        if self.journal_topic is not None:
            entry = await journal.next_entry(
                connection,
                self.journal_topic,
                group=self.group,
                records=records,
                published=published,
                now=now,
            )
            await outbox.append(connection, [entry])

    async def apply_again(self, entry: BatchApplied, records: Sequence[Record]) -> None:
        """Apply a batch of the journal as it was applied first; nothing is published again.

        Raises:
            FatalError: it does not come out as it did.
        """
        subscription = self._subscriptions[entry.topic]
        partitions = sorted(r.partition for r in entry.ranges)
        ends = {r.partition: r.next_offset for r in entry.ranges}
        async with self._pool.acquire() as connection, connection.transaction():
            await lock_offsets(connection, self.group, entry.topic, partitions)
            published, _ = await self._apply_fresh(
                connection, subscription, records, 0, entry.applied_at
            )
            journal.compare(entry, published)
            await store_offsets(connection, self.group, entry.topic, ends)
            await journal.save_position(connection, self.group, entry.sequence + 1)

    async def _apply_fresh(
        self,
        connection: Connection,
        subscription: Subscription,
        records: Sequence[Record],
        in_a_row: int,
        now: datetime,
    ) -> tuple[list[Outgoing], int]:
        """Apply what is readable, answer what is wrong, dead-letter the rest."""
        topic = subscription.topic
        batch: Batch[Message] = Batch(
            connection, [], f"/{self.group}", subscription.rejections, now
        )
        letters: list[_Unreadable] = []
        readable: list[Received[Message]] = []
        for record in records:
            outcome = _read(subscription, record)
            if isinstance(outcome, _Unreadable):
                letters.append(outcome)
            elif isinstance(outcome, _Wrong):
                batch._reject(record, outcome.rejection)  # noqa: SLF001  (same module)
            else:
                readable.append(outcome)
        published = batch.published
        if readable:
            await self._apply_isolated(subscription, batch, readable, letters)
        letters.sort(key=lambda letter: (letter.record.partition, letter.record.offset))
        dead = {letter.record.place for letter in letters}
        for record in records:
            in_a_row = in_a_row + 1 if record.place in dead else 0
            if in_a_row > self._dead_letters_in_a_row_max:
                raise FatalError(
                    f"{in_a_row} records of {topic} in a row could not be applied; the last is "
                    f"{record.place}: {letters[-1].message} Nothing of this batch was committed. "
                    "Mend the service or the producer, or raise DEAD_LETTERS_IN_A_ROW_MAX, and "
                    "start it again."
                )
        for letter in letters:
            metrics.RECORDS_DEAD_LETTERED.labels(topic, letter.reason).inc()
            log.error("record dead-lettered", place=letter.record.place, reason=letter.reason)
            published.append(
                dead_letters.dead_letter(
                    letter.record, group=self.group, reason=letter.reason, message=letter.message
                )
            )
        metrics.RECORDS_APPLIED.labels(topic).inc(len(records) - len(letters))
        return published, in_a_row

    async def _apply_isolated(
        self,
        subscription: Subscription,
        whole: Batch[Message],
        messages: Sequence[Received[Message]],
        letters: list[_Unreadable],
    ) -> None:
        """Apply messages in a savepoint; on a fault halve them until the bad one stands alone.

        What they publish is added to the `whole` batch.
        """
        batch = replace(whole, messages=messages, published=[])
        try:
            async with whole.connection.transaction():
                await subscription.apply(batch)
        except TRANSIENT_ERRORS:
            raise
        except Exception as error:
            if len(messages) > 1:
                middle = len(messages) // 2
                for half in (messages[:middle], messages[middle:]):
                    await self._apply_isolated(subscription, whole, half, letters)
                return
            record = messages[0].record
            if isinstance(error, PoisonError):
                letters.append(_Unreadable(record, error.reason, str(error)))
                return
            log.exception("record could not be applied", place=record.place)
            letters.append(
                _Unreadable(record, "not-applicable", dead_letters.traceback_text(error))
            )
        else:
            whole.published.extend(batch.published)


def _read(subscription: Subscription, record: Record) -> "Received[Message] | _Unreadable | _Wrong":
    """Make a message of a record, or say why not."""
    for name, value in record.headers:
        try:
            (value or b"").decode("utf-8")
        except UnicodeDecodeError:
            return _Unreadable(record, "bad-header", f"The header `{name}` is not UTF-8 text.")
    try:
        return Received(record, subscription.read(subscription.topic, record.value))
    except UnreadableError as error:
        return _Unreadable(record, error.reason, str(error))
    except WrongValueError as error:
        if subscription.rejections is None:
            return _Unreadable(record, "invalid-value", str(error))
        return _Wrong(record, error.rejection())


async def _commit_to_kafka(message: KafkaMessage) -> None:
    """Let Kafka's offset follow; it is for lag tools only, so a fault changes nothing."""
    try:
        await message.ack()
    except KafkaError as error:
        log.warning("offset not committed to Kafka", error=repr(error))


async def _keep_raw(message: KafkaMessage) -> object:
    return message.body


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    """Waits for the batch in flight before partitions go, and starts new ones from Postgres."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        try:
            await asyncio.wait_for(
                self._consumer._idle.wait(),  # noqa: SLF001  (same module)
                REBALANCE_SECONDS_MAX - 5,
            )
        except TimeoutError:
            log.warning("batch still in flight at a rebalance", group=self._consumer.group)
        for partition in revoked:
            self._consumer.positions.pop(partition, None)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        try:
            await self._start_from_stored(sorted(assigned))
        except Exception as error:  # noqa: BLE001  (reported: it ends the process)
            self._consumer.fail(error)

    async def _start_from_stored(self, assigned: Sequence[TopicPartition]) -> None:
        client = self._consumer.client
        if client is None or not assigned:
            return
        beginnings = await client.beginning_offsets(assigned)
        ends = await client.end_offsets(assigned)
        for partition, stored in (
            await find_offsets(self._consumer._pool, self._consumer.group, assigned)  # noqa: SLF001
        ).items():
            position = beginnings[partition] if stored is None else stored
            where = f"partition {partition.partition} of {partition.topic}"
            advice = (
                f"If this is meant, set the offset with `offsets reset --topic {partition.topic} "
                f"--partition {partition.partition} --to earliest|latest|N` and start again."
            )
            if position > ends[partition]:
                raise FatalError(
                    f"{where} ends at {ends[partition]}, below the applied offset {position}: the "
                    f"topic was made anew or restored. {advice}"
                )
            if position < beginnings[partition]:
                raise FatalError(
                    f"{where} begins at {beginnings[partition]}, above the offset {position} that "
                    f"is to be applied next: records were deleted before they were read. {advice}"
                )
            client.seek(partition, position)
            self._consumer.positions[partition] = position
