"""Whether readers and writers of the last release and of today understand each other.

The law of this module: a change passes only if an old reader reads new messages and a new reader
reads old ones (a replay). The first is checked on open schemas, because readers ignore fields that
they do not know; the second on closed ones, so that a field that is gone counts.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from jsoncompat import check_compat

Schema = Mapping[str, Any]
Place = tuple[str, str]
"""A topic and a message type."""


def breaking_changes(
    released: Mapping[Place, Schema], current: Mapping[Place, Schema]
) -> list[str]:
    """Every change since the release that a reader of either side could not take, in words."""
    problems = []
    for place, old in released.items():
        where = f"{place[1]} on {place[0]}"
        new = current.get(place)
        if new is None:
            problems.append(f"{where}: the message type is gone.")
            continue
        faults = []
        if not _compatible(old, new, "serializer"):
            faults.append("a reader of the last release could not read what is published now")
        if not _compatible(_closed(old), _closed(new), "deserializer"):
            faults.append("messages of the last release could not be read now")
        texts = list(_changed_texts(old, new))
        if faults or texts:
            changed = ", ".join(texts or _changed_fields(old, new)) or "its fields"
            problems.append(f"{where} ({changed}): {'; '.join(faults) or 'other texts are valid'}.")
    return problems


def _compatible(old: Schema, new: Schema, role: Literal["serializer", "deserializer"]) -> bool:
    return bool(check_compat(_without_id(old), _without_id(new), role))


def _without_id(schema: Schema) -> str:
    """The schema as text; the checker takes an identifier for a reference to elsewhere."""
    return json.dumps({name: part for name, part in schema.items() if name != "$id"})


def _closed(schema: Any) -> Any:  # noqa: ANN401  (any part of a schema)
    """The same schema, allowing no field that it does not name."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {name: _closed(part) for name, part in schema.items()}
    if "properties" in closed and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def _changed_texts(old: Schema, new: Schema) -> Iterator[str]:
    """Fields whose pattern or format differs, which the checker does not look at."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    for path in before.keys() & after.keys():
        for keyword in ("pattern", "format"):
            if _values(before[path], keyword) != _values(after[path], keyword):
                yield f"`{path}` has another {keyword}"


def _changed_fields(old: Schema, new: Schema) -> list[str]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    paths = sorted(before.keys() | after.keys())
    return [f"`{path}`" for path in paths if before.get(path) != after.get(path)]


def _values(leaf: Schema, keyword: str) -> set[str]:
    return {part[keyword] for part in leaf["choices"] if keyword in part}


def _leaves(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Each field by its path, with the choices of values it may have, references resolved."""
    definitions = schema.get("$defs", {})

    def walk(path: str, part: Schema, *, required: bool) -> Iterator[tuple[str, Schema]]:
        found = list(_choices(part, definitions))
        if path:
            yield path, {"required": required, "choices": [_own_rules(c) for c in found]}
        for choice in found:
            for name, field in choice.get("properties", {}).items():
                inner = f"{path}.{name}" if path else name
                yield from walk(inner, field, required=name in choice.get("required", ()))
            if "items" in choice:
                yield from walk(f"{path}[]", choice["items"], required=True)
            if isinstance(choice.get("additionalProperties"), Mapping):
                yield from walk(f"{path}.*", choice["additionalProperties"], required=False)

    return walk("", schema, required=True)


def _choices(part: Schema, definitions: Schema) -> Iterator[Schema]:
    """The alternatives that a schema allows, references followed."""
    if "$ref" in part:
        yield from _choices(definitions[part["$ref"].removeprefix("#/$defs/")], definitions)
    elif "anyOf" in part:
        for choice in part["anyOf"]:
            yield from _choices(choice, definitions)
    else:
        yield part


_STRUCTURE = frozenset(
    {"properties", "required", "items", "additionalProperties", "title", "description", "default"}
)


def _own_rules(choice: Schema) -> Schema:
    """What a schema says of a value itself, its parts left out."""
    return {name: rule for name, rule in choice.items() if name not in _STRUCTURE}
