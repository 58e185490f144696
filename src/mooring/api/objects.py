"""Stored kinds over HTTP: get, list, watch, create, update, patch, delete, status."""

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mooring.api.answers import answer, listing
from mooring.api.audit import audited, who
from mooring.api.bodies import YAML, json_document, media_type, one_declared, text
from mooring.api.exposed import Exposed
from mooring.api.feeds import StoredFeed
from mooring.api.looking import Looking, flag, validation
from mooring.api.options import DeleteOptions, delete_options
from mooring.api.owners import STATUS, author
from mooring.api.patches import patching
from mooring.api.shown import shown
from mooring.api.writes import Outcome, Write, Writes
from mooring.clock import Clock
from mooring.core.ports import ObjectStore
from mooring.errors import NotFound
from mooring.kinds.base import Object
from mooring.kinds.complaint import Complaint
from mooring.kinds.ref import Ref
from mooring.kinds.secret import Secret
from mooring.kinds.validation import known_part

Document = Mapping[str, Any]


_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_RANDOM = 5
"""Letters and digits behind a `generateName`; none that make words."""


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
        if request.method == "DELETE":
            return await self._delete_chosen(request)
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
        document, ref, dry_run = await self._document(request), self._ref(request), flag(request)
        document = _christened(document)
        metadata = document.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else ""
        target = Ref(ref.kind, ref.namespace, str(name))
        unknown: tuple[Complaint, ...] = ()
        if validation(request) != "Strict":
            document, unknown = known_part(document, ref.kind)
        with audited(who(request), "create", target, dry_run=dry_run):
            by = author(request, self._clock.now())
            made = await self._writes.create(document, ref, by, dry_run=dry_run)
        return _warned(answer(shown(made), 201), request, unknown)

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
        document = await self._document(request)
        return Write(ref, lambda _: document, by)

    async def _document(self, request: Request) -> Document:
        return await json_document(request, secret=self._exposed.model is Secret)

    async def _patch(self, request: Request, part: str = "") -> Write:
        by = author(request, self._clock.now(), part)
        return await patching(request, self._exposed, self._ref(request), by)

    async def _update(self, request: Request, write: Write) -> Response:
        dry_run, unknown = flag(request), list[Complaint]()
        if validation(request) != "Strict":
            write = replace(write, unknown=unknown)
        verb = "update" if request.method == "PUT" else "patch"
        with audited(who(request), verb, write.ref, dry_run=dry_run):
            outcome: Outcome = await self._writes.perform(write, dry_run=dry_run)
        made = answer(shown(outcome.after), 201 if outcome.verb == "created" else 200)
        return _warned(made, request, unknown)

    async def _delete(self, request: Request) -> Response:
        ref, options = self._ref(request), await delete_options(request)
        with audited(who(request), "delete", ref, dry_run=options.dry_run):
            if options.dry_run:
                return answer(await self._feed.get(ref.namespace, ref.name))
            gone = await self._store.delete(ref, uid=options.uid, version=options.version)
        return answer(shown(gone) if gone.metadata.finalizers else _success(gone))

    async def _delete_chosen(self, request: Request) -> Response:
        """Everything in a namespace that the selectors choose."""
        options = await delete_options(request)
        chosen, version = await self._looking.chosen(request, self._feed)
        gone = [await self._delete_one(request, each, options) for each in chosen]
        rest = [each for each in gone if each is not None]
        naming, metadata = self._exposed.naming, {"resourceVersion": version}
        return answer(listing(naming.kind, self._exposed.api_version, rest, metadata))

    async def _delete_one(
        self, request: Request, document: Document, options: DeleteOptions
    ) -> Document | None:
        metadata = document["metadata"]
        ref = Ref(self._exposed.naming.kind, metadata["namespace"], metadata["name"])
        try:
            with audited(who(request), "delete", ref, dry_run=options.dry_run):
                if options.dry_run:
                    return document
                return shown(await self._store.delete(ref, uid=metadata["uid"]))
        except NotFound:
            return None


def _christened(document: Document) -> Document:
    """The document with a name made of its `generateName`, where it has none."""
    metadata = document.get("metadata")
    begin = metadata.get("generateName") if isinstance(metadata, Mapping) else None
    if not isinstance(begin, str) or not begin or metadata is None or metadata.get("name"):
        return document
    end = "".join(secrets.choice(_LETTERS) for _ in range(_RANDOM))
    return {**document, "metadata": {**metadata, "name": begin + end}}


def _warned(made: Response, request: Request, unknown: Collection[Complaint]) -> Response:
    """The answer with a warning for each field that was left out, or was there twice."""
    told = [*map(str, unknown), *getattr(request.state, "twice", ())]
    if told and validation(request) == "Warn":
        said = (each.encode("ascii", "replace").decode() for each in told)
        made.headers["warning"] = ", ".join("299 - " + json.dumps(each) for each in said)
    return made


def _success(gone: Object) -> Document:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": gone.ref.name, "kind": gone.ref.kind, "uid": gone.metadata.uid},
    }
