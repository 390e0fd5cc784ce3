"""No token and no secret is anywhere in clear: logs, events, errors, answers, every table."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

import logging
from typing import Any

import pytest
import structlog

from channel_connector.usecases import apply_commands  # noqa: F401  (loads every logger)
from chassis import logs

PLANTED = "RT1-planted-refresh-token-7f3a91"
SECRETS = (PLANTED, "sandbox-secret", "sandbox-verifier-token")
ADDRESSES = (
    "/channels/channel-1/syncs",
    "/businesses/acme/transactions/invoice/101",
    "/verify",
    "/callback?code=code-planted&state=x&realmId=1",
)


async def dump(pool: Any) -> str:
    """Every row of every table as text; binary columns as what they would read as, too."""
    tables = await pool.fetch(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables "
        "where schemaname not in ('pg_catalog', 'information_schema')"
    )
    texts = []
    for table in tables:
        rows = await pool.fetch(f"select t.*, t::text as shown from {table['name']} as t")  # noqa: S608
        for row in rows:
            texts += [
                value.decode("latin-1") if isinstance(value, bytes) else str(value)
                for value in row.values()
            ]
    return "\n".join(texts)


async def test_a_planted_token_is_found_nowhere(
    connector: Any, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = connector.sandbox
    caplog.set_level(logging.DEBUG)
    configuration = structlog.get_config()
    logs.configure("channel-connector", "DEBUG")
    said: list[str] = []
    try:
        sandbox.control("POST", f"/companies/{sandbox.realm}/tokens", {"refresh_token": PLANTED})
        async with connector.browser() as browser:
            path = "/businesses/acme/connections"
            body = {
                "realm_id": sandbox.realm,
                "refresh_token": PLANTED,
                "connection_id": "connection-1",
            }
            said.append((await browser.post(path, json=body)).text)
            said.append((await browser.post(path, json=body | {"realm_id": "x"})).text)
            said.append((await browser.post(path, json=body | {"realm_id": "42"})).text)
            said.append((await browser.get(path)).text)
        said.append(await dump(connector.pool))
        await connector.connect(webhooks=True)
        sandbox.record(
            "invoices",
            txn_date="2026-03-02",
            lines=[{"item": "Oak Chair", "qty": 2, "price": 90}],
        )
        issued = await live_secrets(connector)
        said.append(str((await connector.sync()).published))
        for effect in ("throttle", "html", "reset", "token-expired", "invalid-grant"):
            sandbox.control("POST", "/faults", {"effect": effect, "times": 1_000})
            said.append(str((await connector.sync()).published))
            sandbox.control("DELETE", "/faults")
        issued |= await live_secrets(connector)
        async with connector.browser() as browser:
            said += [(await browser.get(address)).text for address in ADDRESSES]
            said.append((await browser.delete(f"{path}/connection-1")).text)
        said.append(await dump(connector.pool))
    finally:
        structlog.configure(**configuration)
    captured = capfd.readouterr()
    text = "\n".join([*said, captured.out, captured.err, caplog.text])
    assert "intuit_tid" in captured.err
    assert "oak chair" in text.lower()
    for secret in (*SECRETS, "code-planted", *issued):
        assert secret not in text


async def live_secrets(connector: Any) -> set[str]:
    """All refresh tokens that the sandbox gave out and still takes."""
    companies = connector.sandbox.control("GET", "")["companies"]
    return {
        token
        for company in companies
        for token in company["refresh_tokens"]
        if token != "sandbox-refresh-token-1"
    }
