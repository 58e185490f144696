"""The keeper's own protocol on this very loop, with stand-ins for children."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from support.keeping import StandInSpawner

from mooring.clock import SystemClock
from mooring.core.keeping import PROTOCOL, KeeperState
from mooring.keeper.control import Control
from mooring.keeper.listeners import Listeners
from mooring.keeper.logfile import Logs
from mooring.keeper.presence import Presence
from mooring.keeper.slots import Slots
from mooring.transports.http_server import Exchange, HttpServer

_NUMBERS = count(1)


class KeeperHere:
    """A keeper that a test can silence and kill."""

    def __init__(self, path: Path, spawner: StandInSpawner, protocol: int = PROTOCOL) -> None:
        self.path = path
        self.spawner = spawner
        self.shut_down: list[float] = []
        self.asked: list[str] = []
        """`METHOD PATH` of every question but the long poll."""
        self.silent: asyncio.Event | None = None
        """Answers to all but `GET /v1/changes` and `GET /v1/keeper` wait for it."""
        self.about = KeeperState(
            protocol=protocol,
            version="0",
            pid=os.getpid(),
            rung="process-group",
            started_at=float(next(_NUMBERS)),
        )

    async def live(self, up: asyncio.Event) -> None:
        """Serves until it is cancelled, which is as sudden as a kill."""
        clock = SystemClock()
        logs, listeners = Logs(clock), Listeners()
        async with asyncio.TaskGroup() as tasks:
            self.slots = Slots(self.spawner, logs, clock, tasks)
            control = Control(
                self.about, self.slots, listeners, Presence(clock), self.shut_down.append
            )
            server = HttpServer(lambda exchange: self._answer(control, exchange))
            await server.listen(_bound(self.path))
            up.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.path.unlink(missing_ok=True)
                await server.close()
                for _ in range(3):  # a connection that was just being accepted is closed, too
                    await asyncio.to_thread(lambda: None)
                listeners.close()
                self.spawner.close()
                await logs.close()

    async def _answer(self, control: Control, exchange: Exchange) -> None:
        request = exchange.request
        if request.path != "/v1/changes":
            self.asked.append(f"{request.method} {request.path}")
        patient = request.path in ("/v1/changes", "/v1/keeper")
        if self.silent is not None and not patient:
            await self.silent.wait()
        await control.handle(exchange)


@asynccontextmanager
async def keeper_here(
    path: Path, spawner: StandInSpawner | None = None, protocol: int = PROTOCOL
) -> AsyncIterator[KeeperHere]:
    """A keeper at this path while the block lasts; its end is as sudden as a kill."""
    keeper = KeeperHere(path, spawner or StandInSpawner(), protocol)
    up = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        living = tasks.create_task(keeper.live(up))
        await up.wait()
        try:
            yield keeper
        finally:
            living.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await living


def _bound(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    sock.setblocking(False)
    return sock
