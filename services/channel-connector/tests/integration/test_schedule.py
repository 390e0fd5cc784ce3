"""Syncs that nobody commands: by interval and by webhook, and only where they are turned on."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

from typing import Any

import pytest

from channel_connector.schedule import begin_due_runs

PATH = "/webhooks/quickbooks"


def delivery(sandbox: Any, form: str = "classic", **event: Any) -> dict[str, Any]:
    """A signed delivery about one invoice."""
    made: dict[str, Any] = sandbox.control(
        "POST",
        "/webhooks",
        {
            "format": form,
            "events": [{"name": "Invoice", "id": "101", "operation": "Update"} | event],
        },
    )
    return made


async def deliver(browser: Any, made: dict[str, Any], **headers: bytes) -> Any:
    return await browser.post(PATH, content=made["body"], headers={**made["headers"], **headers})


async def runs(connector: Any) -> list[tuple[str, str]]:
    rows = await connector.pool.fetch(
        "select requested_by, status from sync_runs where requested_by is not null "
        "order by requested_at"
    )
    return [(row["requested_by"], row["status"]) for row in rows]


async def test_nothing_is_begun_unless_it_is_turned_on(connector: Any) -> None:
    await connector.connect()
    async with connector.browser() as browser:
        answer = await deliver(browser, delivery(connector.sandbox))
    assert answer.json() == {"syncs_wanted": 0}
    assert await begin_due_runs(connector.pool) == 0


async def test_an_interval_begins_runs_as_they_fall_due(connector: Any) -> None:
    await connector.connect(sync_interval_minutes=15)
    pool = connector.pool
    assert await begin_due_runs(pool) == 1
    assert await begin_due_runs(pool) == 0
    assert await connector.worker.work_once()
    await pool.execute("update sync_runs set requested_at = now() - interval '14 minutes'")
    assert await begin_due_runs(pool) == 0
    await pool.execute("update sync_runs set requested_at = now() - interval '15 minutes'")
    assert await begin_due_runs(pool) == 1
    assert await runs(connector) == [("interval", "completed"), ("interval", "requested")]


@pytest.mark.parametrize(
    "statement",
    [
        "update channels set status = 'inactive' where channel_type = 'accounting'",
        "update connections set status = 'needs-reconnect'",
    ],
)
async def test_what_cannot_be_synced_is_left_alone(connector: Any, statement: str) -> None:
    await connector.connect(sync_interval_minutes=1, webhooks=True)
    await connector.pool.execute(statement)
    async with connector.browser() as browser:
        assert (await deliver(browser, delivery(connector.sandbox))).json() == {"syncs_wanted": 0}
    assert await begin_due_runs(connector.pool) == 0


@pytest.mark.parametrize("form", ["classic", "cloudevents"])
async def test_a_webhook_begins_a_sync_and_a_replay_does_not(connector: Any, form: str) -> None:
    sandbox = connector.sandbox
    await connector.connect(webhooks=True)
    old = delivery(sandbox, form)
    async with connector.browser() as browser:
        asked = sandbox.control("GET", "/requests")
        assert (await deliver(browser, old)).json() == {"syncs_wanted": 1}
        assert sandbox.control("GET", "/requests") == asked
        assert await runs(connector) == []
        for _ in range(3):
            await deliver(browser, old)
        assert await begin_due_runs(connector.pool) == 1
        assert await connector.worker.work_once()
        assert await begin_due_runs(connector.pool) == 0
        await connector.pool.execute("update channels set cursor_at = now() + interval '1 minute'")
        assert (await deliver(browser, old)).json() == {"syncs_wanted": 0}
    assert await runs(connector) == [("webhook", "completed")]


async def test_what_a_webhook_tells_during_a_run_is_synced_after_it(connector: Any) -> None:
    await connector.connect(webhooks=True)
    await connector.request_sync()
    async with connector.browser() as browser:
        await deliver(browser, delivery(connector.sandbox))
    assert await begin_due_runs(connector.pool) == 0
    assert await connector.worker.work_once()
    assert await begin_due_runs(connector.pool) == 1


async def test_several_companies_come_in_one_delivery(connector: Any) -> None:
    await connector.connect(webhooks=True)
    made = connector.sandbox.control(
        "POST",
        "/webhooks",
        {
            "format": "classic",
            "events": [
                {"name": "Invoice", "id": "1", "operation": "Create", "realm": "9130000000000777"},
                {"name": "Invoice", "id": "2", "operation": "Void"},
            ],
        },
    )
    async with connector.browser() as browser:
        assert (await deliver(browser, made)).json() == {"syncs_wanted": 1}


async def test_only_what_intuit_signed_is_read(connector: Any) -> None:
    await connector.connect(webhooks=True)
    made = delivery(connector.sandbox)
    async with connector.browser() as browser:
        damaged = made | {"body": made["body"] + " "}
        assert (await deliver(browser, damaged)).status_code == 401
        assert (await deliver(browser, made, **{"intuit-signature": b"\xe9"})).status_code == 401
        assert (await browser.post(PATH, content=made["body"])).status_code == 401
        assert (await browser.post(PATH, content=b"x" * 2_097_153)).status_code == 413
    assert await begin_due_runs(connector.pool) == 0
