"""Runs that fail, stop midway or lose their lease: resumed once, with a reason where they end."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

import asyncio
import json
import zlib
from datetime import date
from typing import Any
from uuid import uuid4

import pytest

from channel_connector import connections, maintenance, publishing, store
from channel_connector.domain.documents import DocumentKey
from channel_connector.store import LeaseLostError
from channel_connector.verification import verify
from channel_connector.worker import Worker
from chassis.invariants import Check
from chassis.testing import DEADLINE_SECONDS, until
from crashing import CrashError, CrashingSystem


def sell(sandbox: Any, count: int, **more: object) -> list[dict[str, Any]]:
    form = {"txn_date": "2026-03-02", "lines": [{"item": "Oak Chair", "qty": 2, "price": 90}]}
    return [sandbox.record("invoices", **(form | more)) for _ in range(count)]


def plant(sandbox: Any, effect: str, times: int = 1_000, **match: str) -> None:
    sandbox.control("POST", "/faults", {"effect": effect, "times": times, "match": match})


async def checks(connector: Any) -> list[Check]:
    report = await verify(connector.pool, None)
    return [check for check in report.checks if check.violations]


async def test_a_removed_connection_fails_the_sync_and_keeps_the_channel(connector: Any) -> None:
    await connector.connect()
    sell(connector.sandbox, 1)
    await connector.sync()
    cursor = await connector.cursor()
    await connections.remove_connection(connector.pool, "acme", "connection-1")
    await connector.driver.take_outbox()
    failure = (await connector.sync()).failure
    assert failure["reason"] == "connection-unavailable"
    assert "removed" in failure["detail"]
    assert await connector.cursor() == cursor
    tokens = connector.sandbox.control("POST", f"/companies/{connector.sandbox.realm}/tokens", {})
    await connector.add_connection(tokens["refresh_token"])
    sell(connector.sandbox, 1)
    assert len((await connector.sync()).captured) == 1


async def test_a_revoked_connection_needs_reconnecting(connector: Any) -> None:
    await connector.connect()
    sandbox = connector.sandbox
    sandbox.control("POST", f"/companies/{sandbox.realm}/tokens/revoke", {})
    outcome = await connector.sync()
    assert outcome.failure["reason"] == "needs-reconnect"
    changed = outcome.of("connection-changed")[-1]
    assert changed["status"] == "needs-reconnect"
    assert await connector.cursor() is None
    tokens = sandbox.control("POST", f"/companies/{sandbox.realm}/tokens", {})
    await connector.add_connection(tokens["refresh_token"])
    assert (await connector.sync()).summary["published"] == 0


@pytest.mark.parametrize(
    ("effect", "reason"),
    [
        ("throttle", "rate-limited"),
        ("html", "upstream-error"),
        ("truncated", "upstream-error"),
        ("reset", "upstream-error"),
    ],
)
async def test_a_source_that_stays_away_fails_the_sync(
    connector: Any, effect: str, reason: str
) -> None:
    await connector.connect()
    sell(connector.sandbox, 1)
    await connector.sync()
    cursor = await connector.cursor()
    plant(connector.sandbox, effect, operation="cdc")
    outcome = await connector.sync()
    assert outcome.failure["reason"] == reason
    assert [p.type for p in outcome.published] == ["sync-failed"]
    assert await connector.cursor() == cursor
    run = await connector.pool.fetchrow("select * from sync_runs where sync_id = 'sync-2'")
    assert (run["status"], run["http_calls"]) == ("failed", 3)
    connector.sandbox.control("DELETE", "/faults")
    assert (await connector.sync()).summary["unchanged"] == 1


@pytest.mark.parametrize("effect", ["throttle", "html", "truncated", "reset", "token-expired"])
async def test_a_passing_fault_is_survived(connector: Any, effect: str) -> None:
    await connector.connect()
    sell(connector.sandbox, 1)
    plant(connector.sandbox, effect, times=1, operation="query", entity="Invoice")
    assert len((await connector.sync()).captured) == 1


async def test_a_fault_inside_a_success_is_seen(connector: Any) -> None:
    await connector.connect()
    sell(connector.sandbox, 1)
    connector.sandbox.control(
        "POST",
        "/faults",
        {
            "effect": "fault-in-200",
            "code": "10000",
            "type": "SystemFault",
            "message": "oops",
            "times": 1,
            "match": {"operation": "query", "entity": "Invoice"},
        },
    )
    assert len((await connector.sync()).captured) == 1


@pytest.mark.parametrize("pages", range(7))
async def test_a_run_goes_on_from_its_last_stored_page(connector: Any, pages: int) -> None:
    connector.page_rows = 2
    await connector.connect()
    for second in range(6):
        sell(connector.sandbox, 1, at=f"2026-06-01T10:00:{second:02}-07:00")
    sync_id = await connector.request_sync()
    crashing = Worker(connector.pool, lambda c: CrashingSystem(connector.system_of(c), pages))
    with pytest.raises(CrashError):
        await crashing.work_once()
    kept = await connector.pool.fetchval("select count(*) from documents")
    before = len(connector.sandbox.control("GET", "/requests")["requests"])
    assert await connector.worker.work_once()
    published = await connector.driver.take_outbox()
    assert [p.type for p in published].count("transaction-captured") == 6
    assert published[-1].type == "transactions-published"
    assert published[-1].body["sync_id"] == sync_id
    made = len(connector.sandbox.control("GET", "/requests")["requests"]) - before
    run = await connector.pool.fetchrow("select * from sync_runs")
    assert run["status"] == "completed"
    assert run["fencing_token"] == 2
    assert kept == 6 or made > 0
    assert await checks(connector) == []


@pytest.mark.parametrize("chunks", [0, 1, 2, 3])
async def test_publishing_goes_on_after_the_last_chunk(
    connector: Any, monkeypatch: pytest.MonkeyPatch, chunks: int
) -> None:
    monkeypatch.setattr(publishing, "CHUNK_DOCUMENTS", 2)
    await connector.connect()
    sell(connector.sandbox, 7)
    await connector.request_sync()
    left = chunks
    settle = store.save_settlements

    async def crash_later(*arguments: Any) -> None:
        nonlocal left
        if not left:
            raise CrashError
        left -= 1
        await settle(*arguments)

    monkeypatch.setattr(store, "save_settlements", crash_later)
    with pytest.raises(CrashError):
        await connector.worker.work_once()
    monkeypatch.setattr(store, "save_settlements", settle)
    assert await connector.worker.work_once()
    published = await connector.driver.take_outbox()
    captured = [p.body["sequence"] for p in published if p.type == "transaction-captured"]
    assert captured == [1, 2, 3, 4, 5, 6, 7]
    assert [p.type for p in published].count("sync-started") == 1
    assert published[-1].body["published"] == 7
    assert await checks(connector) == []


@pytest.mark.parametrize(("documents", "unpacked"), [(0, 1), (1, 2), (3, 4), (7, 7)])
async def test_no_more_payload_is_in_memory_than_there_is_room_for(
    connector: Any, monkeypatch: pytest.MonkeyPatch, documents: int, unpacked: int
) -> None:
    await connector.connect()
    sell(connector.sandbox, 7)
    sync_id = await connector.request_sync()
    await connector.worker.work_once()
    first = DocumentKey("credit-memo", "")
    every = await maintenance.list_newest(connector.pool, "channel-1", first, 10)
    room = sum(len(kept.document.payload) for kept in every[:documents])
    monkeypatch.setattr(store, "PAYLOAD_BYTES_MAX", room or 1)
    unpack, calls = zlib.decompress, 0

    def counted(payload: bytes) -> bytes:
        nonlocal calls
        calls += 1
        return unpack(payload)

    monkeypatch.setattr(zlib, "decompress", counted)
    expected = [kept.document for kept in every[: max(1, documents)]]
    newest = await maintenance.list_newest(connector.pool, "channel-1", first, 10)
    assert [kept.document for kept in newest] == expected
    assert calls <= unpacked
    await connector.pool.execute("update documents set outcome = 'pending', content_hash = null")
    waiting = await store.list_to_publish(connector.pool, sync_id, 1, 10)
    assert [numbered.document for numbered in waiting] == expected
    assert calls <= 2 * unpacked


async def test_late_writes_of_the_old_holder_fail(connector: Any) -> None:
    await connector.connect()
    sell(connector.sandbox, 1)
    await connector.request_sync()
    old = await store.claim_run(connector.pool, uuid4(), 30)
    assert old is not None
    assert not await connector.worker.work_once()
    await connector.pool.execute("update sync_runs set lease_expires_at = now()")
    assert await connector.worker.work_once()
    assert not await store.renew_lease(connector.pool, old, 30)
    async with connector.pool.acquire() as session:
        with pytest.raises(LeaseLostError):
            await store.save_settlements(session, old, [], 1)
        with pytest.raises(LeaseLostError):
            await store.plan_publication(session, old, date(2026, 1, 1), 0)
    await connector.driver.take_outbox()
    with pytest.raises(LeaseLostError):
        await publishing.complete(
            connector.pool, old, connector.system_of(await found(connector)), old.started_at
        )
    assert await connector.driver.take_outbox() == []


async def found(connector: Any) -> Any:
    return await store.find_connection(connector.pool, "acme", "connection-1")


async def test_two_processes_share_the_runs(connector: Any) -> None:
    """Each run ends once, though both look for work all the time."""
    await connector.connect()
    sell(connector.sandbox, 3)
    workers = [Worker(connector.pool, connector.system_of) for _ in range(2)]
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        for number in range(3):
            sync_id = await connector.request_sync()

            async def ended(sync_id: str = sync_id) -> bool:
                row = await store.queries.find_run(connector.pool, sync_id=sync_id)
                return bool(row["status"] == "completed")

            await until(ended, what=f"run {number} completed")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    tokens = await connector.pool.fetch("select fencing_token from sync_runs")
    assert [row["fencing_token"] for row in tokens] == [1, 1, 1]
    assert await checks(connector) == []


async def test_a_worker_that_waits_takes_a_run_when_woken_and_says_when_it_ended(
    connector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channel_connector.worker.IDLE_SECONDS", 3_600)
    await connector.connect()
    claim, looks, ended = store.claim_run, 0, asyncio.Event()

    async def counted(*arguments: Any) -> Any:
        nonlocal looks
        run = await claim(*arguments)
        looks += 1
        return run

    async def has_looked() -> bool:
        return looks > 0

    monkeypatch.setattr(store, "claim_run", counted)
    worker = Worker(connector.pool, connector.system_of, announce=ended.set)
    task = asyncio.create_task(worker.run())
    try:
        await until(has_looked, what="the worker found nothing to do")
        sync_id = await connector.request_sync()
        worker.wake()
        await asyncio.wait_for(ended.wait(), DEADLINE_SECONDS)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    row = await store.queries.find_run(connector.pool, sync_id=sync_id)
    assert row["status"] == "completed"


async def test_a_worker_that_is_stopped_gives_its_run_back(connector: Any) -> None:
    await connector.connect()
    await connector.request_sync()
    connector.sandbox.control(
        "POST", "/faults", {"effect": "delay", "delay_ms": 5_000, "match": {"operation": "query"}}
    )
    task = asyncio.create_task(connector.worker.run())

    async def holder() -> Any:
        return await connector.pool.fetchval("select holder from sync_runs")

    await until(holder, what="the run is taken")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await holder() is None


async def test_losing_the_lease_stops_the_work(connector: Any) -> None:
    await connector.connect()
    sell(connector.sandbox, 1)
    await connector.request_sync()
    connector.sandbox.control(
        "POST", "/faults", {"effect": "delay", "delay_ms": 60_000, "match": {"operation": "query"}}
    )

    class Stolen(Worker):
        async def _keep_lease(self, run: Any) -> None:
            del run

    worker = Stolen(connector.pool, connector.system_of)
    assert await worker.work_once()
    run = await connector.pool.fetchrow("select * from sync_runs")
    assert (run["status"], run["phase"]) == ("running", "reading")


async def test_a_run_taken_up_too_often_ends(connector: Any) -> None:
    await connector.connect()
    await connector.request_sync()
    await connector.pool.execute("update sync_runs set fencing_token = 20")
    assert await connector.worker.work_once()
    (failed,) = [p for p in await connector.driver.take_outbox() if p.type == "sync-failed"]
    assert failed.body["reason"] == "upstream-error"
    assert "never ended" in failed.body["detail"]


async def test_a_foreign_document_without_a_rate_is_an_error(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    (home, foreign) = sell(sandbox, 2)
    path = f"/companies/{sandbox.realm}/invoices/{foreign['Id']}/verbatim"
    sandbox.control("PUT", path, dict(foreign) | {"CurrencyRef": {"value": "EUR"}})
    outcome = await connector.sync()
    assert [c["external_id"] for c in outcome.captured] == [home["Id"]]
    (error,) = outcome.summary["failed"]
    assert error["code"] == "exchange-rate-missing"
    assert "books are in USD" in error["message"]


async def test_more_failures_than_a_message_holds_are_cut(
    connector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "FAILURES_MAX", 2)
    sandbox = connector.sandbox
    await connector.connect()
    for bad in sell(sandbox, 4):
        path = f"/companies/{sandbox.realm}/invoices/{bad['Id']}/verbatim"
        sandbox.control("PUT", path, dict(bad) | {"TotalAmt": 1})
    failed = (await connector.sync()).summary["failed"]
    assert len(failed) == 3
    assert failed[-1]["message"].startswith("More than 2 documents")


async def test_a_bug_ends_the_run_with_a_reason_and_no_secret(connector: Any) -> None:
    await connector.connect()
    await connector.request_sync()

    def broken(_: Any) -> Any:
        raise KeyError("secret")

    assert await Worker(connector.pool, broken).work_once()
    (failed,) = [p for p in await connector.driver.take_outbox() if p.type == "sync-failed"]
    assert "KeyError" in failed.body["detail"]
    assert "secret" not in failed.body["detail"]


async def test_a_document_that_cannot_be_read_is_an_error_of_the_summary(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    (good, bad) = sell(sandbox, 2)
    broken = dict(bad) | {"TotalAmt": 1}
    sandbox.control("PUT", f"/companies/{sandbox.realm}/invoices/{bad['Id']}/verbatim", broken)
    outcome = await connector.sync()
    assert [c["external_id"] for c in outcome.captured] == [good["Id"]]
    (error,) = outcome.summary["failed"]
    assert error["code"] == "document-invalid"
    assert error["number"] == bad["DocNumber"]
    assert "a difference of -179" in error["message"]
    assert outcome.summary["published"] == 1
    again = await connector.sync()
    assert len(again.summary["failed"]) == 1
    mended = dict(bad) | {"SyncToken": "1"}
    sandbox.control("PUT", f"/companies/{sandbox.realm}/invoices/{bad['Id']}/verbatim", mended)
    third = await connector.sync()
    assert [c["external_id"] for c in third.captured] == [bad["Id"]]
    assert third.summary["failed"] == []


@pytest.mark.parametrize(
    "hostile",
    [
        {"TotalAmt": "much"},
        {"TotalAmt": 1e308},
        {"Line": "none"},
        {"Line": [{"DetailType": "SalesItemLineDetail", "Amount": 1e300}], "TotalAmt": 1e300},
        {"TxnDate": "never"},
        {"CustomerRef": ["x"]},
        {"DocNumber": "n" * 100_000},
        {"PrivateNote": "\x00\x01\ud800"},
        {"CustomerRef": {"value": "v" * 5_000, "name": "\x00"}},
        {"SyncToken": "many"},
        {"CurrencyRef": {"value": "XXXXXXXX"}},
        {"Line": [{"DetailType": "DescriptionOnly"}] * 10_000},
        {"Line": [{"DetailType": "DescriptionOnly", "Description": "d" * 3_000}] * 400},
        {"TotalAmt": 1, "DocNumber": "n" * 100_000},
    ],
)
async def test_a_hostile_document_stops_nothing_else(connector: Any, hostile: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    (good, bad) = sell(sandbox, 2)
    path = f"/control/companies/{sandbox.realm}/invoices/{bad['Id']}/verbatim"
    sandbox.http.put(path, content=json.dumps(dict(bad) | hostile)).raise_for_status()
    outcome = await connector.sync()
    assert good["Id"] in [c["external_id"] for c in outcome.captured]
    assert outcome.summary["published"] + len(outcome.summary["failed"]) == 2
    assert await checks(connector) == []
