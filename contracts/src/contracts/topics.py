"""The topics as data: owner, key, partitions, retention and consumers, one yaml file each."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

DEAD_LETTER_RETENTION_MS = 90 * 86_400_000
DEAD_LETTER_BYTES_MAX = 8_388_608
COMPACTION_LAG_MS = 2**63 - 1
"""No record of a compacted topic is ever old enough to be taken away: a rebuild needs them all."""


@dataclass(frozen=True)
class Topic:
    """One topic.

    `retention_ms` of -1 keeps records for ever; `cleanup` is Kafka's policy (`delete`, `compact`).
    """

    name: str
    owner: str
    key: str
    partitions: int
    retention_ms: int
    cleanup: str
    message_bytes_max: int
    consumers: tuple[str, ...]
    summary: str

    @property
    def config(self) -> dict[str, str]:
        """The topic's settings under Kafka's names."""
        lag = {"min.compaction.lag.ms": str(COMPACTION_LAG_MS)} if self.cleanup == "compact" else {}
        return {
            "cleanup.policy": self.cleanup,
            **lag,
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.message_bytes_max),
        }


SERVICES = ("channel-connector", "sales-processor", "inventory")


def dead_letter_topic(topic: str, group: str) -> str:
    """Where a consumer group puts what it cannot apply."""
    return f"{topic}.{group}.dlq"


@cache
def load() -> tuple[Topic, ...]:
    """Every topic, and the dead-letter topic of each pair of a topic and a service consuming it."""
    topics = [
        _parse(path.name, path.read_text("utf-8")) for path in sorted(_folder().glob("*.yaml"))
    ]
    dead_letters = [
        Topic(
            name=dead_letter_topic(topic.name, group),
            owner=group,
            key=f"as in {topic.name}",
            partitions=1,
            retention_ms=DEAD_LETTER_RETENTION_MS,
            cleanup="delete",
            message_bytes_max=DEAD_LETTER_BYTES_MAX,
            consumers=("operators",),
            summary=f"Records of {topic.name} that {group} could not apply.",
        )
        for topic in topics
        for group in topic.consumers
        if group in SERVICES
    ]
    return (*topics, *dead_letters)


def _folder() -> Path:
    installed = Path(str(files("contracts"))) / "topic_files"
    return installed if installed.is_dir() else Path(__file__).resolve().parents[2] / "topics"


_FIELDS = {
    "name": str,
    "owner": str,
    "key": str,
    "partitions": int,
    "retention_days": int,
    "cleanup": str,
    "message_bytes_max": int,
    "consumers": list,
    "summary": str,
}


def _parse(file_name: str, text: str) -> Topic:
    """Read one file; a missing, unknown or mistyped field is an error that names it."""
    data: dict[str, Any] = yaml.safe_load(text)
    for unknown in data.keys() - _FIELDS.keys():
        raise ValueError(f"{file_name}: unknown field `{unknown}`; known are {', '.join(_FIELDS)}.")
    for field, kind in _FIELDS.items():
        if not isinstance(data.get(field), kind):
            raise TypeError(f"{file_name}: `{field}` must be given, as {kind.__name__}.")
    days = data["retention_days"]
    return Topic(
        name=data["name"],
        owner=data["owner"],
        key=data["key"],
        partitions=data["partitions"],
        retention_ms=-1 if days < 0 else days * 86_400_000,
        cleanup=data["cleanup"],
        message_bytes_max=data["message_bytes_max"],
        consumers=tuple(data["consumers"]),
        summary=data["summary"],
    )
