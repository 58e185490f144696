"""The reference page of all kinds, generated from the models."""

from collections.abc import Iterator

from mooring.kinds.base import ObjectMeta
from mooring.kinds.registry import KINDS, Kind
from mooring.kinds.structure import Schema, structural

_HEAD = """# Kinds

What may be declared, and what is reported back. Every field is listed by its path; a field
without a default is left out where it is not given, unless it is required. Unknown fields are
refused. `moor apply` and `kubectl apply` take the same documents.
"""
_TABLE = "| field | type | default | limits | what it says |\n|---|---|---|---|---|"

_WORDS = {"string": "text", "integer": "number", "number": "number", "boolean": "switch",
          "object": "objects"}  # fmt: skip


def reference() -> str:
    """The whole page, in Markdown."""
    metadata = [_HEAD, "## Metadata", "", "All kinds have it.", "", _TABLE]
    metadata += _rows(structural(ObjectMeta), "metadata")
    return "\n".join([*metadata, *(line for kind in KINDS for line in _kind(kind)), ""])


def _kind(kind: Kind) -> Iterator[str]:
    schema = structural(kind.model)
    names = ", ".join(f"`{name}`" for name in kind.names)
    yield from ("", f"## {kind.name}", "", schema["description"], "")
    yield from (f"`apiVersion: {kind.api_version}`; in commands {names}.", "", _TABLE)
    for name, field in schema["properties"].items():
        if name not in ("apiVersion", "kind", "metadata"):
            yield from _row(field, name, name in schema.get("required", ()))


def _rows(schema: Schema, above: str) -> Iterator[str]:
    for name, field in schema["properties"].items():
        yield from _row(field, f"{above}.{name}", name in schema.get("required", ()))


def _row(field: Schema, path: str, required: bool) -> Iterator[str]:
    """The line of a field, and those of what is below it."""
    items = field.get("items", {})
    cells = (
        f"`{path}`",
        _type(field),
        "required" if required else _default(field),
        _limits(field) or _limits(items),
        field.get("description") or items.get("description", ""),
    )
    yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    if "properties" in field:
        yield from _rows(field, path)
    elif "properties" in items:
        yield from _rows(items, f"{path}[]")
    elif "properties" in field.get("additionalProperties", {}):
        yield from _rows(field["additionalProperties"], f"{path}.*")


def _type(field: Schema) -> str:
    """What kind of value it is, in a word or three."""
    if field["type"] == "array":
        key = field.get("x-kubernetes-list-map-keys", ("",))[0]
        return f"list of {_type(field['items'])}s" + (f", by `{key}`" if key else "")
    if field["type"] == "object":
        values = field.get("additionalProperties")
        return "object" if values is None else f"map of {_WORDS[values['type']]}"
    if field.get("format") == "date-time":
        return "time"
    return _WORDS[field["type"]]


def _default(field: Schema) -> str:
    default = field.get("default")
    if default in (None, "", [], {}) or isinstance(default, dict):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _limits(field: Schema) -> str:
    """What a value must keep to."""
    said = [" ".join(f"`{choice}`" for choice in field.get("enum", ()) if choice)]
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        said.append(f"{low} to {high}")
    elif low is not None:
        said.append(f"at least {low}")
    if "oneOf" in field:
        said.append("exactly one of its parts")
    if field.get("minItems") or field.get("minLength"):
        said.append("not empty")
    if "maxLength" in field:
        said.append(f"at most {field['maxLength']} characters")
    if "pattern" in field:
        said.append(f"`{field['pattern']}`")
    return ", ".join(filter(None, said))
