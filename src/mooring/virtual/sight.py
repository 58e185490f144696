"""What clients of a virtual server see at one moment, ready to be sent.

A view (`core/aggregate`) says what there is and whose it is; here it is put into words once, when
it changes, so that listing costs a client's request next to nothing. A long list is given in
pages; where a page goes on is told by the last name on the one before, so that a list that
changes in between is neither repeated nor cut short.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mooring.core.aggregate import Exposed, View
from mooring.core.table import Entry
from mooring.virtual.cursors import Cursors, Whose

PAGE: Final = 1000
"""Items on a page."""
PAGE_BYTES: Final = 8 * 1024 * 1024
INSTRUCTIONS: Final = 4096
"""Bytes of one backend's instructions."""
LISTS: Final[Mapping[str, tuple[str, str]]] = {
    "tools/list": ("tools", "tools"),
    "prompts/list": ("prompts", "prompts"),
    "resources/list": ("resources", "resources"),
    "resources/templates/list": ("templates", "resourceTemplates"),
}
"""Which part of a view a method lists, and what the list is called."""
KINDS: Final = ("tools", "prompts", "resources")
PARTIAL: Final = "dev.mooring/partial"
"""In `_meta` of a list: the backends that are missing from it, and why."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One that clients see something of."""

    entry: Entry
    capabilities: Mapping[str, Any]
    instructions: str = ""
    ttl: int = 0
    private: bool = True


class Rendered:
    """One list, as text."""

    __slots__ = ("_first", "_items", "_key", "_names")

    def __init__(self, key: str, items: Iterable[Exposed]) -> None:
        self._key = key
        self._items = list(items)
        self._names: list[str] = []
        self._first = self._from(0)

    def page(self, after: str | None) -> tuple[bytes, str]:
        """The text of a page without its closing brace, and the last name where more follow."""
        if after is None:
            return self._first
        if not self._names:
            self._names = [item.name for item in self._items]
        return self._from(bisect_right(self._names, after))

    def _from(self, start: int) -> tuple[bytes, str]:
        end, size = start, 0
        for item in self._items[start : start + PAGE]:
            if size > PAGE_BYTES:
                break
            size += len(item.raw)
            end += 1
        text = b",".join([item.raw for item in self._items[start:end]])
        last = self._items[end - 1].name if end < len(self._items) else ""
        return b'{"%b":[%b]' % (self._key.encode(), text), last


class Sight:
    """What clients see."""

    def __init__(
        self, view: View, backends: Mapping[str, Backend], missing: Mapping[str, str]
    ) -> None:
        """`missing`: why nothing is known of a backend that clients should see something of."""
        self.ttl = min((backend.ttl for backend in backends.values()), default=0)
        """Milliseconds for which it may be kept."""
        self.private = any(backend.private for backend in backends.values())
        """A backend says that what it offers is for one caller."""
        self.view = view
        self.backends = backends
        self.missing = missing
        self._lists = {
            method: Rendered(key, getattr(view, part).values())
            for method, (part, key) in LISTS.items()
        }
        told = [{"backend": name, "reason": why} for name, why in sorted(missing.items())]
        self._partial: dict[str, Any] = {PARTIAL: told} if told else {}

    def listed(
        self, method: str, cursor: Any, cursors: Cursors, whose: Whose, about: Mapping[str, Any]
    ) -> bytes | None:
        """The result of a list without its closing brace; None for a cursor that is not ours.

        `about`: what it says of itself, in `_meta`.
        """
        after = None
        if cursor is not None:
            after = cursors.opened(cursor, method, whose)
            if after is None:
                return None
        text, last = self._lists[method].page(after)
        if last:
            text += b',"nextCursor":"%b"' % cursors.sealed(last, method, whose)
        if not about and not self._partial:
            return text
        meta = json.dumps({**about, **self._partial}, separators=(",", ":")).encode()
        return b'%b,"_meta":%b' % (text, meta)

    def differs(self, other: "Sight") -> set[str]:
        """Kinds of lists that are not the same there."""
        mine, others = self.view, other.view
        if mine is others:
            return set()
        changed = {kind for kind in KINDS if getattr(mine, kind) != getattr(others, kind)}
        if mine.templates != others.templates:
            changed.add("resources")
        return changed

    def able(self, capability: str) -> tuple[str, ...]:
        """The backends that have a capability, sorted."""
        return tuple(
            n for n, backend in self.backends.items() if capability in backend.capabilities
        )

    def capabilities(self) -> dict[str, Any]:
        """What the virtual server can do: whatever any of its backends can, as far as it is
        relayed. A backend that is not known yet may turn out to be able to do anything."""
        able: dict[str, Any] = {"tools": {"listChanged": True}}
        if self.missing or self.able("prompts"):
            able["prompts"] = {"listChanged": True}
        if self.missing or self.able("resources"):
            able["resources"] = {"subscribe": True, "listChanged": True}
        for name in ("logging", "completions"):
            if self.missing or self.able(name):
                able[name] = {}
        return able

    def instructions(self) -> str:
        """What backends say of themselves, each under its name, sorted."""
        return "\n\n".join(
            f"# {name}\n\n{_cut(backend.instructions)}"
            for name, backend in sorted(self.backends.items())
            if backend.instructions
        )


def _cut(text: str) -> str:
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= INSTRUCTIONS else raw[:INSTRUCTIONS].decode("utf-8", "ignore")
