"""Cursors: what a list gave comes back as it was, and anything else is refused."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from chassis.http import decode_cursor, encode_cursor


@pytest.mark.parametrize(
    ("position", "kinds", "value"),
    [
        (("sale-1",), (str,), ("sale-1",)),
        (("2026-03-02", 7), (date, int), (date(2026, 3, 2), 7)),
        (
            ("2026-03-02T09:00:00-07:00", "a"),
            (datetime, str),
            (datetime(2026, 3, 2, 16, tzinfo=UTC), "a"),
        ),
    ],
)
def test_a_cursor_brings_its_position_back(
    position: tuple[str | int, ...], kinds: tuple[type, ...], value: tuple[Any, ...]
) -> None:
    assert decode_cursor(encode_cursor(*position), *kinds) == value


@pytest.mark.parametrize(
    ("position", "kinds"),
    [
        (("a", "b"), (str,)),
        (("7",), (int,)),
        ((True,), (int,)),
        ((7,), (str,)),
        ((2**63,), (int,)),
        (("a\x00",), (str,)),
        (("2026-02-30",), (date,)),
        (("2026-03-02",), (int,)),
        (("soon",), (datetime,)),
        (("9999-12-31T23:59:59-14:00",), (datetime,)),
        (("0001-01-01T00:00:00+14:00",), (datetime,)),
    ],
)
def test_a_position_that_no_list_gave_is_refused(
    position: tuple[str | int, ...], kinds: tuple[type, ...]
) -> None:
    with pytest.raises(HTTPException, match="422"):
        decode_cursor(encode_cursor(*position), *kinds)


@pytest.mark.parametrize("cursor", ["", "%%%", "bm9wZQ", "e30", "Ww"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(HTTPException, match="422"):
        decode_cursor(cursor, str)
