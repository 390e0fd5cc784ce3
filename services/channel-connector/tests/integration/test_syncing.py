"""A channel from its first sync on: what is published, in which order, and what is not."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

from typing import Any

import httpx

from channel_connector.verification import verify


def sell(sandbox: Any, number: str, date: str, qty: int = 1, **more: Any) -> dict[str, Any]:
    form = {
        "customer": "Harbour View Hotel",
        "txn_date": date,
        "doc_number": number,
        "lines": [{"item": "Walnut Desk", "qty": qty, "price": "260.00"}],
    }
    made: dict[str, Any] = sandbox.record("invoices", **(form | more))
    return made


async def test_first_sync_publishes_everything_since_the_initial_date(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    sell(sandbox, "1001", "2026-03-02", 50)
    sell(sandbox, "1002", "2025-12-31")
    sandbox.record(
        "sales-receipts",
        txn_date="2026-02-01",
        doc_number="1003",
        lines=[{"item": "Assembly", "qty": 2}, {"item": "Table Leg", "qty": 4}],
    )
    outcome = await connector.sync()
    assert [p.type for p in outcome.published] == [
        "connection-changed",
        "sync-started",
        "transaction-captured",
        "transaction-captured",
        "transactions-published",
    ]
    receipt, invoice = outcome.captured
    assert receipt["number"] == "1003"
    assert [line.get("item", {}).get("kind") for line in receipt["lines"]] == [
        "service",
        "non-inventory",
        None,
    ]
    assert invoice["number"] == "1001"
    assert invoice["total_amount"] == "13000.00"
    desk = invoice["lines"][0]
    assert (desk["quantity"], desk["amount"], desk["item"]["kind"]) == (
        "50",
        "13000.00",
        "inventory",
    )
    assert outcome.summary["published"] == 2
    assert outcome.summary["by_kind"] == {
        "invoice": {"published": 1, "unchanged": 0},
        "sales-receipt": {"published": 1, "unchanged": 0},
    }
    assert {p.key for p in outcome.published[1:]} == {"channel-1"}
    assert await connector.cursor() is not None


async def test_idle_sync_publishes_nothing_and_asks_once(connector: Any) -> None:
    await connector.connect()
    sell(connector.sandbox, "1001", "2026-03-02")
    await connector.sync()
    outcome = await connector.sync()
    assert outcome.captured == []
    assert outcome.summary["published"] == 0
    assert outcome.summary["unchanged"] == 1
    assert outcome.summary["http_calls"] == 1


async def test_change_void_and_deletion_come_with_reversals_first(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    for number, date in (("1001", "2026-03-02"), ("1002", "2026-03-04"), ("1003", "2026-03-03")):
        sell(sandbox, number, date, 3)
    await connector.sync()
    sandbox.change("PATCH", "invoices/1001", qty=2)
    sandbox.change("POST", "invoices/1002/void")
    sandbox.change("DELETE", "invoices/1003")
    outcome = await connector.sync()
    assert [(c["number"], c["status"]) for c in outcome.captured] == [
        ("1003", "deleted"),
        ("1002", "voided"),
        ("1001", "active"),
    ]
    deleted, voided, changed = outcome.captured
    assert deleted["version"] == 1
    assert deleted["lines"][0]["quantity"] == "3"
    assert voided["lines"][0]["quantity"] == "0"
    assert changed["lines"][0]["quantity"] == "2"
    again = await connector.sync()
    assert again.captured == []


async def test_verify_finds_nothing_wrong(connector: Any) -> None:
    await connector.connect()
    sell(connector.sandbox, "1001", "2026-03-02")
    await connector.sync()
    report = await verify(connector.pool, None)
    assert [check for check in report.checks if check.violations] == []


async def test_no_transaction_is_open_while_the_source_is_asked(connector: Any) -> None:
    """Over whole syncs: refresh, pages, reads that confirm, items, capture that is cut."""
    open_at: dict[str, int] = {}

    async def look(request: httpx.Request) -> None:
        found = await connector.pool.fetchval(
            """
            select count(*) from pg_stat_activity
            where datname = current_database() and state like 'idle in transaction%'
            """
        )
        place = request.url.path.rsplit("/", 2)
        name = place[-1] if place[-1].isalpha() else place[-2]
        open_at[name] = max(open_at.get(name, 0), found)

    connector.http.event_hooks["request"].append(look)
    sandbox = connector.sandbox
    connector.page_rows = 2
    await connector.connect()
    for number in range(1001, 1006):
        sell(sandbox, str(number), "2026-03-02")
    await connector.sync()
    sandbox.change("DELETE", "invoices/1001")
    sandbox.change("PATCH", "invoices/1002", qty=3)
    await connector.sync()
    connector.cdc_objects_max = 1
    sandbox.change("DELETE", "invoices/1003")
    sandbox.control("PUT", "/clock", {"advance_seconds": 40 * 86_400})
    outcome = await connector.sync()
    assert [c["status"] for c in outcome.captured] == ["deleted"]
    assert open_at == {"bearer": 0, "query": 0, "cdc": 0, "invoice": 0}
