"""What a version does to a sale: rules SA4, SA5, SA6, SY5."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sales_processor.domain.intake import (
    Decision,
    accept,
    decide,
    next_revision,
    note,
    refuse,
    wait,
)
from sales_processor.domain.sale import Content, Line, Sale, State, taken_back

SALE = Sale("acme", "sale-1", "channel-1", "synced", "invoice", "101")
ZERO = Decimal(0)


def _line(number: int = 1, quantity: Decimal | None = Decimal(2)) -> Line:
    return Line(number, "7", "desk", "Desk", None, quantity, None, Decimal(10), ZERO, Decimal(10))


def _content(version: int = 0, *lines: Line) -> Content:
    return Content(
        version=version,
        sync_id="sync-1",
        number="N",
        customer_external_id=None,
        customer_name=None,
        sale_date=date(2026, 3, 1),
        currency=None,
        exchange_rate=None,
        total_amount=Decimal(10),
        tax_amount=ZERO,
        revenue=Decimal(10),
        lines=lines,
    )


def _sale(state: State, seen: int = 5, content_hash: str | None = "h") -> Sale:
    return Sale(
        *("acme", "sale-1", "channel-1", "synced", "invoice", "101"),
        state=state,
        seen_version=seen,
        content_hash=content_hash,
    )


@pytest.mark.parametrize(
    ("sale", "version", "void", "content_hash", "expected"),
    [
        (SALE, 0, False, "h", Decision.APPLY),
        (SALE, 0, True, "h", Decision.VOID_OF_UNKNOWN),
        (_sale(State.ACTIVE), 5, False, "other", Decision.UNCHANGED),
        (_sale(State.ACTIVE), 5, True, "h", Decision.UNCHANGED),
        (_sale(State.ACTIVE), 4, False, "other", Decision.OLDER_VERSION),
        (_sale(State.ACTIVE), 4, True, "h", Decision.OLDER_VERSION),
        (_sale(State.ACTIVE), 6, False, "h", Decision.IRRELEVANT_CHANGE),
        (_sale(State.ACTIVE), 6, False, "other", Decision.APPLY),
        (_sale(State.ACTIVE), 6, True, "h", Decision.VOID),
        (_sale(State.VOIDED), 6, True, "h", Decision.IRRELEVANT_CHANGE),
        (_sale(State.VOIDED), 6, False, "h", Decision.APPLY),
        (_sale(State.WAITING), 6, False, "h", Decision.APPLY),
        (_sale(State.WAITING), 6, True, "h", Decision.VOID),
        (_sale(State.WAITING), 5, False, "h", Decision.UNCHANGED),
        (_sale(State.TOMBSTONE), 4, False, "h", Decision.OLDER_VERSION),
        (_sale(State.TOMBSTONE), 5, True, "h", Decision.UNCHANGED),
        (_sale(State.TOMBSTONE), 6, True, "h", Decision.VOID_OF_UNKNOWN),
        (_sale(State.TOMBSTONE), 6, False, "h", Decision.APPLY),
    ],
)
def test_decisions(
    sale: Sale,
    version: int,
    void: bool,  # noqa: FBT001  (a column of the table)
    content_hash: str,
    expected: Decision,
) -> None:
    assert decide(sale, version=version, void=void, content_hash=content_hash) is expected


def test_a_failed_version_of_an_applied_sale_leaves_it_in_force() -> None:
    applied = accept(SALE, _content(0, _line()), content_hash="h", sync_id="s")

    waiting = wait(applied, 1)

    assert (waiting.state, waiting.update_waiting) == (State.ACTIVE, True)
    assert (waiting.seen_version, waiting.draft) == (1, applied.draft)


def test_a_failed_version_of_an_unknown_sale_waits() -> None:
    waiting = wait(SALE, 3)

    assert (waiting.state, waiting.status, waiting.version) == (State.WAITING, "waiting", 3)
    assert waiting.waits


@pytest.mark.parametrize(
    ("first", "second", "holds"),
    [
        (_content(0), _content(1), False),
        (_content(0, _line()), _content(1), True),
        (_content(0), _content(1, _line()), True),
        (_content(0), _content(1, _line(quantity=None)), False),
        (_content(0), _content(1, _line(quantity=ZERO)), False),
        (
            _content(0, _line()),
            taken_back(_content(0, _line()), version=1, sync_id=None, reason="voided"),
            True,
        ),
        (
            _content(0),
            taken_back(_content(0, _line()), version=1, sync_id=None, reason="voided"),
            False,
        ),
    ],
)
def test_inventory_is_asked_while_it_may_hold_goods(
    first: Content,
    second: Content,
    holds: bool,  # noqa: FBT001
) -> None:
    before = accept(SALE, first, content_hash="h", sync_id=None)
    assert accept(before, second, content_hash="i", sync_id=None).holds_goods is holds


def test_an_irrelevant_change_moves_the_version_of_what_waits_for_its_cost() -> None:
    pending = accept(SALE, _content(0, _line()), content_hash="h", sync_id=None)

    noted = note(pending, 4)

    assert noted.draft is not None
    assert (noted.draft.version, noted.seen_version, noted.revision) == (4, 4, 1)


def test_a_refused_first_content_waits_and_asks_a_newer_revision() -> None:
    asked = accept(SALE, _content(2, _line()), content_hash="h", sync_id="s")

    refused = refuse(asked)

    assert (refused.state, refused.revision, refused.draft) == (State.WAITING, 0, None)
    again = accept(refused, _content(2, _line()), content_hash="h", sync_id=None)
    assert (asked.revision, again.revision, again.asked_revision) == (3, 4, 4)


def test_a_void_keeps_the_document_and_none_of_its_money() -> None:
    void = taken_back(_content(0, _line()), version=1, sync_id="s", reason="deleted")

    assert (void.revenue, void.lines[0].revenue, void.lines[0].quantity) == (ZERO, ZERO, Decimal(2))
    assert (void.void_reason, void.version, void.total_amount) == ("deleted", 1, Decimal(10))


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.sampled_from("abc")), max_size=30))
def test_versions_never_go_down_and_a_repeat_changes_nothing(
    arrivals: list[tuple[int, bool, str]],
) -> None:
    sale = SALE
    for version, void, content_hash in arrivals:
        before = sale
        sale = _take(sale, version, void=void, content_hash=content_hash)
        assert sale.seen_version >= before.seen_version
        assert sale.revision >= before.revision
        assert sale.seen_version == max(before.seen_version, version)
        assert _take(sale, version, void=void, content_hash=content_hash) == sale


def _take(sale: Sale, version: int, *, void: bool, content_hash: str) -> Sale:
    decision = decide(sale, version=version, void=void, content_hash=content_hash)
    content = _content(version, _line())
    if decision is Decision.APPLY:
        return accept(sale, content, content_hash=content_hash, sync_id=None)
    if decision is Decision.VOID:
        content = taken_back(content, version=version, sync_id=None, reason="voided")
        return accept(sale, content, content_hash=None, sync_id=None)
    if decision is Decision.IRRELEVANT_CHANGE:
        return note(sale, version)
    if decision is Decision.VOID_OF_UNKNOWN:
        return _sale(State.TOMBSTONE, version, None)
    return sale


@given(st.integers(0, 2**62 - 1), st.integers(0, 2**62 - 1))
def test_a_revision_grows_and_is_above_the_version(revision: int, version: int) -> None:
    assert next_revision(revision, version) > max(revision, version)
