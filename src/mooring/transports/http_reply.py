"""The answer to a request that we sent: its head, and its body as it arrives.

Pieces are handed on in the form in which they came, at once. A reader that falls behind stops
the upstream instead of filling our memory.
"""

import asyncio
from collections import deque
from typing import Final, Protocol, Self

from mooring.errors import Unavailable
from mooring.transports.http_head import Headers

HIGH: Final = 256 * 1024
"""Bytes of a body waiting for their reader, above which no more is taken from the socket."""
LOW: Final = 64 * 1024
"""Bytes below which it is taken again."""


class Source(Protocol):
    """What a reply needs of the connection that it comes over."""

    def read_on(self) -> None:
        """The reader has caught up."""
        ...

    def abort(self) -> None:
        """The rest of the answer is not wanted."""
        ...


class Reply:
    """The answer to one request. Whoever does not read it to its end calls `abort`."""

    __slots__ = (
        "_buffered",
        "_ended",
        "_error",
        "_pieces",
        "_source",
        "_waiter",
        "complete",
        "headers",
        "status",
    )

    def __init__(self, source: Source) -> None:
        self.status = 0
        self.headers: Headers = ()
        self.complete: bytes | None = None
        """The whole body, where it had arrived together with the head, or has been read."""
        self._source: Source | None = source
        self._pieces: deque[bytes] | None = None
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
            try:
                async with asyncio.timeout(seconds):
                    self.complete = await self._read(limit)
            except TimeoutError:
                what = f"the answer was not complete after {seconds:g} s"
                raise Unavailable("UpstreamTimeout", what) from None
            finally:
                self.abort()
        if len(self.complete) > limit:
            raise Unavailable("UpstreamTooLarge", f"the answer is over {limit} bytes")
        return self.complete

    async def _read(self, limit: int) -> bytes:
        """The whole body, or so much of it that it is over the limit."""
        body = bytearray()
        while len(body) <= limit:
            piece = await self._next_piece()
            if piece is None:
                break
            body += piece
        return bytes(body)

    def chunks(self) -> "Chunks":
        """The body in pieces, as they arrive; Unavailable("UpstreamReset") where it is cut."""
        if self.complete:
            self._pieces = deque((self.complete,))
        self.complete = None
        return Chunks(self._next_piece)

    def abort(self) -> None:
        """Closes the connection if the answer has not ended; harmless otherwise."""
        source = self._source
        if source is not None:
            self.fail(Unavailable("UpstreamReset", "the answer was given up"))
            source.abort()

    async def _next_piece(self) -> bytes | None:
        """The next piece, or None at the end."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter  # ends with the answer, its connection, or `abort`
        piece = self._pieces.popleft()
        self._buffered -= len(piece)
        if self._source is not None and self._buffered < LOW:
            self._source.read_on()
        return piece

    # For the connection.

    @property
    def buffered(self) -> int:
        """Bytes that wait for their reader."""
        return self._buffered

    def push(self, piece: bytes) -> None:
        """The next piece of the body."""
        if self._pieces is None:
            self._pieces = deque()
        self._pieces.append(piece)
        self._buffered += len(piece)
        self._wake()

    def end(self) -> None:
        """The body is complete."""
        self._source = None
        self._ended = True
        self._wake()

    def fail(self, error: Unavailable) -> None:
        """The body will never be complete."""
        self._source = None
        self._error = self._error or error
        self._wake()

    def take(self, head: tuple[int, Headers], body: bytes) -> None:
        """A whole answer, at once."""
        self.status, self.headers = head
        self.complete = body
        self._source = None
        self._ended = True

    def gather(self) -> None:
        """Joins the pieces of a body that came at once."""
        self.complete = b"".join(self._pieces) if self._pieces else b""
        self._pieces = None
        self._buffered = 0

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class _NextPiece(Protocol):
    async def __call__(self) -> bytes | None: ...


class Chunks:
    """Iterates over the pieces of a body."""

    __slots__ = ("_next_piece",)

    def __init__(self, next_piece: _NextPiece) -> None:
        self._next_piece = next_piece

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._next_piece()
        if piece is None:
            raise StopAsyncIteration
        return piece
