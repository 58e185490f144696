"""Namespaces: `default`, and every one that something is in. They come and go by themselves."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

from mooring.api.exposed import EXPOSED
from mooring.api.feeds import Found
from mooring.core.naming import CORE_PATH, Naming
from mooring.core.ports import Change, Listing, ObjectStore
from mooring.core.watching import Told
from mooring.errors import MooringError, NotFound
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref

Document = dict[str, Any]

NAMESPACE = Naming("Namespace", "namespace", "namespaces", CORE_PATH, ("ns",))
ALWAYS = "default"
KINDS = tuple(exposed.naming.kind for exposed in EXPOSED)


class Inhabited:
    """Which namespaces there are, by what is in them."""

    def __init__(self, listings: Iterable[Listing]) -> None:
        self._held: dict[str, dict[Ref, Object]] = {ALWAYS: {}}
        for each in (item for listing in listings for item in listing.items):
            self._held.setdefault(each.metadata.namespace, {})[each.ref] = each

    def documents(self, version: str) -> list[Document]:
        """All of them, sorted."""
        return [self.document(name, version) for name in sorted(self._held)]

    def document(self, name: str, version: str) -> Document:
        """A namespace; as old as the oldest object in it."""
        made = min(filter(None, map(_made, self._held.get(name, {}).values())), default="")
        metadata = {"name": name, "uid": f"namespace-{name}", "resourceVersion": version}
        return {
            "apiVersion": "v1",
            "kind": NAMESPACE.kind,
            "metadata": metadata | ({"creationTimestamp": made} if made else {}),
            "spec": {},
            "status": {"phase": "Active"},
        }

    def known_at(self, version: str) -> set[str]:
        """Those that were there at that version for certain: something in them is as old."""
        then = int(version) if version.isdecimal() else 0
        held = self._held.items()
        return {ALWAYS} | {
            name
            for name, objects in held
            if any(int(each.metadata.resource_version) <= then for each in objects.values())
        }

    def take(self, change: Change) -> None:
        """A change that came after the listings."""
        held = self._held.setdefault(change.object.metadata.namespace, {})
        if change.type == "DELETED":
            held.pop(change.object.ref, None)
        else:
            held[change.object.ref] = change.object

    def empty(self, name: str) -> bool:
        """Whether nothing is in it, so that it is gone."""
        return name != ALWAYS and not self._held.get(name)


class Telling:
    """What one watcher is told, so that he knows in the end which namespaces there are.

    He may begin at a version before the listings: what happened since is heard again. Then an
    object that was changed or deleted was there before, and so was its namespace. One that he
    knows of he may hear of again.
    """

    def __init__(self, there: Inhabited, known: Iterable[str]) -> None:
        """`known`: the namespaces that he knows of at the beginning."""
        self._there = there
        self._known = set(known)
        self._gone: set[str] = set()

    def heard(self, change: Change) -> tuple[Told, Document] | None:
        """What a change means for the namespace that it is in; mostly nothing."""
        name, version = change.object.metadata.namespace, change.object.metadata.resource_version
        if change.type != "DELETED":
            fresh = change.type == "ADDED" and name not in self._known
            self._known.add(name)
            self._gone.discard(name)
            return ("ADDED", self._there.document(name, version)) if fresh else None
        if name in self._gone or not self._there.empty(name):
            return None
        self._gone.add(name)
        self._known.discard(name)
        return "DELETED", self._there.document(name, version)


class NamespaceFeed:
    """Namespaces, computed from what is stored."""

    naming = NAMESPACE
    api_version = "v1"

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def fields(self, document: Mapping[str, Any]) -> Mapping[str, str]:
        return {"metadata.name": document["metadata"]["name"]}

    async def get(self, namespace: str, name: str) -> Document:
        for document in (await self.list(None)).documents:
            if document["metadata"]["name"] == name:
                return document
        raise NotFound("NotFound", f"namespace/{name} does not exist: nothing is in it")

    async def list(self, namespace: str | None) -> Found:
        listings = await self._listings()
        version = listings[0].version  # what was written meanwhile is told again to who watches
        return Found(Inhabited(listings).documents(version), version)

    async def watch(
        self, since: str, namespace: str | None, base: Iterable[Document] | None = None
    ) -> AsyncGenerator[tuple[Told, Document], None]:
        listings = await self._listings()
        there = Inhabited(listings)
        known = there.known_at(since) if base is None else {d["metadata"]["name"] for d in base}
        telling = Telling(there, known)
        heard: asyncio.Queue[tuple[bool, Change] | MooringError] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            hearing = [
                tasks.create_task(self._hear(kind, since, int(listing.version), heard))
                for kind, listing in zip(KINDS, listings, strict=True)
            ]
            try:
                while not isinstance(one := await heard.get(), MooringError):
                    is_new, change = one
                    if is_new:
                        there.take(change)
                    said = telling.heard(change)
                    if said is not None:
                        yield said
            finally:
                for task in hearing:
                    task.cancel()
        raise one

    async def _listings(self) -> tuple[Listing, ...]:
        return tuple([await self._store.list(kind) for kind in KINDS])

    async def _hear(self, kind: str, since: str, listed: int, heard: asyncio.Queue[Any]) -> None:
        """Puts what happens to a kind, whether that is new, and at last why no more is heard."""
        try:
            async for change in self._store.watch(kind, since):
                heard.put_nowait((int(change.object.metadata.resource_version) > listed, change))
        except MooringError as error:
            heard.put_nowait(error)


def _made(of: Object) -> str:
    moment = of.metadata.creation_timestamp
    return moment.isoformat().replace("+00:00", "Z") if moment else ""
