"""One request and the way to answer it.

A handler is given an `Exchange` and either calls `respond`, or `start`, `write` …, `finish`.
The connection underneath keeps order among pipelined requests; an exchange only knows
how its own answer is framed.
"""

import socket
from collections.abc import Callable
from enum import Enum
from http import HTTPStatus
from typing import Final, Protocol

from mooring.transports.http_head import Headers, Request

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
FRAMING: Final = frozenset({b"connection", b"content-length", b"keep-alive", b"transfer-encoding"})
_CLOSE: Final = b"connection: close\r\n"
_KEEP: Final = b"connection: keep-alive\r\n"


class ClientGone(ConnectionError):
    """The client disconnected before its answer was complete."""


class Channel(Protocol):
    """What an exchange needs of its connection."""

    def send(self, data: bytes) -> None:
        """Hands bytes to the socket at once."""
        ...

    async def drained(self) -> None:
        """Returns when the client has read enough for more to be sent."""
        ...

    def end(self, keep_alive: bool) -> None:
        """The answer is complete; the next request may come."""
        ...

    def cut(self) -> None:
        """Resets the connection."""
        ...

    def last(self) -> bool:
        """Whether no further request will be taken after this one."""
        ...

    def duplicate(self) -> socket.socket:
        """A new descriptor of the same socket."""
        ...


class _State(Enum):
    WAITING = 0
    STARTED = 1
    ENDED = 2
    GONE = 3


class Exchange:
    """One request and the way to answer it."""

    __slots__ = ("_channel", "_chunked", "_gone_callbacks", "_keep_alive", "_state", "request")

    def __init__(self, request: Request, channel: Channel) -> None:
        self.request = request
        self._channel = channel
        self._state = _State.WAITING
        self._chunked = False
        self._keep_alive = request.keep_alive
        self._gone_callbacks: list[Callable[[], None]] | None = None

    @property
    def started(self) -> bool:
        """Whether a status has been sent, so that it is too late for another one."""
        return self._state is not _State.WAITING

    @property
    def ended(self) -> bool:
        """Whether nothing more can be sent: answered, cut, or the client is gone."""
        return self._state in (_State.ENDED, _State.GONE)

    def respond(self, status: int, headers: Headers = (), body: bytes = b"") -> None:
        """Sends the whole answer. Framing headers are the server's; those given are dropped.

        Does nothing when the client is gone.
        """
        if self._state is not _State.WAITING:
            if self._state is _State.GONE:
                return
            raise RuntimeError("this request has been answered already")
        self._state = _State.ENDED
        keep_alive = self._keep_alive and not self._channel.last()
        if status in (204, 304):
            length, body = b"", b""
        else:
            length = b"content-length: %d\r\n" % len(body)
        head = self._head(status, headers, length, keep_alive)
        self._channel.send(head if self.request.method == "HEAD" else head + body)
        self._channel.end(keep_alive)

    def start(self, status: int, headers: Headers = ()) -> None:
        """Begins a streamed answer: chunked, or until the connection closes for HTTP/1.0."""
        if self._state is not _State.WAITING:
            if self._state is _State.GONE:
                return
            raise RuntimeError("this request has been answered already")
        self._state = _State.STARTED
        self._chunked = self.request.version == "1.1"
        keep_alive = self._keep_alive and self._chunked and not self._channel.last()
        self._keep_alive = keep_alive
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        self._channel.send(self._head(status, headers, framing, keep_alive))

    async def write(self, chunk: bytes) -> None:
        """Sends a piece at once; waits while the client reads slowly. Raises ClientGone."""
        if self._state is not _State.STARTED:
            if self._state is _State.GONE:
                raise ClientGone("the client disconnected")
            raise RuntimeError("no streamed answer is open")
        if chunk and self.request.method != "HEAD":
            if self._chunked:
                self._channel.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            else:
                self._channel.send(chunk)
        await self._channel.drained()

    def finish(self) -> None:
        """Ends the streamed answer. Does nothing when the client is gone."""
        if self._state is not _State.STARTED:
            if self._state is _State.GONE:
                return
            raise RuntimeError("no streamed answer is open")
        self._state = _State.ENDED
        if self._chunked and self.request.method != "HEAD":
            self._channel.send(b"0\r\n\r\n")
        self._channel.end(self._keep_alive)

    def abort(self) -> None:
        """Cuts the connection, so that the client sees an answer that did not end properly."""
        if not self.ended:
            self._state = _State.ENDED
            self._channel.cut()

    def on_gone(self, callback: Callable[[], None]) -> None:
        """Has `callback` called once, if the client disconnects before the answer ended."""
        if self._state is _State.GONE:
            callback()
        elif self._gone_callbacks is None:
            self._gone_callbacks = [callback]
        else:
            self._gone_callbacks.append(callback)

    def connection_socket(self) -> socket.socket:
        """A duplicate of the connection's socket; the caller closes it."""
        return self._channel.duplicate()

    def lost(self) -> None:
        """For the connection: the client is gone."""
        if self.ended:
            return
        self._state = _State.GONE
        callbacks, self._gone_callbacks = self._gone_callbacks, None
        for callback in callbacks or ():
            callback()

    def _head(self, status: int, headers: Headers, framing: bytes, keep_alive: bool) -> bytes:
        if not keep_alive:
            framing += _CLOSE
        elif self.request.version == "1.0":
            framing += _KEEP
        return encode_head(status, headers, framing)


def encode_head(status: int, headers: Headers, framing: bytes) -> bytes:
    """The head of an answer; see `encode_lines`."""
    line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    return encode_lines(line, headers, framing)


def encode_lines(first: bytes, headers: Headers, framing: bytes) -> bytes:
    """First line(s), headers, and `framing` as it is; ValueError for a line break in a header.

    Headers that say where the body ends are left out of `headers`: they are the connection's.
    """
    parts = [first]
    for name, value in headers:
        if name not in FRAMING:
            parts.append(b"%b: %b\r\n" % (name, value))
    head = b"".join(parts)
    lines = len(parts) - 1 + first.count(b"\n")
    if head.count(b"\n") != lines or head.count(b"\r") != lines:
        raise ValueError("a header holds a line break")
    return b"%b%b\r\n" % (head, framing)
