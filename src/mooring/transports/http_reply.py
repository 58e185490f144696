"""One connection to an upstream, and the answer that comes over it.

A connection carries one request at a time and may be used again when the answer has come to
its proper end. What arrives is handed on in the pieces in which it came; a reader that falls
behind stops the upstream instead of filling our memory.
"""

import asyncio
import select
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, Self, cast

import httptools

from mooring.errors import Unavailable
from mooring.transports.http_head import Headers

_HIGH: Final = 256 * 1024
_LOW: Final = 64 * 1024
"""Bytes of a body that wait for their reader: above the first no more is taken from the
socket, until it is below the second."""


class Stale(Exception):
    """A connection ended before a byte of the answer came."""


class Reply:
    """The answer to one request."""

    __slots__ = (
        "_buffered",
        "_connection",
        "_ended",
        "_error",
        "_pieces",
        "_waiter",
        "complete",
        "headers",
        "status",
    )

    def __init__(self, connection: "UpstreamConnection") -> None:
        self.status = 0
        self.headers: Headers = ()
        self.complete: bytes | None = None
        """The whole body, where it had arrived together with the head."""
        self._connection: UpstreamConnection | None = connection
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._ended = False
        self._error: Unavailable | None = None
        self._waiter: asyncio.Future[None] | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first value under that name (in lower case), or None."""
        for candidate, value in self.headers:
            if candidate == name:
                return value
        return None

    async def read(self, limit: int, seconds: float) -> bytes:
        """The whole body, of at most `limit` bytes, within `seconds`.

        Raises Unavailable: "UpstreamReset", "UpstreamTimeout", "UpstreamTooLarge".
        """
        if self.complete is None:
            body = bytearray()
            try:
                async with asyncio.timeout(seconds):
                    async for piece in self.chunks():
                        body += piece
                        if len(body) > limit:
                            break
            except TimeoutError:
                self.abort()
                raise Unavailable(
                    "UpstreamTimeout", f"the answer was not complete after {seconds:g} s"
                ) from None
            self.complete = bytes(body)
        if len(self.complete) > limit:
            self.abort()
            raise Unavailable("UpstreamTooLarge", f"the answer is over {limit} bytes")
        return self.complete

    def chunks(self) -> "Chunks":
        """The body in pieces, as they arrive; Unavailable("UpstreamReset") where it is cut."""
        if self.complete:
            self._pieces.append(self.complete)
            self.complete = b""
        return Chunks(self)

    def abort(self) -> None:
        """Closes the connection if the answer has not ended; harmless otherwise."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
            self.fail(Unavailable("UpstreamReset", "the answer was given up"))

    # For the connection.

    @property
    def buffered(self) -> int:
        """Bytes that wait for their reader."""
        return self._buffered

    def push(self, piece: bytes) -> None:
        """The next piece of the body."""
        self._pieces.append(piece)
        self._buffered += len(piece)
        if self._waiter is not None:
            self._wake()

    def end(self) -> None:
        """The body is complete."""
        self._connection = None
        self._ended = True
        self._wake()

    def fail(self, error: Unavailable) -> None:
        """The body will never be complete."""
        self._connection = None
        if not self._ended and self._error is None:
            self._error = error
        self._wake()

    def gather(self) -> None:
        """Joins the pieces of a body that came at once."""
        pieces = self._pieces
        self.complete = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._buffered = 0

    # For whoever reads.

    async def next_piece(self) -> bytes | None:
        """The next piece, or None at the end."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        piece = self._pieces.popleft()
        self._buffered -= len(piece)
        if self._buffered < _LOW and self._connection is not None:
            self._connection.read_on()
        return piece

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Chunks:
    """Iterates over the pieces of a body."""

    __slots__ = ("_reply",)

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._reply.next_piece()
        if piece is None:
            raise StopAsyncIteration
        return piece


class UpstreamConnection(asyncio.Protocol):
    """One connection; asked one request after the other."""

    __slots__ = (
        "_bare",
        "_finished",
        "_head_limit",
        "_headers",
        "_heard",
        "_lasting",
        "_on_free",
        "_on_lost",
        "_parser",
        "_poll",
        "_reading",
        "_reply",
        "_size",
        "_surplus",
        "_to_the_end",
        "_transport",
        "_waiter",
        "_where",
        "deadline",
        "idle_since",
    )

    def __init__(
        self,
        where: str,
        head_limit: int,
        on_free: Callable[["UpstreamConnection"], None],
        on_lost: Callable[["UpstreamConnection"], None],
    ) -> None:
        self._where = where
        self._head_limit = head_limit
        self._on_free = on_free
        self._on_lost = on_lost
        self._parser = httptools.HttpResponseParser(self)
        self._transport = cast(asyncio.Transport, None)
        self._poll = select.poll()
        self._headers: list[tuple[bytes, bytes]] = []
        self._reply: Reply | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._size = 0
        self._heard = False
        self._bare = False
        self._lasting = False
        self._finished = False
        self._surplus = False
        self._to_the_end = False
        self._reading = True
        self.deadline = 0.0
        """When to give up waiting for the head of an answer."""
        self.idle_since = 0.0

    async def ask(self, request: bytes, *, bare: bool) -> Reply:
        """Sends a request and waits for the head of its answer.

        `bare`: an answer without a body, whatever its head says (HEAD). Raises Stale, or
        Unavailable. Given up, the connection is closed.
        """
        self._reply = Reply(self)
        self._bare = bare
        self._heard = False
        self._finished = False
        self._to_the_end = False
        self._size = 0
        waiter: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        self._transport.write(request)
        try:
            return await waiter
        except BaseException:
            self._transport.abort()
            raise
        finally:
            self._waiter = None

    @property
    def quiet(self) -> bool:
        """Whether nothing, not even its end, waits to be read from the socket."""
        return not self._poll.poll(0) and not self._transport.is_closing()

    def read_on(self) -> None:
        """The reader has caught up."""
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def abort(self) -> None:
        """Closes the connection at once."""
        self._transport.abort()

    def expire(self, now: float) -> None:
        """Ends the wait for a head whose time has passed."""
        if self._waiter is not None and now >= self.deadline and not self._waiter.done():
            self._waiter.set_exception(
                Unavailable("UpstreamTimeout", f"{self._where} did not answer in time")
            )

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        sock: socket.socket = transport.get_extra_info("socket")
        self._poll.register(sock.fileno(), select.POLLIN | select.POLLRDHUP)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._reply is not None and not self._finished:
            self._lose(exc)
        self._on_lost(self)

    def eof_received(self) -> None:
        if self._reply is not None and not self._finished:
            self._lose(None)

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:
            self._transport.abort()  # nothing was asked
            return
        self._heard = True
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._finished:
                self._break(f"what {self._where} sent is not an HTTP/1.1 answer: {error}")
                return
            self._surplus = True
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            if reply.status:
                if self._finished:
                    reply.gather()
                waiter.set_result(reply)
            elif self._size > self._head_limit:
                self._break(f"the head of {self._where}'s answer is over {self._head_limit} bytes")
                return
        if self._finished:
            self._free()
        elif reply.buffered > _HIGH and self._reading:
            self._reading = False
            self._transport.pause_reading()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._surplus = self._finished

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        headers = tuple(self._headers)
        self._headers.clear()
        if status < 200 or self._finished or self._reply is None:
            return
        self._lasting = self._parser.should_keep_alive()
        self._reply.status = status
        self._reply.headers = headers
        if self._bare:
            self._end()
        else:
            self._to_the_end = status not in (204, 304) and not any(
                name in (b"content-length", b"transfer-encoding") for name, _ in headers
            )

    def on_body(self, part: bytes) -> None:
        if self._reply is not None and not self._finished:
            self._reply.push(part)

    def on_message_complete(self) -> None:
        self._headers.clear()  # trailers
        if self._reply is not None and self._reply.status and not self._finished:
            self._end()

    # Ends.

    def _end(self) -> None:
        self._finished = True
        if self._reply is not None:
            self._reply.end()

    def _free(self) -> None:
        """The answer is complete: back to the pool, if nothing speaks against it."""
        self._reply = None
        transport = self._transport
        if (
            self._bare
            or self._surplus
            or self._to_the_end
            or transport.is_closing()
            or transport.get_write_buffer_size()
            or not self._lasting
        ):
            transport.abort()
            return
        self.read_on()
        self._on_free(self)

    def _break(self, message: str) -> None:
        self._fail(Unavailable("UpstreamMalformed", message))
        self._transport.abort()

    def _lose(self, error: Exception | None) -> None:
        reply = self._reply
        if reply is not None and reply.status and self._to_the_end and error is None:
            self._end()
            return
        if not self._heard and self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(Stale())
        what = f"was lost: {error}" if error else "ended before the answer was complete"
        self._fail(Unavailable("UpstreamReset", f"the connection to {self._where} {what}"))

    def _fail(self, error: Unavailable) -> None:
        reply, self._reply = self._reply, None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        if reply is not None:
            reply.fail(error)
