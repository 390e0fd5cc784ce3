"""Measures a first sync of many invoices to the last published transaction, idle syncs, webhooks.

Run with `make bench-connector`. The connector is a process of its own on a real Kafka and a
Postgres that is as durable as in production; the sandbox's share is what it says that it took to
answer. Memory is the connector's peak within each page and each chunk. Exits 1 if a target is
missed.
"""

import argparse
import asyncio
import itertools
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import httpx
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import channel_connector
import local_stack
from channel_connector.app import WEBHOOKS_PATH
from chassis import topics
from chassis.testing import Databases, process, until_ready
from contracts.topics import load
from quickbooks_sandbox.testing import REALM, REFRESH_TOKEN, SandboxClient, run_sandbox
from quickbooks_sandbox.webhooks import VERIFIER_TOKEN

MIGRATIONS = Path(channel_connector.__file__).parent / "sql" / "migrations"
TRANSACTIONS_TOPIC = "channels.transactions.v1"
INVOICES_OF_TARGET = 10_000
FIRST_SECONDS_MAX = 15.0
IDLE_SECONDS_MAX = 0.3
IDLE_CALLS_MAX = 2
WEBHOOK_SECONDS_MAX = 0.1
WEBHOOKS = 100
WAIT_SECONDS_MAX = 600
IDLE_SYNCS = 11
IDLE_PAUSE_SECONDS = 0.5
"""Else the syncs would wait for the company's limit of requests a second."""
SAMPLE_SECONDS = 0.02
LINES = 3
RESET_PEAK = "5"
"""Written to `clear_refs` of a process, it makes the kernel count the peak anew."""


@dataclass(frozen=True)
class Synced:
    """A sync as it was seen from outside. All times are seconds."""

    seconds: float
    sandbox_seconds: float
    transactions: int
    http_calls: int
    parts: dict[str, float]
    """Where the time went, in its order; the sandbox's share is taken off the work."""

    @property
    def own_seconds(self) -> float:
        """What the connector, Kafka and Postgres took."""
        return self.seconds - self.sandbox_seconds


@dataclass(frozen=True)
class Bench:
    """What a measurement talks to; `url` is the connector's."""

    url: str
    sandbox: SandboxClient
    producer: AIOKafkaProducer
    arrivals: "asyncio.Queue[tuple[float, Any]]"
    """When each record came, and the record."""
    database: asyncpg.Pool
    connector: psutil.Process
    servers: dict[str, psutil.Process]

    async def sync(self, sync_id: str) -> Synced:
        """Ask for a sync and wait for its last message, whichever that is."""
        self.sandbox.control("DELETE", "/requests")
        started = time.time()
        await self.send(
            {"type": "sync-requested", "business_id": "b", "channel_id": "c", "sync_id": sync_id}
        )
        transactions, end = 0, None
        while end is None or transactions < end["published"]:
            ended, record = await asyncio.wait_for(self.arrivals.get(), WAIT_SECONDS_MAX)
            if record.topic == TRANSACTIONS_TOPIC:
                transactions += 1
                continue
            body = json.loads(record.value)
            if body["type"] in {"sync-failed", "sync-rejected", "command-rejected"}:
                raise SystemExit(f"the sync did not work: {body}")
            end = body if body["type"] == "transactions-published" else end
        asked = self.sandbox.control("GET", "/requests")["requests"]
        sandbox_seconds = sum(request["milliseconds"] for request in asked) / 1_000
        run = await self.database.fetchrow(
            "select requested_at, started_at, ended_at from sync_runs where sync_id = $1", sync_id
        )
        assert run is not None
        times = [started, *(at.timestamp() for at in run.values()), ended]
        to_command, to_claim, work, delivery = (
            after - before for before, after in itertools.pairwise(times)
        )
        parts = {
            "command taken": to_command,
            "run taken": to_claim,
            "work": work - sandbox_seconds,
            "delivered": delivery,
        }
        return Synced(ended - started, sandbox_seconds, transactions, end["http_calls"], parts)

    async def send(self, message: dict[str, Any]) -> None:
        """Publish a command."""
        body = json.dumps(message).encode()
        await self.producer.send_and_wait("channels.commands.v1", body, key=b"b")

    def cpu_seconds(self) -> dict[str, float]:
        """What each process has used of the processors so far, its children included."""
        return {name: _cpu_seconds(found) for name, found in self.servers.items()}

    def peak_mib(self) -> float:
        """The most memory that the connector held since the last call."""
        proc = Path(f"/proc/{self.connector.pid}")
        lines = (proc / "status").read_text(encoding="ascii").splitlines()
        (proc / "clear_refs").write_text(RESET_PEAK, encoding="ascii")
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1_024

    async def watch_memory(self, sync_id: str) -> dict[str, list[float]]:
        """The peak within each page and each chunk of a run, until it has ended."""
        peaks: dict[str, list[float]] = {"reading": [], "publishing": []}
        before = None
        while True:
            run = await self.database.fetchrow(
                "select phase, received, next_sequence from sync_runs where sync_id = $1", sync_id
            )
            if run is not None and run != before:
                peak = self.peak_mib()
                if before is not None and before["phase"] in peaks:
                    peaks[before["phase"]].append(peak)
                if run["phase"] == "ended":
                    return peaks
                before = run
            await asyncio.sleep(SAMPLE_SECONDS)


def _cpu_seconds(found: psutil.Process) -> float:
    times = [p.cpu_times() for p in (found, *found.children(recursive=True))]
    ended = times[0].children_user + times[0].children_system
    return float(sum(t.user + t.system for t in times) + ended)


async def measure_first(bench: Bench, count: int) -> bool:
    """Print the figures of a first sync; whether its target was met."""
    at_rest, cpu_before = bench.peak_mib(), bench.cpu_seconds()
    watching = asyncio.create_task(bench.watch_memory("first"))
    first = await bench.sync("first")
    used = {name: after - cpu_before[name] for name, after in bench.cpu_seconds().items()}
    peaks = await watching
    target = FIRST_SECONDS_MAX * max(1, count / INVOICES_OF_TARGET)
    processors = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in used.items())
    say(f"first sync    {first.transactions} transactions in {first.seconds:.2f} s")
    say(f"  sandbox     {first.sandbox_seconds:.2f} s to answer {first.http_calls} requests")
    say(f"  the rest    {first.own_seconds:.2f} s (target {target:.2f} s)")
    say(f"  processors  {processors}")
    say(f"  memory      {at_rest:.0f} MiB at rest; peaks")
    say(f"    pages     {_listed(peaks['reading'])} MiB")
    say(f"    chunks    {_listed(peaks['publishing'])} MiB")
    return first.own_seconds <= target


async def measure_idle(bench: Bench) -> bool:
    """Print the figures of syncs that find nothing new; whether their targets were met."""
    syncs = []
    for number in range(IDLE_SYNCS):
        await asyncio.sleep(IDLE_PAUSE_SECONDS)
        syncs.append(await bench.sync(f"idle-{number}"))
    if found := sum(sync.transactions for sync in syncs):
        raise SystemExit(f"idle syncs published {found} transactions")
    typical = median(sync.own_seconds for sync in syncs)
    longest = max(sync.own_seconds for sync in syncs)
    calls = max(sync.http_calls for sync in syncs)
    say(
        f"idle sync     {typical * 1_000:.0f} ms apart from the sandbox, at most "
        f"{longest * 1_000:.0f} ms (target {IDLE_SECONDS_MAX * 1_000:.0f} ms), HTTP calls: {calls}"
    )
    for part in syncs[0].parts:
        say(f"  {part:14}{median(sync.parts[part] for sync in syncs) * 1_000:.0f} ms")
    return typical <= IDLE_SECONDS_MAX and calls <= IDLE_CALLS_MAX


async def measure_webhooks(bench: Bench) -> bool:
    """Print how long a delivery waits for its answer; whether the target was met."""
    await bench.send(
        {
            "type": "configure-channel",
            "business_id": "b",
            "channel_id": "c",
            "settings": {"webhooks": True},
        }
    )
    events = [{"name": "Invoice", "id": "101", "operation": "Update"}]
    made = bench.sandbox.control("POST", "/webhooks", {"format": "classic", "events": events})
    seconds = []
    async with httpx.AsyncClient(base_url=bench.url, trust_env=False) as http:
        for _ in range(WEBHOOKS):
            started = time.perf_counter()
            answer = await http.post(WEBHOOKS_PATH, content=made["body"], headers=made["headers"])
            seconds.append(time.perf_counter() - started)
            answer.raise_for_status()
    typical = median(seconds)
    say(
        f"webhook       {typical * 1_000:.0f} ms to the answer, at most "
        f"{max(seconds) * 1_000:.0f} ms (target {WEBHOOK_SECONDS_MAX * 1_000:.0f} ms)"
    )
    return typical <= WEBHOOK_SECONDS_MAX


def _listed(figures: Sequence[float]) -> str:
    return " ".join(f"{figure:.0f}" for figure in figures)


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
        await topics.apply(
            stack.bootstrap_servers, [t for t in load() if t.owner == "channel-connector"]
        )
        dsn = await Databases(stack).make(MIGRATIONS)
        database = await asyncpg.create_pool(dsn, min_size=2, max_size=2)
        await make_durable(database)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
            "DATABASE_URL": dsn,
            "HTTP_PORT": str(port),
            "QUICKBOOKS_ENVIRONMENT": "sandbox",
            "QUICKBOOKS_CLIENT_ID": "sandbox-client",
            "QUICKBOOKS_CLIENT_SECRET": "sandbox-secret",
            "QUICKBOOKS_API_URL": sandbox.url,
            "QUICKBOOKS_OAUTH_URL": sandbox.url,
            "QUICKBOOKS_WEBHOOK_VERIFIER_TOKEN": VERIFIER_TOKEN,
            "TOKEN_KEYS": "k1:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=",
            "LOG_LEVEL": "WARNING",
        }
        url, log_path = f"http://127.0.0.1:{port}", Path(folder) / "connector.log"
        producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers)
        consumer = AIOKafkaConsumer(
            "channels.events.v1",
            TRANSACTIONS_TOPIC,
            bootstrap_servers=stack.bootstrap_servers,
            auto_offset_reset="earliest",
        )
        await producer.start()
        await consumer.start()
        arrivals: asyncio.Queue[tuple[float, Any]] = asyncio.Queue()
        following = asyncio.create_task(follow(consumer, arrivals))
        try:
            with process("channel_connector", "run", env=env, log_path=log_path) as started:
                await until_ready(url, started, log_path)
                connector = psutil.Process(started.pid)
                pids = {"Postgres": stack.postgres_pid, "Kafka": stack.kafka_pid}
                servers = {n: psutil.Process(pid) for n, pid in pids.items() if pid is not None}
                servers = {"connector": connector, **servers}
                bench = Bench(url, sandbox, producer, arrivals, database, connector, servers)
                await connect(bench)
                sell(sandbox, count)
                return all(
                    [
                        await measure_first(bench, count),
                        await measure_idle(bench),
                        await measure_webhooks(bench),
                    ]
                )
        finally:
            following.cancel()
            await producer.stop()
            await consumer.stop()
            await database.close()


async def follow(consumer: AIOKafkaConsumer, arrivals: "asyncio.Queue[tuple[float, Any]]") -> None:
    """Read all the time, so that a record is taken when it comes, not when it is asked for."""
    async for record in consumer:
        arrivals.put_nowait((time.time(), record))


async def make_durable(database: asyncpg.Pool) -> None:
    """Let a server of a test run write as one that must not lose anything."""
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        await database.execute(f"alter system set {setting} = on")
    await database.execute("select pg_reload_conf()")


async def connect(bench: Bench) -> None:
    """A channel on the sandbox's first company."""
    async with httpx.AsyncClient(base_url=bench.url, trust_env=False) as http:
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


def sell(sandbox: SandboxClient, count: int) -> None:
    """A year of invoices, written through the year, so that they come by pages."""
    form = {"count": count, "lines": LINES, "kinds": {"invoices": 1}, "written": "txn-date"}
    sandbox.control("POST", "/generate", form)


def main() -> None:
    """Measure and exit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=INVOICES_OF_TARGET, help="invoices")
    count = parser.parse_args().count
    say(f"{count} invoices of {LINES} lines on {os.cpu_count()} cores")
    sys.exit(0 if asyncio.run(run(count)) else 1)


if __name__ == "__main__":
    main()
