"""What the cluster in memory does when something is deleted.

What belongs to an object goes with it, before it or not at all, as the propagation policy says;
a namespace goes when nothing is in it any more.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from mooring.clock import Clock
from mooring.core.ports import Change
from mooring.core.writes import Refusal, decide_delete
from mooring.errors import Denied, NotFound
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref
from mooring.stores.ledger import new_uid
from mooring.stores.memory import MemoryStore
from mooring.stores.shelf import HISTORY
from mooring.testing.plain import PlainObject

WAITING = "foregroundDeletion"
"""Finalizer of what goes after what belongs to it."""
INHABITED = "kubernetes"
"""Finalizer of a namespace in which something is."""
T = TypeVar("T", bound=Object)


class ClusterStore(MemoryStore):
    """A store in memory that collects what belonged to an object that went."""

    def __init__(
        self,
        clock: Clock | None = None,
        uids: Callable[[], str] = new_uid,
        history: int = HISTORY,
    ) -> None:
        super().__init__(clock, uids, history)
        self._dependents: dict[str, set[Ref]] = {}

    async def put(self, new: T) -> T:
        home = self._head(Ref("Namespace", "", new.metadata.namespace))
        leaving = home is not None and home.metadata.deletion_timestamp is not None
        if leaving and not new.metadata.resource_version:
            raise Denied("Forbidden", f"namespace {new.metadata.namespace} is being terminated")
        return await super().put(new)

    async def remove(
        self, ref: Ref, policy: str = "Background", *, uid: str = "", version: str = ""
    ) -> Object:
        """Deletes an object, and what belongs to it as the propagation policy says.

        `Background`: it goes, and then they do. `Foreground`: it goes when they are gone.
        `Orphan`: they stay, and belong to nobody. A namespace goes when nothing is in it.
        """
        verdict = decide_delete(self._head(ref), ref, self._stamp(), uid=uid, version=version)
        held = self._head(ref)
        if isinstance(verdict, Refusal) or held is None:
            return await self._carry_out(ref, verdict)
        if ref.kind == "Namespace":
            return await self._end_namespace(held)
        if policy == "Orphan":
            for each in self._dependents_of(held):
                await self._disown(each, held.metadata.uid)
        if policy != "Foreground" or not self._dependents_of(held):
            return await self.delete(ref)
        marked = await self._hold(held, WAITING)
        for each in self._dependents_of(held):
            await self.remove(each.ref, policy)
        await self._release(ref)
        return marked

    async def _end_namespace(self, namespace: Object) -> Object:
        name = namespace.metadata.name
        if name == "default":
            raise Denied("Forbidden", "this namespace may not be deleted")
        marked = await self._hold(namespace, INHABITED)
        if isinstance(marked, PlainObject):
            leaving = {"status": {**(marked.status or {}), "phase": "Terminating"}}
            marked = await self.report(marked.model_copy(update=leaving))
        for each in self._inside(name):
            with suppress(NotFound):  # it went with what it belonged to
                await self.remove(each.ref)
        await self._release(namespace.ref)
        return marked

    async def _hold(self, held: Object, finalizer: str) -> Object:
        """Marks an object as deleted, and keeps it for now."""
        if finalizer not in held.metadata.finalizers:
            held = await self.put(_with(held, finalizers=(*held.metadata.finalizers, finalizer)))
        return await self.delete(held.ref)

    async def _release(self, ref: Ref) -> None:
        """Lets an object go that waited for others, if they are gone."""
        held = self._head(ref)
        if held is None or held.metadata.deletion_timestamp is None:
            return
        waits = [WAITING] if self._dependents_of(held) else []
        if ref.kind == "Namespace" and self._inside(ref.name):
            waits.append(INHABITED)
        given = held.metadata.finalizers
        left = tuple(each for each in given if each not in (WAITING, INHABITED) or each in waits)
        if left != given:
            await self.put(_with(held, finalizers=left))

    async def _disown(self, owned: Object, uid: str) -> None:
        references = owned.metadata.owner_references
        left = tuple(each for each in references if each.uid != uid)
        await self.put(_with(owned, owner_references=left))

    async def _commit(self, change: Change) -> None:
        await super()._commit(change)
        ref = change.object.ref
        for uid in _owners(change.object):
            self._dependents.setdefault(uid, set()).add(ref)
        if change.type == "DELETED":
            for each in sorted(self._dependents.pop(change.object.metadata.uid, ())):
                await self._collect(each)
            waiting = [each.ref for each in self._shelf.everything() if _waits(each)]
            for each in waiting:
                await self._release(each)

    async def _collect(self, ref: Ref) -> None:
        """Deletes an object unless one of its owners is still there."""
        found = await self.get(ref)
        if found is None:
            return
        owners = _owners(found)
        if owners and not any(uid in self._living() for uid in owners):
            await self.delete(ref)

    def _living(self) -> set[str]:
        return {each.metadata.uid for each in self._shelf.everything()}

    def _dependents_of(self, owner: Object) -> list[Object]:
        uid = owner.metadata.uid
        known = (self._head(ref) for ref in sorted(self._dependents.get(uid, ())))
        return [each for each in known if each is not None and uid in _owners(each)]

    def _inside(self, namespace: str) -> list[Object]:
        return [e for e in self._shelf.everything() if e.metadata.namespace == namespace]


def _owners(of: Object) -> list[str]:
    return [each.uid for each in of.metadata.owner_references]


def _waits(each: Object) -> bool:
    """Whether an object is only kept until others are gone."""
    held = each.metadata.finalizers
    return each.metadata.deletion_timestamp is not None and (WAITING in held or INHABITED in held)


def _with(held: T, **metadata: Any) -> T:
    return held.model_copy(update={"metadata": held.metadata.model_copy(update=metadata)})
