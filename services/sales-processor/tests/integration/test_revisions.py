"""What was shown of a sale before is kept to the last digit, and nothing of what was not."""

import httpx

from sales_processor.testing import BUSINESS, Body, Story, line, product, transaction


async def _revisions(http: httpx.AsyncClient, story: Story, **query: int) -> list[Body]:
    sale_id = await story.value("select sale_id from sales")
    path = f"/businesses/{BUSINESS}/sales/{sale_id}/revisions"
    items: list[Body] = []
    cursor: str | None = None
    while True:
        given: dict[str, str | int] = dict(query)
        if cursor is not None:
            given["cursor"] = cursor
        answer = await http.get(path, params=given)
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return items


async def test_a_first_revision_leaves_nothing_behind(
    http: httpx.AsyncClient, story: Story
) -> None:
    await story.products(product("desk", "7"))
    await story.sync(transaction("1", line(1, "7", "2", "50.00")))

    assert await _revisions(http, story) == []


async def test_earlier_revisions_are_kept_as_they_were(
    http: httpx.AsyncClient, story: Story
) -> None:
    await story.products(product("desk", "7"))
    await story.sync(transaction("1", line(1, "7", "2.500", "50.10")))
    before = (await http.get(f"/businesses/{BUSINESS}/sales")).json()["items"][0]
    await story.sync(
        transaction("1", line(1, "7", "3", "60.00"), version=1, number="N-9"), sync="sync-2"
    )
    await story.sync(transaction("1", version=2, status="voided"), sync="sync-3")

    second, first = await _revisions(http, story, limit=1)

    shared = first.keys() & before.keys()
    assert {name: first[name] for name in shared} == {name: before[name] for name in shared}
    assert first["lines"][0]["quantity"] == "2.500"
    assert (second["number"], second["cost"], second["status"]) == ("N-9", "30.00", "active")
    assert (second["revision"], second["costing"], second["version"]) == (2, 1, 1)


async def test_an_earlier_cost_is_kept(http: httpx.AsyncClient, story: Story) -> None:
    await story.products(product("desk", "7"))
    out = await story.transactions(transaction("1", line(1, "7", "2", "50.00")))
    (ask,) = [p.body for p in out if p.type == "consume-lots"]
    answer = story.shelf.answer(ask)
    await story.inventory(answer)
    (costed,) = answer["lines"]
    allocation = {**costed["allocations"][0], "unit_cost": "12.00"}
    dearer = {**costed, "cost": "24.00", "allocations": [allocation]}
    again = {**answer, "lines": [dearer], "cost": "24.00", "costing": 2, "reason": "recosted"}
    await story.inventory(again)
    await story.inventory(again)

    (kept,) = await _revisions(http, story)

    assert (kept["revision"], kept["costing"], kept["cost"]) == (1, 1, "20.00")


async def test_what_was_never_shown_is_not_kept(http: httpx.AsyncClient, story: Story) -> None:
    await story.products(product("desk", "7"))
    await story.transactions(transaction("1", line(1, "7", "2", "50.00")))
    out = await story.transactions(transaction("1", line(1, "7", "3", "50.00"), version=1))
    await story.settle(out)

    assert await _revisions(http, story) == []


async def test_a_sale_that_is_not_there_has_no_revisions(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/businesses/{BUSINESS}/sales/nobody/revisions")

    assert answer.status_code == 404
