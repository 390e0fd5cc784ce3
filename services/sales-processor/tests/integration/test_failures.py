"""Sales that must wait, and what ends their waiting: rules SA4, SA7, SY9."""

import pytest

from sales_processor.testing import (
    BUSINESS,
    CHANNEL,
    CONNECTION,
    Body,
    Story,
    channel,
    line,
    product,
    published,
    transaction,
)
from sales_processor.usecases import retries

NO_HEALING = {"heal_on_link": False}


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (transaction("101", line(1, "7"), kind="credit-memo"), None),
        (transaction("101", line(1, "7"), kind="refund-receipt"), None),
        (transaction("101", line(1, "7", "-1", "-100.00")), None),
        (transaction("101", line(1, "8"), kind="credit-memo"), "item-not-linked"),
        (
            transaction("101", line(1, "7"), kind="credit-memo", currency="EUR"),
            "exchange-rate-missing",
        ),
        (transaction("101", line(1, "7"), currency="EUR"), "exchange-rate-missing"),
        (transaction("101", line(1, "7"), line(1, "7")), "document-invalid"),
        (transaction("101", line(1, "7", "1", "9999999999999.00")), None),
        (
            transaction(
                "101", line(1, "7", "1", "9999999999999.00"), currency="EUR", exchange_rate="1.1"
            ),
            "document-invalid",
        ),
        (transaction("101", line(1, "8")), "item-not-linked"),
        (transaction("101", line(1, "8", kind="non-inventory")), "item-not-linked"),
        (transaction("101", line(1, "8", kind=None)), "item-not-linked"),
        (transaction("101", line(1, "8", kind="service")), None),
    ],
)
async def test_a_document_that_cannot_be_a_sale_ends_as_an_error(
    story: Story, document: Body, code: str | None
) -> None:
    await story.products(product("desk", "7"))

    summary = await story.sync(document)

    assert [error["code"] for error in summary["errors"]] == ([code] if code else [])
    assert all(error["hint"] for error in summary["errors"])
    assert summary["created"] == (0 if code else 1)


async def test_a_failed_update_leaves_the_applied_version_in_force(story: Story) -> None:
    await story.products(product("desk", "7"))
    await story.channels(channel(settings=NO_HEALING))
    await story.sync(transaction("101", line(1, "7", "5", "500.00")))

    failed = await story.sync(transaction("101", line(1, "8"), version=1), sync="sync-2")

    assert [error["code"] for error in failed["errors"]] == ["item-not-linked"]
    row = await story.row("select status, version, update_waiting, revenue from sales")
    assert row == ("active", 0, True, 500)

    await story.products(product("chair", "8"))
    healed = await story.sync(sync="sync-3")

    assert (healed["received"], healed["updated"]) == (1, 1)
    row = await story.row("select status, version, update_waiting, revenue from sales")
    assert row == ("active", 1, False, 100)


async def test_an_applied_sale_can_be_voided_while_its_update_waits(story: Story) -> None:
    await story.products(product("desk", "7"))
    await story.sync(transaction("101", line(1, "7")))
    await story.sync(transaction("101", line(1, "8"), version=1), sync="sync-2")

    summary = await story.sync(transaction("101", version=2, status="voided"), sync="sync-3")

    assert (summary["received"], summary["voided"]) == (1, 1)
    assert await story.value("select count(*) from waiting_versions") == 0


async def test_an_update_that_waits_is_moot_when_a_newer_version_says_what_applies(
    story: Story,
) -> None:
    await story.products(product("desk", "7"))
    await story.sync(transaction("101", line(1, "7")))
    await story.sync(transaction("101", line(1, "8"), version=1), sync="sync-2")

    summary = await story.sync(transaction("101", line(1, "7"), version=2), sync="sync-3")

    assert summary["skipped"] == {"irrelevant-change": 1}
    assert await story.row("select version, update_waiting from sales") == (2, False)
    assert await story.value("select count(*) from waiting_versions") == 0


async def test_a_void_of_a_waiting_sale_ends_it_without_effect(story: Story) -> None:
    await story.sync(transaction("101", line(1, "7")))

    summary = await story.sync(transaction("101", version=1, status="deleted"), sync="sync-2")

    assert (summary["received"], summary["voided"]) == (1, 1)
    assert story.asked == []
    assert story.last("sale-voided")["lines"] == []
    assert await story.products(product("desk", "7")) == []
    assert await story.value("select count(*) from waiting_versions") == 0


async def test_a_newer_version_takes_the_place_of_the_one_that_waits(story: Story) -> None:
    await story.products(product("desk", "7"))
    await story.sync(transaction("101", line(1, "8")))

    failed = await story.sync(transaction("101", line(1, "9"), version=1), sync="sync-2")
    done = await story.sync(transaction("101", line(1, "7"), version=2), sync="sync-3")

    assert (failed["received"], len(failed["errors"])) == (1, 1)
    assert (done["received"], done["created"]) == (1, 1)
    assert await story.value("select count(*) from missing_items") == 0


async def test_failed_sales_are_tried_again_in_calendar_order(story: Story) -> None:
    await story.channels(channel(settings=NO_HEALING))
    created = "2026-03-02T00:00:00Z"
    await story.sync(
        transaction("9", line(1, "7"), transaction_date="2026-03-02", source_created_at=created),
        transaction("10", line(1, "7"), transaction_date="2026-03-02", source_created_at=created),
        transaction("11", line(1, "7"), transaction_date="2026-03-01"),
        transaction(
            "8",
            line(1, "7"),
            transaction_date="2026-03-02",
            source_created_at="2026-03-03T00:00:00Z",
        ),
    )
    await story.products(product("desk", "7"))

    summary = await story.sync(sync="sync-2")

    numbers = [event.body["number"] for event in story.events if event.type == "sale-recorded"]
    assert numbers == ["N-11", "N-9", "N-10", "N-8"]
    assert (summary["received"], summary["created"]) == (4, 4)


async def test_retries_go_on_in_chunks_until_all_are_tried_once(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "CHUNK", 2)
    await story.channels(channel(settings=NO_HEALING))
    await story.sync(*(transaction(str(n), line(1, "7" if n % 2 else "8")) for n in range(7)))
    await story.products(product("desk", "7"))

    summary = await story.sync(transaction("100", line(1, "9")), sync="sync-2")

    assert (summary["received"], summary["created"], len(summary["errors"])) == (8, 3, 5)
    assert story.types().count("sale-failed") == 8, "a reason that stays is not told again"


async def test_healing_goes_on_in_chunks(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "CHUNK", 2)
    await story.sync(*(transaction(str(n), line(1, "7")) for n in range(5)))

    await story.settle(await story.products(product("desk", "7")))

    assert story.types().count("sale-recorded") == 5
    assert story.types().count("sync-completed") == 1


async def test_a_link_that_heals_only_a_part_is_told(story: Story) -> None:
    await story.sync(transaction("101", line(1, "7"), line(2, "8")))

    await story.settle(await story.products(product("desk", "7")))

    assert story.types() == ["sale-failed", "sync-completed", "sale-failed"]
    assert "item 7" not in story.last("sale-failed")["errors"][0]["message"]


async def test_a_link_of_another_connection_heals_nothing(story: Story) -> None:
    await story.sync(transaction("101", line(1, "7")))

    other = [{"connection_id": "other", "item_external_id": "7"}]
    assert await story.products(product("desk", item_links=other)) == []


async def test_a_link_of_another_business_heals_nothing(story: Story) -> None:
    await story.sync(transaction("101", line(1, "7")))

    assert await story.products(product("desk", "7", business_id="other")) == []


async def test_the_newest_claim_on_an_item_counts(story: Story) -> None:
    await story.products(
        product("chair", "7", changed_at="2026-03-02T00:00:00Z"),
        product("desk", "7", changed_at="2026-03-01T00:00:00Z"),
    )

    await story.sync(transaction("101", line(1, "7")))

    assert story.last("sale-recorded")["lines"][0]["product_id"] == "chair"


async def test_an_older_product_message_changes_nothing(story: Story) -> None:
    await story.products(product("desk", "7", version=2))
    await story.products(product("desk", version=1, product_type="service"))

    summary = await story.sync(transaction("101", line(1, "7")))

    assert summary["created"] == 1


async def test_an_unlinked_item_fails_later_sales(story: Story) -> None:
    await story.products(product("desk", "7"), product("desk", version=2))

    summary = await story.sync(transaction("101", line(1, "7")))

    assert len(summary["errors"]) == 1


async def test_a_person_can_have_failed_sales_tried_again(story: Story) -> None:
    await story.channels(channel(settings=NO_HEALING))
    await story.sync(transaction("101", line(1, "7")))
    await story.products(product("desk", "7"))

    retry = {"type": "retry-failed-sales", "business_id": BUSINESS, "channel_id": CHANNEL}
    await story.settle(await story.commands(retry))

    assert story.types() == ["sale-failed", "sync-completed", "sale-recorded"]


async def test_a_retry_in_the_name_of_a_run_that_wants_none_changes_nothing(story: Story) -> None:
    await story.channels(channel(settings=NO_HEALING))
    await story.sync(transaction("101", line(1, "7")))
    await story.products(product("desk", "7"))

    retry = {"type": "retry-failed-sales", "business_id": BUSINESS, "sync_id": "sync-1"}

    assert await story.commands(retry) == []


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"business_id": "other"}, "unknown-business", "business_id"),
        ({"channel_id": "none"}, "unknown-channel", "channel_id"),
        ({"business_id": "other", "channel_id": CHANNEL}, "unknown-business", "business_id"),
        ({"sync_id": "none"}, "unknown-sync", "sync_id"),
    ],
)
async def test_a_retry_of_what_nobody_knows_is_rejected(
    story: Story, fields: Body, reason: str, field: str
) -> None:
    await story.channels(channel())

    (answer,) = await story.commands(
        {"type": "retry-failed-sales", "business_id": BUSINESS, **fields}
    )

    assert (answer.type, answer.body["reason"], answer.body["field"]) == (
        *("command-rejected", reason),
        field,
    )


async def test_a_retry_where_nothing_waits_changes_nothing(story: Story) -> None:
    await story.channels(channel())
    retry = {"type": "retry-failed-sales", "business_id": BUSINESS}

    assert await story.commands(retry, {**retry, "channel_id": CHANNEL}) == []


async def test_documents_that_the_connector_could_not_read_are_errors(story: Story) -> None:
    failed = {"kind": "invoice", "external_id": "9", "code": "document-invalid", "message": "no"}

    await story.settle(await story.channels(published(0, failed=[failed], http_calls=3)))

    summary = story.last("sync-completed")
    assert (summary["received"], len(summary["errors"]), summary["http_calls"]) == (1, 1, 3)


async def test_the_hint_names_the_command_that_links(story: Story) -> None:
    summary = await story.sync(transaction("101", line(1, "7")))

    assert f'"connection_id": "{CONNECTION}"' in summary["errors"][0]["hint"]
    assert '"item_external_id": "7"' in summary["errors"][0]["hint"]


async def test_a_link_that_arrives_within_a_run_counts_no_sale_twice(story: Story) -> None:
    await story.settle(await story.transactions(transaction("101", line(1, "7"), line(2, "8"))))
    await story.settle(await story.products(product("desk", "7")))

    await story.settle(await story.channels(published(1)))

    summary = story.last("sync-completed")
    assert (summary["received"], len(summary["errors"])) == (1, 1)
