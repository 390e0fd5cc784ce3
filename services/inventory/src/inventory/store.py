"""SQL in, domain values out, for a whole batch at a time.

Locks: the products of a batch, by business and product id. Whoever holds a product's row is alone
with its lots and with what sales hold of them.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiosql

from chassis.outbox import Connection
from contracts import inventory as messages
from contracts.base import Message
from inventory.domain.ledger import Adjustment, Ledger, Product, ProductKey, SaleKey
from inventory.domain.money import ZERO
from inventory.domain.stock import Allocation, Line, Lot, Sale, Stock

queries: Any = aiosql.from_path(Path(__file__).parent / "sql" / "queries.sql", "asyncpg")

EVERYTHING = Decimal(10) ** 18

_PRODUCT_PARAMETERS = (
    "business_ids product_ids names skus product_types purchase_costs versions stocks "
    "stock_versions averages lots_recorded"
)


async def load(connection: Connection, commands: Sequence[Message]) -> Ledger:
    """Lock and load what a batch of commands touches, and no more."""
    ledger = Ledger()
    wanted = _Wanted(commands)
    await _load_sales(connection, ledger, wanted.sales)
    await _load_named_lots(connection, ledger, wanted.lots)
    links = await _rows(
        queries.list_links(
            connection, **_columns(wanted.links, "business_ids connection_ids item_external_ids")
        )
    )
    products = {
        *wanted.products,
        *((row["business_id"], row["product_id"]) for row in links),
        *((business, lot.product_id) for (business, _), lot in ledger.lots.items()),
        *(
            (business, line.product_id)
            for (business, _), sale in ledger.sales.items()
            for line in sale.lines
        ),
    }
    await _load_products(connection, ledger, sorted(products), links)
    demand = wanted.demand(ledger)
    if demand:
        await _load_open_lots(connection, ledger, demand)
    supply = wanted.supply(ledger)
    if supply:
        await _load_short_sales(connection, ledger, supply)
    await _load_checks(connection, ledger, wanted)
    _fill_stocks(ledger)
    if any(key not in ledger.sales for key in wanted.sales):
        fresh = sum(1 for key in wanted.sales if key not in ledger.sales)
        orders = await _rows(queries.next_sale_orders(connection, count=fresh))
        numbers = iter(sorted(row["sale_order"] for row in orders))
        ledger.next_order = lambda: next(numbers)
    return ledger


class _Wanted:
    """The keys that a batch of commands names."""

    def __init__(self, commands: Sequence[Message]) -> None:
        self.commands = commands
        self.products: set[ProductKey] = set()
        self.sales: dict[SaleKey, None] = {}
        self.lots: set[tuple[str, str]] = set()
        self.links: list[tuple[str, str, str]] = []
        self.numbers: list[tuple[str, str, str]] = []
        self.adjustments: list[tuple[str, str]] = []
        self._taken: dict[ProductKey, Decimal] = defaultdict(Decimal)
        self._supplied: dict[ProductKey, Decimal] = defaultdict(Decimal)
        self._lots_changed: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for command in commands:
            self._add(command)

    def _add(self, command: Any) -> None:  # noqa: ANN401  (one of the command models)
        business = command.business_id
        if isinstance(command, messages.ConsumeLots):
            self.sales[business, command.sale_id] = None
            for line in command.lines:
                self.products.add((business, line.product_id))
                self._taken[business, line.product_id] += max(line.quantity, ZERO)
            return
        if isinstance(command, messages.AdjustLot | messages.VoidLot | messages.ChangeLotCost):
            self.lots.add((business, command.lot_id))
            self._lots_changed[business, command.lot_id] += (
                max(command.quantity, ZERO) if isinstance(command, messages.AdjustLot) else ZERO
            )
        if isinstance(command, messages.AdjustLot) and command.adjustment_id:
            self.adjustments.append((business, command.adjustment_id))
        if isinstance(command, messages.LinkItem | messages.UnlinkItem):
            self.links.append((business, command.connection_id, command.item_external_id))
        if getattr(command, "product_id", None):
            self.products.add((business, command.product_id))
        if isinstance(command, messages.ReceiveLot):
            if command.lot_id:
                self.lots.add((business, command.lot_id))
            if command.lot_number:
                self.numbers.append((business, command.product_id, command.lot_number))
            self._supplied[business, command.product_id] += command.quantity

    def demand(self, ledger: Ledger) -> dict[ProductKey, Decimal]:
        """How much of each product's open lots is needed; all of them where a lot is changed."""
        demand = dict(self._taken)
        for key in self._lots_changed:
            if (lot := ledger.lots.get(key)) is not None:
                demand[key[0], lot.product_id] = EVERYTHING
        for key in self._supplied:
            demand.setdefault(key, ZERO)
        return demand

    def supply(self, ledger: Ledger) -> dict[ProductKey, Decimal]:
        """How much of each product may become available in this batch, at most."""
        supply = dict(self._supplied)
        for key, quantity in self._lots_changed.items():
            if (lot := ledger.lots.get(key)) is not None and quantity > 0:
                product = (key[0], lot.product_id)
                supply[product] = supply.get(product, ZERO) + quantity
        for (business, _), sale in ledger.sales.items():
            for line in sale.lines:
                product = (business, line.product_id)
                supply[product] = supply.get(product, ZERO) + line.quantity
        return supply


async def _rows(selected: AsyncIterator[Any]) -> list[Any]:
    return [row async for row in selected]


def _columns(rows: Iterable[tuple[Any, ...]], names: str) -> dict[str, list[Any]]:
    """Rows as one array for each of the named parameters."""
    parameters = names.split()
    columns = [list(column) for column in zip(*rows, strict=True)]
    return dict(zip(parameters, columns or [[] for _ in parameters], strict=True))


async def _load_sales(connection: Connection, ledger: Ledger, keys: Iterable[SaleKey]) -> None:
    missing = [key for key in keys if key not in ledger.sales]
    if not missing:
        return
    headers = await _rows(
        queries.list_sales(connection, **_columns(missing, "business_ids sale_ids"))
    )
    if not headers:
        return
    known = [(row["business_id"], row["sale_id"]) for row in headers]
    lines: dict[SaleKey, list[Line]] = defaultdict(list)
    for row in await _rows(
        queries.list_sale_lines(connection, **_columns(known, "business_ids sale_ids"))
    ):
        lines[row["business_id"], row["sale_id"]].append(_line(row))
    for row in headers:
        key = (row["business_id"], row["sale_id"])
        ledger.sales[key] = Sale(
            sale_id=row["sale_id"],
            revision=row["revision"],
            costing=row["costing"],
            sale_date=row["sale_date"],
            customer_external_id=row["customer_external_id"],
            order=row["sale_order"],
            lines=tuple(lines[key]),
        )
    held = {
        (business, allocation.lot_id)
        for business, sale_id in known
        for line in lines[business, sale_id]
        for allocation in line.allocations
    }
    await _load_named_lots(connection, ledger, held)


def _line(row: Mapping[str, Any]) -> Line:
    return Line(
        line_id=row["line_id"],
        product_id=row["product_id"],
        quantity=row["quantity"],
        allocations=tuple(
            Allocation(*held)
            for held in zip(row["lot_ids"], row["quantities"], row["unit_costs"], strict=True)
        ),
        short=row["shortage_quantity"],
        open=row["shortage_open"],
        average=row["shortage_unit_cost"],
        uncosted=row["uncosted"],
    )


async def _load_named_lots(
    connection: Connection, ledger: Ledger, keys: Iterable[tuple[str, str]]
) -> None:
    missing = [key for key in keys if key not in ledger.lots]
    if missing:
        _add_lots(
            ledger,
            await _rows(queries.list_lots(connection, **_columns(missing, "business_ids lot_ids"))),
        )


async def _load_open_lots(
    connection: Connection, ledger: Ledger, demand: Mapping[ProductKey, Decimal]
) -> None:
    keys = [(*key, quantity) for key, quantity in sorted(demand.items())]
    _add_lots(
        ledger,
        await _rows(
            queries.list_open_lots(
                connection, **_columns(keys, "business_ids product_ids quantities")
            )
        ),
    )


def _add_lots(ledger: Ledger, rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        values = dict(row)
        business_id = values.pop("business_id")
        ledger.lots.setdefault((business_id, values["lot_id"]), Lot(**values))


async def _load_products(
    connection: Connection,
    ledger: Ledger,
    keys: Sequence[ProductKey],
    links: Iterable[Mapping[str, Any]],
) -> None:
    for row in await _rows(
        queries.lock_products(connection, **_columns(keys, "business_ids product_ids"))
    ):
        values = dict(row)
        product = Product(**values, stock_before=values["stock_on_hand"])
        ledger.products[product.key] = product
    for row in links:
        key = (row["business_id"], row["connection_id"], row["item_external_id"])
        ledger.links[key] = row["product_id"]


async def _load_short_sales(
    connection: Connection, ledger: Ledger, supply: Mapping[ProductKey, Decimal]
) -> None:
    keys = [(*key, quantity) for key, quantity in sorted(supply.items())]
    rows = await _rows(
        queries.list_short_sales(
            connection, **_columns(keys, "business_ids product_ids quantities")
        )
    )
    found = [(row["business_id"], row["sale_id"]) for row in rows]
    await _load_sales(connection, ledger, found)


async def _load_checks(connection: Connection, ledger: Ledger, wanted: _Wanted) -> None:
    """Load what single commands are checked against."""
    announced = [
        key
        for command in wanted.commands
        if isinstance(command, messages.PutProduct | messages.LinkItem | messages.UnlinkItem)
        for key in _products_announced(ledger, command)
    ]
    if announced:
        keys = list(dict.fromkeys(announced))
        for row in await _rows(
            queries.list_links_of_products(connection, **_columns(keys, "business_ids product_ids"))
        ):
            product = ledger.products[row["business_id"], row["product_id"]]
            product.links.add((row["connection_id"], row["item_external_id"]))
    if wanted.numbers:
        rows = await _rows(
            queries.list_active_numbers(
                connection, **_columns(wanted.numbers, "business_ids product_ids lot_numbers")
            )
        )
        for row in rows:
            key = (row["business_id"], row["product_id"], row["lot_number"])
            ledger.active_numbers.setdefault(key, set()).add(row["lot_id"])
        bearers = {(row["business_id"], row["lot_id"]) for row in rows}
        await _load_named_lots(connection, ledger, bearers)
    if wanted.adjustments:
        columns = _columns(wanted.adjustments, "business_ids adjustment_ids")
        for row in await _rows(queries.list_adjustments(connection, **columns)):
            ledger.adjustments[row["business_id"], row["adjustment_id"]] = Adjustment(
                row["lot_id"], row["quantity"], row["reason"]
            )


def _products_announced(ledger: Ledger, command: Any) -> list[ProductKey]:  # noqa: ANN401
    """The products whose links an event may carry."""
    keys = []
    if command.product_id is not None:
        keys.append((command.business_id, command.product_id))
    if not isinstance(command, messages.PutProduct):
        key = (command.business_id, command.connection_id, command.item_external_id)
        if (linked := ledger.links.get(key)) is not None:
            keys.append((command.business_id, linked))
    return [key for key in keys if key in ledger.products]


def _fill_stocks(ledger: Ledger) -> None:
    lots: dict[ProductKey, list[Lot]] = defaultdict(list)
    for (business, _), lot in ledger.lots.items():
        lots[business, lot.product_id].append(lot)
    for key, product in ledger.products.items():
        ledger.stocks[key] = Stock(
            product_id=key[1],
            lots=lots[key],
            last_average_cost=product.last_average_cost,
            purchase_cost=product.purchase_cost,
        )


async def save(connection: Connection, ledger: Ledger) -> None:
    """Write what the batch changed, one statement for each table."""
    await _save_products(connection, ledger)
    await _save_links(connection, ledger)
    await _save_lots(connection, ledger)
    await _save_sales(connection, ledger)
    if ledger.new_adjustments:
        await connection.copy_records_to_table(
            "adjustments",
            columns=("business_id", "adjustment_id", "lot_id", "quantity", "reason"),
            records=[
                (business, adjustment_id, a.lot_id, a.quantity, a.reason)
                for business, adjustment_id, a in ledger.new_adjustments
            ],
        )
    if ledger.movements:
        await _append_movements(connection, ledger)


async def _append_movements(connection: Connection, ledger: Ledger) -> None:
    await connection.copy_records_to_table(
        "stock_transactions",
        columns=(
            "business_id",
            "product_id",
            "kind",
            "lot_id",
            "quantity",
            "unit_cost",
            "sale_id",
            "revision",
            "line_id",
            "reason",
        ),
        records=[
            (
                business,
                m.product_id,
                m.kind,
                m.lot_id,
                m.quantity,
                m.unit_cost,
                m.sale_id,
                m.revision,
                m.line_id,
                m.reason,
            )
            for business, m in ledger.movements
        ],
    )


async def _save_products(connection: Connection, ledger: Ledger) -> None:
    moved = {(business, m.product_id) for business, m in ledger.movements}
    for product in ledger.products.values():
        average = ledger.stocks[product.key].last_average_cost
        if average != product.last_average_cost:
            product.last_average_cost = average
            product.changed = True
        product.changed = product.changed or product.key in moved
    changed = sorted((p for p in ledger.products.values() if p.changed), key=lambda p: p.key)
    for statement, products in (
        (queries.insert_products, [p for p in changed if p.new]),
        (queries.update_products, [p for p in changed if not p.new]),
    ):
        if products:
            rows = [
                (
                    p.business_id,
                    p.product_id,
                    p.name,
                    p.sku,
                    p.product_type,
                    p.purchase_cost,
                    p.version,
                    p.stock_on_hand,
                    p.stock_version,
                    p.last_average_cost,
                    p.lots_recorded,
                )
                for p in products
            ]
            await statement(connection, **_columns(rows, _PRODUCT_PARAMETERS))


async def _save_links(connection: Connection, ledger: Ledger) -> None:
    made = [(*key, ledger.links[key]) for key in ledger.changed_links if key in ledger.links]
    gone = [key for key in ledger.changed_links if key not in ledger.links]
    if made:
        await queries.save_links(
            connection,
            **_columns(made, "business_ids connection_ids item_external_ids product_ids"),
        )
    if gone:
        await queries.delete_links(
            connection, **_columns(gone, "business_ids connection_ids item_external_ids")
        )


async def _save_lots(connection: Connection, ledger: Ledger) -> None:
    changed = [(business, lot) for (business, _), lot in ledger.lots.items() if lot.changed]
    new = [(business, lot) for business, lot in changed if lot.new]
    now = datetime.now(UTC)
    if new:
        await connection.copy_records_to_table(
            "lots",
            columns=(
                "business_id",
                "lot_id",
                "product_id",
                "lot_number",
                "received_on",
                "sequence",
                "quantity_received",
                "quantity_remaining",
                "quantity_adjusted",
                "quantity_voided",
                "unit_cost",
                "unit_cost_received",
                "voided_at",
                "recorded_at",
            ),
            records=[
                (
                    business,
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
                )
                for business, lot in new
            ],
        )
    known = [
        (
            business,
            lot.lot_id,
            lot.quantity_remaining,
            lot.quantity_adjusted,
            lot.quantity_voided,
            lot.unit_cost,
            lot.voided,
        )
        for business, lot in changed
        if not lot.new
    ]
    if known:
        await queries.update_lots(
            connection,
            **_columns(
                sorted(known),
                "business_ids lot_ids remaining adjusted voided_quantities unit_costs voided",
            ),
        )


async def _save_sales(connection: Connection, ledger: Ledger) -> None:
    if not ledger.touched_sales:
        return
    known = sorted(ledger.touched_sales - ledger.new_sales)
    if known:
        await queries.delete_consumptions(connection, **_columns(known, "business_ids sale_ids"))
        await queries.delete_lines(connection, **_columns(known, "business_ids sale_ids"))
        rows = [
            (
                *key,
                sale.revision,
                sale.costing,
                sale.sale_date,
                sale.customer_external_id,
                sale.cost,
            )
            for key in known
            for sale in (ledger.sales[key],)
        ]
        await queries.update_sales(
            connection,
            **_columns(rows, "business_ids sale_ids revisions costings sale_dates customers costs"),
        )
    await connection.copy_records_to_table(
        "sale_consumptions",
        columns=(
            "business_id",
            "sale_id",
            "revision",
            "costing",
            "sale_date",
            "customer_external_id",
            "sale_order",
            "cost",
        ),
        records=[
            (
                *key,
                sale.revision,
                sale.costing,
                sale.sale_date,
                sale.customer_external_id,
                sale.order,
                sale.cost,
            )
            for key in ledger.new_sales
            for sale in (ledger.sales[key],)
        ],
    )
    await _append_lines(connection, ledger)


async def _append_lines(connection: Connection, ledger: Ledger) -> None:
    lines, held = [], []
    for key in ledger.touched_sales:
        for ordinal, line in enumerate(ledger.sales[key].lines):
            lines.append(
                (
                    *key,
                    ordinal,
                    line.line_id,
                    line.product_id,
                    line.quantity,
                    line.cost,
                    line.short,
                    line.open,
                    line.average,
                    line.uncosted,
                )
            )
            held += [
                (*key, line.line_id, number, a.lot_id, a.quantity, a.unit_cost)
                for number, a in enumerate(line.allocations)
            ]
    await connection.copy_records_to_table(
        "consumption_lines",
        columns=(
            "business_id",
            "sale_id",
            "ordinal",
            "line_id",
            "product_id",
            "quantity",
            "cost",
            "shortage_quantity",
            "shortage_open",
            "shortage_unit_cost",
            "uncosted",
        ),
        records=lines,
    )
    await connection.copy_records_to_table(
        "consumptions",
        columns=(
            "business_id",
            "sale_id",
            "line_id",
            "ordinal",
            "lot_id",
            "quantity",
            "unit_cost",
        ),
        records=held,
    )
