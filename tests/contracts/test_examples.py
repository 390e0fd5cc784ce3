"""Schemas and examples are complete, true to the models, and exactly what the generator writes."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts import generate
from contracts.registry import TOPIC_MESSAGES, message_type, read

ROOT = generate.ROOT
TYPES = [
    (topic, message_type(model)) for topic, models in TOPIC_MESSAGES.items() for model in models
]
EXAMPLES = sorted((ROOT / "examples").glob("*/*.json"))


def _loaded(*path: str) -> Any:  # noqa: ANN401  (JSON)
    return json.loads(ROOT.joinpath(*path).read_text("utf-8"))


@pytest.mark.parametrize(("topic", "kind"), TYPES)
def test_every_type_has_a_schema_and_an_example(topic: str, kind: str) -> None:
    Draft202012Validator.check_schema(_loaded("schemas", topic, f"{kind}.json"))
    assert _loaded("examples", topic, f"{kind}.json")["type"] == kind


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_example_fits_its_model_and_its_schema(file: Path) -> None:
    topic, body = file.parent.name, file.read_bytes()
    message = read(topic, body)
    assert json.loads(message.encode()) == json.loads(body)
    schema = _loaded("schemas", topic, f"{message.type}.json")
    checker = Draft202012Validator.FORMAT_CHECKER
    Draft202012Validator(schema, format_checker=checker).validate(json.loads(body))


@pytest.mark.parametrize("folder", generate.FOLDERS)
def test_no_file_stands_for_a_type_that_no_topic_carries(folder: str) -> None:
    files = (ROOT / folder).glob("*/*.json")
    assert {(file.parent.name, file.stem.split(".")[0]) for file in files} == set(TYPES)


@pytest.mark.parametrize(
    ("topic", "kind", "field", "value"),
    [
        ("inventory.commands.v1", "receive-lot", "quantity", "ten"),
        ("inventory.commands.v1", "receive-lot", "quantity", "0.0000001"),
        ("inventory.commands.v1", "receive-lot", "quantity", 0),
        ("inventory.commands.v1", "receive-lot", "quantity", True),
        ("inventory.commands.v1", "receive-lot", "received_on", "30.01.2026"),
        ("inventory.commands.v1", "receive-lot", "type", "put-product"),
        ("inventory.commands.v1", "put-product", "product_type", "toy"),
        ("sales.events.v1", "sale-recorded", "revenue", 13000),
        ("sales.events.v1", "sale-recorded", "revenue", "1.3E+4"),
        ("sales.events.v1", "sale-recorded", "lines", None),
        ("channels.events.v1", "sync-started", "business_id", ""),
    ],
)
def test_a_schema_refuses_what_does_not_belong_on_the_wire(
    topic: str, kind: str, field: str, value: object
) -> None:
    body = {**_loaded("examples", topic, f"{kind}.json"), field: value}
    schema = _loaded("schemas", topic, f"{kind}.json")
    checker = Draft202012Validator.FORMAT_CHECKER
    assert not Draft202012Validator(schema, format_checker=checker).is_valid(body)


def test_the_story_adds_up() -> None:
    sale = _loaded("examples", "sales.events.v1", "sale-recorded.json")
    taken = sale["lines"][0]["allocations"]
    cost = sum(Decimal(a["quantity"]) * Decimal(a["unit_cost"]) for a in taken)
    assert (cost, Decimal(sale["margin"])) == (Decimal(7340), Decimal(5660))
    for name in ("sync-completed", "sync-completed.2"):
        summary = _loaded("examples", "sales.events.v1", f"{name}.json")
        counted = summary["created"] + summary["updated"] + summary["voided"]
        counted += sum(summary["skipped"].values()) + len(summary["errors"])
        assert counted == summary["received"]


def test_what_is_committed_is_what_the_generator_writes() -> None:
    assert generate.differences(ROOT, generate.generated()) == []


def test_the_check_names_stale_missing_and_left_over_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0
    (tmp_path / "schemas/sales.events.v1/sale-failed.json").write_text("{}")
    (tmp_path / "examples/sales.events.v1/sale-failed.json").unlink()
    (tmp_path / "schemas/sales.events.v1/sale-lost.json").write_text("{}")
    assert generate.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.splitlines() == [
        "schemas/sales.events.v1/sale-failed.json is not what the models and the story say.",
        "examples/sales.events.v1/sale-failed.json is missing.",
        "schemas/sales.events.v1/sale-lost.json is left over.",
        "Run `python -m contracts.generate` and commit what it writes.",
    ]
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0
