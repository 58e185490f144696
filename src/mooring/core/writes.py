"""What a write does to an object, whatever the store.

A store finds out what it holds, asks here, and then either writes what it is told to, leaves
everything as it is, or refuses. The spec of an object is all that is neither metadata nor
status. Times are cut to seconds, as Kubernetes has them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from mooring.core.ports import Change
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref
from mooring.kinds.secret import LockedSecret, Secret


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Write nothing: what is wanted is there already."""

    object: Object


@dataclass(frozen=True, slots=True)
class Refusal:
    """Write nothing: this may not be done."""

    reason: Literal["AlreadyExists", "BadRequest", "Conflict", "NotFound", "StaleVersion"]
    message: str


Verdict = Change | Unchanged | Refusal
"""A change is to be written, and told to everybody who watches."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a write is marked with."""

    version: str
    """The version that the store has after it."""
    now: datetime
    uid: str = ""
    """For an object that is new."""

    @property
    def second(self) -> datetime:
        """The moment, as metadata shows it."""
        return self.now.replace(microsecond=0)


def decide_put(stored: Object | None, new: Object, stamp: Stamp) -> Verdict:
    """What a put does: metadata and spec as given, the status as it is stored."""
    if not new.metadata.resource_version:
        return _create(stored, new, stamp)
    refusal = _refusal(stored, new.ref, new.metadata.uid, new.metadata.resource_version)
    if stored is None or refusal:
        return refusal or _absent(new.ref)
    return _replace(stored, new, stamp)


def decide_report(stored: Object | None, new: Object, stamp: Stamp) -> Verdict:
    """What a report does: the status as given, and who set it; all else as it is stored."""
    if "status" not in type(new).model_fields:
        return Refusal("BadRequest", f"a {new.kind} has no status to report")
    if not new.metadata.resource_version:
        return Refusal("BadRequest", f"a report on {new.ref} must say which version it is about")
    refusal = _refusal(stored, new.ref, new.metadata.uid, new.metadata.resource_version)
    if stored is None or refusal:
        return refusal or _absent(new.ref)
    owned = {"managed_fields": new.metadata.managed_fields}
    told = {**_status(new), "metadata": stored.metadata.model_copy(update=owned)}
    made = stored.model_copy(update=told)
    return Unchanged(stored) if made == stored else Change("MODIFIED", _versioned(made, stamp))


def decide_delete(
    stored: Object | None, ref: Ref, stamp: Stamp, *, uid: str = "", version: str = ""
) -> Verdict:
    """What a deletion does: the object goes, or is marked while somebody's finalizer holds it."""
    refusal = _refusal(stored, ref, uid, version)
    if stored is None or refusal:
        return refusal or _absent(ref)
    if not stored.metadata.finalizers:
        return Change("DELETED", _versioned(stored, stamp))
    if stored.metadata.deletion_timestamp:
        return Unchanged(stored)
    marked = stored.metadata.model_copy(update={"deletion_timestamp": stamp.second})
    return Change("MODIFIED", _versioned(stored.model_copy(update={"metadata": marked}), stamp))


def _create(stored: Object | None, new: Object, stamp: Stamp) -> Verdict:
    if stored is not None:
        leaving = ", and is being deleted" if stored.metadata.deletion_timestamp else ""
        return Refusal("AlreadyExists", f"{new.ref} exists already{leaving}")
    given = {
        "uid": stamp.uid,
        "generation": 1 if _has_spec(new) else 0,
        "creation_timestamp": stamp.second,
        "deletion_timestamp": None,
    }
    update: dict[str, Any] = {"metadata": new.metadata.model_copy(update=given)}
    if "status" in type(new).model_fields:
        update["status"] = type(new).model_fields["status"].get_default()
    return Change("ADDED", _versioned(new.model_copy(update=update), stamp))


def _replace(stored: Object, new: Object, stamp: Stamp) -> Verdict:
    old, wanted = stored.metadata, new.metadata
    same = _spec(stored) == _spec(new)
    refusal = _unwelcome(stored, new, same)
    if refusal:
        return refusal
    given = {
        "labels": wanted.labels,
        "annotations": wanted.annotations,
        "finalizers": wanted.finalizers,
        "owner_references": wanted.owner_references,
        "managed_fields": wanted.managed_fields,
        "generation": old.generation if same or not _has_spec(new) else old.generation + 1,
    }
    metadata = old.model_copy(update=given)
    if same and metadata == old:
        return Unchanged(stored)
    made = new.model_copy(update={"metadata": metadata, **_status(stored)})
    leaves = old.deletion_timestamp and not metadata.finalizers
    return Change("DELETED" if leaves else "MODIFIED", _versioned(made, stamp))


def _unwelcome(stored: Object, new: Object, same: bool) -> Refusal | None:
    """Why an object that is there may not be changed in this way, if so."""
    added = sorted(set(new.metadata.finalizers) - set(stored.metadata.finalizers))
    if stored.metadata.deletion_timestamp and added:
        return Refusal("Conflict", f"{new.ref} is being deleted; it takes no finalizer {added[0]}")
    if isinstance(stored, LockedSecret) and not (isinstance(new, Secret) and new.data):
        locked = "cannot be decrypted; give it values anew, or put its key back"
        return Refusal("Conflict", f"{new.ref} {locked}")
    if isinstance(stored, Secret) and stored.immutable and not same:
        return Refusal("Conflict", f"{new.ref} is immutable; delete it, then make a new one")
    return None


def _refusal(stored: Object | None, ref: Ref, uid: str, version: str) -> Refusal | None:
    """Why an object may not be touched, if so; an empty uid or version means any."""
    if stored is None:
        return _absent(ref)
    held = stored.metadata
    if uid and uid != held.uid:
        return Refusal("Conflict", f"{ref} is another object now, with the uid {held.uid}")
    if version and version != held.resource_version:
        wanted = f"{ref} is at version {held.resource_version}, not {version}"
        return Refusal("StaleVersion", f"{wanted}; read it again")
    return None


def _absent(ref: Ref) -> Refusal:
    return Refusal("NotFound", f"{ref} does not exist")


def _versioned(of: Object, stamp: Stamp) -> Object:
    metadata = of.metadata.model_copy(update={"resource_version": stamp.version})
    return of.model_copy(update={"metadata": metadata})


def _has_spec(of: Object) -> bool:
    return "spec" in type(of).model_fields


def _spec(of: Object) -> dict[str, Any]:
    """All that is neither metadata nor status, by field."""
    return {name: value for name, value in of if name not in ("metadata", "status")}


def _status(of: Object) -> dict[str, Any]:
    """The status, by field: one, or none where the kind has no status."""
    return {name: value for name, value in of if name == "status"}
