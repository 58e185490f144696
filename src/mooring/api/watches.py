"""A watch: one line of JSON for each thing that happens, for as long as the reader stays."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from mooring.api.answers import encoded, status_of
from mooring.api.feeds import Feed
from mooring.api.streams import Write
from mooring.clock import Clock
from mooring.core import selectors
from mooring.core.selectors import Selector
from mooring.core.watching import Told, told
from mooring.errors import MooringError

Document = Mapping[str, Any]

BOOKMARK_SECONDS = 60.0
_ALL_TOLD = "k8s.io/initial-events-end"
LONGEST_SECONDS = 1800.0
"""A watch ends by itself after so long; its reader begins another at the last version."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which objects are looked at."""

    namespace: str | None = None
    labels: Selector = ()
    fields: Selector = ()

    def concerns(self, feed: Feed, document: Document) -> bool:
        """Whether an object could ever be among them; what fields select by never changes."""
        return not self.fields or selectors.holds(self.fields, feed.fields(document))

    def matches(self, feed: Feed, document: Document) -> bool:
        """Whether an object of this feed is among them."""
        labels = document["metadata"].get("labels") or {}
        return self.concerns(feed, document) and selectors.holds(self.labels, labels)


@dataclass
class Watch:
    """One watcher: what is in sight, from which version on, and what was told so far."""

    feed: Feed
    scope: Scope
    since: str
    """Empty (or "0"): begin with everything that there is."""
    rendered: Callable[[Document], Document]
    tells_all: bool = False
    """Begin with everything, and say when that was all."""
    _seen: dict[tuple[str, str], bool] = field(default_factory=dict)
    _complete: bool = False
    """Everything in sight was told, so that what was not seen is known not to be held."""

    async def lines(self, write: Write) -> None:
        """Writes events until cancelled, or until the version is too old to go on from."""
        try:
            async with aclosing(self._events()) as events:
                async for kind, document in events:
                    shown = document if kind == "BOOKMARK" else self.rendered(document)
                    await write(_line(kind, shown))
        except MooringError as error:
            await write(_line("ERROR", status_of(error)))

    async def bookmarks(self, write: Write, clock: Clock) -> None:
        """Tells now and then how far the watch is."""
        while True:
            await clock.sleep(BOOKMARK_SECONDS)
            await write(_line("BOOKMARK", self._bookmark()))

    async def _events(self) -> AsyncGenerator[tuple[str, Document], None]:
        base = None
        if self.tells_all or self.since in ("", "0"):
            found = await self.feed.list(self.scope.namespace)
            base = found.documents
            for document in found.documents:
                if self._told("ADDED", document):
                    yield "ADDED", document
            self.since, self._complete = found.version, True
            if self.tells_all:
                yield "BOOKMARK", self._bookmark(**{_ALL_TOLD: "true"})
        changes = self.feed.watch(self.since, self.scope.namespace, base)
        async with aclosing(changes):
            async for happened, document in changes:
                said = self._told(happened, document)
                self.since = document["metadata"]["resourceVersion"]
                if said is not None:
                    yield said, document

    def _told(self, happened: Told, document: Document) -> Told | None:
        if not self.scope.concerns(self.feed, document):
            return None
        key = document["metadata"].get("namespace", ""), document["metadata"]["name"]
        matches = self.scope.matches(self.feed, document)
        said = told(happened, matches, self._seen.get(key, False if self._complete else None))
        if happened == "DELETED":
            self._seen.pop(key, None)
        else:
            self._seen[key] = matches
        return said

    def _bookmark(self, **annotations: str) -> Document:
        notes = {"annotations": annotations} if annotations else {}
        return {
            "kind": self.feed.naming.kind,
            "apiVersion": self.feed.api_version,
            "metadata": {"resourceVersion": self.since, **notes},
        }


def _line(kind: str, document: Document) -> bytes:
    return encoded({"type": kind, "object": document}) + b"\n"
