"""`sync`: what it asks for, how it follows the run, and what it says of each outcome."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from typer.testing import CliRunner, Result

import local_stack
from chassis.testing import until
from salesync.__main__ import app
from salesync.kafka import records
from salesync.sync import _described
from salesync.topics import apply_all

CHANNEL = "acme-quickbooks"
SUMMARY: dict[str, Any] = {
    "type": "sync-completed",
    "started_at": "2026-02-02T08:15:00Z",
    "completed_at": "2026-02-02T08:15:03Z",
    "received": 5,
    "created": 3,
    "updated": 0,
    "voided": 0,
    "skipped": {"unchanged": 2},
    "errors": [],
    "revenue": "13190.00",
    "cost": "7430.00",
    "margin": "5760.00",
    "http_calls": 1,
}
ERROR = {
    "kind": "invoice",
    "external_id": "160",
    "number": "1043",
    "code": "item-not-linked",
    "message": "The item Bar Stool (24) is linked to no product.",
    "hint": "Link the item to a product.",
}


@pytest.fixture
def brokers(stack: local_stack.Stack, monkeypatch: pytest.MonkeyPatch) -> str:
    """A cluster with topics, and services that know the channel but no run."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == f"/channels/{CHANNEL}":
            return httpx.Response(200, json={"business_id": "acme", "channel_id": CHANNEL})
        return httpx.Response(404, json={"detail": "Nothing is there."})

    apply_all(stack.bootstrap_servers)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", stack.bootstrap_servers)
    monkeypatch.setenv("CHANNEL_CONNECTOR_URL", "http://channel.test")
    monkeypatch.setenv("SALES_PROCESSOR_URL", "http://sales.test")
    monkeypatch.setattr("salesync.http.transport", lambda: httpx.MockTransport(answer))
    return stack.bootstrap_servers


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """Where the command runs while the test plays the services."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def _run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, ["sync", *arguments])


async def _requests(brokers: str) -> list[dict[str, Any]]:
    return [
        json.loads(record.value or b"")
        async for record in records(brokers, ["channels.commands.v1"])
        if record.key == b"acme"
    ]


async def _answer(
    brokers: str, running: "Future[Result]", known: int, topic: str, event: Mapping[str, Any]
) -> Result:
    """Wait for the request, answer it (and another run), and return what the command said."""

    async def asked() -> dict[str, Any] | None:
        found = await _requests(brokers)
        return found[known] if len(found) > known else None

    request = await until(asked, what="the sync is asked for")
    assert request["requested_by"] == "salesync"
    ids = {"business_id": "acme", "channel_id": CHANNEL, "sync_id": request["sync_id"]}
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all")
    await producer.start()
    try:
        for body in (
            b"not json",
            json.dumps({**SUMMARY, **ids, "sync_id": "another", "created": 77}).encode(),
            json.dumps({**event, **ids}).encode(),
        ):
            await producer.send_and_wait(topic, body, key=b"acme")
    finally:
        await producer.stop()
    return await asyncio.wrap_future(running)


async def _outcome(
    brokers: str,
    thread: ThreadPoolExecutor,
    event: Mapping[str, Any],
    *arguments: str,
    topic: str = "channels.events.v1",
) -> Result:
    known = len(await _requests(brokers))
    running = thread.submit(_run, CHANNEL, "--wait", *arguments)
    return await _answer(brokers, running, known, topic, event)


async def test_a_good_sync_ends_with_its_summary(brokers: str, thread: ThreadPoolExecutor) -> None:
    result = await _outcome(brokers, thread, SUMMARY, topic="sales.events.v1")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].endswith("ended after 3.0 seconds and 1 HTTP call to the source.")
    assert [" ".join(line.split()) for line in lines[1:7]] == [
        "3 created",
        "0 updated",
        "0 voided",
        "2 skipped: already synced, nothing new",
        "0 with errors",
        "5 received in all",
    ]
    assert lines[7] == "Revenue 13,190.00, cost 7,430.00, margin 5,760.00."


async def test_errors_are_listed_with_their_hints_and_the_exit_code_is_2(
    brokers: str, thread: ThreadPoolExecutor
) -> None:
    event = {**SUMMARY, "errors": [ERROR], "skipped": {"unchanged": 1}}
    result = await _outcome(brokers, thread, event, topic="sales.events.v1")
    assert result.exit_code == 2
    said = " ".join(result.stdout.split())
    assert "invoice 1043: The item Bar Stool (24) is linked to no product." in said
    assert "Link the item to a product." in said


async def test_errors_that_did_not_fit_the_message_are_counted(
    brokers: str, thread: ThreadPoolExecutor
) -> None:
    event = {**SUMMARY, "errors": [ERROR], "errors_omitted": 4, "received": 10}
    result = await _outcome(brokers, thread, event, topic="sales.events.v1")
    assert result.exit_code == 2
    assert "5 with errors" in " ".join(result.stdout.split())
    assert "… and 4 more; the sales-processor lists all at /syncs/" in result.stdout


async def test_a_rejected_sync_exits_with_1(brokers: str, thread: ThreadPoolExecutor) -> None:
    event = {
        "type": "sync-rejected",
        "reason": "already-running",
        "message": "The sync 4711 of this channel is still running.",
    }
    result = await _outcome(brokers, thread, event)
    assert result.exit_code == 1
    assert "The sync was rejected: already-running." in result.stdout
    assert "The sync 4711 of this channel is still running." in result.stdout


async def test_a_failed_sync_exits_with_1(brokers: str, thread: ThreadPoolExecutor) -> None:
    event = {"type": "sync-failed", "reason": "needs-reconnect", "detail": "Sign in again."}
    result = await _outcome(brokers, thread, event)
    assert result.exit_code == 1
    assert "The sync failed: needs-reconnect." in result.stdout
    assert "Sign in again." in result.stdout


async def test_a_script_gets_the_event_itself(brokers: str, thread: ThreadPoolExecutor) -> None:
    event = {"type": "sync-failed", "reason": "rate-limited", "detail": "Later."}
    result = await _outcome(brokers, thread, event, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["reason"] == "rate-limited"


async def test_without_waiting_it_prints_the_id_that_it_asked_for(brokers: str) -> None:
    result = await asyncio.to_thread(_run, CHANNEL)
    assert result.exit_code == 0, result.output
    request = (await _requests(brokers))[-1]
    assert result.stdout == f"{request['sync_id']}\n"
    assert (request["business_id"], request["channel_id"]) == ("acme", CHANNEL)


async def test_waiting_ends_while_the_sync_goes_on(brokers: str) -> None:
    assert brokers
    result = await asyncio.to_thread(_run, CHANNEL, "--wait", "--wait-seconds", "1")
    assert isinstance(result.exception, local_stack.StackError)
    assert "had not ended after 1 seconds. It goes on" in str(result.exception)


async def test_an_unknown_channel_is_named_before_anything_is_asked(brokers: str) -> None:
    before = len(await _requests(brokers))
    result = await asyncio.to_thread(_run, "nowhere", "--wait")
    assert "There is no channel nowhere." in str(result.exception)
    assert len(await _requests(brokers)) == before


def test_a_broker_that_is_away_is_one_sentence(
    brokers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert brokers
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = _run(CHANNEL)
    assert isinstance(result.exception, local_stack.StackError)
    assert isinstance(result.exception.__cause__, KafkaError | OSError)


@pytest.mark.parametrize(
    ("run", "tally", "text", "completed", "total"),
    [
        ({"to_publish": None, "read": 40}, {}, "Reading transactions", None, None),
        (
            {"to_publish": 10, "status": "running", "progress": {"done": 4, "of": 10}},
            {},
            "Publishing transactions",
            4,
            10,
        ),
        (
            {"to_publish": 10, "status": "completed", "progress": {"done": 10, "of": 10}},
            {"received": 8, "pending": 3},
            "Working out costs and margins",
            5,
            10,
        ),
        (
            {"to_publish": 0, "status": "completed", "progress": {"done": 0, "of": 0}},
            {"received": 0, "pending": 0},
            "Working out costs and margins",
            0,
            1,
        ),
    ],
)
def test_the_bar_follows_reading_publishing_and_costing(
    run: dict[str, Any],
    tally: dict[str, Any],
    text: str,
    completed: int | None,
    total: int | None,
) -> None:
    shown = _described(run, tally)
    assert shown["description"] == text
    assert (shown.get("completed"), shown.get("total")) == (completed, total)
