"""Plain kinds over HTTP: reads as everywhere in the API, writes as given.

Writes are create, replace, patch (in every form) and delete, of objects and of their status; who
set which field is noted.
"""

import json
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mooring.api.answers import answer
from mooring.api.bodies import body, media_type
from mooring.api.feeds import StoredFeed
from mooring.api.looking import Looking
from mooring.api.options import delete_options
from mooring.api.owners import STATUS, Author, author
from mooring.api.patches import APPLY_PATCH
from mooring.clock import Clock
from mooring.errors import Conflict, Invalid, NotFound
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref
from mooring.testing.cluster_store import ClusterStore
from mooring.testing.plain import Plain, PlainKind, PlainMeta
from mooring.testing.plain_patches import PlainPatch, noted, patch_of

TRIES = 5
RACES = ("StaleVersion", "AlreadyExists")

Document = Mapping[str, Any]


class PlainDoors:
    """The doors of one plain kind."""

    def __init__(
        self, kind: PlainKind, store: ClusterStore, looking: Looking, clock: Clock
    ) -> None:
        self._kind = kind
        self._exposed = kind.exposed
        self._store = store
        self._looking = looking
        self._clock = clock
        self._feed = StoredFeed(store, self._exposed)
        self._numbers = count(1)

    def routes(self) -> list[Route]:
        """Every path of the kind."""
        path, plural = self._kind.path, self._kind.plural
        inside = f"{path}/{plural}"
        routes = [Route(inside, self._collection, methods=["GET", "POST"])]
        if self._kind.namespaced:
            inside = f"{path}/namespaces/{{namespace}}/{plural}"
            routes.append(Route(inside, self._collection, methods=["GET", "POST"]))
        every = ["GET", "PUT", "PATCH", "DELETE"]
        routes.append(Route(f"{inside}/{{name}}", self._single, methods=every))
        if "status" in self._kind.model.model_fields:
            routes.append(Route(f"{inside}/{{name}}/status", self._status, methods=every[:3]))
        return routes

    async def _collection(self, request: Request) -> Response:
        if request.method == "GET":
            return await self._looking.collection(request, self._feed)
        document = await _document(request)
        metadata = document.get("metadata") or {}
        name = metadata.get("name") or self._named(metadata.get("generateName", ""))
        made = self._parsed(request, document, name)
        bare = made.model_copy(update={"metadata": _unmanaged(made.metadata)})
        by = author(request, self._clock.now())
        return answer((await self._store.put(noted(bare, None, by))).document(), 201)

    async def _single(self, request: Request) -> Response:
        match request.method:
            case "GET":
                return await self._looking.single(request, self._feed)
            case "DELETE":
                return await self._delete(request)
        return await self._write(request, self._store.put)

    async def _status(self, request: Request) -> Response:
        if request.method == "GET":
            return await self._looking.single(request, self._feed)
        return await self._write(request, self._store.report, STATUS)

    async def _write(self, request: Request, write: Callable[..., Any], part: str = "") -> Response:
        by = author(request, self._clock.now(), part)
        ref = Ref(self._kind.kind, *self._place(request))
        patching = request.method == "PATCH"
        sent: PlainPatch | Document = (
            await patch_of(request, ref, by) if patching else await _document(request)
        )
        for left in reversed(range(TRIES)):
            stored = await self._store.get(ref)
            if stored is None and not (isinstance(sent, PlainPatch) and sent.applies):
                raise NotFound("NotFound", f"{ref} does not exist")
            new = self._wanted(request, sent, stored, by)
            try:
                return answer((await write(new)).document(), 200 if stored else 201)
            except Conflict as conflict:
                if _version(sent) or conflict.reason not in RACES or not left:
                    raise
        raise AssertionError("unreachable")

    def _wanted(
        self, request: Request, sent: PlainPatch | Document, stored: Object | None, by: Author
    ) -> Plain:
        held = stored.document() if stored else {}
        whole = sent.changed(stored) if isinstance(sent, PlainPatch) else sent
        metadata = dict(whole.get("metadata") or {})
        version = _version(sent) or held.get("metadata", {}).get("resourceVersion", "")
        metadata["resourceVersion"] = version
        name = request.path_params["name"]
        new = self._parsed(request, {**whole, "metadata": metadata}, name)
        if held.get("immutable") and new.document().get("data") != held.get("data"):
            raise Invalid("Invalid", "data: Forbidden: field is immutable when `immutable` is set")
        if isinstance(sent, PlainPatch) and sent.form == APPLY_PATCH:
            return new
        noted_one = noted(new, stored, by)
        assert isinstance(noted_one, Plain)
        return noted_one

    async def _delete(self, request: Request) -> Response:
        options = await delete_options(request)
        ref = Ref(self._kind.kind, *self._place(request))
        if options.dry_run:
            return await self._looking.single(request, self._feed)
        gone = await self._store.remove(
            ref, options.policy, uid=options.uid, version=options.version
        )
        return answer(gone.document())

    def _place(self, request: Request) -> tuple[str, str]:
        return request.path_params.get("namespace", ""), request.path_params["name"]

    def _parsed(self, request: Request, document: Document, name: str) -> Plain:
        namespace = request.path_params.get("namespace", "")
        given = document.get("metadata") or {}
        if (given.get("namespace") or namespace) != namespace:
            raise Invalid("BadRequest", "the namespace of the document is not that of the path")
        kept = {key: value for key, value in given.items() if value is not None}
        whole = {
            **{key: value for key, value in document.items() if value is not None},
            "apiVersion": self._exposed.api_version,
            "kind": self._kind.kind,
            "metadata": {**kept, "name": name, "namespace": namespace},
        }
        try:
            return self._kind.model.model_validate(whole)
        except ValidationError as error:
            raise Invalid("Invalid", str(error)) from None

    def _named(self, prefix: str) -> str:
        if not prefix:
            raise Invalid("Invalid", "metadata.name: is required")
        return f"{prefix}{next(self._numbers):05}"


def _version(sent: PlainPatch | Document) -> str:
    """The version that a write is meant for, where it names one."""
    if isinstance(sent, PlainPatch):
        return sent.version
    return str((sent.get("metadata") or {}).get("resourceVersion") or "")


def _unmanaged(metadata: PlainMeta) -> PlainMeta:
    return metadata.model_copy(update={"managed_fields": ()})


async def _document(request: Request) -> Document:
    kind = media_type(request)
    if kind not in ("", "application/json"):
        raise Invalid("UnsupportedMediaType", f"expected application/json, found {kind}")
    try:
        document = json.loads(await body(request))
    except ValueError as error:
        raise Invalid("BadRequest", f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Invalid("BadRequest", "the body must be a JSON object")
    return document
