"""Where lists and watches get their documents: from the store, or computed from it.

A feed answers in documents, ready to be shown. Views are fed like stored kinds are, so that
one piece of code lists and watches both.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mooring.api.exposed import Exposed
from mooring.api.shown import Album, shown
from mooring.core import instances
from mooring.core.health import Probe
from mooring.core.naming import BY_KIND, Naming
from mooring.core.ports import ObjectStore
from mooring.core.watching import Told
from mooring.errors import Conflict, NotFound
from mooring.kinds.ref import Ref

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """Documents, and the version at which they were the whole truth."""

    documents: list[Document]
    version: str


class Feed(Protocol):
    """One kind, to be looked at."""

    naming: Naming
    api_version: str

    def fields(self, document: Mapping[str, Any]) -> Mapping[str, str]:
        """What a field selector can ask about a document."""
        ...

    async def get(self, namespace: str, name: str) -> Document:
        """One document; raises NotFound."""
        ...

    async def list(self, namespace: str | None) -> Found:
        """All documents of a namespace, or of all."""
        ...

    def watch(
        self, since: str, namespace: str | None, base: Iterable[Document] | None = None
    ) -> AsyncGenerator[tuple[Told, Document], None]:
        """Every change after a version, for ever; raises Conflict "Expired".

        `base` is everything that there was at that version, where it was listed just before.
        """
        ...


class StoredFeed:
    """A kind that is stored."""

    def __init__(self, store: ObjectStore, exposed: Exposed) -> None:
        self._store = store
        self.naming = exposed.naming
        self.api_version = exposed.api_version
        self._fields = exposed.fields
        self._album = Album()

    def fields(self, document: Mapping[str, Any]) -> Mapping[str, str]:
        return self._fields(document)

    async def get(self, namespace: str, name: str) -> Document:
        ref = Ref(self.naming.kind, namespace, name)
        stored = await self._store.get(ref)
        if stored is None:
            raise NotFound("NotFound", f"{ref} does not exist")
        return self._album.shown(stored)

    async def list(self, namespace: str | None) -> Found:
        listing = await self._store.list(self.naming.kind, namespace)
        return Found([self._album.shown(stored) for stored in listing.items], listing.version)

    async def watch(
        self, since: str, namespace: str | None, base: Iterable[Document] | None = None
    ) -> AsyncGenerator[tuple[Told, Document], None]:
        async for change in self._store.watch(self.naming.kind, since, namespace):
            if change.type == "DELETED":
                self._album.forget(change.object)
                yield change.type, shown(change.object)
            else:
                yield change.type, self._album.shown(change.object)


LastProbe = Callable[[Ref, str], Probe | None]
"""The last probe of the instance of a server with this uid."""


class InstanceFeed:
    """Instances, computed from the status of their servers, each with its last probe."""

    naming = BY_KIND[instances.KIND]
    api_version = instances.API_VERSION

    def __init__(self, store: ObjectStore, last_probe: LastProbe) -> None:
        self._store = store
        self._last_probe = last_probe

    def fields(self, document: Mapping[str, Any]) -> Mapping[str, str]:
        metadata = document["metadata"]
        return {
            "metadata.name": metadata["name"],
            "metadata.namespace": metadata["namespace"],
            "spec.server": document["spec"]["server"],
        }

    async def get(self, namespace: str, name: str) -> Document:
        for view in (await self.list(namespace)).documents:
            if view["metadata"]["name"] == name:
                return view
        raise NotFound("NotFound", f"{Ref('instance', namespace, name)} does not exist")

    async def list(self, namespace: str | None) -> Found:
        listing = await self._store.list("MCPServer", namespace)
        views = (view for server in listing.items for view in instances.views(shown(server)))
        return Found([self._probed(view) for view in views], listing.version)

    async def watch(
        self, since: str, namespace: str | None, base: Iterable[Document] | None = None
    ) -> AsyncGenerator[tuple[Told, Document], None]:
        """Without a base it begins at the present only: nobody keeps what a view was before."""
        if base is None:
            found = await self.list(namespace)
            if since != found.version:
                raise Conflict("Expired", f"version {since} is past: list again, then watch")
            base = found.documents
        rows = _by_server(base)
        async for change in self._store.watch("MCPServer", since, namespace):
            server = shown(change.object)
            key = change.object.ref.namespace, change.object.ref.name
            after = [] if change.type == "DELETED" else instances.views(server)
            version = server["metadata"]["resourceVersion"]
            for happened, view in instances.changes(rows.get(key, ()), after):
                yield happened, _at(self._probed(view), version)
            rows[key] = after
            if not after:
                del rows[key]

    def _probed(self, view: Document) -> Document:
        owner = Ref("MCPServer", view["metadata"]["namespace"], view["spec"]["server"])
        return instances.probed(view, self._last_probe(owner, view["status"].get("uid", "")))


def _by_server(views: Iterable[Document]) -> dict[tuple[str, str], list[Document]]:
    rows: dict[tuple[str, str], list[Document]] = {}
    for view in views:
        key = view["metadata"]["namespace"], view["spec"]["server"]
        rows.setdefault(key, []).append(view)
    return rows


def _at(view: Document, version: str) -> Document:
    return {**view, "metadata": {**view["metadata"], "resourceVersion": version}}
