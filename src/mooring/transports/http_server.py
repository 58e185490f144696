"""Our own HTTP/1.1 server, for the MCP port and the keeper's socket.

It is small because it does one thing: bounded requests in, whole or streamed answers out,
with deadlines for everything a client might keep us waiting for. One timer sweeps over all
connections; a request costs one task.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine
from email.utils import formatdate
from typing import Any, Final, Protocol, cast

from mooring import telemetry
from mooring.transports.http_connection import ServerConnection
from mooring.transports.http_exchange import ClientGone, Exchange
from mooring.transports.http_head import Headers, Limits, Request
from mooring.transports.http_recall import Recall
from mooring.transports.turns import Turns

__all__ = ["ClientGone", "Exchange", "Handler", "Headers", "HttpServer", "Limits", "Request"]

Handler = Callable[[Exchange], Awaitable[None]]
Swift = Callable[[Exchange, "HttpServer"], bool]
"""Handles a request without a task, or says that this one needs one (False). It must not wait: if
the answer is not given when it returns, the server is told later (`finished`, `goes_on`)."""
Refusal = Callable[[int, str], tuple[Headers, bytes]]
"""Renders an answer that the server gives itself: status and sentence in, headers and body out."""

_DEFAULTS: Final = Limits()
_BACKLOG: Final = 2048
_LONGEST_TICK: Final = 1.0
LAST_REQUEST_SECONDS: Final = 0.5
"""How long a drain waits for a request that may be on its way on an idle connection."""
_TURNED_AWAY: Final = 256
"""Connections over the limit that are told so; any further one is cut."""
_TEXT: Final = ((b"content-type", b"text/plain; charset=utf-8"),)


def _plain(status: int, message: str) -> tuple[Headers, bytes]:
    return _TEXT, f"{status}: {message}\n".encode()


class Listener(Protocol):
    """What takes connections from a socket."""

    def close(self) -> None:
        """Takes no more, and closes the socket."""
        ...


class HttpServer:
    """Listens, reads requests, runs the handler for each; owns the handlers' tasks."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits = _DEFAULTS,
        refusal: Refusal | None = None,
        swift: Swift | None = None,
    ) -> None:
        """`swift`: is asked before a request gets a task."""
        self.limits = limits
        self.refusal: Refusal = refusal or _plain
        self.known: Recall[Request] = Recall()
        self.draining = False
        self.now = 0.0
        self.date = b""
        self.tick = min(_LONGEST_TICK, limits.shortest_wait / 4)
        self._handler = handler
        self._swift = swift
        self._is_swift = False
        """A request is just being handled, so that one behind it must not be in the same breath."""
        self._listeners: list[Listener] = []
        self._connections: set[ServerConnection] = set()
        self._tasks: dict[Exchange, asyncio.Task[None] | None] = {}
        """Requests that are handled; None where that takes no task."""
        self._loop = cast(asyncio.AbstractEventLoop, None)  # until it listens
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def requests_open(self) -> int:
        """Requests whose handler runs."""
        return len(self._tasks)

    @property
    def connections_open(self) -> int:
        """Connections that have not been closed by both sides."""
        return len(self._connections)

    async def listen(self, sock: socket.socket, turns: Turns | None = None) -> None:
        """Starts to accept on a bound socket (TCP or Unix), which is the server's from now on.

        May be called for several sockets. `turns`: other processes accept on it, too.
        """
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._sweep()
        if turns is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            turns.open(sock, self._accept, lambda: len(self._connections))
            self._listeners.append(turns)
            return
        listener: Listener
        if sock.family == socket.AF_UNIX:
            listener = await loop.create_unix_server(self._accept, sock=sock, backlog=_BACKLOG)
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
            listener = await loop.create_server(self._accept, sock=sock, backlog=_BACKLOG)
        self._listeners.append(listener)

    def stop_accepting(self) -> None:
        """Closes the listening sockets; connections go on."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def drain(self, seconds: float) -> bool:
        """Lets open requests end, takes no new connections; True when all ended in time.

        A client that has connected may be sending its request already, so idle connections have a
        moment for one more; like all others under way it is answered with `connection: close`.
        """
        self.stop_accepting()
        self.draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._last_requests()
                while not self._is_over():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def _last_requests(self) -> None:
        """Returns when no connection is idle, or the moment is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_REQUEST_SECONDS):
                while any(connection.idle for connection in self._connections):
                    self._changed.clear()
                    await self._changed.wait()

    def _is_over(self) -> bool:
        """Whether nothing is left but connections that are closed now."""
        for connection in tuple(self._connections):
            if connection.idle:
                connection.close()
        return not self._tasks and all(c.settled for c in self._connections)

    async def close(self) -> None:
        """Cuts what is left: connections and handlers; returns when they have ended."""
        self.stop_accepting()
        self.draining = True
        for connection in tuple(self._connections):
            connection.abort()
        tasks = [task for task in self._tasks.values() if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._tasks.clear()
        while self._connections:
            self._changed.clear()
            await self._changed.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # What connections call.

    def connected(self, connection: ServerConnection) -> bool:
        """Counts a connection in; False when there are too many."""
        over = len(self._connections) - self.limits.connections
        self._connections.add(connection)
        if over >= _TURNED_AWAY:
            connection.abort()
            return True
        return over < 0

    def disconnected(self, connection: ServerConnection) -> None:
        """Counts a connection out."""
        self._connections.discard(connection)
        self._changed.set()

    def settled(self) -> None:
        """Something ended that `drain` may wait for."""
        self._changed.set()

    def serve(self, exchange: Exchange) -> None:
        """Runs the handler, in a task of its own where that is needed; `close` sees to its end."""
        swift = self._swift
        if swift is None or self._is_swift:
            self._tasks[exchange] = self._loop.create_task(self._handle(exchange))
            return
        self._tasks[exchange] = None
        self._is_swift = True
        try:
            if not swift(exchange, self):
                self._tasks[exchange] = self._loop.create_task(self._handle(exchange))
        except Exception as error:  # noqa: BLE001 - the top of a request
            self.failed(exchange, error)
        finally:
            self._is_swift = False

    async def _handle(
        self, exchange: Exchange, rest: Coroutine[Any, Any, None] | None = None
    ) -> None:
        try:
            await (self._handler(exchange) if rest is None else rest)
        except ClientGone:
            pass
        except Exception as error:  # noqa: BLE001 - the top of a request
            self._log("http.handler_failed", exchange, error=repr(error))
        finally:
            self.finished(exchange)

    # What is told of requests that are handled without a task.

    def finished(self, exchange: Exchange) -> None:
        """A request has been handled; one without an answer gets one."""
        if not exchange.ended:
            self._give_up(exchange)
        self._tasks.pop(exchange, None)
        if self.draining:
            self._changed.set()

    def goes_on(self, exchange: Exchange, rest: Coroutine[Any, Any, None]) -> None:
        """A request needs a task after all."""
        if exchange in self._tasks:
            self._tasks[exchange] = self._loop.create_task(self._handle(exchange, rest))
        else:
            rest.close()  # the server was closed meanwhile

    def failed(self, exchange: Exchange, error: Exception) -> None:
        """Handling a request went wrong in a way that nobody has thought of."""
        self._log("http.handler_failed", exchange, error=repr(error))
        self.finished(exchange)

    def _give_up(self, exchange: Exchange) -> None:
        """A client does not wait for an answer that cannot come any more."""
        if exchange.started:
            exchange.abort()
        else:
            exchange.respond(500, *self.refusal(500, "the request could not be handled"))

    def _log(self, name: str, exchange: Exchange, **fields: str) -> None:
        request = exchange.request
        telemetry.event(name, logging.ERROR, method=request.method, path=request.path, **fields)

    def _accept(self) -> ServerConnection:
        return ServerConnection(self)

    def _sweep(self) -> None:
        """Looks at every connection's deadlines, and at the clock for the Date header."""
        self._loop = loop = asyncio.get_running_loop()
        self.now = loop.time()
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode("ascii")
        for connection in tuple(self._connections):
            connection.check(self.now)
        if self.draining:
            self._changed.set()
        self._timer = loop.call_later(self.tick, self._sweep)
