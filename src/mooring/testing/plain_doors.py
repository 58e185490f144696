"""Plain kinds over HTTP: reads as everywhere in the API, writes as given.

Writes are create, replace, merge patch and delete, of objects and of their status. Patches that
need a schema (strategic merge, server-side apply) are refused, as for any kind without one.
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
from mooring.core.merge_patch import merge
from mooring.core.ports import ObjectStore
from mooring.errors import Conflict, Invalid, NotFound
from mooring.kinds.ref import Ref
from mooring.testing.plain import Plain, PlainKind

MERGE_PATCH = "application/merge-patch+json"
TRIES = 5

Document = Mapping[str, Any]


class PlainDoors:
    """The doors of one plain kind."""

    def __init__(self, kind: PlainKind, store: ObjectStore, looking: Looking) -> None:
        self._kind = kind
        self._exposed = kind.exposed
        self._store = store
        self._looking = looking
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
        made = await self._store.put(self._parsed(request, document, name))
        return answer(made.document(), 201)

    async def _single(self, request: Request) -> Response:
        match request.method:
            case "GET":
                return answer(await self._feed.get(*self._place(request)))
            case "DELETE":
                return await self._delete(request)
        return await self._write(request, self._store.put)

    async def _status(self, request: Request) -> Response:
        if request.method == "GET":
            return answer(await self._feed.get(*self._place(request)))
        return await self._write(request, self._store.report)

    async def _write(self, request: Request, write: Callable[..., Any]) -> Response:
        document = await _document(request)
        for left in reversed(range(TRIES)):
            stored = await self._stored(request)
            try:
                new = self._wanted(request, document, stored)
                return answer((await write(new)).document())
            except Conflict as conflict:
                named = (document.get("metadata") or {}).get("resourceVersion")
                if named or conflict.reason != "StaleVersion" or not left:
                    raise
        raise AssertionError("unreachable")

    def _wanted(self, request: Request, document: Document, stored: Plain) -> Plain:
        held = stored.document()
        patched = merge(held, document) if request.method == "PATCH" else document
        metadata = dict(patched.get("metadata") or {})
        version = (document.get("metadata") or {}).get("resourceVersion")
        metadata["resourceVersion"] = version or held["metadata"]["resourceVersion"]
        new = self._parsed(request, {**patched, "metadata": metadata}, stored.metadata.name)
        if held.get("immutable") and new.document().get("data") != held.get("data"):
            raise Invalid("Invalid", "data: Forbidden: field is immutable when `immutable` is set")
        return new

    async def _delete(self, request: Request) -> Response:
        options = await _document(request) if await body(request) else {}
        conditions = options.get("preconditions") or {}
        ref = Ref(self._kind.kind, *self._place(request))
        gone = await self._store.delete(
            ref,
            uid=str(conditions.get("uid") or ""),
            version=str(conditions.get("resourceVersion") or ""),
        )
        return answer(gone.document())

    async def _stored(self, request: Request) -> Plain:
        ref = Ref(self._kind.kind, *self._place(request))
        stored = await self._store.get(ref)
        if stored is None:
            raise NotFound("NotFound", f"{ref} does not exist")
        assert isinstance(stored, Plain)
        return stored

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


async def _document(request: Request) -> Document:
    kind = media_type(request)
    if kind not in ("", "application/json", MERGE_PATCH):
        raise Invalid("UnsupportedMediaType", f"plain kinds take {MERGE_PATCH}, not {kind}")
    try:
        document = json.loads(await body(request))
    except ValueError as error:
        raise Invalid("BadRequest", f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Invalid("BadRequest", "the body must be a JSON object")
    return document
