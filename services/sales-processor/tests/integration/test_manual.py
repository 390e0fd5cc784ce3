"""Sales recorded by hand: rule SA10."""

from typing import Any

import pytest

from sales_processor.testing import (
    BUSINESS,
    INSTANT,
    MANUAL_CHANNEL,
    Body,
    Story,
    channel,
    line,
    product,
    transaction,
)


def _sale(**fields: Any) -> Body:  # noqa: ANN401
    return {
        "type": "record-manual-sale",
        "business_id": BUSINESS,
        "sale_id": "sale-1",
        "sale_date": "2026-03-01",
        "reference": "Fair",
        "customer_name": "Walk-in",
        "notes": "paid in cash",
        "lines": [
            {"product_id": "desk", "quantity": "2", "unit_price": "19.995"},
            {"product_id": "chair", "quantity": "1", "unit_price": 0},
        ],
        **fields,
    }


VOID = {"type": "void-manual-sale", "business_id": BUSINESS, "sale_id": "sale-1"}


async def _open_shop(story: Story) -> None:
    await story.products(
        product("desk"), product("chair"), product("leg", product_type="raw-material")
    )
    await story.channels(
        channel(channel_id=MANUAL_CHANNEL, channel_type="manual", connection_id=None)
    )


async def test_a_manual_sale_is_processed_like_a_synced_one(story: Story) -> None:
    await _open_shop(story)

    await story.settle(await story.commands(_sale()))

    sale = story.last("sale-recorded")
    assert (sale["source"], sale["channel_id"], sale["number"]) == (
        "manual",
        MANUAL_CHANNEL,
        "Fair",
    )
    assert (sale["revenue"], sale["cost"], sale["margin"]) == ("39.99", "30.00", "9.99")
    assert [item["revenue"] for item in sale["lines"]] == ["39.99", "0.00"]
    assert story.asked[0].body["revision"] == 1


async def test_the_same_manual_sale_again_changes_nothing(story: Story) -> None:
    await _open_shop(story)
    await story.settle(await story.commands(_sale(), _sale()))

    assert await story.commands(_sale()) == []
    await story.settle(await story.commands(VOID))
    assert await story.commands(_sale()) == []
    assert story.types() == ["sale-recorded", "sale-voided"]


async def test_another_sale_under_a_taken_id_is_rejected(story: Story) -> None:
    await _open_shop(story)
    await story.settle(await story.commands(_sale()))

    (rejected,) = await story.commands(_sale(reference="Other"))

    assert (rejected.body["reason"], rejected.body["field"]) == ("sale-id-taken", "sale_id")


async def test_sales_without_an_id_are_sales_of_their_own(story: Story) -> None:
    await _open_shop(story)

    await story.settle(await story.commands(_sale(sale_id=None), _sale(sale_id=None)))

    assert story.types() == ["sale-recorded", "sale-recorded"]


async def test_a_manual_sale_can_be_voided(story: Story) -> None:
    await _open_shop(story)
    await story.settle(await story.commands(_sale()))

    await story.settle(await story.commands(VOID))

    assert story.asked[-1].body["lines"] == []
    assert story.last("sale-voided")["lines"][0]["quantity"] == "2"


async def test_a_sale_recorded_and_voided_in_one_batch_is_voided(story: Story) -> None:
    await _open_shop(story)

    await story.settle(await story.commands(_sale(), VOID))

    assert story.types() == ["sale-voided"]
    assert await story.value("select status from sales") == "voided"


@pytest.mark.parametrize(
    ("command", "reason", "field"),
    [
        (_sale(business_id="other"), "no-manual-channel", "business_id"),
        (
            _sale(lines=[{"product_id": "lamp", "quantity": 1, "unit_price": 1}]),
            "unknown-product",
            "lines.0.product_id",
        ),
        (
            _sale(lines=[{"product_id": "leg", "quantity": 1, "unit_price": 1}]),
            "not-a-finished-good",
            "lines.0.product_id",
        ),
        (
            _sale(lines=[{"product_id": "desk", "quantity": "0", "unit_price": 1}]),
            "invalid-value",
            "lines.0.quantity",
        ),
        (
            _sale(lines=[{"product_id": "desk", "quantity": "1", "unit_price": "-1"}]),
            "invalid-value",
            "lines.0.unit_price",
        ),
        (
            _sale(
                lines=[{"product_id": "desk", "quantity": "999999999", "unit_price": "99999999999"}]
            ),
            "invalid-value",
            "lines.0.unit_price",
        ),
        (_sale(lines=[]), "invalid-value", "lines"),
        (_sale(sale_date="0000-01-01"), "invalid-value", "sale_date"),
        (_sale(sale_date="9999-01-01"), "invalid-value", "sale_date"),
        (_sale(sale_id=""), "invalid-value", "sale_id"),
        (VOID, "unknown-sale", "sale_id"),
        ({**VOID, "business_id": "other"}, "unknown-sale", "sale_id"),
    ],
)
async def test_a_wrong_command_is_rejected_with_its_field(
    story: Story, command: Body, reason: str, field: str
) -> None:
    await _open_shop(story)

    (rejected,) = await story.commands(command)

    assert rejected.topic == "sales.events.v1"
    assert (rejected.type, rejected.body["command"]) == ("command-rejected", command["type"])
    assert (rejected.body["reason"], rejected.body["field"]) == (reason, field)
    assert await story.value("select count(*) from sales") == 0


async def test_a_synced_sale_cannot_be_voided_or_replaced_by_hand(story: Story) -> None:
    await _open_shop(story)
    await story.products(product("lamp", "7"))
    await story.sync(transaction("101", line(1, "7")))
    sale_id = story.last("sale-recorded")["sale_id"]

    void, taken = await story.commands({**VOID, "sale_id": sale_id}, _sale(sale_id=sale_id))

    assert void.body["reason"] == "not-a-manual-sale"
    assert taken.body["reason"] == "sale-id-taken"


async def test_voiding_twice_is_rejected(story: Story) -> None:
    await _open_shop(story)
    await story.settle(await story.commands(_sale(), VOID))

    (rejected,) = await story.commands(VOID)

    assert rejected.body["reason"] == "already-voided"


async def test_a_manual_channel_of_another_business_does_not_serve(story: Story) -> None:
    await _open_shop(story)
    await story.products(product("desk", business_id="other"))

    (rejected,) = await story.commands(_sale(business_id="other"))

    assert rejected.body["reason"] == "no-manual-channel"
    assert INSTANT
