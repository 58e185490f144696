"""Arguments of a tool from `key=value` pairs, typed by the tool's input schema.

What the schema calls a number becomes one, what it calls an object or an array is read as
JSON, and text stays text even where it looks like a number. A value that does not fit is
refused here, by name, before anything is called.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mooring.core.suggestion import did_you_mean

Schema = Mapping[str, Any]


def typed(pairs: Iterable[tuple[str, str]], schema: Schema) -> dict[str, Any]:
    """The arguments; ValueError names every pair that does not fit and what is missing."""
    known: Mapping[str, Any] = schema.get("properties") or {}
    closed = schema.get("additionalProperties") is False
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for key, text in pairs:
        if key not in known and closed:
            wrong.append(f"{key}: there is no such argument.{did_you_mean(key, known)}")
            continue
        try:
            found[key] = value(text, _resolve(known.get(key), schema))
        except ValueError as error:
            wrong.append(f"{key}: {error}")
    for key in schema.get("required") or ():
        if key not in found and not any(line.startswith(f"{key}:") for line in wrong):
            kind = " or ".join(_types(_resolve(known.get(key), schema)))
            wrong.append(f"{key}: is required" + (f" ({kind})" if kind else ""))
    if wrong:
        raise ValueError("\n".join(wrong))
    return found


def value(text: str, schema: Schema) -> Any:
    """One value; ValueError where the text is none of the types that the schema allows."""
    types = _types(schema)
    if not types:
        return _guess(text)
    for kind in types:
        try:
            return _READERS[kind](text)
        except (KeyError, ValueError):
            continue
    raise ValueError(f"expected {' or '.join(types)}, found {text!r}")


def _types(schema: Schema) -> list[str]:
    """Allowed types; strings last, because every text is one."""
    given = schema.get("type")
    types = [given] if isinstance(given, str) else list(given or ())
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        types += _types(branch)
    for constant in (*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())):
        types.append(_type_of(constant))
    if "string" in types:
        types = [kind for kind in types if kind != "null"]  # who means null leaves it out
    return sorted(dict.fromkeys(types), key=lambda kind: kind == "string")


def _resolve(schema: Any, root: Schema) -> Schema:
    """A schema, or the one that its `$ref` within the same document means."""
    if not isinstance(schema, Mapping):
        return {}
    target = schema.get("$ref")
    if not isinstance(target, str) or not target.startswith("#/"):
        return schema
    place: Any = root
    for step in target[2:].split("/"):
        place = place.get(step, {}) if isinstance(place, Mapping) else {}
    return place if isinstance(place, Mapping) and "$ref" not in place else {}


def _type_of(constant: Any) -> str:
    if isinstance(constant, bool):
        return "boolean"
    if constant is None:
        return "null"
    names = {int: "integer", float: "number", list: "array", dict: "object"}
    return names.get(type(constant), "string")


def _guess(text: str) -> Any:
    """Without a type: JSON where it is JSON, else text."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _boolean(text: str) -> bool:
    words = {"true": True, "false": False, "yes": True, "no": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _json(*kinds: type) -> Callable[[str], Any]:
    """Reads JSON of exactly these Python types (a boolean is no integer)."""

    def read(text: str) -> Any:
        found = json.loads(text, parse_constant=_refuse)
        if type(found) not in kinds:
            raise ValueError(text)
        return found

    return read


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity, which no JSON may hold


_READERS: Mapping[str, Callable[[str], Any]] = {
    "string": str,
    "integer": _json(int),
    "number": _json(int, float),
    "boolean": _boolean,
    "null": _json(type(None)),
    "array": _json(list),
    "object": _json(dict),
}
