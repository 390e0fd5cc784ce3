"""Channels, and what may be done to them.

The laws of this module: the manual channel is always active; a refusal is a value that says which
field is wrong, why, and what to do.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

ACCOUNTING = "accounting"
MANUAL = "manual"
RESERVED_TYPES = ("pos", "ecommerce")

SETTINGS_DEFAULT: dict[str, Any] = {
    "returns": "original-lots",
    "refund_receipts": True,
    "heal_on_link": True,
    "sync_interval_minutes": None,
    "webhooks": False,
}
_MAY_BE_OFF = frozenset({"sync_interval_minutes"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command changes nothing."""

    reason: str
    message: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """A source of sales of one business."""

    business_id: str
    channel_id: str
    channel_type: str
    status: Literal["active", "inactive"]
    connection_id: str | None
    initial_sync_date: date | None
    settings: dict[str, Any]
    changed_at: datetime
    cursor_at: datetime | None = None
    kinds_read: tuple[str, ...] | None = None
    """The kinds that the cursor holds for."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A company of an accounting system, without its secrets."""

    business_id: str
    connection_id: str
    provider: str
    realm_id: str
    status: Literal["connected", "needs-reconnect", "removed"]
    changed_at: datetime
    company_name: str | None = None
    home_currency: str | None = None
    time_zone: str | None = None
    company_read_at: datetime | None = None


def manual_channel_id(business_id: str) -> str:
    """The id of a business's manual channel, the same wherever it is computed."""
    return str(uuid5(NAMESPACE_URL, f"{business_id}/manual"))


def manual_channel(business_id: str, now: datetime) -> Channel:
    """The channel that every business with sales tracking has."""
    return Channel(
        business_id=business_id,
        channel_id=manual_channel_id(business_id),
        channel_type=MANUAL,
        status="active",
        connection_id=None,
        initial_sync_date=None,
        settings=dict(SETTINGS_DEFAULT),
        changed_at=now,
    )


def refuse_type(channel_type: str) -> Refusal | None:
    """Whether a channel of this type may be connected by command."""
    if channel_type == ACCOUNTING:
        return None
    if channel_type in RESERVED_TYPES:
        return Refusal(
            "channel-type-reserved",
            f"Channels of type `{channel_type}` are planned but not available yet; "
            f"use `{ACCOUNTING}`.",
            "channel_type",
        )
    if channel_type == MANUAL:
        return Refusal(
            "manual-channel",
            "The manual channel is made by `enable-sales-tracking`; it cannot be connected.",
            "channel_type",
        )
    return Refusal(
        "unknown-channel-type",
        f"There is no channel type `{channel_type[:80]}`; use `{ACCOUNTING}`.",
        "channel_type",
    )


def with_settings(channel: Channel, changes: dict[str, Any], now: datetime) -> Channel:
    """The channel with some settings changed; null turns off what may be off, else keeps."""
    kept = {
        name: value for name, value in changes.items() if value is not None or name in _MAY_BE_OFF
    }
    settings = {**channel.settings, **kept}
    return (
        channel
        if settings == channel.settings
        else replace(channel, settings=settings, changed_at=now)
    )


def same_content(channel: Channel, other: Channel) -> bool:
    """Whether a repeated command asks for the channel that is there.

    Status, settings and cursor are left out: they may have changed by later commands.
    """
    return (
        channel.business_id == other.business_id
        and channel.channel_type == other.channel_type
        and channel.connection_id == other.connection_id
        and channel.initial_sync_date == other.initial_sync_date
    )
