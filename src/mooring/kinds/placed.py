"""YAML or JSON text, read with the place of everything in it.

YAML is read event by event, never composed into nodes: composing recurses in C without a
limit, and a megabyte of `[` would end the process. An alias shares the value that it names and
counts as many entries as that has, so a small text cannot grow into a large document. Only what
JSON can say is accepted: text, numbers, true, false, null, lists, and mappings with text as keys.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from mooring.kinds.base import Place
from mooring.kinds.complaint import path_of, printable

DEPTH = 64
ENTRIES = 200_000
"""Values that one text may hold, aliases expanded."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER = yaml.resolver.Resolver()
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_CORE = "tag:yaml.org,2002:"
_PAIR = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)", re.S)


class Mark(NamedTuple):
    """Where in the text; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something in the text that no document can be made of."""

    path: str
    message: str
    hint: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Placed:
    """One document of a text."""

    value: Any
    mark: Mark
    """Where it begins."""
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """Where each field and each entry of a list begins, by path."""
    flaws: tuple[Flaw, ...] = ()

    def at(self, path: str) -> Mark:
        """Where a path is, or the nearest thing above it that is there."""
        while path:
            if path in self.marks:
                return self.marks[path]
            cut = path.rfind("[" if path.endswith("]") else ".")
            path = path[: max(cut, 0)]
        return self.mark


class _Unreadable(Exception):
    """Reading cannot go on behind this flaw."""

    def __init__(self, message: str, mark: Mark, hint: str = "") -> None:
        super().__init__(message)
        self.flaw = Flaw("", message, hint, mark)


def documents(text: str) -> Iterator[Placed | Flaw]:
    """The documents of a text, empty ones left out; a `Flaw`, if any, comes last and ends it."""
    if text.lstrip("\ufeff \t\r\n").startswith(("{", "[")):
        text = _PAIR.sub(_joined, text)
    try:
        yield from _Reader(_events(text)).documents()
    except _Unreadable as stop:
        yield stop.flaw


def _joined(escape: re.Match[str]) -> str:
    r"""A character that JSON writes as two escapes (`\ud83d\ude00`), which YAML does not know."""
    high, low = escape.groups()
    if not high:
        return escape.group()
    return bytes.fromhex(high + low).decode("utf-16-be")


def _events(text: str) -> Iterator[yaml.Event]:
    """What the YAML parser sees; `_Unreadable` for what it cannot read."""
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except UnicodeEncodeError as error:
        mark = _mark_at(text[: error.start])
        raise _Unreadable("must be valid Unicode, found half a surrogate pair", mark) from None
    except yaml.reader.ReaderError as error:
        before = text.encode()[: error.position].decode(errors="replace")
        raise _Unreadable("holds a character that YAML does not allow", _mark_at(before)) from None
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        mark = _within(text, _mark(place) if place else Mark(1, 1))
        raise _Unreadable(f"is not valid YAML: {error.problem}", mark, _hint(text, mark)) from None


def _within(text: str, mark: Mark) -> Mark:
    """A mark that is in the text: what is missing at its end is marked behind it."""
    lines = text.splitlines() or [""]
    return mark if mark.line <= len(lines) else Mark(len(lines), len(lines[-1]) + 1)


def _hint(text: str, mark: Mark) -> str:
    line = (text.splitlines() or [""])[mark.line - 1]
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent with spaces; YAML allows no tabs"
    if line.count(": ") > 1:
        return "text with ': ' in it needs quotes"
    return ""


def _mark_at(before: str) -> Mark:
    """The place behind so much text."""
    return Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)


class _Reader:
    """Makes values of events, one document after the other."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._entries = 0
        self._begin()

    def _begin(self) -> None:
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._marks: dict[str, Mark] = {}
        self._flaws: list[Flaw] = []

    def documents(self) -> Iterator[Placed]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._begin()
                first = next(self._events)
                value = self._value(first, ())
                if value is not None or self._flaws:
                    mark = _mark(first.start_mark)
                    yield Placed(value, mark, self._marks, tuple(self._flaws))

    def _value(self, event: yaml.Event, place: Place) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place)
        before = self._entries
        self._count(1, event)
        if len(place) > DEPTH:
            raise _Unreadable(f"is nested more than {DEPTH} deep", _mark(event.start_mark))
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, place)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._list(event, place)
        else:
            value = self._mapping(event, place)
        anchor = getattr(event, "anchor", None)
        if anchor:
            self._anchors[anchor] = (value, self._entries - before)
        return value

    def _count(self, entries: int, event: yaml.Event) -> None:
        self._entries += entries
        if self._entries > ENTRIES:
            raise _Unreadable(f"holds more than {ENTRIES} values", _mark(event.start_mark))

    def _flaw(self, place: Place, message: str, event: yaml.Event) -> None:
        self._flaws.append(Flaw(path_of(place), message, "", _mark(event.start_mark)))

    def _alias(self, event: yaml.AliasEvent, place: Place) -> Any:
        name = event.anchor or ""
        if name not in self._anchors:
            self._flaw(place, f"*{printable(name)} names nothing above it", event)
            return None
        value, entries = self._anchors[name]
        self._count(entries, event)
        return value

    def _list(self, start: yaml.Event, place: Place) -> list[Any]:
        self._only_tag(start, "seq", place)
        rows: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            here = (*place, len(rows))
            self._marks[path_of(here)] = _mark(event.start_mark)
            rows.append(self._value(event, here))
        return rows

    def _mapping(self, start: yaml.Event, place: Place) -> dict[str, Any]:
        self._only_tag(start, "map", place)
        made: dict[str, Any] = {}
        merged: list[Any] = []
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            name = self._key(key, place)
            here = (*place, name)
            if name == "<<" and getattr(key, "implicit", (False,))[0]:
                merged.append((key, self._value(next(self._events), here)))
                continue
            if name in made:
                self._flaw(here, "is given twice", key)
            self._marks.setdefault(path_of(here), _mark(key.start_mark))
            value = self._value(next(self._events), here)
            made.setdefault(name, value)
        for key, value in merged:
            self._merge(made, key, value, place)
        return made

    def _key(self, event: yaml.Event, place: Place) -> str:
        """A key; what is no text is complained about, and taken as it is written."""
        if not isinstance(event, yaml.ScalarEvent):
            self._value(event, (*place, "?"))
            self._flaw(place, "must have text as its keys", event)
            return "?"
        return event.value

    def _merge(self, made: dict[str, Any], key: yaml.Event, value: Any, place: Place) -> None:
        """`<<`: fields of other mappings, where there are none of that name."""
        for other in value if isinstance(value, list) else [value]:
            if not isinstance(other, dict):
                self._flaw((*place, "<<"), "must be a mapping to take fields from", key)
                return
            for name, field_value in other.items():
                made.setdefault(name, field_value)

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Any:
        tag = event.tag
        if event.implicit[0]:
            tag = _plain_tag(event.value)
        elif tag is None or tag == "!":
            return event.value
        read = _SCALARS.get(tag)
        if read is None:
            self._flaw(place, f"has the tag {printable(tag)}, which means nothing here", event)
            return None
        try:
            return read(event.value)
        except (ValueError, KeyError):
            self._flaw(place, "cannot be read as what its tag or its form says", event)
            return None

    def _only_tag(self, event: Any, tag: str, place: Place) -> None:
        if event.tag not in (None, "!", _CORE + tag):
            found = printable(event.tag)
            self._flaw(place, f"has the tag {found}, which means nothing here", event)


def _plain_tag(text: str) -> str:
    """What YAML 1.1 takes text without quotes for."""
    return str(_RESOLVER.resolve(yaml.ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]  # as the stubs have it


def _number(text: str) -> Any:
    """A number; `12:30` is text to everyone but YAML 1.1, which makes 750 of it."""
    if ":" in text:
        return text
    tag = _plain_tag(text)
    node = yaml.ScalarNode(tag, text)
    if tag == _CORE + "float":
        return _CONSTRUCTOR.construct_yaml_float(node)
    return _CONSTRUCTOR.construct_yaml_int(node)


def _truth(text: str) -> bool:
    return bool(_CONSTRUCTOR.construct_yaml_bool(yaml.ScalarNode(_CORE + "bool", text.lower())))


_SCALARS: Mapping[str, Callable[[str], Any]] = {
    _CORE + "str": str,
    _CORE + "int": _number,
    _CORE + "float": _number,
    _CORE + "bool": _truth,
    _CORE + "null": lambda text: None,
    _CORE + "timestamp": str,
    _CORE + "value": str,
    _CORE + "merge": str,
}
"""How plain text is read, by YAML's tag for it. A date stays text, as in JSON."""
