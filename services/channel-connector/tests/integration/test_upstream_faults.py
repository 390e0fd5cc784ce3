"""Everything that QuickBooks and the network do wrong: survived when it passes, else named."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from channel_connector.clients.quickbooks import client

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "429 as XML without Retry-After": ({"effect": "throttle"}, "rate-limited"),
    "429 as JSON": (
        {"effect": "status", "status": 429, "body": '{"Fault": {"Error": [{"code": "3001"}]}}'},
        "rate-limited",
    ),
    "429 without a body": ({"effect": "status", "status": 429, "body": ""}, "rate-limited"),
    "500": ({"effect": "status", "status": 500, "body": ""}, "upstream-error"),
    "503": ({"effect": "status", "status": 503, "body": "busy"}, "upstream-error"),
    "an HTML page": ({"effect": "html"}, "upstream-error"),
    "an HTML page inside 200": ({"effect": "html", "status": 200}, "upstream-error"),
    "a body broken off": ({"effect": "truncated"}, "upstream-error"),
    "a connection cut": ({"effect": "reset"}, "upstream-error"),
    "a fault inside 200": (
        {"effect": "fault-in-200", "code": "10000", "type": "SystemFault", "message": "oops"},
        "upstream-error",
    ),
    "a system fault": ({"effect": "fault", "code": "10000", "status": 500}, "upstream-error"),
    "a throttle inside 200": (
        {"effect": "fault-in-200", "code": "003001", "type": "SERVICE", "message": "slow down"},
        "rate-limited",
    ),
    "no answer in time": ({"effect": "delay", "delay_ms": 3_000}, "upstream-error"),
}
ATTEMPTS = 3


def plant(sandbox: Any, fault: dict[str, Any], times: int) -> None:
    sandbox.control("POST", "/faults", fault | {"times": times, "match": {"operation": "cdc"}})


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT", httpx.Timeout(1.0))


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_that_passes_is_survived(connector: Any, name: str) -> None:
    await connector.connect()
    await connector.sync()
    plant(connector.sandbox, FAULTS[name][0], ATTEMPTS - 1)
    outcome = await connector.sync()
    assert outcome.summary["http_calls"] == ATTEMPTS


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_that_stays_ends_the_sync_with_its_reason(connector: Any, name: str) -> None:
    fault, reason = FAULTS[name]
    await connector.connect()
    await connector.sync()
    cursor = await connector.cursor()
    plant(connector.sandbox, fault, 1_000)
    with capture_logs() as said:
        outcome = await connector.sync()
    assert outcome.failure["reason"] == reason
    assert [p.type for p in outcome.published] == ["sync-failed"]
    assert await connector.cursor() == cursor
    refused = [entry for entry in said if entry["event"] == "quickbooks refused"]
    assert all(entry["intuit_tid"] for entry in refused)
    connector.sandbox.control("DELETE", "/faults")
    assert (await connector.sync()).summary["published"] == 0


async def test_a_used_up_month_is_told_from_a_throttle_and_asked_once(connector: Any) -> None:
    await connector.connect()
    await connector.sync()
    connector.sandbox.switch(monthly_reads=0)
    outcome = await connector.sync()
    assert outcome.failure["reason"] == "rate-limited"
    assert "(quota)" in outcome.failure["detail"]
    run = await connector.pool.fetchrow("select http_calls from sync_runs where status = 'failed'")
    assert run["http_calls"] == 1
