"""A session store that counts what it is asked, goes away, comes back, and loses everything."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection

from mooring.clock import Clock
from mooring.core.session_record import Gap, Held, Moved, Until
from mooring.errors import Unavailable
from mooring.stores.sessions_memory import Listeners, MemorySessions


class FickleSessions(MemorySessions):
    """Otherwise it is the one in memory."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.asked: Counter[str] = Counter()
        self.open = asyncio.Event()
        """While it is not set, everybody waits for an answer."""
        self.open.set()
        self.hush = False
        """It is away, and those who listen do not notice."""
        self._away = False

    def go_away(self) -> None:
        self._away = True
        self._listeners.close("the session store is away")

    def come_back(self, *, empty: bool = False) -> None:
        self._away = False
        self._listeners = Listeners()
        if empty:
            self._held.clear()

    @property
    def kept(self) -> dict[bytes, Held]:
        return dict(self._held)

    async def create(self, key: bytes, value: bytes, until: Until) -> Held:
        await self._asked("create")
        return await super().create(key, value, until)

    async def read(self, key: bytes) -> Held | None:
        await self._asked("read")
        return await super().read(key)

    async def replace(self, key: bytes, value: bytes, revision: int) -> Held:
        await self._asked("replace")
        return await super().replace(key, value, revision)

    async def end(self, key: bytes, absolute: float) -> Held | None:
        await self._asked("end")
        return await super().end(key, absolute)

    async def touch(self, keys: Collection[bytes], idle: float) -> tuple[bytes, ...]:
        await self._asked("touch")
        return await super().touch(keys, idle)

    async def due(self, now: float) -> bool:
        await self._asked("due")
        return await super().due(now)

    async def sweep(self, now: float, limit: int) -> tuple[Held, ...]:
        await self._asked("sweep")
        return await super().sweep(now, limit)

    async def lease(self, name: str, holder: str, seconds: float) -> bool:
        await self._asked("lease")
        return await super().lease(name, holder, seconds)

    def changes(self) -> AsyncIterator[Moved | Gap]:
        return super().changes()

    async def _asked(self, what: str) -> None:
        self.asked[what] += 1
        await self.open.wait()
        if self._away or self.hush:
            raise Unavailable("SessionStoreUnavailable", "the session store is away")
