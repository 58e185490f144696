"""One connection of the HTTP server: bytes in, exchanges in order, bytes out.

At most one exchange is open at a time; the next request, pipelined or not, waits for the
end of the answer before it. Reading goes on meanwhile, so that a disconnect is noticed, but
only up to a bound. Deadlines are looked at by the server's sweep, so that a request
costs no timer.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol, cast

from mooring.transports.http_exchange import ClientGone, Exchange, encode_head
from mooring.transports.http_head import Headers, Limits, Refused, RequestReader, Stage

_SLICE: Final = 16 * 1024
"""Parsed at once while more requests than one may be in it."""
_LINGER_BYTES: Final = 16 * 1024 * 1024
"""Thrown away of a request that was refused, before the connection is cut."""


class Owner(Protocol):
    """What a connection needs of its server."""

    limits: Limits
    now: float
    """The loop's time at the latest sweep."""
    draining: bool
    refusal: Callable[[int, str], tuple[Headers, bytes]]

    def connected(self, connection: "ServerConnection") -> bool:
        """Counts the connection in; False when there are too many."""
        ...

    def disconnected(self, connection: "ServerConnection") -> None:
        """Counts the connection out."""
        ...

    def serve(self, exchange: Exchange) -> None:
        """Runs the handler in a task."""
        ...

    def settled(self) -> None:
        """Something ended that a drain may wait for."""
        ...


class _State(Enum):
    OPEN = 0
    LINGERING = 1
    """The last answer is out; what still comes is thrown away until the client closes."""
    CLOSED = 2


class ServerConnection(asyncio.Protocol):
    """One connection; also the `Channel` of its exchanges."""

    __slots__ = (
        "_backlog",
        "_exchange",
        "_owner",
        "_peer",
        "_reader",
        "_reading",
        "_refused",
        "_since",
        "_stage",
        "_state",
        "_stuck",
        "_thrown_away",
        "_transport",
        "_waiters",
        "_writable",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._reader = RequestReader(owner.limits)
        self._transport = cast(asyncio.Transport, None)
        self._exchange: Exchange | None = None
        self._refused: Refused | None = None
        self._backlog = b""
        self._peer = ""
        self._state = _State.OPEN
        self._stage = Stage.IDLE
        self._since = owner.now
        self._reading = True
        self._writable = True
        self._stuck = 0
        self._thrown_away = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(self._owner.limits.write_buffer)
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "unix"
        if not self._owner.connected(self):
            self._refuse(Refused(503, "too many connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._state = _State.CLOSED
        self._lose()
        self._owner.disconnected(self)

    def eof_received(self) -> None:
        """A client that stops sending counts as gone: a closed socket looks the same."""
        self._state = _State.LINGERING
        self._since = self._owner.now
        if self._exchange is not None:
            self._transport.abort()
            self._lose()

    def data_received(self, data: bytes) -> None:
        if self._exchange is None and self._state is _State.OPEN:
            self._take(data)
        elif self._state is _State.OPEN:
            self._put_aside(data)
        else:
            self._thrown_away += len(data)
            if self._thrown_away > _LINGER_BYTES:
                self._transport.abort()

    def pause_writing(self) -> None:
        self._writable = False
        self._stuck = self._transport.get_write_buffer_size()
        self._since = self._owner.now

    def resume_writing(self) -> None:
        self._writable = True
        self._wake()

    # What exchanges call.

    def send(self, data: bytes) -> None:
        self._transport.write(data)

    async def drained(self) -> None:
        if self._writable:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter  # ends when the client reads, or is cut by the sweep

    def end(self, keep_alive: bool) -> None:
        self._exchange = None
        self._since = self._owner.now
        if not keep_alive:
            self._linger()
            return
        self._proceed()
        if self._exchange is None and self._owner.draining and self.idle:
            self._linger()

    def cut(self) -> None:
        self._exchange = None
        self._transport.abort()

    def last(self) -> bool:
        return self._owner.draining

    def duplicate(self) -> socket.socket:
        sock = self._transport.get_extra_info("socket")
        return socket.socket(fileno=os.dup(sock.fileno()))

    # What the server calls.

    @property
    def idle(self) -> bool:
        """Whether no request is being read or answered."""
        return self._exchange is None and not self._backlog and self._reader.stage is Stage.IDLE

    @property
    def settled(self) -> bool:
        """Whether everything that this connection had to send has left."""
        if self._state is _State.OPEN:
            return self.idle
        return self._transport.get_write_buffer_size() == 0

    def close(self) -> None:
        """Closes an idle connection."""
        self._state = _State.LINGERING
        self._since = self._owner.now
        self._transport.close()

    def abort(self) -> None:
        """Cuts the connection, whatever it is doing."""
        self._transport.abort()

    def check(self, now: float) -> None:
        """Ends what has taken too long."""
        limits = self._owner.limits
        waited = now - self._since
        if self._state is not _State.OPEN:
            if waited > limits.linger_seconds and not self._advances(now):
                self._transport.abort()
        elif not self._writable:
            if waited > limits.write_idle_seconds and not self._advances(now):
                self._transport.abort()
        elif self._exchange is None:
            self._check_reading(waited)

    def _check_reading(self, waited: float) -> None:
        limits = self._owner.limits
        match self._reader.stage:
            case Stage.IDLE if waited > limits.keepalive_seconds:
                self.close()
            case Stage.HEAD if waited > limits.head_seconds:
                seconds = limits.head_seconds
                what = f"the request's head was not complete after {seconds:g} s"
                self._refuse(Refused(408, what))
            case Stage.BODY if waited > limits.body_idle_seconds:
                seconds = limits.body_idle_seconds
                what = f"nothing of the request's body came for {seconds:g} s"
                self._refuse(Refused(408, what))

    def _advances(self, now: float) -> bool:
        """Whether the client has read anything since the last time it was asked."""
        left = self._transport.get_write_buffer_size()
        advanced = left < self._stuck
        self._stuck = left
        if advanced:
            self._since = now
        return advanced

    # Requests.

    def _take(self, data: bytes) -> None:
        """Parses until a request is complete; the rest waits in the backlog."""
        reader = self._reader
        try:
            if len(data) <= _SLICE or reader.stage is Stage.BODY:
                reader.feed(data)
            else:
                reader.feed(memoryview(data)[:_SLICE])
                self._backlog = data[_SLICE:]
        except Refused as refused:
            self._backlog = b""
            if not reader.ready:
                self._refuse(refused)
                return
            self._refused = refused  # answered after the requests before it
        if reader.ready:
            self._begin()
            return
        if reader.stage is not self._stage or reader.stage is Stage.BODY:
            self._stage = reader.stage
            self._since = self._owner.now
        if reader.awaits_continue:
            reader.awaits_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._backlog:
            rest, self._backlog = self._backlog, b""
            self._take(rest)

    def _begin(self) -> None:
        request = self._reader.ready.popleft()
        request.peer = self._peer
        self._stage = Stage.IDLE
        exchange = self._exchange = Exchange(request, self)
        self._owner.serve(exchange)

    def _put_aside(self, data: bytes) -> None:
        self._backlog += data
        if len(self._backlog) > self._owner.limits.read_ahead and self._reading:
            self._reading = False
            self._transport.pause_reading()

    def _proceed(self) -> None:
        """After an answer: the next request, if it is here already."""
        if self._reader.ready:
            self._begin()
            return
        if self._refused is not None:
            self._refuse(self._refused)
            return
        if self._backlog:
            rest, self._backlog = self._backlog, b""
            self._take(rest)
        if not self._reading and not self._backlog and self._state is _State.OPEN:
            self._reading = True
            self._transport.resume_reading()

    # Ends.

    def _refuse(self, refused: Refused) -> None:
        status = refused.status
        headers, body = self._owner.refusal(status, refused.message)
        framing = b"content-length: %d\r\nconnection: close\r\n" % len(body)
        self._transport.write(encode_head(status, headers, framing) + body)
        self._linger()

    def _linger(self) -> None:
        """Says that nothing more comes, and lets the client read to the end before closing.

        A socket closed with unread bytes in it is reset, and the answer with it.
        """
        self._state = _State.LINGERING
        self._since = self._owner.now
        self._stuck = self._transport.get_write_buffer_size()
        self._backlog = b""
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        self._owner.settled()

    def _lose(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.lost()
        self._wake(ClientGone("the client disconnected"))

    def _wake(self, error: Exception | None = None) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                if error is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(error)
