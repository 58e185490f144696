"""Patches of every form, as writes.

Merge and JSON patches for all kinds, strategic merge for those of `v1` (as in Kubernetes, kinds
of one's own have none), and server-side apply. They work on the document that is shown: what a
patch copies, moves or tests is never the value of a Secret.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request

from mooring.api.bodies import json_value, media_type, text
from mooring.api.complaints import Contention, Refused
from mooring.api.exposed import Exposed
from mooring.api.owners import Author, entries, ownable, owners, schema_of
from mooring.api.shown import shown
from mooring.api.writes import Write
from mooring.core.applying import Contested, applied
from mooring.core.json_patch import patched
from mooring.core.merge_patch import merge
from mooring.core.strategic_merge import strategic
from mooring.errors import Invalid
from mooring.kinds.base import Object
from mooring.kinds.complaint import Complaint
from mooring.kinds.placed import Flaw, documents
from mooring.kinds.ref import Ref
from mooring.kinds.secret import Secret

Document = Mapping[str, Any]

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


def types(exposed: Exposed) -> tuple[str, ...]:
    """The forms of patches that a kind takes."""
    own = (STRATEGIC_PATCH,) if exposed.api_version == "v1" else ()
    return (MERGE_PATCH, JSON_PATCH, APPLY_PATCH, *own)


async def patching(request: Request, exposed: Exposed, ref: Ref, by: Author) -> Write:
    """The write that a patch asks for."""
    kind = media_type(request)
    if kind not in types(exposed):
        known = ", ".join(types(exposed))
        raise Invalid("UnsupportedMediaType", f"patches are {known}; not {kind or 'nothing'}")
    if kind == APPLY_PATCH:
        return await _applying(request, exposed, ref, by)
    if "force" in request.query_params:
        raise Invalid("BadRequest", "force is for server-side apply alone")
    patch = await json_value(request, kind)
    if kind != JSON_PATCH and not isinstance(patch, dict):
        raise Invalid("BadRequest", "the patch must be a JSON object")
    change: Callable[[Any], Any] = {
        MERGE_PATCH: lambda document: merge(document, patch),
        JSON_PATCH: lambda document: patched(document, patch),
        STRATEGIC_PATCH: lambda document: strategic(schema_of(exposed.model), document, patch),
    }[kind]

    def offered(stored: Object | None) -> Document:
        try:
            found = change(shown(stored) if stored else {})
        except ValueError as error:
            raise Refused([Complaint("", str(error), object=str(ref))]) from None
        if not isinstance(found, Mapping):
            raise Refused([Complaint("", "must be a JSON object", object=str(ref))])
        return found

    return Write(ref, offered, by)


async def _applying(request: Request, exposed: Exposed, ref: Ref, by: Author) -> Write:
    """Server-side apply."""
    if not request.query_params.get("fieldManager"):
        raise Invalid("BadRequest", "fieldManager is required: who is it that applies?")
    forced = request.query_params.get("force", "").lower() in ("true", "1")
    wanted = {"kind": exposed.naming.kind, **_one(await text(request))}
    metadata = wanted.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("managedFields"):
        raise Refused([Complaint("metadata.managedFields", "must not be given when applying")])

    def offered(stored: Object | None) -> Document:
        live = stored.document() if stored else {}
        mine = ownable(_with_values(wanted, stored), by.part)
        held = owners(stored.metadata.managed_fields) if stored else ()
        result = applied(
            schema_of(exposed.model),
            ownable(live, by.part),
            mine,
            held,
            by.owner(operation="Apply"),
            force=forced,
        )
        if isinstance(result, Contested):
            raise Contention(ref, result)
        managed = entries(result.owners, exposed.api_version)
        return _assembled(live, wanted, result.document, managed)

    return Write(ref, offered, by, creates=not by.part, applied=True)


def _one(content: str) -> dict[str, Any]:
    """The one mapping of a YAML text."""
    found = list(documents(content))
    flaws = [each for each in found if isinstance(each, Flaw)]
    flaws += [flaw for each in found if not isinstance(each, Flaw) for flaw in each.flaws]
    if flaws:
        raise Refused(
            Complaint(each.path, each.message, each.hint, line=each.mark[0], column=each.mark[1])
            for each in flaws
        )
    values = [each.value for each in found if not isinstance(each, Flaw)]
    if len(values) != 1 or not isinstance(values[0], dict):
        raise Refused([Complaint("", f"must be one document, found {len(values)}")])
    return values[0]


def _with_values(wanted: Document, stored: Object | None) -> Document:
    """A Secret's document with clear text folded in, and stored values where it has none."""
    if wanted.get("kind") != "Secret":
        return wanted
    plain, given = wanted.get("stringData"), wanted.get("data")
    held = stored.data if isinstance(stored, Secret) else {}
    folded: dict[str, Any] = dict(wanted)
    if isinstance(given, Mapping):
        folded["data"] = {key: value or held.get(key, value) for key, value in given.items()}
    if isinstance(plain, Mapping) and all(isinstance(value, str) for value in plain.values()):
        coded = {key: base64.b64encode(str(v).encode()).decode() for key, v in plain.items()}
        folded["data"] = {**(folded.get("data") or {}), **coded}
        del folded["stringData"]
    return folded


def _assembled(
    live: Document, wanted: Document, document: Document, managed: list[dict[str, Any]]
) -> dict[str, Any]:
    """A whole document around what is owned."""
    kept = {key: live[key] for key in ("apiVersion", "kind", "status") if key in live}
    said = {key: wanted[key] for key in ("apiVersion", "kind") if key in wanted}
    mine = wanted.get("metadata")
    metadata = {**live.get("metadata", {}), **(mine if isinstance(mine, Mapping) else {})}
    for key in ownable({"metadata": metadata}).get("metadata", ()):
        del metadata[key]
    given = {**metadata, **document.get("metadata", {}), "managedFields": managed}
    if "status" in document:
        return {**live, **said, "status": document["status"], "metadata": given}
    whole = {**kept, **said, **document, "metadata": given}
    return whole if whole.get("kind") != "Secret" else {"data": {}, **whole}
