"""The query language: what it takes, what it refuses, and in which order rows come."""

import pytest

from quickbooks_sandbox import query
from quickbooks_sandbox.faults import QboError
from quickbooks_sandbox.testing import SandboxClient

PARSED = [
    ("select * from Invoice", query.Statement("Invoice")),
    ("SELECT *, Sku FROM Item", query.Statement("Item", columns=("Sku",))),
    ("select count(*) from Invoice ", query.Statement("Invoice", count=True)),
    (
        "Select * From Item StartPosition 11 MaxResults 10",
        query.Statement("Item", start=11, rows=10),
    ),
    (
        "select * from Item maxresults 10 startposition 11",
        query.Statement("Item", start=11, rows=10),
    ),
    ("select * from Item order by Name desc", query.Statement("Item", order=(("Name", True),))),
    (
        "select * from Item ORDERBY Type, Name DESC",
        query.Statement("Item", order=(("Type", False), ("Name", True))),
    ),
    (
        r"select * from Customer where DisplayName = 'Adam\'s \\ Sons'",
        query.Statement(
            "Customer", where=(query.Condition("DisplayName", "=", ("Adam's \\ Sons",)),)
        ),
    ),
    (
        "select * from Item where Active in (true,false) and Id IN ('1', '2')",
        query.Statement(
            "Item",
            where=(
                query.Condition("Active", "IN", ("true", "false")),
                query.Condition("Id", "IN", ("1", "2")),
            ),
        ),
    ),
    (
        "select * from Invoice where TotalAmt>'1000.0' and TxnDate<='2026-01-31'",
        query.Statement(
            "Invoice",
            where=(
                query.Condition("TotalAmt", ">", ("1000.0",)),
                query.Condition("TxnDate", "<=", ("2026-01-31",)),
            ),
        ),
    ),
    ("select\n*\nfrom Item;", query.Statement("Item")),
]


@pytest.mark.parametrize(("text", "statement"), PARSED, ids=[text for text, _ in PARSED])
def test_a_statement_is_understood(text: str, statement: query.Statement) -> None:
    assert query.parse(text) == statement


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("select Id from Invoice", 8),
        ("select * from Invoice where Id != '1'", 32),
        ("select * from Invoice where Id = '1' or Id = '2'", 38),
        ("select * from Invoice group by Id", 23),
        ("select * from Invoice join Item", 23),
        ("select * from Invoice where TxnDate = 2026-01-01", 43),
        ("select * from Invoice where DocNumber = 'open", 41),
        ("select * from Invoice where DocNumber = word", 41),
        ("select * from Invoice maxresults 1 maxresults 2", 36),
        ("select * from Invoice startposition 1.5", 37),
        ("update Invoice", 1),
    ],
)
def test_a_statement_is_refused_where_it_goes_wrong(text: str, column: int) -> None:
    with pytest.raises(QboError) as refused:
        query.parse(text)
    assert refused.value.code == "4000"
    assert f"column {column}." in refused.value.detail


@pytest.mark.parametrize("text", ["", "select", "select * from", "select * from Item where Id ="])
def test_a_statement_that_ends_too_early_is_refused(text: str) -> None:
    with pytest.raises(QboError, match="EOF") as refused:
        query.parse(text)
    assert refused.value.code == "4000"


@pytest.fixture
def shop(sandbox: SandboxClient) -> SandboxClient:
    """Five invoices, written in another order than their dates and totals."""
    for number, day, quantity in (
        ("A-1", "2026-03-05", 5),
        ("A-2", "2026-03-01", 1),
        ("A-3", "2026-03-03", 3),
        ("B-4", "2026-03-04", 4),
        ("B-5", "2026-03-02", 2),
    ):
        minute = int(number[-1])
        sandbox.record(
            "invoices",
            customer="1" if number[0] == "A" else "2",
            doc_number=number,
            txn_date=day,
            at=f"2026-03-10T12:0{minute}:00-07:00",
            lines=[{"item": "Oak Chair", "qty": quantity, "price": 100}],
        )
    return sandbox


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ("DocNumber = 'A-3'", "3"),
        ("docnumber = 'a-3'", "3"),
        ("DocNumber LIKE 'B%'", "54"),
        ("DocNumber LIKE '%-3'", "3"),
        ("DocNumber IN ('A-1', 'B-4')", "41"),
        ("TxnDate >= '2026-03-03' AND TxnDate < '2026-03-05'", "43"),
        ("TotalAmt > '300.0'", "41"),
        ("TotalAmt <= '100'", "2"),
        ("Balance = '500'", "1"),
        ("CustomerRef = '2'", "54"),
        ("Id = '103'", "3"),
        ("Id IN ('103','101')", "31"),
        ("MetaData.LastUpdatedTime > '2026-03-10T12:03:00-07:00'", "54"),
        ("MetaData.LastUpdatedTime >= '2026-03-10T19:03:00Z'", "543"),
        ("metadata.lastupdatedtime < '2026-03-10T12:02:00-0700'", "1"),
        ("MetaData.CreateTime = '2026-03-10T12:02:00-07:00'", "2"),
        ("MetaData.LastUpdatedTime <= '2026-03-10T12:01:00'", "1"),
        ("SalesTermRef = ' '", "54321"),
        ("TxnDate <= CURRENT_DATE", "54321"),
        ("DocNumber = 'nothing'", ""),
    ],
)
def test_rows_are_filtered_and_newest_change_comes_first(
    shop: SandboxClient, where: str, numbers: str
) -> None:
    rows = shop.rows("Invoice", where)
    assert "".join(row["DocNumber"][-1] for row in rows) == numbers


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        ("ORDERBY TxnDate", "25341"),
        ("ORDER BY TxnDate DESC", "14352"),
        ("orderby TotalAmt asc", "25341"),
        ("ORDERBY Id", "12345"),
        ("ORDERBY MetaData.LastUpdatedTime", "12345"),
        ("ORDERBY MetaData.LastUpdatedTime DESC", "54321"),
        ("ORDERBY CustomerRef DESC, TxnDate", "54231"),
    ],
)
def test_rows_come_in_the_order_asked_for(shop: SandboxClient, order: str, numbers: str) -> None:
    rows = shop.page("Invoice", order)["Invoice"]
    assert "".join(row["DocNumber"][-1] for row in rows) == numbers


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("select * from Custmoer", "invalid context declaration: Custmoer"),
        ("select * from Vendor", "not imitated by this sandbox"),
        ("select * from Invoice where PrivateNote = 'x'", "'PrivateNote' is not queryable"),
        ("select * from Invoice where Line.Amount > '1'", "'Line.Amount' is not queryable"),
        ("select * from Invoice orderby ItemRef", "'ItemRef' is not queryable"),
        ("select * from Invoice where Id > '100'", "operator > is not supported for Id"),
        ("select * from Invoice where TotalAmt LIKE '1%'", "LIKE is not supported"),
        ("select * from Invoice where TotalAmt > 'ten'", "'ten' is not a valid number"),
        ("select * from Invoice where TxnDate > 'May'", "'May' is not a valid date"),
        (
            "select * from Invoice where MetaData.LastUpdatedTime > '2026-03-10T12:00:00 07:00'",
            "is not a valid instant",
        ),
        ("select * from Item where Active = 'maybe'", "is not a valid flag"),
        ("select * from Invoice startposition 0", "value 0 is too small. Min allowed value is 1"),
        ("select * from Invoice maxresults 0", "value 0 is too small"),
        ("select * from Invoice startposition -3", "value -3 is too small"),
    ],
)
def test_a_statement_without_sense_is_a_4001(
    sandbox: SandboxClient, statement: str, words: str
) -> None:
    answer = sandbox.get("query", query=statement)
    error = answer.json()["Fault"]["Error"][0]
    assert (answer.status_code, error["code"]) == (400, "4001")
    assert words in error["Detail"]


def test_a_statement_can_be_posted_as_text_or_beside_an_empty_body(shop: SandboxClient) -> None:
    statement = "SELECT COUNT(*) FROM Invoice "
    assert shop.post("query", statement).json()["QueryResponse"] == {"totalCount": 5}
    beside = shop.post("query", "", query=statement)
    assert beside.json()["QueryResponse"] == {"totalCount": 5}


def test_pages_of_100_by_default_and_1000_at_most(sandbox: SandboxClient) -> None:
    sandbox.control("POST", "/generate", {"count": 1001, "lines": 1})
    page = sandbox.query("SELECT * FROM Invoice")
    assert (page["startPosition"], page["maxResults"], page["totalCount"]) == (1, 100, 1001)
    assert len(page["Invoice"]) == 100
    assert sandbox.query("SELECT * FROM Invoice MAXRESULTS 5000")["maxResults"] == 1000
    last = sandbox.query("SELECT * FROM Invoice STARTPOSITION 1001 MAXRESULTS 1000")
    assert (last["startPosition"], last["maxResults"]) == (1001, 1)
    assert sandbox.query("SELECT * FROM Invoice STARTPOSITION 1002") == {}


def test_only_invoices_have_a_total_count(sandbox: SandboxClient) -> None:
    for collection in ("sales-receipts", "credit-memos", "refund-receipts"):
        sandbox.record(collection, lines=[{"item": "Oak Chair", "qty": 1}])
    for entity in ("SalesReceipt", "CreditMemo", "RefundReceipt", "Item", "Customer"):
        assert "totalCount" not in sandbox.page(entity)


def test_inactive_records_are_hidden_unless_asked_for(sandbox: SandboxClient) -> None:
    sandbox.change("POST", "items/5/update", Active=False)
    assert "5" not in {row["Id"] for row in sandbox.rows("Item")}
    everything = sandbox.rows("Item", "Active IN (true, false)")
    hidden = next(row for row in everything if row["Id"] == "5")
    assert (hidden["Name"], hidden["Active"]) == ("Brass Lamp (deleted)", False)
    revived = sandbox.change("POST", "items/5/update", Active=True)
    assert revived["Name"] == "Brass Lamp"


def test_switches_change_pages(shop: SandboxClient) -> None:
    shop.switch(zero_position="accept", empty_page="zero", extra_row=True)
    assert shop.query("SELECT * FROM Invoice STARTPOSITION 0 MAXRESULTS 2")["maxResults"] == 3
    empty = shop.query("SELECT * FROM Invoice STARTPOSITION 6")
    assert empty == {"startPosition": 6, "totalCount": 0, "maxResults": 0}
    shop.switch(sku_only_when_asked=True)
    assert "Sku" not in shop.query("SELECT * FROM Item WHERE Id = '1'")["Item"][0]
    assert shop.query("SELECT *, Sku FROM Item WHERE Id = '1'")["Item"][0]["Sku"] == "DSK-WAL"


def test_ties_come_in_another_order_by_switch(sandbox: SandboxClient) -> None:
    sandbox.control("POST", "/generate", {"count": 60, "lines": 1})
    statement = "SELECT * FROM Invoice ORDERBY MetaData.LastUpdatedTime MAXRESULTS 60"
    fixed = [row["Id"] for row in sandbox.query(statement)["Invoice"]]
    assert fixed == [row["Id"] for row in sandbox.query(statement)["Invoice"]]
    sandbox.switch(shuffle_ties=True)
    shuffled = [row["Id"] for row in sandbox.query(statement)["Invoice"]]
    assert shuffled != fixed
    assert sorted(shuffled) == sorted(fixed)


def test_queries_lag_behind_writes_by_switch(sandbox: SandboxClient) -> None:
    sandbox.fix_clock("2026-05-01T10:00:00-07:00")
    made = sandbox.record("invoices", lines=[{"item": "Oak Chair", "qty": 1}])
    sandbox.switch(lag_seconds=30)
    since = "2026-05-01T00:00:00-07:00"
    assert sandbox.rows("Invoice") == []
    assert sandbox.changes("Invoice", since) == [{}]
    assert sandbox.get(f"invoice/{made['Id']}").status_code == 200
    sandbox.control("PUT", "/clock", {"advance_seconds": 30})
    assert len(sandbox.rows("Invoice")) == 1
    assert len(sandbox.changes("Invoice", since)[0]["Invoice"]) == 1


def test_a_lagging_query_shows_older_versions_and_rows_that_are_gone(
    sandbox: SandboxClient,
) -> None:
    sandbox.fix_clock("2026-05-01T10:00:00-07:00")
    changed = sandbox.record("invoices", lines=[{"item": "Oak Chair", "qty": 1}])
    gone = sandbox.record("invoices", lines=[{"item": "Oak Chair", "qty": 1}])
    sandbox.control("PUT", "/clock", {"advance_seconds": 60})
    sandbox.change("PATCH", f"invoices/{changed['Id']}", qty=5)
    sandbox.change("PATCH", f"invoices/{changed['Id']}", qty=7)
    sandbox.change("DELETE", f"invoices/{gone['Id']}")
    sandbox.switch(lag_seconds=30)
    assert sandbox.page("Invoice", "ORDERBY Id")["Invoice"] == [changed, gone]
    seen = sandbox.changes("Invoice", "2026-05-01T00:00:00-07:00")[0]["Invoice"]
    assert seen == [changed, gone]
    sandbox.control("PUT", "/clock", {"advance_seconds": 30})
    rows = sandbox.rows("Invoice")
    assert [(row["Id"], row["SyncToken"]) for row in rows] == [(changed["Id"], "2")]


def test_invoices_come_with_their_subtotal_alone_by_switch(sandbox: SandboxClient) -> None:
    made = sandbox.record("invoices", lines=[{"item": "Oak Chair", "qty": 1, "price": 90}])
    receipt = sandbox.record("sales-receipts", lines=[{"item": "Oak Chair", "qty": 1}])
    path = f"invoice/{made['Id']}"
    sandbox.switch(subtotal_only="queries")
    (bare,) = sandbox.rows("Invoice")
    assert [(x["DetailType"], x["Amount"]) for x in bare["Line"]] == [("SubTotalLineDetail", 90)]
    assert bare | {"Line": made["Line"]} == made
    assert sandbox.get(path).json()["Invoice"] == made
    assert sandbox.rows("SalesReceipt") == [receipt]
    sandbox.switch(subtotal_only="queries-and-reads")
    assert sandbox.get(path).json()["Invoice"] == bare
    assert sandbox.changes("Invoice", "2026-01-01T00:00:00-08:00")[0]["Invoice"] == [made]
    sandbox.switch(subtotal_only="no")
    assert sandbox.rows("Invoice") == [made]
