"""The pool of connections to upstreams: TCP, TLS and Unix sockets.

What a caller needs to know after a failure is whether the request may have run. So
"UpstreamRefused" means that nothing was sent, and everything else that something may have
been. A request that must not run twice is never put on a connection that the upstream may
just be closing.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, TypedDict, Unpack

from mooring.core.address import Address
from mooring.core.remote import refusal
from mooring.errors import Unavailable
from mooring.transports.http_exchange import encode_lines
from mooring.transports.http_head import Headers
from mooring.transports.http_reply import Chunks, Reply, Stale, UpstreamConnection

__all__ = ["Chunks", "Conditions", "Pool", "PoolLimits", "Reply"]


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """What the pool may use up. Sizes in bytes, times in seconds."""

    connections: int = 4096
    """To one address; further requests wait for one to be free."""
    head: int = 64 * 1024
    idle_seconds: float = 15.0
    """After which an unused connection is closed."""
    fresh_seconds: float = 2.0
    """Within which a connection may be used again for a request that must not run twice.
    Servers close idle connections after 5 s, and the news may be on its way."""


class Conditions(TypedDict, total=False):
    """How a request is to be sent."""

    path: str
    """Instead of the address's own."""
    repeatable: bool
    """Whether it may run twice (True)."""
    seconds: float
    """For connecting, sending and waiting for the head of the answer (60)."""


_DEFAULTS: Final = PoolLimits()
_SWEEP_SECONDS: Final = 0.25
_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1


class Pool:
    """Connections to any number of addresses, kept and used again."""

    def __init__(self, limits: PoolLimits = _DEFAULTS, tls: ssl.SSLContext | None = None) -> None:
        self._limits = limits
        self._tls = tls
        self._lanes: dict[tuple[str, int, bool], _Lane] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._changed = asyncio.Event()

    async def send(
        self,
        address: Address,
        method: str,
        headers: Headers,
        body: bytes = b"",
        **conditions: Unpack[Conditions],
    ) -> Reply:
        """Sends a request; returns when the head of its answer is there.

        Host, content-length and accept-encoding are the pool's. A request that is repeatable
        gets a second, new connection when a used one turns out to be closed. Raises
        Unavailable: "UpstreamRefused" (nothing was sent), "UpstreamReset" (it may have run),
        "UpstreamTimeout", "UpstreamMalformed".
        """
        repeatable = conditions.get("repeatable", True)
        deadline = asyncio.get_running_loop().time() + conditions.get("seconds", 60.0)
        request = _request(address, method, conditions.get("path") or address.path, headers, body)
        lane = self._lane(address)
        bare = method == "HEAD"
        connection = lane.take(repeatable=repeatable)
        if connection is not None:
            connection.deadline = deadline
            try:
                return await connection.ask(request, bare=bare)
            except Stale:
                if not repeatable:
                    raise _reset(lane) from None
        connection = await lane.open(address, deadline)
        connection.deadline = deadline
        try:
            return await connection.ask(request, bare=bare)
        except Stale:
            raise _reset(lane) from None

    async def close(self) -> None:
        """Closes all connections; requests under way fail."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for lane in self._lanes.values():
            lane.close()
        while any(lane.connections for lane in self._lanes.values()):
            self._changed.clear()
            await self._changed.wait()

    def _lane(self, address: Address) -> "_Lane":
        key = (address.socket or address.host, address.port, address.tls)
        lane = self._lanes.get(key)
        if lane is None:
            if self._closed:
                raise Unavailable("UpstreamRefused", "the pool is closed")
            if address.tls and self._tls is None:
                self._tls = ssl.create_default_context()
            lane = _Lane(_describe(address), self._limits, self._tls, self._changed)
            self._lanes[key] = lane
        if self._timer is None and not self._closed:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_SWEEP_SECONDS, self._sweep)
        return lane

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for key, lane in tuple(self._lanes.items()):
            lane.sweep(now)
            if lane.unused:
                del self._lanes[key]
        self._timer = loop.call_later(_SWEEP_SECONDS, self._sweep) if self._lanes else None


class _Lane:
    """The connections to one address."""

    __slots__ = (
        "_changed",
        "_idle",
        "_limits",
        "_opening",
        "_tls",
        "_waiting",
        "connections",
        "where",
    )

    def __init__(
        self, where: str, limits: PoolLimits, tls: ssl.SSLContext | None, changed: asyncio.Event
    ) -> None:
        self.where = where
        self.connections: set[UpstreamConnection] = set()
        self._limits = limits
        self._tls = tls
        self._changed = changed
        self._idle: list[UpstreamConnection] = []
        self._waiting: deque[asyncio.Future[UpstreamConnection | None]] = deque()
        self._opening = 0

    @property
    def unused(self) -> bool:
        return not self.connections and not self._opening and not self._waiting

    def take(self, *, repeatable: bool) -> UpstreamConnection | None:
        """An idle connection that will do, if there is one."""
        while self._idle:
            connection = self._idle[-1]
            if not repeatable:
                age = asyncio.get_running_loop().time() - connection.idle_since
                if age > self._limits.fresh_seconds:
                    return None  # those below it are older
            self._idle.pop()
            if repeatable or connection.quiet:
                return connection
            connection.abort()
        return None

    async def open(self, address: Address, deadline: float) -> UpstreamConnection:
        """A new connection, or one that becomes free while there are too many."""
        try:
            async with asyncio.timeout_at(deadline):
                while len(self.connections) + self._opening >= self._limits.connections:
                    freed = await self._turn()
                    if freed is not None:
                        return freed
                self._opening += 1
                try:
                    return await self._connect(address)
                finally:
                    self._opening -= 1
        except TimeoutError:
            what = f"no connection to {self.where} could be made in time"
            raise Unavailable("UpstreamRefused", what) from None
        except OSError as error:
            what = f"cannot connect to {self.where}: {error.strerror or error}"
            raise Unavailable("UpstreamRefused", what) from error

    async def _turn(self) -> UpstreamConnection | None:
        waiter: asyncio.Future[UpstreamConnection | None]
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        return await waiter

    async def _connect(self, address: Address) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        sock = await (_reach_unix(address) if address.socket else _reach_tcp(address))
        try:
            if address.socket:
                _, connection = await loop.create_unix_connection(self._new, sock=sock)
            elif address.tls:
                _, connection = await loop.create_connection(
                    self._new, sock=sock, ssl=self._tls, server_hostname=address.host
                )
            else:
                _, connection = await loop.create_connection(self._new, sock=sock)
        except BaseException:
            sock.close()
            raise
        self.connections.add(connection)
        return connection

    def _new(self) -> UpstreamConnection:
        return UpstreamConnection(self.where, self._limits.head, self._freed, self._lost)

    def _freed(self, connection: UpstreamConnection) -> None:
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(connection)
            return
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)

    def _lost(self, connection: UpstreamConnection) -> None:
        self.connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(None)
        self._changed.set()

    def _next_waiter(self) -> "asyncio.Future[UpstreamConnection | None] | None":
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def sweep(self, now: float) -> None:
        """Closes what has been idle for long; ends waits whose time has passed."""
        for connection in self.connections:
            connection.expire(now)
        while self._idle and now - self._idle[0].idle_since > self._limits.idle_seconds:
            self._idle.pop(0).abort()

    def close(self) -> None:
        for connection in self.connections:
            connection.abort()
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(Unavailable("UpstreamRefused", "the pool is closed"))


def _reach_unix(address: Address) -> "Awaitable[socket.socket]":
    return _connect_unix(address.socket)


async def _connect_unix(path: str) -> socket.socket:
    """Connects; a full backlog (EAGAIN) is waited for, for it does not queue."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    pause = _FIRST_PAUSE
    try:
        while True:
            try:
                sock.connect(path)
                return sock
            except BlockingIOError:
                rested = loop.create_future()
                loop.call_later(pause, _set, rested)
                await rested
                pause = min(pause * 2, _LONGEST_PAUSE)
    except BaseException:
        sock.close()
        raise


def _set(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


async def _reach_tcp(address: Address) -> socket.socket:
    """Resolves the name and connects to what was found and looked at, and to nothing else."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    problem = OSError(f"{address.host} has no address")
    for family, kind, protocol, _, place in found:
        if why := refusal(str(place[0])):
            problem = OSError(why)
            continue
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, place)
            return sock
        except OSError as error:
            sock.close()
            problem = error
        except BaseException:
            sock.close()
            raise
    raise problem


def _reset(lane: _Lane) -> Unavailable:
    return Unavailable("UpstreamReset", f"{lane.where} closed the connection without an answer")


def _describe(address: Address) -> str:
    if address.socket:
        return f"unix://{address.socket}"
    return f"{'https' if address.tls else 'http'}://{address.authority}"


def _request(address: Address, method: str, path: str, headers: Headers, body: bytes) -> bytes:
    first = f"{method} {path} HTTP/1.1\r\nhost: {address.authority}\r\n".encode("ascii")
    framing = b"accept-encoding: identity\r\n"
    if body or method not in ("GET", "HEAD", "DELETE", "OPTIONS"):
        framing += b"content-length: %d\r\n" % len(body)
    return encode_lines(first, headers, framing) + body
