"""What a sale says: its content at one version, and its lines with and without cost.

A line either has a product (it is tracked: it has revenue and may take goods) or a reason why it is
skipped (it has neither). A negative quantity gives goods back: a credit memo or refund receipt is a
sale whose quantities and revenues are negative. The values are named tuples, made in a tenth of the
time of a dataclass.
"""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import NamedTuple

from contracts.currencies import minor_digits
from contracts.inventory import Allocation, ReturnedGoods, ReturnMode, Shortage
from sales_processor.domain.money import ZERO, total

SaleKey = tuple[str, str]
"""Business and sale id."""
NO_QUANTITY = "no-quantity"
"""Flag of a tracked line that is money only."""
NO_RESTOCK = "no-restock"
"""Flag of a line that gives goods back which stay out of stock, by the channel's setting."""
LINE_FLAGS = frozenset({NO_QUANTITY, NO_RESTOCK})
"""Flags of lines themselves; all others come with their cost."""


class Line(NamedTuple):
    """A line of a sale before its cost is known; revenue is home currency.

    Quantity and revenue are negative where goods and money go back; unit price, amount and discount
    stand as in the document.
    """

    line_number: int
    item_external_id: str | None
    product_id: str | None
    product_name: str | None
    description: str | None
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: Decimal
    discount: Decimal
    revenue: Decimal
    skipped_reason: str | None = None
    flags: tuple[str, ...] = ()


class Content(NamedTuple):
    """A sale at one version. `void_reason` says that this version takes the sale back.

    `returns` says where goods go that its lines give back; revenue is in `home_currency`.
    """

    version: int
    sync_id: str | None
    number: str | None
    customer_external_id: str | None
    customer_name: str | None
    sale_date: date
    currency: str | None
    exchange_rate: Decimal | None
    total_amount: Decimal
    tax_amount: Decimal
    revenue: Decimal
    lines: tuple[Line, ...]
    notes: str | None = None
    void_reason: str | None = None
    returns: ReturnMode = "original-lots"
    home_currency: str | None = None

    @property
    def places(self) -> int:
        """To how many places revenue and cost are rounded."""
        return minor_digits(self.home_currency)


class State(Enum):
    """The newest intent for a sale, whether its cost is there yet or not.

    A tombstone is a void of a document that was never seen; a waiting sale was never applied.
    """

    UNKNOWN = "unknown"
    TOMBSTONE = "tombstone"
    WAITING = "waiting"
    ACTIVE = "active"
    VOIDED = "voided"


class Sale(NamedTuple):
    """What is known of a sale beside its content.

    `seen_version` is the newest version met; `content_hash` that of the newest accepted content
    that was no void. `revision` is the newest that inventory was asked for and did not refuse, 0
    before the first; `asked_revision` is the newest of all. `holds_goods` says that inventory may
    hold goods for the sale. `draft` is the accepted content that has no cost yet, for which
    `pending_sync_id` waits. `status` and `version` are what is shown. `update_waiting` says that a
    newer version than the accepted one waits.
    """

    business_id: str
    sale_id: str
    channel_id: str
    source: str
    kind: str
    external_id: str | None
    state: State = State.UNKNOWN
    seen_version: int = -1
    content_hash: str | None = None
    revision: int = 0
    costed_revision: int = 0
    costing: int = 0
    holds_goods: bool = False
    update_waiting: bool = False
    draft: Content | None = None
    pending_sync_id: str | None = None
    status: str = "costing"
    version: int = 0
    asked_revision: int = 0

    @property
    def key(self) -> SaleKey:
        """What tells this sale from any other."""
        return (self.business_id, self.sale_id)

    @property
    def waits(self) -> bool:
        """Whether a version of it waits to be tried again."""
        return self.update_waiting or self.state is State.WAITING


class Demand(NamedTuple):
    """Goods that one line takes, or, negative, gives back."""

    line_id: str
    product_id: str
    quantity: Decimal


class CostedLine(NamedTuple):
    """A line with its cost and the lots behind it; flags are those of the line and of its cost.

    `returned` says where each part of what it gave back went.
    """

    line: Line
    cost: Decimal
    allocations: tuple[Allocation, ...]
    shortage: Shortage | None
    flags: tuple[str, ...]
    returned: tuple[ReturnedGoods, ...] = ()


class Costed(NamedTuple):
    """A sale's content with its cost: what reads and events show."""

    content: Content
    cost: Decimal
    flags: tuple[str, ...]
    lines: tuple[CostedLine, ...]

    @property
    def status(self) -> str:
        """`voided` if this content takes the sale back, else `active`."""
        return "active" if self.content.void_reason is None else "voided"


def demands(lines: Iterable[Line]) -> list[Demand]:
    """What the lines take from stock and give back: tracked lines whose quantity counts."""
    return [
        Demand(str(line.line_number), line.product_id, line.quantity)
        for line in lines
        if line.product_id is not None and line.quantity and NO_RESTOCK not in line.flags
    ]


def sum_revenue(lines: Iterable[Line]) -> Decimal:
    """Revenue of the tracked lines."""
    return total([line.revenue for line in lines if line.product_id is not None])


def taken_back(content: Content, *, version: int, sync_id: str | None, reason: str) -> Content:
    """The content of a void: the document as we knew it, out of all totals, taking nothing."""
    return content._replace(
        version=version,
        sync_id=sync_id,
        revenue=ZERO,
        lines=tuple(line._replace(revenue=ZERO, flags=()) for line in content.lines),
        void_reason=reason,
    )
