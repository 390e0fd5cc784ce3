"""The Kafka edge: which topic, which use case."""

from chassis.consumer import Rejections, Subscription
from inventory.usecases.announcing import EVENTS, PRODUCTS
from inventory.usecases.commands import apply_commands

COMMANDS = "inventory.commands.v1"
RECEIVES = (COMMANDS,)
JOURNAL = "inventory.journal.v1"
SENDS = (EVENTS, PRODUCTS, JOURNAL)


def subscriptions() -> list[Subscription]:
    """What inventory consumes."""
    rejections = Rejections(topic=EVENTS, key=lambda rejection: rejection.business_id or "")
    return [Subscription(COMMANDS, apply_commands, rejections)]
