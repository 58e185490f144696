"""The API on a socket, served by uvicorn's protocol under our own care.

uvicorn's own server installs signal handlers and wakes up ten times a second; its protocol
does neither. Here are what is left: who may connect (the same user, or root, as the kernel
tells it), and an end that lets answers finish and watches close.
"""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

from starlette.applications import Starlette
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from mooring import telemetry

END_SECONDS = 5.0
"""How long answers under way may take when the API ends."""

RETRY_SECONDS = 0.5
"""Pause after a connection could not be taken."""
GREETING_SECONDS = 1.0
"""How long it may take until a connection that was taken is ours."""

_REFUSAL = (
    b'{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,'
    b'"message":"this socket serves its owner and root only"}'
)


def peer_uid(connection: socket.socket) -> int | None:
    """The uid of the process at the other end; None where the kernel does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if connection.family != socket.AF_UNIX or option is None:
        return None
    told = connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i"))
    return int(struct.unpack("3i", told)[1])


class _Connection(HttpToolsProtocol):
    """One connection of a caller who may have it."""

    _refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        uid = peer_uid(transport.get_extra_info("socket"))
        if uid is not None and uid not in (0, os.getuid()):
            telemetry.event("api.refused", uid=uid)
            self._refused = True
            self._refuse(cast(asyncio.Transport, transport))
            return
        self.app_state = {**self.app_state, "peer_uid": uid}
        super().connection_made(cast(asyncio.Transport, transport))

    def data_received(self, chunk: bytes) -> None:
        if not self._refused:
            super().data_received(chunk)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._refused:
            super().connection_lost(error)

    @staticmethod
    def _refuse(transport: asyncio.Transport) -> None:
        transport.write(
            b"HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(_REFUSAL), _REFUSAL)
        )
        transport.close()


async def serve(app: Starlette, listener: socket.socket, seconds: float = END_SECONDS) -> None:
    """Serves a bound, listening stream socket until cancelled; then ends in so many seconds.

    Watches and followed logs are ended first, answers under way may finish, what is left is
    cut. The socket is closed; its path is not removed.
    """
    config = Config(app, log_config=None, access_log=False, ws="none", lifespan="off")
    config.load()
    state = ServerState()
    async with asyncio.TaskGroup() as tasks:
        door = _Door(listener, lambda: _Connection(config, state, {}), tasks)
        door.open()
        try:
            await asyncio.get_running_loop().create_future()  # until cancelled
        finally:
            await door.close()
            await _end(app, state, seconds)


class _Door:
    """Takes connections one by one.

    A server of asyncio takes many at once, and loses those that it has not greeted when it is
    closed: their callers would wait for an answer that nobody gives.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], _Connection],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._greetings: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begins, or goes on after a pause."""
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._admit)

    async def close(self) -> None:
        """Nobody enters any more; those who did are greeted."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        if self._greetings:
            await asyncio.wait(self._greetings, timeout=GREETING_SECONDS)

    def _admit(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:  # too many open files, most likely
            telemetry.event("api.accept", logging.WARNING, error=error)
            self._loop.remove_reader(self._listener)
            self._pause = self._loop.call_later(RETRY_SECONDS, self.open)
            return
        greeting = self._tasks.create_task(self._greet(connection))
        self._greetings.add(greeting)
        greeting.add_done_callback(self._greetings.discard)

    async def _greet(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()


async def _end(app: Starlette, state: ServerState, seconds: float) -> None:
    app.state.ending.set()
    for connection in list(state.connections):
        connection.shutdown()
    if state.tasks:
        _, late = await asyncio.wait(set(state.tasks), timeout=seconds)
        for task in late:
            task.cancel()
    for connection in list(state.connections):
        transport: Any = connection.transport
        transport.abort()
