"""The Kafka edge: which topic, which use case."""

from chassis.consumer import Rejections, Subscription
from sales_processor.usecases.commands import apply_commands
from sales_processor.usecases.costing import follow_inventory
from sales_processor.usecases.intake import record_transactions
from sales_processor.usecases.messages import (
    INVENTORY_COMMANDS,
    SALES_COMMANDS,
    SALES_EVENTS,
    TRANSACTIONS,
)
from sales_processor.usecases.products import follow_products
from sales_processor.usecases.runs import follow_channels

PRODUCTS = "inventory.products.v1"
CHANNEL_EVENTS = "channels.events.v1"
INVENTORY_EVENTS = "inventory.events.v1"
JOURNAL = "sales.journal.v1"

RECEIVES = (PRODUCTS, CHANNEL_EVENTS, INVENTORY_EVENTS, SALES_COMMANDS, TRANSACTIONS)
SENDS = (SALES_EVENTS, INVENTORY_COMMANDS, SALES_COMMANDS, JOURNAL)


def subscriptions() -> list[Subscription]:
    """What the sales-processor consumes, in the order in which a mixed batch is applied."""
    rejections = Rejections(topic=SALES_EVENTS, key=lambda rejection: rejection.business_id or "")
    return [
        Subscription(PRODUCTS, follow_products),
        Subscription(CHANNEL_EVENTS, follow_channels),
        Subscription(INVENTORY_EVENTS, follow_inventory),
        Subscription(SALES_COMMANDS, apply_commands, rejections),
        Subscription(TRANSACTIONS, record_transactions),
    ]
