"""Refreshing tokens: once at a time, stored before used, given up only when it is sure."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from channel_connector import connections, store
from channel_connector.domain.channels import Connection
from channel_connector.provider import InvalidGrantError, SourceError, Tokens
from channel_connector.tokens import ConnectionTokens
from channel_connector.vault import Vault

KEYS = "k1:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="


class Endpoint:
    """A token endpoint with rotation: each refresh token works once."""

    def __init__(self) -> None:
        self.good = "refresh-0"
        self.uses = 0
        self.refusals = 0
        self.lives_seconds = 3600
        self.while_refreshing: Callable[[], Awaitable[None]] | None = None

    async def refresh(self, refresh_token: str) -> Tokens:
        if self.while_refreshing:
            await self.while_refreshing()
        if self.refusals or refresh_token != self.good:
            self.refusals = max(0, self.refusals - 1)
            raise InvalidGrantError
        self.uses += 1
        self.good = f"refresh-{self.uses}"
        return Tokens(f"access-{self.uses}", self.lives_seconds, self.good)


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
async def make(pool: asyncpg.Pool, endpoint: Endpoint) -> Callable[[], ConnectionTokens]:
    vault = Vault(KEYS)
    await add(pool, "refresh-0")
    return lambda: ConnectionTokens(
        pool,
        vault,
        endpoint,
        business_id="acme",
        connection_id="conn-1",
        second_try_seconds=0.01,
    )


async def add(pool: asyncpg.Pool, refresh_token: str) -> None:
    await connections.add_connection(
        pool,
        Vault(KEYS),
        provider="quickbooks-online",
        business_id="acme",
        realm_id="913",
        refresh_token=refresh_token,
        connection_id="conn-1",
    )


async def test_a_token_is_refreshed_once_and_then_used(make: Any, endpoint: Endpoint) -> None:
    assert [await make().current() for _ in range(3)] == ["access-1"] * 3
    assert endpoint.uses == 1


async def test_many_at_once_use_a_refresh_token_once(make: Any, endpoint: Endpoint) -> None:
    assert set(await asyncio.gather(*(make().current() for _ in range(8)))) == {"access-1"}
    assert endpoint.uses == 1
    renewed = await asyncio.gather(*(make().renew("access-1") for _ in range(8)))
    assert set(renewed) == {"access-2"}
    assert endpoint.uses == 2


async def test_a_token_about_to_end_is_refreshed(make: Any, endpoint: Endpoint) -> None:
    endpoint.lives_seconds = 30
    assert await make().current() == "access-1"
    endpoint.lives_seconds = 3600
    assert await make().current() == "access-2"
    assert await make().current() == "access-2"


async def test_the_new_refresh_token_is_stored_before_the_access_token_is_given(
    make: Any, endpoint: Endpoint, pool: asyncpg.Pool
) -> None:
    await make().current()
    row = await pool.fetchrow("select * from connection_tokens")
    assert row is not None
    assert row["version"] == 2
    assert row["refresh_holder"] is None
    assert await make().renew("access-1") == "access-2"
    assert endpoint.good == "refresh-2"


async def test_no_transaction_is_open_while_the_endpoint_is_asked(
    make: Any, endpoint: Endpoint, pool: asyncpg.Pool
) -> None:
    async def look() -> None:
        idle = await pool.fetchval(
            """
            select count(*) from pg_stat_activity
            where datname = current_database() and state like 'idle in transaction%'
            """
        )
        assert idle == 0

    endpoint.while_refreshing = look
    assert await make().current() == "access-1"


async def test_one_refusal_is_tried_again(make: Any, endpoint: Endpoint) -> None:
    endpoint.refusals = 1
    assert await make().current() == "access-1"


async def test_two_refusals_give_the_connection_up(
    make: Any, endpoint: Endpoint, pool: asyncpg.Pool
) -> None:
    endpoint.refusals = 10
    with pytest.raises(SourceError) as caught:
        await make().current()
    assert caught.value.reason == "needs-reconnect"
    assert endpoint.refusals == 8
    assert await pool.fetchval("select status from connections") == "needs-reconnect"
    types = await pool.fetch("select type from outbox order by id")
    assert [row["type"] for row in types] == ["connection-changed", "connection-changed"]
    with pytest.raises(SourceError):
        await make().current()
    assert endpoint.refusals == 8


async def test_tokens_replaced_during_a_refusal_are_used(
    make: Any, endpoint: Endpoint, pool: asyncpg.Pool
) -> None:
    async def reconnect() -> None:
        endpoint.while_refreshing = None
        endpoint.good = "refresh-by-person"
        await add(pool, "refresh-by-person")

    endpoint.while_refreshing = reconnect
    assert await make().current() == "access-1"
    assert await pool.fetchval("select status from connections") == "connected"


async def test_a_refresh_left_behind_is_taken_over(
    make: Any, endpoint: Endpoint, pool: asyncpg.Pool
) -> None:
    await pool.execute(
        """
        update connection_tokens
        set refresh_holder = gen_random_uuid(),
            refresh_lease_expires_at = now() + interval '0.3 seconds'
        """
    )
    assert await make().current() == "access-1"
    assert endpoint.uses == 1


async def test_a_late_refresh_does_not_overwrite_newer_tokens(
    make: Any, endpoint: Endpoint, pool: asyncpg.Pool
) -> None:
    """The holder was slow, its lease ran out, and a person connected again meanwhile."""
    row_before = await pool.fetchrow("select version from connection_tokens")

    async def reconnect() -> None:
        endpoint.while_refreshing = None
        await add(pool, "refresh-1")

    endpoint.while_refreshing = reconnect
    assert await make().current() == "access-2"
    row = await pool.fetchrow("select version from connection_tokens")
    assert row_before is not None
    assert row is not None
    assert row["version"] == row_before["version"] + 2


async def test_a_removed_connection_has_no_token(make: Any, pool: asyncpg.Pool) -> None:
    await make().current()
    await connections.remove_connection(pool, "acme", "conn-1")
    with pytest.raises(SourceError) as caught:
        await make().current()
    assert caught.value.reason == "connection-unavailable"


class CrashError(BaseException):
    """The process is gone."""


async def test_a_crash_before_the_store_is_survived_where_the_old_token_still_works(
    make: Any, endpoint: Endpoint, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint was never reached, or has not rotated: the lease runs out, the token is used."""

    async def crash(*_: Any, **__: Any) -> None:
        endpoint.while_refreshing = None
        raise CrashError

    endpoint.while_refreshing = crash
    with monkeypatch.context() as patch:
        patch.setattr(store.queries, "release_refresh", crash)
        with pytest.raises(CrashError):
            await make().current()
    await pool.execute("update connection_tokens set refresh_lease_expires_at = now()")
    assert await make().current() == "access-1"
    assert await pool.fetchval("select status from connections") == "connected"


async def test_a_crash_between_rotation_and_store_asks_a_person_at_last(
    make: Any, endpoint: Endpoint, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one loss that nobody can prevent: the new token was never seen. It is told."""

    async def crash(*_: Any, **__: Any) -> None:
        raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr(store.queries, "save_refreshed_tokens", crash)
        with pytest.raises(CrashError):
            await make().current()
    assert endpoint.uses == 1
    await pool.execute("update connection_tokens set refresh_lease_expires_at = now()")
    with pytest.raises(SourceError) as caught:
        await make().current()
    assert caught.value.reason == "needs-reconnect"
    await add(pool, endpoint.good)
    assert await make().current() == "access-2"


async def test_a_crash_after_the_store_loses_nothing(
    make: Any, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = store.queries.save_refreshed_tokens

    async def store_and_crash(*arguments: Any, **named: Any) -> None:
        await save(*arguments, **named)
        raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr(store.queries, "save_refreshed_tokens", store_and_crash)
        with pytest.raises(CrashError):
            await make().current()
    assert await make().current() == "access-1"
    assert endpoint.uses == 1


async def test_a_caller_who_is_cancelled_does_not_lose_the_new_token(
    make: Any, endpoint: Endpoint, pool: asyncpg.Pool
) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        endpoint.while_refreshing = None
        reached.set()
        await go_on.wait()

    endpoint.while_refreshing = wait
    asking = asyncio.ensure_future(make().current())
    await reached.wait()
    asking.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await make().current() == "access-1"
    assert endpoint.uses == 1
    assert await pool.fetchval("select refresh_holder from connection_tokens") is None


async def test_a_passing_refusal_of_the_sandbox_is_survived(connector: Any) -> None:
    await connector.connect()
    connector.sandbox.control("POST", "/faults", {"effect": "invalid-grant", "times": 1})
    assert (await connector.sync()).summary["published"] == 0
    assert await connector.pool.fetchval("select status from connections") == "connected"


async def test_a_final_refusal_of_the_sandbox_needs_a_person(connector: Any) -> None:
    await connector.connect()
    connector.sandbox.control("POST", "/faults", {"effect": "invalid-grant", "times": 1_000})
    assert (await connector.sync()).failure["reason"] == "needs-reconnect"
    assert await connector.pool.fetchval("select status from connections") == "needs-reconnect"


async def test_two_processes_refresh_once_where_a_reuse_ends_the_consent(connector: Any) -> None:
    """The database alone stands between them; the sandbox revokes on any second use."""
    await connector.connect()
    connector.sandbox.switch(refresh_reuse_revokes=True)
    connection = Connection(
        "acme",
        "connection-1",
        "quickbooks-online",
        connector.sandbox.realm,
        "connected",
        datetime.now(UTC),
    )
    sources = [connector.tokens_of(connection) for _ in range(6)]
    first = await asyncio.gather(*(source.current() for source in sources))
    assert len(set(first)) == 1
    renewed = await asyncio.gather(*(source.renew(first[0]) for source in sources))
    assert len(set(renewed)) == 1
    asked = connector.sandbox.control("GET", "/requests")["requests"]
    assert [request["operation"] for request in asked].count("token") == 2


SWAPPED = """
    update connection_tokens as mine
    set refresh_token = theirs.refresh_token, access_token = theirs.access_token,
        access_token_expires_at = theirs.access_token_expires_at, key_id = theirs.key_id
    from connection_tokens as theirs
    where mine.business_id <> theirs.business_id
"""


async def test_tokens_that_are_moved_in_the_database_open_nowhere_else(
    make: Any, endpoint: Endpoint, pool: asyncpg.Pool
) -> None:
    """Business, company, connection and key are bound to what is stored."""
    await make().current()
    assert await pool.fetchval("select key_id from connection_tokens") == "k1"
    await connections.add_connection(
        pool,
        Vault(KEYS),
        provider="quickbooks-online",
        business_id="other",
        realm_id="913",
        refresh_token="refresh-of-other",
        connection_id="conn-1",
    )
    await pool.execute(
        "update connection_tokens set access_token = refresh_token, "
        "access_token_expires_at = now() + interval '1 hour' where business_id = 'other'"
    )
    for tampered, undone in (
        (SWAPPED, SWAPPED),
        (
            "update connections set realm_id = '914' where business_id = 'acme'",
            "update connections set realm_id = '913' where business_id = 'acme'",
        ),
        (
            "update connection_tokens set key_id = 'k2' where business_id = 'acme'",
            "update connection_tokens set key_id = 'k1' where business_id = 'acme'",
        ),
    ):
        await pool.execute(tampered)
        with pytest.raises(SourceError) as caught:
            await make().current()
        assert caught.value.reason == "needs-reconnect"
        await pool.execute(undone)
        assert await make().current() == "access-1"
    assert endpoint.uses == 1
