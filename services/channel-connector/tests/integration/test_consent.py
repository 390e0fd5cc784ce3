"""Signing in through the sandbox's consent page, as a browser does it."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

OTHER_REALM = "9130000000000002"


async def begin(browser: httpx.AsyncClient, **more: str) -> str:
    """Ask to connect; the address of the consent page."""
    answer = await browser.get("/connect", params={"business_id": "acme"} | more)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


async def consent(connector: Any, address: str, choice: str) -> str:
    """Click a link of the consent page; where it sends the browser back to."""
    page = await connector.http.get(address)
    assert page.status_code == 200, page.text
    link = re.search(rf'id="{choice}" href="([^"]+)"', page.text)
    assert link is not None
    answer = await connector.http.get(connector.sandbox.url + unescape(link[1]))
    assert answer.status_code == 302
    return str(answer.headers["location"])


async def sign_in(connector: Any, browser: httpx.AsyncClient, **more: str) -> httpx.Response:
    realm = more.pop("realm", connector.sandbox.realm)
    back = await consent(connector, await begin(browser, **more), f"connect-{realm}")
    return await browser.get(back)


async def connections_of(browser: httpx.AsyncClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await browser.get("/businesses/acme/connections")).json()[
        "items"
    ]
    return items


async def test_a_company_is_connected_in_the_browser_and_synced(connector: Any) -> None:
    async with connector.browser() as browser:
        address = await begin(browser)
        asked = parse_qs(urlsplit(address).query)
        assert asked["scope"] == ["com.intuit.quickbooks.accounting"]
        assert asked["redirect_uri"] == ["http://connector.test/callback"]
        assert asked["response_type"] == ["code"]
        (cookie,) = browser.cookies.jar
        assert cookie.has_nonstandard_attr("HttpOnly")
        back = await consent(connector, address, f"connect-{connector.sandbox.realm}")
        page = await browser.get(back)
        assert page.status_code == 200
        assert "Cedar &amp; Sons Workshop is connected" in page.text
        (connection,) = await connections_of(browser)
        assert connection["status"] == "connected"
        assert connection["realm_id"] == connector.sandbox.realm
        again = await browser.get(back)
        assert again.status_code == 400
        assert "finished already" in again.text
    await connector.driver.apply(
        "channels.commands.v1",
        {"type": "enable-sales-tracking", "business_id": "acme"},
        {
            "type": "connect-channel",
            "business_id": "acme",
            "connection_id": connection["connection_id"],
            "channel_type": "accounting",
            "initial_sync_date": "2026-01-01",
            "channel_id": "channel-1",
        },
    )
    assert (await connector.sync()).summary["published"] == 0


async def test_an_answer_counts_only_in_the_browser_that_asked(connector: Any) -> None:
    async with connector.browser() as browser, connector.browser() as other:
        realm = f"connect-{connector.sandbox.realm}"
        back = await consent(connector, await begin(browser), realm)
        await begin(other)
        for stranger in (other, connector.browser()):
            refused = await stranger.get(back)
            assert refused.status_code == 400
            assert "not begun in this browser" in refused.text
        assert await connections_of(browser) == []
        assert (await browser.get(back)).status_code == 200


async def test_a_changed_state_and_an_old_one_are_refused(connector: Any) -> None:
    async with connector.browser() as browser:
        realm = f"connect-{connector.sandbox.realm}"
        back = await consent(connector, await begin(browser), realm)
        assert (await browser.get(back.replace("state=", "state=x"))).status_code == 400
        await connector.pool.execute("update consent_requests set expires_at = now()")
        assert (await browser.get(back)).status_code == 400
        assert await connections_of(browser) == []


async def test_intuits_refusals_are_sentences(connector: Any) -> None:
    async with connector.browser() as browser:
        refused = await browser.get(await consent(connector, await begin(browser), "cancel"))
        assert refused.status_code == 400
        assert "You did not allow access" in refused.text
        state = parse_qs(urlsplit(await begin(browser)).query)["state"][0]
        odd = await browser.get("/callback", params={"state": state, "error": "<script>x</script>"})
        assert "<script>" not in odd.text
        assert "scriptxscript" in odd.text
        state = parse_qs(urlsplit(await begin(browser)).query)["state"][0]
        wrong = {"state": state, "code": "made-up", "realmId": connector.sandbox.realm}
        assert "Start again" in (await browser.get("/callback", params=wrong)).text
        assert await connections_of(browser) == []


async def test_a_browser_that_came_by_another_name_is_sent_to_the_one_that_cookies_need(
    connector: Any,
) -> None:
    """`localhost` and `127.0.0.1` share no cookie: the answer would come without it."""
    async with connector.browser() as browser:
        asked = {"business_id": "acme", "connection_id": "c 1"}
        sent = await browser.get("http://localhost:8002/connect", params=asked)
        assert sent.headers["location"] == (
            "http://connector.test/connect?business_id=acme&connection_id=c+1&moved=1"
        )
        assert list(browser.cookies.jar) == []
        address = (await browser.get(sent.headers["location"])).headers["location"]
        page = await browser.get(
            await consent(connector, address, f"connect-{connector.sandbox.realm}")
        )
        assert page.status_code == 200, page.text
        behind_a_proxy = await browser.get("http://internal/connect", params=asked | {"moved": "1"})
        assert behind_a_proxy.headers["location"].startswith(connector.sandbox.url)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"business_id": ""},
        {"business_id": "a" * 201},
        {"business_id": "a", "connection_id": ""},
    ],
)
async def test_a_link_that_lacks_something_ends_on_a_page(
    connector: Any, asked: dict[str, str]
) -> None:
    async with connector.browser() as browser:
        page = await browser.get("/connect", params=asked)
    assert (page.status_code, page.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert "Start again from the program" in page.text
    assert await connector.pool.fetchval("select count(*) from consent_requests") == 0


async def test_connecting_again_replaces_tokens_only(connector: Any) -> None:
    await connector.connect()
    connector.sandbox.control("POST", f"/companies/{connector.sandbox.realm}/tokens/revoke", {})
    assert (await connector.sync()).failure["reason"] == "needs-reconnect"
    async with connector.browser() as browser:
        page = await sign_in(connector, browser, connection_id="connection-1")
        assert page.status_code == 200, page.text
        (connection,) = await connections_of(browser)
    assert connection["connection_id"] == "connection-1"
    assert connection["status"] == "connected"
    await connector.driver.take_outbox()
    assert (await connector.sync()).summary["published"] == 0


@pytest.mark.parametrize("named", [True, False])
async def test_another_company_is_refused_and_its_consent_revoked(
    connector: Any,
    named: bool,  # noqa: FBT001
) -> None:
    """With the connection's id it is another company; without, one more than the plan allows."""
    await connector.connect()
    connector.sandbox.control(
        "POST", "/companies", {"realm": OTHER_REALM, "name": "Other", "country": "US"}
    )
    before = tokens_of(connector.sandbox)
    async with connector.browser() as browser:
        more = {"connection_id": "connection-1"} if named else {}
        page = await sign_in(connector, browser, realm=OTHER_REALM, **more)
        assert page.status_code == 400
        assert ("belongs to the company" if named else "allows 1 accounting") in page.text
        assert len(await connections_of(browser)) == 1
    assert tokens_of(connector.sandbox) == before


def tokens_of(sandbox: Any) -> Any:
    """The live refresh tokens of the sandbox's companies."""
    return [company["refresh_tokens"] for company in sandbox.control("GET", "")["companies"]]


async def test_disconnecting_revokes_the_consent(connector: Any) -> None:
    await connector.connect()
    await connector.sync()
    path = "/businesses/acme/connections/connection-1"
    async with connector.browser() as browser:
        answer = await browser.delete(path)
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["revocation"]) == ("removed", "revoked")
        assert tokens_of(connector.sandbox) == [[]]
        assert (await browser.delete(path)).json()["revocation"] == "none"
        page = await sign_in(connector, browser, connection_id="connection-1")
        assert page.status_code == 200
    await connector.driver.take_outbox()
    assert (await connector.sync()).summary["published"] == 0


async def test_a_revocation_that_fails_is_said_and_the_tokens_are_gone(connector: Any) -> None:
    await connector.connect()
    connector.sandbox.control(
        "POST", "/faults", {"effect": "html", "times": 1, "match": {"operation": "revoke"}}
    )
    async with connector.browser() as browser:
        answer = await browser.delete("/businesses/acme/connections/connection-1")
    assert answer.json()["status"] == "removed"
    assert "HTTP 502" in answer.json()["revocation"]
    assert await connector.pool.fetchval("select count(*) from connection_tokens") == 0
