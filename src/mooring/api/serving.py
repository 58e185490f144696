"""The API on a socket, served by uvicorn's protocol under our own care.

uvicorn's own server installs signal handlers and wakes up ten times a second; its protocol
does neither. Here is what is left: how many may come in, TLS, and an end that lets answers
finish and watches close. Who may come in and what bounds hold for one is `api.connection`'s.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from uvicorn import Config
from uvicorn.server import ServerState

from mooring import telemetry
from mooring.api.connection import HEAD_SECONDS, Connection
from mooring.api.guard import Guard
from mooring.api.token import TokenFile

END_SECONDS = 5.0
"""How long answers under way may take when the API ends."""

RETRY_SECONDS = 0.5
"""Pause after a connection could not be taken."""
GREETING_SECONDS = 1.0
"""How long it may take until a connection that was taken is ours."""

KEEPALIVE_SECONDS = 75
"""Between two requests. Clients that keep connections for 5 s would often write into one that is
just being closed, were it no longer than that."""
CONNECTIONS = 1000
"""At one door; whoever comes then is sent away at once."""


@dataclass(frozen=True, slots=True)
class Lock:
    """What a door has that is not for its owner alone."""

    tls: ssl.SSLContext
    token: TokenFile
    names: tuple[str, ...] = ()
    """Under which callers may come, beside loopback; as a Host header has them."""


async def serve(
    app: Starlette,
    listener: socket.socket,
    seconds: float = END_SECONDS,
    *,
    lock: Lock | None = None,
) -> None:
    """Serves a bound, listening stream socket until cancelled; then ends in so many seconds.

    Watches and followed logs are ended first, answers under way may finish, what is left is
    cut. The socket is closed; its path is not removed.
    """
    entrance = app if lock is None else Guard(app, lock.token, lock.names)
    config = Config(
        entrance,
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="off",
        timeout_keep_alive=KEEPALIVE_SECONDS,
    )
    config.load()
    state = ServerState()
    async with asyncio.TaskGroup() as tasks:
        tls = None if lock is None else lock.tls
        door = _Door(listener, lambda: Connection(config, state, {}), tasks, tls, state.connections)
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
        protocol: Callable[[], Connection],
        tasks: asyncio.TaskGroup,
        tls: ssl.SSLContext | None,
        inside: Sized,
    ) -> None:
        """`inside`: who has come in and is still there."""
        self._listener = listener
        self._inside = inside
        self._full = False
        self._tls = tls
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
        if not self._room():
            connection.close()
            return
        if connection.family != socket.AF_UNIX:  # an answer in two pieces must not wait 40 ms
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        greeting = self._tasks.create_task(self._greet(connection))
        self._greetings.add(greeting)
        greeting.add_done_callback(self._greetings.discard)

    def _room(self) -> bool:
        """Whether one more may come in; it is logged once that nobody may."""
        full = len(self._inside) + len(self._greetings) >= CONNECTIONS
        if full and not self._full:
            telemetry.event("api.full", logging.WARNING, connections=CONNECTIONS)
        self._full = full
        return not full

    async def _greet(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._protocol,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=HEAD_SECONDS if self._tls else None,
            )
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
