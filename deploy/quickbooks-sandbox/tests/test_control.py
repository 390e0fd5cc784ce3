"""The control API itself: its refusals, its companies, its generator and its memory."""

import time
from pathlib import Path

import pytest

from quickbooks_sandbox.testing import REALM, SandboxClient, run_sandbox

CHAIR = [{"item": "Oak Chair", "qty": 1}]


@pytest.mark.parametrize(
    ("method", "path", "form", "words"),
    [
        (
            "POST",
            "/companies/default/invoices",
            {"lines": [{"item": "Oak Chiar"}]},
            "Walnut Desk (1)",
        ),
        ("POST", "/companies/default/invoices", {"lines": [{"qty": 1}]}, "a line needs an item"),
        ("POST", "/companies/default/invoices", {"lines": [], "x": 1}, "Extra inputs"),
        ("POST", "/companies/77/invoices", {"lines": CHAIR}, "there is no company '77'"),
        (
            "PATCH",
            "/companies/default/invoices/5",
            {"qty": 1},
            "no Invoice with id or DocNumber '5'",
        ),
        ("PUT", "/clock", {}, "give one of fixed"),
        ("PUT", "/clock", {"fixed": "noon"}, "is no date-time"),
        ("PATCH", "/switches", {"cdc_object": 5}, "Extra inputs"),
        ("PATCH", "/switches", {"cdc_objects": 0}, "cdc_objects"),
        ("POST", "/companies", {"realm": "5", "time_zone": "Mars/Base"}, "no time zone"),
        ("POST", "/faults", {"effect": "meteor"}, "effect"),
        ("POST", "/generate", {"count": 0}, "count"),
    ],
)
def test_a_wrong_call_is_told_what_is_wrong(
    sandbox: SandboxClient, method: str, path: str, form: dict[str, object], words: str
) -> None:
    answer = sandbox.http.request(method, f"/control{path}", json=form)
    assert answer.status_code == 422
    assert words in answer.text


def test_a_line_can_be_changed_by_number_quantity_price_and_item(sandbox: SandboxClient) -> None:
    made = sandbox.record("invoices", doc_number="C-1", lines=[*CHAIR, {"item": "Assembly"}])
    changed = sandbox.change("PATCH", "invoices/C-1", line=2, qty=3, price=50)
    assert [line["Amount"] for line in changed["Line"]] == [95, 150, 245]
    changed = sandbox.change("PATCH", "invoices/C-1", item="Brass Lamp")
    assert changed["Line"][0]["SalesItemLineDetail"]["ItemRef"]["name"] == "Brass Lamp"
    changed = sandbox.change("PATCH", "invoices/C-1", lines=CHAIR, txn_date="2026-01-02")
    assert (changed["TotalAmt"], changed["TxnDate"]) == (95, "2026-01-02")
    assert (changed["Id"], changed["SyncToken"]) == (made["Id"], "3")


def test_touch_moves_version_and_time_only(sandbox: SandboxClient) -> None:
    made = sandbox.record("invoices", lines=CHAIR, discount_percent=10, tax_code="2", shipping=3)
    touched = sandbox.change("POST", f"invoices/{made['Id']}/touch")
    same = {k: v for k, v in touched.items() if k not in {"SyncToken", "MetaData"}}
    assert same == {k: v for k, v in made.items() if k not in {"SyncToken", "MetaData"}}
    assert touched["SyncToken"] == "1"


def test_a_verbatim_record_is_handed_out_as_it_is(sandbox: SandboxClient) -> None:
    text = '{"Id": 900, "TxnDate": "2026-01-05", "Line": "none", "TotalAmt": 1e400}'
    deep = "[" * 5000 + "]" * 5000
    for number, body in (("900", text), ("901", deep)):
        path = f"/control/companies/default/invoices/{number}/verbatim"
        assert sandbox.http.put(path, content=body).status_code == 200
    assert sandbox.get("invoice/900").text.startswith('{"Invoice":' + text)
    page = sandbox.get("query", query="SELECT * FROM Invoice").text
    assert text in page
    assert deep in page
    filtered = sandbox.get("query", query="SELECT * FROM Invoice WHERE TxnDate = '2026-01-05'")
    assert text in filtered.text
    assert deep not in filtered.text
    sandbox.change("DELETE", "invoices/901")
    assert sandbox.record("invoices", lines=CHAIR)["Id"] == "902"


def test_a_verbatim_record_cannot_be_changed_but_deleted(sandbox: SandboxClient) -> None:
    path = "/control/companies/default/{}/verbatim"
    for place in ("invoices/900", "items/50"):
        sandbox.http.put(path.format(place), content='{"Balance": 5}').raise_for_status()
    refusals = [
        sandbox.post("invoice", {"Id": "900", "SyncToken": "0"}, operation="void"),
        sandbox.post("invoice", {"Id": "900", "SyncToken": "0", "sparse": True}),
        sandbox.post("item", {"Id": "50", "SyncToken": "0", "sparse": True}),
        sandbox.post("invoice/900/send", "", sendTo="a@cedar.example"),
    ]
    codes = [answer.json()["Fault"]["Error"][0]["code"] for answer in refusals]
    assert codes == ["6000"] * 4
    pay = {"invoice": "900", "amount": 1, "customer": "1"}
    assert sandbox.http.post("/control/companies/default/payments", json=pay).status_code == 422
    deleted = sandbox.post("invoice", {"Id": "900", "SyncToken": "0"}, operation="delete")
    assert deleted.json()["Invoice"]["status"] == "Deleted"


def test_companies_keep_their_books_apart(sandbox: SandboxClient) -> None:
    sandbox.control("POST", "/companies", {"realm": "9130000000000002", "stocked": True})
    sandbox.record("invoices", lines=CHAIR)
    other = sandbox.control("POST", "/companies/9130000000000002/invoices", {"lines": CHAIR})
    assert other["Id"] == "101"
    overview = sandbox.control("GET", "")
    assert [company["records"]["Invoice"] for company in overview["companies"]] == [1, 1]
    sandbox.control("DELETE", "/companies/9130000000000002")
    assert [company["realm"] for company in sandbox.control("GET", "")["companies"]] == [REALM]


def test_the_same_seed_makes_the_same_sales(sandbox: SandboxClient) -> None:
    form = {"count": 30, "seed": 7, "kinds": {"invoices": 2, "credit-memos": 1}, "new_items": 5}
    first = sandbox.control("POST", "/generate", form)
    before = sandbox.page("Invoice", "ORDERBY Id")["Invoice"]
    sandbox.reset()
    assert sandbox.control("POST", "/generate", form) == first
    after = sandbox.page("Invoice", "ORDERBY Id")["Invoice"]
    for row in (*before, *after):
        del row["MetaData"]
    assert before == after
    assert sum(first.values()) == 30


def test_generated_sales_are_dated_and_written_as_asked(sandbox: SandboxClient) -> None:
    sandbox.fix_clock("2026-05-01T10:00:00-07:00")
    form = {"count": 10, "first_date": "2026-01-01", "last_date": "2026-01-31", "items": ["1"]}
    sandbox.control("POST", "/generate", form | {"per_second": 5})
    rows = sandbox.page("Invoice", "ORDERBY MetaData.LastUpdatedTime")["Invoice"]
    times = [row["MetaData"]["LastUpdatedTime"][11:19] for row in rows]
    assert times == ["09:59:59"] * 5 + ["10:00:00"] * 5
    assert all("2026-01-01" <= row["TxnDate"] <= "2026-01-31" for row in rows)
    sandbox.control("POST", "/generate", form | {"written": "txn-date"})
    newest = sandbox.rows("Invoice", "Id = '120'")[0]
    assert newest["MetaData"]["CreateTime"][:10] == newest["TxnDate"]


def test_ten_thousand_invoices_come_quickly_and_so_do_their_pages(sandbox: SandboxClient) -> None:
    started = time.monotonic()
    sandbox.control("POST", "/generate", {"count": 10_000, "lines": 3})
    assert time.monotonic() - started < 60  # a few seconds on a machine that is not busy
    for start in range(1, 10_001, 1000):
        clauses = f"ORDERBY MetaData.LastUpdatedTime STARTPOSITION {start} MAXRESULTS 1000"
        assert sandbox.page("Invoice", clauses)["maxResults"] == 1000
    entries = sandbox.control("GET", "/requests")["requests"]
    times = [entry["milliseconds"] for entry in entries if entry["operation"] == "query"]
    assert min(times) < 300


def test_the_state_survives_a_kill_when_a_data_folder_is_given(tmp_path: Path) -> None:
    options = ("--data", str(tmp_path / "books"))
    with run_sandbox(*options) as first:
        first.fix_clock("2026-05-01T10:00:00-07:00")
        tokens = first.connect()
        kept = first.record("invoices", lines=CHAIR, discount_percent=5)
        gone = first.record("invoices", lines=CHAIR)
        first.change("DELETE", f"invoices/{gone['Id']}")
        first.record("payments", invoice=kept["Id"], amount=10)
        first.switch(cdc_days=20)
        shown = first.rows("Invoice")
    with run_sandbox(*options) as second:
        second._access_token = tokens["access_token"]
        assert second.rows("Invoice") == shown
        changes = second.changes("Invoice", "2026-04-20T00:00:00Z")
        assert changes[0]["Invoice"][-1]["Id"] == gone["Id"]
        assert second.control("GET", "/switches")["cdc_days"] == 20
        assert second.control("GET", "")["now"] == "2026-05-01T10:00:00.000-07:00"
        after = second.record("invoices", lines=CHAIR)
        assert (after["Id"], after["DocNumber"]) == ("104", "1003")
        grown = second.change("PATCH", f"invoices/{kept['Id']}", qty=2)
        assert grown["Balance"] == 2 * 95 * 0.95 - 10


def test_a_broken_data_file_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "books.jsonl"
    file.write_text('{"do": "clock", "fixed": null, "offset": "0"}\nnonsense\n')
    with pytest.raises(RuntimeError, match="line 2 of"), run_sandbox("--data", str(file)):
        pass


def test_options_choose_company_credentials_and_limits() -> None:
    options = ("--realm", "123", "--refresh-token", "first", "--client-id", "app")
    more = ("--client-secret", "word", "--redirect-uri", "http://localhost/back", "--intuit-limits")
    with run_sandbox(*options, *more) as sandbox:
        overview = sandbox.control("GET", "")
        assert (overview["companies"][0]["realm"], overview["client_id"]) == ("123", "app")
        assert overview["switches"]["requests_per_second"] == 10
        assert overview["switches"]["requests_per_minute"] == 500
        form = {"grant_type": "refresh_token", "refresh_token": "first"}
        answer = sandbox.http.post("/oauth2/v1/tokens/bearer", data=form, auth=("app", "word"))
        assert answer.status_code == 200
        asked = {"client_id": "app", "response_type": "code", "state": "s"}
        asked["redirect_uri"] = "http://localhost/elsewhere"
        refused = sandbox.http.get("/connect/oauth2", params=asked)
        assert (refused.status_code, "registered" in refused.text) == (400, True)
        asked["redirect_uri"] = "http://localhost/back"
        assert sandbox.http.get("/connect/oauth2", params=asked).status_code == 200
