"""One summary for each run, whatever the order of the topics: rules SY5, SY6, SA11."""

import json
from itertools import permutations

import pytest

from sales_processor.domain import summary as summary_rules
from sales_processor.testing import (
    BUSINESS,
    CHANNEL,
    INSTANT,
    Story,
    line,
    numbered,
    product,
    published,
    transaction,
)

STARTED = {
    "type": "sync-started",
    "business_id": BUSINESS,
    "channel_id": CHANNEL,
    "sync_id": "sync-1",
    "started_at": INSTANT,
}


@pytest.mark.parametrize("order", list(permutations(["links", "started", "sales", "published"])))
async def test_the_counts_are_the_same_in_any_order_of_the_topics(
    story: Story, order: tuple[str, ...]
) -> None:
    sales = numbered(
        transaction("101", line(1, "7", "5", "500.00")),
        transaction("102", line(1, "9", kind="service")),
        transaction("103", version=2, status="voided"),
    )
    for step in order:
        if step == "links":
            out = await story.products(product("desk", "7"))
        elif step == "started":
            out = await story.channels(STARTED)
        elif step == "sales":
            out = await story.transactions(*sales)
        else:
            out = await story.channels(published(3, unchanged=2))
        await story.settle(out)

    summary = story.last("sync-completed")
    assert story.types().count("sync-completed") == 1
    assert summary["received"] == 5
    assert summary["skipped"] == {"unchanged": 2, "void-of-unknown": 1}
    late = order.index("links") > order.index("sales")
    assert summary["created"] + len(summary["errors"]) == 2
    assert (summary["created"] == 2) or late
    assert await story.row("select revenue, cost from sales where external_id = '101'") == (500, 50)


async def test_a_summary_waits_for_the_last_cost(story: Story) -> None:
    await story.products(product("desk", "7"))
    out = await story.transactions(*numbered(*(transaction(n, line(1, "7")) for n in "123")))
    await story.channels(published(3))
    answers = [story.shelf.answer(ask.body) for ask in out]

    await story.inventory(*answers[:2])
    assert story.types() == ["sale-recorded", "sale-recorded"]
    assert await story.row("select phase, received, pending from sync_runs") == ("costing", 3, 1)

    await story.inventory(answers[2])
    assert story.types()[-2:] == ["sale-recorded", "sync-completed"]


async def test_what_is_delivered_again_publishes_no_second_summary(story: Story) -> None:
    await story.products(product("desk", "7"))
    sales = numbered(
        transaction("101", line(1, "7")),
        transaction("102", line(1, "8")),
        transaction("103", version=1, status="voided"),
        transaction("104", line(1, "7")),
    )
    out = await story.transactions(*sales)
    out += await story.channels(STARTED, published(4))
    await story.settle(out)
    before = await story.dump()
    seen = len(story.events)

    await story.settle(await story.transactions(*sales))
    await story.settle(await story.channels(published(4), STARTED, published(9)))
    await story.inventory(*(story.shelf.answer(ask.body) for ask in story.asked))
    await story.commands(
        {"type": "retry-failed-sales", "business_id": BUSINESS, "sync_id": "sync-1"}
    )

    assert await story.dump() == before
    assert len(story.events) == seen


async def test_a_repeat_before_the_end_is_counted_once(story: Story) -> None:
    await story.products(product("desk", "7"))
    sale = transaction("101", line(1, "7"))
    out = await story.transactions(sale, sale)
    out += await story.transactions(sale)
    out += await story.channels(published(1))

    await story.settle(out)

    assert (story.last("sync-completed")["received"], len(story.asked)) == (1, 1)


async def test_a_run_that_found_nothing_is_summed_up(story: Story) -> None:
    summary = await story.sync(unchanged=7)

    assert (summary["received"], summary["skipped"]) == (7, {"unchanged": 7})


async def test_a_failed_run_says_why(story: Story) -> None:
    failed = {
        "type": "sync-failed",
        "business_id": BUSINESS,
        "channel_id": CHANNEL,
        "sync_id": "sync-1",
        "reason": "needs-reconnect",
        "detail": "The token was revoked.",
    }

    assert await story.channels(failed) == []

    assert await story.value("select failure ->> 'reason' from sync_runs") == "needs-reconnect"
    await story.channels(published(0))
    assert story.types() == ["sync-completed"], "what was published after all counts"


async def test_runs_of_two_businesses_with_one_id_stay_apart(story: Story) -> None:
    await story.products(product("desk", "7"), product("desk", "7", business_id="other"))
    other = {"business_id": "other", "channel_id": "channel-2"}
    sale = transaction("101", line(1, "7"))
    out = await story.transactions(sale, {**sale, **other})
    out += await story.channels(published(1), {**published(1), **other})

    await story.settle(out)

    ends = [event.body for event in story.events if event.type == "sync-completed"]
    assert sorted((end["business_id"], end["received"]) for end in ends) == [
        ("acme", 1),
        ("other", 1),
    ]


async def test_a_run_does_not_wait_for_a_sale_that_the_next_one_brought_anew(
    story: Story,
) -> None:
    await story.products(product("desk", "7"))
    await story.transactions(transaction("101", line(1, "7", "5")))
    await story.channels(published(1))
    assert story.types() == []

    newer = transaction("101", line(1, "7", "2", "20.00"), version=1, sync="sync-2")
    out = await story.transactions(newer)
    assert [(end["sync_id"], end["created"]) for end in [story.last("sync-completed")]] == [
        ("sync-1", 1)
    ]

    out += await story.channels(published(1, "sync-2"))
    await story.settle(out)

    end = story.last("sync-completed")
    assert (end["sync_id"], end["updated"], end["revenue"]) == ("sync-2", 1, "20.00")


async def test_a_summary_of_very_many_errors_can_be_published_and_is_kept_whole(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary_rules, "FULL_ERRORS_BYTES_MAX", 4_000)
    monkeypatch.setattr(summary_rules, "ERRORS_BYTES_MAX", 9_000)
    sales = numbered(*(transaction(str(n), line(1, "7")) for n in range(100)))
    await story.transactions(*sales)

    out = await story.channels(published(len(sales)))

    (summary,) = [p.body for p in out]
    assert len(json.dumps(summary)) < 10_000
    assert len(summary["errors"]) + summary["errors_omitted"] == summary["received"] == 100
    kept = await story.row(
        "select jsonb_array_length(summary -> 'errors'), summary -> 'errors' -> 99 ->> 'hint'"
        " from sync_runs"
    )
    assert kept[0] == 100
    assert "link-item" in kept[1]
