"""The same documents, however an answer spells them."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

from typing import Any

import pytest

COLLECTIONS = ("invoices", "sales-receipts", "credit-memos", "refund-receipts")
LINES = [
    {"item": "Oak Chair", "qty": 2, "price": 90},
    {"bundle": "Study Corner", "qty": 1},
    {"item": "Brass Lamp", "amount": 64},
    {"amount": 12, "description": "Markup"},
]
AS_SENT_ONLY = ("sync_id", "source_created_at", "source_updated_at", "version")


def said(captured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a transaction says, apart from when it was sent."""
    return [
        {name: value for name, value in one.items() if name not in AS_SENT_ONLY} for one in captured
    ]


@pytest.mark.parametrize(
    "spelling",
    [
        {"id_form": "number"},
        {"enum_spelling": "upper"},
        {"line_ids": "repeated"},
        {"cdc_block_order": "reversed"},
        {"empty_page": "zero"},
        {"voided_unit_price": "zero"},
    ],
    ids=lambda spelling: next(iter(spelling)),
)
async def test_a_spelling_changes_nothing(connector: Any, spelling: dict[str, str]) -> None:
    """By change data capture, then by pages, then for voids and deletions."""
    sandbox = connector.sandbox
    await connector.connect()
    made = [
        (collection, sandbox.record(collection, txn_date="2026-03-02", lines=LINES)["Id"])
        for collection in COLLECTIONS
    ]
    plain = said((await connector.sync()).captured)
    assert [len(one["lines"]) for one in plain] == [6, 6, 6, 6]
    for collection, document in made:
        sandbox.change("POST", f"{collection}/{document}/touch")
    sandbox.switch(**spelling)
    assert said((await connector.sync()).captured) == plain
    await connector.pool.execute(
        "truncate documents, sync_runs, items; "
        "update channels set cursor_at = null, kinds_read = null"
    )
    assert said((await connector.sync()).captured) == plain
    sandbox.change("POST", f"{made[0][0]}/{made[0][1]}/void")
    sandbox.change("DELETE", f"{made[1][0]}/{made[1][1]}")
    outcome = await connector.sync()
    assert [(c["external_id"], c["status"]) for c in outcome.captured] == [
        (made[0][1], "voided"),
        (made[1][1], "deleted"),
    ]
