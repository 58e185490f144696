"""A stream of server-sent events to one client.

Whoever has messages puts them in, at once and without waiting; the handler of the HTTP request
takes them out and writes them as fast as the client reads. A stream that is `full` has a slow
reader: the one who puts decides what to do then.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from mooring.transports.http_server import ClientGone, Exchange, Headers
from mooring.transports.sse import encode

FULL = 1024 * 1024
"""Bytes that wait for a client at which its stream counts as full."""
SILENCE = 15.0
"""Seconds after which a stream gets another comment, so that nobody gives it up."""
PING: Final = b": ping\n\n"
NOSNIFF = (b"x-content-type-options", b"nosniff")
JSON: Headers = ((b"content-type", b"application/json"), NOSNIFF)
EVENTS: Headers = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    NOSNIFF,
)


class Stream:
    """Server-sent events to one client, in the order in which they were put."""

    __slots__ = (
        "_awaited",
        "_over",
        "_room",
        "_size",
        "_waiting",
        "exchange",
        "farewell",
        "gone",
        "name",
        "on_leave",
        "pinged",
        "position",
    )

    def __init__(self, exchange: Exchange, now: float) -> None:
        self.exchange = exchange
        self.gone = False
        """The client has left."""
        self.farewell = b""
        """The last message, where it is ended by us."""
        self.on_leave: Callable[[], None] | None = None
        """Called once when the client leaves before the end."""
        self.pinged = now
        """When the client last got a comment, on the monotonic clock."""
        self.name = b""
        """The call in the ids of events; empty where they have none."""
        self.position = 0
        """How many messages of that call were written so far."""
        self._waiting: list[bytes] = []
        self._size = 0
        self._over = False
        self._awaited: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        exchange.on_gone(self.leave)

    @property
    def open(self) -> bool:
        """Whether a message that is put now can still arrive."""
        return not self._over and not self.gone

    @property
    def outlet(self) -> "Stream":
        """Who is to read what is put."""
        return self

    @property
    def full(self) -> bool:
        """Whether the client reads too slowly."""
        return self._size > FULL

    def put(self, message: bytes) -> None:
        """Sends one JSON-RPC message; empty means a comment."""
        if self._over or self.gone:
            return
        self._waiting.append(message)
        self._size += len(message)
        self._wake()

    def end(self) -> None:
        """Ends the stream properly, after what was put."""
        if self.farewell and not self._over:
            self.put(self.farewell)
        self._over = True
        self._wake()

    def cut(self) -> None:
        """Ends the stream at once, for a client that reads too slowly."""
        self.leave()
        self.exchange.abort()

    def leave(self) -> None:
        """The client is gone: nothing reaches it any more."""
        if self.gone:
            return
        self.gone = True
        self._take_all()
        self._wake()
        if self.on_leave is not None:
            self.on_leave()

    async def room(self, seconds: float) -> None:
        """Waits until the client has read on, and cuts it off if that takes longer."""
        if not self.full or not self.open:
            return
        if self._room is None or self._room.done():
            self._room = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._room)  # several may wait
        except TimeoutError:
            self.cut()

    def remind(self, now: float) -> None:
        """A comment, if the last one was long ago."""
        if now - self.pinged >= SILENCE:
            self.pinged = now
            self.put(b"")

    async def serve(self) -> None:
        """Writes until the end; for the handler of the HTTP request."""
        self.exchange.start(200, EVENTS)
        await self._write_on()

    async def _write_on(self, beginning: bytes = b"") -> None:
        """Writes what is put as events until the stream ends or the client leaves."""
        try:
            while not self.gone:
                if self._waiting or beginning:
                    events = b"".join([self._event(m) for m in self._take_all()])
                    await self.exchange.write(beginning + events)
                    beginning = b""
                elif self._over:
                    self.exchange.finish()
                    return
                else:
                    await self._something()
        except ClientGone:
            self.leave()

    def _event(self, message: bytes) -> bytes:
        if not message:
            return PING
        if not self.name:
            return encode(message)
        self.position += 1
        return encode(message, id=b"%b-%d" % (self.name, self.position))

    async def _something(self) -> None:
        """Waits for a message or the end."""
        self._awaited = asyncio.get_running_loop().create_future()
        await self._awaited

    def _take_all(self) -> list[bytes]:
        taken, self._waiting, self._size = self._waiting, [], 0
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        return taken

    def _wake(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)
