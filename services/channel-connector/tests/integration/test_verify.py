"""Each check finds a violation that is planted for it, and names its rows."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

import channel_connector
from channel_connector.handlers import on_commands
from channel_connector.messages import SERVICE
from channel_connector.verification import INVARIANTS, verify
from chassis.testing import Databases, Driver, Plant, assert_found, find_planted, fresh_pool
from quickbooks_sandbox.testing import SandboxClient

CHANNEL = {"business_id": "acme", "channel_id": "channel-1"}
RUN = {"business_id": "acme", "sync_id": "sync-1"}
SECOND_VERSION = {**CHANNEL, "kind": "invoice", "version": 1}

PLANTS = (
    Plant(
        "i6_versions",
        "update documents set settled_in = 'sync-1', sequence = 0 where version = 1;"
        " update sync_runs set published = 3, to_publish = 3 where sync_id = 'sync-1';"
        " update sync_runs set published = 0, to_publish = 0 where sync_id = 'sync-2'",
        [{**CHANNEL, "kind": "invoice", "version": 0, "published_before": 1}],
    ),
    Plant(
        "i7_counts",
        "update sync_runs set published = 5, to_publish = 5 where sync_id = 'sync-1'",
        [{**RUN, "published": 5, "documents_published": 2}],
    ),
    Plant(
        "i7_counts",
        "update sync_runs set to_publish = 9 where sync_id = 'sync-1'",
        [{**RUN, "to_publish": 9, "published": 2, "failed": 0}],
    ),
    Plant(
        "i10_outbox",
        """
        insert into outbox (aggregatetype, aggregateid, type, message_key, ce_id, ce_time)
        values ('channels.events.v1', 'channel-1', 'sync-started', 'channel-1',
                gen_random_uuid(), now() - interval '2 minutes')
        """,
        [{"topic": "channels.events.v1", "key": "channel-1"}],
    ),
    Plant(
        "i10_outcomes",
        "update documents set outcome = 'pending', content_hash = null where version = 1;"
        " update sync_runs set published = 0, to_publish = 0 where sync_id = 'sync-2'",
        [{**SECOND_VERSION, "outcome": "pending", "run_status": "completed"}],
    ),
    Plant(
        "i10_reasons_of_runs",
        "update sync_runs set status = 'failed' where sync_id = 'sync-2'",
        [{"sync_id": "sync-2", "status": "failed", "failure_reason": None}],
    ),
    Plant(
        "i11_cursors",
        "update channels set cursor_at = null where channel_id = 'channel-1'",
        [{**CHANNEL, "cursor_at": None}],
    ),
    Plant(
        "i12_tables",
        "create table notes (channel_id text)",
        [{"table": "notes", "fault": "has no business_id"}],
    ),
    Plant(
        "i12_one_business",
        "update sync_runs set business_id = 'other' where sync_id = 'sync-2'",
        [{"row": "run", "business_id": "other", "business_of_channel": "acme"}],
    ),
    Plant(
        "i12_one_business",
        "update documents set business_id = 'other' where version = 1",
        [{"row": "document", "business_id": "other", "business_of_channel": "acme"}],
    ),
    Plant(
        "i12_one_business",
        """
        insert into sync_runs (sync_id, business_id, channel_id, requested_at, status, phase,
                               started_at, ended_at, published, to_publish)
        select 'theirs', business_id, channel_id, now(), 'completed', 'ended', now(), now(), 1, 1
        from channels where channel_type = 'manual';
        update channels set cursor_at = now(), kinds_read = '{}' where channel_type = 'manual';
        update documents set settled_in = 'theirs', met_in = 'theirs' where version = 1;
        update sync_runs set published = 0, to_publish = 0 where sync_id = 'sync-2'
        """,
        [{"row": "document", **CHANNEL, "sync_id": "theirs"}],
    ),
    Plant(
        "ch4_channels",
        """
        drop index one_accounting_channel_per_connection;
        update channels set channel_type = 'accounting', connection_id = 'connection-1'
        where channel_type = 'manual'
        """,
        [{"business_id": "acme", "connection_id": "connection-1", "channels": 2}],
    ),
    Plant(
        "sa6_deletions",
        "update documents set status = 'deleted' where version = 0 and external_id ="
        " (select external_id from documents where version = 1)",
        [{**SECOND_VERSION, "deleted_by": 0}],
    ),
    Plant(
        "sy7_open_runs",
        """
        drop index one_open_run_per_channel;
        update sync_runs set status = 'running', ended_at = null, phase = 'reading'
        """,
        [{**CHANNEL, "open_runs": 2}],
    ),
    Plant(
        "sy7_leases",
        """
        update sync_runs set status = 'running', ended_at = null, phase = 'reading',
            holder = gen_random_uuid(), lease_expires_at = now() - interval '6 minutes'
        where sync_id = 'sync-2'
        """,
        [{**CHANNEL, "sync_id": "sync-2"}],
    ),
    Plant(
        "sy10_payloads",
        "update documents set payload = '' where version = 1",
        [SECOND_VERSION],
    ),
)


@pytest.fixture(scope="module")
async def synced(
    databases: Databases, sandbox_process: SandboxClient, make_connector: Callable[..., Any]
) -> AsyncIterator[asyncpg.Pool]:
    """Two runs: two invoices, then a change of one of them."""
    migrations = Path(channel_connector.__file__).parent / "sql" / "migrations"
    sandbox_process.reset()
    async with (
        fresh_pool(databases, migrations) as pool,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        driver = Driver(pool, [on_commands], group=SERVICE)
        connector = make_connector(pool, driver, http, sandbox_process)
        await connector.connect()
        form = {"txn_date": "2026-03-02", "lines": [{"item": "Oak Chair", "qty": 2, "price": 90}]}
        for number in ("1001", "1002"):
            sandbox_process.record("invoices", doc_number=number, **form)
        assert len((await connector.sync()).captured) == 2
        sandbox_process.change("PATCH", "invoices/1001", qty=3)
        assert len((await connector.sync()).captured) == 1
        yield pool


def test_a_violation_is_planted_for_every_check() -> None:
    assert {plant.check for plant in PLANTS} == set(INVARIANTS.names)


async def test_a_healthy_connector_breaks_nothing(synced: asyncpg.Pool) -> None:
    report = await verify(synced, None)

    assert [check for check in report.checks if check.violations] == []


@pytest.mark.parametrize("plant", PLANTS, ids=str)
async def test_a_planted_violation_is_found(synced: asyncpg.Pool, plant: Plant) -> None:
    await assert_found(synced, INVARIANTS, plant)


async def test_another_business_is_not_blamed(synced: asyncpg.Pool) -> None:
    assert await find_planted(synced, INVARIANTS, PLANTS[0], "other") == {}
