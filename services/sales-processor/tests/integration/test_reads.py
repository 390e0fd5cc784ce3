"""The HTTP reads: filters, pages that stay right, problems, margins that leave voided sales out."""

from typing import Any

import httpx
import pytest

from sales_processor.testing import (
    BUSINESS,
    CHANNEL,
    CONNECTION,
    Body,
    Story,
    line,
    product,
    published,
    transaction,
)


async def _get(http: httpx.AsyncClient, path: str, **query: Any) -> Body:  # noqa: ANN401
    answer = await http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    body: Body = answer.json()
    return body


async def _all(http: httpx.AsyncClient, path: str, **query: Any) -> list[Body]:  # noqa: ANN401
    items: list[Body] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await _get(http, path, **query, **({"cursor": cursor} if cursor else {}))
        items += page["items"]
        cursor = page["next_cursor"]
    return items


SALES = f"/businesses/{BUSINESS}/sales"


@pytest.fixture
async def told(story: Story) -> Story:
    """Three active sales, one voided, one that waits."""
    await story.products(product("desk", "7"), product("chair", "8"))
    await story.sync(
        transaction("1", line(1, "7", "1", "100.00"), transaction_date="2026-01-05"),
        transaction("2", line(1, "7", "1", "50.00"), line(2, "8", "2", "10.00")),
        transaction(
            "3",
            line(1, "8", "3", "30.00"),
            customer={"external_id": "c-2", "name": "Customer Two"},
            transaction_date="2026-04-01",
        ),
        transaction("4", line(1, "7")),
        transaction("5", line(1, "99")),
        transaction("6", line(1, "9", kind="service")),
    )
    await story.sync(transaction("4", version=1, status="voided"), sync="sync-2")
    return story


@pytest.mark.usefixtures("told")
async def test_sales_are_listed_newest_first_in_every_status(http: httpx.AsyncClient) -> None:
    items = await _all(http, SALES)

    assert [item["sale_date"] for item in items] == sorted(
        (item["sale_date"] for item in items), reverse=True
    )
    assert {item["external_id"]: item["status"] for item in items} == {
        **dict.fromkeys("1236", "active"),
        "4": "voided",
        "5": "waiting",
    }


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("limit", [1, 2, 5, 6])
async def test_pages_hold_each_sale_once(http: httpx.AsyncClient, limit: int) -> None:
    items = await _all(http, SALES, limit=limit)

    assert sorted(item["external_id"] for item in items) == list("123456")


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "voided"}, "4"),
        ({"status": "waiting"}, "5"),
        ({"product_id": "chair"}, "23"),
        ({"number": "N-3"}, "3"),
        ({"number": "3"}, "3"),
        ({"from": "2026-03-02"}, "3"),
        ({"to": "2026-01-31"}, "1"),
        ({"channel_id": "other"}, ""),
        ({"channel_id": CHANNEL, "from": "2026-03-01", "status": "active"}, "236"),
    ],
)
async def test_filters(http: httpx.AsyncClient, query: Body, expected: str) -> None:
    items = await _all(http, SALES, **query)

    assert sorted(item["external_id"] for item in items) == list(expected)


async def test_a_sale_shows_its_lots(http: httpx.AsyncClient, told: Story) -> None:
    sale_id = next(e.body["sale_id"] for e in told.events if e.body.get("external_id") == "2")

    sale = await _get(http, f"{SALES}/{sale_id}")

    assert (sale["revenue"], sale["cost"], sale["margin"]) == ("60.00", "30.00", "30.00")
    assert sale["margin_percent"] == "50.00"
    assert sale["lines"][1]["allocations"] == [
        {
            "lot_id": "lot-chair",
            "lot_number": "L-chair",
            "quantity": "2",
            "unit_cost": "10.00",
            "received_on": None,
        }
    ]


@pytest.mark.usefixtures("told")
async def test_a_waiting_sale_says_why(http: httpx.AsyncClient) -> None:
    (item,) = await _all(http, SALES, status="waiting")

    assert item["errors"][0]["code"] == "item-not-linked"
    assert (item["revenue"], item["lines"]) == ("0", [])


async def test_a_sale_that_has_no_cost_yet_waits_for_it(
    http: httpx.AsyncClient, story: Story
) -> None:
    await story.products(product("desk", "7"))
    await story.transactions(transaction("1", line(1, "7")))

    (item,) = await _all(http, SALES, status="waiting")

    assert (item["flags"], item["errors"]) == (["cost-pending"], [])


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("product", [("chair", 2, "5", "40.00", "50.00"), ("desk", 2, "2", "150.00", "20.00")]),
        ("channel", [(CHANNEL, 4, "7", "190.00", "70.00")]),
        ("customer", [("c-1", 3, "4", "160.00", "40.00"), ("c-2", 1, "3", "30.00", "30.00")]),
        (
            "month",
            [
                ("2026-01", 1, "1", "100.00", "10.00"),
                ("2026-03", 2, "3", "60.00", "30.00"),
                ("2026-04", 1, "3", "30.00", "30.00"),
            ],
        ),
    ],
)
async def test_margins_leave_voided_and_waiting_sales_out(
    http: httpx.AsyncClient, group_by: str, expected: list[tuple[str, int, str, str, str]]
) -> None:
    items = await _all(http, f"/businesses/{BUSINESS}/margins", group_by=group_by, limit=1)

    fields = ("key", "sales", "quantity", "revenue", "cost")
    assert [tuple(item[field] for field in fields) for item in items] == expected


@pytest.mark.usefixtures("told")
async def test_unlinked_items_are_those_that_sales_wait_for(http: httpx.AsyncClient) -> None:
    (item,) = await _all(http, f"/businesses/{BUSINESS}/unlinked-items")

    assert item == {
        "connection_id": CONNECTION,
        "item_external_id": "99",
        "name": "Item 99",
        "kind": "inventory",
        "sales": 1,
        "oldest_sale_date": "2026-03-01",
    }


@pytest.mark.usefixtures("told")
async def test_summaries_are_listed_newest_first(http: httpx.AsyncClient) -> None:
    items = await _all(http, f"/businesses/{BUSINESS}/sync-summaries", limit=1)

    assert [item["sync_id"] for item in items] == ["sync-2", "sync-1"]
    assert await _all(http, f"/businesses/{BUSINESS}/sync-summaries", channel_id="other") == []


async def test_a_run_shows_how_far_it_is(http: httpx.AsyncClient, story: Story) -> None:
    await story.products(product("desk", "7"))
    out = await story.transactions(transaction("1", line(1, "7")))
    run = await _get(http, "/syncs/sync-1/summary")
    assert (run["status"], run["received"], run["pending"]) == ("receiving", 1, 1)
    assert run["summary"] is None

    await story.settle(out + await story.channels(published(1)))

    run = await _get(http, "/syncs/sync-1/summary")
    assert (run["status"], run["pending"], run["summary"]["created"]) == ("completed", 0, 1)


async def _walk(http: httpx.AsyncClient, story: Story, *moves: tuple[str, str]) -> list[str]:
    """Ids upstream of a list read one by one, from the newest, while sales move to new dates."""
    seen: list[str] = []
    moving = iter(moves)
    cursor: str | None = None
    for _ in range(50):
        query = {"limit": "1", "status": "active"} | ({"cursor": cursor} if cursor else {})
        page = (await http.get(SALES, params=query)).json()
        seen += [item["external_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return seen
        for external_id, day in [*moving][:1]:
            moved = transaction(external_id, line(1, "7"), version=1, transaction_date=day)
            await story.sync(moved, sync=f"moving-{external_id}")
    pytest.fail(f"the list does not end: {seen}")


@pytest.mark.parametrize(
    ("moves", "seen"),
    [
        ([], "5 4 3 2 1"),
        # from a page to come to one that has passed: it comes at the end, not at all otherwise
        ([("1", "2026-03-09")], "5 4 3 2 1"),
        # from a page that has passed to one to come: twice, since nobody knows what was read
        ([("5", "2026-02-01")], "5 4 3 2 1 5 5"),
        ([("3", "2026-02-20")], "5 4 2 1 3 3"),
    ],
)
async def test_a_sale_that_gets_another_date_while_pages_are_read_is_not_missed(
    http: httpx.AsyncClient, story: Story, moves: list[tuple[str, str]], seen: str
) -> None:
    await story.products(product("desk", "7"))
    await story.sync(
        *(
            transaction(str(day), line(1, "7"), transaction_date=f"2026-03-0{day}")
            for day in range(1, 6)
        )
    )

    assert await _walk(http, story, *moves) == seen.split()

    assert sorted(set(await _walk(http, story))) == list("12345")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{SALES}/nobody", 404),
        (f"{SALES}/a%00b", 404),
        ("/syncs/nobody/summary", 404),
        (f"{SALES}?limit=0", 422),
        (f"{SALES}?limit=1001", 422),
        (f"{SALES}?cursor=nonsense", 422),
        (f"{SALES}?cursor=WyJ4IiwgInkiXQ", 422),
        (f"{SALES}?from=yesterday", 422),
        (f"{SALES}?status=sold", 422),
        (f"/businesses/{BUSINESS}/margins", 422),
        (f"/businesses/{BUSINESS}/margins?group_by=size", 422),
    ],
)
async def test_what_cannot_be_answered_is_a_problem(
    http: httpx.AsyncClient, path: str, status: int
) -> None:
    answer = await http.get(path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


@pytest.mark.usefixtures("told")
async def test_no_business_reaches_the_sales_of_another(http: httpx.AsyncClient) -> None:
    (some, *_) = await _all(http, SALES)

    assert await _all(http, "/businesses/other/sales") == []
    answer = await http.get(f"/businesses/other/sales/{some['sale_id']}")
    assert answer.status_code == 404


@pytest.mark.usefixtures("told")
async def test_every_invariant_is_reported(http: httpx.AsyncClient) -> None:
    report = await _get(http, "/verify", business_id=BUSINESS)

    assert report["service"] == "sales-processor"
    assert {check["invariant"] for check in report["checks"]} == {
        *("I2", "I3", "I5", "I6", "I7", "I10", "I11", "I12")
    }
    assert all(check["violations"] == [] for check in report["checks"])
