"""Every read answers what its OpenAPI declares, whatever it is asked; pages stay right.

Requests come from schemathesis; cursors, which it cannot guess, are made of hostile positions.
"""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import asyncpg
import httpx
import pytest
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from schemathesis import Case, openapi
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance

import channel_connector
import inventory.reads
import sales_processor.reads
from channel_connector import routes
from chassis.health import Health
from chassis.http import create_app
from chassis.testing import Databases, Driver, databases, fresh_pool, stack
from inventory.app import MIGRATIONS as INVENTORY_MIGRATIONS
from inventory.handlers import subscriptions as inventory_subscriptions
from sales_processor.app import MIGRATIONS as SALES_MIGRATIONS
from sales_processor.testing import Story, line, new_story, product, transaction

__all__ = ["databases", "stack"]

REQUESTS_PER_READ = 25
CONNECTOR_MIGRATIONS = Path(channel_connector.__file__).parent / "sql" / "migrations"
BUSINESS = "acme"
IDS = {"business_id", "sale_id", "product_id", "lot_id", "sync_id", "channel_id", "external_id"}

POSITIONS = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.integers(),
        st.sampled_from(
            [
                *("2026-03-01", "2026-03-01T10:00:00", "0001-01-01T00:00:00+14:00"),
                *("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00", "\ud800", "a\0"),
            ]
        ),
        st.none(),
    ),
    max_size=3,
)


def _app() -> FastAPI:
    async def ready() -> None: ...

    return create_app(title="service", health=Health(), ready=ready, asyncapi={})


@pytest.fixture(scope="module")
async def sales_pool(databases: Databases) -> AsyncIterator[asyncpg.Pool]:
    async with fresh_pool(databases, SALES_MIGRATIONS) as pool:
        yield pool


@pytest.fixture(scope="module")
async def story(sales_pool: asyncpg.Pool) -> Story:
    """Two sales, one of them with two revisions, and one that waits."""
    told = new_story(sales_pool)
    await told.products(product("desk", "7"))
    await told.sync(
        *(transaction(number, line(1, "7")) for number in "123"), transaction("4", line(1, "99"))
    )
    await told.sync(transaction("1", line(1, "7", "2"), version=1), sync="sync-2")
    return told


@pytest.fixture(scope="module")
async def sales(sales_pool: asyncpg.Pool, story: Story) -> tuple[FastAPI, dict[str, str]]:
    app = _app()
    app.include_router(sales_processor.reads.router(sales_pool))
    sale_id = await story.value("select sale_id from sales where external_id = '1'")
    return app, {"business_id": BUSINESS, "sale_id": sale_id, "sync_id": "sync-1"}


@pytest.fixture(scope="module")
async def stock(databases: Databases) -> AsyncIterator[tuple[FastAPI, dict[str, str]]]:
    async with fresh_pool(databases, INVENTORY_MIGRATIONS) as pool:
        driver = Driver(pool, inventory_subscriptions(), group="inventory")
        of = {"business_id": BUSINESS, "product_id": "desk"}
        await driver.apply(
            "inventory.commands.v1",
            {"type": "put-product", **of, "name": "Desk", "product_type": "finished-good"},
            *(
                {
                    "type": "receive-lot",
                    **of,
                    "lot_id": lot_id,
                    "lot_number": lot_id,
                    "quantity": "4",
                    "unit_cost": "1.5",
                    "received_on": "2026-01-05",
                }
                for lot_id in ("a", "b")
            ),
        )
        app = _app()
        app.include_router(inventory.reads.router(pool))
        yield app, {**of, "lot_id": "a"}


@pytest.fixture(scope="module")
async def connector(databases: Databases) -> AsyncIterator[tuple[FastAPI, dict[str, str]]]:
    async with fresh_pool(databases, CONNECTOR_MIGRATIONS) as pool:
        unused = cast("Any", None)  # what only writes need
        app = _app()
        app.include_router(
            routes.router(
                pool,
                unused,
                provider="quickbooks-online",
                system_of=unused,
                endpoint=unused,
                announce=unused,
            )
        )
        yield app, {"business_id": BUSINESS}


SALES = (
    "/businesses/{business_id}/sales",
    "/businesses/{business_id}/sales/{sale_id}",
    "/businesses/{business_id}/sales/{sale_id}/revisions",
    "/businesses/{business_id}/margins",
    "/businesses/{business_id}/unlinked-items",
    "/businesses/{business_id}/sync-summaries",
    "/syncs/{sync_id}/summary",
    "/verify",
    "/verify/goods",
)
OF_ALL = ("/health/live", "/health/ready", "/metrics", "/asyncapi.json")
"""What the chassis answers for each of them."""
STOCK = (
    "/businesses/{business_id}/products",
    "/businesses/{business_id}/products/{product_id}",
    "/businesses/{business_id}/products/{product_id}/lots",
    "/businesses/{business_id}/products/{product_id}/stock-transactions",
    "/businesses/{business_id}/stock-transactions",
    "/businesses/{business_id}/lots/{lot_id}",
    "/verify",
    "/verify/goods",
)
CONNECTOR = (
    "/businesses",
    "/businesses/{business_id}/connections",
    "/businesses/{business_id}/channels",
    "/businesses/{business_id}/transactions/{kind}/{external_id}",
    "/channels/{channel_id}",
    "/channels/{channel_id}/syncs",
    "/syncs/{sync_id}",
    "/verify",
)


def test_every_read_of_every_service_is_asked(
    sales: tuple[FastAPI, dict[str, str]],
    stock: tuple[FastAPI, dict[str, str]],
    connector: tuple[FastAPI, dict[str, str]],
) -> None:
    assert _reads(sales[0]) == {*SALES, *OF_ALL}
    assert _reads(stock[0]) == {*STOCK, *OF_ALL}
    assert _reads(connector[0]) == {*CONNECTOR, *OF_ALL}


def _reads(app: FastAPI) -> set[str]:
    return {path for path, made in app.openapi()["paths"].items() if "get" in made}


class Count(BaseModel):
    """A read's answer."""

    count: int


@pytest.mark.parametrize("path", ["/wrong-shape", "/bug", "/no-problem"])
async def test_a_read_that_breaks_its_word_is_caught(path: str) -> None:
    app = _app()

    @app.get("/wrong-shape", response_model=Count)
    async def wrong_shape(limit: int = 1) -> Response:
        return JSONResponse({"count": "many" if limit > 3 else limit})

    @app.get("/bug", response_model=Count)
    async def bug(name: str = "") -> Count:
        return Count(count=1 // (len(name) % 3 + len(name)))

    @app.get("/no-problem", response_model=Count)
    async def no_problem(limit: int = 1) -> Response:
        return JSONResponse({"oops": limit}, 400 if limit < 0 else 200)

    with pytest.raises((FailureGroup, ExceptionGroup)):
        await _assert_kept(app, {}, path)


@pytest.mark.parametrize("path", [*SALES, *OF_ALL])
async def test_sales_keep_their_word(sales: tuple[FastAPI, dict[str, str]], path: str) -> None:
    await _assert_kept(*sales, path)


@pytest.mark.parametrize("path", STOCK)
async def test_inventory_keeps_its_word(stock: tuple[FastAPI, dict[str, str]], path: str) -> None:
    await _assert_kept(*stock, path)


@pytest.mark.parametrize("path", CONNECTOR)
async def test_the_connector_keeps_its_word(
    connector: tuple[FastAPI, dict[str, str]], path: str
) -> None:
    await _assert_kept(*connector, path)


async def _assert_kept(app: FastAPI, known: dict[str, str], path: str) -> None:
    """Ask a GET for everything; some of the time about what is there, or what cannot be."""
    loop = asyncio.get_running_loop()
    document = app.openapi()
    operation = openapi.from_dict(document)[path]["GET"]
    paged = any(p["name"] == "cursor" for p in document["paths"][path]["get"].get("parameters", []))
    values = {name: value for name, value in known.items() if f"{{{name}}}" in path}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:

        @settings(
            max_examples=REQUESTS_PER_READ,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=operation.as_strategy(),
            about=st.sampled_from(["known", "nul", "any"]),
            position=st.none() | POSITIONS,
        )
        def ask(case: Case[Any], *, about: str, position: list[object] | None) -> None:
            if about == "known":
                case.path_parameters = {**case.path_parameters, **values}
            elif about == "nul":
                for given_ids, nul in ((case.path_parameters, "a%00b"), (case.query, "a\0b")):
                    given_ids.update({name: nul for name in given_ids if name in IDS})
            if paged and position is not None:
                cursor = urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")
                case.query = {**case.query, "cursor": cursor}
            sent = case.as_transport_kwargs(base_url="http://service")
            request = http.build_request(
                sent["method"], sent["url"], params=sent.get("params"), headers=sent["headers"]
            )
            answer = asyncio.run_coroutine_threadsafe(http.send(request), loop).result(60)
            # A cursor is any text to the schema, and to us only what we gave.
            case.validate_response(answer, excluded_checks=[positive_data_acceptance])

        await asyncio.to_thread(ask)


async def test_pages_stay_right_while_sales_arrive(
    sales: tuple[FastAPI, dict[str, str]], story: Story
) -> None:
    """Nothing that was there is lost or doubled; what arrives behind the position is not missed."""
    before = {row["sale_id"] for row in await story.driver.pool.fetch("select sale_id from sales")}
    seen: list[str] = []
    cursor: str | None = None
    transport = httpx.ASGITransport(sales[0])
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        for turn in range(50):
            query = {"limit": "1"} | ({} if cursor is None else {"cursor": cursor})
            page = (await http.get(f"/businesses/{BUSINESS}/sales", params=query)).json()
            seen += [item["sale_id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
            if turn < 3:
                await story.sync(
                    transaction(f"new-{turn}", line(1, "7"), transaction_date="2026-09-01"),
                    transaction(f"old-{turn}", line(1, "7"), transaction_date="2025-01-01"),
                    sync=f"arriving-{turn}",
                )
    assert cursor is None
    assert len(seen) == len(set(seen))
    assert before <= set(seen)
    assert len(seen) == len(before) + 3
