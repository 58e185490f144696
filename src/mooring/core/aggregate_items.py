"""What one backend offers, read item by item.

An item of a list is read once: is it fit to be shown, what is it called, and where in its text
does that stand. Everything else of it passes as the text that came, whatever it says. One that
clients could not read is dropped by itself, because most clients refuse a whole list for it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from msgspec import MsgspecError, Raw, Struct
from msgspec.json import Decoder, encode

from mooring.core.printable import printable

Kind = Literal["tool", "prompt", "resource", "template"]
Reason = Literal[
    "Malformed", "NeedsTasks", "Repeated", "Excluded", "Filtered", "NotVisible", "Lost", "Clash"
]
"""Why clients do not see something.

`Malformed`: no client could read it. `NeedsTasks`: it runs as a task only, and tasks are not
relayed. `Repeated`: its server lists it twice. `Excluded`, `Filtered`, `NotVisible`: the spec
leaves it out. `Lost`: another server has the name, and comes first. `Clash`: several servers
have the name, and none comes first.
"""
DROPS: frozenset[Reason] = frozenset({"Malformed", "NeedsTasks", "Repeated", "Lost", "Clash"})
"""Reasons that nobody asked for, and that are reported."""


class Hidden(NamedTuple):
    """Something that clients do not see."""

    kind: Kind
    backend: str
    name: str
    """As its server calls it; empty where that cannot be read."""
    exposed: str
    """What clients would call it."""
    reason: Reason
    message: str


class Item(NamedTuple):
    """One thing that a backend offers."""

    name: str
    """Its name; of resources their URI, of templates their pattern."""
    raw: bytes
    """As clients see it."""
    start: int
    """Where in `raw` its name stands, as JSON."""
    end: int
    weight: int
    """Characters of it, besides the name, that a model reads."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything that one backend offers; items sorted by name, each name once."""

    server: str
    tools: tuple[Item, ...] = ()
    prompts: tuple[Item, ...] = ()
    resources: tuple[Item, ...] = ()
    templates: tuple[Item, ...] = ()
    dropped: tuple[Hidden, ...] = ()


class Lists(NamedTuple):
    """The lists of a server as they came: each entry is the JSON text of one item."""

    tools: Iterable[bytes] = ()
    prompts: Iterable[bytes] = ()
    resources: Iterable[bytes] = ()
    templates: Iterable[bytes] = ()


def catalog(server: str, lists: Lists) -> Catalog:
    """The catalog of a server; the order of its lists does not matter."""
    dropped: list[Hidden] = []
    tools = _items("tool", server, lists.tools, dropped)
    prompts = _items("prompt", server, lists.prompts, dropped)
    resources = _items("resource", server, lists.resources, dropped)
    templates = _items("template", server, lists.templates, dropped)
    return Catalog(server, tools, prompts, resources, templates, tuple(sorted(set(dropped))))


def splice(item: Item, name: str) -> bytes:
    """The text of an item under another name."""
    if name == item.name:
        return item.raw
    return item.raw[: item.start] + encode(name) + item.raw[item.end :]


def described(item: Item, description: str) -> Item:
    """The item with another description."""
    members = _members(item.raw)
    before = len(members.get("description", b""))
    members["description"] = Raw(encode(description))
    text, start, end = _joined(members, "name")
    return Item(item.name, text, start, end, item.weight - before + len(members["description"]))


class _Icon(Struct):
    src: str
    mimeType: str | None = None
    sizes: Any = None


class _Argument(Struct):
    name: str
    description: str | None = None
    required: bool | None = None


class _Hints(Struct):
    title: str | None = None
    readOnlyHint: bool | None = None
    destructiveHint: bool | None = None
    idempotentHint: bool | None = None
    openWorldHint: bool | None = None


class _Audience(Struct):
    audience: list[str] | None = None
    priority: float | None = None
    lastModified: str | None = None


Check = Callable[[Raw], object]

_NULL = Raw(b"null")
_members = Decoder(dict[str, Raw]).decode
_object: Check = Decoder(dict[str, Raw]).decode
_text: Check = Decoder(str).decode
_number: Check = Decoder(float).decode
_name = Decoder(str).decode
_SHARED: dict[str, Check] = {
    "name": _text, "title": _text, "description": _text, "_meta": _object,
    "icons": Decoder(list[_Icon]).decode,
}  # fmt: skip
_REQUIRED: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "tool": ("name", "inputSchema"),
        "prompt": ("name",),
        "resource": ("uri", "name"),
        "template": ("uriTemplate", "name"),
    }
)
"""The first one is what tells items apart."""
_CHECKS: Mapping[Kind, dict[str, Check]] = MappingProxyType(
    {
        "tool": _SHARED
        | {
            "inputSchema": _object,
            "outputSchema": _object,
            "execution": _object,
            "annotations": Decoder(_Hints).decode,
        },
        "prompt": _SHARED | {"arguments": Decoder(list[_Argument]).decode},
        "resource": _SHARED
        | {
            "uri": _text,
            "mimeType": _text,
            "size": _number,
            "annotations": Decoder(_Audience).decode,
        },
        "template": _SHARED
        | {"uriTemplate": _text, "mimeType": _text, "annotations": Decoder(_Audience).decode},
    }
)
_READ_BY_MODELS = ("description", "inputSchema")
_KEYS = {
    key: encode(key) + b":"
    for key in {key for checks in _CHECKS.values() for key in checks}
}  # fmt: skip


class _Unfit(Exception):
    """The item cannot be shown."""

    def __init__(self, reason: Reason, message: str, name: str = "") -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.name = name


def _items(
    kind: Kind, server: str, texts: Iterable[bytes], dropped: list[Hidden]
) -> tuple[Item, ...]:
    found: dict[str, Item] = {}
    for item in sorted(_readable(kind, server, texts, dropped)):
        if found.setdefault(item.name, item) is not item:
            told = f"{server} lists it more than once"
            dropped.append(Hidden(kind, server, item.name, item.name, "Repeated", told))
    return tuple(found.values())


def _readable(
    kind: Kind, server: str, texts: Iterable[bytes], dropped: list[Hidden]
) -> Iterable[Item]:
    for text in texts:
        try:
            yield _read(kind, text)
        except _Unfit as why:
            name, told = printable(why.name), printable(why.message)
            dropped.append(Hidden(kind, server, name, name, why.reason, told))


def _read(kind: Kind, text: bytes) -> Item:
    try:
        members = _members(text)
    except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _Unfit("Malformed", f"a {kind} of it cannot be read: {error}") from None
    name = _named(kind, members)
    _check(members, _CHECKS[kind], name)
    for key in _REQUIRED[kind]:
        if key not in members:
            raise _Unfit("Malformed", f"it has no {key}", name)
    if kind == "tool" and "execution" in members:
        _without_tasks(members, name)
    weight = sum(len(members[key]) for key in _READ_BY_MODELS if key in members)
    raw, start, end = _joined(members, _REQUIRED[kind][0])
    return Item(name, raw, start, end, weight)


def _check(members: dict[str, Raw], checks: Mapping[str, Check], name: str) -> None:
    """Refuses what clients refuse; what is null counts as not said."""
    for key in [key for key in members if key in checks]:
        value = members[key]
        if value == _NULL:
            del members[key]
            continue
        try:
            checks[key](value)
        except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _Unfit("Malformed", f"{key}: {error}", name) from None
        if key == "annotations" and b"null" in bytes(value):
            said = {k: v for k, v in _members(value).items() if v != _NULL}
            members[key] = Raw(_joined(said, "")[0])


def _named(kind: Kind, members: Mapping[str, Raw]) -> str:
    key = _REQUIRED[kind][0]
    try:
        name = _name(members.get(key, b""))
    except (MsgspecError, UnicodeDecodeError):
        name = ""
    if not name:
        raise _Unfit("Malformed", f"a {kind} of it has no {key}")
    return name


def _without_tasks(members: dict[str, Raw], name: str) -> None:
    """Takes out what a tool says of tasks, which are not relayed."""
    execution = _members(members["execution"])
    support = execution.pop("taskSupport", None)
    if support is not None and bytes(support) == b'"required"':
        raise _Unfit("NeedsTasks", "it runs as a task only, and tasks are not relayed", name)
    if execution:
        members["execution"] = Raw(_joined(execution, "")[0])
    else:
        del members["execution"]


def _joined(members: Mapping[str, Raw], name: str) -> tuple[bytes, int, int]:
    """The members as one text, and where in it the value of `name` stands."""
    text, start, end = bytearray(b"{"), 0, 0
    for key, value in members.items():
        if len(text) > 1:
            text += b","
        text += _KEYS.get(key) or encode(key) + b":"
        if key == name:
            start, end = len(text), len(text) + len(value)
        text += value
    text += b"}"
    return bytes(text), start, end
