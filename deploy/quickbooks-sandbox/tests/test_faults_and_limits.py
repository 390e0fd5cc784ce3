"""Everything that can go wrong between a client and QuickBooks Online, on demand."""

from xml.etree import ElementTree as ET

import httpx
import pytest

from quickbooks_sandbox.testing import REFRESH_TOKEN, SandboxClient

TOKEN = "/oauth2/v1/tokens/bearer"
WHO = ("sandbox-client", "sandbox-secret")
CHAIR = [{"item": "Oak Chair", "qty": 1}]
QUERY = {"operation": "query", "entity": "Invoice"}


def plant(sandbox: SandboxClient, effect: str, **more: object) -> None:
    sandbox.control("POST", "/faults", {"effect": effect, **more})


def ask(sandbox: SandboxClient) -> httpx.Response:
    return sandbox.get("query", query="SELECT * FROM Invoice")


def test_every_answer_has_an_intuit_tid(sandbox: SandboxClient) -> None:
    good, bad = sandbox.get("item/1"), sandbox.get("item/999")
    assert good.headers["intuit_tid"] != bad.headers["intuit_tid"]
    refused = sandbox.http.post(TOKEN, data={"grant_type": "password"}, auth=WHO)
    assert refused.headers["intuit_tid"]


def test_a_request_without_a_good_token_is_a_401_in_lower_case(sandbox: SandboxClient) -> None:
    answer = sandbox.http.get(sandbox.address("item/1"), headers={"Accept": "application/json"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Intuit", error="invalid_token"'
    body = answer.json()
    assert body["fault"]["error"][0]["code"] == "3200"
    assert isinstance(body["time"], int)


def test_a_request_that_does_not_ask_for_json_is_told_so(sandbox: SandboxClient) -> None:
    headers = sandbox.headers() | {"Accept": "*/*"}
    answer = sandbox.http.get(sandbox.address("item/1"), headers=headers)
    assert answer.status_code == 406
    assert "Accept: application/json" in answer.json()["Fault"]["Error"][0]["Detail"]


def test_more_than_ten_requests_a_second_are_refused_with_xml(sandbox: SandboxClient) -> None:
    sandbox.connect()
    sandbox.switch(requests_per_second=10)
    sandbox.fix_clock("2026-05-01T10:00:00-07:00")
    answers = [sandbox.get("item/1") for _ in range(12)]
    statuses = [answer.status_code for answer in answers]
    assert 429 in statuses
    assert statuses[:10] == [200] * 10
    throttled = next(answer for answer in answers if answer.status_code == 429)
    assert throttled.headers["content-type"].startswith("application/xml")
    assert "Retry-After" not in throttled.headers
    error = ET.fromstring(throttled.text)[0][0]  # noqa: S314 - our own sandbox wrote it
    assert error.attrib["code"] == "3001"


def test_the_minute_limit_counts_refused_companies_apart(sandbox: SandboxClient) -> None:
    sandbox.connect()
    sandbox.switch(requests_per_minute=3)
    assert [sandbox.get("item/1").status_code for _ in range(4)] == [200, 200, 200, 429]
    sandbox.control("POST", "/companies", {"realm": "9130000000000009", "stocked": True})
    tokens = sandbox.control("POST", "/companies/9130000000000009/tokens", {})
    headers = {"Authorization": f"Bearer {tokens['access_token']}", "Accept": "application/json"}
    other = sandbox.http.get("/v3/company/9130000000000009/item/1", headers=headers)
    assert other.status_code == 200


def test_the_monthly_quota_stops_reads_and_not_writes(sandbox: SandboxClient) -> None:
    sandbox.connect()
    sandbox.switch(monthly_reads=2)
    assert [sandbox.get("item/1").status_code for _ in range(3)] == [200, 200, 429]
    assert "monthly limit" in sandbox.get("item/1").text
    assert sandbox.post("customer", {"DisplayName": "Writes are free"}).status_code == 200
    sandbox.control("DELETE", "/requests")
    assert sandbox.get("item/1").status_code == 200


def test_a_fault_meets_the_requests_that_match_after_those_skipped(
    sandbox: SandboxClient,
) -> None:
    plant(sandbox, "throttle", match=QUERY, skip=1, times=2)
    assert sandbox.get("item/1").status_code == 200
    assert [ask(sandbox).status_code for _ in range(4)] == [200, 429, 429, 200]
    planted = sandbox.control("GET", "/faults")
    assert (planted[0]["met"], planted[0]["times"]) == (2, 0)


@pytest.mark.parametrize(
    ("effect", "more", "status", "text"),
    [
        ("fault", {}, 500, '"code":"10000"'),
        ("fault", {"code": "6210", "type": "ValidationFault"}, 400, '"code":"6210"'),
        ("fault-in-200", {"code": "10000"}, 200, '{"QueryResponse":{"Fault":{'),
        ("status", {"status": 503, "body": "maintenance"}, 503, "maintenance"),
        ("html", {}, 502, "<h1>Bad Gateway</h1>"),
        ("html", {"status": 200}, 200, "<!DOCTYPE html>"),
        ("token-expired", {}, 401, "Token expired"),
    ],
)
def test_an_effect_shows_as_described(
    sandbox: SandboxClient, effect: str, more: dict[str, object], status: int, text: str
) -> None:
    plant(sandbox, effect, match=QUERY, **more)
    answer = ask(sandbox)
    assert answer.status_code == status
    assert text in answer.text


def test_a_truncated_body_is_no_json(sandbox: SandboxClient) -> None:
    sandbox.record("invoices", lines=CHAIR)
    plant(sandbox, "truncated", match=QUERY)
    answer = ask(sandbox)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()


def test_a_reset_cuts_the_connection_in_the_middle(sandbox: SandboxClient) -> None:
    plant(sandbox, "reset", match=QUERY)
    with pytest.raises(httpx.RemoteProtocolError):
        ask(sandbox)
    assert ask(sandbox).status_code == 200


def test_a_delayed_answer_is_the_right_one_late(sandbox: SandboxClient) -> None:
    plant(sandbox, "delay", match=QUERY, delay_ms=120)
    answer = ask(sandbox)
    assert answer.json()["QueryResponse"] == {}
    assert sandbox.control("GET", "/requests")["requests"][-1]["milliseconds"] >= 120


def test_a_lost_answer_hides_a_write_that_happened(sandbox: SandboxClient) -> None:
    plant(sandbox, "status", status=504, after=True, match={"operation": "create"})
    assert sandbox.post("customer", {"DisplayName": "Twice"}).status_code == 504
    again = sandbox.post("customer", {"DisplayName": "Twice"})
    assert again.json()["Fault"]["Error"][0]["code"] == "6240"


def test_an_invalid_grant_need_not_be_final(sandbox: SandboxClient) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN}
    plant(sandbox, "invalid-grant", match={"operation": "token"})
    refused = sandbox.http.post(TOKEN, data=form, auth=WHO)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert sandbox.http.post(TOKEN, data=form, auth=WHO).status_code == 200


def test_books_can_change_between_two_pages(sandbox: SandboxClient) -> None:
    for _ in range(3):
        sandbox.record("invoices", lines=CHAIR)
    action = {"method": "DELETE", "path": "/control/companies/default/invoices/101"}
    plant(sandbox, "change-books", match=QUERY, actions=[action])
    first = sandbox.page("Invoice", "ORDERBY Id STARTPOSITION 1 MAXRESULTS 2")["Invoice"]
    assert [row["Id"] for row in first] == ["101", "102"]
    second = sandbox.page("Invoice", "ORDERBY Id STARTPOSITION 3 MAXRESULTS 2")
    assert second == {}


def test_faults_can_be_taken_back(sandbox: SandboxClient) -> None:
    plant(sandbox, "throttle", times=100)
    sandbox.control("DELETE", "/faults")
    assert sandbox.get("item/1").status_code == 200


def test_access_tokens_end_with_the_clock_and_refresh_tokens_too(sandbox: SandboxClient) -> None:
    sandbox.fix_clock("2026-05-01T10:00:00Z")
    tokens = sandbox.connect()
    assert sandbox.get("item/1").status_code == 200
    sandbox.control("PUT", "/clock", {"advance_seconds": 3600})
    assert sandbox.get("item/1").status_code == 401
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    sandbox.control("PUT", "/clock", {"advance_seconds": 101 * 86_400})
    assert sandbox.http.post(TOKEN, data=form, auth=WHO).json()["error"] == "invalid_grant"


def test_refresh_tokens_rotate_daily_or_never_by_switch(sandbox: SandboxClient) -> None:
    sandbox.fix_clock("2026-05-01T10:00:00Z")
    sandbox.switch(refresh_rotation="daily")
    sandbox.control("POST", "/companies/default/tokens", {"refresh_token": "mine"})
    form = {"grant_type": "refresh_token", "refresh_token": "mine"}

    def refreshed() -> str:
        answer = sandbox.http.post(TOKEN, data=form, auth=WHO).json()
        value: str = answer["refresh_token"]
        return value

    assert refreshed() == "mine"
    sandbox.control("PUT", "/clock", {"advance_seconds": 86_400})
    sandbox.switch(refresh_rotation="never")
    assert refreshed() == "mine"
    sandbox.switch(refresh_rotation="daily")
    assert refreshed() != "mine"


def test_a_reused_refresh_token_ends_the_connection_by_switch(sandbox: SandboxClient) -> None:
    sandbox.switch(refresh_reuse_revokes=True)
    form = {"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN}
    rotated = sandbox.http.post(TOKEN, data=form, auth=WHO).json()["refresh_token"]
    assert sandbox.http.post(TOKEN, data=form, auth=WHO).status_code == 400
    refused = sandbox.http.post(TOKEN, data=form | {"refresh_token": rotated}, auth=WHO)
    assert refused.json()["error"] == "invalid_grant"


def test_a_wrong_client_secret_is_refused(sandbox: SandboxClient) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN}
    answer = sandbox.http.post(TOKEN, data=form, auth=("sandbox-client", "guess"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_the_log_shows_what_was_asked_and_no_token(sandbox: SandboxClient) -> None:
    tokens = sandbox.connect()
    before = sandbox.control("GET", "/requests")["last"]
    sandbox.rows("Invoice", "DocNumber = 'X'")
    seen = sandbox.control("GET", f"/requests?since={before}")
    (entry,) = seen["requests"]
    assert (entry["operation"], entry["entity"], entry["status"]) == ("query", "invoice", 200)
    assert entry["statement"].endswith("WHERE DocNumber = 'X'")
    assert seen["counters"]["query:invoice"] == 1
    assert tokens["access_token"] not in str(seen)
