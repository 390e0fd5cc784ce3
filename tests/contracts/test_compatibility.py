"""A change that breaks readers of the last release, or of today, is refused."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts import generate
from contracts.compatibility import breaking_changes

RELEASED = generate.load_schemas(generate.ROOT / "released")
Schema = dict[str, Any]

PLACE = ("sales.events.v1", "sale-recorded")
COMMAND = ("inventory.commands.v1", "put-product")


def test_nothing_breaks_the_last_release() -> None:
    assert RELEASED, "contracts/released is empty; run `python -m contracts.generate --release`."
    assert breaking_changes(RELEASED, generate.current_schemas()) == []


def _fields(schema: Schema) -> Schema:
    fields: Schema = schema["properties"]
    return fields


def _line(schema: Schema) -> Schema:
    part: Schema = schema["$defs"]["SaleLine"]
    return part


def _add(schema: Schema, name: str, field: Schema, *, required: bool = False) -> None:
    schema["properties"][name] = field
    if required:
        schema["required"].append(name)


def _remove(schema: Schema, name: str) -> None:
    del schema["properties"][name]
    if name in schema["required"]:
        schema["required"].remove(name)


TEXT: Schema = {"type": "string"}
OPTIONAL_TEXT: Schema = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}

BREAKING: dict[str, Callable[[Schema], object]] = {
    "a required field is removed": lambda s: _remove(s, "sale_id"),
    "an optional field is removed": lambda s: _remove(s, "number"),
    "a field of a part is removed": lambda s: _remove(_line(s), "product_name"),
    "a list of a part is removed": lambda s: _remove(_line(s), "allocations"),
    "a field is renamed": lambda s: _add(s, "total", _fields(s).pop("total_amount")),
    "a text becomes a number": lambda s: _fields(s).update(sale_id={"type": "integer"}),
    "a decimal becomes a number": lambda s: _fields(s).update(revenue={"type": "number"}),
    "a number becomes a text": lambda s: _fields(s).update(version=TEXT),
    "a text becomes a list": lambda s: _fields(s).update(kind={"type": "array", "items": TEXT}),
    "a list becomes a map": lambda s: _fields(s).update(lines={"type": "object"}),
    "a field of a part gets another type": lambda s: _fields(_line(s)).update(line_number=TEXT),
    "a required field is added": lambda s: _add(s, "region", TEXT, required=True),
    "a part gets a required field": lambda s: _add(_line(s), "region", TEXT, required=True),
    "an optional field becomes required": lambda s: s["required"].append("number"),
    "an optional field of a part becomes required": lambda s: _line(s)["required"].append(
        "product_id"
    ),
    "a required field becomes optional": lambda s: s["required"].remove("revenue"),
    "a required field of a part becomes optional": lambda s: _line(s)["required"].remove("cost"),
    "a required field may be null": lambda s: _fields(s).update(
        sale_id={"anyOf": [TEXT, {"type": "null"}]}
    ),
    "a field may no longer be null": lambda s: _fields(s).update(margin_percent=TEXT),
    "a value is added to an enumeration": lambda s: _fields(s)["status"]["enum"].append("draft"),
    "a value is taken from an enumeration": lambda s: _fields(s)["status"]["enum"].remove("voided"),
    "an enumeration becomes free text": lambda s: _fields(s).update(status=TEXT),
    "a text must be shorter": lambda s: _fields(s)["sale_id"].update(maxLength=36),
    "a text may be longer": lambda s: _fields(s)["sale_id"].update(maxLength=400),
    "a decimal loses places": lambda s: _fields(s)["revenue"].update(pattern=r"^[0-9]+$"),
    "a decimal may be any text": lambda s: _fields(s)["revenue"].pop("pattern"),
    "a date gets a time": lambda s: _fields(s)["sale_date"].update(format="date-time"),
    "a date may be any text": lambda s: _fields(s)["sale_date"].pop("format"),
    "the type gets another name": lambda s: _fields(s)["type"].update(const="sale-booked"),
}

COMPATIBLE: dict[str, Callable[[Schema], object]] = {
    "nothing": lambda s: s,
    "an optional field is added": lambda s: _add(s, "region", OPTIONAL_TEXT),
    "a part gets an optional field": lambda s: _add(_line(s), "region", OPTIONAL_TEXT),
    "an optional list is added": lambda s: _add(
        s, "tags", {"type": "array", "items": TEXT, "default": []}
    ),
    "an optional part is added": lambda s: _add(
        s, "store", {"type": "object", "properties": {"name": TEXT}, "required": ["name"]}
    ),
    "a field is described": lambda s: _fields(s)["sale_id"].update(description="Ours."),
    "the message is described anew": lambda s: s.update(description="A sale."),
    "the order of fields changes": lambda s: s.update(
        properties=dict(sorted(s["properties"].items()))
    ),
}


def _after(change: Callable[[Schema], object]) -> list[str]:
    before = {PLACE: generate.current_schemas()[PLACE]}
    after = copy.deepcopy(before)
    change(after[PLACE])
    return breaking_changes(before, after)


@pytest.mark.parametrize("name", BREAKING)
def test_a_breaking_change_is_refused(name: str) -> None:
    (problem,) = _after(BREAKING[name])
    assert problem.startswith("sale-recorded on sales.events.v1 (")


@pytest.mark.parametrize("name", COMPATIBLE)
def test_a_compatible_change_passes(name: str) -> None:
    assert _after(COMPATIBLE[name]) == []


def test_the_field_that_breaks_is_named() -> None:
    (problem,) = _after(lambda s: _fields(_line(s)).update(line_number=TEXT))
    assert problem == (
        "sale-recorded on sales.events.v1 (`lines[].line_number`): a reader of the last release "
        "could not read what is published now; messages of the last release could not be read now."
    )


def test_a_type_or_topic_that_is_gone_is_refused_and_a_new_one_passes() -> None:
    before = generate.current_schemas()
    after = {place: schema for place, schema in before.items() if place != COMMAND}
    assert breaking_changes(before, after) == [
        "put-product on inventory.commands.v1: the message type is gone."
    ]
    assert breaking_changes(after, before) == []


def test_a_release_is_refused_when_it_breaks_the_last_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main(["--release"], tmp_path) == 0
    released = tmp_path / "released/sales.events.v1/sale-recorded.json"
    schema = json.loads(released.read_text())
    _add(schema, "region", TEXT, required=True)
    released.write_text(json.dumps(schema))
    assert generate.main(["--release"], tmp_path) == 1
    assert "`region`" in capsys.readouterr().err
