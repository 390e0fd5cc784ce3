"""Commands of channels and connections on a real Postgres."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

import asyncio
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import asyncpg
import pytest

from channel_connector import connections
from channel_connector.connections import ConnectionConflictError
from channel_connector.messages import COMMANDS_TOPIC
from channel_connector.store import queries
from channel_connector.vault import Vault
from chassis.testing import Driver, Published

KEYS = "k1:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="
DEFAULTS = {
    "returns": "original-lots",
    "refund_receipts": True,
    "heal_on_link": True,
    "webhooks": False,
}


def enable(business: str = "acme", **more: object) -> dict[str, Any]:
    return {"type": "enable-sales-tracking", "business_id": business, **more}


def connect(channel: str | None = "ch-1", **more: object) -> dict[str, Any]:
    return {
        "type": "connect-channel",
        "business_id": "acme",
        "connection_id": "conn-1",
        "channel_type": "accounting",
        "initial_sync_date": "2026-01-01",
        **({"channel_id": channel} if channel else {}),
        **more,
    }


def command(kind: str, channel: str = "ch-1", business: str = "acme", **more: object) -> Any:
    return {"type": kind, "business_id": business, "channel_id": channel, **more}


async def add(
    pool: asyncpg.Pool,
    connection_id: str | None = "conn-1",
    realm: str = "9130000000000001",
    business: str = "acme",
) -> Any:
    return await connections.add_connection(
        pool,
        Vault(KEYS),
        provider="quickbooks-online",
        business_id=business,
        realm_id=realm,
        refresh_token="refresh-token-in-clear",
        connection_id=connection_id,
    )


@pytest.fixture
async def connected(driver: Driver) -> Driver:
    """A business with a connection and no channel on it."""
    await add(driver.pool)
    await driver.apply(COMMANDS_TOPIC, enable())
    return driver


def only(published: list[Published], kind: str) -> dict[str, Any]:
    (one,) = published
    assert one.type == kind, one
    return one.body


async def test_enabling_makes_the_manual_channel_once(driver: Driver) -> None:
    first = await driver.apply(COMMANDS_TOPIC, enable())
    channel = only(first, "channel-changed")
    assert channel["channel_id"] == str(uuid5(NAMESPACE_URL, "acme/manual"))
    assert channel["channel_type"] == "manual"
    assert channel["status"] == "active"
    assert first[0].key == channel["channel_id"]
    assert await driver.apply(COMMANDS_TOPIC, enable(), enable()) == []


async def test_the_plans_limit_is_kept_until_it_is_named_again(driver: Driver) -> None:
    async def limit() -> int:
        value: int = await driver.pool.fetchval("select max_accounting_connections from businesses")
        return value

    await driver.apply(COMMANDS_TOPIC, enable())
    assert await limit() == 1
    await driver.apply(COMMANDS_TOPIC, enable(max_accounting_connections=3))
    assert await limit() == 3
    await driver.apply(COMMANDS_TOPIC, enable())
    assert await limit() == 3
    await driver.apply(
        COMMANDS_TOPIC, enable(max_accounting_connections=2), enable(), enable("other")
    )
    rows = await driver.pool.fetch(
        "select business_id, max_accounting_connections from businesses order by 1"
    )
    assert [tuple(row) for row in rows] == [("acme", 2), ("other", 1)]


async def test_a_channel_is_connected_whole(connected: Driver) -> None:
    published = await connected.apply(
        COMMANDS_TOPIC, connect(settings={"returns": "no-restock", "sync_interval_minutes": 60})
    )
    channel = only(published, "channel-changed")
    assert channel["settings"] == DEFAULTS | {"returns": "no-restock", "sync_interval_minutes": 60}
    assert channel["initial_sync_date"] == "2026-01-01"
    assert (channel["connection_id"], channel["status"]) == ("conn-1", "active")


@pytest.mark.parametrize("kind", ["pos", "ecommerce"])
async def test_planned_types_are_refused_clearly(connected: Driver, kind: str) -> None:
    rejected = only(
        await connected.apply(COMMANDS_TOPIC, connect(channel_type=kind)), "command-rejected"
    )
    assert (rejected["reason"], rejected["field"]) == ("channel-type-reserved", "channel_type")
    assert "not available yet" in rejected["message"]


@pytest.mark.parametrize(
    ("message", "reason", "field"),
    [
        (connect(channel_type="fax"), "unknown-channel-type", "channel_type"),
        (connect(channel_type="manual"), "manual-channel", "channel_type"),
        (connect(connection_id="nowhere"), "unknown-connection", "connection_id"),
        (connect(business_id="other"), "unknown-connection", "connection_id"),
        (connect(initial_sync_date="1800-01-01"), "invalid-value", "initial_sync_date"),
        (connect(settings={"returns": "burn"}), "invalid-value", "settings.returns"),
        (command("activate-channel", "nowhere"), "unknown-channel", "channel_id"),
        (command("configure-channel", "nowhere", settings={}), "unknown-channel", "channel_id"),
        (
            command("deactivate-channel", str(uuid5(NAMESPACE_URL, "acme/manual"))),
            "manual-channel",
            "channel_id",
        ),
    ],
)
async def test_wrong_commands_are_answered(
    connected: Driver, message: dict[str, Any], reason: str, field: str
) -> None:
    published = await connected.apply(COMMANDS_TOPIC, message)
    rejected = only(published, "command-rejected")
    assert (rejected["reason"], rejected["field"]) == (reason, field)
    assert rejected["command"] == message["type"]
    assert published[0].key == message.get("channel_id", message["business_id"])


async def test_a_connection_carries_one_channel(connected: Driver) -> None:
    await connected.apply(COMMANDS_TOPIC, connect())
    rejected = only(await connected.apply(COMMANDS_TOPIC, connect("ch-2")), "command-rejected")
    assert (rejected["reason"], rejected["field"]) == ("channel-limit-reached", "connection_id")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connected.pool.execute(
            """
            insert into channels (channel_id, business_id, channel_type, status, connection_id,
                                  initial_sync_date, settings, changed_at)
            select 'ch-2', business_id, channel_type, status, connection_id, initial_sync_date,
                   settings, changed_at
            from channels where channel_id = 'ch-1'
            """
        )


async def test_a_repeat_changes_nothing_and_other_content_is_refused(connected: Driver) -> None:
    assert len(await connected.apply(COMMANDS_TOPIC, connect(), connect())) == 1
    assert await connected.apply(COMMANDS_TOPIC, connect()) == []
    other = connect(initial_sync_date="2026-02-01")
    rejected = only(await connected.apply(COMMANDS_TOPIC, other), "command-rejected")
    assert (rejected["reason"], rejected["field"]) == ("id-in-use", "channel_id")


async def test_another_business_cannot_touch_a_channel(connected: Driver) -> None:
    await connected.apply(COMMANDS_TOPIC, connect())
    published = await connected.apply(
        COMMANDS_TOPIC,
        command("deactivate-channel", business="other"),
        command("configure-channel", business="other", settings={"webhooks": True}),
        command("sync-requested", business="other"),
    )
    assert [p.body["reason"] for p in published] == ["unknown-channel"] * 3
    status = await connected.pool.fetchval("select status from channels where channel_id = 'ch-1'")
    assert status == "active"


async def test_a_channel_is_configured_step_by_step(connected: Driver) -> None:
    await connected.apply(COMMANDS_TOPIC, connect(settings={"sync_interval_minutes": 60}))
    published = await connected.apply(
        COMMANDS_TOPIC,
        command("configure-channel", settings={"refund_receipts": False}),
        command("configure-channel", settings={"refund_receipts": False}),
        command("configure-channel", settings={"sync_interval_minutes": None, "returns": None}),
    )
    assert [p.body["settings"] for p in published] == [
        DEFAULTS | {"refund_receipts": False, "sync_interval_minutes": 60},
        DEFAULTS | {"refund_receipts": False},
    ]


async def test_an_inactive_channel_is_not_synced(connected: Driver) -> None:
    await connected.apply(COMMANDS_TOPIC, connect())
    off, rejected = await connected.apply(
        COMMANDS_TOPIC, command("deactivate-channel"), command("sync-requested", sync_id="s-1")
    )
    assert off.body["status"] == "inactive"
    assert (rejected.type, rejected.body["reason"]) == ("sync-rejected", "channel-inactive")
    assert rejected.body["sync_id"] == "s-1"
    assert rejected.key == "ch-1"
    published = await connected.apply(
        COMMANDS_TOPIC, command("activate-channel"), command("sync-requested", sync_id="s-2")
    )
    assert [p.body["status"] for p in published] == ["active"]


async def test_syncs_that_cannot_start_are_answered(connected: Driver) -> None:
    await connected.apply(COMMANDS_TOPIC, connect())
    manual = str(uuid5(NAMESPACE_URL, "acme/manual"))
    published = await connected.apply(
        COMMANDS_TOPIC,
        command("sync-requested", sync_id="s-1"),
        command("sync-requested", sync_id="s-2"),
        command("sync-requested", sync_id="s-1"),
        command("sync-requested", manual),
        command("sync-requested", "nowhere"),
    )
    assert [(p.type, p.body["reason"]) for p in published] == [
        ("sync-rejected", "already-running"),
        ("sync-rejected", "manual-channel"),
        ("sync-rejected", "unknown-channel"),
    ]
    published = await connected.apply(COMMANDS_TOPIC, command("sync-requested", sync_id="s-3"))
    assert only(published, "sync-rejected")["reason"] == "already-running"
    other = command("sync-requested", manual, sync_id="s-1")
    rejected = only(await connected.apply(COMMANDS_TOPIC, other), "command-rejected")
    assert (rejected["reason"], rejected["field"]) == ("id-in-use", "sync_id")
    assert await connected.pool.fetchval("select count(*) from sync_runs") == 1


async def test_a_sync_without_an_id_gets_one(connected: Driver) -> None:
    await connected.apply(COMMANDS_TOPIC, connect(), command("sync-requested"))
    assert await connected.pool.fetchval("select length(sync_id) from sync_runs") == 36


async def test_the_plan_limits_connections_also_when_two_come_at_once(pool: asyncpg.Pool) -> None:
    outcomes = await asyncio.gather(
        *(add(pool, f"conn-{n}", f"91300000000000{n}") for n in range(10, 14)),
        return_exceptions=True,
    )
    refused = [o for o in outcomes if isinstance(o, ConnectionConflictError)]
    assert len(refused) == 3
    assert "allows 1 accounting connection, and there is 1" in str(refused[0])
    assert await pool.fetchval("select count(*) from connections") == 1


async def test_a_removed_connection_makes_room_and_can_come_back(driver: Driver) -> None:
    pool = driver.pool
    await add(pool)
    await connections.remove_connection(pool, "acme", "conn-1")
    assert await pool.fetchval("select count(*) from connection_tokens") == 0
    await add(pool, "conn-2", "9130000000000002")
    with pytest.raises(ConnectionConflictError, match="allows 1"):
        await add(pool, None)
    await connections.remove_connection(pool, "acme", "conn-2")
    again = await add(pool, None)
    assert (again.connection_id, again.status) == ("conn-1", "connected")
    types = [(p.type, p.body["status"]) for p in await driver.take_outbox()]
    assert types == [
        ("connection-changed", "connected"),
        ("connection-changed", "removed"),
        ("connection-changed", "connected"),
        ("connection-changed", "removed"),
        ("connection-changed", "connected"),
    ]


async def test_reconnecting_replaces_tokens_only(pool: asyncpg.Pool) -> None:
    await add(pool)
    before = await pool.fetchrow("select refresh_token, version from connection_tokens")
    again = await add(pool, None)
    after = await pool.fetchrow("select refresh_token, version from connection_tokens")
    assert again.connection_id == "conn-1"
    assert before is not None
    assert after is not None
    assert before["refresh_token"] != after["refresh_token"]
    assert after["version"] == before["version"] + 1
    with pytest.raises(ConnectionConflictError, match="belongs to the company 9130000000000001"):
        await add(pool, "conn-1", "9130000000000002")
    with pytest.raises(ConnectionConflictError, match="is the connection conn-1 already"):
        await add(pool, "conn-9")


async def test_no_token_stands_in_clear(connected: Driver) -> None:
    await connected.apply(COMMANDS_TOPIC, connect())
    tables = await connected.pool.fetch(
        "select table_name from information_schema.tables where table_schema = 'public'"
    )
    for (table,) in tables:
        rows = await connected.pool.fetch(f'select t::text from "{table}" as t')  # noqa: S608
        for (text,) in rows:
            assert "refresh-token-in-clear" not in text
            assert b"refresh-token-in-clear".hex() not in text


async def test_every_statement_fits_the_schema(pool: asyncpg.Pool) -> None:
    names = [n for n in queries.available_queries if not n.endswith("_cursor")]
    assert len(names) > 50
    async with pool.acquire() as session:
        for name in names:
            await session.prepare(getattr(queries, name).sql)
