"""What is written, and how it meets what is stored.

The store takes whole objects; people send documents, patches and files. Here each becomes the
object to store: what the store alone decides (uid, generation, times, status) stays as it is,
values that a Secret does not repeat are kept, who set which field is noted, and a write that
lost a race is made again on top of the winner's, unless its sender named the version that it is
meant for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mooring.api.complaints import Refused
from mooring.api.exposed import BY_KIND_EXPOSED
from mooring.api.owners import Author, owned
from mooring.core import secrecy
from mooring.core.ports import ObjectStore
from mooring.errors import Conflict, Invalid, NotFound
from mooring.kinds.base import ManagedFields, Object, ObjectMeta
from mooring.kinds.complaint import Complaint
from mooring.kinds.ref import Ref
from mooring.kinds.secret import Secret
from mooring.kinds.validation import known_part, parse

Document = Mapping[str, Any]

TRIES = 5
"""How often a write without a version is made again after losing a race."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write did."""

    verb: Literal["created", "configured", "unchanged"]
    before: Object | None
    after: Object


@dataclass(frozen=True, slots=True)
class Write:
    """One object as somebody wants it."""

    ref: Ref
    offered: Callable[[Object | None], Document]
    """The wanted document, given what is stored."""
    by: Author
    creates: bool = False
    """Makes the object where there is none."""
    declarative: bool = False
    """Speaks for spec, labels and annotations only; what is being deleted is not touched."""
    versioned: bool = True
    """Minds the uid and the resourceVersion of the document, where it has them."""
    unknown: list[Complaint] | None = None
    """Takes up fields that nobody knows, which are refused otherwise."""
    applied: bool = False
    """The document says whose each field is, by the rules of server-side apply."""

    def result(self, stored: Object | None) -> Object:
        """The object to store; raises what is wrong with it."""
        if stored is None and not self.creates:
            raise NotFound("NotFound", f"{self.ref} does not exist")
        if stored is not None and self.declarative and stored.metadata.deletion_timestamp:
            raise Conflict(
                "Conflict",
                f"{self.ref} is being deleted; apply again once it is gone. "
                f"Fix: moor wait --for=delete {self.ref}",
            )
        document = self._document(stored)
        if self.unknown is not None:
            document, self.unknown[:] = known_part(document, self.ref.kind)
        if isinstance(stored, Secret):
            document = secrecy.kept(document, stored.data)
        wanted = parsed(document, self.ref)
        if stored is None:
            return self._owned(_fresh(wanted), None, wanted)
        if self.versioned:
            _same_version(wanted, stored)
        if self.by.part:
            made = stored.model_copy(update={self.by.part: getattr(wanted, self.by.part)})
        else:
            made = _merged(wanted, stored, whole=not self.declarative)
        return self._owned(made, stored, wanted)

    def _document(self, stored: Object | None) -> Document:
        try:
            return self.offered(stored)
        except RecursionError:
            raise Invalid("BadRequest", "the document is nested too deeply") from None

    def _owned(self, made: Object, stored: Object | None, wanted: Object) -> Object:
        """The object with whose each field is."""
        said = wanted.metadata.managed_fields
        if self.applied:
            return _managed(made, said)
        if stored is None:
            said = ()
        elif self.declarative or not said:
            said = stored.metadata.managed_fields
        held = tuple(entry for entry in said if entry.manager)
        return owned(_managed(made, held), stored, held, self.by)


class Writes:
    """Writes to a store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def plan(self, write: Write) -> Outcome:
        """What a write would do; raises why it cannot."""
        stored = await self._store.get(write.ref)
        after = write.result(stored)
        if stored is None:
            return Outcome("created", None, after)
        _mind_immutable(after, stored)
        return Outcome("unchanged" if after == stored else "configured", stored, after)

    async def perform(self, write: Write, *, dry_run: bool = False) -> Outcome:
        """Does it, or says what it would do."""
        for _ in range(TRIES - 1):
            planned = await self.plan(write)
            if dry_run or planned.verb == "unchanged":
                return planned
            try:
                return Outcome(planned.verb, planned.before, await self._store_it(write, planned))
            except Conflict as conflict:
                if conflict.reason not in ("StaleVersion", "AlreadyExists"):
                    raise
        planned = await self.plan(write)
        return Outcome(planned.verb, planned.before, await self._store_it(write, planned))

    async def _store_it(self, write: Write, planned: Outcome) -> Object:
        if write.by.part:
            return await self._store.report(planned.after)
        return await self._store.put(planned.after)

    async def create(
        self, document: Document, ref: Ref, by: Author, *, dry_run: bool = False
    ) -> Object:
        """A new object; raises Conflict "AlreadyExists"."""
        made = owned(_fresh(parsed(document, ref)), None, (), by)
        if not dry_run:
            return await self._store.put(made)
        if await self._store.get(made.ref) is not None:
            raise Conflict("AlreadyExists", f"{made.ref} exists already")
        return made


def parsed(document: Document, ref: Ref) -> Object:
    """The document as the object that the path names (an empty name: any); raises Refused."""
    given = {"apiVersion": BY_KIND_EXPOSED[ref.kind].api_version, "kind": ref.kind, **document}
    metadata = given.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("namespace") is None:
        given["metadata"] = {**metadata, "namespace": ref.namespace}
    made = parse(given)
    if not isinstance(made, Object):
        raise Refused(made)
    found = made.ref
    if found != Ref(ref.kind, ref.namespace, ref.name or found.name):
        raise Invalid("BadRequest", f"the document is {found}, the path says {ref}")
    return made


def not_declared(kind: str) -> Complaint:
    """Why a kind cannot be written."""
    return Complaint("kind", f"{kind} is written by Mooring alone")


def _fresh(made: Object) -> Object:
    given = made.metadata
    meta = ObjectMeta(
        name=given.name,
        namespace=given.namespace,
        labels=given.labels,
        annotations=given.annotations,
        finalizers=given.finalizers,
        owner_references=given.owner_references,
    )
    return _without_status(made).model_copy(update={"metadata": meta})


def _without_status(made: Object) -> Object:
    field = type(made).model_fields.get("status")
    return made if field is None else made.model_copy(update={"status": field.get_default()})


def _managed(made: Object, held: tuple[ManagedFields, ...]) -> Object:
    metadata = made.metadata.model_copy(update={"managed_fields": held})
    return made.model_copy(update={"metadata": metadata})


def _merged(wanted: Object, stored: Object, *, whole: bool) -> Object:
    """What is wanted, with what is not the sender's to say."""
    given = wanted.metadata
    said: dict[str, Any] = {"labels": given.labels, "annotations": given.annotations}
    if whole:
        said["finalizers"] = given.finalizers
        said["owner_references"] = given.owner_references
    update: dict[str, Any] = {"metadata": stored.metadata.model_copy(update=said)}
    if "status" in type(stored).model_fields:
        update["status"] = getattr(stored, "status")  # noqa: B009  # not every kind has one
    return wanted.model_copy(update=update)


def _same_version(wanted: Object, stored: Object) -> None:
    given, held = wanted.metadata, stored.metadata
    if given.uid and given.uid != held.uid:
        raise Conflict("Conflict", f"{stored.ref} is another object of that name now (uid)")
    if given.resource_version and given.resource_version != held.resource_version:
        raise Conflict(
            "StaleVersion",
            f"{stored.ref} is at version {held.resource_version}, "
            f"not {given.resource_version}: read it again",
        )


def _mind_immutable(after: Object, stored: Object) -> None:
    if not (isinstance(stored, Secret) and isinstance(after, Secret) and stored.immutable):
        return
    if (after.data, after.type, after.immutable) != (stored.data, stored.type, True):
        complaint = Complaint(
            "immutable", "is true: its values cannot change", object=str(stored.ref)
        )
        raise Refused([complaint])
