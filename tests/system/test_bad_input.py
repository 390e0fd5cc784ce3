"""Whatever is published to a topic, the records around it are applied and nothing stops.

Every row goes to every topic that a service consumes: to its dead-letter topic, with the reason and
the place, where nobody can read it; or it is answered with `command-rejected` where it can be read.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from contracts.topics import SERVICES, dead_letter_topic, load
from salesync.client import Client, Event

TWO_MEGABYTES = 2_000_000

CONSUMED = [
    (topic.name, group) for topic in load() for group in topic.consumers if group in SERVICES
]

UNREADABLE: list[tuple[str, bytes | None, list[tuple[str, bytes]], str]] = [
    ("not JSON", b"{nonsense", [], "not-json"),
    ("a list", b"[1, 2]", [], "not-an-object"),
    ("no body", None, [], "no-body"),
    ("no type", b'{"business_id": "acme"}', [], "unknown-type"),
    ("an unknown type", b'{"type": "make-coffee"}', [], "unknown-type"),
    ("2 MB", b'{"type": "x", "pad": "' + b"x" * TWO_MEGABYTES + b'"}', [], "too-large"),
    ("not UTF-8", b'{"type": "\xff\xfe"}', [], "not-json"),
    ("NaN", b'{"type": "x", "quantity": NaN}', [], "not-json"),
    ("a header that is no text", b"{}", [("note", b"\xff\xfe")], "bad-header"),
    ("deep nesting", b"[" * 100_000 + b"]" * 100_000, [], "not-json"),
]


@pytest.mark.parametrize(("topic", "group"), CONSUMED)
async def test_what_nobody_can_read_is_dead_lettered_with_its_reason(
    addresses: Mapping[str, str], topic: str, group: str
) -> None:
    brokers = addresses["KAFKA_BOOTSTRAP_SERVERS"]
    key = f"bad-{uuid4().hex}".encode()
    producer = AIOKafkaProducer(bootstrap_servers=brokers, max_request_size=3_000_000)
    letters = AIOKafkaConsumer(
        dead_letter_topic(topic, group),
        bootstrap_servers=brokers,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8_000_000,
    )
    await producer.start()
    await letters.start()
    try:
        for _, body, headers, _ in UNREADABLE:
            await producer.send_and_wait(topic, body, key=key, headers=headers)
        found: list[Any] = []
        while len(found) < len(UNREADABLE):
            letter = await letters.getone()
            if letter.key == key:
                found.append(letter)
    finally:
        await producer.stop()
        await letters.stop()
    for letter, (name, body, headers, reason) in zip(found, UNREADABLE, strict=True):
        text = dict(letter.headers)
        assert letter.value == body, name
        assert text["dlq.reason"].decode() == reason, name
        assert (text["dlq.topic"].decode(), text["dlq.group"].decode()) == (topic, group)
        assert text["dlq.message"], name
        assert all(text[n] == v for n, v in headers), name


def command(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"business_id": "bad-input", **fields}


LOT = {"type": "receive-lot", "product_id": "p", "unit_cost": "1", "received_on": "2026-01-01"}
MANUAL = {"type": "record-manual-sale", "sale_date": "2026-01-01"}
MANUAL_LINE = {"product_id": "p", "quantity": "1", "unit_price": "1"}

REJECTED: list[tuple[str, dict[str, Any], str | None]] = [
    (
        "a channel on no connection",
        command(
            type="connect-channel",
            connection_id="none",
            channel_type="accounting",
            initial_sync_date="2026-01-01",
        ),
        "connection_id",
    ),
    (
        "a reserved channel type",
        command(
            type="connect-channel",
            connection_id="none",
            channel_type="pos",
            initial_sync_date="2026-01-01",
        ),
        "channel_type",
    ),
    ("a channel that is not there", command(type="deactivate-channel", channel_id="none"), None),
    ("a manual sale of nothing", command(**MANUAL, lines=[]), "lines"),
    (
        "a manual sale of a negative number",
        command(**MANUAL, lines=[{**MANUAL_LINE, "quantity": "-1"}]),
        "lines.0.quantity",
    ),
    (
        "a manual sale that is not there",
        command(type="void-manual-sale", sale_id="none"),
        "sale_id",
    ),
]


@pytest.mark.parametrize(
    ("body", "field"), [row[1:] for row in REJECTED], ids=[row[0] for row in REJECTED]
)
async def test_what_can_be_read_and_is_wrong_is_answered(
    client: Client, body: dict[str, Any], field: str | None
) -> None:
    since = len(client.events)
    business = f"bad-{uuid4().hex}"
    await client.publish({**body, "business_id": business})
    answer = await client.wait_for(
        lambda e: e["type"] == "command-rejected" and e.get("business_id") == business,
        what=f"an answer to {json.dumps(body)}",
        since=since,
    )
    assert answer["command"] == body["type"]
    assert answer["message"]
    assert answer["reason"]
    if field is not None:
        assert answer["field"] == field


async def test_a_number_beyond_all_numbers_is_answered(
    client: Client, addresses: Mapping[str, str]
) -> None:
    business = f"bad-{uuid4().hex}"
    body = json.dumps({**LOT, "business_id": business, "quantity": 0}).replace(
        '"quantity": 0', '"quantity": 1e400'
    )
    producer = AIOKafkaProducer(bootstrap_servers=addresses["KAFKA_BOOTSTRAP_SERVERS"])
    await producer.start()
    await producer.send_and_wait("inventory.commands.v1", body.encode(), key=business.encode())
    await producer.stop()
    answer = await client.wait_for(
        lambda e: e["type"] == "command-rejected" and e.get("business_id") == business,
        what="an answer to 1e400",
    )
    assert answer["field"] == "quantity"


async def test_good_records_between_bad_ones_are_applied(
    client: Client, addresses: Mapping[str, str]
) -> None:
    business = f"good-{uuid4().hex}"
    good = [
        {
            "type": "put-product",
            "business_id": business,
            "product_id": f"p{n}",
            "name": f"P {n}",
            "product_type": "finished-good",
        }
        for n in range(20)
    ]
    producer = AIOKafkaProducer(bootstrap_servers=addresses["KAFKA_BOOTSTRAP_SERVERS"])
    await producer.start()
    for number, message in enumerate(good):
        body = UNREADABLE[number % 5][1]
        await producer.send("inventory.commands.v1", body, key=business.encode())
        await producer.send(
            "inventory.commands.v1", json.dumps(message).encode(), key=business.encode()
        )
    await producer.stop()
    for message in good:
        await client.wait_for(
            _put(business, message["product_id"]), what=f"product {message['product_id']}"
        )


def _put(business: str, product_id: str) -> Callable[[Event], bool]:
    return lambda e: (
        e["type"] == "product-changed"
        and (e["business_id"], e["product_id"]) == (business, product_id)
    )
