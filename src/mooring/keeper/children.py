"""The children of one slot: those at work, and those kept ready.

The first child is started with the slot, so that a bad command shows at once; with
`isolation: session` it is the one that the first session gets. From then on `spares` children
are kept ready, none by default: an idle process costs memory, a session that waits for its
process costs half a second. A slot ends when a child dies by itself and leaves nobody behind;
where all callers share a child, when that one dies.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from mooring import telemetry
from mooring.core.keeping import Exit, SlotSpec
from mooring.errors import MooringError, Unavailable
from mooring.keeper.child import Child
from mooring.keeper.link import GRACE, Link, NoiseLog, open_channel


class Children:
    """All links of a slot."""

    def __init__(
        self,
        spec: SlotSpec,
        spawn: Callable[[], Awaitable[Child]],
        log: NoiseLog,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.links: set[Link] = set()
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        """The slot's end."""
        self._shared = spec.isolation == "shared"
        self._limit = spec.max_children
        self._spares = 0 if self._shared else spec.spares
        self._spawn = spawn
        self._log = log
        self._tasks = tasks
        self._ready: deque[Link] = deque()
        self._lives: set[asyncio.Task[None]] = set()
        self._starting = 0
        self._stopping = False
        self._last = Exit()

    def __len__(self) -> int:
        return len(self.links)

    async def start(self) -> None:
        """The first child, and the spares. Raises Unavailable "CannotStart"."""
        try:
            for _ in range(max(1, self._spares)):
                self._ready.append(await self.spawn())
        except MooringError:
            await self.stop(0)
            raise

    def ready(self) -> Link | None:
        """One that was kept ready, which is the caller's now."""
        return self._ready.popleft() if self._ready else None

    def put_back(self, link: Link) -> None:
        """Keeps one ready that was taken and not used."""
        link.hear, link.on_end = link.decline, None
        if not link.over:
            self._ready.appendleft(link)

    async def take(self, *, extra: bool = False) -> Link:
        """One for a session: a spare, else a new one; `extra`: whatever the limit for sessions.

        Raises Unavailable "TooManyChildren" or "CannotStart".
        """
        link = self.ready() or await self.spawn(extra=extra)
        link.extra = extra
        if self._spares:
            self._tasks.create_task(self.refill())
        return link

    async def spawn(self, *, extra: bool = False) -> Link:
        """A new one; `extra`: whatever the limit for sessions. Raises like `take`."""
        if self._stopping or self.exited.done():
            raise Unavailable("ChildExited", "the instance has ended")
        if not (extra or self._shared) and self._in_sessions() >= self._limit:
            words = f"all {self._limit} processes of this server are in use by other sessions"
            raise Unavailable("TooManyChildren", f"{words}; end one, or raise maxChildren")
        self._starting += 1
        try:
            child = await self._spawn()
            link = Link(child, await open_channel(child), self._log)
            link.extra = extra
        finally:
            self._starting -= 1
        self.links.add(link)
        life = self._tasks.create_task(self._live(link))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)
        if self._stopping:
            self.dismiss(link)
        return link

    async def refill(self) -> None:
        """Starts spares, as many as are missing and allowed."""
        try:
            while len(self._ready) + self._starting < self._spares:
                self._ready.append(await self.spawn())
        except MooringError as error:
            if error.reason == "CannotStart":
                telemetry.event("spare.failed", logging.WARNING, error=error.message)

    def dismiss(self, link: Link) -> None:
        """Ends one that is not needed any more, in its own time."""
        if not link.over:
            link.unwanted = True
            self._tasks.create_task(link.end())

    async def stop(self, grace: float) -> None:
        """Ends all of them, and the slot."""
        self._stopping = True
        self._ready.clear()
        async with asyncio.TaskGroup() as ends:
            for link in tuple(self.links):
                ends.create_task(link.end(grace))
        if self._lives:
            await asyncio.wait(self._lives, timeout=GRACE)
        self.finish(self._last)

    def finish(self, exit: Exit) -> None:
        """The slot has ended, this way."""
        if not self.exited.done():
            self.exited.set_result(exit)

    def _wanted(self) -> list[Link]:
        """Those that nobody has begun to end."""
        return [link for link in self.links if not link.unwanted]

    def _in_sessions(self) -> int:
        """How many serve sessions, or are about to."""
        return sum(not link.extra for link in self._wanted()) + self._starting

    async def _live(self, link: Link) -> None:
        """A child's life, and what its end means for the slot."""
        exit = self._last = await link.run()
        self.links.discard(link)
        if link in self._ready:
            self._ready.remove(link)
        if link.unwanted or link.trial or self._stopping:
            return
        if self._shared or not (self._wanted() or self._starting):
            self.finish(exit)
            for other in self._wanted():
                self.dismiss(other)
