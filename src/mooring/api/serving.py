"""The API on a socket, served by uvicorn's protocol under our own care.

uvicorn's own server installs signal handlers and wakes up ten times a second; its protocol
does neither. Here are what is left: who may connect (on a Unix socket the same user, or root, as
the kernel tells it), bounds for the head of a request, TLS, and an end that lets answers finish
and watches close.
"""

import asyncio
import logging
import os
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from starlette.applications import Starlette
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from mooring import telemetry
from mooring.api.guard import Guard
from mooring.api.token import TokenFile

END_SECONDS = 5.0
"""How long answers under way may take when the API ends."""

RETRY_SECONDS = 0.5
"""Pause after a connection could not be taken."""
GREETING_SECONDS = 1.0
"""How long it may take until a connection that was taken is ours."""

HEAD_SECONDS = 10.0
"""How long the head of a request may take; a handshake too."""
HEAD_BYTES = 64 * 1024

_REFUSAL = (
    b'{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,'
    b'"message":"this socket serves its owner and root only"}'
)
_TOO_LARGE = b"HTTP/1.1 431 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


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
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        uid = peer_uid(transport.get_extra_info("socket"))
        if uid is not None and uid not in (0, os.getuid()):
            telemetry.event("api.refused", uid=uid)
            self._refused = True
            self._refuse(cast(asyncio.Transport, transport))
            return
        self.app_state = {**self.app_state, "peer_uid": uid}
        super().connection_made(cast(asyncio.Transport, transport))
        self._expect_head()

    def data_received(self, chunk: bytes) -> None:
        if self._refused:
            return
        super().data_received(chunk)
        if self._deadline is None:
            self._head_bytes = 0
            return
        self._head_bytes += len(chunk)
        if self._head_bytes > HEAD_BYTES:
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        self._expect_nothing()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def connection_lost(self, error: Exception | None) -> None:
        self._expect_nothing()
        if not self._refused:
            super().connection_lost(error)

    @staticmethod
    def _refuse(transport: asyncio.Transport) -> None:
        transport.write(
            b"HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(_REFUSAL), _REFUSAL)
        )
        transport.close()


@dataclass(frozen=True, slots=True)
class Lock:
    """What a door has that is not for its owner alone."""

    tls: ssl.SSLContext
    token: TokenFile


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
    entrance = app if lock is None else Guard(app, lock.token)
    config = Config(entrance, log_config=None, access_log=False, ws="none", lifespan="off")
    config.load()
    state = ServerState()
    async with asyncio.TaskGroup() as tasks:
        tls = None if lock is None else lock.tls
        door = _Door(listener, lambda: _Connection(config, state, {}), tasks, tls)
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
        tls: ssl.SSLContext | None,
    ) -> None:
        self._listener = listener
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
        if connection.family != socket.AF_UNIX:  # an answer in two pieces must not wait 40 ms
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        greeting = self._tasks.create_task(self._greet(connection))
        self._greetings.add(greeting)
        greeting.add_done_callback(self._greetings.discard)

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
