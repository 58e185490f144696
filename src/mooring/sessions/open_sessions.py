"""The sessions that a gateway has seen, and those that it saw end.

A sealed id says by itself where its session lives, so a gateway needs no memory to route one;
an id it never met (after a restart, or opened through another gateway) is taken at its word.
What is remembered is how busy each instance is, when a session was used last, and which
sessions ended, so that they stay ended.
"""

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Container
from typing import NamedTuple

from mooring.clock import Clock
from mooring.core.identity import Identity
from mooring.core.load import Load, Loads
from mooring.errors import Unavailable
from mooring.kinds.ref import Ref
from mooring.sessions.seal import LIFETIME, SealedSession, Sealer

IDLE_SECONDS = 1800.0
LIMIT = 20_000
ROUND_SECONDS = 30.0
ENDED_LIMIT = 100_000
"""Ended sessions that are remembered; past it the oldest are left to their upstream to refuse."""


class Terms(NamedTuple):
    """For how long sessions live, and how many there may be."""

    idle: float = IDLE_SECONDS
    """Seconds after which one ends that nobody used."""
    lifetime: int = LIFETIME
    """Seconds after which any ends."""
    limit: int = LIMIT
    """Open ones of one caller, in one gateway."""

    @property
    def round(self) -> float:
        """Seconds between two times that a gateway tells which sessions are in use."""
        return min(ROUND_SECONDS, self.idle / 10)

    @property
    def patience(self) -> float:
        """Seconds after which a session is idle that was not told to be in use."""
        return self.idle + 3 * self.round


USUAL = Terms()


class Session:
    """One session that is open, as far as this gateway knows."""

    __slots__ = (
        "absent", "calls", "confirmed_at", "counted", "failures", "generation", "id", "inner",
        "kept",
        "key", "looked", "lost", "moving", "notices", "retry_at", "revision", "sealed", "streams",
        "until", "used_at",
    )  # fmt: skip

    def __init__(self, id: str, sealed: SealedSession, until: float, used_at: float) -> None:
        self.id = id
        """What the client calls it."""
        self.key = digest(id)
        """What everybody else does."""
        self.sealed = sealed
        """Where it lives: at first what its id says, later where it has moved to."""
        self.generation = 0
        """How often it has moved."""
        self.revision = 0
        """Of its record, as it was read or written last."""
        self.kept = b""
        """The record as it was read or written last, sealed."""
        self.absent = False
        """There was a record, and it is gone: its store has lost it."""
        self.looked = True
        """Whether its record was looked up, or made here."""
        self.lost = -1
        """The generation whose owner has said that it knows the session no more."""
        self.moving = False
        """It is being recovered."""
        self.notices: tuple[bytes, ...] = ()
        """Messages of ours that its client is to be told on the next stream."""
        self.failures = 0
        """Recoveries that have failed since it was last well."""
        self.retry_at = float("-inf")
        """Until then it is not recovered again."""
        self.until = until
        """When it ends, used or not; all times are of the clock's `monotonic`."""
        self.used_at = used_at
        self.calls = 0
        """Requests that are being answered; a session with one is not idle."""
        self.streams = 0
        """Open GET streams; likewise."""
        self.confirmed_at = float("-inf")
        """When its upstream was last asked whether it is lost."""
        self.inner = False
        """It is part of another session, and no caller's own."""
        self.counted = True
        """Whether it is part of the load of its instance here."""

    @property
    def is_busy(self) -> bool:
        """Whether something goes on in it."""
        return self.calls > 0 or self.streams > 0


class OpenSessions:
    """Sessions by the id that clients use, and the load that they put on each instance."""

    gateway = ""
    """Whose they are, where there are several gateways."""

    def __init__(self, sealer: Sealer, clock: Clock, terms: Terms = USUAL) -> None:
        self.terms = terms
        self.loads: dict[str, Load] = {}
        """By instance uid; counts of calls are kept by who sends them."""
        self.everywhere: Loads = self.loads
        """Load over all gateways, as far as it is known here."""
        self.sealer = sealer
        self._clock = clock
        self.used_elsewhere: set[bytes] = set()
        """Digests of sessions that others were heard to use; for the store to be told."""
        self.ended_elsewhere: set[bytes] = set()
        """Likewise, to have ended."""
        self._callers: Counter[Identity] = Counter()
        """How many sessions each of them has open here."""
        self._open: dict[str, Session] = {}
        self._by_key: dict[bytes, Session] = {}
        self._ended: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, identity: Identity) -> None:
        """Raises Unavailable "SessionLimit" where a caller has as many open as it may."""
        if self._callers[identity] >= self.terms.limit:
            what = f"{self.terms.limit} sessions are open, which is the limit for one caller"
            raise Unavailable("SessionLimit", f"{what}; end some, or raise MOORING_SESSION_LIMIT")

    def open(
        self,
        server: Ref,
        uid: str,
        upstream_id: bytes,
        version: str,
        identity: Identity,
        *,
        inner: bool = False,
    ) -> Session:
        """Mints the id of a new session; the fields are those of a `SealedSession`.

        `inner`: it is part of another one, and no caller's own.
        """
        expires = int(self._clock.now().timestamp()) + self.terms.lifetime
        told = SealedSession(server, uid, upstream_id, version, identity, expires)
        return self._remember(self.sealer.seal(told), told, inner=inner)

    def find(self, id: str) -> Session | None:
        """The session of that id; None where it is not one of ours, expired, or has ended."""
        now = self._clock.monotonic()
        session = self._open.get(id)
        if session is not None and self._is_idle(session, now):
            self._drop(session)  # as if we never saw it: others may have used it meanwhile
            session = None
        session = session or self._unseal(id)
        if session is None:
            return None
        if now >= session.until:
            self.end(session)
            return None
        session.used_at = now
        return session

    def known(self, key: bytes) -> Session | None:
        """The session of that digest, if it is open here."""
        return self._by_key.get(key)

    def move(self, session: Session, uid: str, upstream_id: bytes, generation: int) -> None:
        """From now on another instance is its owner."""
        before, session.sealed = (
            session.sealed,
            session.sealed._replace(uid=uid, upstream_id=upstream_id),
        )
        session.generation = generation
        if session.counted and self._open.get(session.id) is session:
            self.load(before.uid).sessions -= 1
            self.load(uid).sessions += 1

    def has_ended(self, session: Session) -> bool:
        """Whether it was ended here, or heard to be."""
        return session.key in self._ended

    def doubt(self) -> None:
        """Looks every session up again: what was heard of them may be out of date."""
        for session in self._open.values():
            session.looked = False

    def is_open(self, session: Session) -> bool:
        """Whether it is one of those that are open here."""
        return self._open.get(session.id) is session

    def end_too(self, key: bytes) -> None:
        """The session of that digest was heard to have ended, be it known here or not."""
        session = self._by_key.get(key)
        now = self._clock.monotonic()
        self._bury(key, session.until if session else now + self.terms.lifetime)
        if session is not None:
            self._drop(session)

    def verify(self) -> None:
        """Forgets sessions whose ids no key opens any more; for when the keys were changed."""
        for session in [s for s in self._open.values() if self.sealer.open(s.id) is None]:
            self._drop(session)

    def end(self, session: Session) -> None:
        """From now on its id is unknown."""
        self._bury(session.key, session.until)
        self._drop(session)

    def used_since(self, moment: float) -> list[Session]:
        """Those with a request since then, or one under way, or an open stream."""
        return [s for s in self._open.values() if s.is_busy or s.used_at >= moment]

    def load(self, uid: str) -> Load:
        """The load of an instance, to be counted up and down."""
        found = self.loads.get(uid)
        if found is None:
            found = self.loads[uid] = Load()
        return found

    def keep_only(self, uids: Container[str]) -> None:
        """Forgets the sessions of instances that are no longer there, but for those in use.

        When they are used again, their records say what to do.
        """
        for session in [s for s in self._open.values() if s.sealed.uid not in uids]:
            if not session.calls and not session.streams:
                self._drop(session)
        for uid in [u for u, load in self.loads.items() if u not in uids and not load.calls]:
            del self.loads[uid]

    def sweep(self) -> list[Session]:
        """Forgets the sessions that are idle, ends those whose time is over, and returns both."""
        now = self._clock.monotonic()
        over = [s for s in self._open.values() if now >= s.until or self._is_idle(s, now)]
        for session in over:
            if now >= session.until:
                self.end(session)
            else:
                self._drop(session)
        for mark in [m for m, until in self._ended.items() if until <= now]:
            del self._ended[mark]
        return over

    def _bury(self, mark: bytes, until: float) -> None:
        self._ended[mark] = until
        if len(self._ended) > ENDED_LIMIT:
            self._ended.popitem(last=False)

    def _unseal(self, id: str) -> Session | None:
        told = self.sealer.open(id)
        if told is None or digest(id) in self._ended:
            return None
        session = self._remember(id, told)
        session.looked = False
        return session

    def _remember(self, id: str, told: SealedSession, *, inner: bool = False) -> Session:
        now = self._clock.monotonic()
        left = told.expires - self._clock.now().timestamp()
        session = self._open[id] = Session(id, told, now + left, now)
        self._by_key[session.key] = session
        session.inner = inner
        if not inner:
            self._callers[told.identity] += 1
        self.load(told.uid).sessions += 1
        return session

    def _drop(self, session: Session) -> None:
        if self._open.get(session.id) is not session:
            return
        del self._open[session.id]
        del self._by_key[session.key]
        if session.counted:
            self.load(session.sealed.uid).sessions -= 1
        if session.inner:
            return
        self._callers[session.sealed.identity] -= 1
        if not self._callers[session.sealed.identity]:
            del self._callers[session.sealed.identity]

    def _is_idle(self, session: Session, now: float) -> bool:
        return now - session.used_at >= self.terms.idle and not session.is_busy


def digest(id: str) -> bytes:
    """What a session is called where its id should not be told."""
    return hashlib.blake2b(id.encode(), digest_size=16).digest()
