"""Messages owned by inventory: products, item links, lots and what sales took from them."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from contracts.base import (
    LINES_MAX,
    BusinessDate,
    Currency,
    Id,
    Instant,
    Message,
    Money,
    Part,
    PositiveQuantity,
    Quantity,
    Text,
    UnitCost,
)

ProductType = Literal["finished-good", "raw-material", "component", "sub-assembly", "service"]
RECOSTED_SALES_SHOWN_MAX = 1_000
Revision = Annotated[int, Field(ge=1, le=2**62, strict=True)]


class PutProduct(Message):
    """Create or change a product."""

    type: Literal["put-product"] = "put-product"
    business_id: Id
    product_id: Id
    name: Text
    sku: Text | None = None
    product_type: ProductType
    purchase_cost: UnitCost | None = None


class LinkItem(Message):
    """Say which product an accounting item is."""

    type: Literal["link-item"] = "link-item"
    business_id: Id
    connection_id: Id
    item_external_id: Id
    product_id: Id


class UnlinkItem(Message):
    """Take back what `link-item` said."""

    type: Literal["unlink-item"] = "unlink-item"
    business_id: Id
    connection_id: Id
    item_external_id: Id
    product_id: Id | None = None


class ReceiveLot(Message):
    """Record a batch of a product, bought or built."""

    type: Literal["receive-lot"] = "receive-lot"
    business_id: Id
    product_id: Id
    quantity: PositiveQuantity
    unit_cost: UnitCost
    received_on: BusinessDate
    lot_number: Id | None = None
    lot_id: Id | None = None


class AdjustLot(Message):
    """Change what remains of a lot, with the reason."""

    type: Literal["adjust-lot"] = "adjust-lot"
    business_id: Id
    lot_id: Id
    quantity: Quantity
    reason: Id
    adjustment_id: Id | None = None


class ChangeLotCost(Message):
    """Correct a lot's unit cost for what is taken from now on."""

    type: Literal["change-lot-cost"] = "change-lot-cost"
    business_id: Id
    lot_id: Id
    unit_cost: UnitCost


class VoidLot(Message):
    """Take a lot out of stock for good."""

    type: Literal["void-lot"] = "void-lot"
    business_id: Id
    lot_id: Id


ReturnMode = Literal["original-lots", "return-lot"]
"""Where goods go that come back: to what the customer's sales took, or into a lot of their own."""


class DemandLine(Part):
    """What one sale line takes (or, negative, gives back)."""

    line_id: Id
    product_id: Id
    quantity: Quantity


class ConsumeLots(Message):
    """The whole desired consumption of a sale at a revision; no lines give everything back.

    Negative quantities are returns: they go where `returns` says. The cost of each line is rounded
    to the minor unit of `currency`, that of the lots' unit costs, to two places without one.
    """

    type: Literal["consume-lots"] = "consume-lots"
    business_id: Id
    sale_id: Id
    revision: Revision
    sale_date: BusinessDate
    customer_external_id: Id | None = None
    currency: Currency | None = None
    returns: ReturnMode = "original-lots"
    lines: Annotated[list[DemandLine], Field(max_length=LINES_MAX)] = []


class RecostProduct(Message):
    """Run first in, first out again for a product in calendar order from a date."""

    type: Literal["recost-product"] = "recost-product"
    business_id: Id
    product_id: Id
    from_date: BusinessDate
    dry_run: bool = False


class Allocation(Part):
    """Goods taken from one lot; of a return, goods given to it (a negative quantity)."""

    lot_id: Id
    lot_number: Id
    quantity: Decimal
    unit_cost: Decimal
    received_on: BusinessDate | None = None


class Shortage(Part):
    """Goods sold that were not in stock: how many in all, how many still, at what average.

    `returned` of them came back while they were missing; they keep the average.
    """

    quantity: Decimal
    open: Decimal
    unit_cost: Decimal
    returned: Decimal | None = None


class ReturnedGoods(Part):
    """Goods that a line gave back: to which line, which lot, at what unit cost.

    Without a lot they were still missing; without a source they are a lot of their own.
    """

    source_sale_id: Id | None = None
    source_line_id: Id | None = None
    lot_id: Id | None = None
    quantity: Decimal
    unit_cost: Decimal


class CostedLine(Part):
    """What one line cost and why; negative for a return. `flags`: `short`, `uncosted`."""

    line_id: Id
    product_id: Id
    quantity: Decimal
    cost: Money
    allocations: list[Allocation] = []
    shortage: Shortage | None = None
    returned: list[ReturnedGoods] = []
    flags: list[Id] = []


class SaleCosted(Message):
    """The stored result of a sale's consumption at a revision.

    `reason` is absent for the answer to `consume-lots`; a later change of the same revision names
    it (`shortage-settled`, `recosted`, `return-moved`). `costing` counts them.
    """

    type: Literal["sale-costed"] = "sale-costed"
    business_id: Id
    sale_id: Id
    revision: int
    costing: int = 1
    lines: list[CostedLine]
    cost: Money
    reason: Id | None = None


class RecostedSale(Part):
    """A sale that a re-costing moves."""

    sale_id: Id
    cost_before: Decimal
    cost_after: Decimal


class ProductRecosted(Message):
    """What re-costing a product did, or, of a dry run, would do.

    The costs are those of the product's lines in the sales that change; `sales` are the first of
    them, by sale date.
    """

    type: Literal["product-recosted"] = "product-recosted"
    business_id: Id
    product_id: Id
    from_date: BusinessDate
    dry_run: bool
    sales_checked: int
    sales_changed: int
    cost_before: Decimal
    cost_after: Decimal
    lots_changed: int
    sales: Annotated[list[RecostedSale], Field(max_length=RECOSTED_SALES_SHOWN_MAX)] = []


class ItemLinkChanged(Message):
    """An item that was linked to a product no longer is, or is linked to another one.

    What it means for sales is said in `message`: sales keep the product that they were recorded
    with, and versions of documents that arrive later count as `product_id`, or wait without one.
    """

    type: Literal["item-link-changed"] = "item-link-changed"
    business_id: Id
    connection_id: Id
    item_external_id: Id
    previous_product_id: Id
    product_id: Id | None = None
    message: Text


class LotReceived(Message):
    """A lot was recorded."""

    type: Literal["lot-received"] = "lot-received"
    business_id: Id
    product_id: Id
    lot_id: Id
    lot_number: Id
    quantity: Decimal
    unit_cost: Decimal
    received_on: BusinessDate


class LotAdjusted(Message):
    """What remains of a lot was corrected, or its unit cost was."""

    type: Literal["lot-adjusted"] = "lot-adjusted"
    business_id: Id
    product_id: Id
    lot_id: Id
    quantity: Decimal
    reason: Id
    quantity_remaining: Decimal
    unit_cost: Decimal
    adjustment_id: Id | None = None


class LotVoided(Message):
    """A lot left stock for good."""

    type: Literal["lot-voided"] = "lot-voided"
    business_id: Id
    product_id: Id
    lot_id: Id
    quantity: Decimal


class StockChanged(Message):
    """Stock on hand of a product after a batch of changes; negative while sales are short."""

    type: Literal["stock-changed"] = "stock-changed"
    business_id: Id
    product_id: Id
    stock_on_hand: Decimal
    change: Decimal


class ShortageOpened(Message):
    """A sale line took more than was in stock."""

    type: Literal["shortage-opened"] = "shortage-opened"
    business_id: Id
    product_id: Id
    sale_id: Id
    line_id: Id
    quantity: Decimal
    unit_cost: Decimal


class ShortageSettled(Message):
    """Stock that arrived now stands behind goods that were sold short."""

    type: Literal["shortage-settled"] = "shortage-settled"
    business_id: Id
    product_id: Id
    sale_id: Id
    line_id: Id
    quantity: Decimal
    unit_cost: Decimal
    lot_id: Id | None = None


class ItemLink(Part):
    """An accounting item that is this product."""

    connection_id: Id
    item_external_id: Id


class ProductChanged(Message):
    """The whole product with its item links, as it is now; `version` grows with every change."""

    type: Literal["product-changed"] = "product-changed"
    business_id: Id
    product_id: Id
    name: Text
    sku: Text | None = None
    product_type: Id
    purchase_cost: Decimal | None = None
    item_links: list[ItemLink] = []
    version: int
    changed_at: Instant
