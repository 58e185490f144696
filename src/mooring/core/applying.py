"""Server-side apply: who wants which field to be what, and what comes of it together.

Everyone who writes is known by a name and owns the fields that he set. Applying a document
sets its fields, gives up what it named before and names no more (which then goes, unless
somebody else owns it), and is refused where it would change what another owns. A plain update
takes what it changes. Rules: Kubernetes, "Server-Side Apply".
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from mooring.core.ownership import (
    Fields,
    Path,
    Schema,
    below,
    compact,
    entry_key,
    leaves,
    shape,
)

BEFORE = "before-first-apply"
"""Owns what was there before anybody was known by name."""
ANCIENT = "ancient-changes"
"""Owns what the earliest of too many updaters owned."""
UPDATERS = 10
"""Plain updaters that are told apart."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Somebody who writes, and the fields that are his."""

    name: str
    operation: Literal["Apply", "Update"] = "Update"
    part: str = ""
    """The subresource that he writes through: `status`, or none."""
    fields: Fields = frozenset()
    since: str = ""
    """When he last changed something; RFC 3339."""

    def same(self, other: "Owner") -> bool:
        """Whether both are one."""
        mine, theirs = (self.name, self.operation, self.part), (other.name, other.operation)
        return mine == (*theirs, other.part)


@dataclass(frozen=True, slots=True)
class Applied:
    """What comes of it."""

    document: dict[str, Any]
    owners: tuple[Owner, ...]


@dataclass(frozen=True, slots=True)
class Contested:
    """Others own what would be changed."""

    fields: tuple[tuple[str, Path], ...]
    """Who owns which; sorted."""


def applied(
    schema: Schema,
    live: Mapping[str, Any],
    wanted: Mapping[str, Any],
    owners: tuple[Owner, ...],
    by: Owner,
    *,
    force: bool = False,
) -> Applied | Contested:
    """What applying a document makes of one that is there (or of none: empty).

    With `force` he takes from others what he changes.
    """
    if live and not owners:
        owners = (Owner(BEFORE, fields=frozenset(leaves(schema, live))),)
    others = tuple(owner for owner in owners if not owner.same(by))
    mine = frozenset(leaves(schema, wanted))
    merged = _merged(schema, live, wanted)
    changed = _changed(leaves(schema, live), leaves(schema, merged))
    contested = sorted((o.name, path) for o in others for path in o.fields & changed)
    if contested and not force:
        return Contested(tuple(contested))
    others = _without(others, changed)
    theirs = frozenset[Path]().union(*(owner.fields for owner in others))
    held = [owner for owner in owners if owner.same(by)]
    gone = frozenset[Path]().union(*(owner.fields for owner in held)) - mine - theirs
    document = _pruned(schema, merged, gone, kept=_upwards(theirs | mine))
    same = bool(held) and held[0].fields == mine and document == live
    me = held[0] if same else replace(by, fields=mine)
    return Applied(document, _in_order((*others, me)))


def updated(
    schema: Schema,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    owners: tuple[Owner, ...],
    by: Owner,
) -> tuple[Owner, ...]:
    """Who owns what after a plain update."""
    old, new = leaves(schema, before), leaves(schema, after)
    changed, gone = _changed(old, new), frozenset(old.keys() - new.keys())
    if not changed and not gone:
        return owners
    others = tuple(owner for owner in owners if not owner.same(by))
    held = [owner.fields for owner in owners if owner.same(by)]
    mine = (frozenset[Path]().union(*held) | changed) - gone
    return _in_order(_few((*_without(others, changed | gone), replace(by, fields=mine))))


def _changed(old: Mapping[Path, Any], new: Mapping[Path, Any]) -> Fields:
    """Fields that are new, or hold something else now."""
    return frozenset(path for path, value in new.items() if path not in old or old[path] != value)


def _without(owners: tuple[Owner, ...], fields: Fields) -> tuple[Owner, ...]:
    return tuple(replace(owner, fields=owner.fields - fields) for owner in owners)


def _few(owners: tuple[Owner, ...]) -> tuple[Owner, ...]:
    """The earliest of too many updaters become one."""
    updaters = [owner for owner in owners if owner.operation == "Update" and owner.fields]
    surplus = sorted(updaters, key=lambda owner: owner.since)[: len(updaters) - UPDATERS + 1]
    if len(updaters) <= UPDATERS:
        return owners
    fields = frozenset[Path]().union(*(owner.fields for owner in surplus))
    ancient = Owner(ANCIENT, fields=fields, since=surplus[-1].since)
    return (*(owner for owner in owners if owner not in surplus), ancient)


def _in_order(owners: Iterable[Owner]) -> tuple[Owner, ...]:
    kept = [owner for owner in owners if owner.fields]
    return tuple(sorted(kept, key=lambda o: (o.operation, o.since, o.name, o.part)))


def _upwards(fields: Fields) -> Fields:
    """The fields and everything that they are in, with what tells entries of lists apart."""
    above = {path[:end] for path in fields for end in range(1, len(path) + 1)}
    return frozenset(above.union(*(_keys(path) for path in above)))


def _keys(entry: Path) -> Iterator[Path]:
    if entry[-1].startswith("k:"):
        yield from ((*entry, f"f:{key}") for key in json.loads(entry[-1][2:]))


def _merged(schema: Schema, live: Any, wanted: Any) -> Any:
    """What is there, with what is wanted in it."""
    kind = shape(schema, wanted)
    if kind == "value" or shape(schema, live) != kind:
        return _plain(wanted)
    if kind == "set":
        return [*live, *(each for each in wanted if each not in live)]
    if kind == "entries":
        rows = {entry_key(schema, row): row for row in live}
        for row in wanted:
            key = entry_key(schema, row)
            rows[key] = _merged(schema["items"], rows.get(key, {}), row)
        return list(rows.values())
    fields = dict(live)
    for name, value in wanted.items():
        if value is not None:
            fields[name] = _merged(below(schema, name), fields.get(name), value)
    return fields


def _plain(value: Any) -> Any:
    """A value without the nulls in its maps, which say nothing."""
    if isinstance(value, Mapping):
        return {key: _plain(held) for key, held in value.items() if held is not None}
    return value


def _pruned(schema: Schema, value: Any, gone: Fields, kept: Fields, path: Path = ()) -> Any:
    """The value without fields that are gone; what is empty for it goes as well."""
    kind = shape(schema, value)
    if not gone or kind == "value":
        return value
    if kind == "set":
        return [each for each in value if (*path, f"v:{compact(each)}") not in gone]
    if kind == "entries":
        rows = ((row, (*path, str(entry_key(schema, row)))) for row in value)
        return [
            _pruned(schema["items"], row, gone, kept, step)
            for row, step in rows
            if step not in gone or step in kept
        ]
    fields: dict[str, Any] = {}
    for name, held in value.items():
        step = (*path, f"f:{name}")
        if step in gone and step not in kept:
            continue
        fields[name] = after = _pruned(below(schema, name), held, gone, kept, step)
        if held and after in ({}, []) and step not in kept:
            del fields[name]
    return fields
