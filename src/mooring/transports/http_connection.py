"""One connection of the HTTP server: bytes in, exchanges in order, bytes out.

At most one exchange is open at a time; the next request, pipelined or not, waits for the end
of the answer before it, and for the client to read that answer. Reading goes on meanwhile, so
that a disconnect is noticed, but only up to a bound. Deadlines are looked at by the
server's sweep, so that a request costs no timer.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol, cast

from mooring.transports.http_exchange import ClientGone, Exchange, encode_head
from mooring.transports.http_head import (
    BODY,
    HEAD,
    IDLE,
    Headers,
    Limits,
    Refused,
    Request,
    RequestReader,
)
from mooring.transports.http_recall import Recall
from mooring.transports.outlet import Outlet

_SLICE: Final = 16 * 1024
"""Bytes parsed at once while more requests than one may be in them."""
_CREDENTIALS: Final = struct.Struct("3i")
_LINGER_BYTES: Final = 16 * 1024 * 1024
"""Thrown away of a request that was refused, before the connection is cut."""


class Owner(Protocol):
    """What a connection needs of its server."""

    limits: Limits
    tick: float
    """Seconds between two sweeps."""
    now: float
    """The loop's time at the latest sweep."""
    date: bytes
    draining: bool
    refusal: Callable[[int, str], tuple[Headers, bytes]]
    known: Recall[Request]
    """Heads of requests."""

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


# Looked up where it is used, a member costs more than the rest of the comparison.
_OPEN: Final = _State.OPEN
_LINGERING: Final = _State.LINGERING
_CLOSED: Final = _State.CLOSED


class ServerConnection(asyncio.Protocol):
    """One connection; also the `Channel` of its exchanges."""

    __slots__ = (
        "_backlog",
        "_exchange",
        "_outlet",
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
        "_waiter",
        "_writable",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._reader = RequestReader(owner.limits, owner.known)
        self._transport = cast(asyncio.Transport, None)  # until connection_made
        self._outlet = cast(Outlet, None)
        self._exchange: Exchange | None = None
        self._refused: Refused | None = None
        """To be answered after the requests before it."""
        self._backlog = b""
        self._peer = ""
        self._state = _OPEN
        self._stage = IDLE
        self._since = owner.now
        """When what is now waited for began to be waited for."""
        self._reading = True
        self._writable = True
        self._stuck = 0
        """Bytes that waited for the client when it was last looked at."""
        self._thrown_away = 0
        self._waiter: asyncio.Future[None] | None = None

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._outlet = Outlet(self._transport)
        self._transport.set_write_buffer_limits(self._owner.limits.write_buffer)
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else self._user()
        if not self._owner.connected(self):
            self._refuse(Refused(503, "too many connections; try again later"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._state = _CLOSED
        self._owner.disconnected(self)
        self._lose()

    def eof_received(self) -> None:
        """A client that stops sending counts as gone: a closed socket looks the same."""
        if self._exchange is not None:
            self.abort()
            self._lose()
        else:
            self._wait_for_close()

    def data_received(self, data: bytes) -> None:
        if self._state is not _OPEN:
            self._throw_away(len(data))
        elif self._exchange is None and self._writable:
            self._take(data)
        else:
            self._put_aside(data)

    def pause_writing(self) -> None:
        self._writable = False
        self._stuck = self._transport.get_write_buffer_size()
        self._since = self._owner.now

    def resume_writing(self) -> None:
        self._writable = True
        self._since = self._owner.now
        self._wake(None)
        if self._exchange is None and self._state is _OPEN:
            self._proceed()

    # What exchanges call.

    @property
    def last(self) -> bool:
        return self._owner.draining

    @property
    def date(self) -> bytes:
        return self._owner.date

    def send(self, piece: bytes) -> None:
        if self._state is _OPEN:
            self._outlet.write(piece)

    async def drained(self) -> None:
        if self._writable:
            return
        if self._waiter is None:
            self._waiter = asyncio.get_running_loop().create_future()
        # Ends when the client reads, closes, or is cut by the sweep.
        await asyncio.shield(self._waiter)

    def end(self, keep_alive: bool) -> None:
        self._exchange = None
        if self._state is not _OPEN:
            return
        self._since = self._owner.now
        if not keep_alive:
            self._linger()
            return
        self._proceed()
        if self._owner.draining and self.idle:
            self._linger()

    def cut(self) -> None:
        self._exchange = None
        self.abort()

    def duplicate(self) -> socket.socket:
        sock = self._transport.get_extra_info("socket")
        return socket.socket(fileno=os.dup(sock.fileno()))

    def _user(self) -> str:
        """`unix:UID`: who is at the other end of a Unix socket, as the kernel vouches for it."""
        with self.duplicate() as sock:
            found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return f"unix:{_CREDENTIALS.unpack(found)[1]}"

    # What the server calls.

    @property
    def idle(self) -> bool:
        """Whether no request is being read or answered."""
        return (
            self._state is _OPEN
            and self._exchange is None
            and self._writable
            and not self._backlog
            and self._reader.stage is IDLE
        )

    @property
    def settled(self) -> bool:
        """Whether there is nothing that a drain should wait for."""
        if self._state is _LINGERING:
            return self._transport.get_write_buffer_size() == 0
        return self._state is _CLOSED

    def close(self) -> None:
        """Closes an idle connection."""
        self._wait_for_close()
        self._transport.close()

    def abort(self) -> None:
        """Cuts the connection, whatever it is doing."""
        self._state = _CLOSED
        self._transport.abort()

    def check(self, now: float) -> None:
        """Ends what has taken too long; a deadline passes up to two ticks late, never early."""
        limits = self._owner.limits
        waited = now - self._since - self._owner.tick
        if self._state is not _OPEN:
            if waited > limits.linger_seconds and not self._advances(now):
                self._transport.abort()
        elif not self._writable:
            if waited > limits.write_idle_seconds and not self._advances(now):
                self.abort()
        elif self._exchange is None:
            self._check_reading(waited)

    def _check_reading(self, waited: float) -> None:
        limits = self._owner.limits
        stage = self._reader.stage
        if stage is IDLE:
            if waited > limits.keepalive_seconds:
                self.close()
        elif stage is HEAD:
            if waited > limits.head_seconds:
                what = f"the request's head was not complete after {limits.head_seconds:g} s"
                self._refuse(Refused(408, what))
        elif waited > limits.body_idle_seconds:
            what = f"nothing of the request's body came for {limits.body_idle_seconds:g} s"
            self._refuse(Refused(408, what))

    def _advances(self, now: float) -> bool:
        """Whether the client has read anything since it was last looked at."""
        left = self._transport.get_write_buffer_size()
        advanced = left < self._stuck
        self._stuck = left
        if advanced:
            self._since = now
        return advanced

    # Requests.

    def _take(self, chunk: bytes) -> None:
        """Parses until a request is complete; the rest waits in the backlog."""
        reader = self._reader
        if len(chunk) <= _SLICE:
            try:
                reader.feed(chunk)
            except Refused as refused:
                self._refused = refused
            self._backlog = b""
            self._next()
            return
        rest = chunk
        while rest:
            part: bytes | memoryview = rest
            if len(rest) > _SLICE and reader.stage is not BODY:
                part, rest = memoryview(rest)[:_SLICE], rest[_SLICE:]
            else:
                rest = b""
            try:
                reader.feed(part)
            except Refused as refused:
                self._refused = refused
                rest = b""
            if reader.ready or self._refused is not None:
                break
        self._backlog = rest
        self._next()

    def _next(self) -> None:
        """Begins the next request, refuses it, or waits for more of it."""
        reader = self._reader
        if reader.ready:
            request = reader.ready.pop(0)
            request.peer = self._peer
            self._stage = IDLE
            self._exchange = Exchange(request, self)
            self._owner.serve(self._exchange)
            return
        if self._refused is not None:
            self._refuse(self._refused)
            return
        if reader.stage is not self._stage or reader.stage is BODY:
            self._stage = reader.stage
            self._since = self._owner.now
        if reader.awaits_continue:
            reader.awaits_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _put_aside(self, chunk: bytes) -> None:
        self._backlog += chunk
        if self._reading and len(self._backlog) > self._owner.limits.read_ahead:
            self._reading = False
            self._transport.pause_reading()

    def _proceed(self) -> None:
        """After an answer: the next request, as far as it is here already."""
        if not self._writable:
            return  # until the client has read what it asked for
        if self._reading and not self._backlog and self._reader.at_rest and not self._refused:
            return  # nothing is here
        if self._backlog and not self._reader.ready and self._refused is None:
            backlog, self._backlog = self._backlog, b""
            self._take(backlog)
        else:
            self._next()
        if len(self._backlog) <= self._owner.limits.read_ahead:
            self._read_on()

    def _read_on(self) -> None:
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    # Ends.

    def _refuse(self, refused: Refused) -> None:
        headers, body = self._owner.refusal(refused.status, refused.message)
        framing = b"content-length: %d\r\nconnection: close\r\n" % len(body)
        head = encode_head(refused.status, headers, self._owner.date + framing)
        self._transport.write(head + body)
        self._linger()

    def _linger(self) -> None:
        """Says that nothing more comes, and lets the client read to the end before closing.

        A socket closed with unread bytes in it is reset, and the answer with it.
        """
        self._wait_for_close()
        self._read_on()
        try:
            if not self._transport.is_closing():
                self._transport.write_eof()
        except OSError:  # the client has reset the connection, and the loop has yet to tell us
            self.abort()
        self._owner.settled()

    def _wait_for_close(self) -> None:
        self._state = _LINGERING
        self._since = self._owner.now
        self._stuck = self._transport.get_write_buffer_size()
        self._backlog = b""

    def _throw_away(self, size: int) -> None:
        self._thrown_away += size
        if self._thrown_away > _LINGER_BYTES:
            self.abort()

    def _lose(self) -> None:
        self._wake(ClientGone("the client disconnected"))
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.lost()

    def _wake(self, error: Exception | None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
            waiter.exception()  # nobody may be waiting any more, which is no mistake
