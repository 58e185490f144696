"""What a client is sent: the answer to one POST, or the standing stream of a GET.

Whoever holds the child puts messages in, at once and without waiting; the handler of the HTTP
request takes them out and writes them as fast as the client reads. An answer that comes alone
is plain JSON; the first other message, or a long silence, makes a stream of server-sent events
out of it. A stream that is `full` has a slow reader: the one who puts decides what to do then.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from mooring.core.bridging import error_code, failure, status_of
from mooring.core.codes import CANCELLED
from mooring.core.headers import prefers_events
from mooring.keeper.resuming import SINCE, Trail, Trails
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
        self._room = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await self._room
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


class Answer(Stream):
    """The answer to one JSON-RPC request, with what the server says before it."""

    __slots__ = (
        "asked",
        "code",
        "eager",
        "headers",
        "heed",
        "id",
        "lasting",
        "owner",
        "stateless",
        "token",
        "trail",
        "trails",
    )

    def __init__(self, exchange: Exchange, id: bytes, now: float, *, stateless: bool) -> None:
        """`id` is the raw id that the client gave."""
        super().__init__(exchange, now)
        self.id = id
        self.asked = now
        self.code = 0
        """The code of the reply, where that is an error."""
        self.stateless = stateless
        self.token: bytes | None = None
        """The raw progress token that the client gave."""
        self.owner: object = None
        """The session that asked, where ids are told apart by session."""
        self.lasting = False
        """Whether it may stay open for ever: a subscription."""
        self.headers: Headers = ()
        """Sent along, whichever form the answer takes."""
        self.heed: Callable[[bytes], object] | None = None
        """Is shown the reply."""
        self.eager = False
        """The client would rather have a stream, even for a reply that comes alone."""
        self.trails: Trails | None = None
        """Where it is kept for a client that loses the stream."""
        self.trail: Trail | None = None

    @property
    def open(self) -> bool:
        outlet = self.outlet
        return super().open if outlet is self else outlet.open

    @property
    def heard(self) -> bool:
        """Whether a message that is put now can still arrive, or be come back for."""
        return self.open or (self.trail is not None and not self._over)

    @property
    def outlet(self) -> Stream:
        reader = self if self.trail is None else self.trail.reader
        return reader if isinstance(reader, Stream) else self

    def put(self, message: bytes) -> None:
        trail = self.trail
        if trail is not None and message and not self._over:
            trail.add(message)
            if trail.reader is not self:
                trail.reader.put(message)
        super().put(message)

    def end(self) -> None:
        super().end()
        if self.trail is not None:
            self.trail.over = True
            if self.trail.reader is not self:
                self.trail.reader.end()

    def keep(self, trails: Trails) -> None:
        """Lets a client that knows how come back for it."""
        request = self.exchange.request
        if (request.header(b"mcp-protocol-version") or b"") >= SINCE:
            self.trails = trails
            self.eager = prefers_events(request.header(b"accept") or b"")

    def answer(self, reply: bytes) -> None:
        """The reply came, and ends the stream."""
        if b'"error"' in reply:
            self.code = error_code(reply)
        if self.heed is not None:
            self.heed(reply)
        self.put(reply)
        self.end()

    def fail(self, reason: str, message: str, code: int) -> None:
        """The reply is an error of ours."""
        self.answer(failure(self.id, code, message, reason=reason))

    def cancel(self) -> None:
        """The client takes its request back; the process may or may not reply to that."""
        self.answer(failure(self.id, CANCELLED, "Request cancelled"))

    async def serve(self) -> None:
        while not (self._waiting or self._over or self.gone or self.eager):
            await self._something()
        if self.gone:
            return
        if self._over and len(self._waiting) == 1 and not self.eager:
            self._respond(self._take_all()[0])
            return
        self.exchange.start(200, EVENTS + self.headers)
        if self.trails is None:
            await self._write_on()
            return
        self.trail = self.trails.begin(self, [message for message in self._waiting if message])
        self.trail.over = self._over
        await self._write_on(self.trail.beginning)

    def _respond(self, reply: bytes) -> None:
        """Plain JSON. Errors have a status of their own in the stateless era, and no session."""
        status = status_of(self.code) if self.stateless else 200
        self.exchange.respond(status, JSON if self.code else JSON + self.headers, reply)
