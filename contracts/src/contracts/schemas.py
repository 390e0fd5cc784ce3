"""JSON Schemas (draft 2020-12) of the messages as they are on the wire, made from the models.

The law of this module: a schema says what to write and what to expect; reading is more lenient.
Commands may be typed by people, so theirs allow numbers for decimals; in what the services publish
a decimal is always a string of plain digits.
"""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from contracts.base import Message
from contracts.registry import message_type

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(topic: str, model: type[Message]) -> dict[str, Any]:
    """The schema of a message type on its topic, open: fields that it does not name are allowed."""
    kind = message_type(model)
    generator = _CommandSchema if ".commands." in topic else _EventSchema
    body = model.model_json_schema(schema_generator=generator)
    required = ["type", *(name for name in body.get("required", []) if name != "type")]
    body["properties"]["type"].pop("default", None)
    return {"$schema": DIALECT, "$id": f"urn:partsemble:{topic}:{kind}", **body} | {
        "title": kind,
        "required": required,
    }


class _EventSchema(GenerateJsonSchema):
    """Decimals are strings of plain digits."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        return {"type": "string", "pattern": _decimal_pattern(schema)}

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002  (pydantic's)
        """No titles that only repeat the names of fields."""
        return False


class _CommandSchema(_EventSchema):
    """Decimals are strings, or numbers for those who type them."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        number: JsonSchemaValue = {"type": "number"}
        if (least := schema.get("ge")) is not None:
            number["minimum"] = int(least)
        if (above := schema.get("gt")) is not None:
            number["exclusiveMinimum"] = int(above)
        return {"anyOf": [super().decimal_schema(schema), number]}


def _decimal_pattern(schema: core_schema.DecimalSchema) -> str:
    """Plain digits, as many before and after the point as the model takes."""
    digits, places = schema.get("max_digits"), schema.get("decimal_places")
    least = schema.get("ge", schema.get("gt"))
    sign = "-?" if least is None or least < 0 else ""
    if digits is None or places is None:
        return rf"^{sign}[0-9]+(\.[0-9]+)?$"
    return rf"^{sign}[0-9]{{1,{digits - places}}}(\.[0-9]{{1,{places}}})?$"
