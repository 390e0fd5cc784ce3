"""What inventory answers: costs, later costs, refusals, answers that come late or do not fit."""

from typing import Any

from sales_processor.testing import BUSINESS, Body, Story, line, product, published, transaction


async def _ask(story: Story) -> Body:
    """A sale of five desks that asks for them."""
    await story.products(product("desk", "7"))
    (ask,) = await story.transactions(transaction("101", line(1, "7", "5", "500.00")))
    return ask.body


def _answer(ask: Body, **fields: Any) -> Body:  # noqa: ANN401
    lot = {"lot_id": "lot-1", "lot_number": "L1", "quantity": "3", "unit_cost": "10.00"}
    return {
        "type": "sale-costed",
        "business_id": BUSINESS,
        "sale_id": ask["sale_id"],
        "revision": ask["revision"],
        "costing": 1,
        "lines": [
            {
                "line_id": "1",
                "product_id": "desk",
                "quantity": "5",
                "cost": "54.00",
                "allocations": [lot],
                "shortage": {"quantity": "2", "open": "2", "unit_cost": "12.00"},
                "flags": ["short"],
            }
        ],
        "cost": "54.00",
        **fields,
    }


async def test_a_short_sale_is_costed_and_flagged(story: Story) -> None:
    ask = await _ask(story)

    await story.inventory(_answer(ask))

    sale = story.last("sale-recorded")
    assert (sale["cost"], sale["margin"], sale["short"]) == ("54.00", "446.00", True)
    assert sale["flags"] == ["short"]
    assert sale["lines"][0]["shortage"] == {"quantity": "2", "open": "2", "unit_cost": "12.00"}
    assert await story.row("select cost, flags from sales") == (54, ["short"])


async def test_a_later_cost_of_the_same_revision_is_told_with_the_previous_one(
    story: Story,
) -> None:
    ask = await _ask(story)
    first = _answer(ask)
    await story.inventory(first)
    settled = dict(first["lines"][0], cost="55.00", shortage=None, flags=[])
    settled["allocations"] = [
        *first["lines"][0]["allocations"],
        {"lot_id": "lot-2", "lot_number": "L2", "quantity": "2", "unit_cost": "12.50"},
    ]
    second = _answer(ask, lines=[settled], cost="55.00", costing=2, reason="shortage-settled")

    await story.inventory(second)
    await story.inventory(second, first)

    assert story.types() == ["sale-recorded", "sale-recosted"]
    sale = story.last("sale-recosted")
    assert (sale["cost"], sale["previous_cost"], sale["reason"]) == (
        "55.00",
        "54.00",
        "shortage-settled",
    )
    assert (sale["short"], sale["flags"]) == (False, [])
    assert sale["revenue"] == "500.00"


async def test_both_costs_in_one_batch_are_told_in_order(story: Story) -> None:
    ask = await _ask(story)
    first = _answer(ask)
    line_ = dict(first["lines"][0], cost="56.00")
    line_["shortage"] = {"quantity": "2", "open": "2", "unit_cost": "13.00"}

    await story.inventory(first, _answer(ask, lines=[line_], cost="56.00", costing=2))

    assert story.types() == ["sale-recorded", "sale-recosted"]
    assert await story.row("select cost, costing from sales") == (56, 2)


async def test_an_answer_to_an_older_revision_changes_nothing(story: Story) -> None:
    ask = await _ask(story)
    await story.transactions(transaction("101", line(1, "7", "2", "20.00"), version=1))

    assert await story.inventory(_answer(ask)) == []


async def test_an_answer_for_an_unknown_sale_changes_nothing(story: Story) -> None:
    assert await story.inventory(_answer({"sale_id": "nobody", "revision": 1})) == []


async def test_an_answer_that_does_not_fit_is_dead_lettered(story: Story) -> None:
    ask = await _ask(story)

    (letter,) = await story.inventory(_answer(ask, lines=[]))

    assert letter.topic == "inventory.events.v1.sales-processor.dlq"
    assert letter.headers["dlq.reason"] == "costing-mismatch"
    assert "line 1" in letter.headers["dlq.message"]


async def test_a_refusal_ends_as_an_error_and_is_tried_again(story: Story) -> None:
    ask = await _ask(story)
    await story.channels(published(1))
    refusal = {
        "type": "command-rejected",
        "command": "consume-lots",
        "business_id": BUSINESS,
        "sale_id": ask["sale_id"],
        "revision": ask["revision"],
        "reason": "unknown-product",
        "message": "There is no product desk.",
    }

    await story.inventory(refusal)

    (error,) = story.last("sync-completed")["errors"]
    assert error["code"] == "rejected-by-inventory"
    assert "There is no product desk." in error["message"]
    assert await story.row("select status, revision from sales") == ("waiting", 0)

    summary = await story.sync(sync="sync-2")
    assert (summary["received"], summary["created"], summary["revenue"]) == (1, 1, "500.00")


async def test_a_repeated_refusal_does_not_meet_what_is_asked_next(story: Story) -> None:
    """A relay that dies after it published sends a question twice: it is refused twice (SA11)."""
    first = await _ask(story)
    refusal = {
        "type": "command-rejected",
        "command": "consume-lots",
        "business_id": BUSINESS,
        "sale_id": first["sale_id"],
        "revision": first["revision"],
        "reason": "unknown-product",
        "message": "There is no product desk.",
    }
    await story.inventory(refusal)
    again = await story.tell(
        "sales.commands.v1", {"type": "retry-failed-sales", "business_id": BUSINESS}
    )
    (second,) = [p.body for p in again if p.type == "consume-lots"]

    await story.inventory(refusal, _answer(first))
    state = await story.row("select status, revision, draft is null from sales")
    await story.inventory(_answer(second))

    assert (first["revision"], second["revision"]) == (1, 2)
    assert state == ("costing", 2, False)
    assert await story.row("select status, revision, cost from sales") == ("active", 2, 54)


async def test_a_refused_update_leaves_the_applied_version_in_force(story: Story) -> None:
    ask = await _ask(story)
    await story.inventory(_answer(ask))
    await story.transactions(
        transaction("101", line(1, "7", "1", "10.00"), version=1, sync="sync-2")
    )

    await story.inventory(
        {
            "type": "command-rejected",
            "command": "consume-lots",
            "business_id": BUSINESS,
            "sale_id": ask["sale_id"],
            "reason": "invalid-value",
            "message": "No.",
        }
    )

    row = await story.row("select status, revenue, update_waiting, revision from sales")
    assert row == ("active", 500, True, 1)


async def test_other_events_of_inventory_are_ignored(story: Story) -> None:
    changed = {
        "type": "stock-changed",
        "business_id": BUSINESS,
        "product_id": "desk",
        "stock_on_hand": "3",
        "change": "-1",
    }
    rejected = {
        "type": "command-rejected",
        "command": "receive-lot",
        "reason": "invalid-value",
        "message": "No.",
    }

    assert await story.inventory(changed, rejected) == []
