"""Spellings that some answers have: by switch, in queries, reads and change data capture alike."""

import json
from typing import Any

import pytest

from quickbooks_sandbox.testing import SandboxClient
from quickbooks_sandbox.wire import Document

LINES = [{"item": "Oak Chair", "qty": 1}, {"item": "Brass Lamp", "qty": 2}]
SINCE = "2026-06-01T00:00:00Z"


@pytest.fixture
def invoice(sandbox: SandboxClient) -> Document:
    sandbox.fix_clock("2026-06-01T10:00:00-07:00")
    return sandbox.record("invoices", customer="Café Zoë", lines=LINES)


def shown(sandbox: SandboxClient, record: str) -> list[Any]:
    """The invoice in each of the three places."""
    return [
        sandbox.rows("Invoice")[0],
        json.loads(sandbox.get(f"invoice/{record}").text)["Invoice"],
        sandbox.changes("Invoice", SINCE)[0]["Invoice"][0],
    ]


def test_ids_may_be_numbers(sandbox: SandboxClient, invoice: Document) -> None:
    sandbox.switch(id_form="number")
    for row in shown(sandbox, "101"):
        assert (row["Id"], row["SyncToken"], row["CustomerRef"]["value"]) == (101, 0, 3)
        detail = row["Line"][0]["SalesItemLineDetail"]
        assert (row["Line"][0]["Id"], detail["ItemRef"]["value"]) == (1, 2)
        assert row["DocNumber"] == invoice["DocNumber"]


@pytest.mark.usefixtures("invoice")
def test_enums_may_be_upper_case(sandbox: SandboxClient) -> None:
    sandbox.switch(enum_spelling="upper")
    for row in shown(sandbox, "101"):
        types = [line["DetailType"] for line in row["Line"]]
        assert types == ["SALES_ITEM_LINE_DETAIL"] * 2 + ["SUB_TOTAL_LINE_DETAIL"]
        assert row["EmailStatus"] == "NOT_SET"
        assert "SalesItemLineDetail" in row["Line"][0]


@pytest.mark.usefixtures("invoice")
def test_lines_may_repeat_an_id(sandbox: SandboxClient) -> None:
    sandbox.switch(line_ids="repeated")
    for row in shown(sandbox, "101"):
        assert [line.get("Id") for line in row["Line"]] == ["1", "1", None]


@pytest.mark.usefixtures("invoice")
def test_blocks_may_come_in_another_order(sandbox: SandboxClient) -> None:
    asked = sandbox.changes("Invoice,SalesReceipt,CreditMemo", SINCE)
    sandbox.switch(cdc_block_order="reversed")
    assert sandbox.changes("Invoice,SalesReceipt,CreditMemo", SINCE) == asked[::-1]
    assert [list(block)[:1] for block in asked] == [["Invoice"], [], []]
