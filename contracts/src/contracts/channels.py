"""Messages owned by the channel-connector: channels, sync runs and captured transactions."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from contracts.base import (
    LINES_MAX,
    BusinessDate,
    Count,
    Currency,
    ExchangeRate,
    Id,
    Instant,
    Message,
    Money,
    Part,
    Quantity,
    Text,
    Version,
)

TransactionKind = Literal["invoice", "sales-receipt", "credit-memo", "refund-receipt"]
ReturnPolicy = Literal["original-lots", "return-lot", "no-restock"]


class ChannelSettings(Part):
    """How a channel behaves; an absent field keeps its value."""

    returns: ReturnPolicy | None = None
    refund_receipts: bool | None = None
    heal_on_link: bool | None = None
    sync_interval_minutes: Annotated[int, Field(ge=1, le=43_200, strict=True)] | None = None
    webhooks: bool | None = None


class EffectiveChannelSettings(Part):
    """The settings in force on a channel, all of them."""

    returns: str = "original-lots"
    refund_receipts: bool = True
    heal_on_link: bool = True
    sync_interval_minutes: int | None = None
    webhooks: bool = False


class EnableSalesTracking(Message):
    """Make the manual channel of a business and set how many connections its plan allows."""

    type: Literal["enable-sales-tracking"] = "enable-sales-tracking"
    business_id: Id
    max_accounting_connections: Annotated[int, Field(ge=0, le=1_000, strict=True)] | None = None


class ConnectChannel(Message):
    """Set up a channel on an existing accounting connection."""

    type: Literal["connect-channel"] = "connect-channel"
    business_id: Id
    connection_id: Id
    channel_type: Id
    initial_sync_date: BusinessDate
    channel_id: Id | None = None
    settings: ChannelSettings | None = None


class ActivateChannel(Message):
    """Let syncs of a channel start again."""

    type: Literal["activate-channel"] = "activate-channel"
    business_id: Id
    channel_id: Id


class DeactivateChannel(Message):
    """Stop future syncs of a channel; its sales stay."""

    type: Literal["deactivate-channel"] = "deactivate-channel"
    business_id: Id
    channel_id: Id


class ConfigureChannel(Message):
    """Change settings of a channel; absent ones keep their value."""

    type: Literal["configure-channel"] = "configure-channel"
    business_id: Id
    channel_id: Id
    settings: ChannelSettings


class SyncRequested(Message):
    """Pull what is new and changed from a channel, now."""

    type: Literal["sync-requested"] = "sync-requested"
    business_id: Id
    channel_id: Id
    sync_id: Id | None = None
    requested_by: Text | None = None


class ChannelChanged(Message):
    """The whole channel, as it is now."""

    type: Literal["channel-changed"] = "channel-changed"
    business_id: Id
    channel_id: Id
    channel_type: Id
    status: Literal["active", "inactive"]
    connection_id: Id | None = None
    initial_sync_date: BusinessDate | None = None
    settings: EffectiveChannelSettings
    changed_at: Instant


class ConnectionChanged(Message):
    """The whole accounting connection, as it is now, without any secret."""

    type: Literal["connection-changed"] = "connection-changed"
    business_id: Id
    connection_id: Id
    provider: Id
    realm_id: Id
    status: Literal["connected", "needs-reconnect", "removed"]
    company_name: Text | None = None
    home_currency: Currency | None = None
    changed_at: Instant


class SyncStarted(Message):
    """A run has read everything and begins to publish."""

    type: Literal["sync-started"] = "sync-started"
    business_id: Id
    channel_id: Id
    sync_id: Id
    started_at: Instant
    requested_by: Text | None = None


class KindCounts(Part):
    """What a run found of one kind of transaction."""

    published: Count = 0
    unchanged: Count = 0


class TransactionsPublished(Message):
    """A run has published everything: what the summary must account for.

    `unchanged` counts versions that the run met again and did not publish. `failed` lists documents
    that the run read but could not normalise; they are errors of the summary.
    """

    type: Literal["transactions-published"] = "transactions-published"
    business_id: Id
    channel_id: Id
    sync_id: Id
    started_at: Instant
    published: Count
    unchanged: Count = 0
    by_kind: dict[str, KindCounts] = {}
    failed: list["TransactionError"] = []
    http_calls: int | None = None


class SyncRejected(Message):
    """A sync was asked for that cannot start."""

    type: Literal["sync-rejected"] = "sync-rejected"
    business_id: Id
    channel_id: Id
    sync_id: Id | None = None
    reason: Id
    message: Text


class SyncFailed(Message):
    """A run ended without publishing; the cursor has not moved."""

    type: Literal["sync-failed"] = "sync-failed"
    business_id: Id
    channel_id: Id
    sync_id: Id
    reason: Id
    detail: Text


class Customer(Part):
    """Whom the document names."""

    external_id: Id | None = None
    name: Text | None = None


class Item(Part):
    """The accounting system's product; `kind` as read from it (`inventory`, `service`, …)."""

    external_id: Id
    name: Text | None = None
    kind: Id | None = None


class TransactionLine(Part):
    """One line of goods, service or charge.

    `amount` is net of tax in the document's currency, before `discount`, this line's share of the
    document discount. `skip` names why the line moves no goods, where the document itself says so
    (`no-item`, `shipping`, `gratuity`, `description`, `subtotal`).
    """

    line_number: Count
    item: Item | None = None
    description: Text | None = None
    quantity: Quantity | None = None
    unit_price: Decimal | None = None
    amount: Money
    discount: Money = Decimal(0)
    skip: Id | None = None


class TransactionCaptured(Message):
    """One version of a sales document, normalised, whole.

    `version` grows with every change of the document. `content_hash` covers the fields that matter
    to stock and revenue. A deleted document carries what was last known of it.
    """

    type: Literal["transaction-captured"] = "transaction-captured"
    business_id: Id
    channel_id: Id
    connection_id: Id
    sync_id: Id
    sequence: Count
    kind: TransactionKind
    external_id: Id
    version: Version
    status: Literal["active", "voided", "deleted"]
    number: Text | None = None
    customer: Customer = Customer()
    transaction_date: BusinessDate
    currency: Currency | None = None
    exchange_rate: ExchangeRate | None = None
    lines: Annotated[list[TransactionLine], Field(max_length=LINES_MAX)] = []
    total_amount: Money = Decimal(0)
    tax_amount: Money = Decimal(0)
    home_currency: Currency | None = None
    source_created_at: Instant | None = None
    source_updated_at: Instant
    content_hash: Id


class TransactionError(Part):
    """Why a document or sale could not be processed, and what to do."""

    kind: Id
    external_id: Id | None = None
    number: Text | None = None
    code: Id
    message: Text
    hint: Text | None = None
