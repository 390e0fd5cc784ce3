"""What a batch of commands touches, locked and loaded: the ledger, and no more than it needs.

A command that takes returns off may move what any holder of a lot has; it is loaded alone and
`deep`, with those who may have to give goods up.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from chassis.outbox import Connection
from contracts import inventory as messages
from contracts.base import Message
from inventory.domain.ledger import Adjustment, Ledger, Product, ProductKey, SaleKey
from inventory.domain.money import ZERO
from inventory.domain.sale import Line, Returned, Sale
from inventory.domain.stock import Allocation, Lot, Stock
from inventory.store import columns, fetch, queries

EVERYTHING = Decimal(10) ** 18


@dataclass
class Headers:
    """What is known of the documents that a batch names; `entangled` have returns."""

    rows: dict[SaleKey, Mapping[str, Any]] = field(default_factory=dict)

    def revision(self, key: SaleKey) -> int:
        """The applied revision; 0 if the document is not known."""
        row = self.rows.get(key)
        return 0 if row is None else int(row["revision"])

    def entangled(self, key: SaleKey) -> bool:
        """Whether goods of the document were given back, or it gives goods back itself."""
        row = self.rows.get(key)
        return row is not None and bool(row["entangled"])


async def find_headers(connection: Connection, commands: Sequence[Message]) -> Headers:
    """What is known of the documents that commands name."""
    keys = dict.fromkeys(
        (c.business_id, c.sale_id) for c in commands if isinstance(c, messages.ConsumeLots)
    )
    if not keys:
        return Headers()
    rows = await fetch(queries.list_sales(connection, **columns(keys, "business_ids sale_ids")))
    return Headers({(row["business_id"], row["sale_id"]): row for row in rows})


async def load(
    connection: Connection,
    commands: Sequence[Message],
    headers: Headers,
    *,
    deep: bool = False,
) -> Ledger:
    """Lock and load what commands touch; `deep` loads all that one command may move."""
    ledger = Ledger()
    wanted = _Wanted(commands)
    await _load_named_sales(connection, ledger, headers, wanted.sales)
    await load_lots(connection, ledger, wanted.lots)
    if deep:
        await _load_returns(connection, ledger, wanted.sales)
    await _load_sources(connection, ledger, wanted.returns(ledger, every=deep))
    if deep:
        await _load_holders(connection, ledger, wanted.sales)
    links = await fetch(
        queries.list_links(
            connection, **columns(wanted.links, "business_ids connection_ids item_external_ids")
        )
    )
    products = {
        *wanted.products,
        *((row["business_id"], row["product_id"]) for row in links),
        *(
            (business, lot.product_id)
            for business, books in ledger.books.items()
            for lot in books.lots.values()
        ),
        *(
            (business, line.product_id)
            for business, books in ledger.books.items()
            for sale in books.sales.values()
            for line in sale.lines
        ),
    }
    stocks = await lock_products(connection, ledger, sorted(products), links)
    demand = wanted.demand(ledger, every=deep)
    if demand:
        await _load_open_lots(connection, ledger, demand)
    supply = wanted.supply(ledger)
    if supply:
        await _load_short_sales(connection, ledger, supply)
    await _load_checks(connection, ledger, wanted)
    fill_stocks(ledger, stocks)
    fresh = sum(1 for key in wanted.sales if not headers.revision(key))
    if fresh:
        orders = await fetch(queries.next_sale_orders(connection, count=fresh))
        numbers = iter(sorted(row["sale_order"] for row in orders))
        ledger.next_order = lambda: next(numbers)
    return ledger


async def load_history(connection: Connection, key: ProductKey) -> tuple[Ledger, list[Sale]] | None:
    """Lock a product and load its whole history; None if there is no such product.

    The ledger holds the product and its lots, its stock still without them. The documents are
    reduced to their lines of the product.
    """
    ledger = Ledger()
    stocks = await lock_products(connection, ledger, [key])
    if not stocks:
        return None
    business_id, product_id = key
    which = {"business_id": business_id, "product_id": product_id}
    ledger.books_of(business_id).stocks[product_id] = stocks[key]
    _add_lots(ledger, await fetch(queries.list_all_lots(connection, **which)))
    parts: dict[tuple[str, str], list[Returned]] = defaultdict(list)
    async for row in queries.list_history_of_returns(connection, **which):
        values = dict(row)
        parts[values.pop("sale_id"), values.pop("line_id")].append(Returned(**values))
    lines: dict[str, list[Line]] = defaultdict(list)
    headers: dict[str, Mapping[str, Any]] = {}
    async for row in queries.list_history(connection, **which):
        headers.setdefault(row["sale_id"], row)
        lines[row["sale_id"]].append(
            _line(row, tuple(parts.get((row["sale_id"], row["line_id"]), ())))
        )
    return ledger, [_sale(row, lines[sale_id]) for sale_id, row in headers.items()]


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
        self._given_back: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        self._lots_changed: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._lots_made: dict[tuple[str, str], str] = {}
        for command in commands:
            self._add(command)

    def _add(self, command: Any) -> None:  # noqa: ANN401  (one of the command models)
        business = command.business_id
        if isinstance(command, messages.ConsumeLots):
            self._add_lines(command)
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
                self._lots_made[business, command.lot_id] = command.product_id
            if command.lot_number:
                self.numbers.append((business, command.product_id, command.lot_number))
            self._supplied[business, command.product_id] += command.quantity

    def _add_lines(self, command: messages.ConsumeLots) -> None:
        business, customer = command.business_id, command.customer_external_id
        self.sales[business, command.sale_id] = None
        for line in command.lines:
            key = (business, line.product_id)
            self.products.add(key)
            if line.quantity >= 0:
                self._taken[key] += line.quantity
                continue
            self._taken[key] += EVERYTHING
            self._supplied[key] -= line.quantity
            if customer is not None and command.returns == "original-lots":
                self._given_back[business, customer, line.product_id] -= line.quantity

    def returns(self, ledger: Ledger, *, every: bool) -> dict[tuple[str, str, str], Decimal]:
        """How much of each product each customer may give back; the returns loaded too if `every`.

        What the documents hold that are loaded already counts as well, since it may be put back.
        """
        wanted = dict(self._given_back)
        if every:
            for business, books in ledger.books.items():
                for sale in books.sales.values():
                    for line in sale.lines:
                        if line.quantity < 0 and sale.customer_external_id is not None:
                            key = (business, sale.customer_external_id, line.product_id)
                            wanted[key] = wanted.get(key, ZERO) - line.quantity
        for business, customer, product_id in wanted:
            wanted[business, customer, product_id] += sum(
                line.quantity
                for sale in ledger.books_of(business).sales.values()
                for line in sale.lines
                if line.product_id == product_id and line.quantity > 0
            )
        return wanted

    def demand(self, ledger: Ledger, *, every: bool) -> dict[ProductKey, Decimal]:
        """How much of each product's open lots is needed; all of them where a lot is changed."""
        demand = dict(self._taken)
        for key in self._lots_changed:
            if (product_id := self._product_of(ledger, key)) is not None:
                demand[key[0], product_id] = EVERYTHING
        for key in self._supplied:
            demand.setdefault(key, ZERO)
        if every:
            demand |= dict.fromkeys(ledger.products, EVERYTHING)
        return demand

    def supply(self, ledger: Ledger) -> dict[ProductKey, Decimal]:
        """How much of each product may become available in this batch, at most."""
        supply = dict(self._supplied)
        for key, quantity in self._lots_changed.items():
            product_id = self._product_of(ledger, key)
            if product_id is not None and quantity > 0:
                product = (key[0], product_id)
                supply[product] = supply.get(product, ZERO) + quantity
        for business, books in ledger.books.items():
            for sale in books.sales.values():
                for line in sale.lines:
                    product = (business, line.product_id)
                    supply[product] = supply.get(product, ZERO) + abs(line.quantity)
        return supply

    def _product_of(self, ledger: Ledger, key: tuple[str, str]) -> str | None:
        """The product of a lot that is known, or that this batch records."""
        lot = ledger.books_of(key[0]).lots.get(key[1])
        return self._lots_made.get(key) if lot is None else lot.product_id


async def _load_named_sales(
    connection: Connection, ledger: Ledger, headers: Headers, keys: Iterable[SaleKey]
) -> None:
    rows = [headers.rows[key] for key in keys if key in headers.rows]
    if rows:
        await _load_lines(connection, ledger, rows)


async def load_sales(connection: Connection, ledger: Ledger, keys: Iterable[SaleKey]) -> None:
    """Load documents that are not loaded yet, and the lots that they hold."""
    missing = [key for key in dict.fromkeys(keys) if key[1] not in ledger.books_of(key[0]).sales]
    if not missing:
        return
    rows = await fetch(queries.list_sales(connection, **columns(missing, "business_ids sale_ids")))
    if rows:
        await _load_lines(connection, ledger, rows)


async def _load_lines(
    connection: Connection, ledger: Ledger, headers: Sequence[Mapping[str, Any]]
) -> None:
    known = [(row["business_id"], row["sale_id"]) for row in headers]
    parts: dict[tuple[str, str, str], list[Returned]] = defaultdict(list)
    giving = [(row["business_id"], row["sale_id"]) for row in headers if row["entangled"]]
    if giving:
        for row in await fetch(
            queries.list_returned_goods(connection, **columns(giving, "business_ids sale_ids"))
        ):
            values = dict(row)
            place = (values.pop("business_id"), values.pop("sale_id"), values.pop("line_id"))
            parts[place].append(Returned(**values))
    lines: dict[SaleKey, list[Line]] = defaultdict(list)
    held: set[tuple[str, str]] = set()
    for row in await fetch(
        queries.list_sale_lines(connection, **columns(known, "business_ids sale_ids"))
    ):
        key = (row["business_id"], row["sale_id"])
        returned = tuple(parts.get((*key, row["line_id"]), ()))
        lines[key].append(_line(row, returned))
        held |= {(key[0], lot_id) for lot_id in row["lot_ids"]}
        held |= {(key[0], part.lot_id) for part in returned if part.lot_id is not None}
    for row in headers:
        key = (row["business_id"], row["sale_id"])
        ledger.books_of(key[0]).load(_sale(row, lines[key]))
    await load_lots(connection, ledger, held)


def _sale(row: Mapping[str, Any], lines: Iterable[Line]) -> Sale:
    return Sale(
        sale_id=row["sale_id"],
        revision=row["revision"],
        costing=row["costing"],
        sale_date=row["sale_date"],
        customer_external_id=row["customer_external_id"],
        order=row["sale_order"],
        lines=tuple(lines),
        returns=row["returns"],
    )


def _line(row: Mapping[str, Any], returned: tuple[Returned, ...]) -> Line:
    return Line(
        line_id=row["line_id"],
        product_id=row["product_id"],
        quantity=row["quantity"],
        allocations=tuple(
            Allocation(*held)
            for held in zip(
                row["lot_ids"],
                row["quantities"],
                row["unit_costs"],
                row["taken"],
                row["returned"],
                strict=True,
            )
        ),
        short=row["shortage_quantity"],
        open=row["shortage_open"],
        average=row["shortage_unit_cost"],
        uncosted=row["uncosted"],
        short_returned=row["shortage_returned"],
        returned=returned,
        places=row["places"],
    )


async def load_lots(
    connection: Connection, ledger: Ledger, keys: Iterable[tuple[str, str]]
) -> None:
    """Load lots by id that are not loaded yet."""
    missing = [key for key in keys if key[1] not in ledger.books_of(key[0]).lots]
    if missing:
        _add_lots(
            ledger,
            await fetch(queries.list_lots(connection, **columns(missing, "business_ids lot_ids"))),
        )


async def _load_returns(connection: Connection, ledger: Ledger, named: Iterable[SaleKey]) -> None:
    """Load the returns of the named documents' goods, and the sources of all returns."""
    rows = await fetch(
        queries.list_returns_of_sales(connection, **columns(named, "business_ids sale_ids"))
    )
    await load_sales(connection, ledger, [(row["business_id"], row["sale_id"]) for row in rows])
    sources = [
        (business, part.source_sale_id)
        for business, books in ledger.books.items()
        for sale in books.sales.values()
        for line in sale.lines
        for part in line.returned
        if part.source_sale_id is not None
    ]
    await load_sales(connection, ledger, sources)


async def _load_sources(
    connection: Connection, ledger: Ledger, wanted: Mapping[tuple[str, str, str], Decimal]
) -> None:
    """Load what customers bought of what may come back, the latest sales first."""
    if not wanted:
        return
    keys = [(*key, quantity) for key, quantity in sorted(wanted.items())]
    rows = await fetch(
        queries.list_sales_of_customers(
            connection, **columns(keys, "business_ids customers product_ids quantities")
        )
    )
    await load_sales(connection, ledger, [(row["business_id"], row["sale_id"]) for row in rows])


async def _load_holders(connection: Connection, ledger: Ledger, named: Iterable[SaleKey]) -> None:
    """Load who may have to give up goods that leave with the returns taken off."""
    for business, sale_id in named:
        books = ledger.books_of(business)
        own = books.sales[sale_id].lines if sale_id in books.sales else ()
        lots: dict[str, tuple[int, Decimal]] = {}
        for line in (*own, *(line for _, line in books.returns_of(sale_id))):
            for part in line.returned:
                if part.lot_id is not None:
                    since, quantity = lots.get(part.lot_id, (part.given, ZERO))
                    lots[part.lot_id] = (min(since, part.given), quantity + part.quantity)
        if not lots:
            continue
        keys = [(business, lot_id, *lots[lot_id]) for lot_id in sorted(lots)]
        rows = await fetch(
            queries.list_holders(
                connection,
                **columns(keys, "business_ids lot_ids sinces quantities"),
                known_ids=list(books.sales),
            )
        )
        await load_sales(connection, ledger, [(row["business_id"], row["sale_id"]) for row in rows])


async def _load_open_lots(
    connection: Connection, ledger: Ledger, demand: Mapping[ProductKey, Decimal]
) -> None:
    keys = [(*key, quantity) for key, quantity in sorted(demand.items())]
    _add_lots(
        ledger,
        await fetch(
            queries.list_open_lots(
                connection, **columns(keys, "business_ids product_ids quantities")
            )
        ),
    )


def _add_lots(ledger: Ledger, rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        values = dict(row)
        books = ledger.books_of(values.pop("business_id"))
        books.lots.setdefault(values["lot_id"], Lot(**values))


async def lock_products(
    connection: Connection,
    ledger: Ledger,
    keys: Sequence[ProductKey],
    links: Iterable[Mapping[str, Any]] = (),
) -> dict[ProductKey, Stock]:
    """Lock and load products; returns their stocks, still without lots."""
    stocks = {}
    for row in await fetch(
        queries.lock_products(connection, **columns(keys, "business_ids product_ids"))
    ):
        product = Product(
            business_id=row["business_id"],
            product_id=row["product_id"],
            name=row["name"],
            sku=row["sku"],
            product_type=row["product_type"],
            purchase_cost=row["purchase_cost"],
            version=row["version"],
            stock_version=row["stock_version"],
        )
        ledger.products[product.key] = product
        stocks[product.key] = Stock(
            product_id=row["product_id"],
            last_average_cost=row["last_average_cost"],
            purchase_cost=row["purchase_cost"],
            on_hand=row["stock_on_hand"],
            on_hand_before=row["stock_on_hand"],
            lots_recorded=row["lots_recorded"],
            operations=row["operations"],
        )
    for row in links:
        key = (row["business_id"], row["connection_id"], row["item_external_id"])
        ledger.links[key] = row["product_id"]
    return stocks


async def _load_short_sales(
    connection: Connection, ledger: Ledger, supply: Mapping[ProductKey, Decimal]
) -> None:
    keys = [(*key, quantity) for key, quantity in sorted(supply.items())]
    rows = await fetch(
        queries.list_short_sales(connection, **columns(keys, "business_ids product_ids quantities"))
    )
    await load_sales(connection, ledger, [(row["business_id"], row["sale_id"]) for row in rows])


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
        for row in await fetch(
            queries.list_links_of_products(connection, **columns(keys, "business_ids product_ids"))
        ):
            product = ledger.products[row["business_id"], row["product_id"]]
            product.links.add((row["connection_id"], row["item_external_id"]))
    if wanted.numbers:
        rows = await fetch(
            queries.list_active_numbers(
                connection, **columns(wanted.numbers, "business_ids product_ids lot_numbers")
            )
        )
        bearers = {(row["business_id"], row["lot_id"]) for row in rows}
        await load_lots(connection, ledger, bearers)
    if wanted.adjustments:
        found = columns(wanted.adjustments, "business_ids adjustment_ids")
        for row in await fetch(queries.list_adjustments(connection, **found)):
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


def fill_stocks(ledger: Ledger, stocks: Mapping[ProductKey, Stock]) -> None:
    """Give each stock the lots that were loaded of it."""
    lots: dict[ProductKey, list[Lot]] = defaultdict(list)
    for business, books in ledger.books.items():
        for lot in books.lots.values():
            lots[business, lot.product_id].append(lot)
    for key, stock in stocks.items():
        for lot in sorted(lots[key], key=lambda lot: lot.place):
            stock.add(lot)
        ledger.books_of(key[0]).stocks[key[1]] = stock
