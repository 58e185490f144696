"""The answer to one POST, as a client is sent it.

An answer that comes alone is plain JSON; the first other message, or a long silence, makes a
stream of server-sent events out of it. It is kept for a client that knows how to come back.
"""

from collections.abc import Callable

from mooring.core.bridging import error_code, failure, status_of
from mooring.core.codes import CANCELLED
from mooring.core.headers import prefers_events
from mooring.keeper.resuming import SINCE, Trail, Trails
from mooring.transports.http_server import Exchange, Headers
from mooring.transports.streams import EVENTS, JSON, NOSNIFF, Stream

__all__ = ["JSON", "NOSNIFF", "Answer", "Stream"]


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
