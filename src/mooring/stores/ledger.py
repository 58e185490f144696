"""What the stores of this room share: asking what a write does, and doing just that.

A store has a head, the state that the next write is decided upon, and a way to commit a change.
Writes are decided in the order of the calls.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import TypeVar, cast
from uuid import uuid4

from mooring.clock import Clock, SystemClock
from mooring.core.ports import Change, Listing
from mooring.core.writes import (
    Refusal,
    Stamp,
    Unchanged,
    Verdict,
    decide_delete,
    decide_put,
    decide_report,
)
from mooring.errors import Conflict, Invalid, MooringError, NotFound
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref
from mooring.stores.shelf import Shelf

T = TypeVar("T", bound=Object)


def new_uid() -> str:
    """A uid that no other object ever had."""
    return str(uuid4())


class Ledger(ABC):
    """An object store over a `Shelf`; passes the contract of `core.ports.ObjectStore`."""

    def __init__(
        self, shelf: Shelf, clock: Clock | None = None, uids: Callable[[], str] = new_uid
    ) -> None:
        self._shelf = shelf
        self._clock = clock or SystemClock()
        self._uids = uids

    @abstractmethod
    def _head(self, ref: Ref) -> Object | None:
        """The object as the writes before this one leave it."""

    @abstractmethod
    def _head_version(self) -> int:
        """The version as the writes before this one leave it."""

    @abstractmethod
    async def _commit(self, change: Change) -> None:
        """Returns when the change cannot be lost any more; the shelf has it then."""

    @abstractmethod
    async def _settle(self, ref: Ref) -> None:
        """Returns when the head of this object cannot be lost any more."""

    async def get(self, ref: Ref) -> Object | None:
        return self._shelf.get(ref)

    async def list(self, kind: str, namespace: str | None = None) -> Listing:
        return self._shelf.list(kind, namespace)

    def watch(self, kind: str, since: str, namespace: str | None = None) -> AsyncIterator[Change]:
        return self._shelf.watch(kind, since, namespace)

    async def put(self, new: T) -> T:
        uid = "" if new.metadata.resource_version else self._uids()
        verdict = decide_put(self._head(new.ref), new, self._stamp(uid))
        return cast(T, await self._carry_out(new.ref, verdict))

    async def report(self, new: T) -> T:
        verdict = decide_report(self._head(new.ref), new, self._stamp())
        return cast(T, await self._carry_out(new.ref, verdict))

    async def delete(self, ref: Ref, uid: str = "", version: str = "") -> Object:
        stamp = self._stamp()
        verdict = decide_delete(self._head(ref), ref, stamp, uid=uid, version=version)
        return await self._carry_out(ref, verdict)

    def _stamp(self, uid: str = "") -> Stamp:
        return Stamp(str(self._head_version() + 1), self._clock.now(), uid)

    async def _carry_out(self, ref: Ref, verdict: Verdict) -> Object:
        """An answer waits for the writes that it rests on: who reads again then reads them."""
        match verdict:
            case Refusal(reason, message):
                await self._settle(ref)
                raise _error(reason, message)
            case Unchanged(held):
                await self._settle(ref)
                return held
            case Change(_, changed):
                await self._commit(verdict)
                return changed


def _error(reason: str, message: str) -> MooringError:
    family = {"BadRequest": Invalid, "NotFound": NotFound}.get(reason, Conflict)
    return family(reason, message)
