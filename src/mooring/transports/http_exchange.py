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

FRAMING: Final = frozenset({b"connection", b"content-length", b"keep-alive", b"transfer-encoding"})
"""Headers of a connection, not of a message that is passed on."""

_NOT_GIVEN: Final = FRAMING | {b"date"}
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_WITHOUT_BODY: Final = (204, 304)
_MANY: Final = 1024
"""Heads that are remembered as they were written; past it all are forgotten."""
_LONGEST: Final = 4096
"""Bytes of one that is remembered."""
_SMALL: Final = 64 * 1024
"""Bytes of a body up to which it is worth copying, to be sent together with its head."""


class ClientGone(ConnectionError):
    """The client disconnected before its answer was complete."""


class Channel(Protocol):
    """What an exchange needs of its connection."""

    @property
    def last(self) -> bool:
        """Whether no further request will be taken after this one."""
        ...

    @property
    def date(self) -> bytes:
        """The Date header, as a line."""
        ...

    def send(self, piece: bytes) -> None:
        """Hands bytes to the socket at once."""
        ...

    async def drained(self) -> None:
        """Returns when the client has read enough for more to be sent. Raises ClientGone."""
        ...

    def end(self, keep_alive: bool) -> None:
        """The answer is complete; the next request may come."""
        ...

    def cut(self) -> None:
        """Resets the connection."""
        ...

    def duplicate(self) -> socket.socket:
        """A new descriptor of the same socket."""
        ...


class _State(Enum):
    WAITING = 0
    STARTED = 1
    ENDED = 2
    GONE = 3


# Looked up where it is used, a member costs more than the rest of the comparison.
_WAITING: Final = _State.WAITING
_STARTED: Final = _State.STARTED
_ENDED: Final = _State.ENDED
_GONE: Final = _State.GONE


class Exchange:
    """One request and the way to answer it."""

    __slots__ = ("_channel", "_chunked", "_gone_callbacks", "_keep_alive", "_state", "request")

    def __init__(self, request: Request, channel: Channel) -> None:
        self.request = request
        self._channel = channel
        self._state = _WAITING
        self._chunked = False
        self._keep_alive = request.keep_alive
        self._gone_callbacks: tuple[Callable[[], None], ...] = ()

    @property
    def started(self) -> bool:
        """Whether it is too late for another status."""
        return self._state is not _WAITING

    @property
    def ended(self) -> bool:
        """Whether nothing more can be sent: answered, cut, or the client is gone."""
        return self._state is _ENDED or self._state is _GONE

    def respond(self, status: int, headers: Headers = (), body: bytes = b"") -> None:
        """Sends the whole answer; does nothing when the client is gone.

        Date and the headers of framing are the server's; those given are dropped. ValueError
        for a line break in a header, before anything is sent.
        """
        if self._state is not _WAITING and not self._may(_WAITING):
            return
        channel, request = self._channel, self.request
        keep_alive = self._keep_alive and not channel.last
        if status in _WITHOUT_BODY:
            framing, body = channel.date, b""
        else:
            framing = b"%bcontent-length: %d\r\n" % (channel.date, len(body))
        if not keep_alive or request.version == "1.0":
            framing += self._lasting(keep_alive)
        head = encode_head(status, headers, framing)
        self._state = _ENDED
        if request.method == "HEAD":
            channel.send(head)
        elif len(body) <= _SMALL:
            channel.send(head + body)
        else:
            channel.send(head)
            channel.send(body)
        channel.end(keep_alive)

    def start(self, status: int, headers: Headers = ()) -> None:
        """Begins a streamed answer: chunked, or until the connection closes for HTTP/1.0."""
        if not self._may(_WAITING):
            return
        chunked = self.request.version == "1.1" and status not in _WITHOUT_BODY
        keep_alive = self._keep_alive and not self._channel.last
        if self.request.version == "1.0":
            keep_alive = False
        framing = b"transfer-encoding: chunked\r\n" if chunked else b""
        framing = self._channel.date + framing + self._lasting(keep_alive)
        head = encode_head(status, headers, framing)
        self._chunked = chunked
        self._keep_alive = keep_alive
        self._state = _STARTED
        self._channel.send(head)

    async def write(self, chunk: bytes) -> None:
        """Sends a piece at once; waits while the client reads slowly. Raises ClientGone."""
        if not self._may(_STARTED):
            raise ClientGone("the client disconnected")
        if chunk and self.request.method != "HEAD":
            if self._chunked:
                chunk = b"%x\r\n%b\r\n" % (len(chunk), chunk)
            self._channel.send(chunk)
        await self._channel.drained()

    def finish(self) -> None:
        """Ends the streamed answer; does nothing when the client is gone."""
        if not self._may(_STARTED):
            return
        self._state = _ENDED
        if self._chunked and self.request.method != "HEAD":
            self._channel.send(b"0\r\n\r\n")
        self._channel.end(self._keep_alive)

    def abort(self) -> None:
        """Cuts the connection, so that the client sees an answer that did not end properly."""
        if not self.ended:
            self._state = _ENDED
            self._channel.cut()

    def on_gone(self, callback: Callable[[], None]) -> None:
        """Has `callback` called once, if the client disconnects before the answer ended."""
        if self._state is _GONE:
            callback()
        else:
            self._gone_callbacks += (callback,)

    def connection_socket(self) -> socket.socket:
        """A duplicate of the connection's socket; the caller closes it."""
        return self._channel.duplicate()

    def lost(self) -> None:
        """For the connection: the client is gone."""
        if self.ended:
            return
        self._state = _GONE
        for callback in self._gone_callbacks:
            callback()

    def _may(self, needed: _State) -> bool:
        """Whether to go on; False when the client is gone."""
        if self._state is needed:
            return True
        if self._state is _GONE:
            return False
        problem = "has been answered already" if self.started else "has no streamed answer open"
        raise RuntimeError(f"{self.request.method} {self.request.path} {problem}")

    def _lasting(self, keep_alive: bool) -> bytes:
        """What the client is told of the connection, where it would not know by itself."""
        if not keep_alive:
            return b"connection: close\r\n"
        return b"connection: keep-alive\r\n" if self.request.version == "1.0" else b""


class HeadWriter:
    """Writes first lines and headers, and remembers what it wrote.

    The same few heads go out again and again, as the same objects: comparing these costs less
    than comparing what is in them.
    """

    __slots__ = ("_left_out", "_written")

    def __init__(self, left_out: frozenset[bytes]) -> None:
        """`left_out`: names of headers that are not written."""
        self._left_out = left_out
        self._written: dict[tuple[int, bytes], tuple[Headers, bytes]] = {}

    def write(self, first: bytes, headers: Headers) -> bytes:
        """The lines, without the empty one. ValueError for a line break in a header."""
        key = (id(headers), first)
        found = self._written.get(key)
        if found is not None and found[0] is headers:
            return found[1]
        lines = self._lines(first, headers)
        if len(lines) <= _LONGEST:
            if len(self._written) >= _MANY:
                self._written.clear()
            self._written[key] = (headers, lines)  # keeps them, so that no others get their id
        return lines

    def _lines(self, first: bytes, headers: Headers) -> bytes:
        parts = [first]
        for name, value in headers:
            if name not in self._left_out:
                parts.append(b"%b: %b\r\n" % (name, value))
        head = b"".join(parts)
        lines = len(parts) - 1 + first.count(b"\n")
        if head.count(b"\n") != lines or head.count(b"\r") != lines:
            raise ValueError("a header holds a line break")
        return head


_write: Final = HeadWriter(_NOT_GIVEN).write


def encode_head(status: int, headers: Headers, framing: bytes) -> bytes:
    """The head of an answer: first line, headers but those left out, and `framing` as it is.

    Raises ValueError for a line break in a header.
    """
    line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    return b"%b%b\r\n" % (_write(line, headers), framing)
