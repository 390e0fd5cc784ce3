"""What the commands need of Kafka: its address, reading and writing safely, faults in words."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from local_stack import StackError

BROKERS = "KAFKA_BOOTSTRAP_SERVERS"
REQUEST_BYTES_MAX = 8_388_608
POLL_MS = 1_000

T = TypeVar("T")


def talk(brokers: str, work: Coroutine[Any, Any, T]) -> T:
    """Run what talks to Kafka.

    Raises:
        StackError: Kafka cannot be reached or refused.
    """
    try:
        return asyncio.run(work)
    except (KafkaError, OSError) as error:
        raise StackError(
            f"Kafka at {brokers} cannot be reached or refused: {error or type(error).__name__}."
            f" Check {BROKERS}, or start the system with `salesync up`."
        ) from error


@asynccontextmanager
async def producing(brokers: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer whose acknowledgements mean that every in-sync replica has the record."""
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers,
        acks="all",
        enable_idempotence=True,
        max_request_size=REQUEST_BYTES_MAX,
    )
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def administering(brokers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for what concerns whole topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def consuming(
    brokers: str, partitions: Sequence[TopicPartition]
) -> AsyncIterator[AIOKafkaConsumer]:
    """A reader of these partitions, in no group: it leaves no trace."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=REQUEST_BYTES_MAX,
    )
    try:
        await consumer.start()
        consumer.assign(list(partitions))
        yield consumer
    finally:
        await consumer.stop()


async def partitions_of(brokers: str, topics: Iterable[str]) -> list[TopicPartition]:
    """The partitions of those topics that exist."""
    async with administering(brokers) as admin:
        described = await admin.describe_topics(list(topics))
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        if topic["error_code"] == 0
        for partition in topic["partitions"]
    ]


async def records(
    brokers: str, topics: Iterable[str]
) -> AsyncGenerator[ConsumerRecord[Any, Any], None]:
    """Every record that the topics hold at this moment, partition by partition."""
    for partition in sorted(await partitions_of(brokers, topics)):
        async with consuming(brokers, [partition]) as consumer:
            end = (await consumer.end_offsets([partition]))[partition]
            beginning = (await consumer.beginning_offsets([partition]))[partition]
            consumer.seek(partition, beginning)
            position = beginning
            while position < end:
                batch = await consumer.getmany(partition, timeout_ms=POLL_MS)
                for record in batch.get(partition, []):
                    if record.offset < end:
                        yield record
                position = await consumer.position(partition)


async def records_of_all(
    brokers: str, topics: Iterable[str]
) -> AsyncGenerator[ConsumerRecord[Any, Any], None]:
    """Every record that the topics hold at this moment, in the order of each partition only."""
    partitions = await partitions_of(brokers, topics)
    async with consuming(brokers, partitions) as consumer:
        beginnings = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        unread = {place for place in partitions if beginnings[place] < ends[place]}
        consumer.assign(list(unread))
        for place in unread:
            consumer.seek(place, beginnings[place])
        while unread:
            for place, batch in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                for record in batch:
                    if record.offset < ends[place]:
                        yield record
            unread = {p for p in unread if await consumer.position(p) < ends[p]}
