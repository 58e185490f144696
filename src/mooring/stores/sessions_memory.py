"""Session records in the memory of one process: gone with it.

For an installation of one gateway that need not survive its own restart, and for tests. What
happened is a list that every listener reads at its own pace; one that falls too far behind is
told that it has a gap.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Collection
from dataclasses import replace

from mooring.clock import Clock
from mooring.core.session_record import Gap, Held, Moved, Until
from mooring.errors import Conflict, Unavailable

BACKLOG = 10_000
"""Changes that a listener may be behind."""


class MemorySessions:
    """Passes the contract of `core.session_record.SessionStore`."""

    def __init__(self, clock: Clock, backlog: int = BACKLOG) -> None:
        self._clock = clock
        self._held: dict[bytes, Held] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._listeners = Listeners(backlog)

    async def create(self, key: bytes, value: bytes, until: Until) -> Held:
        if key in self._held:
            raise Conflict("AlreadyExists", "there is a record of this session, or it has ended")
        return self._write(Held(key, value, first_revision(), until))

    async def read(self, key: bytes) -> Held | None:
        return self._held.get(key)

    async def replace(self, key: bytes, value: bytes, revision: int) -> Held:
        held = self._held.get(key)
        if held is None or held.ended or held.revision != revision:
            raise Conflict("StaleVersion", "the record of this session was changed; read it again")
        return self._write(Held(key, value, revision + 1, held.until))

    async def end(self, key: bytes, absolute: float) -> Held | None:
        held = self._held.get(key) or Held(key, b"", first_revision(), Until(absolute, absolute))
        return None if held.ended else self._bury(held, absolute)

    async def touch(self, keys: Collection[bytes], idle: float) -> tuple[bytes, ...]:
        missing = []
        for key in keys:
            held = self._held.get(key)
            if held is None or held.ended:
                missing.append(key)
            elif held.until.idle < idle:
                self._held[key] = replace(held, until=Until(idle, held.until.absolute))
        return tuple(missing)

    async def due(self, now: float) -> bool:
        return any(_is_due(held, now) for held in self._held.values())

    async def sweep(self, now: float, limit: int) -> tuple[Held, ...]:
        due = [held for held in self._held.values() if _is_due(held, now)]
        for held in due:
            if held.ended:
                del self._held[held.key]
        over = [held for held in due if not held.ended][:limit]
        return tuple(self._bury(held, held.until.absolute) for held in over)

    def changes(self) -> AsyncIterator[Moved | Gap]:
        return self._listeners.listen()

    async def lease(self, name: str, holder: str, seconds: float) -> bool:
        now = self._clock.monotonic()
        held_by, until = self._leases.get(name, (holder, now))
        if held_by != holder and now < until:
            return False
        self._leases[name] = (holder, now + seconds)
        return True

    async def close(self) -> None:
        self._listeners.close("the session store was closed")

    def _bury(self, held: Held, absolute: float) -> Held:
        until = Until(absolute, max(absolute, held.until.absolute))
        self._write(Held(held.key, b"", held.revision + 1, until, ended=True))
        return replace(held, ended=True)

    def _write(self, held: Held) -> Held:
        self._held[held.key] = held
        self._listeners.tell(Moved(held.key, held.revision, held.ended))
        return held


class Listeners:
    """Those who want to hear of changes in this process."""

    def __init__(self, backlog: int = BACKLOG) -> None:
        self._recent: deque[Moved] = deque(maxlen=backlog)
        self._told = 0
        self._moved = asyncio.Event()
        self._closed = ""

    def tell(self, moved: Moved) -> None:
        """Something happened."""
        self._recent.append(moved)
        self._told += 1
        self._wake()

    def close(self, why: str) -> None:
        """Everybody who listens hears no more, and why."""
        self._closed = why
        self._wake()

    async def listen(self) -> AsyncIterator[Moved | Gap]:
        """A gap first; then what is told from there on."""
        heard = -1
        while not self._closed:
            if heard < self._told - len(self._recent):
                heard = self._told
                yield Gap()
            elif heard < self._told:
                heard += 1
                yield self._recent[heard - self._told - 1]
            else:
                await self._moved.wait()
        raise Unavailable("SessionStoreUnavailable", self._closed)

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


def first_revision() -> int:
    """Of a new record: one that it never had, should it have been there before."""
    return secrets.randbits(48)


def _is_due(held: Held, now: float) -> bool:
    return now >= held.until.absolute or (not held.ended and now >= held.until.idle)
