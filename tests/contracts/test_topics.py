"""Every topic has an owner, a key and readers, and what is declared is what the services do."""

import importlib
from pathlib import Path

import pytest
from fastapi import FastAPI

from chassis.outbox import Relay
from chassis.service import Definition, Parts
from contracts import topics
from contracts.base import Message
from contracts.registry import TOPIC_MESSAGES, message_type
from contracts.rejections import CommandRejected

DECLARED = {topic.name: topic for topic in topics.load() if not topic.name.endswith(".dlq")}
ANYONE = "anyone"


def _definition(service: str) -> Definition:
    """What a service says of itself, where it is put together."""
    package = service.replace("-", "_")
    modules = [importlib.import_module(f"{package}.{name}") for name in ("app", "__main__")]
    definition: Definition = next(m.DEFINITION for m in modules if hasattr(m, "DEFINITION"))
    return definition


def test_a_topic_is_declared_if_and_only_if_it_carries_messages() -> None:
    assert DECLARED.keys() == TOPIC_MESSAGES.keys()
    assert all(TOPIC_MESSAGES.values())


def test_a_file_is_named_like_its_topic() -> None:
    assert {file.stem for file in topics._folder().glob("*.yaml")} == DECLARED.keys()


def test_every_message_type_stands_on_one_topic() -> None:
    places: dict[str, list[str]] = {}
    for topic, models in TOPIC_MESSAGES.items():
        for model in models:
            places.setdefault(message_type(model), []).append(topic)
    assert places.pop("command-rejected") == [
        "channels.events.v1",
        "sales.events.v1",
        "inventory.events.v1",
    ]
    assert places.pop("batch-applied") == ["sales.journal.v1", "inventory.journal.v1"]
    assert {kind: where for kind, where in places.items() if len(where) > 1} == {}


def _subclasses(model: type[Message]) -> set[type[Message]]:
    return {model}.union(*(_subclasses(c) for c in model.__subclasses__()))


def test_no_model_is_without_a_topic() -> None:
    typed = {m for m in _subclasses(Message) if "type" in m.__annotations__ and m is not Message}
    ours = {m for m in typed if m.__module__.startswith("contracts.")}
    assert ours == {model for models in TOPIC_MESSAGES.values() for model in models}


@pytest.mark.parametrize("name", DECLARED)
def test_a_topic_has_an_owner_consumers_and_sane_limits(name: str) -> None:
    topic = DECLARED[name]
    assert topic.owner in topics.SERVICES
    assert topic.consumers
    assert set(topic.consumers) <= {*topics.SERVICES, ANYONE}
    assert topic.partitions >= 1
    assert topic.summary.endswith(".")
    assert topic.cleanup == ("compact" if name == "inventory.products.v1" else "delete")
    assert topic.retention_ms == -1, "I11: topics are kept whole"
    lag = topic.config.get("min.compaction.lag.ms")
    assert lag == ("9223372036854775807" if topic.cleanup == "compact" else None), "I11"


KEYED_OTHERWISE = {"connection-changed"}


@pytest.mark.parametrize("name", DECLARED)
def test_every_message_has_the_fields_of_its_topics_key(name: str) -> None:
    for model in TOPIC_MESSAGES[name]:
        for field in DECLARED[name].key.split("/"):
            if model is CommandRejected:
                assert field in model.model_fields
            elif message_type(model) not in KEYED_OTHERWISE:
                assert model.model_fields[field].is_required(), message_type(model)


def test_commands_carry_their_business_and_are_read_by_their_owner_alone() -> None:
    for name, topic in DECLARED.items():
        if ".commands." in name:
            assert topic.key == "business_id"
            assert topic.consumers == (topic.owner,)


def test_each_service_that_consumes_has_a_dead_letter_topic() -> None:
    letters = {topic.name for topic in topics.load() if topic.name.endswith(".dlq")}
    assert letters == {
        "channels.commands.v1.channel-connector.dlq",
        "channels.events.v1.sales-processor.dlq",
        "channels.transactions.v1.sales-processor.dlq",
        "inventory.commands.v1.inventory.dlq",
        "inventory.events.v1.sales-processor.dlq",
        "inventory.products.v1.sales-processor.dlq",
        "sales.commands.v1.sales-processor.dlq",
    }


@pytest.mark.parametrize("service", topics.SERVICES)
def test_a_service_receives_the_topics_that_name_it_as_consumer(service: str) -> None:
    declared = {name for name, topic in DECLARED.items() if service in topic.consumers}
    assert set(_definition(service).receives) == declared


@pytest.mark.parametrize("service", ["inventory", "sales-processor"])
def test_a_service_whose_state_comes_from_topics_keeps_a_journal_in_one_order(service: str) -> None:
    definition = _definition(service)
    assert definition.journal is not None
    assert definition.journal in definition.sends
    topic = DECLARED[definition.journal]
    assert (topic.owner, topic.partitions) == (service, 1)


@pytest.mark.parametrize("service", topics.SERVICES)
def test_a_service_sends_what_it_owns_and_commands_of_others(service: str) -> None:
    sends = set(_definition(service).sends)
    owned = {name for name, topic in DECLARED.items() if topic.owner == service}
    assert {name for name in owned if ".commands." not in name} <= sends
    assert all(".commands." in name for name in sends - owned)


_SETTINGS = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "DATABASE_URL": "postgresql://127.0.0.1:1/none",
    "QUICKBOOKS_ENVIRONMENT": "sandbox",
    "QUICKBOOKS_CLIENT_ID": "client",
    "QUICKBOOKS_CLIENT_SECRET": "secret",
    "TOKEN_KEYS": "k1:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=",
}


@pytest.mark.parametrize("service", topics.SERVICES)
async def test_a_service_subscribes_to_what_it_says_it_receives(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in _SETTINGS.items():
        monkeypatch.setenv(name, value)
    definition = _definition(service)
    relay = Relay(database_url="unused", bootstrap_servers="unused", source="/test")
    unused_pool: object = object()
    parts = Parts(unused_pool, relay, FastAPI())  # type: ignore[arg-type]
    built = definition.build(definition.settings(), parts)
    try:
        assert {s.topic for s in built.subscriptions} == set(definition.receives)
    finally:
        if built.close:
            await built.close()


_GOOD = """
name: things.events.v1
owner: inventory
key: business_id
partitions: 4
retention_days: -1
cleanup: delete
message_bytes_max: 1048576
consumers: [anyone]
summary: Things.
"""


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("owner: inventory\n", ""), "t.yaml: `owner` must be given, as str."),
        (("partitions: 4", "partitions: four"), "t.yaml: `partitions` must be given, as int."),
        (("consumers: [anyone]", "consumers: anyone"), "`consumers` must be given, as list."),
        (("summary:", "sumary:"), "t.yaml: unknown field `sumary`"),
    ],
)
def test_a_faulty_topic_file_is_refused_by_field(change: tuple[str, str], complaint: str) -> None:
    with pytest.raises((ValueError, TypeError), match=complaint.replace(".", r"\.")):
        topics._parse("t.yaml", _GOOD.replace(*change))


def test_a_topic_file_is_read_with_its_retention(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(_GOOD.replace("retention_days: -1", "retention_days: 7"))
    topic = topics._parse(file.name, file.read_text())
    assert topic.config == {
        "cleanup.policy": "delete",
        "retention.ms": "604800000",
        "max.message.bytes": "1048576",
    }
