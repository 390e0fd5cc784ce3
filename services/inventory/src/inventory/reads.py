"""What inventory answers over HTTP: products, lots, stock transactions, whether all is right."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import asyncpg
from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from chassis.http import PageCursor, PageLimit, decode_cursor, encode_cursor, storable
from chassis.invariants import Agreement, Report, totals
from inventory.domain.money import weighted_average
from inventory.store import queries
from inventory.verify import verify

LotStatus = Literal["active", "exhausted", "voided"]


class ItemLink(BaseModel):
    """An accounting item that is the product."""

    connection_id: str
    item_external_id: str


class ProductRead(BaseModel):
    """A product with its stock."""

    product_id: str
    name: str
    sku: str | None
    product_type: str
    purchase_cost: Decimal | None
    stock_on_hand: Decimal
    average_cost: Decimal | None
    item_links: list[ItemLink]


class LotRead(BaseModel):
    """A lot."""

    lot_id: str
    lot_number: str
    product_id: str
    received_on: date
    quantity_received: Decimal
    quantity_remaining: Decimal
    unit_cost: Decimal
    status: LotStatus
    return_sale_id: str | None = None


class LotUser(BaseModel):
    """A sale line that holds goods of a lot; `returned` of them were given back."""

    sale_id: str
    line_id: str
    sale_date: date
    revision: int
    quantity: Decimal
    returned: Decimal
    unit_cost: Decimal


class LotReturn(BaseModel):
    """A return line that gave goods to a lot, and the sale line that had taken them."""

    sale_id: str
    line_id: str
    sale_date: date
    revision: int
    quantity: Decimal
    unit_cost: Decimal
    source_sale_id: str | None
    source_line_id: str | None


class LotWithUsers(LotRead):
    """A lot with the sales that used it, and the returns that gave goods to it."""

    sales: list[LotUser]
    returns: list[LotReturn]


class StockTransactionRead(BaseModel):
    """One change of stock."""

    stock_transaction_id: int
    kind: str
    lot_id: str | None
    quantity: Decimal
    unit_cost: Decimal
    sale_id: str | None
    revision: int | None
    line_id: str | None
    reason: str | None
    at: datetime


class SaleStockTransactionRead(StockTransactionRead):
    """One change of stock that a sale made, with the lot that it concerns."""

    product_id: str
    lot_number: str | None
    received_on: date | None


class Products(BaseModel):
    """A page of products."""

    items: list[ProductRead]
    next_cursor: str | None


class Lots(BaseModel):
    """A page of lots."""

    items: list[LotRead]
    next_cursor: str | None


class StockTransactions(BaseModel):
    """A page of stock transactions."""

    items: list[StockTransactionRead]
    next_cursor: str | None


class SaleStockTransactions(BaseModel):
    """A page of stock transactions of a sale."""

    items: list[SaleStockTransactionRead]
    next_cursor: str | None


def router(pool: asyncpg.Pool) -> APIRouter:
    """The routes of inventory's read API."""
    routes = APIRouter()

    @routes.get("/businesses/{business_id}/products", tags=["products"])
    async def list_products(
        business_id: str, limit: PageLimit = 100, cursor: PageCursor = None
    ) -> Products:
        """The products of a business with stock on hand and average cost, by id."""
        (after,) = decode_cursor(cursor, str) if cursor else ("",)
        async with pool.acquire() as connection:
            found = queries.list_products(
                connection, business_id=storable(business_id), after=after, count=limit + 1
            )
            items = [_product(row) async for row in found]
        page = items[:limit]
        more = len(items) > limit
        return Products(
            items=page, next_cursor=encode_cursor(page[-1].product_id) if more else None
        )

    @routes.get("/businesses/{business_id}/products/{product_id}", tags=["products"])
    async def get_product(business_id: str, product_id: str) -> ProductRead:
        """One product with stock on hand and average cost."""
        async with pool.acquire() as connection:
            return await _find_product(connection, business_id, product_id)

    @routes.get("/businesses/{business_id}/products/{product_id}/lots", tags=["lots"])
    async def list_lots(
        business_id: str,
        product_id: str,
        status: Annotated[LotStatus | None, Query(description="only lots in this state")] = None,
        limit: PageLimit = 100,
        cursor: PageCursor = None,
    ) -> Lots:
        """The lots of a product in the order in which they are taken."""
        after_date, after_sequence = decode_cursor(cursor, date, int) if cursor else (date.min, 0)
        async with pool.acquire() as connection:
            await _find_product(connection, business_id, product_id)
            found = queries.list_lots_of_product(
                connection,
                business_id=business_id,
                product_id=product_id,
                status=status,
                after_date=after_date,
                after_sequence=after_sequence,
                count=limit + 1,
            )
            rows = [row async for row in found]
        page = rows[:limit]
        more = len(rows) > limit
        return Lots(
            items=[LotRead(**row) for row in page],
            next_cursor=(
                encode_cursor(page[-1]["received_on"].isoformat(), page[-1]["sequence"])
                if more
                else None
            ),
        )

    @routes.get(
        "/businesses/{business_id}/products/{product_id}/stock-transactions", tags=["products"]
    )
    async def list_stock_transactions(
        business_id: str, product_id: str, limit: PageLimit = 100, cursor: PageCursor = None
    ) -> StockTransactions:
        """Every change of a product's stock, oldest first."""
        (after,) = decode_cursor(cursor, int) if cursor else (0,)
        async with pool.acquire() as connection:
            await _find_product(connection, business_id, product_id)
            found = queries.list_stock_transactions(
                connection,
                business_id=business_id,
                product_id=product_id,
                after=after,
                count=limit + 1,
            )
            items = [StockTransactionRead(**row) async for row in found]
        page = items[:limit]
        more = len(items) > limit
        return StockTransactions(
            items=page,
            next_cursor=encode_cursor(page[-1].stock_transaction_id) if more else None,
        )

    _add_sale_reads(routes, pool)

    @routes.get("/businesses/{business_id}/lots/{lot_id}", tags=["lots"])
    async def get_lot(business_id: str, lot_id: str) -> LotWithUsers:
        """One lot, with the sales that used it and the returns that gave goods to it."""
        async with pool.acquire() as connection:
            row = await queries.find_lot(
                connection, business_id=storable(business_id), lot_id=storable(lot_id)
            )
            if row is None:
                raise HTTPException(404, f"Business {business_id} has no lot {lot_id}.")
            key = {"business_id": business_id, "lot_id": lot_id}
            users = [LotUser(**u) async for u in queries.list_users_of_lot(connection, **key)]
            returns = [LotReturn(**r) async for r in queries.list_returns_to_lot(connection, **key)]
            return LotWithUsers(**row, sales=users, returns=returns)

    @routes.get("/verify", tags=["operations"])
    async def verify_all(
        business_id: Annotated[str | None, Query(description="only this business")] = None,
    ) -> Report:
        """Check the invariants of stock over everything, or one business, in one snapshot."""
        return await verify(pool, None if business_id is None else storable(business_id))

    @routes.get("/verify/goods", tags=["operations"])
    async def compare_goods(
        business_id: Annotated[str | None, Query(description="only this business")] = None,
    ) -> Agreement:
        """The goods that documents hold of each product, to be compared with what sales say."""
        only = None if business_id is None else storable(business_id)
        return await totals(queries.list_goods_totals, pool, only)

    return routes


def _add_sale_reads(routes: APIRouter, pool: asyncpg.Pool) -> None:
    @routes.get("/businesses/{business_id}/stock-transactions", tags=["sales"])
    async def list_stock_transactions_of_sale(
        business_id: str,
        sale_id: Annotated[str, Query(description="the sale that moved the goods")],
        limit: PageLimit = 100,
        cursor: PageCursor = None,
    ) -> SaleStockTransactions:
        """Every change of stock that a sale made, in all its revisions, oldest first."""
        (after,) = decode_cursor(cursor, int) if cursor else (0,)
        async with pool.acquire() as connection:
            found = queries.list_stock_transactions_of_sale(
                connection,
                business_id=storable(business_id),
                sale_id=storable(sale_id),
                after=after,
                count=limit + 1,
            )
            items = [SaleStockTransactionRead(**row) async for row in found]
        page = items[:limit]
        more = len(items) > limit
        return SaleStockTransactions(
            items=page,
            next_cursor=encode_cursor(page[-1].stock_transaction_id) if more else None,
        )


async def _find_product(connection: Any, business_id: str, product_id: str) -> ProductRead:  # noqa: ANN401
    found = queries.find_product(
        connection, business_id=storable(business_id), product_id=storable(product_id)
    )
    rows = [row async for row in found]
    if not rows:
        raise HTTPException(404, f"Business {business_id} has no product {product_id}.")
    return _product(rows[0])


def _product(row: Any) -> ProductRead:  # noqa: ANN401  (a database row)
    values = dict(row)
    last_average = values.pop("last_average_cost")
    open_average = values.pop("open_average")
    if open_average is not None:
        open_average = weighted_average([(Decimal(1), open_average)])
    return ProductRead(
        **values, average_cost=last_average if open_average is None else open_average
    )
