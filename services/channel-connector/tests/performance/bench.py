"""Measures a first sync of many invoices from the sandbox to the last published transaction.

Run with `make bench-connector`. The connector is a process of its own on a real Kafka and Postgres;
the sandbox's share is what it says that it took to answer. Exits 1 if a target is missed.
"""

import argparse
import asyncio
import json
import os
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import channel_connector
import local_stack
from chassis import topics
from chassis.testing import Databases, process, until_ready
from contracts.topics import load
from quickbooks_sandbox.testing import REALM, REFRESH_TOKEN, SandboxClient, run_sandbox

MIGRATIONS = Path(channel_connector.__file__).parent / "sql" / "migrations"
FIRST_SECONDS_MAX = 15.0
IDLE_SECONDS_MAX = 0.3
WAIT_SECONDS_MAX = 600
IDLE_SYNCS = 5


@dataclass(frozen=True)
class Bench:
    """What a measurement talks to."""

    sandbox: SandboxClient
    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer
    pid: int

    async def sync(self, sync_id: str) -> tuple[float, float, int]:
        """Seconds from the command to the last message, the sandbox's seconds, transactions."""
        self.sandbox.control("DELETE", "/requests")
        started = perf_counter()
        await self.send(
            {"type": "sync-requested", "business_id": "b", "channel_id": "c", "sync_id": sync_id}
        )
        captured = 0
        while True:
            record = await asyncio.wait_for(self.consumer.getone(), WAIT_SECONDS_MAX)
            if record.topic == "channels.transactions.v1":
                captured += 1
                continue
            body = json.loads(record.value)
            if body["type"] == "transactions-published":
                published = int(body["published"])
                break
            if body["type"] in {"sync-failed", "sync-rejected", "command-rejected"}:
                raise SystemExit(f"the sync did not work: {body}")
        while captured < published:
            record = await asyncio.wait_for(self.consumer.getone(), WAIT_SECONDS_MAX)
            captured += record.topic == "channels.transactions.v1"
        seconds = perf_counter() - started
        asked = self.sandbox.control("GET", "/requests")["requests"]
        return seconds, sum(request["milliseconds"] for request in asked) / 1_000, captured

    async def send(self, message: dict[str, Any]) -> None:
        """Publish a command."""
        body = json.dumps(message).encode()
        await self.producer.send_and_wait("channels.commands.v1", body, key=b"b")

    def memory_mib(self, name: str) -> float:
        """Memory of the connector: `VmRSS` now, `VmHWM` at its peak."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1_024


async def measure(bench: Bench, count: int) -> bool:
    """Print the figures; whether the targets were met."""
    bench.sandbox.control("POST", "/generate", {"count": count, "kinds": {"invoices": 1}})
    at_rest = bench.memory_mib("VmRSS")
    seconds, sandbox_seconds, captured = await bench.sync("first")
    own = seconds - sandbox_seconds
    peak = bench.memory_mib("VmHWM")
    say(f"first sync    {captured} transactions in {seconds:.2f} s")
    say(f"  sandbox     {sandbox_seconds:.2f} s")
    say(f"  connector   {own:.2f} s (target {FIRST_SECONDS_MAX * count / 10_000:.2f} s)")
    say(f"  memory      {at_rest:.0f} MiB at rest, {peak:.0f} MiB at its peak")
    idle = []
    await bench.sync("catch-up")
    bench.sandbox.control("PUT", "/clock", {"advance_seconds": 3_600})
    await bench.sync("settle")
    for number in range(IDLE_SYNCS):
        elapsed, theirs, _ = await bench.sync(f"idle-{number}")
        idle.append(elapsed - theirs)
    typical = sorted(idle)[IDLE_SYNCS // 2]
    say(f"idle sync     {typical * 1_000:.0f} ms apart from the sandbox (target 300 ms)")
    return own <= FIRST_SECONDS_MAX * count / 10_000 and typical <= IDLE_SECONDS_MAX


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def run(count: int) -> bool:
    """Start everything, measure, stop everything."""
    with (
        local_stack.ephemeral() as stack,
        run_sandbox() as sandbox,
        tempfile.TemporaryDirectory() as folder,
    ):
        declared = [t for t in load() if t.owner == "channel-connector"]
        await topics.apply(stack.bootstrap_servers, declared)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
            "DATABASE_URL": await Databases(stack).make(MIGRATIONS),
            "HTTP_PORT": str(port),
            "QUICKBOOKS_ENVIRONMENT": "sandbox",
            "QUICKBOOKS_CLIENT_ID": "sandbox-client",
            "QUICKBOOKS_CLIENT_SECRET": "sandbox-secret",
            "QUICKBOOKS_API_URL": sandbox.url,
            "QUICKBOOKS_OAUTH_URL": sandbox.url,
            "TOKEN_KEYS": "k1:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=",
            "LOG_LEVEL": "WARNING",
        }
        url, log_path = f"http://127.0.0.1:{port}", Path(folder) / "connector.log"
        producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers)
        consumer = AIOKafkaConsumer(
            "channels.events.v1",
            "channels.transactions.v1",
            bootstrap_servers=stack.bootstrap_servers,
            auto_offset_reset="earliest",
        )
        await producer.start()
        await consumer.start()
        try:
            with process("channel_connector", "run", env=env, log_path=log_path) as started:
                await until_ready(url, started, log_path)
                bench = Bench(sandbox, producer, consumer, started.pid)
                await connect(bench, url)
                return await measure(bench, count)
        finally:
            await producer.stop()
            await consumer.stop()


async def connect(bench: Bench, url: str) -> None:
    """A channel on the sandbox's first company."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        company = {"realm_id": REALM, "refresh_token": REFRESH_TOKEN, "connection_id": "k"}
        (await http.post("/businesses/b/connections", json=company)).raise_for_status()
    await bench.send(
        {
            "type": "connect-channel",
            "business_id": "b",
            "connection_id": "k",
            "channel_type": "accounting",
            "initial_sync_date": "2000-01-01",
            "channel_id": "c",
        }
    )


def main() -> None:
    """Measure and exit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="invoices")
    count = parser.parse_args().count
    say(f"{count} invoices on {os.cpu_count()} cores")
    sys.exit(0 if asyncio.run(run(count)) else 1)


if __name__ == "__main__":
    main()
