"""Patches of plain kinds in every form, and whose the fields are that they set."""

import json
from collections.abc import Mapping
from typing import Any

import yaml
from starlette.requests import Request

from mooring.api.bodies import body, media_type
from mooring.api.complaints import Contention
from mooring.api.owners import Author, entries, ownable, owners, with_owners
from mooring.api.patches import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from mooring.core.applying import Contested, applied, updated
from mooring.core.json_patch import patched
from mooring.core.merge_patch import merge
from mooring.core.strategic_merge import strategic
from mooring.errors import Invalid
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref
from mooring.testing.plain_schema import schema_of

FORMS = (MERGE_PATCH, JSON_PATCH, STRATEGIC_PATCH, APPLY_PATCH)

Document = Mapping[str, Any]


class PlainPatch:
    """A patch as it was sent."""

    def __init__(self, form: str, given: Any, ref: Ref, by: Author, *, force: bool) -> None:
        self.form = form
        self._given = given
        self._ref = ref
        self._by = by
        self._force = force

    @property
    def applies(self) -> bool:
        """Whether it makes the object where there is none."""
        return self.form == APPLY_PATCH and not self._by.part

    @property
    def version(self) -> str:
        """The version that it is meant for, where it names one."""
        metadata = self._given.get("metadata") if isinstance(self._given, Mapping) else None
        return str((metadata or {}).get("resourceVersion") or "")

    def changed(self, stored: Object | None) -> Document:
        """The document as it is to be; raises why it cannot."""
        held: dict[str, Any] = stored.document() if stored else {}
        if self.form == APPLY_PATCH:
            return self._applied(held, stored)
        try:
            if self.form == JSON_PATCH:
                found = patched(held, self._given)
            elif self.form == STRATEGIC_PATCH:
                found = strategic(schema_of(self._ref.kind), held, self._given)
            else:
                found = merge(held, self._given)
        except ValueError as error:
            raise Invalid("Invalid", str(error)) from None
        if not isinstance(found, Mapping):
            raise Invalid("Invalid", "a patched object must be a JSON object")
        return found

    def _applied(self, held: dict[str, Any], stored: Object | None) -> Document:
        part = self._by.part
        known = owners(stored.metadata.managed_fields) if stored else ()
        mine = self._by.owner(operation="Apply")
        result = applied(
            schema_of(self._ref.kind), ownable(held, part), ownable(self._given, part),
            known, mine, force=self._force,
        )  # fmt: skip
        if isinstance(result, Contested):
            raise Contention(self._ref, result)
        managed = {"managedFields": entries(result.owners, str(self._given.get("apiVersion", "")))}
        metadata = held.get("metadata", {})
        if part:
            status = {part: result.document[part]} if part in result.document else {}
            return {**held, **status, "metadata": {**metadata, **managed}}
        owned_by_all = ownable({"metadata": metadata}).get("metadata", {})
        own = {key: value for key, value in metadata.items() if key not in owned_by_all}
        kept = {key: held[key] for key in ("status",) if key in held}
        return {
            **kept, **result.document,
            "metadata": {**own, **result.document.get("metadata", {}), **managed},
        }  # fmt: skip


async def patch_of(request: Request, ref: Ref, by: Author) -> PlainPatch:
    """The patch of a request; Invalid where it is none."""
    form = media_type(request)
    if form not in FORMS:
        raise Invalid("UnsupportedMediaType", f"patches are {', '.join(FORMS)}; not {form}")
    forced = request.query_params.get("force", "").lower() in ("true", "1")
    if form == APPLY_PATCH and not request.query_params.get("fieldManager"):
        raise Invalid("BadRequest", "fieldManager is required: who is it that applies?")
    content = await body(request)
    try:
        given = yaml.safe_load(content) if form == APPLY_PATCH else json.loads(content)
    except (ValueError, yaml.YAMLError) as error:
        raise Invalid("BadRequest", f"the body cannot be read: {error}") from None
    if form != JSON_PATCH and not isinstance(given, dict):
        raise Invalid("BadRequest", "the patch must be a JSON object")
    return PlainPatch(form, given, ref, by, force=forced)


def noted(made: Object, before: Object | None, by: Author) -> Object:
    """The object after a plain write, with whose each field is."""
    known = owners(before.metadata.managed_fields) if before else ()
    old = ownable(before.document(), by.part) if before else {}
    new = ownable(made.document(), by.part)
    return with_owners(made, updated(schema_of(made.kind), old, new, known, by.owner()))
