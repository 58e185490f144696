"""The schema of a kind as Kubernetes wants it: structural, with nothing left to look up.

What pydantic makes of a model has references, titles, and a union with null for every optional
field. Here all of it stands in its place, optional fields are simply not required, and lists say
whether their entries are told apart by a field (`map`), by themselves (`set`), or are one value
(`atomic`).
"""

from typing import Any

from mooring.kinds.base import Part, RuledPart
from mooring.kinds.shape import fields, inner, is_map

Schema = dict[str, Any]

_KEPT = ("type", "format", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength",
         "minItems", "maxItems")  # fmt: skip


def structural(part: type[Part], defaults: bool = True) -> Schema:
    """The schema of a piece and of everything below it."""
    raw = part.model_json_schema(by_alias=True)
    found = raw.get("$defs", {})
    properties = {
        name: _field(part, name, _resolved(schema, found), defaults)
        for name, schema in raw.get("properties", {}).items()
    }
    made: Schema = {"type": "object"}
    if part.__doc__:
        made["description"] = " ".join(part.__doc__.split())
    if raw.get("required"):
        made["required"] = list(raw["required"])
    if issubclass(part, RuledPart) and part.exactly_one_of:
        made["oneOf"] = [{"required": [name]} for name in part.exactly_one_of]
    return {**made, "properties": properties}


def _resolved(schema: Schema, found: Schema) -> Schema:
    """A field's own schema: references followed, the union with null taken away."""
    if "anyOf" in schema:
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        (only,) = (each for each in schema["anyOf"] if each.get("type") != "null")
        return _resolved({**only, **rest}, found)
    if "$ref" in schema:
        target = found[schema["$ref"].rpartition("/")[2]]
        return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    if "items" in schema:
        return {**schema, "items": _resolved(schema["items"], found)}
    return schema


def _field(part: type[Part], name: str, schema: Schema, defaults: bool) -> Schema:
    """One field of a piece."""
    below = inner(fields(part)[name].annotation)
    made = _limits(schema)
    if "const" in schema:
        made["enum"] = [schema["const"]]
    if schema.get("description"):
        made["description"] = " ".join(schema["description"].split())
    if defaults and schema.get("default") is not None:
        made["default"] = _given(schema["default"])
    if schema["type"] == "array":
        made |= _list(part, name, structural(below, defaults) if below else schema["items"])
    elif below and is_map(fields(part)[name].annotation):
        made["additionalProperties"] = structural(below, defaults)
    elif schema["type"] == "object" and below:
        made = {**structural(below, defaults), **made}
        if "default" in made:
            given = made["default"].items()
            made["default"] = {key: value for key, value in given if value is not None}
    elif schema["type"] == "object":
        by_key = schema.get("patternProperties") or {"": schema["additionalProperties"]}
        values = next(iter(by_key.values()))
        if isinstance(values, dict):
            made["additionalProperties"] = _limits(values)
        else:
            made["x-kubernetes-preserve-unknown-fields"] = True
    return made


def _list(part: type[Part], name: str, items: Schema) -> Schema:
    kept = items if "properties" in items else _limits(items)
    key = part.keyed.get(name)
    if name in part.sets:
        return {"items": kept, "x-kubernetes-list-type": "set"}
    if key is None:
        return {"items": kept, "x-kubernetes-list-type": "atomic"}
    return {
        "items": kept,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
    }


def _given(default: Any) -> Any:
    """A default without the optional fields that it leaves out."""
    if isinstance(default, dict):
        return {name: _given(value) for name, value in default.items() if value is not None}
    return default


def _limits(schema: Schema) -> Schema:
    """What a schema says of a single value."""
    return {key: schema[key] for key in _KEPT if key in schema}
