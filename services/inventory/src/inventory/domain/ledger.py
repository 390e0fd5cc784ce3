"""The working set of one batch: products, lots and documents that it touches, changed in memory.

Every command is one operation that applies whole or is refused whole. What must be saved is marked
on the values.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from inventory.domain.books import Books, Settlement
from inventory.domain.money import ZERO
from inventory.domain.movements import Movement
from inventory.domain.operation import Effect, change
from inventory.domain.sale import Demand, ReturnMode, Sale
from inventory.domain.stock import Lot, Stock, is_reserved

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
    stock_version: int = 0
    links: set[tuple[str, str]] = field(default_factory=set)
    new: bool = False
    changed: bool = False

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
    """What a batch works on: products and links, and the books of each business."""

    products: dict[ProductKey, Product] = field(default_factory=dict)
    books: dict[str, Books] = field(default_factory=dict)
    links: dict[LinkKey, str] = field(default_factory=dict)
    adjustments: dict[tuple[str, str], Adjustment] = field(default_factory=dict)
    next_order: Callable[[], int] = field(default=lambda: 0)
    new_adjustments: list[tuple[str, str, Adjustment]] = field(default_factory=list)
    changed_links: set[LinkKey] = field(default_factory=set)

    def books_of(self, business_id: str) -> Books:
        """The books of a business."""
        books = self.books.get(business_id)
        if books is None:
            books = self.books[business_id] = Books()
        return books

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
        stocks = self.books_of(key[0]).stocks
        if product is None:
            product = Product(
                *key, name, sku, product_type, purchase_cost, version=1, new=True, changed=True
            )
            self.products[key] = product
            stocks[key[1]] = Stock(key[1], purchase_cost=purchase_cost)
            return product
        wanted = (name, sku, product_type, purchase_cost)
        if wanted == (product.name, product.sku, product.product_type, product.purchase_cost):
            return None
        product.name, product.sku, product.product_type, product.purchase_cost = wanted
        stocks[key[1]].purchase_cost = purchase_cost
        self._announce(product)
        return product

    def link_item(self, key: LinkKey, product_id: str) -> list[Product] | Refusal:
        """Tie an item to a product; the products whose links changed."""
        business_id, connection_id, item_external_id = key
        product = self.products.get((business_id, product_id))
        if product is None:
            return unknown_product(product_id)
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
            return Refusal(
                "item-not-linked",
                f"Item {key[2]} of connection {key[1]} is linked to no product.",
                "item_external_id",
            )
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
            return unknown_product(product_id)
        if product.product_type == NEVER_STOCKED:
            return Refusal(
                "product-not-stocked",
                f"Product {product_id} is a service; it has no lots.",
                "product_id",
            )
        books = self.books[business_id]
        known = books.lots.get(lot_id)
        if known is not None:
            recorded = (
                known.product_id,
                known.quantity_received,
                known.unit_cost_received,
                known.received_on,
                known.lot_number,
                known.return_sale_id,
            )
            number = lot_number or known.lot_number
            if recorded == (product_id, quantity, unit_cost, received_on, number, None):
                return None
            return Refusal(
                "lot-id-taken",
                f"Lot {lot_id} was recorded before, with other content; leave lot_id out or "
                "choose another.",
                "lot_id",
            )
        if lot_number is not None and (refusal := self._wrong_number(key, lot_number)):
            return refusal
        lot = books.stocks[product_id].record(
            lot_id,
            quantity=quantity,
            unit_cost=unit_cost,
            received_on=received_on,
            lot_number=lot_number,
        )
        books.lots[lot_id] = lot
        books.move([Movement("receipt", product_id, lot_id, quantity, unit_cost)])
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
                f"Adjustment {adjustment_id} was recorded before, with other content; leave "
                "adjustment_id out or choose another.",
                "adjustment_id",
            )
        books = self.books_of(business_id)
        lot = books.lots.get(lot_id)
        if lot is None or lot.voided:
            return _no_such_lot(lot_id, lot)
        if refusal := _wrong_adjustment(lot, quantity, reason):
            return refusal
        stock = books.stocks[lot.product_id]
        stock.remember_average()
        lot.quantity_adjusted += quantity
        stock.put(lot_id, quantity)
        self.adjustments[business_id, adjustment_id] = wanted
        self.new_adjustments.append((business_id, adjustment_id, wanted))
        books.move(
            [Movement("adjustment", lot.product_id, lot_id, quantity, lot.unit_cost, reason=reason)]
        )
        return lot

    def change_lot_cost(
        self, business_id: str, lot_id: str, unit_cost: Decimal
    ) -> Lot | Refusal | None:
        """Correct a lot's unit cost for what is taken from now on; None if it is so already."""
        lot = self.books_of(business_id).lots.get(lot_id)
        if lot is None or lot.voided:
            return _no_such_lot(lot_id, lot)
        if lot.unit_cost == unit_cost:
            return None
        lot.unit_cost = unit_cost
        lot.changed = True
        return lot

    def void_lot(self, business_id: str, lot_id: str) -> tuple[Lot, Decimal] | Refusal:
        """Take a lot out of stock for good; the lot and the quantity that left stock."""
        books = self.books_of(business_id)
        lot = books.lots.get(lot_id)
        if lot is None or lot.voided:
            return _no_such_lot(lot_id, lot)
        books.stocks[lot.product_id].remember_average()
        left = lot.quantity_remaining
        lot.quantity_remaining = ZERO
        lot.quantity_voided += left
        lot.voided = lot.changed = True
        if left:
            books.move([Movement("lot-void", lot.product_id, lot_id, -left, lot.unit_cost)])
        return lot, left

    def consume(
        self,
        key: SaleKey,
        *,
        revision: int,
        sale_date: date,
        customer_external_id: str | None,
        returns: ReturnMode,
        demands: list[Demand],
    ) -> Effect | Sale | Refusal:
        """Apply a document's whole content; the stored document if the revision is old (SA5)."""
        business_id, sale_id = key
        books = self.books_of(business_id)
        before = books.sales.get(sale_id)
        if before is not None and before.revision >= revision:
            return before
        if refusal := self._wrong_demands(business_id, demands):
            return refusal
        desired = Sale(
            sale_id=sale_id,
            revision=revision,
            costing=1,
            sale_date=sale_date,
            customer_external_id=customer_external_id,
            order=before.order if before else self.next_order(),
            lines=(),
            returns=returns,
        )
        return change(books, desired, demands)

    def settle(self, key: ProductKey) -> list[Settlement]:
        """Let what is in stock settle open shortages of a product, oldest sale first (SA9)."""
        return self.books[key[0]].settle(key[1])

    def _wrong_number(self, key: ProductKey, number: str) -> Refusal | None:
        """Why a lot can't have a number: an active lot has it, or it is kept for others (LO2)."""
        if is_reserved(number):
            return Refusal(
                "lot-number-reserved",
                f"{number} looks like a number that is given to lots without one; such a number "
                "may count to 999999999999999.",
                "lot_number",
            )
        if self.books[key[0]].stocks[key[1]].is_active(number):
            return Refusal(
                "lot-number-taken",
                f"Product {key[1]} has an active lot numbered {number} already; choose another "
                "number or leave it out.",
                "lot_number",
            )
        return None

    def _wrong_demands(self, business_id: str, demands: list[Demand]) -> Refusal | None:
        seen = set()
        for number, demand in enumerate(demands):
            place = f"lines.{number}."
            product = self.products.get((business_id, demand.product_id))
            if product is None:
                return unknown_product(demand.product_id, place)
            if product.product_type == NEVER_STOCKED:
                return Refusal(
                    "product-not-stocked",
                    f"Product {demand.product_id} is a service; nothing can be taken of it.",
                    f"{place}product_id",
                )
            if demand.quantity == 0:
                return Refusal(
                    "quantity-zero",
                    f"Line {demand.line_id} has quantity 0; a positive one takes goods, a negative "
                    "one gives them back.",
                    f"{place}quantity",
                )
            if demand.line_id in seen:
                return Refusal(
                    "duplicate-line",
                    f"Line {demand.line_id} appears twice; each line needs an id of its own.",
                    f"{place}line_id",
                )
            seen.add(demand.line_id)
        return None

    def _announce(self, product: Product) -> None:
        product.version += 1
        product.changed = True


def unknown_product(product_id: str, place: str = "") -> Refusal:
    """The refusal of a command that names, at a place in it, a product which is not there."""
    return Refusal(
        "unknown-product",
        f"This business has no product {product_id}; publish put-product first.",
        f"{place}product_id",
    )


def _no_such_lot(lot_id: str, lot: Lot | None) -> Refusal:
    if lot is None:
        return Refusal(
            "unknown-lot",
            f"This business has no lot {lot_id}; lot-received tells the id of each.",
            "lot_id",
        )
    return Refusal(
        "lot-voided",
        f"Lot {lot_id} is voided and can't be changed; receive its goods as a new lot.",
        "lot_id",
    )


def _wrong_adjustment(lot: Lot, quantity: Decimal, reason: str) -> Refusal | None:
    if reason not in SIGNED_REASONS:
        return Refusal(
            "unknown-reason",
            f"`{reason}` is no reason; allowed are {', '.join(SIGNED_REASONS)}.",
            "reason",
        )
    if quantity == 0:
        return Refusal(
            "quantity-zero",
            "An adjustment of 0 changes nothing; a positive one adds goods, a negative one takes "
            "them away.",
            "quantity",
        )
    if SIGNED_REASONS[reason] < 0 < quantity:
        return Refusal(
            "wrong-sign", f"`{reason}` takes goods away: the quantity must be negative.", "quantity"
        )
    if lot.quantity_remaining + quantity < 0:
        return Refusal(
            "below-zero",
            f"Lot {lot.lot_id} has {lot.quantity_remaining:f} left; {-quantity:f} can't be taken.",
            "quantity",
        )
    return None
