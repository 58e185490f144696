"""A slot whose child speaks HTTP itself: the keeper only holds it."""

import asyncio
from collections.abc import Awaitable, Callable

from mooring.core.keeping import Exit
from mooring.errors import NotFound
from mooring.keeper.child import Child
from mooring.transports.http_server import Exchange


class HttpChild:
    """One child and its end, in the shape of a bridge."""

    sessions = 0

    def __init__(self, spawn: Callable[[], Awaitable[Child]]) -> None:
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._spawn = spawn
        self._child: Child | None = None

    @property
    def children(self) -> int:
        """How many processes: one, or none any more."""
        return int(self._child is not None and not self.exited.done())

    async def start(self) -> None:
        """Raises Unavailable "CannotStart"."""
        self._child = await self._spawn()
        self._child.exited.add_done_callback(self._over)

    async def handle(self, exchange: Exchange) -> None:
        """Nobody asks the keeper for such a server: it has an address of its own."""
        raise NotFound("NotFound", "this server answers at its own port, not here")

    async def stop(self, grace: float) -> None:
        """Ends the child."""
        if self._child is not None:
            await self._child.end(grace)

    def _over(self, end: asyncio.Future[Exit]) -> None:
        self.exited.set_result(end.result())
