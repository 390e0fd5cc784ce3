"""Reports add up: however margins are grouped, they come to the sum of the lines (I3, LO5)."""

from decimal import Decimal

import asyncpg
import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sales_processor.testing import BUSINESS, Body, empty, line, new_story, product, transaction

ROUTE = f"/businesses/{BUSINESS}"
COLUMNS = ("quantity", "revenue", "cost", "margin")

lines = st.lists(
    st.builds(
        line,
        st.integers(1, 10_000),
        st.sampled_from(["7", "8", "99", None]),
        st.sampled_from(["1", "2.5", "0.333333", "-1", None]),
        st.decimals(0, 1000, places=2).map(str),
        kind=st.just("service"),
        discount=st.sampled_from(["0", "0.01", "3.33"]),
    ),
    unique_by=lambda made: int(made["line_number"]),
    max_size=4,
)
documents = st.builds(
    transaction,
    st.sampled_from("12345"),
    version=st.integers(0, 2),
    status=st.sampled_from(["active", "active", "active", "voided"]),
    kind=st.sampled_from(["invoice", "sales-receipt", "credit-memo"]),
    customer=st.sampled_from(
        [{}, {"name": "Blue Door"}, {"external_id": "c-1", "name": "Blue Door"}]
    ),
    transaction_date=st.sampled_from(["2026-01-31", "2026-02-01", "2026-02-28"]),
    exchange_rate=st.sampled_from(["1.0855", "0.333333"]),
    currency=st.sampled_from(["USD", "EUR"]),
)


@st.composite
def documents_with_lines(draw: st.DrawFn) -> Body:
    """A version of one of a few documents."""
    made: Body = draw(documents)
    return {**made, "lines": draw(lines), "content_hash": f"{draw(st.integers(0, 99))}"}


async def _all(http: httpx.AsyncClient, path: str, **query: str | int) -> list[Body]:
    items: list[Body] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await http.get(f"{ROUTE}/{path}", params={"limit": 2, **query, **cursor})
        page = answer.raise_for_status().json()
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


def _sum(items: list[Body], columns: tuple[str, ...] = COLUMNS) -> list[Decimal]:
    return [sum((Decimal(i[name] or 0) for i in items), Decimal(0)) for name in columns]


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(documents_with_lines(), min_size=1, max_size=10))
async def test_margins_grouped_each_way_equal_the_sum_of_the_lines(
    pool: asyncpg.Pool, http: httpx.AsyncClient, told: list[Body]
) -> None:
    await empty(pool)
    story = new_story(pool)
    await story.products(product("desk", "7"), product("chair", "8"))
    await story.sync(*told)

    sales = await _all(http, "sales", status="active")
    for sale in sales:
        amounts = ("revenue", "cost", "margin")
        assert _sum([sale], amounts) == _sum(sale["lines"], amounts)
    tracked = [each for sale in sales for each in sale["lines"] if each["product_id"]]
    for group in ("product", "channel", "customer", "month"):
        rows = await _all(http, "margins", group_by=group)
        assert _sum(rows) == _sum(tracked), group
        assert len({row["key"] for row in rows}) == len(rows)
        for row in rows:
            assert (row["margin_percent"] is None) == (Decimal(row["revenue"]) == 0)
        if group != "product":
            assert sum(row["sales"] for row in rows) == len(sales)
    assert await story.violations() == []
