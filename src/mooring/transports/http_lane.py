"""The connections to one address: which are free, who waits for one, how many there may be."""

import asyncio
import os
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Final

from mooring.core.address import Address
from mooring.errors import Unavailable
from mooring.transports.http_asking import Head, UpstreamConnection
from mooring.transports.http_exchange import FRAMING, HeadWriter
from mooring.transports.http_head import Headers
from mooring.transports.http_reach import reach
from mooring.transports.http_recall import Recall

_OURS: Final = FRAMING | {b"accept-encoding", b"host"}
"""Headers that the lane gives."""
_write: Final = HeadWriter(_OURS).write
_PATHS: Final = 64
"""Paths whose first lines are remembered; past it all are forgotten."""
_EMPTY_BODIED: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS"})
"""Methods whose empty body is not worth a content-length (RFC 9110 section 8.6)."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """What the pool may use up. Sizes in bytes, times in seconds."""

    connections: int = 4096
    """To one address; further requests wait for one to be free."""
    head: int = 64 * 1024
    """Of an answer."""
    idle_seconds: float = 15.0
    """After which an unused connection is closed."""
    fresh_seconds: float = 2.0
    """Within which a connection may be used again for a request that must not run twice.
    Servers close idle connections after 5 s, and the news may be on its way."""


class Lane:
    """The connections to one address."""

    __slots__ = (
        "_address",
        "_closed",
        "_first",
        "_host",
        "_idle",
        "_limits",
        "_opening",
        "_tls",
        "_waiting",
        "connections",
        "emptied",
        "known",
        "loop",
        "where",
    )

    def __init__(self, address: Address, limits: PoolLimits, tls: ssl.SSLContext | None) -> None:
        self.where = _describe(address)
        """The address in an error's words."""
        self.connections: set[UpstreamConnection] = set()
        self.emptied = asyncio.Event()
        """Set when the last connection is lost."""
        self.loop = asyncio.get_running_loop()
        self.known: Recall[Head] = Recall()
        self._address = address
        self._host = f" HTTP/1.1\r\nhost: {address.authority}\r\n"
        self._limits = limits
        self._tls = tls
        self._closed = False
        self._first: dict[tuple[str, str], bytes] = {}
        """First lines of requests, by method and path."""
        self._idle: list[UpstreamConnection] = []
        """The one that was used last is at the end."""
        self._waiting: deque[asyncio.Future[UpstreamConnection | None]] = deque()
        self._opening = 0

    @property
    def unused(self) -> bool:
        """Whether nothing would be lost with this lane."""
        return not self.connections and not self._opening and not self._waiting

    def request(self, method: str, path: str, headers: Headers, body: bytes) -> bytes:
        """A request to this address as bytes. ValueError for what would break out of its line."""
        first = self._first.get((method, path)) or self._begin(method, path)
        framing = b"accept-encoding: identity\r\n"
        if body or method not in _EMPTY_BODIED:
            framing = b"accept-encoding: identity\r\ncontent-length: %d\r\n" % len(body)
        return b"%b%b\r\n%b" % (_write(first, headers), framing, body)

    def _begin(self, method: str, path: str) -> bytes:
        """The first lines of a request."""
        if not path.isascii() or not path.isprintable() or " " in path:
            raise ValueError(f"not a path: {path!r}")
        if len(self._first) >= _PATHS:
            self._first.clear()
        first = self._first[method, path] = f"{method} {path}{self._host}".encode("ascii")
        return first

    def take(self, *, repeatable: bool) -> UpstreamConnection | None:
        """An idle connection that will do, if there is one."""
        idle = self._idle
        while idle:
            if repeatable:
                return idle.pop()
            age = self.loop.time() - idle[-1].idle_since
            if age > self._limits.fresh_seconds:
                return None  # those before it are older
            connection = idle.pop()
            if connection.quiet:
                return connection
            connection.abort()
        return None

    async def open(self, deadline: float) -> UpstreamConnection:
        """A new connection, or one that becomes free while there are too many.

        Raises Unavailable("UpstreamRefused").
        """
        try:
            async with asyncio.timeout_at(deadline):
                while len(self.connections) + self._opening >= self._limits.connections:
                    freed = await self._turn()
                    if freed is not None:
                        return freed
                return await self._connect()
        except TimeoutError:
            what = f"no connection to {self.where} could be made in time"
            raise Unavailable("UpstreamRefused", what) from None
        except (OSError, UnicodeError) as error:
            what = f"cannot connect to {self.where}: {_words(error)}"
            raise Unavailable("UpstreamRefused", what) from error

    async def _turn(self) -> UpstreamConnection | None:
        """Waits for a connection to be free, or for room for a new one (None)."""
        if self._idle:
            self._idle.pop(0).abort()  # too old for this request, or it would have been taken
        waiter: asyncio.Future[UpstreamConnection | None]
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._pass_on(waiter.result())
            raise

    async def _connect(self) -> UpstreamConnection:
        self._opening += 1
        try:
            connection = await self._establish()
            if self._closed:
                connection.abort()
                raise Unavailable("UpstreamRefused", "the pool of connections is closed")
            return connection
        finally:
            self._opening -= 1
            self._pass_on(None)  # the connection may have been counted twice, or not be made

    async def _establish(self) -> UpstreamConnection:
        address = self._address
        loop = asyncio.get_running_loop()
        sock = await reach(address)
        connection = UpstreamConnection(self.where, self._limits.head, self)
        try:
            if address.socket:
                await loop.create_unix_connection(lambda: connection, sock=sock)
            else:
                await loop.create_connection(
                    lambda: connection,
                    sock=sock,
                    ssl=self._tls if address.tls else None,
                    server_hostname=address.host if address.tls else None,
                )
        except BaseException:
            self.lost(connection)  # uvloop does not say so when it is cancelled
            sock.close()
            raise
        return connection

    def made(self, connection: UpstreamConnection) -> None:
        """Counts a connection in."""
        self.connections.add(connection)

    def freed(self, connection: UpstreamConnection) -> None:
        """Takes a connection back."""
        connection.idle_since = self.loop.time()
        self._pass_on(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """Counts a connection out."""
        self.connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._pass_on(None)
        if not self.connections:
            self.emptied.set()

    def _pass_on(self, connection: UpstreamConnection | None) -> None:
        """Gives a free connection, or the room for one, to whoever waits longest."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is not None:
            self._idle.append(connection)

    def sweep(self, now: float) -> None:
        """Closes what has been idle for long; ends waits whose time has passed."""
        for connection in self.connections:
            connection.expire(now)
        while self._idle and now - self._idle[0].idle_since > self._limits.idle_seconds:
            self._idle.pop(0).abort()

    async def close(self) -> None:
        """Closes all connections; returns when they are closed."""
        self._closed = True
        for waiter in self._waiting:
            if not waiter.done():
                what = "the pool of connections is closed"
                waiter.set_exception(Unavailable("UpstreamRefused", what))
        for connection in tuple(self.connections):
            connection.abort()
        while self.connections:
            self.emptied.clear()
            await self.emptied.wait()


def _describe(address: Address) -> str:
    if address.socket:
        return f"unix://{address.socket}"
    return f"{'https' if address.tls else 'http'}://{address.authority}"


def _words(error: Exception) -> str:
    """What the system says of a failure, without its number."""
    if isinstance(error, OSError):
        if error.errno and not isinstance(error, ssl.SSLError | socket.gaierror):
            return os.strerror(error.errno)
        return error.strerror or str(error)
    return str(error)
