"""Sessions that share one child (`isolation: shared`).

The child is initialized once, by us, as a client that can do nothing; each session is answered
its own `initialize` from that. So what only makes sense between one client and one server is
decided here: requests of the child are refused, its log messages go to the log, its change
notifications go to every session (`resources/updated` to those that subscribed), and a log
level is accepted without effect. All else passes, under numbers of ours.
"""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable

from mooring.clock import Clock
from mooring.core.bridging import LATEST, Welcome, negotiated, requested_version, updated_uri
from mooring.core.ids import same
from mooring.core.keeping import PROBE
from mooring.errors import Unavailable
from mooring.keeper.children import Children
from mooring.keeper.link import NOISE, Link, introduction
from mooring.keeper.resuming import Trails
from mooring.keeper.streams import JSON, NOSNIFF, Answer, Stream
from mooring.transports.envelope import Envelope, splice
from mooring.transports.http_server import Exchange

HANDSHAKE = 60.0
"""Seconds that a child has to answer our `initialize`."""
SESSIONS = 20_000
"""Sessions of one instance."""
FORGOTTEN = 24 * 3600.0
"""Seconds without a request or an open stream after which a session is ended."""
CHANGES = frozenset(
    {
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
    }
)
OURS = frozenset(
    {"notifications/initialized", "notifications/progress", "notifications/roots/list_changed"}
)
"""Notifications that speak of a handshake or of capabilities that the child does not know of."""


class SharedSession:
    """One client's session."""

    __slots__ = ("id", "seen", "stream", "subscriptions", "trails")

    def __init__(self, id: bytes, now: float) -> None:
        self.id = id
        self.seen = now
        self.stream: Stream | None = None
        self.subscriptions: set[str] = set()
        self.trails = Trails()


class SharedSessions:
    """All sessions of a slot."""

    def __init__(
        self,
        children: Children,
        first: asyncio.Lock,
        clock: Clock,
        serve: Callable[[Stream], Awaitable[None]],
    ) -> None:
        """`first` is held by whoever finds out what a fresh child is good for."""
        self._children = children
        self._first = first
        self._clock = clock
        self._serve = serve
        self._sessions: dict[bytes, SharedSession] = {}
        self._probe: SharedSession | None = None
        """The daemon's own, never two."""
        self._link: Link | None = None
        self._welcome: Welcome | None = None
        self._local: dict[str, Callable[[Exchange, Envelope], None]] = {
            "ping": self._answer_empty,
            "logging/setLevel": self._answer_empty,
        }

    def __len__(self) -> int:
        return len(self._sessions)

    def find(self, id: bytes) -> SharedSession | None:
        return self._sessions.get(id)

    async def open(self, exchange: Exchange, envelope: Envelope) -> None:
        """Answers an `initialize` with a session of its own."""
        if len(self._sessions) >= SESSIONS:
            raise Unavailable("TooManySessions", f"{SESSIONS} sessions are open already")
        welcome = await self._welcome_of_child(envelope)
        if isinstance(welcome, bytes):
            exchange.respond(200, JSON, welcome)
            return
        if self._link is None or self._link.ending:
            raise Unavailable("ChildExited", "the server's process has ended")
        session = SharedSession(secrets.token_hex(16).encode(), self._clock.monotonic())
        self._sessions[session.id] = session
        if exchange.request.header(PROBE[0]) is not None:
            self._probe, former = session, self._probe
            if former is not None:  # of a daemon that has ended
                self.close(former)
        self._greet(exchange, envelope, welcome, session)

    async def post(self, session: SharedSession, exchange: Exchange, envelope: Envelope) -> None:
        """One message of a session."""
        session.seen = self._clock.monotonic()
        link = self._link
        if link is None:
            raise Unavailable("ChildExited", "the server's process has ended")
        if envelope.type == "request":
            await self._request(session, link, exchange, envelope)
            return
        if envelope.method == "notifications/cancelled":
            self._cancel(session, link, envelope, exchange.request.body)
        elif envelope.type == "notification" and envelope.method not in OURS:
            await link.channel.send(exchange.request.body)
        exchange.respond(202, (NOSNIFF,))

    async def listen(self, session: SharedSession, exchange: Exchange) -> None:
        """The standing stream of a session, which has none yet."""
        session.stream = stream = Stream(exchange, self._clock.monotonic())
        try:
            await self._serve(stream)
        finally:
            session.seen = self._clock.monotonic()
            if session.stream is stream:
                session.stream = None

    def close(self, session: SharedSession) -> None:
        """Ends a session, with what it has asked for."""
        self._sessions.pop(session.id, None)
        if session.stream is not None:
            session.stream.end()
        link = self._link
        if link is None:
            return
        for id, call in list(link.calls.items()):
            if isinstance(call, Answer) and call.owner is session:
                link.cancel(id)
                call.cancel()
        for uri in session.subscriptions:
            if not self._subscribed(uri):
                link.say(_unsubscribe(uri))

    def sweep(self, now: float) -> None:
        """Ends sessions that nobody has used for long."""
        for session in list(self._sessions.values()):
            session.trails.sweep(now)
            if now - session.seen > FORGOTTEN and session.stream is None:
                self.close(session)

    # -- the handshake ----------------------------------------------------------------------

    async def _welcome_of_child(self, envelope: Envelope) -> Welcome | bytes:
        """What the child answered when it was initialized, or its refusal."""
        if self._welcome is not None:
            return self._welcome
        async with self._first:
            if self._welcome is not None:
                return self._welcome
            kept = self._children.ready()
            link = kept or await self._children.spawn()
            params = {
                "protocolVersion": LATEST,
                "capabilities": {},
                "clientInfo": introduction(),
            }
            try:
                reply = await link.ask("initialize", params, HANDSHAKE)
                self._welcome = Welcome(reply)
            except ValueError:
                self._children.put_back(link)
                return splice(reply, id=envelope.id)
            except Unavailable:
                self._children.put_back(link)
                raise
            link.hear = self._hear
            link.on_end = self._lost
            link.tell("notifications/initialized")
            self._link = link
            return self._welcome

    def _greet(
        self, exchange: Exchange, envelope: Envelope, welcome: Welcome, session: SharedSession
    ) -> None:
        """The answer to `initialize`."""
        version = negotiated(requested_version(exchange.request.body), welcome.version)
        body = welcome.answer(envelope.id or b"null", version)
        exchange.respond(200, (*JSON, (b"mcp-session-id", session.id)), body)

    def _lost(self) -> None:
        """The child has ended, and with it everything that it knew."""
        self._link = self._welcome = None
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            if session.stream is not None:
                session.stream.end()

    # -- what clients say -------------------------------------------------------------------

    async def _request(
        self, session: SharedSession, link: Link, exchange: Exchange, envelope: Envelope
    ) -> None:
        """Answers what can be answered here, and has the child answer the rest."""
        method = envelope.method
        local = self._local.get(method)
        if local is not None:
            local(exchange, envelope)
            return
        if method == "initialize" and self._welcome is not None:
            self._greet(exchange, envelope, self._welcome, session)
            return
        uri = envelope.name or ""
        if method == "resources/unsubscribe":
            session.subscriptions.discard(uri)
            if self._subscribed(uri):
                self._answer_empty(exchange, envelope)
                return
        elif method == "resources/subscribe":
            session.subscriptions.add(uri)
        answer = Answer(exchange, envelope.id or b"", session.seen, stateless=False)
        answer.owner = session
        answer.keep(session.trails)
        await link.forward(answer, exchange.request.body, envelope)
        await self._serve(answer)
        if answer.code and method == "resources/subscribe":
            session.subscriptions.discard(uri)

    def _answer_empty(self, exchange: Exchange, envelope: Envelope) -> None:
        """Done, without asking the child."""
        exchange.respond(200, JSON, b'{"jsonrpc":"2.0","id":%b,"result":{}}' % (envelope.id or b""))

    def _cancel(self, session: SharedSession, link: Link, envelope: Envelope, body: bytes) -> None:
        """Passes on that a session takes back one of its own requests."""
        for number, call in reversed(link.calls.items()):
            if not isinstance(call, Answer) or call.owner is not session:
                continue
            if same(call.id, envelope.request_id):
                del link.calls[number]
                link.say(splice(body, request_id=number))
                call.cancel()
                return

    def _subscribed(self, uri: str) -> bool:
        """Whether any session has subscribed to this resource."""
        return any(uri in session.subscriptions for session in self._sessions.values())

    # -- what the child says ----------------------------------------------------------------

    def _hear(self, envelope: Envelope, line: bytes) -> Stream | None:
        """Gives a notification to those whom it concerns."""
        link = self._link
        if link is None:
            return None
        method = envelope.method
        if envelope.type == "request" or method == "notifications/message":
            return link.decline(envelope, line)
        if method == "notifications/progress":
            call = link.calls.get(envelope.progress_token or b"")
            if isinstance(call, Answer) and call.token is not None and not call.outlet.full:
                call.put(splice(line, progress_token=call.token))
        elif method in CHANGES:
            self._publish(self._sessions.values(), line)
        elif method == "notifications/resources/updated":
            self._publish(self._subscribers(updated_uri(line)), line)
        else:
            link.log.line(line[:NOISE])
        return None

    def _subscribers(self, uri: str) -> list[SharedSession]:
        """Who subscribed to it; if nobody did, it may be part of what someone subscribed to."""
        exact = [s for s in self._sessions.values() if uri in s.subscriptions]
        return exact or [s for s in self._sessions.values() if s.subscriptions]

    def _publish(self, sessions: Iterable[SharedSession], line: bytes) -> None:
        """To the standing streams; one whose client does not read is cut off."""
        for session in sessions:
            stream = session.stream
            if stream is None:
                continue
            if stream.full:
                stream.cut()
            else:
                stream.put(line)


def _unsubscribe(uri: str) -> bytes:
    """A request of ours whose answer nobody waits for."""
    params = {"uri": uri}
    message = {
        "jsonrpc": "2.0",
        "id": "mooring-unsubscribe",
        "method": "resources/unsubscribe",
        "params": params,
    }
    return json.dumps(message).encode()
