"""Random books that change at random between pages: what is stored in the end is what is there."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

import json
import zlib
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channel_connector.clients.quickbooks import system
from channel_connector.verification import verify

COLLECTIONS = {
    "invoices": "invoice",
    "sales-receipts": "sales-receipt",
    "credit-memos": "credit-memo",
    "refund-receipts": "refund-receipt",
}
SECONDS = (
    "01:59:58-07:00",
    "01:59:59-07:00",
    "01:00:00-08:00",
    "01:00:01-08:00",
    "01:30:00-08:00",
)
"""Around the hour that comes twice, on 1 November 2026 in the company's calendar."""
NOW = "2026-11-01T01:30:00-08:00"
LAG_SECONDS = 120
LINES = [{"item": "Oak Chair", "qty": 3, "price": 90}]


@dataclass(frozen=True)
class Written:
    """A document that is there before the first sync."""

    collection: str
    second: str


@dataclass(frozen=True)
class Edit:
    """What happens right after an answer, to documents that lie side by side.

    So many answers pass before it; `pick` is the first document that it meets.
    """

    after: int
    what: str
    pick: int
    documents: int
    qty: int


@dataclass(frozen=True)
class Round:
    """A sync, what happens during it, and the seconds until the next."""

    edits: tuple[Edit, ...]
    pause_seconds: int


@dataclass(frozen=True)
class Source:
    """How the source answers. A second's rows come in pages of `second_rows`."""

    page_rows: int
    second_rows: int
    cdc_objects: int
    shuffle_ties: bool
    extra_row: bool
    lag_seconds: int


writes = st.builds(
    Written,
    st.sampled_from(list(COLLECTIONS)),
    st.sampled_from([SECONDS[0], SECONDS[0], SECONDS[0], *SECONDS]),
)
edits = st.builds(
    Edit,
    after=st.integers(0, 5),
    what=st.sampled_from(["qty", "touch", "date", "delete", "void", "mend", "new"]),
    pick=st.integers(0, 30),
    documents=st.integers(1, 3),
    qty=st.integers(1, 9),
)
rounds = st.builds(
    Round,
    edits=st.lists(edits, max_size=6).map(tuple),
    pause_seconds=st.sampled_from([0, 0, 1, 400, 40 * 86_400]),
)
sources = st.builds(
    Source,
    page_rows=st.sampled_from([2, 3, 4, 7]),
    second_rows=st.sampled_from([3, 1_000]),
    cdc_objects=st.sampled_from([4, 12, 1_000]),
    shuffle_ties=st.booleans(),
    extra_row=st.booleans(),
    lag_seconds=st.sampled_from([0, 0, LAG_SECONDS]),
).filter(lambda source: not (source.shuffle_ties and source.second_rows < 1_000))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    books=st.lists(writes, max_size=24),
    history=st.lists(rounds, min_size=1, max_size=3),
    source=sources,
)
async def test_whatever_changes_between_pages_the_books_are_stored(
    connector: Any, books: list[Written], history: list[Round], source: Source
) -> None:
    await begin(connector, source)
    for written in books:
        connector.sandbox.record(
            written.collection,
            txn_date="2026-10-31",
            lines=LINES,
            at=f"2026-11-01T{written.second}",
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "PAGE_ROWS", source.second_rows)
        for each in history:
            plant(connector.sandbox, each.edits)
            await connector.sync()
            connector.sandbox.control("DELETE", "/faults")
            advance(connector.sandbox, each.pause_seconds)
        advance(connector.sandbox, LAG_SECONDS + 1)
        await connector.sync()
    assert await stored(connector) == there(connector.sandbox)
    report = await verify(connector.pool, None)
    assert [check for check in report.checks if check.violations] == []


async def begin(connector: Any, source: Source) -> None:
    """Empty books and an empty database, with a channel that was never synced."""
    await connector.pool.execute("truncate businesses, outbox, request_paces cascade")
    sandbox = connector.sandbox
    sandbox.reset()
    sandbox.fix_clock(NOW)
    sandbox.switch(
        cdc_objects=source.cdc_objects,
        shuffle_ties=source.shuffle_ties,
        extra_row=source.extra_row,
        lag_seconds=source.lag_seconds,
    )
    connector.syncs = 0
    connector.page_rows = source.page_rows
    connector.cdc_objects_max = source.cdc_objects
    await connector.connect()


def plant(sandbox: Any, planned: tuple[Edit, ...]) -> None:
    """Let edits happen between the answers of the next sync, each to another document."""
    present = [
        (collection, row["Id"])
        for collection in COLLECTIONS
        for row in sandbox.control("GET", f"/companies/{sandbox.realm}/{collection}")
    ]
    base = f"/control/companies/{sandbox.realm}"
    for edit in planned:
        actions: list[dict[str, Any]] = []
        for _ in range(edit.documents):
            if edit.what == "new" or not present:
                collection = list(COLLECTIONS)[edit.pick % len(COLLECTIONS)]
                form = {"txn_date": "2026-10-31", "lines": LINES}
                actions.append({"path": f"{base}/{collection}", "json": form})
            else:
                collection, external_id = present.pop(edit.pick % len(present))
                actions.append(change(f"{base}/{collection}/{external_id}", edit))
        sandbox.control(
            "POST",
            "/faults",
            {"effect": "change-books", "times": 1, "skip": edit.after, "actions": actions},
        )


def change(path: str, edit: Edit) -> dict[str, Any]:
    """The call that changes a document; `mend` brings a voided one back to life."""
    changes: dict[str, dict[str, Any]] = {
        "qty": {"qty": edit.qty},
        "date": {"txn_date": f"2026-10-0{edit.qty}"},
        "mend": {"lines": LINES, "private_note": "mended"},
    }
    if edit.what in changes:
        return {"method": "PATCH", "path": path, "json": changes[edit.what]}
    if edit.what == "delete":
        return {"method": "DELETE", "path": path}
    return {"path": f"{path}/{edit.what}"}


def advance(sandbox: Any, seconds: int) -> None:
    sandbox.control("PUT", "/clock", {"advance_seconds": seconds})


def there(sandbox: Any) -> dict[tuple[str, str], Any]:
    """Every document that the source has, whole."""
    return {
        (kind, row["Id"]): row
        for collection, kind in COLLECTIONS.items()
        for row in sandbox.control("GET", f"/companies/{sandbox.realm}/{collection}")
    }


async def stored(connector: Any) -> dict[tuple[str, str], Any]:
    """The last version that was published of every document that is alive, as it was received."""
    rows = await connector.pool.fetch(
        """
        select distinct on (kind, external_id) kind, external_id, status, payload
        from documents where outcome = 'published'
        order by kind, external_id, version desc
        """
    )
    return {
        (row["kind"], row["external_id"]): json.loads(zlib.decompress(row["payload"]))
        for row in rows
        if row["status"] != "deleted"
    }
