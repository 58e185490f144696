"""Strategic merge patch, as Kubernetes has it for its own kinds.

A merge patch in which lists whose entries can be told apart are merged as well, and directives
(`$patch`, `$retainKeys`, `$deleteFromPrimitiveList/…`, `$setElementOrder/…`) say what a merge
cannot. Rules: Kubernetes, "Strategic Merge Patch".
"""

from collections.abc import Callable, Mapping
from typing import Any

from mooring.core.ownership import Schema, below

_DELETED = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def strategic(schema: Schema, target: Any, patch: Any) -> Any:
    """The target with the patch applied; ValueError where the patch makes no sense."""
    if not isinstance(patch, Mapping):
        return patch
    directive = patch.get("$patch")
    if directive not in (None, "replace", "delete", "merge"):
        raise ValueError("$patch must be one of replace, delete, merge")
    replaces = directive == "replace" or not isinstance(target, Mapping)
    merged: dict[str, Any] = {} if replaces or directive == "delete" else dict(target)
    for name, value in patch.items():
        if not name.startswith("$"):
            _set(merged, name, below(schema, name), value)
    for name, value in patch.items():
        _directed(merged, name, value, schema)
    return merged


def _set(merged: dict[str, Any], name: str, schema: Schema, value: Any) -> None:
    """One field of a patch."""
    if value is None or (isinstance(value, Mapping) and value.get("$patch") == "delete"):
        merged.pop(name, None)
    elif isinstance(value, Mapping):
        merged[name] = strategic(schema, merged.get(name), value)
    elif isinstance(value, list):
        merged[name] = _list(schema, merged.get(name), value)
    else:
        merged[name] = value


def _directed(merged: dict[str, Any], name: str, value: Any, schema: Schema) -> None:
    """What a directive does once its neighbours are merged."""
    if name in ("$patch",) or not name.startswith("$"):
        return
    if not isinstance(value, list):
        raise ValueError(f"{name.partition('/')[0]} must be a list")
    if name == "$retainKeys":
        for key in [key for key in merged if key not in value]:
            del merged[key]
    elif name.startswith(_DELETED):
        field = name.removeprefix(_DELETED)
        held = merged.get(field)
        if isinstance(held, list):
            merged[field] = [each for each in held if each not in value]
    elif name.startswith(_ORDER):
        _reorder(merged, name.removeprefix(_ORDER), value, schema)
    else:
        raise ValueError("a strategic merge patch has a directive that nobody knows")


def _reorder(merged: dict[str, Any], field: str, order: list[Any], schema: Schema) -> None:
    held = merged.get(field)
    if not isinstance(held, list):
        return
    same = _same(below(schema, field))
    wanted = [same(each) for each in order]
    last = len(wanted)
    places = {id(row): wanted.index(same(row)) if same(row) in wanted else last for row in held}
    merged[field] = sorted(held, key=lambda row: places[id(row)])


def _list(schema: Schema, held: Any, rows: list[Any]) -> list[Any]:
    """A list of a patch: merged where its entries can be told apart."""
    before = list(held) if isinstance(held, list) else []
    match schema.get("x-kubernetes-list-type"):
        case "set":
            return [*before, *(row for row in rows if row not in before)]
        case "map":
            if any(isinstance(row, Mapping) and row.get("$patch") == "replace" for row in rows):
                return [row for row in rows if "$patch" not in row]
            return _entries(schema, before, rows)
    return rows


def _entries(schema: Schema, held: list[Any], rows: list[Any]) -> list[Any]:
    same = _same(schema)
    found = {repr(same(row)): row for row in held}
    for row in rows:
        key = repr(same(row))
        if row.get("$patch") == "delete":
            found.pop(key, None)
        else:
            found[key] = strategic(schema.get("items", {}), found.get(key, {}), row)
    return list(found.values())


def _same(schema: Schema) -> Callable[[Any], Any]:
    """What tells an entry of a list from the others."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if not keys:
        return lambda row: row

    def key(row: Any) -> Any:
        if not isinstance(row, Mapping) or any(name not in row for name in keys):
            raise ValueError(f"entries of this list need {' and '.join(keys)}")
        return [row[name] for name in keys]

    return key
