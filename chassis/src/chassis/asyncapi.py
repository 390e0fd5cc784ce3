"""AsyncAPI 3.0 documents, made from the registry of messages.

Source: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from collections.abc import Sequence
from typing import Any

from contracts.registry import TOPIC_MESSAGES, message_type
from contracts.topics import load


def document(service: str, *, receives: Sequence[str], sends: Sequence[str]) -> dict[str, Any]:
    """What a service receives and sends, by topic, with the schema of every message."""
    topics = {topic.name: topic for topic in load()}
    channels: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for name in sorted({*receives, *sends}):
        types = {}
        for model in TOPIC_MESSAGES[name]:
            kind = message_type(model)
            messages[kind] = {
                "name": kind,
                "contentType": "application/json",
                "payload": {
                    "schemaFormat": "application/schema+json;version=draft-2020-12",
                    "schema": model.model_json_schema(),
                },
            }
            types[kind] = {"$ref": f"#/components/messages/{kind}"}
        topic = topics[name]
        channels[name] = {
            "address": name,
            "description": f"{topic.summary} Keyed by {topic.key}.",
            "messages": types,
            "bindings": {"kafka": {"partitions": topic.partitions}},
        }
    operations = {
        f"{action}:{name}": {"action": action, "channel": {"$ref": f"#/channels/{name}"}}
        for action, names in (("receive", receives), ("send", sends))
        for name in names
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": service, "version": "1"},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }
