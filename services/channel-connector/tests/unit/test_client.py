"""The HTTP client against a transport that plays tricks."""

import asyncio
import gc
import json
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from channel_connector.clients.quickbooks.addresses import Addresses
from channel_connector.clients.quickbooks.client import QuickBooksClient, Retries
from channel_connector.clients.quickbooks.faults import WrongRequestError
from channel_connector.clients.quickbooks.oauth import IntuitTokens
from channel_connector.provider import InvalidGrantError, SourceError

TIME = "2026-03-02T09:00:00.123-08:00"
GOOD = httpx.Response(200, json={"QueryResponse": {}, "time": TIME})
NO_CHANGE = httpx.Response(200, json={"CDCResponse": [{"QueryResponse": [{}]}], "time": TIME})
THROTTLED = httpx.Response(429, text="<Fault/>")
BROKEN = httpx.Response(503)
EXPIRED = httpx.Response(
    401, json={"fault": {"error": [{"message": "expired", "code": "3200"}], "type": "AUTH"}}
)

Step = httpx.Response | Exception


class Tokens:
    """A token that counts up with each renewal."""

    def __init__(self) -> None:
        self.number = 1

    async def current(self) -> str:
        return f"token-{self.number}"

    async def renew(self, rejected: str) -> str:
        assert rejected == f"token-{self.number}"
        self.number += 1
        return f"token-{self.number}"


class Script:
    """Answers one step after the other, and keeps the requests."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = list(steps)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return httpx.Response(step.status_code, content=step.content, headers=step.headers)


class NoPace:
    async def wait(self) -> None:
        return


QUICK = Retries(
    attempts=3, wait_first_seconds=0.001, jitter_seconds=0.001, throttled_seconds=(0.001, 0.001)
)


def client_of(
    handler: Callable[[httpx.Request], httpx.Response], retries: Retries = QUICK
) -> QuickBooksClient:
    return QuickBooksClient(
        httpx.AsyncClient(transport=httpx.MockTransport(handler)),
        api_url="http://qbo",
        realm_id="913",
        tokens=Tokens(),
        pace=NoPace(),
        retries=retries,
    )


async def test_a_query_is_sent_as_quickbooks_wants_it() -> None:
    script = Script([GOOD])
    answer = await client_of(script).query("SELECT * FROM Invoice WHERE DocNumber = 'Ad\\'am+&'")
    (request,) = script.requests
    assert str(request.url) == "http://qbo/v3/company/913/query?minorversion=75"
    assert request.content == b"SELECT * FROM Invoice WHERE DocNumber = 'Ad\\'am+&'"
    assert request.headers["content-type"] == "application/text"
    assert request.headers["accept"] == "application/json"
    assert request.headers["authorization"] == "Bearer token-1"
    assert answer.time == datetime(2026, 3, 2, 17, 0, 0, 123000, tzinfo=UTC)


async def test_changes_since_are_asked_in_utc() -> None:
    script = Script([NO_CHANGE])
    await client_of(script).changes("Invoice,Item", datetime(2026, 3, 2, 9, tzinfo=UTC))
    assert script.requests[0].url.params["changedSince"] == "2026-03-02T09:00:00Z"
    assert script.requests[0].url.params["entities"] == "Invoice,Item"


@pytest.mark.parametrize(
    "trouble",
    [
        THROTTLED,
        BROKEN,
        httpx.ReadTimeout("late"),
        httpx.RemoteProtocolError("cut"),
        httpx.ConnectError("refused"),
        httpx.Response(200, text='{"Query'),
        httpx.Response(200, json={"Fault": {"Error": [{"code": "10000"}], "type": "SystemFault"}}),
    ],
)
async def test_passing_faults_are_tried_again(trouble: Step) -> None:
    client = client_of(Script([trouble, trouble, GOOD]))
    await client.query("SELECT * FROM Invoice")
    assert client.calls == 3


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (THROTTLED, "rate-limited"),
        (BROKEN, "upstream-error"),
        (httpx.ReadTimeout("late"), "upstream-error"),
    ],
)
async def test_retries_end_with_a_reason(trouble: Step, reason: str) -> None:
    client = client_of(Script([trouble] * 3))
    with pytest.raises(SourceError) as caught:
        await client.query("SELECT * FROM Invoice")
    assert caught.value.reason == reason
    assert client.calls == 3
    assert "token" not in caught.value.detail.replace("token endpoint", "")


@pytest.mark.parametrize(
    ("ask", "body", "lacks"),
    [
        ("query", {}, "QueryResponse"),
        ("query", {"QueryResponse": [], "time": TIME}, "QueryResponse"),
        ("query", {"CDCResponse": []}, "QueryResponse"),
        ("changes", {"time": TIME}, "CDCResponse"),
        ("changes", {"CDCResponse": []}, "CDCResponse"),
        ("changes", {"CDCResponse": [{}]}, "CDCResponse"),
        ("read", {"time": TIME}, "Invoice"),
        ("read", {"Invoice": None}, "Invoice"),
        ("read", {"SalesReceipt": {"Id": "101"}}, "Invoice"),
    ],
)
async def test_a_success_without_what_was_asked_for_is_not_taken_for_nothing(
    ask: str, body: dict[str, Any], lacks: str
) -> None:
    """An empty page, or a deletion confirmed, would lose a sale (SY8, SY11)."""
    client = client_of(Script([httpx.Response(200, json=body)] * 3))
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "query": lambda: client.query("SELECT * FROM Invoice"),
        "changes": lambda: client.changes("Invoice", datetime(2026, 3, 2, 9, tzinfo=UTC)),
        "read": lambda: client.read("Invoice", "101"),
    }
    with pytest.raises(SourceError, match=f"holds no {lacks}") as caught:
        await asked[ask]()
    assert caught.value.reason == "upstream-error"
    assert client.calls == 3


async def test_an_expired_token_is_renewed_once_and_the_call_goes_on() -> None:
    script = Script([EXPIRED, GOOD])
    await client_of(script).query("SELECT * FROM Invoice")
    assert [r.headers["authorization"] for r in script.requests] == [
        "Bearer token-1",
        "Bearer token-2",
    ]


async def test_a_token_refused_twice_means_connecting_again() -> None:
    with pytest.raises(SourceError) as caught:
        await client_of(Script([EXPIRED, EXPIRED])).query("SELECT * FROM Invoice")
    assert caught.value.reason == "needs-reconnect"


async def test_a_stopped_company_is_not_asked_again() -> None:
    stopped = httpx.Response(403, json={"fault": {"error": [{"code": "3100"}], "type": "SERVICE"}})
    client = client_of(Script([stopped]))
    with pytest.raises(SourceError) as caught:
        await client.query("SELECT * FROM Invoice")
    assert (caught.value.reason, client.calls) == ("needs-reconnect", 1)


async def test_a_wrong_request_is_not_repeated() -> None:
    wrong = httpx.Response(400, json={"Fault": {"Error": [{"code": "4001"}], "type": "x"}})
    client = client_of(Script([wrong]))
    with pytest.raises(WrongRequestError):
        await client.query("SELECT * FROM Custmoer")
    assert client.calls == 1


@pytest.mark.parametrize("status", [200, 400, 403])
async def test_a_fault_that_repeats_the_token_does_not_pass_it_on(status: int) -> None:
    fault = {"Error": [{"Message": "No to token-1!", "code": "120"}], "type": "SystemFault"}
    script = Script([httpx.Response(status, json={"Fault": fault})])
    with pytest.raises(SourceError) as caught:
        await client_of(script).query("SELECT * FROM Invoice")
    assert "No to [access token]!" in caught.value.detail


async def test_an_object_that_is_gone_is_none() -> None:
    gone = httpx.Response(400, json={"Fault": {"Error": [{"code": "610"}], "type": "x"}})
    assert await client_of(Script([gone])).read("Invoice", "101") is None


async def test_the_servers_clock_comes_from_the_header_where_the_body_has_none() -> None:
    answer = httpx.Response(
        200, json={"QueryResponse": {}}, headers={"Date": "Mon, 02 Mar 2026 17:00:00 GMT"}
    )
    found = await client_of(Script([answer])).query("SELECT * FROM Invoice")
    assert found.time == datetime(2026, 3, 2, 17, tzinfo=UTC)


async def test_a_used_up_month_is_not_asked_again() -> None:
    used_up = httpx.Response(429, text="<Detail>The monthly limit was reached.</Detail>")
    client = client_of(Script([used_up]))
    with pytest.raises(SourceError) as caught:
        await client.query("SELECT * FROM Invoice")
    assert (caught.value.reason, client.calls) == ("rate-limited", 1)
    assert "(quota)" in caught.value.detail


async def test_a_throttle_says_so() -> None:
    client = client_of(Script([THROTTLED] * 3))
    with pytest.raises(SourceError) as caught:
        await client.query("SELECT * FROM Invoice")
    assert "(throttle)" in caught.value.detail


async def test_retry_after_is_kept_within_bounds() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    asked = httpx.Response(429, headers={"Retry-After": "9000"})
    retries = Retries(wait_seconds_max=0.2, throttled_seconds=(0.01,), jitter_seconds=0.001)
    await client_of(Script([asked, GOOD]), retries).query("SELECT * FROM Invoice")
    assert 0.2 <= loop.time() - started < 5


AT = Addresses(
    authorize="http://consent/connect/oauth2",
    token="http://oauth/oauth2/v1/tokens/bearer",
    revoke="http://revoke/v2/oauth2/tokens/revoke",
    redirect="http://connector/callback",
)


def endpoint(answer: httpx.Response | Exception) -> IntuitTokens:
    http = httpx.AsyncClient(transport=httpx.MockTransport(Script([answer])))
    return IntuitTokens(http, AT, "id", SecretStr("client-secret"))


async def test_tokens_are_refreshed_with_basic_credentials() -> None:
    answer = {"access_token": "a", "refresh_token": "r", "expires_in": 3600, "token_type": "bearer"}
    script = Script([httpx.Response(200, json=answer)])
    http = httpx.AsyncClient(transport=httpx.MockTransport(script))
    tokens = await IntuitTokens(http, AT, "id", SecretStr("s")).refresh("old")
    assert (tokens.access_token, tokens.refresh_token, tokens.expires_in_seconds) == (
        "a",
        "r",
        3600,
    )
    (request,) = script.requests
    assert str(request.url) == "http://oauth/oauth2/v1/tokens/bearer"
    assert request.content == b"grant_type=refresh_token&refresh_token=old"
    assert request.headers["authorization"] == "Basic aWQ6cw=="
    assert "a" not in repr(tokens).removeprefix("Tokens")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(401, json={"error": "invalid_client"}), "needs-reconnect"),
        (httpx.Response(500, text="<html>"), "upstream-error"),
        (httpx.Response(200, json={"access_token": "a"}), "upstream-error"),
        (httpx.Response(429, text=""), "rate-limited"),
        (httpx.ConnectError("refused"), "upstream-error"),
    ],
)
async def test_other_answers_of_the_token_endpoint(answer: Step, reason: str) -> None:
    with pytest.raises(SourceError) as caught:
        await endpoint(answer).refresh("old")
    assert caught.value.reason == reason
    assert "client-secret" not in caught.value.detail


async def test_a_refused_refresh_token_is_its_own_error() -> None:
    refused = httpx.Response(400, json={"error": "invalid_grant"})
    with pytest.raises(InvalidGrantError):
        await endpoint(refused).refresh("old")


async def test_memory_is_free_again_after_an_answer_without_waiting_for_the_collector() -> None:
    length = 4_000_000
    text = json.dumps({"QueryResponse": {"Memo": "x" * length}, "time": TIME}).encode()

    async def body() -> AsyncIterator[bytes]:
        yield text[:length]
        yield text[length:]

    client = client_of(lambda _request: httpx.Response(200, content=body()))
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(5):
            await client.query("SELECT * FROM Invoice")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert held < length
