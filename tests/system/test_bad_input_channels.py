"""Commands about channels that are wrong: answered by field, and nothing else changes."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from contracts.topics import dead_letter_topic
from salesync.client import Client, Event

from .bad_input import INVALID, Row, answers_to, assert_told

TOPIC = "channels.commands.v1"
UNKNOWN = "unknown-channel"
PLAN = "max_accounting_connections"
ENDLESS = "x" * 201


def enable(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"type": "enable-sales-tracking", **fields}


def connect(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "type": "connect-channel",
        "connection_id": "{ours}-connection",
        "channel_type": "accounting",
        "initial_sync_date": "2026-01-01",
        **fields,
    }


def of(kind: str, channel_id: str = "{ours}-channel", **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"type": kind, "channel_id": channel_id, **fields}


def settings(**values: Any) -> dict[str, Any]:  # noqa: ANN401
    return of("configure-channel", settings=values)


AIMED: list[tuple[str, dict[str, Any]]] = [
    ("activate-channel", {}),
    ("deactivate-channel", {}),
    ("configure-channel", {"settings": {}}),
]
INTERVAL = "settings.sync_interval_minutes"
DATE = "initial_sync_date"

ROWS = [
    Row("a plan below nothing", enable(**{PLAN: -1}), INVALID, PLAN, "equal to 0"),
    Row("a huge plan", enable(**{PLAN: 1_001}), INVALID, PLAN, "equal to 1000"),
    Row("a plan of 30 digits", enable(**{PLAN: 10**30}), INVALID, PLAN, "1000"),
    Row("a till", connect(channel_type="pos"), "channel-type-reserved", "channel_type", "planned"),
    Row("a fax", connect(channel_type="fax"), "unknown-channel-type", "channel_type", "`fax`"),
    Row("no type", connect(channel_type=""), INVALID, "channel_type", "at least 1"),
    Row(
        "a second manual channel",
        connect(channel_type="manual"),
        "manual-channel",
        "channel_type",
        "enable-sales-tracking",
    ),
    Row("30 February", connect(initial_sync_date="2026-02-30"), INVALID, DATE, "date"),
    Row("year 0", connect(initial_sync_date="0000-01-01"), INVALID, DATE, "date"),
    Row("year 1800", connect(initial_sync_date="1800-01-01"), INVALID, DATE, "1900-01-01"),
    Row("year 9999", connect(initial_sync_date="9999-12-31"), INVALID, DATE, "2200-12-31"),
    Row(
        "no such connection",
        connect(connection_id="none"),
        "unknown-connection",
        "connection_id",
        "add it first",
    ),
    Row(
        "another business's connection",
        connect(connection_id="{theirs}-connection"),
        "unknown-connection",
        "connection_id",
        "add it first",
    ),
    Row(
        "a second channel",
        connect(channel_id="second"),
        "channel-limit-reached",
        "connection_id",
        "a connection may have one",
    ),
    Row(
        "another business's channel id",
        connect(channel_id="{theirs}-channel"),
        "id-in-use",
        "channel_id",
        "use another id",
    ),
    Row(
        "the own channel with another date",
        connect(channel_id="{ours}-channel", initial_sync_date="2025-01-01"),
        "id-in-use",
        "channel_id",
        "use another id",
    ),
    Row("an endless id", connect(channel_id=ENDLESS), INVALID, "channel_id", "200"),
    Row("an endless connection", connect(connection_id=ENDLESS), INVALID, "connection_id", "200"),
    Row(
        "a wrong setting at once",
        connect(settings={"returns": "burn"}),
        INVALID,
        "settings.returns",
        "original-lots",
    ),
    *(
        row
        for kind, more in AIMED
        for row in (
            Row(f"{kind} of nothing", of(kind, "none", **more), UNKNOWN, "channel_id", "none"),
            Row(
                f"{kind} of another business",
                of(kind, "{theirs}-channel", **more),
                UNKNOWN,
                "channel_id",
                "has no channel",
            ),
            Row(f"{kind} of no id", of(kind, "", **more), INVALID, "channel_id", "at least 1"),
            Row(f"{kind}, endless", of(kind, ENDLESS, **more), INVALID, "channel_id", "200"),
        )
    ),
    Row(
        "turning the manual channel off",
        of("deactivate-channel", "{manual}"),
        "manual-channel",
        "channel_id",
        "always available",
    ),
    Row("burned goods", settings(returns="burn"), INVALID, "settings.returns", "return-lot"),
    Row("every 0 minutes", settings(sync_interval_minutes=0), INVALID, INTERVAL, "equal to 1"),
    Row("every -5 minutes", settings(sync_interval_minutes=-5), INVALID, INTERVAL, "equal to 1"),
    Row("every month or so", settings(sync_interval_minutes=43_201), INVALID, INTERVAL, "43200"),
    Row("syncing nothing", of("sync-requested", "none"), UNKNOWN, None, "no such channel"),
    Row(
        "syncing another business",
        of("sync-requested", "{theirs}-channel"),
        UNKNOWN,
        None,
        "no such channel",
    ),
    Row(
        "syncing by hand",
        of("sync-requested", "{manual}"),
        "manual-channel",
        None,
        "record its sales directly",
    ),
    Row("a sync of no id", of("sync-requested", sync_id=""), INVALID, "sync_id", "at least 1"),
    Row("an endless sync", of("sync-requested", sync_id=ENDLESS), INVALID, "sync_id", "200"),
    Row(
        "another business's sync",
        of("sync-requested", sync_id="{theirs}-sync"),
        "id-in-use",
        "sync_id",
        "use another",
    ),
    Row(
        "an endless reason",
        of("sync-requested", requested_by="x" * 4_001),
        INVALID,
        "requested_by",
        "4000",
    ),
]

MISSHAPEN: list[tuple[dict[str, Any], str]] = [
    (enable(), "business_id"),
    (enable(business_id=7), "business_id"),
    (enable(business_id="b", **{PLAN: "many"}), PLAN),
    (enable(business_id="b", **{PLAN: True}), PLAN),
    ({**connect(), "channel_type": None, "business_id": "b"}, "channel_type"),
    ({"type": "connect-channel", "business_id": "b", "connection_id": "c"}, "channel_type"),
    ({**connect(business_id="b"), "initial_sync_date": 20_260_101}, DATE),
    ({**connect(business_id="b"), "initial_sync_date": "yesterday"}, DATE),
    (connect(business_id="b", settings=[]), "settings"),
    ({"type": "activate-channel", "business_id": "b"}, "channel_id"),
    ({"type": "deactivate-channel", "business_id": "b", "channel_id": ["c"]}, "channel_id"),
    ({"type": "deactivate-channel", "business_id": "b", "channel_id": "c\x00"}, "channel_id"),
    ({"type": "configure-channel", "business_id": "b", "channel_id": "c"}, "settings"),
    (settings(webhooks="sometimes") | {"business_id": "b"}, "settings.webhooks"),
    ({"type": "sync-requested", "business_id": "b", "sync_id": "s"}, "channel_id"),
    (of("sync-requested", business_id="b", sync_id={}), "sync_id"),
]


@pytest.mark.timeout(120)
async def test_a_wrong_command_is_refused_by_field_and_changes_nothing(client: Client) -> None:
    ours, theirs = f"bad-{uuid4().hex}", f"others-{uuid4().hex}"
    for business in (ours, theirs):
        await _open(client, business)
    before = [await _facts(client, business) for business in (ours, theirs)]
    places = {"ours": ours, "theirs": theirs, "manual": str(uuid5(NAMESPACE_URL, f"{ours}/manual"))}
    told = json.dumps(ROWS)
    for name, value in places.items():
        told = told.replace(f"{{{name}}}", value)
    rows = [Row(*row) for row in json.loads(told)]
    assert_told(rows, await answers_to(client, ours, rows))
    assert [await _facts(client, business) for business in (ours, theirs)] == before
    assert (await client.sync(ours, f"{ours}-channel"))["type"] == "sync-completed"


async def test_what_lacks_a_field_or_has_another_type_is_a_dead_letter_that_names_it(
    addresses: Mapping[str, str],
) -> None:
    brokers = addresses["KAFKA_BOOTSTRAP_SERVERS"]
    key = f"bad-{uuid4().hex}".encode()
    producer = AIOKafkaProducer(bootstrap_servers=brokers)
    letters = AIOKafkaConsumer(
        dead_letter_topic(TOPIC, "channel-connector"),
        bootstrap_servers=brokers,
        auto_offset_reset="earliest",
    )
    await producer.start()
    await letters.start()
    try:
        for body, _ in MISSHAPEN:
            await producer.send_and_wait(TOPIC, json.dumps(body).encode(), key=key)
        found: list[Any] = []
        while len(found) < len(MISSHAPEN):
            letter = await letters.getone()
            if letter.key == key:
                found.append(letter)
    finally:
        await producer.stop()
        await letters.stop()
    for letter, (body, field) in zip(found, MISSHAPEN, strict=True):
        said = dict(letter.headers)
        assert json.loads(letter.value) == body
        assert said["dlq.reason"] == b"wrong-shape", body
        assert f"`{field}`" in said["dlq.message"].decode(), body


async def _open(client: Client, business: str) -> None:
    """A business with a connection, a channel on it and a sync."""
    realm = str(uuid4().int)[:16]
    await client.send(
        "QUICKBOOKS_SANDBOX",
        "POST",
        "/control/companies",
        {"realm": realm, "refresh_token": f"token-{business}"},
    )
    await client.send(
        "CHANNEL_CONNECTOR",
        "POST",
        f"/businesses/{business}/connections",
        {
            "realm_id": realm,
            "refresh_token": f"token-{business}",
            "connection_id": f"{business}-connection",
        },
    )
    channel_id = f"{business}-channel"
    made = connect(connection_id=f"{business}-connection", channel_id=channel_id)
    wanted = of("sync-requested", channel_id, sync_id=f"{business}-sync")
    await client.publish(*({**one, "business_id": business} for one in (enable(), made, wanted)))
    await client.wait_for(
        lambda e: e["type"] == "sync-completed" and e["sync_id"] == f"{business}-sync",
        what=f"the first sync of {business}",
    )


async def _facts(client: Client, business: str) -> list[list[Event]]:
    """Everything that commands could change of a business."""
    channels = await client.list("CHANNEL_CONNECTOR", f"/businesses/{business}/channels")
    plans = [
        one
        for one in await client.list("CHANNEL_CONNECTOR", "/businesses", limit=1_000)
        if one["business_id"] == business
    ]
    return [
        plans,
        channels,
        await client.list("CHANNEL_CONNECTOR", f"/businesses/{business}/connections"),
        *[
            await client.list("CHANNEL_CONNECTOR", f"/channels/{channel['channel_id']}/syncs")
            for channel in channels
        ],
    ]
