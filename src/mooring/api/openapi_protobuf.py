"""The OpenAPI document of version 2 as a protobuf message, which older clients insist on.

Field numbers are those of gnostic's OpenAPIv2.proto; written is what our document holds.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from mooring.api.openapi import v2
from mooring.core.protobuf import encoded

Document = Mapping[str, Any]
Message = dict[int, Any]

ASKED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
ANSWERED = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""Clients ask for it with an @, and read it without."""

_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}


@cache
def document() -> bytes:
    """The whole document."""
    made = v2()
    about = made["info"]
    return encoded(
        {
            1: made["swagger"],
            2: {1: about["title"], 2: about["version"]},
            8: {2: _named(made["paths"], _path)},
            9: {1: _named(made["definitions"], _schema)},
        }
    )


def _named(found: Mapping[str, Any], message: Callable[[Any], Message]) -> list[Message]:
    """A map, as a list of names and values."""
    return [{1: name, 2: message(value)} for name, value in found.items()]


def _any(value: Any) -> Message:
    return {2: json.dumps(value)}


def _extensions(found: Document) -> list[Message]:
    return _named({k: v for k, v in found.items() if k.startswith("x-")}, _any)


def _path(item: Document) -> Message:
    methods = {_METHODS[key]: _operation(value) for key, value in item.items() if key in _METHODS}
    return {**methods, 9: [_parameter(each) for each in item.get("parameters", ())]}


def _operation(operation: Document) -> Message:
    answers = {
        code: {1: {1: each["description"], 2: {1: _schema(each["schema"])}}}
        for code, each in operation["responses"].items()
    }
    return {
        3: operation["description"],
        5: operation["operationId"],
        6: list(operation["produces"]),
        7: list(operation.get("consumes", ())),
        8: [_parameter(each) for each in operation.get("parameters", ())],
        9: {1: _named(answers, lambda each: each)},
        13: _extensions(operation),
    }


def _parameter(given: Document) -> Message:
    if given["in"] == "body":
        body = {2: given["name"], 3: "body", 4: given["required"], 5: _schema(given["schema"])}
        return {1: {1: body}}
    said = {2: given["in"], 3: given["description"], 4: given["name"]}
    if given["in"] == "path":
        return {1: {2: {4: {1: True, **said, 5: given["type"]}}}}
    return {1: {2: {3: {**said, 6: given["type"], 20: True}}}}


def _schema(schema: Document) -> Message:
    made: Message = {
        1: schema.get("$ref", ""),
        2: schema.get("format", ""),
        4: schema.get("description", ""),
        7: float(schema.get("maximum", 0)),
        9: float(schema.get("minimum", 0)),
        11: schema.get("maxLength", 0),
        12: schema.get("minLength", 0),
        13: schema.get("pattern", ""),
        15: schema.get("minItems", 0),
        19: list(schema.get("required", ())),
        20: [_any(each) for each in schema.get("enum", ())],
        31: _extensions(schema),
    }
    if "additionalProperties" in schema:
        made[21] = {1: _schema(schema["additionalProperties"])}
    if "type" in schema:
        made[22] = {1: schema["type"]}
    if "items" in schema:
        made[23] = {1: [_schema(schema["items"])]}
    if "properties" in schema:
        made[25] = {1: _named(schema["properties"], _schema)}
    return made
