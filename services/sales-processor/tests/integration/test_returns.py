"""Credit memos and refund receipts as sales of negative revenue: what SA8 asks of sales."""

from typing import Any

import httpx
import pytest

from sales_processor.domain import matching
from sales_processor.testing import (
    BUSINESS,
    CHANNEL,
    Body,
    Story,
    channel,
    line,
    product,
    transaction,
)


def memo(*lines: Body, **fields: Any) -> Body:  # noqa: ANN401
    return transaction("102", *lines, **{"kind": "credit-memo", **fields})


@pytest.mark.parametrize(
    ("settings", "returns"),
    [
        ({}, "original-lots"),
        ({"returns": "original-lots"}, "original-lots"),
        ({"returns": "return-lot"}, "return-lot"),
    ],
)
async def test_goods_are_given_back_as_the_channel_says(
    story: Story, settings: Body, returns: str
) -> None:
    await story.products(product("desk", "7"))
    await story.channels(channel(settings=settings))

    await story.sync(memo(line(1, "7", "2", "80.00")))

    (ask,) = story.asked
    assert ask.body["returns"] == returns
    assert ask.body["customer_external_id"] == "c-1"
    (given,) = ask.body["lines"]
    assert given == {"line_id": "1", "product_id": "desk", "quantity": "-2"}
    recorded = story.last("sale-recorded")
    assert (recorded["kind"], recorded["revenue"], recorded["cost"], recorded["margin"]) == (
        "credit-memo",
        "-80.00",
        "-20.00",
        "-60.00",
    )
    assert recorded["margin_percent"] == "75.00"


async def test_goods_that_stay_out_are_not_asked_for(story: Story) -> None:
    await story.products(product("desk", "7"))
    await story.channels(channel(settings={"returns": "no-restock"}))

    summary = await story.sync(memo(line(1, "7", "2", "80.00")))

    assert story.asked == []
    assert (summary["created"], summary["revenue"], summary["cost"]) == (1, "-80.00", "0")
    assert story.last("sale-recorded")["flags"] == ["no-restock"]


async def test_the_setting_of_another_channel_does_not_count(story: Story) -> None:
    await story.products(product("desk", "7"))
    await story.channels(channel(channel_id="other", settings={"returns": "no-restock"}))

    await story.sync(memo(line(1, "7", "2", "80.00")))

    assert [ask.body["returns"] for ask in story.asked] == ["original-lots"]


async def test_lines_of_a_memo_are_tracked_or_skipped_as_those_of_a_sale(story: Story) -> None:
    await story.products(product("desk", "7"), product("leg", "8", product_type="raw-material"))

    await story.sync(
        memo(
            line(1, "7", "2", "80.00"),
            line(2, "8", "4", "12.00"),
            line(3, "99", "1", "30.00", kind="service"),
            line(4, None, None, "5.00", skip="shipping"),
            line(5, "7", None, "10.00"),
        )
    )

    recorded = story.last("sale-recorded")
    assert recorded["revenue"] == "-90.00"
    assert [each.get("skipped_reason") for each in recorded["lines"]] == [
        None,
        "not-a-finished-good",
        "service",
        "shipping",
        None,
    ]
    assert recorded["flags"] == ["no-quantity"]


async def test_a_memo_of_skipped_lines_only_is_recorded_without_revenue(story: Story) -> None:
    summary = await story.sync(memo(line(1, "99", "1", "30.00", kind="service")))

    assert (summary["created"], summary["revenue"]) == (1, "0")
    assert story.last("sale-recorded")["margin_percent"] is None


async def test_documents_that_waited_for_their_kind_are_picked_up(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    await story.products(product("desk", "7"))
    with monkeypatch.context() as before:
        before.setattr(matching, "RETURN_KINDS", frozenset())
        failed = await story.sync(memo(line(1, "7", "2", "80.00")))
    assert [error["code"] for error in failed["errors"]] == ["kind-not-supported"]

    summary = await story.sync(sync="sync-2")

    assert (summary["received"], summary["created"], summary["errors"]) == (1, 1, [])
    assert summary["revenue"] == "-80.00"


async def test_a_waiting_memo_is_healed_by_its_link(story: Story) -> None:
    await story.sync(memo(line(1, "7", "2", "80.00")))

    await story.settle(await story.products(product("desk", "7")))

    assert story.types() == ["sale-failed", "sync-completed", "sale-recorded"]
    assert story.last("sale-recorded")["revenue"] == "-80.00"


async def test_a_refused_memo_asks_the_same_at_a_newer_revision(story: Story) -> None:
    await story.products(product("desk", "7"))
    await story.channels(channel(settings={"returns": "return-lot"}))
    (ask,) = await story.transactions(memo(line(1, "7", "2", "80.00")))
    await story.inventory(
        {
            "type": "command-rejected",
            "command": "consume-lots",
            "business_id": BUSINESS,
            "sale_id": ask.body["sale_id"],
            "revision": ask.body["revision"],
            "reason": "unknown-product",
            "message": "There is no product desk.",
        }
    )

    retry = {"type": "retry-failed-sales", "business_id": BUSINESS, "channel_id": CHANNEL}
    await story.settle(await story.commands(retry))

    assert [again.body for again in story.asked] == [ask.body, {**ask.body, "revision": 2}]
    assert story.last("sale-recorded")["cost"] == "-20.00"


async def test_a_later_cost_of_a_return_is_told(story: Story) -> None:
    await story.products(product("desk", "7"))
    await story.sync(memo(line(1, "7", "2", "80.00"), line(2, "7", None, "5.00")))
    answer = story.shelf.answer(story.asked[-1].body)
    (given,) = answer["lines"]
    part = {"lot_id": "lot-2", "quantity": "2", "unit_cost": "11.00"}
    allocation = {**part, "lot_number": "L2", "quantity": "-2"}
    moved = {**given, "cost": "-22.00", "allocations": [allocation], "returned": [part]}

    await story.inventory(
        {**answer, "costing": 2, "cost": "-22.00", "lines": [moved], "reason": "return-moved"}
    )

    told = story.last("sale-recosted")
    assert (told["cost"], told["previous_cost"], told["reason"]) == (
        "-22.00",
        "-20.00",
        "return-moved",
    )
    assert told["lines"][0]["returned"] == [part]
    assert told["flags"] == ["no-quantity"]


@pytest.mark.parametrize("by", ["product", "channel", "customer", "month"])
async def test_margins_are_net_of_returns(story: Story, http: httpx.AsyncClient, by: str) -> None:
    await story.products(product("desk", "7"))
    sold = transaction("101", line(1, "7", "5", "500.00"))
    await story.sync(sold, memo(line(1, "7", "2", "200.00")))

    answer = await http.get(f"/businesses/{BUSINESS}/margins", params={"group_by": by})

    (row,) = answer.json()["items"]
    assert [row[name] for name in ("quantity", "revenue", "cost", "margin", "margin_percent")] == [
        "3",
        "300.00",
        "30.00",
        "270.00",
        "90.00",
    ]


async def test_an_earlier_revision_of_a_return_is_kept_whole(
    story: Story, http: httpx.AsyncClient
) -> None:
    await story.products(product("desk", "7"))
    await story.sync(memo(line(1, "7", "2", "200.00")))
    shown = story.last("sale-recorded")
    await story.sync(memo(line(1, "7", "1", "100.00"), version=1), sync="sync-2")

    path = f"/businesses/{BUSINESS}/sales/{shown['sale_id']}"
    (earlier,) = (await http.get(f"{path}/revisions")).json()["items"]
    now = (await http.get(path)).json()

    assert (earlier["cost"], now["cost"]) == ("-20.00", "-10.00")
    assert [goods["quantity"] for goods in earlier["lines"][0]["returned"]] == ["2"]
    assert [goods["quantity"] for goods in now["lines"][0]["returned"]] == ["1"]
