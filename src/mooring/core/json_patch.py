"""JSON Patch (RFC 6902): operations on places in a document, all of them or none.

What is copied counts towards a limit, so that a short patch cannot make an endless document.
A sentence about what does not fit names places and never values.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

OPERATIONS = 10_000
"""Operations that a patch may have."""
COPIED = 1024 * 1024
"""Characters and values that `copy` may add in all."""


class _Operation(NamedTuple):
    """One step of a patch, read."""

    verb: str
    place: tuple[str, ...]
    origin: tuple[str, ...] = ()
    value: Any = None


def patched(document: Any, patch: Any) -> Any:
    """The document after the patch; it is not changed itself. ValueError where it does not fit."""
    if not isinstance(patch, Sequence) or isinstance(patch, str):
        raise ValueError("a JSON patch must be a list of operations")
    if len(patch) > OPERATIONS:
        raise ValueError(f"a JSON patch has at most {OPERATIONS} operations, found {len(patch)}")
    left = COPIED
    for index, given in enumerate(patch):
        try:
            operation = _read(given)
            if operation.verb == "copy":
                left -= _weight(_at(document, operation.origin), left)
            document = _carried_out(document, operation)
        except ValueError as error:
            raise ValueError(f"operation {index}: {error}") from None
    return document


def _read(given: Any) -> _Operation:
    """An operation, with everything that its verb needs."""
    if not isinstance(given, Mapping):
        raise ValueError("must be an object")
    verb = given.get("op")
    if verb not in ("add", "remove", "replace", "move", "copy", "test"):
        raise ValueError("op must be one of add, remove, replace, move, copy, test")
    place = _steps(given, "path")
    origin: tuple[str, ...] = ()
    if verb in ("move", "copy"):
        origin = _steps(given, "from")
    elif verb != "remove" and "value" not in given:
        raise ValueError(f"{verb} needs a value")
    return _Operation(verb, place, origin, given.get("value"))


def _steps(given: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A JSON pointer (RFC 6901), taken apart."""
    pointer = given.get(name)
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise ValueError(f"{name} must be a JSON pointer such as /spec/replicas")
    steps = pointer.split("/")[1:]
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)


def _carried_out(document: Any, operation: _Operation) -> Any:
    verb, place, origin, value = operation
    match verb:
        case "add":
            return _changed(document, place, "add", value)
        case "remove":
            return _changed(document, place, "remove", None)
        case "replace":
            return _changed(document, place, "replace", value)
        case "test":
            if not _same(_at(document, place), value):
                raise ValueError(f"{_named(place)} is not what the test expects")
            return document
    moved = _at(document, origin)
    if verb == "copy" or origin == place:
        return _changed(document, place, "add", moved)
    if place[: len(origin)] == origin:
        raise ValueError(f"{_named(origin)} cannot be moved into itself")
    return _changed(_changed(document, origin, "remove", None), place, "add", moved)


def _at(document: Any, place: tuple[str, ...]) -> Any:
    for depth, step in enumerate(place):
        found = _child(document, step)
        if found is None:
            raise ValueError(f"there is nothing at {_named(place[: depth + 1])}")
        document = document[found]
    return document


def _child(parent: Any, step: str) -> Any:
    """The key or the index of what is there under a step; None where nothing is."""
    if isinstance(parent, Mapping):
        return step if step in parent else None
    if isinstance(parent, list) and _is_index(step) and int(step) < len(parent):
        return int(step)
    return None


def _is_index(step: str) -> bool:
    plain = step.isascii() and step.isdigit() and len(step) < 10
    return plain and (step == "0" or step[0] != "0")


def _changed(document: Any, place: tuple[str, ...], verb: str, value: Any) -> Any:
    """A copy in which a place is added to, replaced or removed."""
    if not place:
        return None if verb == "remove" else value
    above, last = place[:-1], place[-1]
    parent = _at(document, above)
    new = _edited(parent, last, verb, value, place)
    for depth in range(len(above) - 1, -1, -1):
        holder = _at(document, above[:depth])
        key = _child(holder, above[depth])
        whole: Any = dict(holder) if isinstance(holder, Mapping) else list(holder)
        whole[key] = new
        new = whole
    return new


def _edited(parent: Any, step: str, verb: str, value: Any, place: tuple[str, ...]) -> Any:
    found = _child(parent, step)
    if found is None and verb != "add":
        raise ValueError(f"there is nothing at {_named(place)}")
    if isinstance(parent, Mapping):
        rest = {key: held for key, held in parent.items() if key != step or verb != "remove"}
        return rest if verb == "remove" else {**rest, step: value}
    if not isinstance(parent, list):
        raise ValueError(f"nothing can be at {_named(place)}")
    rows = list(parent)
    if verb == "remove":
        del rows[found]
    elif verb == "replace":
        rows[found] = value
    else:
        rows.insert(_position(step, len(rows), place), value)
    return rows


def _position(step: str, length: int, place: tuple[str, ...]) -> int:
    """Where in a list something is added: before an entry, or behind the last."""
    if step == "-":
        return length
    if not _is_index(step) or int(step) > length:
        raise ValueError(f"nothing can be added at {_named(place)}")
    return int(step)


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON: 1 is 1.0, and neither is true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _weight(value: Any, limit: int) -> int:
    """How large a value is; ValueError as soon as it is over the limit."""
    weight, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        weight += 1 + (len(each) if isinstance(each, str) else 0)
        if weight > limit:
            raise ValueError("the patch copies too much")
        if isinstance(each, Mapping):
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
    return weight


def _named(place: tuple[str, ...]) -> str:
    pointer = "".join(f"/{step}" for step in place) or "the root"
    return ascii(pointer)[1:-1][:200]
