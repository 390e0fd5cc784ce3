"""What the sales-processor answers over HTTP: sales, margins, what waits, what is wrong.

Money and quantities are decimal strings. A page goes on from the position of its last item, so it
stays right while rows arrive; sales that get another date meanwhile come at the end.
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import asyncpg
from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from chassis.http import PageCursor, PageLimit, decode_cursor, encode_cursor, storable
from chassis.invariants import Agreement, Report, totals
from contracts.channels import TransactionError
from contracts.sales import SaleLine
from sales_processor import store
from sales_processor.domain.money import margin_percent
from sales_processor.domain.sale import CostedLine, SaleKey
from sales_processor.run_reads import add_runs
from sales_processor.store import queries
from sales_processor.usecases.messages import line_message
from sales_processor.verify import verify

Status = Literal["waiting", "active", "voided"]
GroupBy = Literal["product", "channel", "customer", "month"]
From = Annotated[date | None, Query(alias="from", description="sales of this date or later")]
To = Annotated[date | None, Query(description="sales of this date or earlier")]


class SaleRead(BaseModel):
    """A sale with its margin, its lines with the lots behind them, and why it waits if it does.

    `flags` are those of its lines, `update-waiting`, and `cost-pending` while inventory is asked.
    """

    business_id: str
    sale_id: str
    channel_id: str
    source: str
    kind: str
    external_id: str | None
    number: str | None
    version: int
    revision: int
    status: Status
    customer_external_id: str | None
    customer_name: str | None
    sale_date: date
    currency: str | None
    exchange_rate: Decimal | None
    home_currency: str | None
    total_amount: Decimal
    tax_amount: Decimal
    revenue: Decimal
    cost: Decimal
    margin: Decimal
    margin_percent: Decimal | None
    short: bool
    flags: list[str]
    notes: str | None
    sync_id: str | None
    recorded_at: datetime | None
    voided_at: datetime | None
    void_reason: str | None
    errors: list[TransactionError]
    lines: list[SaleLine]


class RevisionRead(BaseModel):
    """What was shown of a sale until `replaced_at`: an earlier revision, or an earlier cost of one.

    A version that was replaced before its cost was known was never shown.
    """

    revision: int
    costing: int
    version: int
    status: Literal["active", "voided"]
    number: str | None
    customer_external_id: str | None
    customer_name: str | None
    sale_date: date
    currency: str | None
    exchange_rate: Decimal | None
    home_currency: str | None
    total_amount: Decimal
    tax_amount: Decimal
    revenue: Decimal
    cost: Decimal
    margin: Decimal
    flags: list[str]
    notes: str | None
    sync_id: str | None
    void_reason: str | None
    replaced_at: datetime
    lines: list[SaleLine]


class MarginRead(BaseModel):
    """What a product, channel, customer or month brought."""

    key: str
    name: str | None
    sales: int
    quantity: Decimal
    revenue: Decimal
    cost: Decimal
    margin: Decimal
    margin_percent: Decimal | None


class UnlinkedItemRead(BaseModel):
    """An item without a link, and how many sales wait for it."""

    connection_id: str
    item_external_id: str
    name: str | None
    kind: str | None
    sales: int
    oldest_sale_date: date


class Sales(BaseModel):
    """A page of sales."""

    items: list[SaleRead]
    next_cursor: str | None


class Revisions(BaseModel):
    """A page of what was shown of a sale before."""

    items: list[RevisionRead]
    next_cursor: str | None


class Margins(BaseModel):
    """A page of margins."""

    items: list[MarginRead]
    next_cursor: str | None


class UnlinkedItems(BaseModel):
    """A page of items without a link."""

    items: list[UnlinkedItemRead]
    next_cursor: str | None


def router(pool: asyncpg.Pool) -> APIRouter:
    """The routes of the sales-processor's read API."""
    routes = APIRouter()
    _add_sales(routes, pool)
    _add_revisions(routes, pool)
    _add_reports(routes, pool)
    add_runs(routes, pool)

    @routes.get("/verify", tags=["operations"])
    async def verify_all(
        business_id: Annotated[str | None, Query(description="only this business")] = None,
    ) -> Report:
        """Check the invariants of sales over everything, or one business, in one snapshot."""
        return await verify(pool, storable(business_id))

    @routes.get("/verify/goods", tags=["operations"])
    async def compare_goods(
        business_id: Annotated[str | None, Query(description="only this business")] = None,
    ) -> Agreement:
        """The goods that sales hold of each product, to be compared with what inventory says."""
        return await totals(queries.list_goods_totals, pool, storable(business_id))

    return routes


def _add_sales(routes: APIRouter, pool: asyncpg.Pool) -> None:
    @routes.get("/businesses/{business_id}/sales", tags=["sales"])
    async def list_sales(
        *,
        business_id: str,
        from_: From = None,
        to: To = None,
        channel_id: str | None = None,
        status: Status | None = None,
        product_id: str | None = None,
        number: Annotated[
            str | None, Query(description="the document's number or id upstream")
        ] = None,
        limit: PageLimit = 100,
        cursor: PageCursor = None,
    ) -> Sales:
        """The sales of a business, newest first; without a filter, those of every status.

        A sale whose date changes while pages are read may come a second time at the end.
        """
        wanted = {
            "business_id": storable(business_id),
            "from_date": from_,
            "to_date": to,
            "channel_id": storable(channel_id),
            "status": status,
            "product_id": storable(product_id),
            "number": storable(number),
        }
        position = _SalesPosition(*decode_cursor(cursor, str, str, int)) if cursor else None
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            found, following = await _page(connection, wanted, position, limit)
            items = await _sales(connection, found)
        return Sales(items=items, next_cursor=following and encode_cursor(*following))

    @routes.get("/businesses/{business_id}/sales/{sale_id}", tags=["sales"])
    async def get_sale(business_id: str, sale_id: str) -> SaleRead:
        """One sale."""
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            row = await queries.find_sale(
                connection, business_id=storable(business_id), sale_id=storable(sale_id)
            )
            if row is None:
                raise HTTPException(404, f"Business {business_id} has no sale {sale_id}.")
            (sale,) = await _sales(connection, [row])
        return sale


def _add_revisions(routes: APIRouter, pool: asyncpg.Pool) -> None:
    @routes.get("/businesses/{business_id}/sales/{sale_id}/revisions", tags=["sales"])
    async def list_revisions(
        business_id: str, sale_id: str, limit: PageLimit = 100, cursor: PageCursor = None
    ) -> Revisions:
        """What was shown of a sale before what is shown now, newest first."""
        before = decode_cursor(cursor, int, int) if cursor else (None, None)
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            key = {"business_id": storable(business_id), "sale_id": storable(sale_id)}
            if await queries.find_sale(connection, **key) is None:
                raise HTTPException(404, f"Business {business_id} has no sale {sale_id}.")
            found = await store.rows(
                queries.list_revisions(
                    connection,
                    **key,
                    before_revision=before[0],
                    before_costing=before[1],
                    count=limit + 1,
                )
            )
        items = [_revision(row) for row in found[:limit]]
        more = len(found) > limit
        return Revisions(
            items=items,
            next_cursor=encode_cursor(items[-1].revision, items[-1].costing) if more else None,
        )


def _add_reports(routes: APIRouter, pool: asyncpg.Pool) -> None:
    @routes.get("/businesses/{business_id}/margins", tags=["reports"])
    async def list_margins(
        *,
        business_id: str,
        group_by: GroupBy,
        from_: From = None,
        to: To = None,
        limit: PageLimit = 100,
        cursor: PageCursor = None,
    ) -> Margins:
        """Revenue, cost and margin by product, channel, customer or month; active sales only."""
        (after,) = decode_cursor(cursor, str) if cursor else (None,)
        async with pool.acquire() as connection:
            found = await store.rows(
                queries.list_margins(
                    connection,
                    business_id=storable(business_id),
                    group_by=group_by,
                    from_date=from_,
                    to_date=to,
                    after=after,
                    count=limit + 1,
                )
            )
        items = [
            MarginRead(
                **row,
                margin=row["revenue"] - row["cost"],
                margin_percent=margin_percent(row["revenue"], row["cost"]),
            )
            for row in found[:limit]
        ]
        more = len(found) > limit
        return Margins(items=items, next_cursor=encode_cursor(items[-1].key) if more else None)

    @routes.get("/businesses/{business_id}/unlinked-items", tags=["reports"])
    async def list_unlinked_items(
        business_id: str, limit: PageLimit = 100, cursor: PageCursor = None
    ) -> UnlinkedItems:
        """Items that no product is linked to and that sales wait for."""
        after = decode_cursor(cursor, str, str) if cursor else ("", "")
        async with pool.acquire() as connection:
            found = await store.rows(
                queries.list_unlinked_items(
                    connection,
                    business_id=storable(business_id),
                    after_connection=after[0],
                    after_item=after[1],
                    count=limit + 1,
                )
            )
        items = [UnlinkedItemRead(**row) for row in found[:limit]]
        return UnlinkedItems(
            items=items,
            next_cursor=(
                encode_cursor(items[-1].connection_id, items[-1].item_external_id)
                if len(found) > limit
                else None
            ),
        )


class _SalesPosition(NamedTuple):
    """Where a list of sales goes on: after this date and id.

    Without a date, after this id of those that moved since the list was begun; `since` is the
    oldest transaction that was open then.
    """

    day: str
    sale_id: str
    since: int


async def _page(
    connection: Any,  # noqa: ANN401
    wanted: Mapping[str, Any],
    position: _SalesPosition | None,
    limit: int,
) -> tuple[list[Any], _SalesPosition | None]:
    """Rows of a page, and where the next one goes on.

    Sales go by date; one that got another date since the list was begun may have left a page that
    was still to come for one that had passed, so at the end those are listed (again), by id.
    """
    if position is None:
        since = await queries.find_oldest_transaction(connection)
        position = _SalesPosition("", "", since)
        before: tuple[date | None, str | None] = (None, None)
    elif position.day:
        before = (_day(position.day), position.sale_id)
    else:
        moved = await _moved(connection, wanted, position, limit + 1)
        more = len(moved) > limit
        after = position._replace(sale_id=moved[limit - 1]["sale_id"]) if more else None
        return moved[:limit], after
    found = await store.rows(
        queries.list_sales(
            connection, **wanted, before_date=before[0], before_id=before[1], count=limit + 1
        )
    )
    if len(found) > limit:
        last = found[limit - 1]
        day = last["sale_date"].isoformat()
        return found[:limit], _SalesPosition(day, last["sale_id"], position.since)
    end = _SalesPosition("", "", position.since)
    behind = before[0] is not None and bool(await _moved(connection, wanted, end, 1))
    return found, end if behind else None


async def _moved(
    connection: Any,  # noqa: ANN401
    wanted: Mapping[str, Any],
    position: _SalesPosition,
    count: int,
) -> list[Any]:
    return await store.rows(
        queries.list_moved_sales(
            connection, **wanted, since=position.since, after_id=position.sale_id, count=count
        )
    )


async def _sales(connection: Any, found: list[Any]) -> list[SaleRead]:  # noqa: ANN401
    """Sales of database rows, with their lines."""
    keys = [(row["business_id"], row["sale_id"]) for row in found]
    lines: dict[SaleKey, list[CostedLine]] = {key: [] for key in keys}
    if keys:
        for row in await store.rows(queries.list_lines(connection, **store.by_key(keys))):
            lines[row["business_id"], row["sale_id"]].append(store.costed_line(row))
    return [_sale(row, lines[key]) for row, key in zip(found, keys, strict=True)]


def _sale(row: Any, lines: list[CostedLine]) -> SaleRead:  # noqa: ANN401  (a database row)
    values = dict(row)
    flags = list(values.pop("flags"))
    flags += ["update-waiting"] if values.pop("update_waiting") else []
    flags += ["cost-pending"] if values.pop("cost_pending") else []
    values["errors"] = values["errors"] or []
    values["status"] = "waiting" if values["status"] == "costing" else values["status"]
    return SaleRead(
        **values,
        margin=values["revenue"] - values["cost"],
        margin_percent=margin_percent(values["revenue"], values["cost"]),
        short="short" in flags,
        flags=flags,
        lines=[line_message(line) for line in lines],
    )


def _revision(row: Any) -> RevisionRead:  # noqa: ANN401  (a database row)
    values = dict(row)
    lines = [line_message(line) for line in store.revision_lines(values.pop("lines"))]
    return RevisionRead(**values, margin=values["revenue"] - values["cost"], lines=lines)


def _day(text: str) -> date:
    """The date of a cursor's position."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise HTTPException(
            422, "`cursor` is none that this list gave; start without one."
        ) from error
