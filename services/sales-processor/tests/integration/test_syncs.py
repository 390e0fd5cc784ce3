"""A run from its transactions to its summary: rules SA1-SA3, SA7, SY5, SY6, SY9."""

from sales_processor.testing import Story, channel, line, product, published, transaction


async def test_a_sale_gets_its_cost_and_margin_and_the_run_its_summary(story: Story) -> None:
    story.shelf._unit_costs["desk"] = "146.80"
    await story.products(product("desk", "7"))

    summary = await story.sync(transaction("101", line(1, "7", "50", "13000.00")))

    assert story.types() == ["sale-recorded", "sync-completed"]
    sale = story.last("sale-recorded")
    assert (sale["revenue"], sale["cost"], sale["margin"]) == ("13000.00", "7340.00", "5660.00")
    assert sale["margin_percent"] == "43.54"
    assert sale["status"] == "active"
    assert sale["lines"][0]["allocations"][0]["lot_id"] == "lot-desk"
    assert (summary["received"], summary["created"]) == (1, 1)
    assert (summary["revenue"], summary["cost"]) == ("13000.00", "7340.00")
    assert summary["skipped"] == {}
    assert summary["errors"] == []


async def test_an_unlinked_item_lets_the_whole_sale_wait(story: Story) -> None:
    await story.products(product("desk", "7"))

    summary = await story.sync(
        transaction("101", line(1, "7"), line(2, "8"), line(3, "9", kind=None)),
        transaction("102", line(1, "7")),
    )

    assert story.types() == ["sale-failed", "sale-recorded", "sync-completed"]
    (error,) = summary["errors"]
    assert error["code"] == "item-not-linked"
    assert "item 8" in error["message"]
    assert "item 9" in error["message"]
    assert "link-item" in error["hint"]
    assert (summary["received"], summary["created"]) == (2, 1)


async def test_the_next_run_picks_up_a_sale_whose_link_was_made(story: Story) -> None:
    await story.channels(channel(settings={"heal_on_link": False}))
    await story.sync(transaction("101", line(1, "7")))
    assert await story.products(product("desk", "7")) == []

    summary = await story.sync(sync="sync-2", unchanged=3)

    assert (summary["received"], summary["created"]) == (4, 1)
    assert summary["skipped"] == {"unchanged": 3}


async def test_a_link_heals_at_once(story: Story) -> None:
    await story.sync(transaction("101", line(1, "7")))

    await story.settle(await story.products(product("desk", "7")))

    assert story.types() == ["sale-failed", "sync-completed", "sale-recorded"]


async def test_the_summary_does_not_depend_on_which_topic_is_first(story: Story) -> None:
    await story.products(product("desk", "7"))
    assert await story.channels(published(1)) == []

    out = await story.settle(await story.transactions(transaction("101", line(1, "7"))))

    assert [p.type for p in out] == ["consume-lots", "sale-recorded", "sync-completed"]
