"""Namespaces: `default`, and every one that something is in. They come and go by themselves."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

from mooring.api.exposed import EXPOSED
from mooring.api.feeds import Found
from mooring.core.naming import CORE_PATH, Naming
from mooring.core.ports import Change, Listing, ObjectStore
from mooring.core.watching import Told
from mooring.errors import Conflict, MooringError, NotFound
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref

Document = dict[str, Any]

NAMESPACE = Naming("Namespace", "namespace", "namespaces", CORE_PATH, ("ns",))
ALWAYS = "default"
KINDS = tuple(exposed.naming.kind for exposed in EXPOSED)


class Inhabited:
    """Which namespaces there are, by what is in them."""

    def __init__(self, listings: Iterable[Listing]) -> None:
        self._held: dict[str, dict[Ref, str]] = {ALWAYS: {}}
        for listing in listings:
            for each in listing.items:
                self._held.setdefault(each.metadata.namespace, {})[each.ref] = _made(each)

    def documents(self, version: str) -> list[Document]:
        """All of them, sorted."""
        return [self._document(name, version) for name in sorted(self._held)]

    def changed(self, change: Change) -> tuple[Told, Document] | None:
        """What a change means for the namespace that it is in; mostly nothing."""
        name, version = change.object.metadata.namespace, change.object.metadata.resource_version
        held = self._held.get(name)
        if change.type != "DELETED":
            self._held.setdefault(name, {})[change.object.ref] = _made(change.object)
            return ("ADDED", self._document(name, version)) if held is None else None
        if held is None or held.pop(change.object.ref, None) is None or held or name == ALWAYS:
            return None
        gone = self._document(name, version)
        del self._held[name]
        return "DELETED", gone

    def _document(self, name: str, version: str) -> Document:
        """A namespace; as old as the oldest object in it."""
        made = min(filter(None, self._held[name].values()), default="")
        metadata = {"name": name, "uid": f"namespace-{name}", "resourceVersion": version}
        return {
            "apiVersion": "v1",
            "kind": NAMESPACE.kind,
            "metadata": metadata | ({"creationTimestamp": made} if made else {}),
            "spec": {},
            "status": {"phase": "Active"},
        }


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
        version = listings[-1].version
        return Found(Inhabited(listings).documents(version), version)

    async def watch(
        self, since: str, namespace: str | None, base: Iterable[Document] | None = None
    ) -> AsyncGenerator[tuple[Told, Document], None]:
        """Without a base it begins at the present only: nobody keeps who lived where before."""
        listings = await self._listings()
        if base is None and any(listing.version != since for listing in listings):
            raise Conflict("Expired", f"version {since} is past: list again, then watch")
        there = Inhabited(listings)
        for happened, document in _since(base, there.documents(listings[-1].version)):
            yield happened, document
        heard: asyncio.Queue[Change | MooringError] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            hearing = [
                tasks.create_task(self._hear(kind, listing.version, heard))
                for kind, listing in zip(KINDS, listings, strict=True)
            ]
            try:
                while isinstance(change := await heard.get(), Change):
                    said = there.changed(change)
                    if said is not None:
                        yield said
            finally:
                for task in hearing:
                    task.cancel()
        raise change

    async def _listings(self) -> tuple[Listing, ...]:
        return tuple([await self._store.list(kind) for kind in KINDS])

    async def _hear(
        self, kind: str, since: str, heard: asyncio.Queue[Change | MooringError]
    ) -> None:
        """Puts what happens to a kind, and at last why no more of it can be heard."""
        try:
            async for change in self._store.watch(kind, since):
                heard.put_nowait(change)
        except MooringError as error:
            heard.put_nowait(error)


def _since(base: Iterable[Document] | None, now: list[Document]) -> Iterable[tuple[Told, Document]]:
    """What came and went while the watch was being set up."""
    if base is None:
        return
    before = {each["metadata"]["name"]: each for each in base}
    after = {each["metadata"]["name"]: each for each in now}
    for name in sorted(before.keys() ^ after.keys()):
        yield ("ADDED", after[name]) if name in after else ("DELETED", before[name])


def _made(of: Object) -> str:
    moment = of.metadata.creation_timestamp
    return moment.isoformat().replace("+00:00", "Z") if moment else ""
