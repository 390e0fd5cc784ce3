"""Topics as data, applied: what the cluster has is compared with what the contracts say.

Only what is safe is changed: topics are made, partitions added, settings altered. A topic is never
deleted, and a partition never taken away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from contracts.topics import Topic

REPLICATION_DEFAULT = -1  # the broker's default.replication.factor


@dataclass(frozen=True)
class Change:
    """One difference: make a topic, add partitions, alter settings, or a conflict for a person."""

    topic: str
    kind: Literal["create", "add-partitions", "alter", "conflict"]
    detail: str


async def plan(bootstrap_servers: str, topics: Sequence[Topic]) -> list[Change]:
    """What `apply` would change."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        return await _plan(admin, topics)
    finally:
        await admin.close()


async def apply(bootstrap_servers: str, topics: Sequence[Topic]) -> list[Change]:
    """Make the cluster's topics as the contracts say; returns what was changed.

    Conflicts are returned and left as they are.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        changes = await _plan(admin, topics)
        by_name = {topic.name: topic for topic in topics}
        wanted: dict[str, list[Topic]] = {"create": [], "add-partitions": [], "alter": []}
        for change in changes:
            if change.kind != "conflict":
                wanted[change.kind].append(by_name[change.topic])
        if wanted["create"]:
            _check(await admin.create_topics([_new_topic(t) for t in wanted["create"]]))
        if wanted["add-partitions"]:
            await admin.create_partitions(
                {t.name: NewPartitions(t.partitions) for t in wanted["add-partitions"]}
            )
        if wanted["alter"]:
            await admin.alter_configs(
                [
                    ConfigResource(ConfigResourceType.TOPIC, t.name, t.config)
                    for t in wanted["alter"]
                ]
            )
        return changes
    finally:
        await admin.close()


def _new_topic(topic: Topic) -> NewTopic:
    # aiokafka takes the broker's default of replicas only where assignments are given, if empty.
    return NewTopic(
        topic.name, topic.partitions, REPLICATION_DEFAULT, {}, topic_configs=dict(topic.config)
    )


def _check(response: Any) -> None:  # noqa: ANN401  (aiokafka's protocol object)
    """Raise what the broker refused."""
    for name, code, *rest in response.topic_errors:
        if code not in {0, 36}:  # 36: another process made the topic meanwhile
            raise RuntimeError(f"Kafka refused to make the topic {name}: {rest or code}.")


async def _plan(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> list[Change]:
    existing = {
        t["topic"]: len(t["partitions"])
        for t in await admin.describe_topics([t.name for t in topics])
        if t["error_code"] == 0
    }
    settings = await _settings(admin, [t.name for t in topics if t.name in existing])
    changes = []
    for topic in topics:
        if topic.name not in existing:
            detail = f"{topic.partitions} partitions, {_shown(topic.config)}"
            changes.append(Change(topic.name, "create", detail))
            continue
        has = existing[topic.name]
        if has < topic.partitions:
            detail = f"{has} -> {topic.partitions} partitions"
            changes.append(Change(topic.name, "add-partitions", detail))
        elif has > topic.partitions:
            detail = f"has {has} partitions, more than the {topic.partitions} that are declared"
            changes.append(Change(topic.name, "conflict", detail))
        differing = {
            name: value
            for name, value in topic.config.items()
            if settings[topic.name].get(name) != value
        }
        if differing:
            changes.append(Change(topic.name, "alter", _shown(differing)))
    return changes


async def _settings(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    found: dict[str, dict[str, str]] = {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    for response in await admin.describe_configs(resources):
        for resource in response.resources:
            _, _, _, name, entries = resource
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


def _shown(config: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in config.items())
