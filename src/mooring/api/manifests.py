"""Files, whole: every complaint at once with its line, and nothing applied where there is one.

    POST   /apis/view.mooring.dev/v1alpha1/manifests?filename=&directory=&namespace=&dryRun=All
    DELETE the same: deletes what the file declares

The body is the text of the file. Each object of the answer says what became of it: `created`,
`configured`, `unchanged`; `deleted`, `deleting` (its instances are still there), `absent`. With
`dryRun=All` it also holds the documents `before` and `after`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mooring.api.answers import answer, status_of
from mooring.api.audit import audited, who
from mooring.api.bodies import text
from mooring.api.complaints import Refused
from mooring.api.exposed import BY_KIND_EXPOSED
from mooring.api.looking import flag
from mooring.api.owners import Author, author
from mooring.api.shown import shown_pair
from mooring.api.writes import Outcome, Write, Writes, not_declared
from mooring.clock import Clock
from mooring.core.identity import Identity
from mooring.core.instances import API_VERSION
from mooring.core.ports import ObjectStore
from mooring.errors import MooringError, NotFound
from mooring.kinds.complaint import Complaint
from mooring.kinds.manifest import Declared, read
from mooring.kinds.ref import Ref

Row = dict[str, Any]


class Manifests:
    """The door for files."""

    def __init__(self, store: ObjectStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._writes = Writes(store)

    async def handle(self, request: Request) -> Response:
        """Applies or deletes what a file declares."""
        declared = await self._declared(request)
        caller, dry_run = who(request), flag(request)
        if request.method == "DELETE":
            rows = [await self._delete(each.object.ref, caller, dry_run) for each in declared]
        else:
            by = author(request, self._clock.now(), program="moor")
            writes = [_write(each, by) for each in declared]
            await self._check(request, declared, writes)
            rows = [await self._apply(write, caller, dry_run) for write in writes]
        failed = any(row["outcome"] == "failed" for row in rows)
        document = {"kind": "ManifestOutcome", "apiVersion": API_VERSION, "items": rows}
        return answer(document, 207 if failed else 200)

    async def _declared(self, request: Request) -> tuple[Declared, ...]:
        query = request.query_params
        filename = query.get("filename", "")
        namespace = query.get("namespace") or "default"
        manifest = read(await text(request), filename, namespace, query.get("directory", ""))
        complaints = list(manifest.complaints)
        complaints += [
            replace(not_declared(ref.kind), object=str(ref), source=filename, line=each.line)
            for each in manifest.declared
            if not BY_KIND_EXPOSED[(ref := each.object.ref).kind].declared
        ]
        if not manifest.declared and not complaints:
            complaints.append(Complaint("", "declares no objects", source=filename))
        if complaints:
            raise Refused(complaints)
        return manifest.declared

    async def _check(
        self, request: Request, declared: tuple[Declared, ...], writes: list[Write]
    ) -> None:
        """Refuses everything where one object cannot be written."""
        source = request.query_params.get("filename", "")
        complaints: list[Complaint] = []
        for each, write in zip(declared, writes, strict=True):
            try:
                await self._writes.plan(write)
            except Refused as refused:
                found = refused.complaints
                complaints += [replace(one, source=source, line=each.line) for one in found]
            except MooringError as error:
                complaints.append(Complaint("", error.message, source=source, line=each.line))
        if complaints:
            raise Refused(complaints)

    async def _apply(self, write: Write, caller: Identity, dry_run: bool) -> Row:
        try:
            with audited(caller, "apply", write.ref, dry_run=dry_run):
                outcome = await self._writes.perform(write, dry_run=dry_run)
        except MooringError as error:
            return _row(write.ref, "failed", status=status_of(error))
        if not dry_run:
            return _row(write.ref, outcome.verb)
        return _row(write.ref, outcome.verb, **_compared(outcome))

    async def _delete(self, ref: Ref, caller: Identity, dry_run: bool) -> Row:
        try:
            with audited(caller, "delete", ref, dry_run=dry_run):
                found = await self._store.get(ref) if dry_run else await self._store.delete(ref)
        except NotFound:
            return _row(ref, "absent")
        except MooringError as error:
            return _row(ref, "failed", status=status_of(error))
        if found is None:
            return _row(ref, "absent")
        return _row(ref, "deleting" if found.metadata.finalizers else "deleted")


def _write(declared: Declared, by: Author) -> Write:
    document = declared.document
    return Write(
        declared.object.ref, lambda _: document, by, creates=True, declarative=True, versioned=False
    )


def _compared(outcome: Outcome) -> Mapping[str, Any]:
    before, after = shown_pair(outcome.before, outcome.after)
    return {"before": before, "after": after}


def _row(ref: Ref, outcome: str, **more: Any) -> Row:
    return {
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "outcome": outcome,
        **more,
    }
