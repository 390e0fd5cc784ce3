"""A client of the running system: publishes commands, follows events, reads over HTTP.

It knows what any other program may know: the brokers, the services' addresses, the contracts.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from contracts.registry import command_topics

EVENT_TOPICS = (
    "channels.events.v1",
    "sales.events.v1",
    "inventory.events.v1",
    "inventory.products.v1",
)
PATIENCE_SECONDS = 60.0
READ_SECONDS = 30.0

Event = dict[str, Any]


class Client:
    """The system through its public surfaces; open it with `connect`.

    `events` is every event since the client was opened, in the order in which it came.
    """

    def __init__(
        self, addresses: Mapping[str, str], producer: AIOKafkaProducer, http: httpx.AsyncClient
    ) -> None:
        self.addresses = addresses
        self.events: list[Event] = []
        self._producer = producer
        self._http = http
        self._arrived = asyncio.Condition()

    async def publish(self, *messages: Mapping[str, Any]) -> None:
        """Publish commands in their order, each to its topic and keyed by its business."""
        topics = command_topics()
        for message in messages:
            await self._producer.send_and_wait(
                topics[message["type"]],
                json.dumps(message).encode(),
                key=str(message["business_id"]).encode(),
                headers=[
                    ("content-type", b"application/json"),
                    ("ce_id", str(uuid4()).encode()),
                ],
            )

    async def wait_for(
        self, matches: Callable[[Event], bool], *, what: str, since: int = 0
    ) -> Event:
        """The first event from place `since` on that matches.

        Raises:
            TimeoutError: none came within a minute; the text names `what`.
        """
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._arrived:
                while True:
                    for event in self.events[since:]:
                        if matches(event):
                            return event
                    since = len(self.events)
                    await self._arrived.wait()
        except TimeoutError:
            raise TimeoutError(f"not within {PATIENCE_SECONDS:g} seconds: {what}") from None

    async def sync(self, business_id: str, channel_id: str, **more: str) -> Event:
        """Ask for a sync and wait for how it ends: completed, rejected or failed."""
        sync_id = str(uuid4())
        since = len(self.events)
        await self.publish(
            {
                "type": "sync-requested",
                "business_id": business_id,
                "channel_id": channel_id,
                "sync_id": sync_id,
                **more,
            }
        )
        ends = {"sync-completed", "sync-rejected", "sync-failed"}
        return await self.wait_for(
            lambda e: e["type"] in ends and e.get("sync_id") == sync_id,
            what=f"the end of sync {sync_id} of channel {channel_id}",
            since=since,
        )

    async def get(self, service: str, path: str, **parameters: object) -> Any:  # noqa: ANN401
        """A JSON answer of a service, which goes by the name of its address (`INVENTORY`)."""
        given = {name: str(value) for name, value in parameters.items() if value is not None}
        answer = await self._http.get(self.addresses[f"{service}_URL"] + path, params=given)
        answer.raise_for_status()
        return answer.json()

    async def list(self, service: str, path: str, **parameters: object) -> list[Any]:
        """Every item of a paged list."""
        items: list[Any] = []
        cursor = None
        while True:
            page = await self.get(service, path, **parameters, cursor=cursor)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    async def send(
        self, service: str, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Any:  # noqa: ANN401
        """A call that changes something: a connection, or the sandbox's books."""
        answer = await self._http.request(
            method, self.addresses[f"{service}_URL"] + path, json=body
        )
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None

    async def follow(self, consumer: AIOKafkaConsumer) -> None:
        """Collect events until cancelled."""
        async for record in consumer:
            try:
                event = json.loads(record.value or b"null")
            except ValueError:
                continue  # not ours: our topics carry JSON objects
            if isinstance(event, dict) and "type" in event:
                async with self._arrived:
                    self.events.append(event)
                    self._arrived.notify_all()


@asynccontextmanager
async def connect(addresses: Mapping[str, str]) -> AsyncIterator[Client]:
    """Open a client that sees every event from now on."""
    brokers = addresses["KAFKA_BOOTSTRAP_SERVERS"]
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all", enable_idempotence=True)
    consumer = AIOKafkaConsumer(*EVENT_TOPICS, bootstrap_servers=brokers)
    async with httpx.AsyncClient(timeout=READ_SECONDS) as http:
        try:
            await producer.start()
            await consumer.start()
            await start_from_now(consumer)
            client = Client(addresses, producer, http)
            following = asyncio.create_task(client.follow(consumer))
            try:
                yield client
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
        finally:
            await consumer.stop()
            await producer.stop()


async def start_from_now(consumer: AIOKafkaConsumer) -> None:
    """Let a consumer without a group see what comes from now on, of all its partitions."""
    partitions = consumer.assignment()
    await consumer.seek_to_end(*partitions)
    for partition in partitions:
        await consumer.position(partition)
