"""Which message types a topic carries, and how a record's bytes become a model.

`read` has three outcomes: the message; `UnreadableError` (dead-letter it: nobody can say what was
meant); `WrongValueError` (answer it with `command-rejected`: it can be read, and a value in it
is not allowed).
"""

import json
import re
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any, NoReturn, get_args

from pydantic import Field, TypeAdapter, ValidationError

from contracts import channels, inventory, sales, topics
from contracts.base import ID_LENGTH_MAX, TEXT_LENGTH_MAX, Message
from contracts.journal import BatchApplied
from contracts.rejections import CommandRejected

BODY_BYTES_MAX = 1_048_576

TOPIC_MESSAGES: dict[str, tuple[type[Message], ...]] = {
    "channels.commands.v1": (
        channels.EnableSalesTracking,
        channels.ConnectChannel,
        channels.ActivateChannel,
        channels.DeactivateChannel,
        channels.ConfigureChannel,
        channels.SyncRequested,
    ),
    "channels.events.v1": (
        channels.ChannelChanged,
        channels.ConnectionChanged,
        channels.SyncStarted,
        channels.TransactionsPublished,
        channels.SyncRejected,
        channels.SyncFailed,
        CommandRejected,
    ),
    "channels.transactions.v1": (channels.TransactionCaptured,),
    "sales.commands.v1": (
        sales.RecordManualSale,
        sales.VoidManualSale,
        sales.RetryFailedSales,
    ),
    "sales.events.v1": (
        sales.SaleRecorded,
        sales.SaleUpdated,
        sales.SaleVoided,
        sales.SaleFailed,
        sales.SaleRecosted,
        sales.SyncCompleted,
        CommandRejected,
    ),
    "inventory.commands.v1": (
        inventory.PutProduct,
        inventory.LinkItem,
        inventory.UnlinkItem,
        inventory.ReceiveLot,
        inventory.AdjustLot,
        inventory.ChangeLotCost,
        inventory.VoidLot,
        inventory.ConsumeLots,
        inventory.RecostProduct,
    ),
    "inventory.events.v1": (
        inventory.SaleCosted,
        inventory.ProductRecosted,
        inventory.ItemLinkChanged,
        inventory.LotReceived,
        inventory.LotAdjusted,
        inventory.LotVoided,
        inventory.StockChanged,
        inventory.ShortageOpened,
        inventory.ShortageSettled,
        CommandRejected,
    ),
    "inventory.products.v1": (inventory.ProductChanged,),
    "sales.journal.v1": (BatchApplied,),
    "inventory.journal.v1": (BatchApplied,),
}


def message_type(model: type[Message]) -> str:
    """The `type` on the wire of a message model."""
    (name,) = get_args(model.model_fields["type"].annotation)
    return str(name)


def command_topics() -> dict[str, str]:
    """The topic that each command type is published to: what people and programs may publish."""
    return {
        message_type(model): topic
        for topic, models in TOPIC_MESSAGES.items()
        if ".commands." in topic
        for model in models
    }


def topics_by_type() -> dict[str, str]:
    """The topic of each message type; a type that several topics carry (an answer) is left out."""
    found: dict[str, list[str]] = {}
    for topic, models in TOPIC_MESSAGES.items():
        for model in models:
            found.setdefault(message_type(model), []).append(topic)
    return {kind: topics[0] for kind, topics in found.items() if len(topics) == 1}


def record_key(topic: str, message: Message) -> str:
    """The key that a message goes under, as its topic's file names it.

    A message about a connection alone has no channel; it goes under the connection.
    """
    (fields,) = (t.key.split("/") for t in topics.load() if t.name == topic)
    return "/".join(
        str(getattr(message, field, None) or getattr(message, "connection_id", ""))
        for field in fields
    )


def _adapter(models: tuple[type[Message], ...]) -> TypeAdapter[Message]:
    if len(models) == 1:
        return TypeAdapter(models[0])
    union: Any = reduce(or_, models)
    return TypeAdapter(Annotated[union, Field(discriminator="type")])


_ADAPTERS = {topic: _adapter(models) for topic, models in TOPIC_MESSAGES.items()}
_KNOWN_TYPES = {
    topic: frozenset(message_type(model) for model in models)
    for topic, models in TOPIC_MESSAGES.items()
}


class UnreadableError(ValueError):
    """A body that is no message of its topic.

    `reason` is one of `no-body`, `too-large`, `not-json`, `not-an-object`, `unknown-type`,
    `wrong-shape`; the text says what is wrong and where.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class _Violation:
    field: str
    message: str


class WrongValueError(ValueError):
    """A message that can be read, with a value that is not allowed.

    `body` is the JSON object as sent, `field` the path of the first wrong value.
    """

    def __init__(self, body: dict[str, Any], field: str, message: str) -> None:
        super().__init__(message)
        self.body = body
        self.field = field

    def rejection(self) -> CommandRejected:
        """The answer, with those ids of the command that are usable as such."""
        ids = {
            name: value
            for name in CommandRejected.model_fields
            if name.endswith("_id")
            and isinstance(value := self.body.get(name), str)
            and 0 < len(value) <= ID_LENGTH_MAX
            and "\x00" not in value
        }
        return CommandRejected(
            command=self.body["type"],
            reason="invalid-value",
            message=str(self)[:TEXT_LENGTH_MAX],
            field=self.field,
            **ids,
        )


def read(topic: str, body: bytes | None) -> Message:
    """The message in a record's body.

    Raises:
        UnreadableError: the body is no message of this topic.
        WrongValueError: the message can be read and a value in it is not allowed.
    """
    if not body:
        raise UnreadableError("no-body", "The record has no body; expected a JSON object.")
    if len(body) > BODY_BYTES_MAX:
        raise UnreadableError(
            "too-large", f"The body has {len(body)} bytes; at most {BODY_BYTES_MAX} are read."
        )
    try:
        return _ADAPTERS[topic].validate_json(body)
    except ValidationError as error:
        _explain(topic, body, error)


def _explain(topic: str, body: bytes, error: ValidationError) -> NoReturn:
    """Say what is wrong with a body, now that time does not matter."""
    try:
        parsed = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as fault:
        raise UnreadableError("not-json", f"The body is not valid JSON: {fault}.") from error
    if not isinstance(parsed, dict):
        raise UnreadableError("not-an-object", "The body is JSON, but not an object.") from error
    known = _KNOWN_TYPES[topic]
    kind = parsed.get("type")
    if not isinstance(kind, str) or kind not in known:
        raise UnreadableError(
            "unknown-type",
            f"`type` is {_shown(kind)}; {topic} carries {', '.join(sorted(known))}.",
        ) from error
    details = error.errors(include_url=False, include_context=False)
    if any(detail["type"] == "json_invalid" for detail in details):
        raise UnreadableError("not-json", f"The body is not valid JSON: {details[0]['msg']}.")
    shape = [_violation(d, kind) for d in details if not _is_value_fault(d)]
    if shape:
        raise UnreadableError(
            "wrong-shape", "; ".join(f"`{v.field}`: {v.message}" for v in shape[:10])
        ) from error
    wrong = [_violation(d, kind) for d in details]
    raise WrongValueError(
        parsed, wrong[0].field, "; ".join(f"`{v.field}`: {v.message}" for v in wrong[:10])
    ) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_VALUE_FAULTS = frozenset(
    {
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
        "decimal_max_digits",
        "decimal_max_places",
        "decimal_whole_digits",
        "int_parsing_size",
        "string_too_short",
        "string_too_long",
        "too_long",
        "too_short",
        "timezone_naive",
    }
)
_DATE_SHAPE = re.compile(r"^\d{4,}-\d{2}-\d{2}$")
_DATE_FAULTS = frozenset({"date_parsing", "date_from_datetime_parsing"})


def _is_value_fault(detail: Any) -> bool:  # noqa: ANN401  (pydantic's ErrorDetails)
    """Whether the type was right and only the value is not allowed."""
    kind, value = detail["type"], detail["input"]
    if kind == "finite_number":  # `1e400` is a number too large; NaN and the constants are none
        return isinstance(value, float) and value == value  # noqa: PLR0124
    if kind == "literal_error":
        return isinstance(value, str)
    if kind in _DATE_FAULTS:
        return isinstance(value, str) and bool(_DATE_SHAPE.match(value))
    if kind == "string_pattern_mismatch":
        return "\x00" not in str(value)
    return kind in _VALUE_FAULTS


def _violation(detail: Any, kind: str) -> _Violation:  # noqa: ANN401  (pydantic's ErrorDetails)
    path = [part for part in detail["loc"] if part != kind]
    field = ".".join(str(part) for part in path) or "body"
    message = detail["msg"]
    if detail["type"] != "missing":
        message = f"{message} (got {_shown(detail['input'])})"
    return _Violation(field, message)


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}…"  # noqa: PLR2004
