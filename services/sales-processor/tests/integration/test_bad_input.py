"""Records that cannot be applied: dead-lettered with the reason, those around them applied."""

import json
from typing import Any

import pytest

from sales_processor.testing import (
    Body,
    Story,
    channel,
    line,
    numbered,
    product,
    published,
    transaction,
)

TRANSACTIONS = "channels.transactions.v1"
COMMANDS = "sales.commands.v1"
SALE = transaction("666", line(1, "7"))


def _with(**fields: Any) -> bytes:  # noqa: ANN401
    return json.dumps({**SALE, **fields}).encode()


@pytest.mark.parametrize(
    ("topic", "body", "reason"),
    [
        (TRANSACTIONS, None, "no-body"),
        (TRANSACTIONS, b"", "no-body"),
        (TRANSACTIONS, b"{", "not-json"),
        (TRANSACTIONS, b"\xff\xfe", "not-json"),
        (TRANSACTIONS, b"[]", "not-an-object"),
        (TRANSACTIONS, b'{"type": "sale"}', "unknown-type"),
        (TRANSACTIONS, b'{"type": "transaction-captured"}', "wrong-shape"),
        (TRANSACTIONS, _with(version="ten"), "wrong-shape"),
        (TRANSACTIONS, _with(version=-1), "invalid-value"),
        (TRANSACTIONS, _with(status="sold"), "invalid-value"),
        (TRANSACTIONS, _with(number="a\0b"), "wrong-shape"),
        (TRANSACTIONS, _with(sequence=2**70), "invalid-value"),
        (TRANSACTIONS, _with(lines=[line(1, "7", "NaN")]), "wrong-shape"),
        (TRANSACTIONS, _with(lines=[line(1, "7", "1e400")]), "invalid-value"),
        (TRANSACTIONS, _with(number="x" * 2_000_000), "too-large"),
        ("channels.events.v1", b'{"type": "channel-changed"}', "wrong-shape"),
        (
            "channels.events.v1",
            json.dumps({**published(1), "published": 2**40}).encode(),
            "invalid-value",
        ),
        ("inventory.events.v1", b'{"type": "sale-costed", "lines": {}}', "wrong-shape"),
        (
            "inventory.products.v1",
            json.dumps(product("x", version=2**70)).encode(),
            "not-applicable",
        ),
        (COMMANDS, b"nonsense", "not-json"),
        (COMMANDS, b'{"type": "record-manual-sale"}', "wrong-shape"),
        (COMMANDS, b'{"type": "retry-failed-sales", "business_id": 7}', "wrong-shape"),
    ],
)
async def test_a_bad_record_is_dead_lettered_and_the_others_are_applied(
    story: Story, topic: str, body: bytes | None, reason: str
) -> None:
    await story.products(product("desk", "7"))
    good: dict[str, list[Body]] = {
        TRANSACTIONS: numbered(transaction("101", line(1, "7")), transaction("102", line(1, "7"))),
        "channels.events.v1": [channel(channel_id="a"), channel(channel_id="b")],
        "inventory.products.v1": [product("a"), product("b")],
        "inventory.events.v1": [],
        COMMANDS: [],
    }
    around = good[topic]

    out = await story.driver.apply(topic, *around[:1], body, *around[1:])

    letters = [p for p in out if p.topic == f"{topic}.sales-processor.dlq"]
    assert len(letters) == 1
    assert letters[0].headers["dlq.reason"] == reason
    assert letters[0].headers["dlq.message"]
    if topic == TRANSACTIONS:
        assert await story.value("select count(*) from sales") == 2
    if topic == "channels.events.v1":
        assert await story.value("select count(*) from channels") == 2
    if topic == "inventory.products.v1":
        assert await story.value("select count(*) from products") == 3
