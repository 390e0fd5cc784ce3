"""Whatever stands in a record, reading it ends in a message, as unreadable or as a wrong value."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.inventory import ReceiveLot
from contracts.registry import (
    BODY_BYTES_MAX,
    TOPIC_MESSAGES,
    UnreadableError,
    WrongValueError,
    command_topics,
    read,
    record_key,
    topics_by_type,
)

TOPIC = "inventory.commands.v1"
LOT: dict[str, Any] = {
    "type": "receive-lot",
    "business_id": "acme",
    "product_id": "walnut-desk",
    "quantity": "20",
    "unit_cost": "145.00",
    "received_on": "2026-01-05",
}


def _with(field: str, text: str) -> bytes:
    """The lot with a field as this piece of JSON text."""
    return json.dumps({**LOT, field: "@@"}).replace('"@@"', text).encode()


def _lot(body: bytes) -> ReceiveLot:
    message = read(TOPIC, body)
    assert isinstance(message, ReceiveLot)
    return message


NO_MESSAGE: dict[str, tuple[bytes | None, str]] = {
    "no body": (None, "no-body"),
    "an empty body": (b"", "no-body"),
    "2 MB": (b" " * 2_000_000, "too-large"),
    "a byte too many": (b" " * (BODY_BYTES_MAX + 1), "too-large"),
    "white space": (b"   ", "not-json"),
    "prose": (b"hello", "not-json"),
    "half an object": (b'{"type": "receive-lot"', "not-json"),
    "two objects": (b"{} {}", "not-json"),
    "a trailing comma": (json.dumps(LOT)[:-1].encode() + b",}", "not-json"),
    "single quotes": (b"{'type': 'receive-lot'}", "not-json"),
    "a comment": (b'/* lot */ {"type": "receive-lot"}', "not-json"),
    "NaN": (_with("quantity", "NaN"), "not-json"),
    "Infinity": (_with("quantity", "Infinity"), "not-json"),
    "-Infinity": (_with("quantity", "-Infinity"), "not-json"),
    "a leading zero": (_with("quantity", "01"), "not-json"),
    "hexadecimal": (_with("quantity", "0x10"), "not-json"),
    "5,000 digits": (_with("quantity", "9" * 5000), "not-json"),
    "a line feed in a text": (_with("product_id", '"a\nb"'), "not-json"),
    "a lone surrogate": (_with("product_id", '"\\ud800"'), "not-json"),
    "a lone surrogate in an unknown field": (_with("colour", '"\\udfff"'), "not-json"),
    "Latin-1": (_with("product_id", '"@"').replace(b"@", b"\xe9"), "not-json"),
    "UTF-16": (json.dumps(LOT).encode("utf-16"), "not-json"),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(LOT).encode(), "not-json"),
    "100,000 brackets": (b"[" * 100_000, "not-json"),
    "100,000 brackets, closed": (b"[" * 100_000 + b"]" * 100_000, "not-json"),
    "100,000 brackets in a field": (_with("a", "[" * 100_000 + "]" * 100_000), "not-json"),
    "100,000 braces in a field": (_with("a", '{"a":' * 100_000 + "1" + "}" * 100_000), "not-json"),
    "300 brackets in a field": (_with("a", "[" * 300 + "]" * 300), "not-json"),
    "null": (b"null", "not-an-object"),
    "a number": (b"5", "not-an-object"),
    "a text": (b'"receive-lot"', "not-an-object"),
    "a list": (b"[]", "not-an-object"),
    "an empty object": (b"{}", "unknown-type"),
    "a type of another topic": (_with("type", '"sync-requested"'), "unknown-type"),
    "a type in capitals": (_with("type", '"Receive-Lot"'), "unknown-type"),
    "a number as type": (_with("type", "5"), "unknown-type"),
    "null as type": (_with("type", "null"), "unknown-type"),
    "a deep list as type": (_with("type", "[" * 150 + "]" * 150), "unknown-type"),
}


@pytest.mark.parametrize("name", NO_MESSAGE)
def test_what_is_no_message_is_unreadable(name: str) -> None:
    body, reason = NO_MESSAGE[name]
    with pytest.raises(UnreadableError) as caught:
        read(TOPIC, body)
    assert caught.value.reason == reason
    assert 10 < len(str(caught.value)) < 400


@pytest.mark.parametrize("field", [name for name in LOT if name != "type"])
def test_a_missing_field_is_named(field: str) -> None:
    body = {name: value for name, value in LOT.items() if name != field}
    with pytest.raises(UnreadableError, match=f"`{field}`: Field required") as caught:
        read(TOPIC, json.dumps(body).encode())
    assert caught.value.reason == "wrong-shape"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("quantity", '"ten"'),
        ("quantity", '""'),
        ("quantity", '"NaN"'),
        ("quantity", '"Infinity"'),
        ("quantity", '"1,000"'),
        ("quantity", "true"),
        ("quantity", "null"),
        ("quantity", "[]"),
        ("quantity", "{}"),
        ("business_id", "5"),
        ("business_id", "null"),
        ("business_id", '["acme"]'),
        ("business_id", '"a\\u0000b"'),
        ("lot_number", '"a\\u0000b"'),
        ("lot_id", "7"),
        ("received_on", "20260105"),
        ("received_on", "86400"),
        ("received_on", '"86400"'),
        ("received_on", '"20260105"'),
        ("received_on", '"05.01.2026"'),
        ("received_on", '"2026-1-5"'),
        ("received_on", '"2026-01-05T10:30:00Z"'),
        ("received_on", '""'),
        ("received_on", "true"),
        ("received_on", "null"),
        ("received_on", '"2026-01-05\\u0000"'),
    ],
)
def test_a_value_of_the_wrong_type_is_unreadable_and_named(field: str, text: str) -> None:
    with pytest.raises(UnreadableError, match=f"^`{field}`: ") as caught:
        read(TOPIC, _with(field, text))
    assert caught.value.reason == "wrong-shape"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("quantity", "0"),
        ("quantity", '"0.000"'),
        ("quantity", "-1"),
        ("quantity", "1e400"),
        ("quantity", "-1e400"),
        ("quantity", '"1e400"'),
        ("quantity", "1e-400"),
        ("quantity", '"1e-400"'),
        ("quantity", '"0.0000001"'),
        ("quantity", "1234567890"),
        ("quantity", '"1e999999999"'),
        ("quantity", "9" * 400),
        ("quantity", f'"{"9" * 5000}"'),
        ("unit_cost", '"-0.01"'),
        ("business_id", '""'),
        ("business_id", f'"{"x" * 201}"'),
        ("lot_id", '""'),
        ("received_on", '"0000-01-01"'),
        ("received_on", '"1899-12-31"'),
        ("received_on", '"9999-12-31"'),
        ("received_on", '"10000-01-01"'),
        ("received_on", '"2026-02-30"'),
        ("received_on", '"2026-13-01"'),
        ("received_on", '"2025-02-29"'),
    ],
)
def test_a_value_out_of_range_is_wrong_and_the_rejection_names_it(field: str, text: str) -> None:
    with pytest.raises(WrongValueError) as caught:
        read(TOPIC, _with(field, text))
    rejection = caught.value.rejection()
    assert caught.value.field == rejection.field == field
    assert (rejection.command, rejection.reason) == ("receive-lot", "invalid-value")
    assert rejection.product_id == "walnut-desk"
    assert rejection.business_id == (None if field == "business_id" else "acme")
    assert rejection.message.startswith(f"`{field}`: ")
    assert read("inventory.events.v1", rejection.encode()) == rejection


def test_the_wrong_type_weighs_more_than_the_wrong_value() -> None:
    body = {**LOT, "quantity": 0, "unit_cost": "ten"}
    with pytest.raises(UnreadableError, match=r"^`unit_cost`"):
        read(TOPIC, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "put-product", "name": "x", "product_id": "p", "product_type": "toy"}, None),
        ({"type": "consume-lots", "sale_id": "s", "revision": 0, "sale_date": "2026-01-20"}, None),
        (
            {
                "type": "consume-lots",
                "sale_id": "s",
                "revision": 1,
                "sale_date": "2026-01-20",
                "lines": [{"line_id": "1", "product_id": "p", "quantity": "1"}] * 5001,
            },
            "lines",
        ),
        (
            {
                "type": "consume-lots",
                "sale_id": "s",
                "revision": 1,
                "sale_date": "2026-01-20",
                "lines": [{"line_id": "1", "product_id": "p", "quantity": "1e400"}],
            },
            "lines.0.quantity",
        ),
    ],
)
def test_wrong_values_of_other_commands(body: dict[str, Any], field: str | None) -> None:
    with pytest.raises(WrongValueError) as caught:
        read(TOPIC, json.dumps({"business_id": "acme", **body}).encode())
    expected = field or {"put-product": "product_type", "consume-lots": "revision"}[body["type"]]
    assert caught.value.field == expected


def test_a_manual_sale_without_lines_is_wrong() -> None:
    body = {
        "type": "record-manual-sale",
        "business_id": "acme",
        "sale_date": "2026-02-04",
        "lines": [],
    }
    with pytest.raises(WrongValueError) as caught:
        read("sales.commands.v1", json.dumps(body).encode())
    assert caught.value.field == "lines"


@pytest.mark.parametrize("value", [True, 1.5, "1", "one"])
def test_a_revision_that_is_no_integer_is_unreadable(value: object) -> None:
    body = {"type": "consume-lots", "business_id": "acme", "sale_id": "s", "revision": value}
    with pytest.raises(UnreadableError, match="`revision`"):
        read(TOPIC, json.dumps({**body, "sale_date": "2026-01-20"}).encode())


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ('"20"', Decimal(20)),
        ("20", Decimal(20)),
        ("0.1", Decimal("0.1")),
        ('"0.000001"', Decimal("0.000001")),
        ('"999999999.999999"', Decimal("999999999.999999")),
        ("2e1", Decimal(20)),
    ],
)
def test_decimals_are_exact_as_text_and_as_number(text: str, quantity: Decimal) -> None:
    assert _lot(_with("quantity", text)).quantity == quantity


def test_unknown_fields_are_ignored_and_the_last_of_two_equal_names_counts() -> None:
    body = b'{"colour": "brown", "quantity": "1", ' + json.dumps(LOT)[1:].encode()
    assert _lot(body).quantity == Decimal(20)


def test_text_beyond_latin_is_kept() -> None:
    assert _lot(_with("lot_number", '"Ω-桌-\\ud83d\\ude80"')).lot_number == "Ω-桌-🚀"
    assert _lot(_with("received_on", '"2024-02-29"')).received_on == date(2024, 2, 29)


def test_an_instant_needs_an_offset() -> None:
    body = {"type": "sync-started", "business_id": "acme", "channel_id": "c", "sync_id": "s"}
    for started_at in ("2026-02-02T08:15:00", 1770020100, "1770020100"):
        with pytest.raises(UnreadableError, match="`started_at`"):
            read("channels.events.v1", json.dumps({**body, "started_at": started_at}).encode())


def test_every_command_type_has_one_topic_to_publish_it_to() -> None:
    topics = command_topics()
    assert topics["sync-requested"] == "channels.commands.v1"
    assert topics["record-manual-sale"] == "sales.commands.v1"
    assert topics["receive-lot"] == "inventory.commands.v1"
    assert "sale-recorded" not in topics


def test_a_message_goes_to_its_topic_under_its_key() -> None:
    topics = topics_by_type()
    assert topics["transaction-captured"] == "channels.transactions.v1"
    assert "command-rejected" not in topics
    product = read("inventory.products.v1", example("inventory.products.v1/product-changed"))
    assert record_key("inventory.products.v1", product).startswith("acme/")
    captured = read(
        "channels.transactions.v1", example("channels.transactions.v1/transaction-captured")
    )
    assert record_key("channels.transactions.v1", captured) == captured.channel_id  # type: ignore[attr-defined]
    connection = read("channels.events.v1", example("channels.events.v1/connection-changed"))
    assert record_key("channels.events.v1", connection) == connection.connection_id  # type: ignore[attr-defined]


def example(name: str) -> bytes:
    """The committed example of a type."""
    found = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    return json.dumps(found[0] if isinstance(found, list) else found).encode()


EXAMPLES = Path(__file__).resolve().parents[2] / "contracts" / "examples"

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\x00"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = sorted({name for ms in TOPIC_MESSAGES.values() for m in ms for name in m.model_fields})
_TYPES = [*sorted(command_topics()), "sale-recorded", "transaction-captured", "sync-completed"]


@given(
    topic=st.sampled_from(sorted(TOPIC_MESSAGES)),
    kind=st.sampled_from(_TYPES),
    fields=st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=12),
)
@settings(max_examples=300, deadline=None)
def test_any_object_ends_in_one_of_three_outcomes(
    topic: str, kind: str, fields: dict[str, Any]
) -> None:
    body = json.dumps({"type": kind, **fields}).encode()
    try:
        outcome: object = read(topic, body).type
    except UnreadableError as unreadable:
        outcome = unreadable.reason
    except WrongValueError as wrong:
        outcome = wrong.rejection().command
    assert outcome in {"not-json", "unknown-type", "wrong-shape", kind}


@given(topic=st.sampled_from(sorted(TOPIC_MESSAGES)), body=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_unreadable(topic: str, body: bytes) -> None:
    with pytest.raises(UnreadableError):
        read(topic, body)
