"""The rules of channels, CH1 to CH8, each as behaviours.md states it."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

import asyncio
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import asyncpg
import pytest

from channel_connector import connections
from channel_connector.connections import ConnectionConflictError
from channel_connector.vault import Vault
from contracts.channels import ChannelChanged

COMMANDS = "channels.commands.v1"
MANUAL = str(uuid5(NAMESPACE_URL, "acme/manual"))
DAY_SECONDS = 86_400


def command(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "business_id": "acme", **fields}


def connect(channel_id: str, connection_id: str, **fields: Any) -> dict[str, Any]:
    return command(
        "connect-channel",
        channel_id=channel_id,
        connection_id=connection_id,
        **({"channel_type": "accounting", "initial_sync_date": "2026-01-01"} | fields),
    )


async def tell(connector: Any, *commands: dict[str, Any]) -> list[dict[str, Any]]:
    """What the commands are answered with."""
    return [published.body for published in await connector.driver.apply(COMMANDS, *commands)]


async def add(connector: Any, connection_id: str, realm: str) -> Any:
    return await connections.add_connection(
        connector.pool,
        connector.vault,
        provider="quickbooks-online",
        business_id="acme",
        realm_id=realm,
        refresh_token="some-token",
        connection_id=connection_id,
    )


def sell(sandbox: Any, qty: int = 2) -> str:
    """Sell chairs; the id of the invoice."""
    made = sandbox.record(
        "invoices", txn_date="2026-03-02", lines=[{"item": "Oak Chair", "qty": qty, "price": 90}]
    )
    return str(made["Id"])


async def around_the_code(connector: Any, columns: str) -> None:
    """Insert a copy of the accounting channel with other values, as no use case would."""
    names = "business_id, channel_type, status, connection_id, initial_sync_date"
    await connector.pool.execute(
        f"""
        insert into channels (channel_id, settings, changed_at, {names})
        select 'another', settings, changed_at, {columns}
        from channels where channel_type = 'accounting'
        """  # noqa: S608  (values of this test)
    )


@pytest.mark.parametrize("kind", ["pos", "ecommerce"])
async def test_ch1_reserved_types_are_refused_and_fit_the_contract(
    connector: Any, kind: str
) -> None:
    await connector.connect()
    (refused,) = await tell(connector, connect("till", "connection-1", channel_type=kind))
    assert refused["reason"] == "channel-type-reserved"
    assert refused["message"] == (
        f"Channels of type `{kind}` are planned but not available yet; use `accounting`."
    )
    (made,) = await tell(connector, command("deactivate-channel", channel_id="channel-1"))
    assert ChannelChanged.model_validate(made | {"channel_type": kind}).channel_type == kind


async def test_ch2_the_manual_channel_is_always_there_and_counts_for_nothing(
    connector: Any,
) -> None:
    (made,) = await tell(connector, command("enable-sales-tracking", max_accounting_connections=0))
    assert (made["channel_id"], made["channel_type"], made["status"]) == (
        MANUAL,
        "manual",
        "active",
    )
    (refused,) = await tell(connector, command("deactivate-channel", channel_id=MANUAL))
    assert (refused["type"], refused["reason"]) == ("command-rejected", "manual-channel")
    with pytest.raises(asyncpg.CheckViolationError):
        await connector.pool.execute("update channels set status = 'inactive'")
    with pytest.raises(asyncpg.UniqueViolationError, match="one_manual_channel"):
        await connector.pool.execute(
            """
            insert into channels (channel_id, business_id, channel_type, status, settings,
                                  changed_at)
            select 'another', business_id, channel_type, status, settings, changed_at from channels
            """
        )


async def test_ch3_a_channel_takes_a_type_and_a_date_and_no_second_sign_in(connector: Any) -> None:
    await connector.add_connection()
    await tell(connector, command("enable-sales-tracking"))
    before = connector.sandbox.control("GET", "/requests")["last"]
    (made,) = await tell(connector, connect("channel-1", "connection-1"))
    assert made["initial_sync_date"] == "2026-01-01"
    assert (made["connection_id"], made["status"]) == ("connection-1", "active")
    assert connector.sandbox.control("GET", "/requests")["last"] == before
    (refused,) = await tell(connector, connect("channel-2", "nowhere"))
    assert refused["reason"] == "unknown-connection"


async def test_ch4_a_connection_carries_one_channel_and_each_may_have_its_own(
    connector: Any,
) -> None:
    await connector.connect()
    await tell(connector, command("enable-sales-tracking", max_accounting_connections=2))
    await add(connector, "connection-2", "9130000000000002")
    await connector.driver.take_outbox()
    refused, made = await tell(
        connector, connect("channel-2", "connection-1"), connect("channel-2", "connection-2")
    )
    assert refused["reason"] == "channel-limit-reached"
    assert (made["channel_id"], made["connection_id"]) == ("channel-2", "connection-2")
    with pytest.raises(asyncpg.UniqueViolationError, match="one_accounting_channel_per_connection"):
        await around_the_code(
            connector, "business_id, channel_type, status, connection_id, initial_sync_date"
        )


async def test_ch5_the_plan_limits_connections_also_around_the_code(connector: Any) -> None:
    await connector.connect()
    with pytest.raises(ConnectionConflictError, match="allows 1 accounting connection"):
        await add(connector, "connection-2", "9130000000000002")
    insert = """
        insert into connections (business_id, connection_id, provider, realm_id, status, changed_at)
        values ('acme', 'connection-' || $1::text, 'quickbooks-online', $1, $2, now())
    """
    with pytest.raises(asyncpg.CheckViolationError, match="plan allows 1"):
        await connector.pool.execute(insert, "2", "connected")
    await connector.pool.execute(insert, "3", "removed")
    with pytest.raises(asyncpg.CheckViolationError, match="plan allows 1"):
        await connector.pool.execute("update connections set status = 'needs-reconnect'")
    await tell(connector, command("enable-sales-tracking", max_accounting_connections=3))
    outcomes = await asyncio.gather(
        *(connector.pool.execute(insert, str(n), "connected") for n in range(4, 9)),
        return_exceptions=True,
    )
    assert sum(isinstance(o, asyncpg.CheckViolationError) for o in outcomes) == 3
    await tell(connector, command("enable-sales-tracking", max_accounting_connections=1))
    await connector.pool.execute("update connections set changed_at = now()")


async def test_ch6_a_channel_that_was_off_for_long_goes_on_where_it_was(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    kept, edited, gone = [sell(sandbox) for _ in range(3)]
    await connector.sync()
    cursor = await connector.cursor()
    (off,) = await tell(connector, command("deactivate-channel", channel_id="channel-1"))
    sandbox.change("DELETE", f"invoices/{gone}")
    sandbox.change("PATCH", f"invoices/{edited}", qty=5)
    sandbox.control("PUT", "/clock", {"advance_seconds": 45 * DAY_SECONDS})
    added = sell(sandbox)
    (refused,) = await tell(
        connector, command("sync-requested", channel_id="channel-1", sync_id="while-off")
    )
    assert (refused["type"], refused["reason"]) == ("sync-rejected", "channel-inactive")
    assert await connector.cursor() == cursor
    (on,) = await tell(connector, command("activate-channel", channel_id="channel-1"))
    assert on == off | {"status": "active", "changed_at": on["changed_at"]}
    outcome = await connector.sync()
    assert [(c["external_id"], c["status"]) for c in outcome.captured] == [
        (gone, "deleted"),
        (edited, "active"),
        (added, "active"),
    ]
    assert kept not in [c["external_id"] for c in outcome.captured]
    assert (await connector.sync()).captured == []


async def test_ch6_a_sync_under_way_ends_though_the_channel_is_turned_off(connector: Any) -> None:
    await connector.connect()
    sell(connector.sandbox)
    await connector.request_sync()
    await tell(connector, command("deactivate-channel", channel_id="channel-1"))
    assert await connector.worker.work_once()
    types = [p.type for p in await connector.driver.take_outbox() if p.type != "connection-changed"]
    assert types == ["sync-started", "transaction-captured", "transactions-published"]


async def lose_by_removal(connector: Any) -> None:
    await connections.remove_connection(connector.pool, "acme", "connection-1")


async def lose_by_expiry(connector: Any) -> None:
    connector.sandbox.control("PUT", "/clock", {"advance_seconds": 102 * DAY_SECONDS})
    await connector.pool.execute("update connection_tokens set access_token_expires_at = now()")


async def lose_by_revocation(connector: Any) -> None:
    realm = connector.sandbox.realm
    connector.sandbox.control("POST", f"/companies/{realm}/tokens/revoke", {})


@pytest.mark.parametrize(
    ("lose", "reason"),
    [
        (lose_by_removal, "connection-unavailable"),
        (lose_by_expiry, "needs-reconnect"),
        (lose_by_revocation, "needs-reconnect"),
    ],
)
async def test_ch7_a_lost_connection_keeps_channel_and_sales_and_moves_no_cursor(
    connector: Any, lose: Any, reason: str
) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    sell(sandbox)
    await connector.sync()
    rows = "select channel_id, cursor_at, status, settings from channels order by 1"
    before = await connector.pool.fetch(rows)
    await lose(connector)
    added = sell(sandbox)
    await connector.driver.take_outbox()
    for _ in range(2):
        outcome = await connector.sync()
        assert outcome.failure["reason"] == reason
        assert outcome.failure["detail"].endswith(
            ("goes on where it was.", "Connect the company again; nothing is lost meanwhile.")
        )
        assert outcome.captured == []
    assert await connector.pool.fetch(rows) == before
    assert await connector.pool.fetchval("select count(*) from documents") == 1
    tokens = sandbox.control("POST", f"/companies/{sandbox.realm}/tokens", {})
    await connector.add_connection(tokens["refresh_token"])
    await connector.driver.take_outbox()
    assert [c["external_id"] for c in (await connector.sync()).captured] == [added]


async def test_ch7_a_connection_needs_no_channel(connector: Any) -> None:
    await connector.add_connection()
    assert await connector.pool.fetchval("select count(*) from channels") == 0


async def test_ch8_reconnecting_replaces_tokens_only_and_never_the_company(connector: Any) -> None:
    await connector.connect()
    await connector.sync()
    facts = "select * from connections"
    before = dict(await connector.pool.fetchrow(facts))
    tokens = await connector.pool.fetchval("select refresh_token from connection_tokens")
    await connector.add_connection("another-token")
    after = dict(await connector.pool.fetchrow(facts))
    assert after | {"changed_at": before["changed_at"]} == before
    assert await connector.pool.fetchval("select refresh_token from connection_tokens") != tokens
    stored = await connector.pool.fetchrow("select * from connection_tokens")
    with pytest.raises(ConnectionConflictError, match="connected again to that company only"):
        await add(connector, "connection-1", "9130000000000002")
    assert await connector.pool.fetchrow("select * from connection_tokens") == stored
    owner = connections.owner_of(await connector.add_connection("another-token"))
    sealed = await connector.pool.fetchrow("select * from connection_tokens")
    opened = Vault.open(
        connector.vault, sealed["refresh_token"], sealed["key_id"], owner, "refresh"
    )
    assert opened == "another-token"
