"""`publish`: what is checked, what is said, and what reaches Kafka."""

import asyncio
import json
from pathlib import Path

import pytest
from aiokafka import ConsumerRecord
from typer.testing import CliRunner

import local_stack
from salesync.__main__ import app
from salesync.kafka import records
from salesync.publish import check
from salesync.topics import apply_all

LOT = {
    "type": "receive-lot",
    "business_id": "acme",
    "product_id": "walnut-desk",
    "quantity": "20",
    "unit_cost": "145.00",
    "received_on": "2026-01-05",
}


def _line(**changes: object) -> bytes:
    return json.dumps({**LOT, **changes}).encode()


def test_a_good_line_gets_topic_and_key_from_the_contracts_and_keeps_its_bytes() -> None:
    messages, faults = check([b'  {"type":"void-lot",  "business_id":"acme","lot_id":"x"}  ', b""])
    assert faults == []
    (message,) = messages
    assert (message.topic, message.key) == ("inventory.commands.v1", "acme")
    assert message.body == b'{"type":"void-lot",  "business_id":"acme","lot_id":"x"}'


@pytest.mark.parametrize(
    ("line", "field", "text"),
    [
        (b"hello", None, "line 1: This is not valid JSON"),
        (b"[" * 100_000, None, "line 1: This is not valid JSON"),
        (b"\xff\xfe", None, "line 1: This is not valid JSON"),
        (b"[]", None, "This is JSON, but not an object. Write {…} with a `type`."),
        (b"{}", "type", "line 1: `type` is missing. It is one of activate-channel, adjust-lot,"),
        (b'{"type": "sync-request"}', "type", "Did you mean `sync-requested`?"),
        (b'{"type": 5}', "type", "`type` is 5, which is unknown. It is one of"),
        (b'{"type": [1]}', "type", "`type` is [1], which is unknown."),
        (
            b'{"type": "command-rejected"}',
            "type",
            "which each service sends on a topic of its own. Send a command instead.",
        ),
        (_line(quantity=0), "quantity", "`quantity`: Input should be greater than 0 (got 0)."),
        (_line(quantity="ten"), "quantity", "See contracts/schemas/inventory.commands.v1/receive"),
        (_line(quantity=float("nan")), None, "NaN is not JSON"),
        (_line(received_on=20260105), "received_on", "ISO 8601"),
        (b'{"type": "void-lot", "business_id": "acme"}', "lot_id", "`lot_id`: Field required."),
    ],
)
def test_a_wrong_line_is_named_with_its_field_and_what_to_do(
    line: bytes, field: str | None, text: str
) -> None:
    messages, (fault,) = check([line])
    assert messages == []
    assert fault.field == field
    assert text in str(fault)


def test_lines_are_counted_as_in_the_file() -> None:
    _, faults = check([_line(), b"", b"nonsense", _line(), _line(quantity=-1)])
    assert [fault.line for fault in faults] == [3, 5]


@pytest.fixture
def brokers(stack: local_stack.Stack, monkeypatch: pytest.MonkeyPatch) -> str:
    """A cluster with the topics of the contracts, known to the commands."""
    apply_all(stack.bootstrap_servers)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", stack.bootstrap_servers)
    return stack.bootstrap_servers


def _stored(brokers: str, topic: str, business: str) -> list[ConsumerRecord[bytes, bytes]]:
    async def read() -> list[ConsumerRecord[bytes, bytes]]:
        return [r async for r in records(brokers, [topic]) if r.key == business.encode()]

    return asyncio.run(read())


def test_messages_reach_their_topics_in_order_with_key_and_headers(
    brokers: str, tmp_path: Path
) -> None:
    lines = [_line(business_id="published", lot_number=f"L-{n}") for n in range(1200)]
    lines.append(b'{"type": "sync-requested", "business_id": "published", "channel_id": "c"}')
    file = tmp_path / "messages.jsonl"
    file.write_bytes(b"\n".join(lines) + b"\n\n")
    result = CliRunner().invoke(app, ["publish", str(file)])
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            "1200 to inventory.commands.v1",
            "1 to channels.commands.v1",
            "Published 1201 messages.",
        ],
    )
    lots = _stored(brokers, "inventory.commands.v1", "published")
    assert [record.value for record in lots] == lines[:1200]
    assert len({record.partition for record in lots}) == 1
    (sync,) = _stored(brokers, "channels.commands.v1", "published")
    headers = dict(sync.headers)
    assert headers["ce_type"] == b"sync-requested"
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_source"] == b"/salesync"
    assert headers["ce_subject"] == b"published"
    assert headers["content-type"] == b"application/json"
    assert len({dict(record.headers)["ce_id"] for record in [*lots, sync]}) == 1201


def test_one_wrong_line_keeps_all_others_back(brokers: str) -> None:
    lines = b"\n".join([_line(business_id="kept-back"), b"nonsense", _line(quantity=0)])
    result = CliRunner().invoke(app, ["publish"], input=lines)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0].startswith("line 2: This is not valid JSON")
    assert result.stderr.splitlines()[1].startswith("line 3: `quantity`: ")
    assert result.stderr.splitlines()[2] == "Nothing was published."
    assert _stored(brokers, "inventory.commands.v1", "kept-back") == []


def test_a_script_gets_json(brokers: str) -> None:
    good = CliRunner().invoke(
        app, ["publish", "-", "--json"], input=_line(business_id="json-" + brokers)
    )
    assert json.loads(good.stdout) == {"published": 1, "topics": {"inventory.commands.v1": 1}}
    bad = CliRunner().invoke(app, ["publish", "--json"], input=_line(quantity=0))
    assert bad.exit_code == 1
    (fault,) = json.loads(bad.stdout)["faults"]
    assert (fault["line"], fault["field"], fault["advice"]) == (1, "quantity", "Correct the value.")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["publish", str(tmp_path / "none.jsonl")])
    assert str(result.exception).endswith("Name a file of JSON lines, or `-` for standard input.")


def test_no_kafka_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = CliRunner().invoke(app, ["publish"], input=_line())
    assert isinstance(result.exception, local_stack.StackError)
    assert "Check KAFKA_BOOTSTRAP_SERVERS" in str(result.exception)
