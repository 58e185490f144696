"""Stored kinds over HTTP: get, list, watch, create, update, patch, delete, status."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mooring.api.answers import answer
from mooring.api.audit import audited, who
from mooring.api.bodies import body, json_document, media_type, one_declared, text
from mooring.api.exposed import Exposed
from mooring.api.feeds import StoredFeed
from mooring.api.looking import Looking, flag
from mooring.api.shown import shown
from mooring.api.writes import Outcome, Write, Writes
from mooring.core.merge_patch import merge
from mooring.core.ports import ObjectStore
from mooring.errors import Invalid
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref

Document = Mapping[str, Any]

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


class Objects:
    """The doors of one kind."""

    def __init__(self, exposed: Exposed, store: ObjectStore, looking: Looking) -> None:
        self._exposed = exposed
        self._store = store
        self._writes = Writes(store)
        self._feed = StoredFeed(store, exposed)
        self._looking = looking

    async def collection(self, request: Request) -> Response:
        """`/namespaces/NS/PLURAL`, and `/PLURAL` for all namespaces."""
        if request.method == "POST" and "namespace" in request.path_params:
            return await self._create(request)
        return await self._looking.collection(request, self._feed)

    async def single(self, request: Request) -> Response:
        """`/namespaces/NS/PLURAL/NAME`."""
        match request.method:
            case "PUT":
                return await self._update(request, await self._replacement(request))
            case "PATCH":
                return await self._update(request, await self._patch(request))
            case "DELETE":
                return await self._delete(request)
        return await self._looking.single(request, self._feed)

    def _ref(self, request: Request) -> Ref:
        given = request.path_params
        return Ref(self._exposed.naming.kind, given["namespace"], given.get("name", ""))

    async def _create(self, request: Request) -> Response:
        document, ref, dry_run = await json_document(request), self._ref(request), flag(request)
        metadata = document.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else ""
        target = Ref(ref.kind, ref.namespace, str(name))
        with audited(who(request), "create", target, dry_run=dry_run):
            made = await self._writes.create(document, ref, dry_run=dry_run)
        return answer(shown(made), 201)

    async def _replacement(self, request: Request) -> Write:
        document = await json_document(request)
        return Write(self._ref(request), lambda _: document)

    async def _patch(self, request: Request) -> Write:
        ref = self._ref(request)
        if media_type(request) == MERGE_PATCH:
            patch = await json_document(request, MERGE_PATCH)
            return Write(ref, lambda stored: merge(stored.document() if stored else {}, patch))
        if media_type(request) == APPLY_PATCH:
            document = one_declared(await text(request), ref.namespace)
            return Write(ref, lambda _: document, creates=True, declarative=True)
        raise Invalid(
            "UnsupportedMediaType",
            f"patches are {MERGE_PATCH} or {APPLY_PATCH}, not {media_type(request) or 'nothing'}",
        )

    async def _update(self, request: Request, write: Write) -> Response:
        dry_run = flag(request)
        verb = "update" if request.method == "PUT" else "patch"
        with audited(who(request), verb, write.ref, dry_run=dry_run):
            outcome: Outcome = await self._writes.perform(write, dry_run=dry_run)
        return answer(shown(outcome.after), 201 if outcome.verb == "created" else 200)

    async def _delete(self, request: Request) -> Response:
        ref, dry_run = self._ref(request), flag(request)
        options = await json_document(request) if await body(request) else {}
        conditions = options.get("preconditions") or {}
        if not isinstance(conditions, Mapping):
            raise Invalid("BadRequest", "preconditions must be a mapping")
        dry_run = dry_run or options.get("dryRun") == ["All"]
        with audited(who(request), "delete", ref, dry_run=dry_run):
            if dry_run:
                return answer(await self._feed.get(ref.namespace, ref.name))
            gone = await self._store.delete(
                ref,
                uid=str(conditions.get("uid") or ""),
                version=str(conditions.get("resourceVersion") or ""),
            )
        return answer(shown(gone) if gone.metadata.finalizers else _success(gone))


def _success(gone: Object) -> Document:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": gone.ref.name, "kind": gone.ref.kind, "uid": gone.metadata.uid},
    }
