"""What is kept of a session outside of the gateway that serves it, and where.

A sealed session id says where a session began. The record says what recovery needs when its
owner is lost: what the client sent with `initialize`, who the owner is now, and what was set
since. It is written when a session opens, moves, ends or changes what was set, never for a
request. A store sees sealed bytes under a digest of the id, and the times by which it may
forget them.

A session that ended leaves a tombstone until the time at which its id would have expired, so
that nobody who comes late brings it back to life.
"""

from collections.abc import AsyncIterator, Awaitable, Collection
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from mooring.core.identity import Identity
from mooring.kinds.ref import Ref


class SessionRecord(Struct, frozen=True, array_like=True, kw_only=True):
    """What recovery needs to know of one session; fields are only added, at the end."""

    server: Ref
    uid: str
    """Of the instance that holds the session now."""
    upstream_id: bytes
    """What that instance calls it."""
    version: str
    """The negotiated protocol version."""
    identity: Identity
    """Who opened it."""
    expires: int
    """Seconds since the epoch; after that it is over, used or not."""
    initialize: bytes
    """The client's own `params` of `initialize`, as they came."""
    generation: int = 0
    """How often it has moved; of two records of a session the higher one is right."""
    capabilities: tuple[str, ...] = ()
    """What its first owner promised to the client, sorted, with dots: `resources.subscribe`."""
    log_level: str = ""
    """What the client set last; empty where it set none."""
    subscriptions: tuple[str, ...] = ()
    """Resources that the client subscribed to, in that order."""


@dataclass(frozen=True, slots=True)
class Until:
    """When a record is over, in seconds since the epoch."""

    idle: float
    """Unless it is touched before. Whoever touches late, in batches, allows for that here."""
    absolute: float
    """Whatever happens; its tombstone is kept until then."""


@dataclass(frozen=True, slots=True)
class Held:
    """A record as a store holds it."""

    key: bytes
    value: bytes
    """Sealed; empty in a tombstone."""
    revision: int
    """Another one after every write. Good for comparing with `==` only: after the loss of a
    store, a record that is put back starts from another number, not from a higher one."""
    until: Until
    ended: bool = False
    """It is a tombstone."""

    def is_over(self, now: float) -> bool:
        """Whether it ended, or its time is over and the sweeper has not come by yet."""
        return self.ended or now >= min(self.until.idle, self.until.absolute)


@dataclass(frozen=True, slots=True)
class Moved:
    """A record was made, replaced or ended, by whomever."""

    key: bytes
    revision: int
    ended: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """Changes may have been missed: what was read before this came may be out of date."""


class SessionStore(Protocol):
    """Where records are kept. One contract for all of them: `tests/contracts`.

    All raise Unavailable("SessionStoreUnavailable") while the store is away, after a bounded
    wait. Whether a record is over is for the reader to judge (`Held.is_over`).
    """

    def create(self, key: bytes, value: bytes, until: Until) -> Awaitable[Held]:
        """Makes a record; Conflict("AlreadyExists") where there is one, or a tombstone."""
        ...

    def read(self, key: bytes) -> Awaitable[Held | None]:
        """The record or tombstone under a key."""
        ...

    def replace(self, key: bytes, value: bytes, revision: int) -> Awaitable[Held]:
        """Writes another value over the one of that revision; its times stay.

        Conflict("StaleVersion") where that is not what is held: another revision, a tombstone,
        nothing. Read it again.
        """
        ...

    def end(self, key: bytes, absolute: float) -> Awaitable[Held | None]:
        """Leaves a tombstone until `absolute`, or the record's own time where that is later.

        Returns what was there, with `ended`: its last value, or an empty one where there was no
        record. None: it had ended already.
        """
        ...

    def touch(self, keys: Collection[bytes], idle: float) -> Awaitable[tuple[bytes, ...]]:
        """Has records live until `idle`, unless they do anyway; no change of the revision.

        Returns the keys under which there is no record, or a tombstone: look at these again.
        """
        ...

    def due(self, now: float) -> Awaitable[bool]:
        """Whether there is anything to sweep; writes nothing."""
        ...

    def sweep(self, now: float, limit: int) -> Awaitable[tuple[Held, ...]]:
        """Ends records whose time is over, `limit` at most, and forgets old tombstones.

        Returns those that it ended, with their last value: each is returned once, to one caller.
        Less than `limit`: there are no more of them.
        """
        ...

    def changes(self) -> AsyncIterator[Moved | Gap]:
        """Every change from now on, one's own included, for ever.

        The first thing told is a Gap: from then on it listens, so that what is read afterwards
        is kept up to date. Raises Unavailable when the store goes away: listen again.
        """
        ...

    def lease(self, name: str, holder: str, seconds: float) -> Awaitable[bool]:
        """Takes or renews a right that one holder has at a time; False: another has it.

        With 0 seconds the holder gives it back.
        """
        ...

    def close(self) -> Awaitable[None]:
        """Ends all that waits, with Unavailable; harmless twice."""
        ...
