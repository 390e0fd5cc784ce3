"""What a batch changed, written with one statement for each table."""

from datetime import datetime
from typing import Any

from chassis.outbox import Connection
from inventory.domain.ledger import Ledger, Product
from inventory.domain.sale import Sale
from inventory.domain.stock import Lot, Stock
from inventory.store import columns, queries

_PRODUCT_PARAMETERS = (
    "business_ids product_ids names skus product_types purchase_costs versions stocks "
    "stock_versions averages lots_recorded operations"
)
_LOT_PARAMETERS = (
    "business_ids lot_ids received remaining adjusted voided_quantities unit_costs "
    "unit_costs_received voided"
)
_LOT_COLUMNS = (
    "business_id lot_id product_id lot_number received_on sequence quantity_received "
    "quantity_remaining quantity_adjusted quantity_voided unit_cost unit_cost_received voided_at "
    "recorded_at return_sale_id"
)
_SALE_COLUMNS = (
    "business_id sale_id revision costing sale_date customer_external_id returns sale_order cost"
)
_LINE_COLUMNS = (
    "business_id sale_id ordinal line_id product_id quantity cost shortage_quantity shortage_open "
    "shortage_returned shortage_unit_cost quantity_returned uncosted places"
)
_HELD_COLUMNS = (
    "business_id sale_id line_id ordinal lot_id quantity unit_cost taken quantity_returned"
)
_RETURNED_COLUMNS = (
    "business_id sale_id line_id ordinal source_sale_id source_line_id lot_id quantity unit_cost "
    "given"
)
_MOVEMENT_COLUMNS = (
    "business_id kind product_id lot_id quantity unit_cost sale_id revision line_id reason at"
)


async def save(connection: Connection, ledger: Ledger, now: datetime) -> None:
    """Write what the batch changed, as of now."""
    await _save_products(connection, ledger, now)
    await _save_links(connection, ledger)
    await _save_lots(connection, ledger, now)
    await _save_sales(connection, ledger)
    adjustments = [
        (business, adjustment_id, a.lot_id, a.quantity, a.reason)
        for business, adjustment_id, a in ledger.new_adjustments
    ]
    await _copy(
        connection, "adjustments", "business_id adjustment_id lot_id quantity reason", adjustments
    )
    movements = [
        (business, *movement, now)
        for business, books in ledger.books.items()
        for movement in books.movements
    ]
    await _copy(connection, "stock_transactions", _MOVEMENT_COLUMNS, movements)


async def _copy(
    connection: Connection, table: str, names: str, records: list[tuple[Any, ...]]
) -> None:
    if records:
        await connection.copy_records_to_table(table, columns=names.split(), records=records)


async def _save_products(connection: Connection, ledger: Ledger, now: datetime) -> None:
    changed: list[tuple[Product, Stock]] = []
    for product in sorted(ledger.products.values(), key=lambda p: p.key):
        stock = ledger.books[product.business_id].stocks[product.product_id]
        if product.changed or stock.changed or stock.on_hand != stock.on_hand_before:
            changed.append((product, stock))
    for statement, new in ((queries.insert_products, True), (queries.update_products, False)):
        rows = [
            (
                *product.key,
                product.name,
                product.sku,
                product.product_type,
                product.purchase_cost,
                product.version,
                stock.on_hand,
                product.stock_version,
                stock.last_average_cost,
                stock.lots_recorded,
                stock.operations,
            )
            for product, stock in changed
            if product.new is new
        ]
        if rows:
            await statement(connection, instant=now, **columns(rows, _PRODUCT_PARAMETERS))


async def _save_links(connection: Connection, ledger: Ledger) -> None:
    made = [(*key, ledger.links[key]) for key in ledger.changed_links if key in ledger.links]
    gone = [key for key in ledger.changed_links if key not in ledger.links]
    if made:
        await queries.save_links(
            connection,
            **columns(made, "business_ids connection_ids item_external_ids product_ids"),
        )
    if gone:
        await queries.delete_links(
            connection, **columns(gone, "business_ids connection_ids item_external_ids")
        )


async def _save_lots(connection: Connection, ledger: Ledger, now: datetime) -> None:
    changed = [
        (business, lot)
        for business, books in ledger.books.items()
        for lot in books.lots.values()
        if lot.changed
    ]
    new = [_new_lot(business, lot, now) for business, lot in changed if lot.new]
    await _copy(connection, "lots", _LOT_COLUMNS, new)
    known = [
        (
            business,
            lot.lot_id,
            lot.quantity_received,
            lot.quantity_remaining,
            lot.quantity_adjusted,
            lot.quantity_voided,
            lot.unit_cost,
            lot.unit_cost_received,
            lot.voided,
        )
        for business, lot in changed
        if not lot.new
    ]
    if known:
        await queries.update_lots(
            connection, instant=now, **columns(sorted(known), _LOT_PARAMETERS)
        )


def _new_lot(business_id: str, lot: Lot, now: datetime) -> tuple[Any, ...]:
    return (
        business_id,
        lot.lot_id,
        lot.product_id,
        lot.lot_number,
        lot.received_on,
        lot.sequence,
        lot.quantity_received,
        lot.quantity_remaining,
        lot.quantity_adjusted,
        lot.quantity_voided,
        lot.unit_cost,
        lot.unit_cost_received,
        now if lot.voided else None,
        now,
        lot.return_sale_id,
    )


async def _save_sales(connection: Connection, ledger: Ledger) -> None:
    new = [
        _header(business, books.sales[sale_id])
        for business, books in ledger.books.items()
        for sale_id in books.new
    ]
    known = [
        _header(business, books.sales[sale_id])
        for business, books in ledger.books.items()
        for sale_id in sorted(books.touched - books.new)
    ]
    if known:
        keys = columns([header[:2] for header in known], "business_ids sale_ids")
        await queries.delete_consumptions(connection, **keys)
        await queries.delete_returned_goods(connection, **keys)
        await queries.delete_lines(connection, **keys)
        names = "business_ids sale_ids revisions costings sale_dates customers returns costs"
        await queries.update_sales(connection, **columns([(*h[:7], h[8]) for h in known], names))
    await _copy(connection, "sale_consumptions", _SALE_COLUMNS, new)
    await _append_lines(connection, ledger)


def _header(business_id: str, sale: Sale) -> tuple[Any, ...]:
    return (
        business_id,
        sale.sale_id,
        sale.revision,
        sale.costing,
        sale.sale_date,
        sale.customer_external_id,
        sale.returns,
        sale.order,
        sale.cost,
    )


async def _append_lines(connection: Connection, ledger: Ledger) -> None:
    lines: list[tuple[Any, ...]] = []
    held: list[tuple[Any, ...]] = []
    returned: list[tuple[Any, ...]] = []
    for business, books in ledger.books.items():
        for sale_id in books.touched:
            for ordinal, line in enumerate(books.sales[sale_id].lines):
                key = (business, sale_id, line.line_id)
                came_back = line.short_returned
                for number, a in enumerate(line.allocations):
                    held.append((*key, number, *a))
                    came_back += a.returned
                for number, part in enumerate(line.returned):
                    returned.append((*key, number, *part))
                lines.append(
                    (
                        business,
                        sale_id,
                        ordinal,
                        line.line_id,
                        line.product_id,
                        line.quantity,
                        line.cost,
                        line.short,
                        line.open,
                        line.short_returned,
                        line.average,
                        came_back,
                        line.uncosted,
                        line.places,
                    )
                )
    await _copy(connection, "consumption_lines", _LINE_COLUMNS, lines)
    await _copy(connection, "consumptions", _HELD_COLUMNS, held)
    await _copy(connection, "returned_goods", _RETURNED_COLUMNS, returned)
