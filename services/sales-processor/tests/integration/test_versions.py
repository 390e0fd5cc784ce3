"""Newer versions, voids and deletions: rules SA5, SA6, SA11, SY5."""

from sales_processor.testing import Story, line, product, transaction


async def _one_sale(story: Story) -> None:
    await story.products(product("desk", "7"), product("chair", "8"))
    await story.sync(transaction("101", line(1, "7", "5", "500.00")))


async def test_the_same_version_again_is_skipped_as_unchanged(story: Story) -> None:
    await _one_sale(story)
    asked = len(story.asked)

    summary = await story.sync(transaction("101", line(1, "7", "5", "500.00")), sync="sync-2")

    assert summary["skipped"] == {"unchanged": 1}
    assert len(story.asked) == asked
    assert story.types() == ["sale-recorded", "sync-completed", "sync-completed"]


async def test_a_newer_version_replaces_the_older(story: Story) -> None:
    await _one_sale(story)

    summary = await story.sync(
        transaction("101", line(1, "7", "2", "200.00"), line(2, "8", "1", "50.00"), version=1),
        sync="sync-2",
    )

    assert (summary["updated"], summary["revenue"], summary["cost"]) == (1, "250.00", "30.00")
    ask = story.asked[-1].body
    assert (ask["revision"], [demand["product_id"] for demand in ask["lines"]]) == (
        2,
        ["desk", "chair"],
    )
    assert story.types()[-2:] == ["sale-updated", "sync-completed"]
    assert [item["product_id"] for item in story.last("sale-updated")["lines"]] == ["desk", "chair"]


async def test_an_older_version_changes_nothing(story: Story) -> None:
    await _one_sale(story)
    await story.sync(transaction("101", line(1, "7", "2"), version=3), sync="sync-2")

    summary = await story.sync(transaction("101", line(1, "7", "9"), version=2), sync="sync-3")

    assert summary["skipped"] == {"older-version": 1}


async def test_a_newer_version_that_says_the_same_is_an_irrelevant_change(story: Story) -> None:
    await _one_sale(story)
    paid = transaction("101", line(1, "7", "5", "500.00"), version=1)

    summary = await story.sync(paid, sync="sync-2")
    again = await story.sync(paid, sync="sync-3")

    assert summary["skipped"] == {"irrelevant-change": 1}
    assert again["skipped"] == {"unchanged": 1}
    assert len(story.asked) == 1
    assert await story.value("select version from sales") == 1


async def test_a_void_gives_everything_back_by_our_own_records(story: Story) -> None:
    await _one_sale(story)

    summary = await story.sync(
        transaction("101", line(1, "7", "0", "0.00"), version=1, status="voided"), sync="sync-2"
    )

    assert (summary["voided"], summary["revenue"], summary["cost"]) == (1, "0", "0")
    assert story.asked[-1].body["lines"] == []
    voided = story.last("sale-voided")
    assert (voided["status"], voided["reason"], voided["revenue"]) == ("voided", "voided", "0")
    assert voided["lines"][0]["quantity"] == "5"


async def test_a_deletion_is_a_void(story: Story) -> None:
    await _one_sale(story)

    summary = await story.sync(transaction("101", version=1, status="deleted"), sync="sync-2")

    assert summary["voided"] == 1
    assert story.last("sale-voided")["reason"] == "deleted"


async def test_a_second_void_changes_nothing(story: Story) -> None:
    await _one_sale(story)
    void = transaction("101", version=1, status="voided")
    await story.sync(void, sync="sync-2")

    again = await story.sync(void, sync="sync-3")
    newer = await story.sync(transaction("101", version=2, status="deleted"), sync="sync-4")

    assert again["skipped"] == {"unchanged": 1}
    assert newer["skipped"] == {"irrelevant-change": 1}
    assert story.types().count("sale-voided") == 1


async def test_a_void_of_an_unknown_sale_is_skipped_and_beats_older_versions(story: Story) -> None:
    await story.products(product("desk", "7"))

    void = await story.sync(transaction("101", version=4, status="voided"))
    late = await story.sync(transaction("101", line(1, "7"), version=3), sync="sync-2")
    again = await story.sync(transaction("101", version=5, status="deleted"), sync="sync-3")

    assert void["skipped"] == {"void-of-unknown": 1}
    assert late["skipped"] == {"older-version": 1}
    assert again["skipped"] == {"void-of-unknown": 1}
    assert await story.value("select count(*) from sales") == 0


async def test_a_document_edited_to_life_after_its_tombstone_is_created(story: Story) -> None:
    await story.products(product("desk", "7"))
    await story.sync(transaction("101", version=4, status="voided"))

    summary = await story.sync(transaction("101", line(1, "7"), version=5), sync="sync-2")

    assert summary["created"] == 1
    assert await story.value("select count(*) from tombstones") == 0


async def test_a_voided_sale_edited_back_to_life_is_updated(story: Story) -> None:
    await _one_sale(story)
    await story.sync(transaction("101", version=1, status="voided"), sync="sync-2")

    summary = await story.sync(
        transaction("101", line(1, "7", "5", "500.00"), version=2), sync="sync-3"
    )

    assert (summary["updated"], summary["revenue"], summary["cost"]) == (1, "500.00", "50.00")
    assert story.last("sale-updated")["status"] == "active"
    assert await story.value("select voided_at from sales") is None


async def test_a_sale_that_takes_nothing_is_recorded_at_once(story: Story) -> None:
    summary = await story.sync(
        transaction(
            "101", line(1, "9", kind="service"), line(2, None, skip="shipping"), line(3, None)
        )
    )

    assert summary["created"] == 1
    assert story.asked == []
    sale = story.last("sale-recorded")
    assert (sale["revenue"], sale["cost"], sale["margin"]) == ("0", "0", "0")
    assert sale.get("margin_percent") is None
    assert [item["skipped_reason"] for item in sale["lines"]] == ["service", "shipping", "no-item"]


async def test_an_update_that_takes_nothing_any_more_gives_everything_back(story: Story) -> None:
    await _one_sale(story)

    summary = await story.sync(
        transaction("101", line(1, "9", kind="service"), version=1), sync="sync-2"
    )

    assert story.asked[-1].body["lines"] == []
    assert (summary["updated"], summary["revenue"], summary["cost"]) == (1, "0", "0")


async def test_versions_in_one_batch_have_the_effect_of_one_after_the_other(story: Story) -> None:
    await story.products(product("desk", "7"))

    summary = await story.sync(
        transaction("101", line(1, "7", "5"), version=0),
        transaction("102", line(1, "7", "1", "10.00"), version=0),
        transaction("101", line(1, "7", "2", "40.00"), version=1),
        transaction("102", version=1, status="voided"),
    )

    assert [(ask.body["revision"], len(ask.body["lines"])) for ask in story.asked] == [
        (2, 1),
        (2, 0),
    ]
    assert (summary["received"], summary["created"]) == (4, 2)
    assert (summary["updated"], summary["voided"], summary["revenue"]) == (1, 1, "40.00")
    assert story.types() == ["sale-recorded", "sale-voided", "sync-completed"]


async def test_revisions_follow_from_versions_alone(story: Story) -> None:
    await story.products(product("desk", "7"))

    await story.sync(transaction("101", line(1, "7"), version=6))

    assert story.asked[0].body["revision"] == 7
