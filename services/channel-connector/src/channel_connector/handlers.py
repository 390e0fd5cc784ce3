"""The Kafka edge: which topic goes to which use case."""

from channel_connector.messages import COMMANDS_TOPIC, EVENTS_TOPIC
from channel_connector.usecases import apply_commands
from chassis.consumer import Rejections, Subscription
from contracts.rejections import CommandRejected


def _rejection_key(rejection: CommandRejected) -> str:
    """Rejections stand with the events of their channel; without one, with their business."""
    return rejection.channel_id or rejection.business_id or ""


on_commands = Subscription(
    topic=COMMANDS_TOPIC,
    apply=apply_commands,
    rejections=Rejections(EVENTS_TOPIC, _rejection_key),
)
