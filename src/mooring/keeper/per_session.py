"""Sessions that have a child each (`isolation: session`).

Client and child talk with each other as if there were no bridge: every message passes as it
is, in both directions. What HTTP adds is the question on which stream a message of the child
goes, since over a pipe nothing says what it belongs to: progress goes to its call; anything
else to the only open call, if there is just one, else to the standing stream, else to the
latest call, be it one that its client has to come back for; changes go to the standing stream
first. What comes while no stream is open is kept, up to a bound, for the next one. A child
that is not read from is kept waiting.
"""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Awaitable, Callable

from mooring.clock import Clock
from mooring.core.bridging import Welcome, failure
from mooring.core.codes import INVALID_REQUEST, UNAVAILABLE
from mooring.core.ids import plain, same
from mooring.core.keeping import PROBE, SlotSpec
from mooring.errors import Unavailable
from mooring.keeper.children import Children
from mooring.keeper.link import Link
from mooring.keeper.resuming import Trails
from mooring.keeper.streams import JSON, NOSNIFF, Answer, Stream
from mooring.transports.envelope import Envelope, splice
from mooring.transports.http_server import Exchange

HANDSHAKE = 60.0
"""Seconds that a child has to answer the daemon's `initialize`."""
KEPT = 256
"""Messages of a child that wait for a stream."""
KEPT_BYTES = 4 * 1024 * 1024
CHANGES = ("/list_changed", "/updated")
"""How the methods end that speak of the server, not of a call."""


class PerSession:
    """One session and its child."""

    def __init__(self, id: bytes, link: Link, now: float) -> None:
        self.id = id
        self.link = link
        self.seen = now
        self.stream: Stream | None = None
        self.trails = Trails()
        self._kept: deque[tuple[Envelope, bytes]] = deque()
        self._kept_size = 0
        link.hear = self._hear

    @property
    def in_use(self) -> bool:
        """Whether somebody waits for something."""
        return bool(self.link.calls) or self.stream is not None

    def deliver(self, stream: Stream) -> None:
        """Gives what was kept to a stream that was just opened."""
        for _, line in self._kept:
            stream.put(line)
        self._kept.clear()
        self._kept_size = 0

    def cancelled(self, id: bytes | None) -> None:
        """The client takes a request back; a reply to it may come or not."""
        call = self.link.calls.pop(plain(id), None) if id is not None else None
        if isinstance(call, Answer):
            call.cancel()

    def _hear(self, envelope: Envelope, line: bytes) -> Stream | None:
        """Puts a message of the child on the one stream where it belongs."""
        if envelope.method == "notifications/progress":
            stream = self._call_with(envelope.progress_token)
            if stream is None:
                return None  # its call is over
        else:
            stream = self._place(envelope.method)
        if stream is None:
            self._keep(envelope, line)
            return None
        stream.put(line)
        return stream.outlet if stream.outlet.full else None

    def _call_with(self, token: bytes | None) -> Stream | None:
        """The call that progress with this token belongs to, if anybody can hear of it."""
        for call in self.link.calls.values():
            if isinstance(call, Answer) and same(call.token, token) and call.heard:
                return call
        return None

    def _place(self, method: str) -> Stream | None:
        """The stream for a message that names no call."""
        heard = [c for c in self.link.calls.values() if isinstance(c, Answer) and c.heard]
        calls = [call for call in heard if call.open]
        standing = self.stream if self.stream is not None and self.stream.open else None
        if standing is not None and (len(calls) != 1 or method.endswith(CHANGES)):
            return standing
        return calls[-1] if calls else standing or (heard[-1] if heard else None)

    def _keep(self, envelope: Envelope, line: bytes) -> None:
        """Until a stream opens; the oldest goes when it is too much."""
        self._kept.append((envelope, line))
        self._kept_size += len(line)
        while len(self._kept) > KEPT or self._kept_size > KEPT_BYTES:
            oldest, text = self._kept.popleft()
            self._kept_size -= len(text)
            self.link.log.mark("dropped, as the client had no stream open:", oldest.method)
            if oldest.type == "request":
                words = "the client has no stream open"
                self.link.say(failure(oldest.id, UNAVAILABLE, words))


class PerSessions:
    """All sessions of a slot."""

    def __init__(
        self,
        spec: SlotSpec,
        children: Children,
        clock: Clock,
        serve: Callable[[Stream], Awaitable[None]],
    ) -> None:
        self._children = children
        self._clock = clock
        self._serve = serve
        self._idle = spec.idle_seconds
        self._sessions: dict[bytes, PerSession] = {}
        self._probe: PerSession | None = None
        """The daemon's own: one more than clients may have, never idle, and never two."""
        self._first_probe = asyncio.Lock()
        self._welcome: Welcome | None = None
        """What its child answered when it was opened."""

    def __len__(self) -> int:
        return len(self._sessions)

    def find(self, id: bytes) -> PerSession | None:
        return self._sessions.get(id)

    async def open(self, exchange: Exchange, envelope: Envelope) -> None:
        """Has a child answer an `initialize`. Raises Unavailable where there can be none."""
        if exchange.request.header(PROBE[0]) is not None:
            await self._open_probe(exchange, envelope)
            return
        session = self._begin(await self._children.take())
        answer = Answer(exchange, envelope.id or b"", session.seen, stateless=False)
        answer.headers = ((b"mcp-session-id", session.id),)
        begun = False
        try:
            await self._ask(session, answer, exchange.request.body)
            begun = not (answer.code or answer.gone)
        finally:
            if not begun:  # nobody knows the session
                self.close(session)

    def _begin(self, link: Link) -> PerSession:
        session = PerSession(secrets.token_hex(16).encode(), link, self._clock.monotonic())
        self._sessions[session.id] = session
        link.on_end = lambda: self._lost(session)
        return session

    async def _open_probe(self, exchange: Exchange, envelope: Envelope) -> None:
        """The daemon's own session; the next daemon is given the same one, with its child."""
        async with self._first_probe:
            refusal = None if self._probe is not None else await self._begin_probe(exchange)
        if refusal is not None:
            exchange.respond(200, JSON, splice(refusal, id=envelope.id))
            return
        if self._probe is None or self._welcome is None:
            raise Unavailable("ChildExited", "the server's process has ended")
        body = self._welcome.answer(envelope.id or b"null", self._welcome.version)
        exchange.respond(200, (*JSON, (b"mcp-session-id", self._probe.id)), body)

    async def _begin_probe(self, exchange: Exchange) -> bytes | None:
        """Has the first child answer the `initialize`; what it says where it refuses."""
        link = await self._children.take(extra=True)
        try:
            params = json.loads(exchange.request.body).get("params") or {}
            reply = await link.ask("initialize", params, HANDSHAKE)
            self._welcome = Welcome(reply)
        except ValueError:
            self._children.dismiss(link)
            return reply
        except Unavailable:
            self._children.dismiss(link)
            raise
        self._probe = self._begin(link)
        link.tell("notifications/initialized")
        return None

    async def post(self, session: PerSession, exchange: Exchange, envelope: Envelope) -> None:
        """One message of a session."""
        session.seen = self._clock.monotonic()
        if session is self._probe and envelope.method == "notifications/initialized":
            exchange.respond(202, (NOSNIFF,))  # its child was told when it was opened
            return
        if envelope.type != "request" or envelope.id is None:
            await session.link.channel.send(exchange.request.body)
            if envelope.method == "notifications/cancelled":
                session.cancelled(envelope.request_id)
            exchange.respond(202, (NOSNIFF,))
            return
        if plain(envelope.id) in session.link.calls:
            words = "another request with this id is still open in this session"
            exchange.respond(400, JSON, failure(envelope.id, INVALID_REQUEST, words))
            return
        answer = Answer(exchange, envelope.id, session.seen, stateless=False)
        answer.token = envelope.progress_token
        answer.keep(session.trails)
        if session.stream is None:
            session.deliver(answer)
        await self._ask(session, answer, exchange.request.body)

    async def listen(self, session: PerSession, exchange: Exchange) -> None:
        """The standing stream of a session, which has none yet."""
        session.stream = stream = Stream(exchange, self._clock.monotonic())
        session.deliver(stream)
        try:
            await self._serve(stream)
        finally:
            session.seen = self._clock.monotonic()
            if session.stream is stream:
                session.stream = None

    def close(self, session: PerSession) -> None:
        """Ends a session and its child."""
        if self._sessions.pop(session.id, None) is None:
            return
        if session is self._probe:
            self._probe = None
        if session.stream is not None:
            session.stream.end()
        self._children.dismiss(session.link)

    def sweep(self, now: float) -> None:
        """Ends sessions that nobody has used for long."""
        for session in list(self._sessions.values()):
            session.trails.sweep(now)
            idle = now - session.seen > self._idle and not session.in_use
            if idle and session is not self._probe:
                self.close(session)

    async def _ask(self, session: PerSession, answer: Answer, body: bytes) -> None:
        """Sends a request as it is, and serves its answer."""
        id = plain(answer.id)
        session.link.calls[id] = answer
        await session.link.send_call(id, body)
        await self._serve(answer)
        session.seen = self._clock.monotonic()

    def _lost(self, session: PerSession) -> None:
        """The child has ended, and the session with it."""
        self._sessions.pop(session.id, None)
        if session is self._probe:
            self._probe = None
        if session.stream is not None:
            session.stream.end()
