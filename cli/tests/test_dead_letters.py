"""`dlq`: dead letters are shown, sent back as they came, and dropped only when asked to."""

import asyncio
import base64
import json
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from typer.testing import CliRunner, Result

import local_stack
from chassis.dead_letters import dead_letter
from chassis.messages import Headers, Record
from salesync.__main__ import app
from salesync.kafka import records
from salesync.topics import apply_all

ORIGIN = "sales.commands.v1"
TOPIC = "sales.commands.v1.sales-processor.dlq"


@pytest.fixture
def brokers(stack: local_stack.Stack, monkeypatch: pytest.MonkeyPatch) -> str:
    """A cluster whose dead-letter topic is empty."""
    apply_all(stack.bootstrap_servers)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", stack.bootstrap_servers)
    _dlq("drop", TOPIC, "--yes")
    return stack.bootstrap_servers


def _dlq(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["dlq", *arguments], input=typed)


def _json(*arguments: str) -> list[dict[str, object]]:
    result = _dlq(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def _failed(
    brokers: str, *bodies: bytes | None, key: bytes | None = b"acme", headers: Headers = ()
) -> None:
    """Dead-letter records as a service does."""

    async def produce() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all")
        await producer.start()
        try:
            for number, body in enumerate(bodies):
                record = Record(ORIGIN, 1, 40 + number, key, body, headers)
                letter = dead_letter(
                    record,
                    group="sales-processor",
                    reason="not-json",
                    message="The body is not valid JSON.",
                )
                await producer.send_and_wait(
                    letter.topic,
                    letter.payload,
                    key=letter.key,
                    headers=list(letter.headers or ()),
                )
        finally:
            await producer.stop()

    asyncio.run(produce())


def _all(brokers: str, topic: str) -> Sequence[ConsumerRecord[bytes, bytes]]:
    async def read() -> list[ConsumerRecord[bytes, bytes]]:
        return [record async for record in records(brokers, [topic])]

    return asyncio.run(read())


def test_the_list_says_where_why_and_since_when(brokers: str) -> None:
    _failed(brokers, b"one", b"two")
    first, second = _json("list", "--topic", TOPIC)
    assert (first["topic"], first["from"]) == (TOPIC, "sales.commands.v1/1/40")
    assert (first["reason"], first["attempts"]) == ("not-json", "1")
    assert first["message"] == "The body is not valid JSON."
    assert str(first["failed_at"]).startswith("20")
    assert second["offset"] == int(str(first["offset"])) + 1
    assert "not-json" in _dlq("list").stdout


def test_an_empty_list_says_so(brokers: str) -> None:
    assert brokers
    assert "There are no dead letters." in _dlq("list", "--topic", TOPIC).stdout


def test_one_is_shown_with_key_headers_and_body(brokers: str) -> None:
    _failed(brokers, b"\xff\x00bytes", b"text", headers=(("ce_type", b"void-manual-sale"),))
    offsets = [str(letter["offset"]) for letter in _json("list", "--topic", TOPIC)]
    shown = _dlq("show", TOPIC, offsets[1]).stdout
    for part in ("not-json", "acme", "ce_type: void-manual-sale", "text", "sales.commands.v1/1/41"):
        assert part in shown
    whole = json.loads(_dlq("show", TOPIC, offsets[0], "--json").stdout)
    assert whole["body"] == "base64:" + base64.b64encode(b"\xff\x00bytes").decode()
    assert _dlq("show", TOPIC, offsets[0], "--raw").stdout_bytes == b"\xff\x00bytes"


def test_a_replay_sends_back_the_bytes_key_and_headers_that_came(brokers: str) -> None:
    before = len(_all(brokers, ORIGIN))
    _failed(
        brokers,
        b"\xff not json",
        None,
        key=b"replayed",
        headers=(("ce_id", b"42"), ("odd", b"\xfe"), ("dlq.attempts", b"2")),
    )
    result = _dlq("replay", TOPIC)
    assert result.stdout.startswith("Sent back 2."), result.output
    sent = [record for record in _all(brokers, ORIGIN) if record.key == b"replayed"]
    assert len(_all(brokers, ORIGIN)) == before + 2
    assert [record.value for record in sent] == [b"\xff not json", None]
    assert dict(sent[0].headers) == {"ce_id": b"42", "odd": b"\xfe", "dlq.attempts": b"3"}
    assert len(_json("list", "--topic", TOPIC)) == 2, "the letters stay until they are dropped"


def test_one_alone_can_be_replayed(brokers: str) -> None:
    _failed(brokers, b"first", b"second", b"third", key=b"alone")
    middle = _json("list", "--topic", TOPIC)[1]["offset"]
    assert _dlq("replay", TOPIC, "--offset", str(middle)).stdout.startswith("Sent back 1.")
    sent = [record.value for record in _all(brokers, ORIGIN) if record.key == b"alone"]
    assert sent == [b"second"]


def test_drop_asks_first_and_stops_where_it_is_told(brokers: str) -> None:
    _failed(brokers, b"first", b"second", b"third")
    offsets = [letter["offset"] for letter in _json("list", "--topic", TOPIC)]
    refused = _dlq("drop", TOPIC, typed="n\n")
    assert refused.exit_code == 1
    assert "Delete 3 dead letters" in refused.output
    assert len(_json("list", "--topic", TOPIC)) == 3
    dropped = _dlq("drop", TOPIC, "--through", str(offsets[1]), typed="y\n")
    assert "Dropped 2." in dropped.output
    assert [letter["offset"] for letter in _json("list", "--topic", TOPIC)] == offsets[2:]
    assert "Dropped 1." in _dlq("drop", TOPIC, "--yes").output
    assert "nothing to drop" in _dlq("drop", TOPIC, "--yes").output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("show", "sales.commands.v1", "0"), "sales.commands.v1 is no dead-letter topic."),
        (("show", TOPIC, "99999999"), f"{TOPIC} has no dead letter at offset 99999999"),
        (("replay", TOPIC, "--offset", "99999999"), f"{TOPIC} has no dead letter at offset"),
    ],
)
def test_what_is_not_there_is_named(
    brokers: str, arguments: tuple[str, ...], sentence: str
) -> None:
    assert brokers
    assert str(_dlq(*arguments).exception).startswith(sentence)
