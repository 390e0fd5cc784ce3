"""The running services: stories are published to Kafka, and what the services tell is read."""

import json
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from chassis.testing import until
from contracts.topics import dead_letter_topic
from inventory import handlers as inventory
from sales_processor import handlers as sales_processor
from salesync.client import start_from_now

from .figures import figures
from .model import Body, Figures
from .stories import Message

SERVICES = {
    "inventory": ("INVENTORY", inventory.RECEIVES),
    "sales-processor": ("SALES_PROCESSOR", sales_processor.RECEIVES),
}
QUIET_SECONDS_MAX = 60.0
READ_SECONDS_MAX = 30.0
Position = tuple[dict[tuple[str, int], int], int]
"""The next offset of each partition, and how many messages wait to be published."""


class Services:
    """Inventory and the sales-processor, as other programs reach them, and their databases."""

    def __init__(
        self,
        *,
        producer: AIOKafkaProducer,
        consumer: AIOKafkaConsumer,
        dead_letters: AIOKafkaConsumer,
        http: httpx.AsyncClient,
        pools: Mapping[str, asyncpg.Pool],
        urls: Mapping[str, str],
    ) -> None:
        self._producer = producer
        self._consumer = consumer
        self._dead_letters = dead_letters
        self._http = http
        self._pools = pools
        self._urls = urls

    async def open(self) -> None:
        """Connect to Kafka."""
        await self._producer.start()
        await self._consumer.start()
        await self._dead_letters.start()
        await start_from_now(self._dead_letters)

    async def close(self) -> None:
        """Close everything."""
        await self._dead_letters.stop()
        await self._consumer.stop()
        await self._producer.stop()
        await self._http.aclose()
        for pool in self._pools.values():
            await pool.close()

    async def tell(self, stories: Sequence[Sequence[Sequence[Message]]]) -> None:
        """Publish stories side by side, burst by burst; everything is done after each."""
        for bursts in zip_longest(*stories, fillvalue=()):
            for message in (message for burst in bursts for message in burst):
                await self._producer.send(
                    message.topic, json.dumps(message.body).encode(), key=message.key.encode()
                )
            await self._producer.flush()
            await until(self._is_quiet, what="all is applied", seconds=QUIET_SECONDS_MAX)

    async def dead(self) -> list[tuple[str, str]]:
        """Key and reason of every message that was set apart since this was asked last."""
        consumer, found = self._dead_letters, []
        ends = await consumer.end_offsets(consumer.assignment())
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                record = await consumer.getone(partition)
                headers = {name: value.decode() for name, value in record.headers}
                key = (record.key or b"").decode()
                found.append((key, f"{headers['dlq.reason']}: {headers['dlq.message']}"))
        return found

    async def _is_quiet(self) -> bool:
        """Whether every message is applied, with all that followed from it.

        Nothing was applied between two equal looks at the databases, and meanwhile Kafka had
        nothing that they had not applied.
        """
        before = await self._positions()
        if any(waiting for _, waiting in before.values()):
            return False
        for name, (_, topics) in SERVICES.items():
            applied, _ = before[name]
            for partition, end in (await self._ends(topics)).items():
                if applied.get((partition.topic, partition.partition), 0) < end:
                    return False
        return await self._positions() == before

    async def _positions(self) -> dict[str, Position]:
        return {name: await self._position(pool, name) for name, pool in self._pools.items()}

    @staticmethod
    async def _position(pool: asyncpg.Pool, group: str) -> Position:
        rows = await pool.fetch(
            "select topic, partition, next_offset, (select count(*) from outbox) as waiting"
            " from consumer_offsets where consumer_group = $1",
            group,
        )
        offsets = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        return offsets, rows[0]["waiting"] if rows else 0

    async def _ends(self, topics: Sequence[str]) -> dict[TopicPartition, int]:
        partitions = [
            TopicPartition(topic, partition)
            for topic in topics
            for partition in self._consumer.partitions_for_topic(topic)
        ]
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        return ends

    async def told(self, business: str) -> Figures:
        """What the reads tell of a business, in the form of the model."""
        where = f"/businesses/{business}"
        products = await self._list("inventory", f"{where}/products")
        lots = {
            each["product_id"]: await self._list(
                "inventory", f"{where}/products/{each['product_id']}/lots"
            )
            for each in products
        }
        return figures(
            sales=await self._list("sales-processor", f"{where}/sales"),
            summaries=await self._list("sales-processor", f"{where}/sync-summaries"),
            lots=lots,
            stock={each["product_id"]: each["stock_on_hand"] for each in products},
        )

    async def broken(self, business: str) -> list[Body]:
        """The invariants that do not hold."""
        reports = [await self._get(name, "/verify", business_id=business) for name in self._pools]
        return [check for report in reports for check in report["checks"] if check["violations"]]

    async def _get(self, service: str, path: str, **parameters: str) -> Any:  # noqa: ANN401
        answer = await self._http.get(self._urls[service] + path, params=parameters)
        answer.raise_for_status()
        return answer.json()

    async def _list(self, service: str, path: str) -> list[Body]:
        page = await self._get(service, path, limit="1000")
        if page["next_cursor"] is not None:
            raise ValueError(f"{path} has more than one page")
        items: list[Body] = page["items"]
        return items


async def connect(addresses: Mapping[str, str]) -> Services:
    """Reach the running services; close what is returned."""
    brokers = addresses["KAFKA_BOOTSTRAP_SERVERS"]
    topics = {topic for _, received in SERVICES.values() for topic in received}
    services = Services(
        producer=AIOKafkaProducer(bootstrap_servers=brokers, acks="all", enable_idempotence=True),
        consumer=AIOKafkaConsumer(*topics, bootstrap_servers=brokers),
        dead_letters=AIOKafkaConsumer(
            *(
                dead_letter_topic(topic, service)
                for service, (_, received) in SERVICES.items()
                for topic in received
            ),
            bootstrap_servers=brokers,
        ),
        http=httpx.AsyncClient(timeout=READ_SECONDS_MAX),
        pools={
            name: await asyncpg.create_pool(
                addresses[f"{prefix}_DATABASE_URL"], min_size=1, max_size=2
            )
            for name, (prefix, _) in SERVICES.items()
        },
        urls={name: addresses[f"{prefix}_URL"] for name, (prefix, _) in SERVICES.items()},
    )
    await services.open()
    return services
