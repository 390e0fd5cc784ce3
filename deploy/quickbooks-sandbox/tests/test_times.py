"""Times as QuickBooks Online writes them: Pacific offset of that day, whole seconds, across DST."""

from datetime import UTC, datetime

import pytest

from quickbooks_sandbox.clock import milliseconds_text, parse_instant, seconds_text
from quickbooks_sandbox.testing import SandboxClient

CHAIR = [{"item": "Oak Chair", "qty": 1}]


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        ("2026-03-08T09:59:59Z", "2026-03-08T01:59:59-08:00"),
        ("2026-03-08T10:00:00Z", "2026-03-08T03:00:00-07:00"),
        ("2026-11-01T08:30:00Z", "2026-11-01T01:30:00-07:00"),
        ("2026-11-01T09:10:00Z", "2026-11-01T01:10:00-08:00"),
    ],
)
def test_seconds_carry_the_offset_of_their_day(instant: str, text: str) -> None:
    assert seconds_text(int(parse_instant(instant).timestamp())) == text


def test_the_envelope_time_has_milliseconds() -> None:
    instant = datetime(2026, 11, 1, 9, 10, 0, 7000, tzinfo=UTC)
    assert milliseconds_text(instant) == "2026-11-01T01:10:00.007-08:00"


@pytest.mark.parametrize(
    "text",
    [
        "2026-07-01T12:00:00-07:00",
        "2026-07-01T12:00:00-0700",
        "2026-07-01T19:00:00Z",
        "2026-07-01T12:00:00",
        "2026-07-01T19:00:00.000+00:00",
    ],
)
def test_filters_may_write_the_same_instant_in_many_ways(text: str) -> None:
    assert parse_instant(text) == datetime(2026, 7, 1, 19, tzinfo=UTC)


def test_rows_are_ordered_by_instant_and_not_by_text_when_dst_ends(sandbox: SandboxClient) -> None:
    sandbox.fix_clock("2026-11-01T01:30:00-07:00")
    first = sandbox.record("invoices", lines=CHAIR)
    sandbox.control("PUT", "/clock", {"advance_seconds": 2400})
    second = sandbox.record("invoices", lines=CHAIR)
    assert first["MetaData"]["LastUpdatedTime"] == "2026-11-01T01:30:00-07:00"
    assert second["MetaData"]["LastUpdatedTime"] == "2026-11-01T01:10:00-08:00"
    page = sandbox.page("Invoice", "ORDERBY MetaData.LastUpdatedTime")
    assert [row["Id"] for row in page["Invoice"]] == [first["Id"], second["Id"]]
    later = sandbox.rows("Invoice", "MetaData.LastUpdatedTime > '2026-11-01T01:30:00-07:00'")
    assert [row["Id"] for row in later] == [second["Id"]]


def test_a_raw_plus_in_an_offset_becomes_a_space_and_breaks_the_filter(
    sandbox: SandboxClient,
) -> None:
    where = "MetaData.LastUpdatedTime%20>%20'2026-11-01T10:00:00+01:00'"
    address = sandbox.address(f"query?query=select%20*%20from%20Invoice%20where%20{where}")
    answer = sandbox.http.get(address, headers=sandbox.headers())
    assert answer.json()["Fault"]["Error"][0]["code"] == "4001"


def test_the_clock_can_stand_run_shifted_jump_and_be_real(sandbox: SandboxClient) -> None:
    sandbox.fix_clock("2020-01-01T00:00:00Z")
    assert sandbox.control("GET", "")["now"] == "2019-12-31T16:00:00.000-08:00"
    now = sandbox.control("PUT", "/clock", {"advance_seconds": 1.5})["now"]
    assert now == "2019-12-31T16:00:01.500-08:00"
    shifted = sandbox.control("PUT", "/clock", {"offset_seconds": 86_400})["now"]
    real = sandbox.control("PUT", "/clock", {"real": True})["now"]
    apart = parse_instant(shifted) - parse_instant(real)
    assert 86_390 < apart.total_seconds() < 86_410
