"""Stored kinds over HTTP: get, list, watch, create, update, patch, delete, status."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mooring.api.answers import answer
from mooring.api.audit import audited, who
from mooring.api.bodies import YAML, body, json_document, media_type, one_declared, text
from mooring.api.exposed import Exposed
from mooring.api.feeds import StoredFeed
from mooring.api.looking import Looking, flag
from mooring.api.owners import STATUS, author
from mooring.api.patches import patching
from mooring.api.shown import shown
from mooring.api.writes import Outcome, Write, Writes
from mooring.clock import Clock
from mooring.core.ports import ObjectStore
from mooring.errors import Invalid
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref

Document = Mapping[str, Any]


class Objects:
    """The doors of one kind."""

    def __init__(
        self, exposed: Exposed, store: ObjectStore, looking: Looking, clock: Clock
    ) -> None:
        self._exposed = exposed
        self._store = store
        self._writes = Writes(store)
        self._feed = StoredFeed(store, exposed)
        self._looking = looking
        self._clock = clock

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
            by = author(request, self._clock.now())
            made = await self._writes.create(document, ref, by, dry_run=dry_run)
        return answer(shown(made), 201)

    async def status(self, request: Request) -> Response:
        """`/namespaces/NS/PLURAL/NAME/status`: the same object, of which only that is written."""
        match request.method:
            case "PUT":
                return await self._update(request, await self._replacement(request, STATUS))
            case "PATCH":
                return await self._update(request, await self._patch(request, STATUS))
        return await self._looking.single(request, self._feed)

    async def _replacement(self, request: Request, part: str = "") -> Write:
        """YAML is a person's: it speaks for spec, labels and annotations only."""
        ref, by = self._ref(request), author(request, self._clock.now(), part)
        if media_type(request) == YAML:
            document = one_declared(await text(request), ref.namespace)
            return Write(ref, lambda _: document, by, declarative=True)
        document = await json_document(request)
        return Write(ref, lambda _: document, by)

    async def _patch(self, request: Request, part: str = "") -> Write:
        by = author(request, self._clock.now(), part)
        return await patching(request, self._exposed, self._ref(request), by)

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
