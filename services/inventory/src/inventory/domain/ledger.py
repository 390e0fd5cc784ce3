"""The working set of one batch: products, lots and sales that it touches, changed in memory.

Every command is one operation that applies whole or is refused whole. What must be saved is marked
on the values; stock transactions are collected in the order in which they happened.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from inventory.domain.money import ZERO
from inventory.domain.stock import (
    Demand,
    Effect,
    Line,
    Lot,
    Movement,
    Sale,
    Settlement,
    Stock,
    consume,
    settle,
)

ProductKey = tuple[str, str]
SaleKey = tuple[str, str]
LinkKey = tuple[str, str, str]

NEVER_STOCKED = "service"
SIGNED_REASONS = {"count-correction": 0, "breakage": -1, "loss": -1, "other": 0}
"""The sign that an adjustment's reason asks for; 0 allows both (LO4)."""


@dataclass(frozen=True)
class Refusal:
    """Why a command changes nothing."""

    reason: str
    message: str
    field: str | None = None


@dataclass
class Product:
    """A product with its links; `version` grows with what `product-changed` tells."""

    business_id: str
    product_id: str
    name: str
    sku: str | None
    product_type: str
    purchase_cost: Decimal | None
    version: int
    stock_on_hand: Decimal = ZERO
    stock_version: int = 0
    last_average_cost: Decimal | None = None
    lots_recorded: int = 0
    links: set[tuple[str, str]] = field(default_factory=set)
    new: bool = False
    changed: bool = False
    stock_before: Decimal = ZERO

    @property
    def key(self) -> ProductKey:
        """The product's key."""
        return self.business_id, self.product_id


@dataclass(frozen=True)
class Adjustment:
    """An adjustment as it was recorded."""

    lot_id: str
    quantity: Decimal
    reason: str


@dataclass
class Ledger:
    """What a batch works on. `short_sales` are the sales with lines short of a product."""

    products: dict[ProductKey, Product] = field(default_factory=dict)
    stocks: dict[ProductKey, Stock] = field(default_factory=dict)
    lots: dict[tuple[str, str], Lot] = field(default_factory=dict)
    links: dict[LinkKey, str] = field(default_factory=dict)
    sales: dict[SaleKey, Sale] = field(default_factory=dict)
    adjustments: dict[tuple[str, str], Adjustment] = field(default_factory=dict)
    active_numbers: dict[tuple[str, str, str], set[str]] = field(default_factory=dict)
    next_order: Callable[[], int] = field(default=lambda: 0)
    movements: list[tuple[str, Movement]] = field(default_factory=list)
    touched_sales: set[SaleKey] = field(default_factory=set)
    new_sales: set[SaleKey] = field(default_factory=set)
    new_adjustments: list[tuple[str, str, Adjustment]] = field(default_factory=list)
    changed_links: set[LinkKey] = field(default_factory=set)

    def put_product(
        self,
        key: ProductKey,
        *,
        name: str,
        sku: str | None,
        product_type: str,
        purchase_cost: Decimal | None,
    ) -> Product | None:
        """Create or change a product; None if it is so already."""
        product = self.products.get(key)
        if product is None:
            product = Product(
                *key, name, sku, product_type, purchase_cost, version=1, new=True, changed=True
            )
            self.products[key] = product
            self.stocks[key] = Stock(key[1], purchase_cost=purchase_cost)
            return product
        wanted = (name, sku, product_type, purchase_cost)
        if wanted == (product.name, product.sku, product.product_type, product.purchase_cost):
            return None
        product.name, product.sku, product.product_type, product.purchase_cost = wanted
        self.stocks[key].purchase_cost = purchase_cost
        self._announce(product)
        return product

    def link_item(self, key: LinkKey, product_id: str) -> list[Product] | Refusal:
        """Tie an item to a product; the products whose links changed."""
        business_id, connection_id, item_external_id = key
        product = self.products.get((business_id, product_id))
        if product is None:
            return _unknown_product(product_id)
        before = self.links.get(key)
        if before == product_id:
            return []
        item = (connection_id, item_external_id)
        changed = [product]
        if before is not None:
            former = self.products[business_id, before]
            former.links.discard(item)
            changed.insert(0, former)
        product.links.add(item)
        self.links[key] = product_id
        self.changed_links.add(key)
        for each in changed:
            self._announce(each)
        return changed

    def unlink_item(self, key: LinkKey, product_id: str | None) -> list[Product] | Refusal:
        """Take a link back; the products whose links changed."""
        linked = self.links.get(key)
        if linked is None:
            return []
        if product_id is not None and product_id != linked:
            return Refusal(
                "linked-to-another-product",
                f"Item {key[2]} is linked to product {linked}, not to {product_id}; "
                "leave product_id out or name that one.",
                "product_id",
            )
        product = self.products[key[0], linked]
        product.links.discard((key[1], key[2]))
        del self.links[key]
        self.changed_links.add(key)
        self._announce(product)
        return [product]

    def receive_lot(
        self,
        key: ProductKey,
        *,
        lot_id: str,
        lot_number: str | None,
        quantity: Decimal,
        unit_cost: Decimal,
        received_on: date,
    ) -> Lot | Refusal | None:
        """Record a lot; None if this very lot is there already."""
        business_id, product_id = key
        product = self.products.get(key)
        if product is None:
            return _unknown_product(product_id)
        if product.product_type == NEVER_STOCKED:
            return Refusal(
                "product-not-stocked",
                f"Product {product_id} is a service; it has no lots.",
                "product_id",
            )
        known = self.lots.get((business_id, lot_id))
        if known is not None:
            recorded = (
                known.product_id,
                known.quantity_received,
                known.unit_cost_received,
                known.received_on,
                known.lot_number,
            )
            sent = (product_id, quantity, unit_cost, received_on, lot_number or known.lot_number)
            if recorded == sent:
                return None
            return Refusal(
                "lot-id-taken", f"Lot {lot_id} was recorded before, with other content.", "lot_id"
            )
        sequence = product.lots_recorded + 1
        number = lot_number or f"{received_on:%Y%m%d}-{sequence}"
        if self._number_is_active(key, number):
            return Refusal(
                "lot-number-taken",
                f"Product {product_id} has an active lot numbered {number} already.",
                "lot_number",
            )
        product.lots_recorded = sequence
        product.changed = True
        lot = Lot(
            lot_id=lot_id,
            product_id=product_id,
            lot_number=number,
            received_on=received_on,
            sequence=sequence,
            quantity_received=quantity,
            quantity_remaining=quantity,
            quantity_adjusted=ZERO,
            quantity_voided=ZERO,
            unit_cost=unit_cost,
            unit_cost_received=unit_cost,
            voided=False,
            changed=True,
            new=True,
        )
        self.lots[business_id, lot_id] = lot
        self.stocks[key].add(lot)
        self.active_numbers.setdefault((*key, number), set()).add(lot_id)
        self._move(business_id, Movement("receipt", product_id, lot_id, quantity, unit_cost))
        return lot

    def adjust_lot(
        self,
        business_id: str,
        lot_id: str,
        *,
        adjustment_id: str,
        quantity: Decimal,
        reason: str,
    ) -> Lot | Refusal | None:
        """Correct what remains of a lot; None if this adjustment is there already (LO4)."""
        wanted = Adjustment(lot_id, quantity, reason)
        known = self.adjustments.get((business_id, adjustment_id))
        if known is not None:
            if known == wanted:
                return None
            return Refusal(
                "adjustment-id-taken",
                f"Adjustment {adjustment_id} was recorded before, with other content.",
                "adjustment_id",
            )
        lot = self.lots.get((business_id, lot_id))
        if lot is None or lot.voided:
            return _no_such_lot(lot_id, lot)
        if refusal := _wrong_adjustment(lot, quantity, reason):
            return refusal
        stock = self.stocks[business_id, lot.product_id]
        average = stock.average_cost()
        lot.quantity_remaining += quantity
        lot.quantity_adjusted += quantity
        lot.changed = True
        stock.reopened()
        if not stock.is_open() and average is not None:
            stock.last_average_cost = average
        self.adjustments[business_id, adjustment_id] = wanted
        self.new_adjustments.append((business_id, adjustment_id, wanted))
        self._move(
            business_id,
            Movement("adjustment", lot.product_id, lot_id, quantity, lot.unit_cost, reason=reason),
        )
        return lot

    def change_lot_cost(
        self, business_id: str, lot_id: str, unit_cost: Decimal
    ) -> Lot | Refusal | None:
        """Correct a lot's unit cost for what is taken from now on; None if it is so already."""
        lot = self.lots.get((business_id, lot_id))
        if lot is None or lot.voided:
            return _no_such_lot(lot_id, lot)
        if lot.unit_cost == unit_cost:
            return None
        lot.unit_cost = unit_cost
        lot.changed = True
        return lot

    def void_lot(self, business_id: str, lot_id: str) -> tuple[Lot, Decimal] | Refusal:
        """Take a lot out of stock for good; the lot and the quantity that left stock."""
        lot = self.lots.get((business_id, lot_id))
        if lot is None or lot.voided:
            return _no_such_lot(lot_id, lot)
        stock = self.stocks[business_id, lot.product_id]
        average = stock.average_cost()
        left = lot.quantity_remaining
        lot.quantity_remaining = ZERO
        lot.quantity_voided += left
        lot.voided = lot.changed = True
        if not stock.is_open() and average is not None:
            stock.last_average_cost = average
        if left:
            self._move(
                business_id, Movement("lot-void", lot.product_id, lot_id, -left, lot.unit_cost)
            )
        return lot, left

    def consume(
        self,
        key: SaleKey,
        *,
        revision: int,
        sale_date: date,
        customer_external_id: str | None,
        demands: list[Demand],
    ) -> Effect | Sale | Refusal:
        """Apply a sale's desired consumption; the stored sale if the revision is old (SA5)."""
        business_id, sale_id = key
        before = self.sales.get(key)
        if before is not None and before.revision >= revision:
            return before
        if refusal := self._wrong_demands(business_id, demands):
            return refusal
        stocks = {
            product_id: self.stocks[business_id, product_id]
            for product_id in (
                *(demand.product_id for demand in demands),
                *(line.product_id for line in (before.lines if before else ())),
            )
        }
        desired = Sale(
            sale_id=sale_id,
            revision=revision,
            costing=1,
            sale_date=sale_date,
            customer_external_id=customer_external_id,
            order=before.order if before else self.next_order(),
            lines=(),
        )
        effect = consume(stocks, before, desired, demands)
        if before is None:
            self.new_sales.add(key)
        self.sales[key] = effect.sale
        self.touched_sales.add(key)
        for movement in effect.movements:
            self._move(business_id, movement)
        return effect

    def settle(self, key: ProductKey) -> list[Settlement]:
        """Let what is in stock settle open shortages of a product, oldest sale first (SA9)."""
        business_id, product_id = key
        stock = self.stocks[key]
        if not stock.is_open():
            return []
        waiting = sorted(
            (
                sale
                for (business, _), sale in self.sales.items()
                if business == business_id
                and any(_is_short(line, product_id) for line in sale.lines)
            ),
            key=lambda sale: (sale.sale_date, sale.order),
        )
        settlements = settle(stock, waiting)
        recosted: dict[str, Sale] = {}
        for settlement in settlements:
            for movement in settlement.movements:
                self._move(business_id, movement)
            recosted[settlement.sale.sale_id] = settlement.sale
        for sale_id, sale in recosted.items():
            self.sales[business_id, sale_id] = replace(sale, costing=sale.costing + 1)
            self.touched_sales.add((business_id, sale_id))
        return settlements

    def _number_is_active(self, key: ProductKey, number: str) -> bool:
        bearers = self.active_numbers.get((*key, number), ())
        return any(self.lots[key[0], lot_id].quantity_remaining > 0 for lot_id in bearers)

    def _wrong_demands(self, business_id: str, demands: list[Demand]) -> Refusal | None:
        seen = set()
        for demand in demands:
            product = self.products.get((business_id, demand.product_id))
            if product is None:
                return _unknown_product(demand.product_id)
            if product.product_type == NEVER_STOCKED:
                return Refusal(
                    "product-not-stocked",
                    f"Product {demand.product_id} is a service; nothing can be taken of it.",
                    "lines",
                )
            if demand.quantity == 0:
                return Refusal("quantity-zero", f"Line {demand.line_id} has quantity 0.", "lines")
            if demand.quantity < 0:
                return Refusal(
                    "returns-not-supported",
                    f"Line {demand.line_id} gives goods back; returns are not supported yet.",
                    "lines",
                )
            if demand.line_id in seen:
                return Refusal("duplicate-line", f"Line {demand.line_id} appears twice.", "lines")
            seen.add(demand.line_id)
        return None

    def _announce(self, product: Product) -> None:
        product.version += 1
        product.changed = True

    def _move(self, business_id: str, movement: Movement) -> None:
        self.movements.append((business_id, movement))
        product = self.products[business_id, movement.product_id]
        product.stock_on_hand += movement.quantity


def _is_short(line: Line, product_id: str) -> bool:
    return line.product_id == product_id and line.open > 0


def _unknown_product(product_id: str) -> Refusal:
    return Refusal(
        "unknown-product",
        f"This business has no product {product_id}; publish put-product first.",
        "product_id",
    )


def _no_such_lot(lot_id: str, lot: Lot | None) -> Refusal:
    if lot is None:
        return Refusal("unknown-lot", f"This business has no lot {lot_id}.", "lot_id")
    return Refusal("lot-voided", f"Lot {lot_id} is voided and can't be changed.", "lot_id")


def _wrong_adjustment(lot: Lot, quantity: Decimal, reason: str) -> Refusal | None:
    if reason not in SIGNED_REASONS:
        return Refusal(
            "unknown-reason",
            f"`{reason}` is no reason; allowed are {', '.join(SIGNED_REASONS)}.",
            "reason",
        )
    if quantity == 0:
        return Refusal("quantity-zero", "An adjustment changes the quantity.", "quantity")
    if SIGNED_REASONS[reason] < 0 < quantity:
        return Refusal(
            "wrong-sign", f"`{reason}` takes goods away: the quantity must be negative.", "quantity"
        )
    if lot.quantity_remaining + quantity < 0:
        return Refusal(
            "below-zero",
            f"Lot {lot.lot_id} has {lot.quantity_remaining} left; {-quantity} can't be taken.",
            "quantity",
        )
    return None
