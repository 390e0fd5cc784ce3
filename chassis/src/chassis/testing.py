"""Fixtures and drivers for every test suite: real Kafka, real Postgres, real processes.

Import the fixtures into a folder's conftest.py. A server that cannot start fails the run; nothing
is skipped. Each test gets a database of its own, cloned from a template that was migrated once.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

import local_stack
from chassis.consumer import Consumer, Subscription
from chassis.database import migrate, open_pool
from chassis.invariants import Invariants
from chassis.messages import Record
from chassis.outbox import Relay
from contracts.base import Message

DEADLINE_SECONDS = 30.0

Body = Message | Mapping[str, Any] | bytes | None


@pytest.fixture(scope="session")
def stack() -> Iterator[local_stack.Stack]:
    """Kafka and Postgres for the whole run."""
    with local_stack.ephemeral() as running:
        yield running


class Databases:
    """Makes migrated databases by cloning templates, and drops them."""

    def __init__(self, stack: local_stack.Stack) -> None:
        self._stack = stack
        self._templates: dict[Path, str] = {}

    async def make(self, migrations: Path) -> str:
        """The address of a new database with the schema of a service."""
        template = self._templates.get(migrations)
        if template is None:
            digest = sha256(str(migrations).encode()).hexdigest()[:10]
            template = f"template_{digest}_{uuid4().hex[:8]}"
            dsn = self._stack.server_dsn(template)
            await asyncio.to_thread(migrate, dsn, migrations)
            self._templates[migrations] = template
        name = f"test_{uuid4().hex[:16]}"
        await self._administer(f'create database "{name}" template "{template}"')
        return self._stack.server_dsn(name)

    async def drop(self, dsn: str) -> None:
        """Drop a database made here, with whatever is still connected."""
        name = re.sub(r"[?].*$", "", dsn).rsplit("/", 1)[1]
        await self._administer(f'drop database if exists "{name}" with (force)')

    async def _administer(self, statement: str) -> None:
        connection = await asyncpg.connect(self._stack.server_dsn("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def databases(stack: local_stack.Stack) -> Databases:
    """The maker of databases."""
    return Databases(stack)


@asynccontextmanager
async def fresh_pool(databases: Databases, migrations: Path) -> AsyncIterator[asyncpg.Pool]:
    """A pool on a new database that is dropped afterwards."""
    dsn = await databases.make(migrations)
    pool = await open_pool(dsn, application="test")
    try:
        yield pool
    finally:
        await pool.close()
        await databases.drop(dsn)


@dataclass(frozen=True)
class Plant:
    """A violation to plant in healthy content, and what must be found because of it.

    `rows` are values of each row that the check named `check` must show; `follows` names other
    checks that the same statements break.
    """

    check: str
    statements: str
    rows: Sequence[Mapping[str, object]]
    follows: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.check


_LET_ANYTHING_IN = """
    set local session_replication_role = replica;
    do $$
    declare rule record;
    begin
        for rule in
            select conrelid::regclass as bearer, conname from pg_constraint
            where contype = 'c' and connamespace = current_schema()::regnamespace
        loop
            execute format('alter table %s drop constraint %I', rule.bearer, rule.conname);
        end loop;
    end $$
"""
"""No trigger, no foreign key and no check holds for the rest of the transaction."""


async def find_planted(
    pool: asyncpg.Pool, invariants: Invariants, plant: Plant, tenant: str | None = None
) -> dict[str, list[dict[str, Any]]]:
    """The violations by check while a plant is there; it is taken back at the end."""
    async with pool.acquire() as connection:
        planting = connection.transaction()
        await planting.start()
        try:
            await connection.execute(_LET_ANYTHING_IN)
            await connection.execute(plant.statements)
            report = await invariants.report(connection, tenant)
        finally:
            await planting.rollback()
    return {check.name: check.violations for check in report.checks if check.violations}


async def assert_found(pool: asyncpg.Pool, invariants: Invariants, plant: Plant) -> None:
    """Fail unless the plant's checks, and no others, show its rows."""
    found = await find_planted(pool, invariants, plant)
    if found.keys() != {plant.check} | plant.follows:
        pytest.fail(f"{sorted(found)} were broken: {found}")
    rows = list(found[plant.check])
    for expected in plant.rows:
        shown = next((row for row in rows if expected.items() <= row.items()), None)
        if shown is None:
            pytest.fail(f"{plant.check} does not show {expected}, but {rows}")
        rows.remove(shown)
    if rows:
        pytest.fail(f"{plant.check} shows more: {rows}")


@dataclass(frozen=True)
class Published:
    """A message that was put into the outbox."""

    topic: str
    key: str | None
    type: str
    body: dict[str, Any]
    headers: dict[str, str]
    ce_id: str


class Driver:
    """Applies messages through the real consumer code, without Kafka between.

    Offsets count up per topic, as they would on one partition.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        subscriptions: Sequence[Subscription],
        *,
        group: str,
        journal: str | None = None,
    ) -> None:
        self.pool = pool
        self._next_offsets: dict[str, int] = {}
        relay = Relay(
            database_url="unused",
            bootstrap_servers="unused",
            source=f"/{group}",
            journal=journal,
        )
        self.consumer = Consumer(
            group=group,
            subscriptions=subscriptions,
            pool=pool,
            relay=relay,
            bootstrap_servers="unused:1",
            retry_seconds_max=5,
        )

    def records(self, topic: str, *bodies: Body, key: str | None = None) -> list[Record]:
        """Make the next records of a topic."""
        made = []
        for body in bodies:
            offset = self._next_offsets.get(topic, 0)
            self._next_offsets[topic] = offset + 1
            made.append(Record(topic, 0, offset, key.encode() if key else None, encode(body), ()))
        return made

    async def apply(self, topic: str, *bodies: Body) -> list[Published]:
        """Apply messages as one batch; returns what was published, which is then gone."""
        await self.consumer.apply(self.records(topic, *bodies))
        return await self.take_outbox()

    async def take_outbox(self) -> list[Published]:
        """What waits to be published, in order; it is removed."""
        rows = await self.pool.fetch("select * from outbox order by id")
        await self.pool.execute("delete from outbox")
        return [
            Published(
                topic=row["aggregatetype"],
                key=None if row["message_key"] is None else row["message_key"].decode(),
                type=row["type"],
                body=_decoded(row["payload"]),
                headers={
                    name: (value or b"").decode("utf-8", "replace")
                    for name, value in zip(
                        row["header_names"] or (), row["header_values"] or (), strict=True
                    )
                },
                ce_id=str(row["ce_id"]),
            )
            for row in rows
        ]


def encode(body: Body) -> bytes | None:
    """The bytes of a message as any producer would send it."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, Message):
        return body.encode()
    return json.dumps(body).encode()


def _decoded(payload: bytes | None) -> dict[str, Any]:
    try:
        parsed = json.loads(payload or b"")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


async def until(
    condition: Callable[[], Awaitable[Any]],
    *,
    what: str,
    seconds: float = DEADLINE_SECONDS,
) -> Any:  # noqa: ANN401  (whatever the condition finds)
    """The first truthy answer of `condition`; fails with `what` when time is up."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = await condition()
        if found:
            return found
        if asyncio.get_running_loop().time() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.05)


@contextmanager
def process(
    module: str, *arguments: str, env: Mapping[str, str], log_path: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python module run as a process; it is ended (SIGTERM, then SIGKILL) afterwards."""
    with log_path.open("ab") as log:
        running = subprocess.Popen(  # noqa: S603  (our own modules)
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **env},
            stdout=log,
            stderr=log,
        )
    try:
        yield running
    finally:
        if running.poll() is None:
            running.terminate()
            try:
                running.wait(timeout=30)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


async def until_ready(url: str, running: subprocess.Popen[bytes], log_path: Path) -> None:
    """Wait until a service answers `/health/ready`; fails with its log if it ends before."""

    def ask() -> bool:
        if running.poll() is not None:
            pytest.fail(f"ended with {running.returncode}: {log_path.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)  # noqa: PLR2004
        except (urllib.error.URLError, OSError):
            return False

    await until(lambda: asyncio.to_thread(ask), what=f"{url} ready; see {log_path}")
