"""Namespaces: `default`, and every one that something is in. They come and go by themselves."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from mooring.api.exposed import EXPOSED
from mooring.api.feeds import Found
from mooring.core.naming import CORE_PATH, Naming
from mooring.core.ports import ObjectStore
from mooring.core.watching import Told
from mooring.errors import Invalid, NotFound
from mooring.kinds.base import Object

Document = dict[str, Any]

NAMESPACE = Naming("Namespace", "namespace", "namespaces", CORE_PATH, ("ns",))
ALWAYS = "default"


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
        oldest: dict[str, str] = {ALWAYS: ""}
        version = "0"
        for exposed in EXPOSED:
            listing = await self._store.list(exposed.naming.kind)
            version = listing.version
            for each in listing.items:
                made, where = _made(each), each.metadata.namespace
                oldest[where] = min(filter(None, (oldest.get(where), made)), default="")
        found = [_document(name, version, oldest[name]) for name in sorted(oldest)]
        return Found(found, version)

    async def watch(
        self, since: str, namespace: str | None, base: Iterable[Document] | None = None
    ) -> AsyncIterator[tuple[Told, Document]]:
        raise Invalid("MethodNotAllowed", "namespaces can be listed, and cannot be watched")
        yield "ADDED", {}


def _made(of: Object) -> str:
    moment = of.metadata.creation_timestamp
    return moment.isoformat().replace("+00:00", "Z") if moment else ""


def _document(name: str, version: str, made: str) -> Document:
    """A namespace; as old as the oldest object in it."""
    metadata = {"name": name, "uid": f"namespace-{name}", "resourceVersion": version}
    return {
        "apiVersion": "v1",
        "kind": NAMESPACE.kind,
        "metadata": metadata | ({"creationTimestamp": made} if made else {}),
        "spec": {},
        "status": {"phase": "Active"},
    }
