"""Documents that nobody would write: an error in the summary, and the run goes on."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

import json
from typing import Any

import pytest

MADE = "2026-06-01T10:00:00-07:00"
"""When the books were written; the sandbox's clock stands there."""


@pytest.fixture(autouse=True)
def _clock(connector: Any) -> None:
    connector.sandbox.fix_clock(MADE)


def sell(sandbox: Any, collection: str = "invoices", **more: str) -> dict[str, Any]:
    made: dict[str, Any] = sandbox.record(
        collection,
        txn_date="2026-03-02",
        lines=[{"item": "Oak Chair", "qty": 2, "price": 90}],
        **more,
    )
    return made


def document(**more: Any) -> dict[str, Any]:
    """A document as QuickBooks writes it, good but for what is added."""
    return {
        "Id": "900",
        "SyncToken": "0",
        "DocNumber": "9",
        "TxnDate": "2026-03-02",
        "MetaData": {"CreateTime": MADE, "LastUpdatedTime": MADE},
        "CurrencyRef": {"value": "USD"},
        "TotalAmt": 10,
        "Line": [
            {
                "Id": "1",
                "LineNum": 1,
                "Amount": 10,
                "DetailType": "SalesItemLineDetail",
                "SalesItemLineDetail": {"ItemRef": {"value": "2"}, "Qty": 1, "UnitPrice": 10},
            },
            {"Amount": 10, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
        ],
    } | more


def place(sandbox: Any, text: str) -> None:
    answer = sandbox.http.put(
        f"/control/companies/{sandbox.realm}/invoices/900/verbatim",
        params={"updated": MADE},
        content=text.encode(),
    )
    assert answer.status_code < 300, answer.text


def nested(levels: int) -> str:
    text = json.dumps(document(CustomField="PLACE"))
    return text.replace('"PLACE"', "[" * levels + "]" * levels)


@pytest.mark.parametrize("levels", [1_000, 5_000, 100_000])
async def test_deep_nesting_is_an_error_of_that_document_alone(connector: Any, levels: int) -> None:
    await connector.connect()
    await connector.sync()
    sell(connector.sandbox)
    place(connector.sandbox, nested(levels))
    outcome = await connector.sync()
    assert len(outcome.captured) == 1
    (error,) = outcome.summary["failed"]
    assert (error["external_id"], error["code"]) == ("900", "document-invalid")
    assert "nested too deeply" in error["message"]


async def test_ten_megabytes_of_text_do_not_stop_the_run(connector: Any) -> None:
    await connector.connect()
    sell(connector.sandbox)
    text = json.dumps(document())
    place(connector.sandbox, text.replace('"LineNum": 1', f'"Description": "{"x" * 10_000_000}"'))
    outcome = await connector.sync()
    assert {c["number"] for c in outcome.captured} == {"1001", "9"}
    described = next(c for c in outcome.captured if c["number"] == "9")["lines"][0]
    assert 0 < len(described["description"]) < 10_000


async def test_control_characters_do_not_stop_the_run(connector: Any) -> None:
    await connector.connect()
    await connector.sync()
    sell(connector.sandbox)
    text = json.dumps(document(DocNumber="PLACE")).replace("PLACE", "a\x01\x02\x1b\\u0000b")
    place(connector.sandbox, text)
    outcome = await connector.sync()
    assert len(outcome.captured) + len(outcome.summary["failed"]) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"Line": "none"},
        {"TotalAmt": {"value": 10}},
        {"TotalAmt": "NaN"},
        {"TxnDate": 20_260_302},
        {"Line": [{"Amount": "ten", "DetailType": "SalesItemLineDetail"}]},
        {"TotalAmt": 10**400},
        {"CurrencyRef": {"value": "DOLLARS"}},
    ],
    ids=str,
)
async def test_wrong_types_are_an_error_of_that_document_alone(
    connector: Any, wrong: dict[str, Any]
) -> None:
    await connector.connect()
    sell(connector.sandbox)
    place(connector.sandbox, json.dumps(document(**wrong)))
    outcome = await connector.sync()
    assert len(outcome.captured) == 1
    assert [e["external_id"] for e in outcome.summary["failed"]] in ([], ["900"])
    assert len(outcome.summary["failed"]) == 1 or wrong == {"TxnDate": 20_260_302}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"Id": None}, "no id"),
        ({"Id": {"value": "900"}}, "no id"),
        ({"Id": "9" * 201}, "no id"),
        ({"MetaData": None}, "when it was changed"),
        ({"MetaData": {"LastUpdatedTime": ["never"]}}, "when it was changed"),
        ({"LinkedTxn": [{"TxnType": {}}], "TotalAmt": 11}, "a difference of 1"),
        ({"Line": [{"DetailType": ["SubTotalLineDetail"]}], "Note": "SubTotal"}, "difference"),
    ],
    ids=str,
)
async def test_headers_of_the_wrong_type_are_an_error_of_that_document_alone(
    connector: Any, wrong: dict[str, Any], says: str
) -> None:
    """By pages, by change data capture, and where ids are compared after a long pause."""
    await connector.connect()
    sell(connector.sandbox)
    place(connector.sandbox, json.dumps(document(**wrong)))
    for first in (True, False):
        outcome = await connector.sync()
        assert len(outcome.captured) == int(first)
        (error,) = outcome.summary["failed"]
        assert error["code"] == "document-invalid"
        assert says in error["message"]
    connector.sandbox.control("PUT", "/clock", {"advance_seconds": 40 * 86_400})
    assert (await connector.sync()).summary["published"] == 0


@pytest.mark.parametrize("text", ["null", '"a document"', "[]", "900"])
async def test_what_is_no_object_is_an_error_and_hides_no_row_after_it(
    connector: Any, text: str
) -> None:
    """Left out, it would make a full page look like the last one."""
    connector.page_rows = connector.cdc_objects_max = 2
    connector.sandbox.switch(cdc_objects=2)
    await connector.connect()
    await connector.sync()
    for minute in ("57", "58", "59"):
        sell(connector.sandbox, at=f"2026-06-01T09:{minute}:00-07:00")
    sell(connector.sandbox, at=MADE)
    place(connector.sandbox, text)
    outcome = await connector.sync()
    assert len(outcome.captured) == 4
    (error,) = outcome.summary["failed"]
    assert (error["code"], "no id" in error["message"]) == ("document-invalid", True)


async def test_an_invoice_that_shows_only_its_subtotal_is_read_again(connector: Any) -> None:
    """The query gives it without its lines; by id it has none either here, so it stays an error."""
    await connector.connect()
    bare = document(Line=[{"Amount": 10, "DetailType": "SubTotalLineDetail"}])
    place(connector.sandbox, json.dumps(bare))
    outcome = await connector.sync()
    (error,) = outcome.summary["failed"]
    assert "a difference of 10" in error["message"]
    asked = connector.sandbox.control("GET", "/requests")["requests"]
    reads = [r for r in asked if r["operation"] == "read"]
    assert [r["path"].rsplit("/", 1)[-1] for r in reads] == ["900"]


async def test_an_invoice_whose_lines_a_read_brings_is_published_whole(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    made = sell(sandbox)
    sandbox.switch(subtotal_only="queries")
    outcome = await connector.sync()
    assert outcome.summary["failed"] == []
    (captured,) = outcome.captured
    assert (captured["external_id"], captured["total_amount"]) == (made["Id"], "180.00")
    assert [(x.get("quantity"), x["amount"]) for x in captured["lines"]] == [
        ("2", "180.00"),
        (None, "0.00"),
    ]


async def test_an_invoice_that_a_later_sync_sees_whole_is_published_then(connector: Any) -> None:
    """It comes again in the same version, which was stored without its lines."""
    sandbox = connector.sandbox
    await connector.connect()
    made = sell(sandbox)
    sandbox.switch(subtotal_only="queries-and-reads")
    outcome = await connector.sync()
    assert outcome.captured == []
    assert "a difference of 180" in outcome.summary["failed"][0]["message"]
    sandbox.switch(subtotal_only="no")
    outcome = await connector.sync()
    assert outcome.summary["failed"] == []
    (captured,) = outcome.captured
    assert (captured["external_id"], captured["version"]) == (made["Id"], 0)
    assert captured["lines"][0]["quantity"] == "2"
    assert (await connector.sync()).captured == []


async def test_an_invoice_of_a_statement_charge_keeps_its_revenue(connector: Any) -> None:
    """It has a subtotal alone by right, and is not read again."""
    await connector.connect()
    charge = {"TxnId": "9", "TxnType": "StatementCharge"}
    lines = [{"Amount": 10, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}]
    place(connector.sandbox, json.dumps(document(Line=lines, LinkedTxn=[charge])))
    (captured,) = (await connector.sync()).captured
    assert captured["total_amount"] == "10.00"
    assert [(x["amount"], x["skip"]) for x in captured["lines"]] == [("10.00", "subtotal")]
    asked = connector.sandbox.control("GET", "/requests")["requests"]
    assert [r for r in asked if r["operation"] == "read"] == []


async def test_refund_receipts_switched_on_later_come_from_the_initial_date(
    connector: Any,
) -> None:
    sandbox = connector.sandbox
    await connector.connect(refund_receipts=False)
    sell(sandbox, "refund-receipts")
    sell(sandbox)
    assert [c["kind"] for c in (await connector.sync()).captured] == ["invoice"]
    sandbox.fix_clock("2026-07-20T10:00:00-07:00")
    assert (await connector.sync()).captured == []
    await connector.driver.apply(
        "channels.commands.v1",
        {
            "type": "configure-channel",
            "business_id": "acme",
            "channel_id": "channel-1",
            "settings": {"refund_receipts": True},
        },
    )
    outcome = await connector.sync()
    assert [c["kind"] for c in outcome.captured] == ["refund-receipt"]
    assert (await connector.sync()).summary["http_calls"] == 1
