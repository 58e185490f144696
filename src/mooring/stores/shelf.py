"""What a store holds, in memory: the objects, and what recently happened to them.

Reads and watches of both stores come from here. Recent changes are kept for each kind on its
own, so that a flood of events expires nobody's watch of servers. A watcher is no more than a
position in that list: a slow one costs nothing, and is told when what it needs is gone.
Everything runs on one event loop.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Iterator

from mooring.core.ports import Change, Listing
from mooring.errors import Conflict, Invalid, Unavailable
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref

HISTORY = 2000
"""Changes of each kind that can be watched from; an object is some 6 KiB."""


class Shelf:
    """Objects by name, and the changes since `version`, with which it starts."""

    def __init__(
        self, objects: Iterable[Object] = (), version: int = 0, history: int = HISTORY
    ) -> None:
        self.version = version
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._trails: dict[str, _Trail] = {}
        self._start = version
        self._history = history
        self._closed = ""
        for each in objects:
            self._put(each)

    def get(self, ref: Ref) -> Object | None:
        """The object of that name, or None."""
        return self._objects.get(ref.kind, {}).get((ref.namespace, ref.name))

    def list(self, kind: str, namespace: str | None) -> Listing:
        """All objects of a kind, sorted by namespace and name, and the version of that truth."""
        held = self._objects.get(kind, {})
        names = sorted(name for name in held if namespace is None or name[0] == namespace)
        return Listing(tuple(held[name] for name in names), str(self.version))

    def everything(self) -> Iterator[Object]:
        """All objects of all kinds, in no order."""
        for held in self._objects.values():
            yield from held.values()

    def publish(self, change: Change) -> None:
        """Makes a change true, and wakes those who watch its kind."""
        metadata = change.object.metadata
        self.version = int(metadata.resource_version)
        if change.type == "DELETED":
            self._objects[change.object.kind].pop((metadata.namespace, metadata.name), None)
        else:
            self._put(change.object)
        self._trail(change.object.kind).add(self.version, change)

    def watch(self, kind: str, since: str, namespace: str | None) -> AsyncIterator[Change]:
        """Changes after `since`; raises at once where they cannot be told."""
        if not (since.isascii() and since.isdigit()):
            raise Invalid("BadRequest", f"{since!r} is no version of this store")
        if int(since) > self.version:
            raise Conflict("Expired", f"version {since} is not of this store; list {kind} again")
        trail = self._trail(kind)
        return self._follow(kind, trail, trail.position(kind, int(since)), namespace)

    def close(self, why: str) -> None:
        """Ends every watch with Unavailable("StoreUnavailable")."""
        self._closed = why
        for trail in self._trails.values():
            trail.moved.set()

    async def _follow(
        self, kind: str, trail: "_Trail", position: int, namespace: str | None
    ) -> AsyncIterator[Change]:
        while not self._closed:
            while position < trail.end:
                change = trail.at(kind, position)
                position += 1
                if namespace in (None, change.object.metadata.namespace):
                    yield change
            if not self._closed:
                await trail.moved.wait()
        raise Unavailable("StoreUnavailable", self._closed)

    def _put(self, new: Object) -> None:
        metadata = new.metadata
        self._objects.setdefault(new.kind, {})[metadata.namespace, metadata.name] = new

    def _trail(self, kind: str) -> "_Trail":
        if kind not in self._trails:
            self._trails[kind] = _Trail(self._start, self._history)
        return self._trails[kind]


class _Trail:
    """The recent changes of one kind."""

    def __init__(self, start: int, history: int) -> None:
        self.moved = asyncio.Event()
        """Set once at the next change, and replaced by a new one."""
        self._known_since = start
        self._history = history
        self._changes: list[Change] = []
        self._versions: list[int] = []
        self._dropped = 0

    @property
    def end(self) -> int:
        """The position behind the last change."""
        return self._dropped + len(self._changes)

    def add(self, version: int, change: Change) -> None:
        self._changes.append(change)
        self._versions.append(version)
        if len(self._changes) > self._history * 5 // 4:
            surplus = len(self._changes) - self._history
            self._known_since = self._versions[surplus - 1]
            self._dropped += surplus
            del self._changes[:surplus], self._versions[:surplus]
        self.moved.set()
        self.moved = asyncio.Event()

    def position(self, kind: str, since: int) -> int:
        """The position of the first change after a version."""
        if since < self._known_since:
            raise _expired(kind, since)
        return self._dropped + bisect_right(self._versions, since)

    def at(self, kind: str, position: int) -> Change:
        if position < self._dropped:
            raise _expired(kind, self._known_since)
        return self._changes[position - self._dropped]


def _expired(kind: str, since: int) -> Conflict:
    return Conflict("Expired", f"changes of {kind} are not kept as far back as {since}; list again")
