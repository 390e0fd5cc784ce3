"""One suite for every accounting system: the core asks for no more than the interface promises.

It runs on QuickBooks and on a system whose documents, pages, times, taxes, discounts and deletions
have other shapes.
"""

# ruff: noqa: ANN401  (the harness is a fixture of conftest.py, which cannot be imported)

import random
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from channel_connector import connections, maintenance
from channel_connector.verification import verify
from channel_connector.worker import Worker
from crashing import CrashError, CrashingSystem
from upstream import Sold

MIXED = (
    Sold("Walnut Desk", "3", "260.00"),
    Sold("Assembly", "2", "45.00"),
    Sold(None, "1", "12.00"),
)


def key(captured: dict[str, Any]) -> tuple[str, str]:
    return captured["kind"], captured["external_id"]


def earned(captured: dict[str, Any]) -> Decimal:
    """What the lines of a document come to."""
    lines = captured["lines"]
    return sum((Decimal(x["amount"]) - Decimal(x.get("discount", 0)) for x in lines), Decimal(0))


async def nothing_is_wrong(connector: Any) -> None:
    report = await verify(connector.pool, None)
    assert [check for check in report.checks if check.violations] == []


async def stored(connector: Any) -> dict[tuple[str, str], str]:
    """What the connector last published of every document that is not deleted."""
    rows = await connector.pool.fetch(
        """
        select distinct on (kind, external_id) kind, external_id, status
        from documents where outcome = 'published'
        order by kind, external_id, version desc
        """
    )
    return {
        (row["kind"], row["external_id"]): row["status"]
        for row in rows
        if row["status"] != "deleted"
    }


async def test_a_first_sync_brings_everything_since_the_initial_date(scene: Any) -> None:
    books = scene.books
    await scene.connector.connect()
    late = books.write("credit-memo", day="2026-03-05")
    early = books.write(lines=MIXED, day="2026-01-01")
    books.write(day="2025-12-31")
    outcome = await scene.connector.sync()
    assert [p.type for p in outcome.published] == [
        "connection-changed",
        "sync-started",
        "transaction-captured",
        "transaction-captured",
        "transactions-published",
    ]
    sold, returned = outcome.captured
    assert (key(sold), key(returned)) == (early, late)
    assert [line.get("item", {}).get("kind") for line in sold["lines"]][:3] == [
        "inventory",
        "service",
        None,
    ]
    assert Decimal(sold["lines"][0]["quantity"]) == 3
    assert sold["lines"][2]["skip"] == "no-item"
    assert sold["total_amount"] == "882.00"
    assert returned["total_amount"] == "180.00"
    assert Decimal(returned["lines"][0]["quantity"]) == 2
    assert outcome.summary["published"] == 2
    assert await scene.connector.cursor() is not None
    await nothing_is_wrong(scene.connector)


async def test_a_sync_without_changes_publishes_nothing(scene: Any) -> None:
    await scene.connector.connect()
    scene.books.write()
    await scene.connector.sync()
    again = await scene.connector.sync()
    assert again.captured == []
    assert (again.summary["published"], again.summary["unchanged"]) == (0, 1)


async def test_changes_voids_and_deletions_come_with_reversals_first(scene: Any) -> None:
    books = scene.books
    await scene.connector.connect()
    edited, voided, deleted, untouched = (
        books.write(day=day) for day in ("2026-03-01", "2026-03-03", "2026-03-02", "2026-03-04")
    )
    first = {key(c): c for c in (await scene.connector.sync()).captured}
    books.edit(edited, quantity=5)
    books.void(voided)
    books.delete(deleted)
    outcome = await scene.connector.sync()
    assert [(key(c), c["status"]) for c in outcome.captured] == [
        (deleted, "deleted"),
        (voided, "voided"),
        (edited, "active"),
    ]
    gone, _, changed = outcome.captured
    assert gone["lines"] == first[deleted]["lines"]
    assert Decimal(changed["lines"][0]["quantity"]) == 5
    assert all(c["version"] > first[key(c)]["version"] for c in outcome.captured)
    assert (await scene.connector.sync()).captured == []
    assert await stored(scene.connector) == books.live()
    assert untouched in books.live()
    await nothing_is_wrong(scene.connector)


@pytest.mark.parametrize("count", [6, 7, 12])
async def test_pages_that_are_full_or_one_too_long(scene: Any, count: int) -> None:
    scene.connector.page_rows = 6
    await scene.connector.connect()
    written = {scene.books.write() for _ in range(count)}
    outcome = await scene.connector.sync()
    assert {key(c) for c in outcome.captured} == written
    assert outcome.summary["published"] == count


async def test_books_that_change_between_pages_are_stored_as_they_are(scene: Any) -> None:
    books = scene.books
    scene.connector.page_rows = 3
    await scene.connector.connect()
    keys = [books.write() for _ in range(11)]
    books.between_pages(
        [("delete", keys[0]), ("edit", keys[1]), ("void", keys[2]), ("delete", keys[9])]
    )
    await scene.connector.sync()
    await scene.connector.sync()
    assert await stored(scene.connector) == books.live()
    assert len(books.live()) == 9
    await nothing_is_wrong(scene.connector)


@pytest.mark.parametrize("seed", range(3))
async def test_random_books_and_edits_are_stored_as_they_are(scene: Any, seed: int) -> None:
    """Edits, voids and deletions between random pages; after a quiet sync both sides agree."""
    chance = random.Random(seed)  # noqa: S311  (repeatable books)
    books = scene.books
    scene.connector.page_rows = chance.choice([2, 3, 5])
    await scene.connector.connect()
    for _ in range(3):
        for _ in range(chance.randint(2, 8)):
            books.write(chance.choice(["invoice", "invoice", "credit-memo"]))
        active = [found for found, status in sorted(books.live().items()) if status == "active"]
        kinds = [found for found in active if found[0] == "invoice"]
        chosen = chance.sample(kinds, min(4, len(kinds)))
        books.between_pages([(chance.choice(["edit", "void", "delete"]), k) for k in chosen])
        await scene.connector.sync()
        for found in chance.sample(active, min(2, len(active))):
            if books.live().get(found) == "active":
                books.edit(found, quantity=chance.randint(1, 9))
    books.between_pages([])
    books.advance(days=1)
    await scene.connector.sync()
    assert await stored(scene.connector) == books.live()
    await nothing_is_wrong(scene.connector)


@pytest.mark.parametrize("pages", [0, 2, 4])
async def test_reading_goes_on_after_the_last_stored_page(scene: Any, pages: int) -> None:
    scene.connector.page_rows = 2
    await scene.connector.connect()
    written = {scene.books.write() for _ in range(6)}
    await scene.connector.request_sync()
    crashing = Worker(
        scene.connector.pool, lambda c: CrashingSystem(scene.connector.system_of(c), pages)
    )
    with pytest.raises(CrashError):
        await crashing.work_once()
    assert await scene.connector.worker.work_once()
    published = await scene.connector.driver.take_outbox()
    captured = [key(p.body) for p in published if p.type == "transaction-captured"]
    assert len(captured) == 6
    assert {*captured} == written
    await nothing_is_wrong(scene.connector)


async def test_a_deletion_that_a_read_does_not_confirm_reverses_nothing(scene: Any) -> None:
    books = scene.books
    await scene.connector.connect()
    alive, gone = books.write(), books.write()
    await scene.connector.sync()
    books.misreport(alive)
    books.delete(gone)
    outcome = await scene.connector.sync()
    statuses = {key(c): c["status"] for c in outcome.captured}
    assert statuses.pop(gone) == "deleted"
    assert {*statuses.values()} <= {"active"}
    assert await stored(scene.connector) == books.live() == {alive: "active"}


async def test_the_deletion_of_what_was_never_published_is_not_published(scene: Any) -> None:
    await scene.connector.connect()
    await scene.connector.sync()
    scene.books.delete(scene.books.write())
    assert (await scene.connector.sync()).captured == []


async def test_a_long_pause_is_bridged(scene: Any) -> None:
    """What was deleted is not told any more; ids are compared."""
    books = scene.books
    await scene.connector.connect()
    gone, edited, kept = (books.write() for _ in range(3))
    await scene.connector.sync()
    books.delete(gone)
    books.edit(edited, quantity=5)
    books.advance(days=40)
    outcome = await scene.connector.sync()
    assert [(key(c), c["status"]) for c in outcome.captured] == [
        (gone, "deleted"),
        (edited, "active"),
    ]
    assert await stored(scene.connector) == {edited: "active", kept: "active"}


async def test_a_payment_changes_the_version_and_not_the_content(scene: Any) -> None:
    await scene.connector.connect()
    sold = scene.books.write()
    (before,) = (await scene.connector.sync()).captured
    scene.books.pay(sold)
    (after,) = (await scene.connector.sync()).captured
    assert after["version"] > before["version"]
    assert after["content_hash"] == before["content_hash"]
    scene.books.edit(sold, quantity=3)
    (changed,) = (await scene.connector.sync()).captured
    assert changed["content_hash"] != before["content_hash"]


@pytest.mark.parametrize("tax", ["none", "on-top", "inside"])
@pytest.mark.parametrize("kind", ["invoice", "credit-memo"])
async def test_lines_and_tax_come_to_the_total(scene: Any, kind: str, tax: str) -> None:
    """A discount of a tenth on 882.00, and tax where it lies; the kind alone carries the sign."""
    await scene.connector.connect()
    scene.books.write(kind, MIXED, discount_percent=10, tax=tax)
    (captured,) = (await scene.connector.sync()).captured
    total, tax_amount = Decimal(captured["total_amount"]), Decimal(captured["tax_amount"])
    assert earned(captured) + tax_amount == total
    assert total > 0
    assert (tax_amount > 0) == (tax != "none")
    if tax == "none":
        assert total == Decimal("793.80")


async def test_a_foreign_document_carries_home_units_for_one_of_its_own(scene: Any) -> None:
    await scene.connector.connect()
    scene.books.write(rate="1.6")
    (captured,) = (await scene.connector.sync()).captured
    assert captured["currency"] == "EUR"
    assert Decimal(captured["exchange_rate"]) == Decimal("1.6")
    assert captured["home_currency"] in {"USD", "NZD"}


async def test_a_document_that_does_not_add_up_is_an_error_of_the_summary(scene: Any) -> None:
    await scene.connector.connect()
    good, bad = scene.books.write(), scene.books.write()
    scene.books.spoil(bad)
    outcome = await scene.connector.sync()
    assert [key(c) for c in outcome.captured] == [good]
    (error,) = outcome.summary["failed"]
    assert (error["code"], error["external_id"]) == ("document-invalid", bad[1])
    assert "-179" in error["message"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("throttled", "rate-limited"),
        ("down", "upstream-error"),
        ("garbled", "upstream-error"),
        ("revoked", "needs-reconnect"),
    ],
)
async def test_a_source_that_stays_away_fails_the_sync_and_moves_nothing(
    scene: Any, fault: str, reason: str
) -> None:
    connector, books = scene.connector, scene.books
    await connector.connect()
    books.write()
    await connector.sync()
    cursor = await connector.cursor()
    books.fail(fault)
    outcome = await connector.sync()
    assert outcome.failure["reason"] == reason
    assert await connector.cursor() == cursor
    books.write()
    if token := books.mend():
        await connector.add_connection(token)
    assert len((await connector.sync()).captured) == 1
    await nothing_is_wrong(connector)


async def test_a_removed_connection_fails_the_sync_and_keeps_the_sales(scene: Any) -> None:
    await scene.connector.connect()
    sold = scene.books.write()
    await scene.connector.sync()
    await connections.remove_connection(scene.connector.pool, "acme", "connection-1")
    assert (await scene.connector.sync()).failure["reason"] == "connection-unavailable"
    assert await stored(scene.connector) == {sold: "active"}


async def test_stored_payloads_read_the_same_again(scene: Any) -> None:
    connector = scene.connector
    await connector.connect()
    scene.books.write(lines=MIXED)
    scene.books.void(scene.books.write())
    await connector.sync()
    connection = await connector.add_connection()
    (found,) = await maintenance.renormalise(
        connector.pool, connector.system_of(connection).normalise
    )
    assert (found.read, found.to_publish, found.worse) == (2, 0, ())


async def test_drafts_and_purchases_are_no_sales(kauri: Any) -> None:
    """A status is no deletion either: a draft counts once it is approved."""
    books, service = kauri.books, kauri.books.service
    await kauri.connector.connect()
    draft = books.write(status="DRAFT")
    bill = service.write("Invoices", lines=[], day=date(2026, 3, 2), kind="ACCPAY")
    assert (await kauri.connector.sync()).captured == []
    service.set(books.row(draft), Status="AUTHORISED")
    service.set(bill, Reference="paid")
    assert [key(c) for c in (await kauri.connector.sync()).captured] == [draft]


async def test_a_consent_may_name_its_company_with_the_tokens(kauri: Any) -> None:
    connector = kauri.connector
    async with connector.browser() as browser:
        answer = await browser.get("/connect", params={"business_id": "acme"})
        state = answer.headers["location"].partition("state=")[2]
        page = await browser.get("/callback", params={"state": state, "code": "good-code"})
        assert page.status_code == 200, page.text
        assert "Kauri Joinery is connected" in page.text
        path = "/businesses/acme/connections"
        (connection,) = (await browser.get(path)).json()["items"]
        assert (connection["provider"], connection["realm_id"]) == ("kauri-ledger", connector.realm)
        body = {"realm_id": "9130", "refresh_token": "x"}
        refused = await browser.post(path, json=body)
        assert refused.status_code == 422
        assert "is a UUID" in refused.text
