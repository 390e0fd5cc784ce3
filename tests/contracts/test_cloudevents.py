"""The headers that the outbox relay writes are CloudEvents 1.0 to a reader that is not ours."""

from datetime import UTC, datetime
from uuid import UUID

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from cloudevents.core.formats.json import JSONFormat

from chassis.messages import Headers, outgoing
from chassis.outbox import Relay
from contracts.channels import SyncStarted

STARTED = SyncStarted(
    business_id="acme",
    channel_id="acme-quickbooks",
    sync_id="acme-2026-02-02",
    started_at=datetime(2026, 2, 2, 8, 15, tzinfo=UTC),
)


def _published(traceparent: str | None = None) -> tuple[Headers, bytes]:
    """Headers and body as the relay sends them, from the row that the message becomes."""
    message = outgoing(
        "channels.events.v1",
        "acme-quickbooks",
        STARTED,
        source="/channel-connector",
        identity=STARTED.sync_id,
        traceparent=traceparent,
    )
    row = {
        "header_names": None,
        "header_values": None,
        "ce_time": message.time,
        "ce_id": message.id,
        "type": message.type,
        "aggregateid": message.subject,
        "traceparent": message.traceparent,
    }
    relay = Relay(database_url="unused", bootstrap_servers="unused", source="/channel-connector")
    assert message.payload is not None
    return relay._headers(row), message.payload


def test_the_cloudevents_library_reads_a_published_message() -> None:
    headers, body = _published()
    assert all(value is not None for _, value in headers)
    given = {name: value for name, value in headers if value is not None}
    event = from_binary_event(
        KafkaMessage(headers=given, key=b"acme-quickbooks", value=body), JSONFormat()
    )
    assert event.get_specversion() == "1.0"
    assert event.get_type() == "sync-started"
    assert event.get_source() == "/channel-connector"
    assert event.get_subject() == "acme-quickbooks"
    assert event.get_datacontenttype() == "application/json"
    time = event.get_time()
    assert time is not None
    assert time.tzinfo is not None
    assert UUID(event.get_id()).version == 5
    assert event.get_data() == {
        "type": "sync-started",
        "business_id": "acme",
        "channel_id": "acme-quickbooks",
        "sync_id": "acme-2026-02-02",
        "started_at": "2026-02-02T08:15:00Z",
    }


def test_the_same_fact_has_the_same_id_and_another_fact_another() -> None:
    ids = [dict(_published()[0])["ce_id"] for _ in range(2)]
    assert ids[0] == ids[1]
    other = outgoing(
        "channels.events.v1",
        "acme-quickbooks",
        STARTED,
        source="/channel-connector",
        identity="another run",
    )
    assert str(other.id).encode() not in ids


def test_the_trace_goes_along_as_its_own_header() -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert ("traceparent", traceparent.encode()) in _published(traceparent)[0]
