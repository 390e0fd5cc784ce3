"""The answer to a command that can be read but is wrong, on the events topic of its service."""

from typing import Literal

from contracts.base import Id, Message, Text


class CommandRejected(Message):
    """A command changed nothing; says which field is wrong, what is allowed and why."""

    type: Literal["command-rejected"] = "command-rejected"
    command: Id
    reason: Id
    message: Text
    field: Text | None = None
    business_id: Id | None = None
    connection_id: Id | None = None
    channel_id: Id | None = None
    sync_id: Id | None = None
    product_id: Id | None = None
    item_external_id: Id | None = None
    lot_id: Id | None = None
    adjustment_id: Id | None = None
    sale_id: Id | None = None
    revision: int | None = None
