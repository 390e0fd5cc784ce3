"""The sales-processor as a process: Kafka in, Kafka out, HTTP beside it, a clean stop."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import local_stack
from chassis import topics
from chassis.testing import Databases, process, until_ready
from contracts.topics import load
from sales_processor.app import DEFINITION, MIGRATIONS
from sales_processor.testing import Body, Shelf, line, product, published, transaction


@dataclass
class Running:
    """A sales-processor that serves, and what it publishes."""

    http: httpx.AsyncClient
    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer

    async def send(self, topic: str, *messages: Body) -> None:
        """Publish as other services would."""
        for message in messages:
            key = (message.get("channel_id") or message["business_id"]).encode()
            await self.producer.send(topic, json.dumps(message).encode(), key=key)
        await self.producer.flush()

    async def until(self, business_id: str, kind: str) -> list[Body]:
        """This business's messages until one of this type."""
        found: list[Body] = []
        async with asyncio.timeout(30):
            async for record in self.consumer:
                body: Body = json.loads(record.value)
                if body.get("business_id") == business_id:
                    found.append(body)
                    if body["type"] == kind:
                        return found
        return found


@pytest.fixture
async def running(
    stack: local_stack.Stack, databases: Databases, tmp_path: Path
) -> AsyncIterator[Running]:
    await topics.apply(stack.bootstrap_servers, load())
    dsn = await databases.make(MIGRATIONS)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
        "DATABASE_URL": dsn,
        "HTTP_PORT": str(port),
    }
    url, log_path = f"http://127.0.0.1:{port}", tmp_path / "sales-processor.log"
    producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers)
    consumer = AIOKafkaConsumer(
        "sales.events.v1",
        "inventory.commands.v1",
        bootstrap_servers=stack.bootstrap_servers,
        auto_offset_reset="earliest",
    )
    await producer.start()
    await consumer.start()
    with process("sales_processor", "run", env=env, log_path=log_path) as started:
        await until_ready(url, started, log_path)
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            yield Running(http, producer, consumer)
    assert started.returncode == 0, log_path.read_text()[-2000:]
    await producer.stop()
    await consumer.stop()
    await databases.drop(dsn)


async def test_a_run_goes_from_its_transactions_to_its_summary(running: Running) -> None:
    mine: dict[str, Any] = {"business_id": f"business-{uuid4()}", "channel_id": str(uuid4())}
    sync = str(uuid4())
    linked = {**product("desk", "7"), "business_id": mine["business_id"]}
    await running.send("inventory.products.v1", linked)
    sale = {**transaction("101", line(1, "7", "50", "13000.00"), sync=sync), **mine}
    await running.send("channels.transactions.v1", sale)
    await running.send("channels.events.v1", {**published(1, sync), **mine})

    *_, ask = await running.until(mine["business_id"], "consume-lots")
    answer = Shelf({"desk": "146.80"}).answer(ask)
    await running.send("inventory.events.v1", answer)
    events = await running.until(mine["business_id"], "sync-completed")

    assert [event["type"] for event in events] == ["sale-recorded", "sync-completed"]
    assert (events[0]["cost"], events[0]["margin"]) == ("7340.00", "5660.00")
    run = await running.http.get(f"/syncs/{sync}/summary")
    assert (run.json()["status"], run.json()["summary"]["created"]) == ("completed", 1)
    assert (await running.http.get("/verify")).json()["checks"][0]["violations"] == []


async def test_a_void_body_on_every_topic_stops_nothing(running: Running) -> None:
    for topic in DEFINITION.receives:
        await running.producer.send_and_wait(topic, None, key=b"x", headers=[("h", b"\xff")])

    assert (await running.http.get("/health/live")).status_code == 200
    business = f"business-{uuid4()}"
    await running.send(
        "sales.commands.v1",
        {"type": "void-manual-sale", "business_id": business, "sale_id": "nobody"},
    )
    (rejected,) = await running.until(business, "command-rejected")
    assert rejected["reason"] == "unknown-sale"
