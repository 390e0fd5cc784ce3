"""Answers that are no success, and JSON that is exact."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel_connector.clients.quickbooks import faults, wire

XML = b'<?xml version="1.0"?><IntuitResponse><Fault type="SERVICE"/></IntuitResponse>'
HTML = b"<!DOCTYPE html><html><body>Bad Gateway</body></html>"


def fault(code: str, kind: str = "ValidationFault") -> bytes:
    error = {"Message": "words", "Detail": "more words", "code": code}
    return wire.encode({"Fault": {"Error": [error], "type": kind}, "time": "x"})


def lowercase(code: str) -> bytes:
    error = {"message": "words", "detail": "more words", "code": code}
    return wire.encode({"fault": {"error": [error], "type": "AUTHENTICATION"}, "time": 1})


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (429, XML, faults.ThrottledError),
        (429, b"", faults.ThrottledError),
        (403, fault("003001"), faults.ThrottledError),
        (500, fault("10000", "SystemFault"), faults.TemporaryError),
        (400, fault("10000", "SystemFault"), faults.TemporaryError),
        (400, fault("150"), faults.TemporaryError),
        (502, HTML, faults.TemporaryError),
        (503, b"", faults.TemporaryError),
        (408, b"", faults.TemporaryError),
        (200, HTML, faults.TemporaryError),
        (200, b'{"QueryResponse":{"Invoi', faults.TemporaryError),
        (200, b"[]", faults.TemporaryError),
        (200, b"[" * 100_000, faults.TemporaryError),
        (401, lowercase("3200"), faults.TokenRejectedError),
        (401, HTML, faults.TokenRejectedError),
        (403, lowercase("3100"), faults.CompanyStoppedError),
        (403, HTML, faults.CompanyStoppedError),
        (400, fault("120"), faults.CompanyStoppedError),
        (400, fault("6190"), faults.CompanyStoppedError),
        (400, fault("610"), faults.WrongRequestError),
        (400, fault("4001"), faults.WrongRequestError),
        (400, fault("500"), faults.WrongRequestError),
        (404, HTML, faults.WrongRequestError),
        (200, fault("4001"), faults.WrongRequestError),
        (200, fault("10000", "SystemFault"), faults.TemporaryError),
    ],
)
def test_answers_become_errors(status: int, content: bytes, expected: type[Exception]) -> None:
    with pytest.raises(faults.QuickBooksError) as caught:
        faults.body_of(status, content)
    assert type(caught.value) is expected


@pytest.mark.parametrize("place", ["QueryResponse", "CDCResponse"])
def test_a_fault_inside_a_success_is_a_fault(place: str) -> None:
    inner: Any = wire.decode(fault("4001"))
    body = {
        "QueryResponse": inner,
        "CDCResponse": [{"QueryResponse": [{}, inner]}],
    }
    with pytest.raises(faults.WrongRequestError) as caught:
        faults.body_of(200, wire.encode({place: body[place]}))
    assert caught.value.code == "4001"


def test_an_error_says_what_quickbooks_said_without_the_detail() -> None:
    with pytest.raises(faults.TokenRejectedError) as caught:
        faults.body_of(401, lowercase("3200"))
    assert str(caught.value) == "QuickBooks said 3200: words"


def test_a_success_is_its_body() -> None:
    body = faults.body_of(200, b'{"QueryResponse":{},"time":"x"}')
    assert body == {"QueryResponse": {}, "time": "x"}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_json_keeps_every_value(value: object) -> None:
    assert wire.decode(wire.encode({"value": value}))["value"] == value


def test_numbers_keep_their_digits() -> None:
    text = b'{"a":100.0,"b":0.5306667,"c":7,"d":1.10}'
    assert wire.encode(wire.decode(text)) == text


def test_constants_that_are_no_json_are_refused() -> None:
    for text in (b"NaN", b"[Infinity]", b'{"a":-Infinity}'):
        with pytest.raises(ValueError, match="not JSON"):
            wire.decode(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-01T01:30:00-07:00", datetime(2026, 11, 1, 8, 30, tzinfo=UTC)),
        ("2026-11-01T01:10:00-08:00", datetime(2026, 11, 1, 9, 10, tzinfo=UTC)),
        ("2015-10-05T14:42:19-0700", datetime(2015, 10, 5, 21, 42, 19, tzinfo=UTC)),
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        (
            "2026-01-01T00:00:00.123456789Z",
            datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC),
        ),
        ("2026-01-01T00:00:00", None),
        ("soon", None),
        (7, None),
    ],
)
def test_instants(text: object, expected: datetime | None) -> None:
    assert wire.instant(text) == expected


def test_numbers_and_days() -> None:
    assert wire.number("1.5") == Decimal("1.5")
    assert wire.number(None) is None
    assert wire.day("2026-03-02") == date(2026, 3, 2)
    assert wire.day("2026-13-02") is None
    wrong_ones: list[object] = ["x", True, {}, "Infinity"]
    for wrong in wrong_ones:
        with pytest.raises(ValueError, match="is not a number"):
            wire.number(wrong)
