"""The sessions that a gateway has seen, and those that it saw end.

A sealed id says by itself where its session lives, so a gateway needs no memory to route one;
an id it never met (after a restart, or opened through another gateway) is taken at its word.
What is remembered is how busy each instance is, when a session was used last, and which
sessions ended, so that they stay ended.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Container

from mooring.clock import Clock
from mooring.core.identity import Identity
from mooring.core.load import Load, Loads
from mooring.kinds.ref import Ref
from mooring.sessions.seal import LIFETIME, SealedSession, Sealer

IDLE_SECONDS = 1800.0
ENDED_LIMIT = 100_000
"""Ended sessions that are remembered; past it the oldest are left to their upstream to refuse."""


class Session:
    """One session that is open, as far as this gateway knows."""

    __slots__ = ("calls", "confirmed_at", "counted", "id", "sealed", "streams", "until", "used_at")

    def __init__(self, id: str, sealed: SealedSession, until: float, used_at: float) -> None:
        self.id = id
        """What the client calls it."""
        self.sealed = sealed
        self.until = until
        """When it ends, used or not; all times are of the clock's `monotonic`."""
        self.used_at = used_at
        self.calls = 0
        """Requests that are being answered; a session with one is not idle."""
        self.streams = 0
        """Open GET streams; likewise."""
        self.confirmed_at = float("-inf")
        """When its upstream was last asked whether it is lost."""
        self.counted = True
        """Whether it is part of the load of its instance here."""


class OpenSessions:
    """Sessions by the id that clients use, and the load that they put on each instance."""

    gateway = ""
    """Whose they are, where there are several gateways."""

    def __init__(
        self, sealer: Sealer, clock: Clock, *, idle: float = IDLE_SECONDS, lifetime: int = LIFETIME
    ) -> None:
        self.loads: dict[str, Load] = {}
        """By instance uid; counts of calls are kept by who sends them."""
        self.everywhere: Loads = self.loads
        """Load over all gateways, as far as it is known here."""
        self._sealer = sealer
        self._clock = clock
        self._idle = idle
        self._lifetime = lifetime
        self._open: dict[str, Session] = {}
        self._ended: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def open(
        self, server: Ref, uid: str, upstream_id: bytes, version: str, identity: Identity
    ) -> Session:
        """Mints the id of a new session; the fields are those of a `SealedSession`."""
        expires = int(self._clock.now().timestamp()) + self._lifetime
        told = SealedSession(server, uid, upstream_id, version, identity, expires)
        return self._remember(self._sealer.seal(told), told)

    def find(self, id: str) -> Session | None:
        """The session of that id; None where it is not one of ours, expired, or has ended."""
        session = self._open.get(id) or self._unseal(id)
        if session is None:
            return None
        now = self._clock.monotonic()
        if self._is_over(session, now):
            self.end(session)
            return None
        session.used_at = now
        return session

    def end(self, session: Session) -> None:
        """From now on its id is unknown."""
        self._bury(digest(session.id), session.until)
        self._drop(session)

    def load(self, uid: str) -> Load:
        """The load of an instance, to be counted up and down."""
        found = self.loads.get(uid)
        if found is None:
            found = self.loads[uid] = Load()
        return found

    def keep_only(self, uids: Container[str]) -> None:
        """Forgets the sessions of instances that are no longer there."""
        for session in [s for s in self._open.values() if s.sealed.uid not in uids]:
            self._drop(session)
        for uid in [u for u, load in self.loads.items() if u not in uids and not load.calls]:
            del self.loads[uid]

    def sweep(self) -> list[Session]:
        """Ends the sessions whose time is over, and returns them."""
        now = self._clock.monotonic()
        over = [session for session in self._open.values() if self._is_over(session, now)]
        for session in over:
            self.end(session)
        for mark in [m for m, until in self._ended.items() if until <= now]:
            del self._ended[mark]
        return over

    def _bury(self, mark: bytes, until: float) -> None:
        self._ended[mark] = until
        if len(self._ended) > ENDED_LIMIT:
            self._ended.popitem(last=False)

    def _unseal(self, id: str) -> Session | None:
        told = self._sealer.open(id)
        if told is None or digest(id) in self._ended:
            return None
        return self._remember(id, told)

    def _remember(self, id: str, told: SealedSession) -> Session:
        now = self._clock.monotonic()
        left = told.expires - self._clock.now().timestamp()
        session = self._open[id] = Session(id, told, now + left, now)
        self.load(told.uid).sessions += 1
        return session

    def _drop(self, session: Session) -> None:
        if self._open.pop(session.id, None) is not None and session.counted:
            self.load(session.sealed.uid).sessions -= 1

    def _is_over(self, session: Session, now: float) -> bool:
        if now >= session.until:
            return True
        return not session.calls and not session.streams and now - session.used_at >= self._idle


def digest(id: str) -> bytes:
    """What a session is called where its id should not be told."""
    return hashlib.blake2b(id.encode(), digest_size=16).digest()
