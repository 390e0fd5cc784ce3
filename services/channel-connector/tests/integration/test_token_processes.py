"""Several processes refresh one connection's tokens, and some are killed while they do."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

import asyncio
import os
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import local_stack
import refresher
from chassis.testing import DEADLINE_SECONDS, until

KEYS = "k1:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="
Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(connector: Any, stack: local_stack.Stack) -> AsyncIterator[Start]:
    """Starts processes that have the connection's tokens; whatever lives at the end is killed."""
    await connector.connect()
    connector.sandbox.switch(refresh_reuse_revokes=True)
    name = await connector.pool.fetchval("select current_database()")
    started: list[Process] = []

    async def begin(oauth_url: str = connector.sandbox.url) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            refresher.__file__,
            stdin=PIPE,
            stdout=PIPE,
            env={
                **os.environ,
                "DATABASE_URL": stack.server_dsn(name),
                "TOKEN_KEYS": KEYS,
                "QUICKBOOKS_OAUTH_URL": oauth_url,
            },
        )
        started.append(process)
        assert await said(process) == "ready"
        return process

    yield begin
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def tell(process: Process, word: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{word}\n".encode())


async def said(process: Process) -> str:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), DEADLINE_SECONDS)
    return line.decode().strip()


async def ask(process: Process, word: str = "current") -> str:
    tell(process, word)
    return await said(process)


async def kill(process: Process) -> None:
    process.kill()
    await process.wait()


async def claimed(connector: Any) -> None:
    """Wait until a process has claimed the refresh."""

    async def has_holder() -> Any:
        return await connector.pool.fetchval("select refresh_holder from connection_tokens")

    await until(has_holder, what="a process refreshes")


async def end_lease(connector: Any) -> None:
    """Let the time pass that a dead process's claim lasts."""
    await connector.pool.execute("update connection_tokens set refresh_lease_expires_at = now()")


def refreshes(connector: Any) -> int:
    requests = connector.sandbox.control("GET", "/requests")["requests"]
    return [request["operation"] for request in requests].count("token")


def slow_down(connector: Any) -> None:
    """Let the next answer of the token endpoint take a while, so that others come meanwhile."""
    match = {"operation": "token"}
    fault = {"effect": "delay", "delay_ms": 400, "times": 1, "match": match}
    connector.sandbox.control("POST", "/faults", fault)


async def test_processes_that_refresh_at_once_use_a_token_once(
    connector: Any, start: Start
) -> None:
    """A second use would end the consent."""
    processes = await asyncio.gather(*(start() for _ in range(3)))
    for rounds, word in enumerate(("current", "renew"), 1):
        slow_down(connector)
        for process in processes:
            tell(process, word)
        tokens = {await said(process) for process in processes}
        assert len(tokens) == 1
        assert tokens.pop().startswith("token ")
        assert refreshes(connector) == rounds
    assert (await connector.sync()).summary["published"] == 0


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_a_process_killed_before_the_endpoint_answers_loses_nothing(
    connector: Any, start: Start, black_hole: str
) -> None:
    dying, heir = await start(black_hole), await start()
    tell(dying, "current")
    await claimed(connector)
    await kill(dying)
    await end_lease(connector)
    assert (await ask(heir)).startswith("token ")
    assert refreshes(connector) == 1
    assert (await connector.sync()).summary["published"] == 0


@asynccontextmanager
async def store_held_up(connector: Any) -> AsyncIterator[None]:
    """Let nobody store tokens meanwhile; who is about to is there, and then is cut off."""
    async with connector.pool.acquire() as session, session.transaction():
        await session.execute("select 1 from connection_tokens for update")

        async def waits() -> Any:
            return await connector.pool.fetchval(
                "select pid from pg_stat_activity where wait_event_type = 'Lock' "
                "and application_name = 'refresher' and datname = current_database()"
            )

        waiting = await until(waits, what="a process is about to store tokens")
        yield
        await session.execute("select pg_terminate_backend($1)", waiting)


@pytest.mark.parametrize("rotation", ["daily", "every-use"])
async def test_a_process_killed_between_answer_and_store_is_survived_or_told(
    connector: Any, start: Start, rotation: str
) -> None:
    """Where the lost token was a new one nobody can go on; a person is asked, and then it does."""
    connector.sandbox.switch(refresh_rotation=rotation)
    dying, heir = await start(), await start()
    slow_down(connector)
    tell(dying, "current")
    await claimed(connector)
    async with store_held_up(connector):
        await kill(dying)
    assert refreshes(connector) == 1
    await end_lease(connector)
    answer = await ask(heir)
    if rotation == "daily":
        assert answer.startswith("token ")
        assert await connector.pool.fetchval("select status from connections") == "connected"
        return
    assert answer == "needs-reconnect"
    (changed,) = [
        p.body for p in await connector.driver.take_outbox() if p.type == "connection-changed"
    ]
    assert changed["status"] == "needs-reconnect"
    tokens = connector.sandbox.connect()
    await connector.add_connection(tokens["refresh_token"])
    assert (await ask(heir)).startswith("token ")


async def test_a_process_killed_after_the_store_leaves_its_token_to_others(
    connector: Any, start: Start
) -> None:
    dying, heir = await start(), await start()
    token = await ask(dying)
    await kill(dying)
    assert await ask(heir) == token
    assert refreshes(connector) == 1
    assert (await connector.sync()).summary["published"] == 0
