"""Who answers on the MCP port, and in which process.

It is opened when all is ready for it, and drained at the end. The daemon has a gateway within
itself, or starts several processes (`programs/workers`), each of which has one within itself.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from mooring import telemetry
from mooring.gateway.call import refusal
from mooring.gateway.gateway import Gateway
from mooring.transports.http_server import HttpServer
from mooring.transports.turns import Turns

DRAIN_SECONDS = 10.0
"""How long requests under way may take when a gateway ends."""


class Ending:
    """The wish to end; the second one is impatient."""

    def __init__(self, begun: Callable[[], None]) -> None:
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()
        self._begun = begun

    def ask(self) -> None:
        """Once: end in order. Twice: at once."""
        if self.asked.is_set():
            self.hurry.set()
        else:
            self.asked.set()
            self._begun()


class Answering(Protocol):
    """Answers on the MCP port. `run` is started first, and goes on until it is cancelled."""

    async def run(self) -> None:
        """What goes on in the background."""
        ...

    async def open(self) -> None:
        """Returns once requests are answered; raises Unavailable where they will not be."""
        ...

    async def drain(self, hurry: asyncio.Event) -> None:
        """Takes no new requests; returns when those under way have ended, or been cut."""
        ...


class Within:
    """A gateway in this process; `turns`: there are others that accept on the same socket.

    `beside`: what goes on for as long as the gateway does, from its first table on.
    """

    def __init__(
        self,
        gateway: Gateway,
        listener: socket.socket,
        beside: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
        turns: Turns | None = None,
    ) -> None:
        self._gateway = gateway
        self._listener = listener
        self._beside = beside
        self._turns = turns
        self._server = HttpServer(gateway.handle, refusal=refusal, swift=gateway.swift)

    async def run(self) -> None:
        """Keeps the table true."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._gateway.run())
            await self._gateway.loaded.wait()
            for each in self._beside:
                tasks.create_task(each())

    async def open(self) -> None:
        """Listens as soon as there is a table."""
        await self._gateway.loaded.wait()
        await self._server.listen(self._listener, self._turns)

    async def drain(self, hurry: asyncio.Event) -> None:
        """Streams end at once; calls have their time."""
        telemetry.event("gateway.draining", requests=self._server.requests_open)
        self._server.stop_accepting()
        if self._turns is not None:
            await self._turns.settled()
        self._gateway.close_streams()
        await either(self._server.drain(DRAIN_SECONDS), hurry.wait())
        await self._server.close()


async def either(*waits: Coroutine[Any, Any, object]) -> None:
    """Returns when one of them has come; the others are given up."""
    async with asyncio.TaskGroup() as tasks:
        begun = [tasks.create_task(wait) for wait in waits]
        await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
        for task in begun:
            task.cancel()


def listed(text: str) -> list[str]:
    """The items of a setting that is a list."""
    return [item.strip() for item in text.split(",") if item.strip()]
