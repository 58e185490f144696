"""Who set which fields, between objects (`metadata.managedFields`) and the rules of `core`.

What can be owned is the spec, labels, annotations, finalizers and ownerReferences, or, through
the door of its own, the status; the rest is not anybody's to say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from starlette.requests import Request

from mooring.core.applying import Owner, updated
from mooring.core.ownership import Schema, decoded, encoded
from mooring.errors import Invalid
from mooring.kinds.base import ManagedFields, Object
from mooring.kinds.structure import structural

Document = Mapping[str, Any]

STATUS = "status"
NAME_LENGTH = 128

_METADATA = ("labels", "annotations", "finalizers", "ownerReferences")


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, and when."""

    name: str
    now: datetime
    part: str = ""
    """The door: `status`, or none."""

    def owner(self, **more: Any) -> Owner:
        """As the rules know him."""
        since = self.now.replace(microsecond=0).isoformat().replace("+00:00", "Z")
        return Owner(self.name, part=self.part, since=since, **more)


def author(request: Request, now: datetime, part: str = "", program: str = "") -> Author:
    """The `fieldManager` of a request, or the program that sends it."""
    given = request.query_params.get("fieldManager", "")
    said = program or request.headers.get("user-agent", "").partition("/")[0]
    name = given or said or "unknown"
    if given and (len(given) > NAME_LENGTH or not given.isprintable()):
        raise Invalid("BadRequest", f"fieldManager: at most {NAME_LENGTH} printable characters")
    return Author("".join(filter(str.isprintable, name))[:NAME_LENGTH], now, part)


@cache
def schema_of(model: type[Object]) -> Schema:
    """How documents of a kind are taken apart."""
    return structural(model, defaults=False)


def ownable(document: Document, part: str = "") -> dict[str, Any]:
    """What of a document can be owned through a door."""
    if part:
        return {part: document[part]} if part in document else {}
    given = document.get("metadata")
    metadata = given if isinstance(given, Mapping) else {}
    kept = {key: metadata[key] for key in _METADATA if metadata.get(key)}
    above = ("apiVersion", "kind", "metadata", STATUS)
    rest = {key: value for key, value in document.items() if key not in above}
    return rest | ({"metadata": kept} if kept else {})


def owners(entries: Iterable[ManagedFields]) -> tuple[Owner, ...]:
    """Those of an object; entries of nobody say nothing."""
    return tuple(
        Owner(
            entry.manager,
            entry.operation,
            entry.subresource,
            decoded(entry.fields_v1),
            entry.time.isoformat().replace("+00:00", "Z") if entry.time else "",
        )
        for entry in entries
        if entry.manager
    )


def entries(found: Iterable[Owner], version: str) -> list[dict[str, Any]]:
    """Owners as a document has them."""
    return [
        {
            "manager": owner.name,
            "operation": owner.operation,
            "apiVersion": version,
            "fieldsType": "FieldsV1",
            "fieldsV1": encoded(owner.fields),
            "subresource": owner.part,
            **({"time": owner.since} if owner.since else {}),
        }
        for owner in found
    ]


def owned(
    after: Object, before: Object | None, held: Iterable[ManagedFields], by: Author
) -> Object:
    """The object after a plain update, with everyone's fields in it."""
    known = owners(held)
    old = ownable(before.document(), by.part) if before else {}
    found = updated(
        schema_of(type(after)), old, ownable(after.document(), by.part), known, by.owner()
    )
    return with_owners(after, found)


def with_owners(made: Object, found: tuple[Owner, ...]) -> Object:
    """The object with these owners; where they are those it has, it stays as it is."""
    if found == owners(made.metadata.managed_fields):
        return made
    rows = [
        ManagedFields.model_validate(entry, by_alias=True)
        for entry in entries(found, made.api_version)
    ]
    metadata = made.metadata.model_copy(update={"managed_fields": tuple(rows)})
    return made.model_copy(update={"metadata": metadata})
