"""The counts of a run add up: rules SY5, I7."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sales_processor.domain.summary import CountsDifferError, fit, summarize

outcomes = st.lists(
    st.tuples(
        st.sampled_from(
            [
                ("created", None),
                ("updated", None),
                ("voided", None),
                ("error", None),
                ("skipped", "unchanged"),
                ("skipped", "irrelevant-change"),
            ]
        ),
        st.integers(1, 1000),
    ),
    unique_by=lambda outcome: outcome[0],
)


def test_counts_of_a_run() -> None:
    counts = summarize(
        [
            ("created", None, 3),
            ("voided", None, 1),
            ("error", None, 2),
            ("skipped", "unchanged", 4),
            ("skipped", "older-version", 1),
        ],
        unchanged=10,
        connector_errors=5,
        received=11,
    )

    assert (counts.received, counts.created, counts.updated, counts.voided) == (26, 3, 0, 1)
    assert (counts.errors, counts.skipped) == (7, {"older-version": 1, "unchanged": 14})


@given(outcomes, st.integers(0, 50), st.integers(0, 50))
def test_the_five_counts_add_up(
    found: list[tuple[tuple[str, str | None], int]], unchanged: int, errors: int
) -> None:
    counts = summarize(
        [(*kind, count) for kind, count in found],
        unchanged=unchanged,
        connector_errors=errors,
        received=sum(count for _, count in found),
    )

    counted = counts.created + counts.updated + counts.voided + counts.errors
    assert counted + sum(counts.skipped.values()) == counts.received
    assert all(counts.skipped.values()), "only reasons that occurred"


def test_counts_that_differ_are_refused() -> None:
    with pytest.raises(CountsDifferError):
        summarize([("created", None, 3)], unchanged=0, connector_errors=0, received=4)


def _error(number: int) -> dict[str, str]:
    return {"kind": "invoice", "external_id": str(number), "code": "x", "message": "m" * 900}


def test_errors_that_fit_are_told_in_full() -> None:
    errors = [_error(number) for number in range(100)]

    assert fit(errors) == (errors, 0)


def test_many_errors_are_told_briefly() -> None:
    kept, omitted = fit([_error(number) for number in range(3_000)])

    assert (len(kept), omitted) == (3_000, 0)
    assert kept[0]["message"] == "m" * 900
    assert "HTTP" in kept[-1]["message"]
    assert kept[-1]["external_id"] == "2999"


def test_errors_that_have_no_room_are_counted() -> None:
    kept, omitted = fit([_error(number) for number in range(20_000)])

    assert len(kept) + omitted == 20_000
    assert omitted > 0
    assert len(json.dumps(kept)) < 1_000_000
