"""Which fields a document has, and sets of them as Kubernetes writes them (`fieldsV1`).

A field is named by its path: `("f:spec", 'k:{"name":"A"}', "f:value")`. A map is the sum of its
fields. A list is one value (`atomic`), or entries told apart by a field (`map`) or by
themselves (`set`), as the schema of the kind says; an entry is a field of its own beside those
inside it. Rules: structured-merge-diff v4, as described in Kubernetes, "Server-Side Apply".
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

Path = tuple[str, ...]
Schema = Mapping[str, Any]
Fields = frozenset[Path]

MEMBER = object()
"""Stands for the fact that an entry is in its list."""

Shape = Literal["map", "entries", "set", "value"]


def shape(schema: Schema, value: Any) -> Shape:
    """How a value is taken apart; what does not fit its schema is one value."""
    if isinstance(value, Mapping):
        return "map" if "properties" in schema or "additionalProperties" in schema else "value"
    if not isinstance(value, list):
        return "value"
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set" and all(isinstance(each, str) for each in value):
        return "set"
    if kind == "map":
        keys = [entry_key(schema, row) for row in value]
        if None not in keys and len(set(keys)) == len(keys):
            return "entries"
    return "value"


def below(schema: Schema, name: str) -> Schema:
    """The schema of a field of a map; empty where nobody knows it."""
    found: Schema = schema.get("properties", {}).get(name) or schema.get("additionalProperties", {})
    return found


def entry_key(schema: Schema, row: Any) -> str | None:
    """The step of an entry of a list: `k:{"name":"A"}`; None where its keys are not given."""
    names = schema["x-kubernetes-list-map-keys"]
    if not isinstance(row, Mapping) or not all(isinstance(row.get(key), str) for key in names):
        return None
    return "k:" + compact({key: row[key] for key in sorted(names)})


def compact(value: Any) -> str:
    """JSON in the one form that steps of paths have."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def leaves(schema: Schema, value: Any, path: Path = ()) -> dict[Path, Any]:
    """Every field that a value has, and what is in it. Empty maps and null have none."""
    return dict(_leaves(schema, value, path))


def _leaves(schema: Schema, value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    match shape(schema, value):
        case "map":
            for name, held in value.items():
                if held is not None:
                    yield from _leaves(below(schema, name), held, (*path, f"f:{name}"))
        case "entries":
            for row in value:
                step = str(entry_key(schema, row))
                yield (*path, step), MEMBER
                yield from _leaves(schema["items"], row, (*path, step))
        case "set":
            yield from (((*path, f"v:{compact(each)}"), MEMBER) for each in value)
        case "value":
            yield path, value


def encoded(fields: Iterable[Path]) -> dict[str, Any]:
    """A set of fields as `fieldsV1` has it."""
    tree: dict[str, Any] = {}
    for path in sorted(fields):
        node = tree
        for step in path[:-1]:
            node = node.setdefault(step, {})
        node.setdefault(path[-1], {})
    return _marked(tree, (), frozenset(fields))


def _marked(tree: dict[str, Any], path: Path, fields: Fields) -> dict[str, Any]:
    """The tree with a dot where a field that has others inside is itself in the set."""
    own: dict[str, Any] = {".": {}} if tree and path in fields else {}
    return own | {step: _marked(node, (*path, step), fields) for step, node in tree.items()}


def decoded(tree: Any, path: Path = ()) -> Fields:
    """The set of fields that a `fieldsV1` says; what is no such thing says none."""
    return frozenset(_decoded(tree, path))


def _decoded(tree: Any, path: Path) -> Iterator[Path]:
    if not isinstance(tree, Mapping):
        return
    if path and (not tree or "." in tree):
        yield path
    for step, node in tree.items():
        if _is_step(step):
            yield from _decoded(node, (*path, step))


def _is_step(step: str) -> bool:
    """Whether a step is one; what others wrote may be anything."""
    if step[:2] not in ("k:", "v:"):
        return step.startswith("f:")
    try:
        found = json.loads(step[2:])
    except (ValueError, RecursionError):
        return False
    return step.startswith("v:") or isinstance(found, Mapping)


def written(path: Path) -> str:
    """A field as people write it.

    >>> written(("f:spec", "f:env", 'k:{"name":"A"}', "f:value"))
    '.spec.env[name="A"].value'
    """
    return "".join(_step(step) for step in path)


def _step(step: str) -> str:
    if step.startswith("f:"):
        name = step[2:]
        return f".{name}" if name.replace("_", "a").isalnum() else f"[{name}]"
    try:
        found = json.loads(step[2:])
    except ValueError:
        return f"[{step}]"
    if isinstance(found, Mapping):
        return "[" + ",".join(f"{key}={compact(value)}" for key, value in found.items()) + "]"
    return f"[={compact(found)}]"
