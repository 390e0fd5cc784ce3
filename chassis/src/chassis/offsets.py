"""The offsets that a consumer group applies next, in the service's own database."""

from collections.abc import Sequence

import asyncpg
from aiokafka import TopicPartition

from chassis.outbox import Connection


async def find_offsets(
    pool: asyncpg.Pool, group: str, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int | None]:
    """The offset to apply next of each partition; None where nothing was applied yet."""
    rows = await pool.fetch(
        """
        select topic, partition, next_offset
        from consumer_offsets
        where consumer_group = $1
        """,
        group,
    )
    stored = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
    return {partition: stored.get(partition) for partition in partitions}


async def lock_offsets(
    connection: Connection, group: str, topic: str, partitions: Sequence[int]
) -> dict[int, int]:
    """Lock the rows of these partitions, lowest first; a new partition starts at 0."""
    query = """
        select partition, next_offset
        from consumer_offsets
        where consumer_group = $1 and topic = $2 and partition = any($3)
        order by partition
        for update
    """
    rows = await connection.fetch(query, group, topic, partitions)
    if len(rows) < len(partitions):
        await connection.execute(
            """
            insert into consumer_offsets (consumer_group, topic, partition, next_offset)
            select $1, $2, partition, 0 from unnest($3::int[]) as partition order by partition
            on conflict do nothing
            """,
            group,
            topic,
            partitions,
        )
        rows = await connection.fetch(query, group, topic, partitions)
    return {row["partition"]: row["next_offset"] for row in rows}


async def store_offsets(
    connection: Connection, group: str, topic: str, ends: dict[int, int]
) -> None:
    """Keep the offset to apply next of each partition, whose row is locked."""
    if ends:
        await connection.execute(
            """
            update consumer_offsets as stored
            set next_offset = ends.next_offset
            from unnest($3::int[], $4::bigint[]) as ends (partition, next_offset)
            where stored.consumer_group = $1
              and stored.topic = $2
              and stored.partition = ends.partition
            """,
            group,
            topic,
            list(ends),
            list(ends.values()),
        )
