"""A batch has the effect of its messages one after the other, and so has any grouping of them."""

from itertools import pairwise
from typing import Any

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sales_processor.testing import (
    Body,
    empty,
    line,
    new_story,
    numbered,
    product,
    published,
    transaction,
)

LINKED, UNLINKED = "7", "8"

lines = st.lists(
    st.sampled_from(
        [
            line(1, LINKED, "2", "20.00"),
            line(2, LINKED, "5", "30.00"),
            line(3, LINKED, None, "7.00"),
            line(7, LINKED, "-1", "-9.00"),
            line(4, UNLINKED),
            line(5, UNLINKED, kind="service"),
            line(6, None, skip="shipping"),
        ]
    ),
    unique_by=lambda made: int(made["line_number"]),
    max_size=3,
)


@st.composite
def documents(draw: st.DrawFn) -> Body:
    """A version of one of three documents."""
    return transaction(
        draw(st.sampled_from(["101", "102", "103"])),
        *draw(lines),
        kind=draw(st.sampled_from(["invoice", "invoice", "credit-memo"])),
        version=draw(st.integers(0, 4)),
        status=draw(st.sampled_from(["active", "active", "active", "voided", "deleted"])),
        transaction_date=draw(st.sampled_from(["2026-03-01", "2026-03-02"])),
    )


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(documents(), min_size=1, max_size=12), st.data())
async def test_any_grouping_gives_the_same_tables(
    pool: asyncpg.Pool, sales: list[Body], data: st.DataObject
) -> None:
    told = numbered(*sales)
    alone = await _apply(pool, [[one] for one in told])
    together = await _apply(pool, [told])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(told)), max_size=3)))
    grouped = await _apply(pool, [told[a:b] for a, b in pairwise([0, *cuts, len(told)]) if a < b])

    assert together == alone
    assert grouped == alone


async def _apply(pool: asyncpg.Pool, batches: list[list[Body]]) -> dict[str, Any]:
    """What the tables say after these batches, answers of inventory and a link that heals."""
    await empty(pool)
    story = new_story(pool)
    await story.products(product("desk", LINKED))
    out = []
    for batch in batches:
        out += await story.transactions(*batch)
    out += await story.channels(published(sum(len(batch) for batch in batches)))
    await story.settle(out)
    assert await story.violations() == []
    before_healing = await story.dump()
    await story.settle(await story.products(product("chair", UNLINKED)))
    assert await story.violations() == []
    return {"before": before_healing, "after": await story.dump()}
