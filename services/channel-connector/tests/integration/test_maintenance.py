"""Keys that are replaced, and stored payloads that are read anew."""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

import base64
from typing import Any

from channel_connector import maintenance
from channel_connector.clients.quickbooks.documents import document_of
from channel_connector.clients.quickbooks.normalise import normalise
from channel_connector.domain.documents import Failure
from channel_connector.vault import Vault
from channel_connector.verification import verify

OLD = f"k1:{base64.b64encode(b'1' * 32).decode()}"
NEW = f"k2:{base64.b64encode(b'2' * 32).decode()}"
OTHER = f"k3:{base64.b64encode(b'3' * 32).decode()}"


async def test_tokens_are_encrypted_with_the_newest_key_and_go_on_working(connector: Any) -> None:
    await connector.connect()
    await connector.sync()
    both = Vault(f"{NEW},{OLD}")
    assert await maintenance.rotate_keys(connector.pool, both) == maintenance.Rotation(1, ())
    assert await maintenance.rotate_keys(connector.pool, both) == maintenance.Rotation(0, ())
    assert await connector.pool.fetchval("select key_id from connection_tokens") == "k2"
    connector.vault = Vault(NEW)
    calls = len(connector.sandbox.control("GET", "/requests")["requests"])
    assert (await connector.sync()).summary["published"] == 0
    made = connector.sandbox.control("GET", "/requests")["requests"][calls:]
    assert [request["operation"] for request in made] == ["cdc"]


async def test_tokens_of_an_unknown_key_stay_and_are_named(connector: Any) -> None:
    await connector.connect()
    rotation = await maintenance.rotate_keys(connector.pool, Vault(OTHER))
    assert rotation.rotated == 0
    (sentence,) = rotation.refused
    assert "`k1`, which TOKEN_KEYS lacks" in sentence
    assert (await connector.sync()).summary["published"] == 0


async def test_tokens_replaced_while_rotating_are_not_overwritten(connector: Any) -> None:
    await connector.connect()
    both = Vault(f"{NEW},{OLD}")
    (row,) = await connector.pool.fetch(
        "select t.*, c.realm_id from connection_tokens as t join connections as c "
        "using (business_id, connection_id)"
    )
    await connector.sync()
    assert not await maintenance._rotate(connector.pool, both, row)
    assert (await connector.sync()).summary["published"] == 0


def sell(sandbox: Any, number: str, **more: Any) -> dict[str, Any]:
    form = {
        "txn_date": "2026-03-02",
        "doc_number": number,
        "lines": [{"item": "Oak Chair", "qty": 2, "price": 90}],
    }
    made: dict[str, Any] = sandbox.record("invoices", **(form | more))
    return made


async def test_what_reads_the_same_is_not_published_again(connector: Any) -> None:
    await connector.connect()
    sell(connector.sandbox, "1001")
    await connector.sync()
    (found,) = await maintenance.renormalise(connector.pool, normalise)
    assert (found.read, found.to_publish, found.worse, found.busy) == (1, 0, (), False)
    assert not await connector.worker.work_once()
    assert await connector.driver.take_outbox() == []


async def test_what_reads_differently_is_published_as_a_newer_version(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    for number in ("1001", "1002"):
        sell(sandbox, number)
    await connector.sync()
    cursor = await connector.cursor()
    await connector.pool.execute(
        "update documents set content_hash = 'as read by an older program' "
        "where external_id = '101'"
    )
    (found,) = await maintenance.renormalise(connector.pool, normalise)
    assert (found.read, found.to_publish) == (2, 1)
    assert await connector.worker.work_once()
    published = await connector.driver.take_outbox()
    assert [p.type for p in published] == [
        "sync-started",
        "transaction-captured",
        "transactions-published",
    ]
    assert (published[1].body["number"], published[1].body["version"]) == ("1001", 1)
    assert published[2].body["published"] == 1
    assert published[2].body["http_calls"] == 0
    assert await connector.cursor() == cursor
    sandbox.change("PATCH", "invoices/1001", qty=3)
    (changed,) = (await connector.sync()).captured
    assert changed["version"] == 2
    sandbox.change("DELETE", "invoices/1001")
    (deleted,) = (await connector.sync()).captured
    assert (deleted["version"], deleted["status"]) == (3, "deleted")
    report = await verify(connector.pool, None)
    assert [check for check in report.checks if check.violations] == []


async def test_what_could_not_be_read_is_published_once_it_can(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    made = sell(sandbox, "1001")
    await connector.sync()
    await connector.pool.execute(
        "update documents set outcome = 'failed', content_hash = null, failure_code = 'x'"
    )
    (found,) = await maintenance.renormalise(connector.pool, normalise)
    assert found.to_publish == 1
    await connector.worker.work_once()
    captured = [p for p in await connector.driver.take_outbox() if p.type == "transaction-captured"]
    assert [c.body["version"] for c in captured] == [int(made["SyncToken"])]


async def test_what_failed_and_was_deleted_since_is_not_brought_to_life(connector: Any) -> None:
    sandbox = connector.sandbox
    await connector.connect()
    made = sell(sandbox, "1001")
    path = f"/companies/{sandbox.realm}/invoices/{made['Id']}"
    sandbox.control("PUT", f"{path}/verbatim", dict(made) | {"TotalAmt": 1})
    assert len((await connector.sync()).summary["failed"]) == 1
    sandbox.control("DELETE", path)
    outcome = await connector.sync()
    assert (outcome.captured, outcome.summary["failed"]) == ([], [])
    good = normalise(document_of("invoice", dict(made)), "USD")
    (found,) = await maintenance.renormalise(connector.pool, lambda *_: good)
    assert found.to_publish == 0


async def test_what_would_fail_now_is_reported_and_left(connector: Any) -> None:
    await connector.connect()
    sell(connector.sandbox, "1001")
    await connector.sync()
    failure = Failure("document-invalid", "It cannot be read.", "Look at it.")
    (found,) = await maintenance.renormalise(connector.pool, lambda *_: failure)
    assert found.worse == ("invoice 101: It cannot be read.",)
    assert found.to_publish == 0
    assert await connector.pool.fetchval("select outcome from documents") == "published"


async def test_a_channel_with_a_sync_under_way_is_left_alone(connector: Any) -> None:
    await connector.connect()
    await connector.sync()
    await connector.request_sync()
    (found,) = await maintenance.renormalise(connector.pool, normalise)
    assert found.busy
