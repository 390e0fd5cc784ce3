"""Messages owned by the sales-processor: sales with their margins, and sync summaries."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from contracts.base import (
    BusinessDate,
    Currency,
    Id,
    Instant,
    Message,
    Money,
    Part,
    PositiveQuantity,
    Text,
    UnitPrice,
)
from contracts.channels import TransactionError
from contracts.inventory import Allocation, ReturnedGoods, Shortage

MANUAL_LINES_MAX = 1_000


class ManualSaleLine(Part):
    """Goods sold by hand: home currency, net of tax."""

    product_id: Id
    quantity: PositiveQuantity
    unit_price: UnitPrice


class RecordManualSale(Message):
    """Record a sale that no accounting system knows.

    `currency` is the business's own: amounts are rounded to its minor unit, to two places without
    it.
    """

    type: Literal["record-manual-sale"] = "record-manual-sale"
    business_id: Id
    sale_id: Id | None = None
    sale_date: BusinessDate
    reference: Text | None = None
    customer_name: Text | None = None
    notes: Text | None = None
    currency: Currency | None = None
    lines: Annotated[list[ManualSaleLine], Field(min_length=1, max_length=MANUAL_LINES_MAX)]


class VoidManualSale(Message):
    """Take back a sale that was recorded by hand."""

    type: Literal["void-manual-sale"] = "void-manual-sale"
    business_id: Id
    sale_id: Id


class RetryFailedSales(Message):
    """Try the waiting sales of a business, or of one channel, again.

    `sync_id` and `after` are the processor's own: the run that asks, and how far it has come.
    """

    type: Literal["retry-failed-sales"] = "retry-failed-sales"
    business_id: Id
    channel_id: Id | None = None
    sync_id: Id | None = None
    after: Text | None = None


class SaleLine(Part):
    """A line of a sale, tracked (it has a product) or kept with the reason why it is not.

    Revenue, cost and margin are home currency; unit price, amount and discount are the document's.
    Where goods or money go back (credit memos, refund receipts, negative lines), quantity, revenue
    and cost are negative, and `returned` says where each part of the goods went.
    """

    line_id: Id
    line_number: int
    item_external_id: Id | None = None
    product_id: Id | None = None
    product_name: Text | None = None
    description: Text | None = None
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    amount: Decimal
    discount: Decimal = Decimal(0)
    revenue: Money
    cost: Money
    margin: Money
    allocations: list[Allocation] = []
    shortage: Shortage | None = None
    returned: list[ReturnedGoods] = []
    skipped_reason: Id | None = None
    flags: list[Id] = []


class Sale(Message):
    """A whole sale with its margin: what all sale events carry.

    Revenue, cost and margin are in `home_currency`, to its minor unit; totals and the amounts of
    lines are in `currency`. `margin_percent` is null where revenue is 0. Credit memos and refund
    receipts are sales of negative revenue and cost; their `margin_percent` is the share of margin
    in what they gave back.
    """

    business_id: Id
    sale_id: Id
    channel_id: Id
    source: Literal["synced", "manual"]
    kind: Id
    external_id: Id | None = None
    number: Text | None = None
    version: int
    revision: int
    status: Literal["waiting", "active", "voided"]
    customer_external_id: Id | None = None
    customer_name: Text | None = None
    sale_date: BusinessDate
    currency: Id | None = None
    exchange_rate: Decimal | None = None
    home_currency: Id | None = None
    total_amount: Decimal
    tax_amount: Decimal
    revenue: Money
    cost: Money
    margin: Money
    margin_percent: Decimal | None
    short: bool
    flags: list[Id] = []
    lines: list[SaleLine]
    sync_id: Id | None = None

    def encode(self) -> bytes:
        """The body as it is published; `margin_percent` is written also where it is null."""
        body = super().encode()
        return body if self.margin_percent is not None else body[:-1] + b',"margin_percent":null}'


class SaleRecorded(Sale):
    """A sale has its cost and margin for the first time."""

    type: Literal["sale-recorded"] = "sale-recorded"


class SaleUpdated(Sale):
    """A newer version of a sale has its cost and margin."""

    type: Literal["sale-updated"] = "sale-updated"


class SaleVoided(Sale):
    """A sale was voided or deleted upstream, or by hand; its goods are back."""

    type: Literal["sale-voided"] = "sale-voided"
    voided_at: Instant
    reason: Id


class SaleRecosted(Sale):
    """The cost of a sale changed though the sale did not."""

    type: Literal["sale-recosted"] = "sale-recosted"
    previous_cost: Money
    reason: Id


class SaleFailed(Message):
    """A sale waits: nothing of this version was applied."""

    type: Literal["sale-failed"] = "sale-failed"
    business_id: Id
    sale_id: Id
    channel_id: Id
    kind: Id
    external_id: Id
    number: Text | None = None
    version: int
    errors: list[TransactionError]


class SyncCompleted(Message):
    """The summary of a run, when every sale of it has its cost and margin.

    `created + updated + voided + the sum of skipped + the number of errors = received`. A message
    has room for some thousand errors: `errors_omitted` counts those that are only in the run's
    summary over HTTP, and belongs to the number of errors.
    """

    type: Literal["sync-completed"] = "sync-completed"
    business_id: Id
    channel_id: Id
    sync_id: Id
    started_at: Instant
    completed_at: Instant
    received: int
    created: int
    updated: int
    voided: int
    skipped: dict[str, int]
    errors: list[TransactionError]
    errors_omitted: int | None = None
    revenue: Money
    cost: Money
    margin: Money
    http_calls: int | None = None
