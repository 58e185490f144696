"""The API on a socket, served by uvicorn's protocol under our own care.

uvicorn's own server installs signal handlers and wakes up ten times a second; its protocol
does neither. Here are what is left: who may connect (the same user, or root, as the kernel
tells it), and an end that lets answers finish and watches close.
"""

import asyncio
import os
import socket
import struct
from typing import Any, cast

from starlette.applications import Starlette
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from mooring import telemetry

END_SECONDS = 5.0
"""How long answers under way may take when the API ends."""

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
    """Serves a bound stream socket until cancelled; then ends in at most so many seconds.

    Watches and followed logs are ended first, answers under way may finish, what is left is
    cut. The socket is closed; its path is not removed.
    """
    config = Config(app, log_config=None, access_log=False, ws="none", lifespan="off")
    config.load()
    state = ServerState()

    def connection() -> _Connection:
        return _Connection(config=config, server_state=state, app_state={})

    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(connection, sock=listener)
    try:
        await loop.create_future()  # until cancelled
    finally:
        server.close()
        await _end(app, state, seconds)


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
