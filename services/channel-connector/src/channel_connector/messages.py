"""Domain values as messages of the contract, and on which topic with which key they go."""

from decimal import Decimal

from channel_connector.domain.channels import Channel, Connection
from channel_connector.domain.content import content_hash
from channel_connector.domain.documents import ItemsById, Line, NormalisedDocument
from channel_connector.store import Run
from chassis.messages import Outgoing, outgoing
from contracts.base import Message
from contracts.channels import (
    ChannelChanged,
    ConnectionChanged,
    Customer,
    EffectiveChannelSettings,
    TransactionCaptured,
    TransactionLine,
)
from contracts.channels import Item as CapturedItem
from contracts.currencies import minor_digits

SERVICE = "channel-connector"
SOURCE = f"/{SERVICE}"
COMMANDS_TOPIC = "channels.commands.v1"
EVENTS_TOPIC = "channels.events.v1"
TRANSACTIONS_TOPIC = "channels.transactions.v1"
TEXT_LENGTH_MAX = 4_000


def event(key: str, message: Message, *, identity: str) -> Outgoing:
    """An event on its way out; `identity` names the fact, so that a repeat has the same id."""
    return outgoing(EVENTS_TOPIC, key, message, source=SOURCE, identity=identity)


def channel_changed(channel: Channel) -> ChannelChanged:
    """The whole channel."""
    return ChannelChanged(
        business_id=channel.business_id,
        channel_id=channel.channel_id,
        channel_type=channel.channel_type,
        status=channel.status,
        connection_id=channel.connection_id,
        initial_sync_date=channel.initial_sync_date,
        settings=EffectiveChannelSettings.model_validate(channel.settings),
        changed_at=channel.changed_at,
    )


def connection_changed(connection: Connection) -> Outgoing:
    """The event of a connection that is now like this."""
    message = ConnectionChanged(
        business_id=connection.business_id,
        connection_id=connection.connection_id,
        provider=connection.provider,
        realm_id=connection.realm_id,
        status=connection.status,
        company_name=connection.company_name,
        home_currency=connection.home_currency,
        changed_at=connection.changed_at,
    )
    identity = (
        f"{connection.business_id}/{connection.connection_id}/{connection.changed_at.isoformat()}"
    )
    return event(connection.connection_id, message, identity=identity)


def transaction_captured(
    document: NormalisedDocument,
    *,
    run: Run,
    connection: Connection,
    sequence: int,
    items: ItemsById,
) -> TransactionCaptured:
    """One version of a document.

    Raises:
        pydantic.ValidationError: a value is outside what the contract allows.
    """
    digits = minor_digits(document.currency)
    return TransactionCaptured(
        business_id=run.business_id,
        channel_id=run.channel_id,
        connection_id=connection.connection_id,
        sync_id=run.sync_id,
        sequence=sequence,
        kind=document.key.kind,
        external_id=document.key.external_id,
        version=document.version,
        status=document.status,
        number=_short(document.number),
        customer=Customer(external_id=document.customer_id, name=_short(document.customer_name)),
        transaction_date=document.transaction_date,
        currency=document.currency,
        exchange_rate=document.exchange_rate,
        lines=[_line(line, items, digits) for line in document.lines],
        total_amount=_money(document.total_amount, digits),
        tax_amount=_money(document.tax_amount, digits),
        home_currency=connection.home_currency,
        source_created_at=document.created_at,
        source_updated_at=document.updated_at,
        content_hash=content_hash(document),
    )


def _line(line: Line, items: ItemsById, digits: int) -> TransactionLine:
    return TransactionLine(
        line_number=line.line_number,
        item=_item(line, items),
        description=_short(line.description),
        quantity=line.quantity,
        unit_price=line.unit_price,
        amount=_money(line.amount, digits),
        discount=_money(line.discount, digits),
        skip=line.skip,
    )


def _item(line: Line, items: ItemsById) -> CapturedItem | None:
    if line.item_id is None:
        return None
    known = items.get(line.item_id)
    return CapturedItem(
        external_id=line.item_id,
        name=_short(line.item_name or (known.name if known else None)),
        kind=known.kind if known else None,
    )


def _money(value: Decimal, digits: int) -> Decimal:
    """An amount written with the decimals of its currency, or with more where it has more."""
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent > -digits:
        return value.quantize(Decimal(1).scaleb(-digits))
    return value


def _short(text: str | None) -> str | None:
    """Text that is only shown, cut where the contract ends, without what no text may hold."""
    return text.replace("\x00", "")[:TEXT_LENGTH_MAX] if text else None
