"""What a kind looks like from outside: which fields stand where.

Read from the models' annotations, so that complaints, CRDs and reference pages agree with
what is validated.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from mooring.kinds.base import Part, Place


@cache
def fields(part: type[Part]) -> Mapping[str, FieldInfo]:
    """The fields of a piece by the name that they have on the wire."""
    return {field.alias or name: field for name, field in part.model_fields.items()}


def inner(annotation: Any) -> type[Part] | None:
    """The piece inside an annotation such as `tuple[EnvVar, ...] | None`; None for plain values."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    return next(filter(None, map(inner, get_args(annotation))), None)


def is_list(annotation: Any) -> bool:
    """Whether an annotation is `tuple[X, ...]`, or that or None."""
    return get_origin(annotation) is tuple or any(map(is_list, get_args(annotation)))


def is_map(annotation: Any) -> bool:
    """Whether an annotation is `Mapping[str, X]`, or that or None."""
    return get_origin(annotation) is Mapping or any(map(is_map, get_args(annotation)))


def piece_at(root: type[Part], place: Place) -> type[Part] | None:
    """The piece that stands at a place (an index, or a map's key, does not count as a step)."""
    part: type[Part] | None = root
    key_next = False
    for step in place:
        if part is None:
            return None
        if key_next:
            key_next = False
        elif isinstance(step, str):
            field = fields(part).get(step)
            part = None if field is None else inner(field.annotation)
            key_next = field is not None and is_map(field.annotation)
    return part


def paths(root: type[Part], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every field of a kind, with those above it: `("spec", "source", "pypi")`."""
    for name, field in fields(root).items():
        path = (*above, name)
        yield path
        below = inner(field.annotation)
        if below is not None:
            yield from paths(below, path)


def known(root: type[Part], document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a document that a kind has; what somebody else added is left out."""
    kept = {}
    for name, value in document.items():
        field = fields(root).get(name)
        if field is not None:
            below = inner(field.annotation)
            if below is not None and is_map(field.annotation) and isinstance(value, Mapping):
                kept[name] = {key: _known(below, each) for key, each in value.items()}
            else:
                kept[name] = value if below is None else _known(below, value)
    return kept


def _known(part: type[Part], value: Any) -> Any:
    if isinstance(value, Mapping):
        return known(part, value)
    return [_known(part, each) for each in value] if isinstance(value, list) else value
