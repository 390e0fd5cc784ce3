"""Reading page by page: nothing missed, nothing doubled, whatever happens in between."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

from datetime import timedelta
from typing import Any

import pytest

from channel_connector.clients.quickbooks import system

START = "2026-06-01T10:00:00-07:00"


def books(sandbox: Any) -> dict[tuple[str, str], int]:
    """What the source has: the version of every document since the initial date."""
    found = {}
    for kind, collection in (("invoice", "invoices"), ("sales-receipt", "sales-receipts")):
        for row in sandbox.control("GET", f"/companies/{sandbox.realm}/{collection}"):
            found[kind, row["Id"]] = int(row["SyncToken"])
    return found


async def stored(connector: Any) -> dict[tuple[str, str], int]:
    """What the connector last published of every live document."""
    rows = await connector.pool.fetch(
        """
        select distinct on (kind, external_id) kind, external_id, version, status
        from documents where outcome = 'published'
        order by kind, external_id, version desc
        """
    )
    return {
        (row["kind"], row["external_id"]): row["version"]
        for row in rows
        if row["status"] != "deleted"
    }


def sell(sandbox: Any, count: int, collection: str = "invoices", at: str | None = None) -> None:
    for _ in range(count):
        form: dict[str, Any] = {
            "txn_date": "2026-03-02",
            "lines": [{"item": "Oak Chair", "qty": 2, "price": 90}],
        }
        if at:
            form["at"] = at
        sandbox.record(collection, **form)


@pytest.mark.parametrize("count", [5, 6, 7, 12, 13])
async def test_pages_that_are_full_or_one_too_long(connector: Any, count: int) -> None:
    connector.page_rows = 6
    await connector.connect()
    for second in range(count):
        sell(connector.sandbox, 1, at=f"2026-06-01T10:00:{second:02}-07:00")
    outcome = await connector.sync()
    assert len(outcome.captured) == count
    assert await stored(connector) == books(connector.sandbox)


@pytest.mark.parametrize("shuffled", [False, True])
async def test_many_rows_share_one_second(connector: Any, shuffled: bool) -> None:  # noqa: FBT001
    connector.page_rows = 4
    connector.sandbox.switch(shuffle_ties=shuffled)
    await connector.connect()
    sell(connector.sandbox, 3, at="2026-06-01T09:59:59-07:00")
    sell(connector.sandbox, 11, at=START)
    sell(connector.sandbox, 2, at="2026-06-01T10:00:01-07:00")
    outcome = await connector.sync()
    assert len(outcome.captured) == 16


async def test_rows_of_a_second_that_vanish_between_its_pages_hide_no_other(
    connector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a second only offsets are left: two rows that go move all others up by two."""
    monkeypatch.setattr(system, "PAGE_ROWS", 3)
    connector.page_rows = 3
    sandbox = connector.sandbox
    await connector.connect()
    sell(sandbox, 12, at=START)
    ids = sorted((i for _, i in books(sandbox)), key=int)
    path = f"/control/companies/{sandbox.realm}/invoices"
    for skip in (2, 4):
        gone = [ids.pop(0), ids.pop(0)]
        sandbox.control(
            "POST",
            "/faults",
            {
                "effect": "change-books",
                "skip": skip,
                "match": {"operation": "query", "entity": "Invoice"},
                "actions": [{"method": "DELETE", "path": f"{path}/{i}"} for i in gone],
            },
        )
    outcome = await connector.sync()
    assert {i for _, i in books(sandbox)} <= {c["external_id"] for c in outcome.captured}
    await connector.sync()
    assert await stored(connector) == books(sandbox)


async def test_hundreds_of_rows_share_one_second(connector: Any) -> None:
    connector.page_rows = 100
    await connector.connect()
    connector.sandbox.control(
        "POST",
        "/generate",
        {"count": 350, "lines": 1, "first_date": "2026-03-01", "last_date": "2026-03-31"},
    )
    assert len((await connector.sync()).captured) == 350
    assert await stored(connector) == books(connector.sandbox)


async def test_a_page_may_hold_a_row_more(connector: Any) -> None:
    connector.page_rows = 4
    connector.sandbox.switch(extra_row=True)
    await connector.connect()
    for second in range(10):
        sell(connector.sandbox, 1, at=f"2026-06-01T10:00:{second:02}-07:00")
    assert len((await connector.sync()).captured) == 10


async def test_the_hour_that_comes_twice_is_read_in_order(connector: Any) -> None:
    connector.page_rows = 2
    sandbox = connector.sandbox
    await connector.connect()
    instants = ["01:30:00-07:00", "01:50:00-07:00", "01:10:00-08:00", "01:40:00-08:00"]
    for time in instants:
        sell(sandbox, 1, at=f"2026-11-01T{time}")
    outcome = await connector.sync()
    created = [c["source_created_at"] for c in outcome.captured]
    assert created == sorted(created)
    assert len(created) == 4


async def test_rows_deleted_and_edited_between_pages(connector: Any) -> None:
    """With offsets, each of these would push an untouched row over a page's border."""
    connector.page_rows = 3
    sandbox = connector.sandbox
    await connector.connect()
    for second in range(12):
        sell(sandbox, 1, at=f"2026-06-01T10:00:{second:02}-07:00")
    ids = sorted((i for _, i in books(sandbox)), key=int)
    path = f"/control/companies/{sandbox.realm}/invoices"
    for skip, action in enumerate(
        (
            {"method": "DELETE", "path": f"{path}/{ids[0]}"},
            {"method": "PATCH", "path": f"{path}/{ids[1]}", "json": {"qty": 9}},
            {"method": "DELETE", "path": f"{path}/{ids[4]}"},
        )
    ):
        sandbox.control(
            "POST",
            "/faults",
            {
                "effect": "change-books",
                "times": 1,
                "skip": skip,
                "match": {"operation": "query", "entity": "Invoice"},
                "actions": [action],
            },
        )
    await connector.sync()
    await connector.sync()
    assert await stored(connector) == books(sandbox)


async def test_changes_come_by_queries_when_capture_is_cut(connector: Any) -> None:
    """The cap of change data capture drops deletions first, and says nothing."""
    connector.page_rows = 3
    connector.cdc_objects_max = 8
    sandbox = connector.sandbox
    sandbox.switch(cdc_objects=8)
    await connector.connect()
    sell(sandbox, 10)
    sell(sandbox, 4, "sales-receipts")
    await connector.sync()
    every = sorted(books(sandbox), key=lambda key: int(key[1]))
    for kind, external_id in every[1:]:
        collection = "invoices" if kind == "invoice" else "sales-receipts"
        sandbox.change("PATCH", f"{collection}/{external_id}", qty=5)
    sandbox.change("DELETE", f"invoices/{every[0][1]}")
    outcome = await connector.sync()
    assert len(outcome.captured) == 14
    assert outcome.captured[0]["status"] == "deleted"
    assert await stored(connector) == books(sandbox)


async def test_a_long_pause_is_bridged_by_comparing_ids(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    sell(sandbox, 4)
    await connector.sync()
    ids = sorted((i for _, i in books(sandbox)), key=int)
    sandbox.change("DELETE", f"invoices/{ids[0]}")
    sandbox.change("PATCH", f"invoices/{ids[1]}", qty=5)
    sandbox.control("PUT", "/clock", {"advance_seconds": 40 * 86_400})
    sandbox.change("PATCH", f"invoices/{ids[2]}", qty=6)
    outcome = await connector.sync()
    assert [c["status"] for c in outcome.captured] == ["deleted", "active", "active"]
    assert await stored(connector) == books(sandbox)


async def test_a_reported_deletion_is_confirmed(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    sell(sandbox, 2)
    await connector.sync()
    (alive, gone) = sorted((i for _, i in books(sandbox)), key=int)
    sandbox.control(
        "POST",
        f"/companies/{sandbox.realm}/tombstones",
        {"collection": "invoices", "id": alive},
    )
    sandbox.change("DELETE", f"invoices/{gone}")
    outcome = await connector.sync()
    assert [(c["external_id"], c["status"]) for c in outcome.captured] == [(gone, "deleted")]


async def test_what_was_never_published_is_not_deleted(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    sell(sandbox, 1)
    await connector.sync()
    before = set(books(sandbox))
    sell(sandbox, 1)
    ((_, new),) = set(books(sandbox)) - before
    sandbox.change("DELETE", f"invoices/{new}")
    outcome = await connector.sync()
    assert outcome.captured == []


async def test_what_failed_last_and_is_deleted_is_deleted(connector: Any) -> None:
    """The version that could not be read has a number, which the deletion must not take."""
    sandbox = connector.sandbox
    await connector.connect()
    sell(sandbox, 1)
    (made,) = (await connector.sync()).captured
    path = f"/companies/{sandbox.realm}/invoices/{made['external_id']}"
    row = dict(sandbox.control("GET", path))
    sandbox.control("PUT", f"{path}/verbatim", row | {"SyncToken": "1", "TotalAmt": 1})
    assert len((await connector.sync()).summary["failed"]) == 1
    sandbox.control("DELETE", path)
    outcome = await connector.sync()
    assert [(c["version"], c["status"]) for c in outcome.captured] == [(2, "deleted")]
    assert (await connector.sync()).captured == []


async def test_documents_before_the_initial_date_stay_out(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    old = sandbox.record(
        "invoices", txn_date="2025-12-31", lines=[{"item": "Oak Chair", "qty": 1, "price": 90}]
    )
    new = sandbox.record(
        "invoices", txn_date="2026-01-01", lines=[{"item": "Oak Chair", "qty": 1, "price": 90}]
    )
    await connector.sync()
    sandbox.change("PATCH", f"invoices/{old['Id']}", qty=2)
    sandbox.change("PATCH", f"invoices/{new['Id']}", txn_date="2025-12-30")
    outcome = await connector.sync()
    assert [c["external_id"] for c in outcome.captured] == [new["Id"]]
    sandbox.change("PATCH", f"invoices/{old['Id']}", txn_date="2026-01-02")
    outcome = await connector.sync()
    assert [c["external_id"] for c in outcome.captured] == [old["Id"]]


async def test_what_queries_show_late_comes_with_the_next_sync(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    sell(sandbox, 1)
    await connector.sync()
    sandbox.switch(lag_seconds=120)
    sell(sandbox, 1)
    assert (await connector.sync()).captured == []
    sandbox.control("PUT", "/clock", {"advance_seconds": 180})
    assert len((await connector.sync()).captured) == 1


async def test_payments_make_a_version_with_the_same_content(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    made = sandbox.record(
        "invoices",
        txn_date="2026-03-02",
        customer="Northside Library",
        lines=[{"item": "Oak Chair", "qty": 1, "price": 90}],
    )
    (before,) = (await connector.sync()).captured
    sandbox.record("payments", invoice=made["DocNumber"], amount=50)
    (after,) = (await connector.sync()).captured
    assert after["version"] > before["version"]
    assert after["content_hash"] == before["content_hash"]


async def test_refund_receipts_come_only_where_they_are_wanted(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect(refund_receipts=False)
    for collection in ("refund-receipts", "credit-memos"):
        sell(sandbox, 1, collection)
    outcome = await connector.sync()
    assert [c["kind"] for c in outcome.captured] == ["credit-memo"]


async def test_the_cursor_follows_the_sources_clock(connector: Any) -> None:
    connector.sandbox.fix_clock("2026-08-01T12:00:00-07:00")
    await connector.connect()
    await connector.sync()
    cursor = await connector.cursor()
    assert cursor.isoformat() == "2026-08-01T18:55:00+00:00"
    connector.sandbox.fix_clock("2026-08-01T11:00:00-07:00")
    await connector.sync()
    assert await connector.cursor() == cursor
    connector.sandbox.fix_clock("2026-08-01T13:00:00-07:00")
    await connector.sync()
    assert await connector.cursor() == cursor + timedelta(hours=1)
