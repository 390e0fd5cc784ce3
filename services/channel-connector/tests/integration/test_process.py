"""The connector as a process: Kafka in, Kafka out, HTTP beside it; no secret in what it says."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import channel_connector
import local_stack
from chassis import topics
from chassis.testing import Databases, process, until, until_ready
from contracts.topics import load
from quickbooks_sandbox.testing import REALM, REFRESH_TOKEN, SandboxClient

MIGRATIONS = Path(channel_connector.__file__).parent / "sql" / "migrations"
TOKEN_KEYS = "k1:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="
REST_MEMORY_KIB_MAX = 150 * 1024


@dataclass
class Running:
    """A connector that serves."""

    http: httpx.AsyncClient
    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer
    log_path: Path
    pid: int
    env: dict[str, str]

    async def send(self, message: dict[str, Any]) -> None:
        """Publish a command as any program would."""
        body = json.dumps(message).encode()
        key = message["business_id"].encode()
        await self.producer.send_and_wait("channels.commands.v1", body, key=key)

    async def events(self, business_id: str, *types: str) -> list[dict[str, Any]]:
        """This business's messages until each of these types came; topics have no common order."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(30):
            async for record in self.consumer:
                body = json.loads(record.value)
                if body.get("business_id") == business_id:
                    found.append(body)
                    if {*types} <= {message["type"] for message in found}:
                        break
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def running(
    stack: local_stack.Stack, databases: Databases, sandbox: SandboxClient, tmp_path: Path
) -> AsyncIterator[Running]:
    declared = [t for t in load() if t.owner == "channel-connector"]
    await topics.apply(stack.bootstrap_servers, declared)
    dsn = await databases.make(MIGRATIONS)
    port = free_port()
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
        "DATABASE_URL": dsn,
        "HTTP_PORT": str(port),
        "QUICKBOOKS_ENVIRONMENT": "sandbox",
        "QUICKBOOKS_CLIENT_ID": "sandbox-client",
        "QUICKBOOKS_CLIENT_SECRET": "sandbox-secret",
        "QUICKBOOKS_API_URL": sandbox.url,
        "QUICKBOOKS_OAUTH_URL": sandbox.url,
        "TOKEN_KEYS": TOKEN_KEYS,
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    url = f"http://127.0.0.1:{port}"
    log_path = tmp_path / "connector.log"
    producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers)
    consumer = AIOKafkaConsumer(
        "channels.events.v1",
        "channels.transactions.v1",
        bootstrap_servers=stack.bootstrap_servers,
        auto_offset_reset="earliest",
    )
    await producer.start()
    await consumer.start()
    with process("channel_connector", "run", env=env, log_path=log_path) as started:
        await until_ready(url, started, log_path)
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            yield Running(http, producer, consumer, log_path, started.pid, env)
    await producer.stop()
    await consumer.stop()
    await databases.drop(dsn)


async def test_a_channel_is_connected_and_synced(running: Running, sandbox: SandboxClient) -> None:
    business = f"business-{uuid4()}"
    channel, sync = str(uuid4()), str(uuid4())
    await running.send({"type": "enable-sales-tracking", "business_id": business})
    answer = await running.http.post(
        f"/businesses/{business}/connections",
        json={"realm_id": REALM, "refresh_token": REFRESH_TOKEN},
    )
    assert answer.status_code == 201, answer.text
    connection = answer.json()
    assert connection["company_name"] == "Cedar & Sons Workshop"
    assert connection["home_currency"] == "USD"
    sandbox.record(
        "invoices",
        customer="Harbour View Hotel",
        txn_date="2026-03-02",
        lines=[{"item": "Walnut Desk", "qty": 50, "price": "260.00"}],
    )
    await running.send(
        {
            "type": "connect-channel",
            "business_id": business,
            "connection_id": connection["connection_id"],
            "channel_type": "accounting",
            "initial_sync_date": "2026-01-01",
            "channel_id": channel,
        }
    )
    request = {
        "type": "sync-requested",
        "business_id": business,
        "channel_id": channel,
        "sync_id": sync,
    }
    await running.send(request)
    events = await running.events(business, "transaction-captured", "transactions-published")
    captured = [e for e in events if e["type"] == "transaction-captured"]
    assert [c["total_amount"] for c in captured] == ["13000.00"]

    async def completed() -> dict[str, Any] | None:
        found: dict[str, Any] = (await running.http.get(f"/syncs/{sync}")).json()
        return found if found["status"] == "completed" else None

    run = await until(completed, what="the run is completed")
    assert run["progress"] == {"done": 1, "of": 1}
    channels = (await running.http.get(f"/businesses/{business}/channels?limit=1")).json()
    assert channels["next_cursor"] is not None
    rest = await running.http.get(
        f"/businesses/{business}/channels", params={"cursor": channels["next_cursor"]}
    )
    found = [*channels["items"], *rest.json()["items"]]
    assert {c["channel_type"] for c in found} == {"accounting", "manual"}
    one = (await running.http.get(f"/channels/{channel}")).json()
    assert (one["business_id"], one["channel_id"]) == (business, channel)
    assert (await running.http.get("/channels/nowhere")).status_code == 404
    businesses = (await running.http.get("/businesses?limit=1000")).json()["items"]
    assert business in [b["business_id"] for b in businesses]
    syncs = (await running.http.get(f"/channels/{channel}/syncs")).json()["items"]
    assert [s["sync_id"] for s in syncs] == [sync]
    document = captured[0]["external_id"]
    versions = await running.http.get(f"/businesses/{business}/transactions/invoice/{document}")
    (version,) = versions.json()["items"]
    assert version["outcome"] == "published"
    assert version["payload"]["TotalAmt"] == 13000
    checks = (await running.http.get("/verify")).json()["checks"]
    assert [c for c in checks if c["violations"]] == []
    said = running.log_path.read_text()
    assert REFRESH_TOKEN not in said
    assert "sandbox-secret" not in said
    assert "Harbour" not in said


def test_a_connector_at_rest_is_small(running: Running) -> None:
    status = Path(f"/proc/{running.pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    assert int(resident.split()[1]) < REST_MEMORY_KIB_MAX


async def test_connections_over_http(running: Running) -> None:
    path = f"/businesses/business-{uuid4()}/connections"
    first = {"realm_id": "9130000000000001", "refresh_token": "unknown-token"}
    made = await running.http.post(path, json=first)
    assert made.status_code == 201
    assert made.json()["status"] == "needs-reconnect"
    assert "unknown-token" not in made.text
    second = {"realm_id": "9130000000000002", "refresh_token": "x"}
    refused = await running.http.post(path, json=second)
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert "max_accounting_connections" in refused.json()["detail"]
    connection_id = made.json()["connection_id"]
    other = await running.http.post(path, json=second | {"connection_id": connection_id})
    assert other.status_code == 409
    assert "9130000000000001" in other.json()["detail"]
    removed = await running.http.delete(f"{path}/{connection_id}")
    assert removed.json()["status"] == "removed"
    assert (await running.http.delete(f"{path}/nowhere")).status_code == 404
    wrong = await running.http.post(path, json={"realm_id": "x", "refresh_token": "secret-value"})
    assert wrong.status_code == 422
    assert "secret-value" not in wrong.text


PAGES = 3
TAKEN_OVER_SECONDS_MAX = 60


async def test_a_killed_process_is_replaced_at_its_last_page_within_a_minute(
    running: Running, sandbox: SandboxClient, tmp_path: Path
) -> None:
    """Two replicas; the one that reads dies before the third page of three."""
    sandbox.control(
        "POST",
        "/generate",
        {"count": 2_100, "lines": 1, "per_second": 100, "first_date": "2026-01-01"}
        | {"last_date": "2026-01-31"},
    )
    pages = {"operation": "query", "entity": "Invoice"}
    sandbox.control(
        "POST", "/faults", {"effect": "delay", "delay_ms": 60_000, "skip": 2, "match": pages}
    )
    business, channel, sync = (str(uuid4()) for _ in range(3))
    answer = await running.http.post(
        f"/businesses/{business}/connections",
        json={"realm_id": REALM, "refresh_token": REFRESH_TOKEN, "connection_id": "c"},
    )
    assert answer.status_code == 201, answer.text
    of = {"business_id": business, "channel_id": channel}
    await running.send(
        {"type": "connect-channel", "connection_id": "c", "channel_type": "accounting", **of}
        | {"initial_sync_date": "2026-01-01"}
    )
    await running.send({"type": "sync-requested", "sync_id": sync, **of})

    async def received() -> bool:
        answer = await running.http.get(f"/syncs/{sync}")
        return bool(answer.status_code == 200 and answer.json()["read"] == 2_000)

    await until(received, what="two pages are stored")
    port = free_port()
    env = running.env | {"HTTP_PORT": str(port)}
    url, log_path = f"http://127.0.0.1:{port}", tmp_path / "second.log"
    with process("channel_connector", "run", env=env, log_path=log_path) as second:
        await until_ready(url, second, log_path)
        os.kill(running.pid, signal.SIGKILL)
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:

            async def completed() -> bool:
                return bool((await http.get(f"/syncs/{sync}")).json()["status"] == "completed")

            await until(
                completed, what="the second process ended it", seconds=TAKEN_OVER_SECONDS_MAX
            )
            run = (await http.get(f"/syncs/{sync}")).json()
    assert run["progress"] == {"done": 2_100, "of": 2_100}
    asked = sandbox.control("GET", "/requests")["requests"]
    starts = [
        request["statement"].partition("CreateTime >=")[2][:25]
        for request in asked
        if request["entity"] == "invoice" and request["operation"] == "query"
    ]
    assert len(starts) == PAGES
    assert starts[0] == ""
    assert "" not in starts[1:]
