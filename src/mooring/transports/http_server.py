"""Our own HTTP/1.1 server, for the MCP port and the keeper's socket.

It is small because it does one thing: bounded requests in, whole or streamed answers out,
with deadlines for everything a client might keep us waiting for. One timer sweeps over all
connections; a request costs one task.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from mooring import telemetry
from mooring.transports.http_connection import ServerConnection
from mooring.transports.http_exchange import ClientGone, Exchange
from mooring.transports.http_head import Headers, Limits, Request

__all__ = ["ClientGone", "Exchange", "Handler", "Headers", "HttpServer", "Limits", "Request"]

Handler = Callable[[Exchange], Awaitable[None]]
Refusal = Callable[[int, str], tuple[Headers, bytes]]

_DEFAULTS: Final = Limits()
_BACKLOG: Final = 2048
_TEXT: Final = ((b"content-type", b"text/plain; charset=utf-8"),)


def _plain(status: int, message: str) -> tuple[Headers, bytes]:
    return _TEXT, message.encode() + b"\n"


class HttpServer:
    """Listens, reads requests, runs the handler for each; owns the handlers' tasks."""

    def __init__(
        self, handler: Handler, limits: Limits = _DEFAULTS, refusal: Refusal | None = None
    ) -> None:
        self.limits = limits
        self.refusal: Refusal = refusal or _plain
        self.draining = False
        self.now = 0.0
        self._handler = handler
        self._listeners: list[asyncio.Server] = []
        self._connections: set[ServerConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def requests_open(self) -> int:
        """Requests whose handler runs."""
        return len(self._tasks)

    @property
    def connections_open(self) -> int:
        return len(self._connections)

    async def listen(self, sock: socket.socket) -> None:
        """Starts to accept on a bound socket (TCP or Unix), which is the server's from now on."""
        loop = asyncio.get_running_loop()
        self.draining = False
        if self._timer is None:
            self._sweep()
        if sock.family == socket.AF_UNIX:
            listener = await loop.create_unix_server(self._accept, sock=sock, backlog=_BACKLOG)
        else:
            listener = await loop.create_server(self._accept, sock=sock, backlog=_BACKLOG)
        self._listeners.append(listener)

    def stop_accepting(self) -> None:
        """Closes the listening sockets; connections go on."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def drain(self, seconds: float) -> bool:
        """Lets open requests end, takes no new ones; True when all ended by themselves in time.

        Idle connections are closed at once; the others learn by `connection: close`.
        """
        self.stop_accepting()
        self.draining = True
        for connection in tuple(self._connections):
            if connection.idle:
                connection.close()
        try:
            async with asyncio.timeout(seconds):
                while self._tasks or not all(c.settled for c in self._connections):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Cuts what is left: connections and handlers; returns when they have ended."""
        self.stop_accepting()
        self.draining = True
        for connection in tuple(self._connections):
            connection.abort()
        for task in self._tasks:
            task.cancel()
        while self._tasks or self._connections:
            self._changed.clear()
            await self._changed.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # What connections call.

    def connected(self, connection: ServerConnection) -> bool:
        self._connections.add(connection)
        return len(self._connections) <= self.limits.connections

    def disconnected(self, connection: ServerConnection) -> None:
        self._connections.discard(connection)
        self._changed.set()

    def settled(self) -> None:
        self._changed.set()

    def serve(self, exchange: Exchange) -> None:
        task = asyncio.get_running_loop().create_task(self._handle(exchange))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    async def _handle(self, exchange: Exchange) -> None:
        try:
            await self._handler(exchange)
        except ClientGone:
            pass
        except Exception as error:  # noqa: BLE001 - the top of a request
            telemetry.event(
                "http.handler_failed",
                logging.ERROR,
                method=exchange.request.method,
                path=exchange.request.path,
                error=repr(error),
            )
        finally:
            self._complete(exchange)

    def _complete(self, exchange: Exchange) -> None:
        """A handler has returned; a client never waits for an answer that cannot come."""
        if not exchange.started:
            exchange.respond(500, *_plain(500, "the request could not be handled"))
        elif not exchange.ended:
            exchange.abort()

    def _accept(self) -> ServerConnection:
        return ServerConnection(self)

    def _sweep(self) -> None:
        """Looks at every connection's deadlines."""
        loop = asyncio.get_running_loop()
        self.now = now = loop.time()
        limits = self.limits
        shortest = min(
            limits.head_seconds,
            limits.body_idle_seconds,
            limits.keepalive_seconds,
            limits.write_idle_seconds,
            limits.linger_seconds,
        )
        for connection in tuple(self._connections):
            connection.check(now)
        if self.draining:
            self._changed.set()
        self._timer = loop.call_later(min(1.0, shortest / 4), self._sweep)
