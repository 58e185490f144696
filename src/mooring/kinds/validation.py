"""A document becomes an object, or a list of everything that is wrong with it.

Checked are the kind, each field (by the models), the rules over several fields, and whether all
text can be kept and handed to a program. What is on the wire is JSON, and nothing is guessed:
"3" is no number. A field that is null counts as not given, as in Kubernetes.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from mooring.kinds.base import Object, Part, Place, RuledPart
from mooring.kinds.complaint import Complaint, did_you_mean, path_of, printable, type_of
from mooring.kinds.registry import BY_NAME, SECRET, Kind
from mooring.kinds.secret import LAST_APPLIED, without_values
from mooring.kinds.shape import fields, inner, is_list, is_map
from mooring.kinds.wording import complaint, unknown_field

DEPTH = 64
"""How deep a document may be nested."""
LARGEST = 2**63 - 1

NOT_KEPT = frozenset({"selfLink", "deletionGracePeriodSeconds", "clusterName", "generateName"})
"""Metadata that Kubernetes' tools send, and that means nothing here."""
_DROPPED = frozenset(("metadata", name) for name in NOT_KEPT)


def parse(document: Any) -> Object | tuple[Complaint, ...]:
    """The object that a JSON-ready document declares, or every complaint about it."""
    if not isinstance(document, Mapping):
        return (Complaint("", f"must be a mapping with fields, found {type_of(document)}"),)
    unsound = tuple(_unsound(document, ()))
    if unsound:
        return unsound
    kind, complaints = _kind(document)
    if kind is None:
        return tuple(complaints)
    fitting = {**document, "kind": kind.name, "apiVersion": kind.api_version}
    tidy = _tidied(kind.model, _kept(kind, fitting), (), complaints)
    try:
        made = kind.model.model_validate_json(
            json.dumps(tidy), strict=True, by_alias=True, by_name=False
        )
    except ValidationError as error:
        told = (complaint(kind.model, each) for each in error.errors(include_url=False))
        complaints.extend(each for each in told if each not in complaints)
        return tuple(complaints)
    return tuple(complaints) or made


def known_part(
    document: Mapping[str, Any], kind: str
) -> tuple[Mapping[str, Any], tuple[Complaint, ...]]:
    """A document without the fields that its kind does not know, and those fields."""
    model, unknown = BY_NAME[kind].model, list[Complaint]()
    if any(_unsound(document, ())):
        return document, ()
    return _known(model, model, document, (), unknown), tuple(unknown)


def _known(
    model: type[Object],
    part: type[Part],
    given: Mapping[str, Any],
    place: Place,
    unknown: list[Complaint],
) -> dict[str, Any]:
    found = {}
    for name, value in given.items():
        field, here = fields(part).get(name), (*place, name)
        if field is None and here not in _DROPPED:
            unknown.append(unknown_field(model, here))
            continue
        below = inner(field.annotation) if field else None
        mapped = field is not None and is_map(field.annotation)
        if below and isinstance(value, Mapping) and not mapped:
            value = _known(model, below, value, here, unknown)
        elif below and isinstance(value, list | Mapping):
            value = _each(value, partial(_known_below, model, below, here, unknown))
        found[name] = value
    return found


def _known_below(
    model: type[Object],
    part: type[Part],
    place: Place,
    unknown: list[Complaint],
    given: Mapping[str, Any],
    at: str | int,
) -> dict[str, Any]:
    return _known(model, part, given, (*place, at), unknown)


def _each(value: Any, done: Callable[[Mapping[str, Any], str | int], Any]) -> Any:
    """The pieces of a list or of a map, each made into something else; others stay."""
    if isinstance(value, Mapping):
        return {k: done(v, k) if isinstance(v, Mapping) else v for k, v in value.items()}
    return [done(v, at) if isinstance(v, Mapping) else v for at, v in enumerate(value)]


def _kind(document: Mapping[str, Any]) -> tuple[Kind | None, list[Complaint]]:
    """The kind, if it can be told, and what is wrong with how it is given."""
    name, version = document.get("kind"), document.get("apiVersion")
    kind = BY_NAME.get(name) if isinstance(name, str) else None
    if kind is None:
        return None, [_no_kind(name)]
    if version == kind.api_version:
        return kind, []
    if version is None:
        return kind, [Complaint("apiVersion", f"is required; write {kind.api_version}")]
    found = printable(version) if isinstance(version, str) else type_of(version)
    wanted = f"must be {kind.api_version} for kind {kind.name}; found {found}"
    return kind, [Complaint("apiVersion", wanted)]


def _no_kind(name: Any) -> Complaint:
    known = ", ".join(BY_NAME)
    if name is None:
        return Complaint("kind", f"is required; known kinds are {known}")
    if not isinstance(name, str):
        return Complaint("kind", f"must be text, found {type_of(name)}")
    hint = did_you_mean(name, BY_NAME)
    return Complaint("kind", f"must be one of {known}; found {printable(name)}", hint)


def _kept(kind: Kind, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document without what other tools send along and we have no use for."""
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping):
        return document
    kept = {key: value for key, value in metadata.items() if key not in NOT_KEPT}
    annotations = kept.get("annotations")
    if kind is SECRET and isinstance(annotations, Mapping):
        kept["annotations"] = _told_of_secret(annotations)
    return {**document, "metadata": kept}


def _told_of_secret(annotations: Mapping[Any, Any]) -> dict[Any, Any]:
    """The annotations of a Secret without the clear text that kubectl puts there."""
    kept = {key: value for key, value in annotations.items() if key != LAST_APPLIED}
    told = without_values(annotations.get(LAST_APPLIED))
    return kept if told is None else {**kept, LAST_APPLIED: told}


def _tidied(
    part: type[Part], given: Mapping[str, Any], place: Place, complaints: list[Complaint]
) -> dict[str, Any]:
    """A piece without its null fields; the rules that it breaks are added to the complaints."""
    tidy = {
        name: _tidied_field(fields(part).get(name), value, (*place, name), complaints)
        for name, value in given.items()
        if value is not None
    }
    if issubclass(part, RuledPart):
        broken = part.broken_rules(tidy)
        complaints.extend(Complaint(path_of((*place, *at)), sentence) for at, sentence in broken)
    return tidy


def _tidied_field(
    field: FieldInfo | None, value: Any, place: Place, complaints: list[Complaint]
) -> Any:
    """What a field holds, tidied where pieces are in it."""
    below = inner(field.annotation) if field else None
    if field is None or below is None:
        return value
    several = is_list(field.annotation) or is_map(field.annotation)
    if not several:
        piece = isinstance(value, Mapping)
        return _tidied(below, value, place, complaints) if piece else value
    if not isinstance(value, list if is_list(field.annotation) else Mapping):
        return value
    return _each(value, lambda row, at: _tidied(below, row, (*place, at), complaints))


def _unsound(value: Any, place: Place) -> Iterator[Complaint]:
    """What could not be stored, or be given to a program."""
    if len(place) > DEPTH:
        yield Complaint(path_of(place[:3]), f"is nested more than {DEPTH} deep")
    elif isinstance(value, Mapping):
        for key, below in value.items():
            wrong = _bad_text(key) if isinstance(key, str) else "must have text as its keys"
            if wrong:
                yield Complaint(path_of(place), wrong)
            else:
                yield from _unsound(below, (*place, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _unsound(below, (*place, index))
    elif isinstance(value, str) and _bad_text(value):
        yield Complaint(path_of(place), _bad_text(value))
    elif isinstance(value, int) and abs(value) > LARGEST:
        yield Complaint(path_of(place), "is too large a number")


def _bad_text(text: str) -> str:
    """What is wrong with a text, if anything."""
    if "\0" in text:
        return "must not contain the character NUL"
    if text.isascii():
        return ""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "must be valid Unicode, found half a surrogate pair"
    return ""
