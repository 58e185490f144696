"""What a file declares: several documents of YAML or JSON, each an object or a list of them.

`read` gives all objects and all complaints at once. A complaint names the file, the line and
the object; nothing of a file with complaints should be applied.
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mooring.kinds.base import Object
from mooring.kinds.complaint import Complaint, printable
from mooring.kinds.placed import Flaw, Mark, Placed, documents
from mooring.kinds.ref import SHORT, Ref
from mooring.kinds.registry import BY_NAME
from mooring.kinds.validation import parse

_LISTS = frozenset({"List", *(f"{name}List" for name in BY_NAME)})


@dataclass(frozen=True, slots=True)
class Declared:
    """One object of a manifest."""

    object: Object
    document: Mapping[str, Any] = field(repr=False)
    """As it was written, which tells what was left to its default; a Secret's is in the clear."""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file declares."""

    declared: tuple[Declared, ...]
    """In the order of the file."""
    complaints: tuple[Complaint, ...]
    """In the order of the file."""

    @property
    def objects(self) -> tuple[Object, ...]:
        """The objects alone."""
        return tuple(each.object for each in self.declared)


@dataclass(frozen=True, slots=True)
class _Found:
    """A document of the file, or an item of a list in one."""

    value: Any
    title: str
    placed: Placed
    prefix: str = ""
    """Path of the item within its document, with the dot."""

    def mark(self, path: str = "") -> Mark:
        return self.placed.at((self.prefix + path).rstrip("."))


def read(text: str, source: str, namespace: str = "default", directory: str = "") -> Manifest:
    """The objects that `text` declares, and what is wrong with it.

    `source` is what the file is called in complaints. Objects that name no namespace are put
    into `namespace`. A relative `spec.workingDirectory` is relative to `directory`, the absolute
    path of the one that the file is in.
    """
    declared: list[Declared] = []
    complaints: list[Complaint] = []
    for found in _found(text):
        if isinstance(found, Complaint):
            complaints.append(found)
            continue
        document = _located(directory, found.value)
        made = parse(_placed_in(namespace, document))
        if isinstance(made, Object):
            declared.append(Declared(made, document, found.mark().line))
        else:
            complaints.extend(_at(found, each) for each in made)
    complaints.extend(_twice(declared))
    named = [replace(each, source=source) for each in complaints]
    named.sort(key=lambda each: (each.line, each.column))
    return Manifest(tuple(declared), tuple(named))


def _found(text: str) -> Iterator[_Found | Complaint]:
    """Every document and every item of a list; complaints about the text itself among them."""
    for number, placed in enumerate(documents(text), start=1):
        if isinstance(placed, Flaw):
            yield _flawed(placed, "")
            return
        whole = _Found(placed.value, _title(placed.value, f"document {number}"), placed)
        yield from (_flawed(flaw, whole.title) for flaw in placed.flaws)
        if isinstance(placed.value, dict) and placed.value.get("kind") in _LISTS:
            yield from _items(whole)
        else:
            yield whole


def _items(whole: _Found) -> Iterator[_Found | Complaint]:
    rows = whole.value.get("items")
    if not isinstance(rows, list):
        yield _at(whole, Complaint("items", "must be a list of objects"))
        return
    for index, row in enumerate(rows):
        title = _title(row, f"{whole.title}, item {index + 1}")
        yield _Found(row, title, whole.placed, f"items[{index}].")


def _title(value: Any, otherwise: str) -> str:
    """What a document is called in complaints: `server/time`, if it says so much."""
    if not isinstance(value, dict):
        return otherwise
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    kind = value.get("kind")
    if not (isinstance(name, str) and name and isinstance(kind, str) and kind in SHORT):
        return otherwise
    return str(Ref(kind, "default", printable(name)))


def _placed_in(namespace: str, value: Any) -> Any:
    """The document with a namespace, where it names none."""
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict) or metadata.get("namespace") is not None:
        return value
    return {**value, "metadata": {**metadata, "namespace": namespace}}


def _located(directory: str, value: Any) -> Any:
    """The document with an absolute working directory, where it names a relative one."""
    spec = value.get("spec") if isinstance(value, dict) else None
    if not directory or not isinstance(spec, dict):
        return value
    wanted = spec.get("workingDirectory")
    if not isinstance(wanted, str) or not wanted or wanted.startswith("/"):
        return value
    whole = posixpath.normpath(posixpath.join(directory, wanted))
    return {**value, "spec": {**spec, "workingDirectory": whole}}


def _at(found: _Found, complaint: Complaint) -> Complaint:
    line, column = found.mark(complaint.path)
    return replace(complaint, object=found.title, line=line, column=column)


def _flawed(flaw: Flaw, title: str) -> Complaint:
    line, column = flaw.mark
    return Complaint(flaw.path, flaw.message, flaw.hint, title, line=line, column=column)


def _twice(declared: list[Declared]) -> Iterator[Complaint]:
    """Objects that the file declares a second time."""
    first: dict[Ref, int] = {}
    for each in declared:
        ref = each.object.ref
        if ref in first:
            message = f"is declared twice, first in line {first[ref]}"
            yield Complaint("", message, object=str(ref), line=each.line, column=1)
        first.setdefault(ref, each.line)
