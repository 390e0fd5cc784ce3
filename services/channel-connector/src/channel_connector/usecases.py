"""What people and programs ask of channels: each command is applied, refused or a repeat.

The laws of this module: a batch has the effect of its commands one after the other; a repeat
with the same content changes nothing and says nothing; another business's id is as unknown as
any other.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from channel_connector import store
from channel_connector.domain import channels as rules
from channel_connector.domain.channels import Channel, Connection, Refusal
from channel_connector.messages import EVENTS_TOPIC, channel_changed
from channel_connector.store import Key, RunRequest
from chassis.consumer import Batch
from chassis.messages import Received
from contracts.base import Message
from contracts.channels import (
    ActivateChannel,
    ConfigureChannel,
    ConnectChannel,
    DeactivateChannel,
    EnableSalesTracking,
    SyncRejected,
    SyncRequested,
)

Command = Received[Message]
_UNKNOWN = "unknown-channel"


@dataclass
class _State:
    """What the commands of a batch are about, as it is after each of them."""

    now: datetime
    limits: dict[str, int]
    connections: dict[Key, Connection]
    channels: dict[str, Channel]
    run_owners: dict[str, Key]
    plans: dict[str, int | None] = field(default_factory=dict)
    changed: dict[str, None] = field(default_factory=dict)
    runs: list[RunRequest] = field(default_factory=list)
    opened: set[str] = field(default_factory=set)
    answers: list[Callable[[], None]] = field(default_factory=list)

    def channel_of(self, business_id: str, channel_id: str) -> Channel | None:
        """The channel, if it is this business's."""
        channel = self.channels.get(channel_id)
        return channel if channel and channel.business_id == business_id else None

    def on_connection(self, key: Key) -> Channel | None:
        """The accounting channel that stands on a connection."""
        for channel in self.channels.values():
            if (channel.business_id, channel.connection_id) == key:
                return channel
        return None


async def apply_commands(batch: Batch[Message]) -> None:
    """Apply a batch of channel commands: load, decide one by one, save, announce."""
    state = await _load(batch)
    for command in batch.messages:
        _decide(batch, state, command)
    await store.save_businesses(batch.connection, state.plans)
    await store.save_channels(batch.connection, [state.channels[c] for c in state.changed])
    state.opened = await store.open_runs(batch.connection, state.runs, state.now)
    for answer in state.answers:
        answer()


async def _load(batch: Batch[Message]) -> _State:
    """Lock what the commands name, in the order of locks."""
    messages: list[Any] = [command.message for command in batch.messages]
    on = {(m.business_id, m.connection_id) for m in messages if isinstance(m, ConnectChannel)}
    channel_ids = {m.channel_id for m in messages if getattr(m, "channel_id", None)}
    channel_ids |= {
        rules.manual_channel_id(m.business_id)
        for m in messages
        if isinstance(m, EnableSalesTracking)
    }
    channel_ids |= {_new_channel_id(c, c.message) for c in batch.messages if _makes_id(c.message)}
    sync_ids = {
        _sync_id(c, c.message) for c in batch.messages if isinstance(c.message, SyncRequested)
    }
    session = batch.connection
    return _State(
        now=datetime.now(UTC),
        limits=await store.lock_businesses(session, {m.business_id for m in messages}),
        connections=await store.lock_connections(session, on),
        channels={c.channel_id: c for c in await store.lock_channels(session, channel_ids, on)},
        run_owners=await store.find_run_owners(session, sync_ids),
    )


def _makes_id(message: Message) -> bool:
    return isinstance(message, ConnectChannel) and message.channel_id is None


def _new_channel_id(command: Command, message: Any) -> str:  # noqa: ANN401  (a ConnectChannel)
    return message.channel_id or command.derived_id("channel")


def _sync_id(command: Command, message: SyncRequested) -> str:
    return message.sync_id or command.derived_id("sync")


def _decide(batch: Batch[Message], state: _State, command: Command) -> None:
    message = command.message
    match message:
        case EnableSalesTracking():
            _enable_sales_tracking(batch, state, command, message)
        case ConnectChannel():
            outcome = _connect_channel(state, command, message)
            _take(batch, state, command, outcome)
        case ActivateChannel():
            _take(batch, state, command, _set_status(state, message, "active"))
        case DeactivateChannel():
            _take(batch, state, command, _set_status(state, message, "inactive"))
        case ConfigureChannel():
            _take(batch, state, command, _configure(state, message))
        case SyncRequested():
            _request_sync(batch, state, command, message)
        case _:
            raise TypeError(f"{message.type} is no command of channels")


def _take(
    batch: Batch[Message], state: _State, command: Command, outcome: Channel | Refusal
) -> None:
    """Keep a changed channel and announce it, or answer with the refusal."""
    if isinstance(outcome, Refusal):
        refusal = outcome
        state.answers.append(
            lambda: batch.reject(
                command, reason=refusal.reason, message=refusal.message, field=refusal.field
            )
        )
        return
    channel = outcome
    if state.channels.get(channel.channel_id) == channel:
        return
    state.channels[channel.channel_id] = channel
    state.changed[channel.channel_id] = None
    state.answers.append(
        lambda: batch.publish(
            EVENTS_TOPIC,
            channel.channel_id,
            channel_changed(channel),
            identity=f"{channel.channel_id}/{command.identity}",
            cause=command,
        )
    )


def _enable_sales_tracking(
    batch: Batch[Message], state: _State, command: Command, message: EnableSalesTracking
) -> None:
    """The manual channel appears; the plan's limit changes if the command names one."""
    business_id = message.business_id
    if message.max_accounting_connections is not None or business_id not in state.limits:
        state.plans[business_id] = message.max_accounting_connections
        state.limits[business_id] = message.max_accounting_connections or 1
    manual = rules.manual_channel(business_id, state.now)
    known = state.channels.get(manual.channel_id)
    _take(batch, state, command, known or manual)


def _connect_channel(state: _State, command: Command, message: ConnectChannel) -> Channel | Refusal:
    if refusal := rules.refuse_type(message.channel_type):
        return refusal
    key = (message.business_id, message.connection_id)
    channel = Channel(
        business_id=message.business_id,
        channel_id=_new_channel_id(command, message),
        channel_type=message.channel_type,
        status="active",
        connection_id=message.connection_id,
        initial_sync_date=message.initial_sync_date,
        settings=dict(rules.SETTINGS_DEFAULT),
        changed_at=state.now,
    )
    channel = rules.with_settings(channel, _changes(message.settings), state.now)
    if known := state.channels.get(channel.channel_id):
        if rules.same_content(known, channel):
            return known
        return Refusal(
            "id-in-use",
            f"The channel id {channel.channel_id} is taken by a channel with other content; "
            "use another id, or `configure-channel` to change settings.",
            "channel_id",
        )
    connection = state.connections.get(key)
    if connection is None or connection.status == "removed":
        return Refusal(
            "unknown-connection",
            f"The business has no accounting connection {message.connection_id}; add it first.",
            "connection_id",
        )
    if other := state.on_connection(key):
        return Refusal(
            "channel-limit-reached",
            f"The connection {message.connection_id} already has the accounting channel "
            f"{other.channel_id}; a connection may have one.",
            "connection_id",
        )
    return channel


def _changes(settings: Any) -> dict[str, Any]:  # noqa: ANN401  (ChannelSettings or None)
    """The settings that a command names, also where it says null."""
    return settings.model_dump(exclude_unset=True) if settings is not None else {}


def _unknown(channel_id: str) -> Refusal:
    return Refusal(_UNKNOWN, f"The business has no channel {channel_id}.", "channel_id")


def _set_status(
    state: _State,
    message: ActivateChannel | DeactivateChannel,
    status: Any,  # noqa: ANN401
) -> Channel | Refusal:
    channel = state.channel_of(message.business_id, message.channel_id)
    if channel is None:
        return _unknown(message.channel_id)
    if channel.status == status:
        return channel
    if channel.channel_type == rules.MANUAL:
        return Refusal(
            "manual-channel",
            "The manual channel is always available; it cannot be deactivated.",
            "channel_id",
        )
    return replace(channel, status=status, changed_at=state.now)


def _configure(state: _State, message: ConfigureChannel) -> Channel | Refusal:
    channel = state.channel_of(message.business_id, message.channel_id)
    if channel is None:
        return _unknown(message.channel_id)
    return rules.with_settings(channel, _changes(message.settings), state.now)


def _request_sync(
    batch: Batch[Message], state: _State, command: Command, message: SyncRequested
) -> None:
    """Begin a run, or say why none begins."""
    sync_id = _sync_id(command, message)
    owner = (message.business_id, message.channel_id)
    known = state.run_owners.get(sync_id)
    if known == owner:
        return
    if known is not None:
        refusal = Refusal(
            "id-in-use", f"The sync id {sync_id} is taken by another sync; use another.", "sync_id"
        )
        _take(batch, state, command, refusal)
        return
    if rejection := refuse_sync(state.channel_of(*owner)):
        state.answers.append(lambda: _reject_sync(batch, command, sync_id, *rejection))
        return
    state.run_owners[sync_id] = owner
    state.runs.append(RunRequest(sync_id, *owner, message.requested_by))

    def reject_if_busy() -> None:
        if sync_id not in state.opened:
            text = "A sync of this channel is under way; wait for its summary."
            _reject_sync(batch, command, sync_id, "already-running", text)

    state.answers.append(reject_if_busy)


def refuse_sync(channel: Channel | None) -> tuple[str, str] | None:
    """Reason and words if a channel cannot be synced by what it is."""
    if channel is None:
        return _UNKNOWN, "The business has no such channel."
    if channel.channel_type == rules.MANUAL:
        return (
            "manual-channel",
            "The manual channel has nothing to pull; record its sales directly.",
        )
    if channel.status == "inactive":
        return "channel-inactive", "The channel is inactive; activate it first."
    return None


def _reject_sync(
    batch: Batch[Message], command: Command, sync_id: str, reason: str, text: str
) -> None:
    message: Any = command.message
    batch.publish(
        EVENTS_TOPIC,
        message.channel_id,
        SyncRejected(
            business_id=message.business_id,
            channel_id=message.channel_id,
            sync_id=sync_id,
            reason=reason,
            message=text,
        ),
        identity=f"{sync_id}/{command.identity}",
        cause=command,
    )
