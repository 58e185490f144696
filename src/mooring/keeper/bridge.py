"""One stdio slot as an MCP server over Streamable HTTP.

Every request comes in here and is sorted: which era, which session, which verb. What happens
then is the business of the era (`stateless`) or of the kind of session (`shared`,
`per_session`). Sources: MCP 2025-11-25 and 2026-07-28, Transports.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.bridging import failure
from mooring.core.codes import INVALID_REQUEST, TIMED_OUT, UNAVAILABLE, UNSUPPORTED_VERSION
from mooring.core.era import SESSION_VERSIONS, STATELESS, era_of
from mooring.core.keeping import Exit, SlotSpec
from mooring.errors import MooringError
from mooring.keeper.child import Child
from mooring.keeper.children import Children
from mooring.keeper.link import NoiseLog
from mooring.keeper.per_session import PerSessions
from mooring.keeper.shared import SharedSessions
from mooring.keeper.stateless import Stateless
from mooring.keeper.streams import JSON, Stream
from mooring.transports.envelope import Envelope, Malformed, peek
from mooring.transports.http_server import Exchange

TICK = 5.0
"""Seconds between two looks at what has become old."""
CALL = 3600.0
"""Seconds that a call may take."""
VERBS = b"POST, GET, DELETE"


class Sessions(Protocol):
    """What either kind of isolation does."""

    def __len__(self) -> int: ...
    def find(self, id: bytes) -> Any: ...
    async def open(self, exchange: Exchange, envelope: Envelope) -> None: ...
    async def post(self, session: Any, exchange: Exchange, envelope: Envelope) -> None: ...
    async def listen(self, session: Any, exchange: Exchange) -> None: ...
    def close(self, session: Any) -> None: ...
    def sweep(self, now: float) -> None: ...


class Bridge:
    """One stdio slot."""

    def __init__(
        self,
        spec: SlotSpec,
        spawn: Callable[[], Awaitable[Child]],
        clock: Clock,
        log: NoiseLog,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._clock = clock
        self._tasks = tasks
        self._eras = spec.eras
        self._open: set[Stream] = set()
        self._children = Children(spec, spawn, log, tasks)
        self.exited: asyncio.Future[Exit] = self._children.exited
        """The slot's end; never fails, must not be cancelled."""
        first = asyncio.Lock()
        self._stateless = Stateless(spec, self._children, first, clock, self._serve)
        self._sessions: Sessions = (
            SharedSessions(self._children, first, clock, self._serve)
            if spec.isolation == "shared"
            else PerSessions(spec, self._children, clock, self._serve)
        )
        self._sweeping: asyncio.Task[None] | None = None
        self._verbs: dict[str, Callable[[Exchange], Awaitable[None]]] = {
            "POST": self._post,
            "GET": self._get,
            "DELETE": self._delete,
        }

    @property
    def sessions(self) -> int:
        """Open sessions."""
        return len(self._sessions)

    @property
    def children(self) -> int:
        """Living processes."""
        return len(self._children)

    async def start(self) -> None:
        """Starts the first child. Raises Unavailable "CannotStart"."""
        await self._children.start()
        self._sweeping = self._tasks.create_task(self._sweep())
        self.exited.add_done_callback(self._rest)

    async def stop(self, grace: float) -> None:
        """Ends all children, with `grace` seconds between SIGTERM and SIGKILL, and the slot."""
        await self._children.stop(grace)

    async def handle(self, exchange: Exchange) -> None:
        """Answers one HTTP request."""
        verb = self._verbs.get(exchange.request.method)
        if verb is None:
            exchange.respond(405, ((b"allow", VERBS),))
            return
        try:
            await verb(exchange)
        except MooringError as error:
            _refuse(exchange, error.status, None, error.message, reason=error.reason)

    # -- the verbs --------------------------------------------------------------------------

    async def _post(self, exchange: Exchange) -> None:
        request = exchange.request
        envelope = peek(request.body)
        if isinstance(envelope, Malformed):
            _refuse(exchange, 400, envelope.id, envelope.message, code=envelope.code)
            return
        stated = request.header(b"mcp-protocol-version")
        id = request.header(b"mcp-session-id")
        try:
            if era_of(stated, envelope.version, envelope.method, id is not None) == "stateless":
                await self._stateless.post(exchange, envelope)
            elif self._eras == "stateless":
                _refuse_sessions(exchange, envelope)
            else:
                await self._post_in_session(exchange, envelope, id, stated)
        except MooringError as error:
            status = error.status
            if id is not None and envelope.method != "initialize":
                status = 200 if envelope.type == "request" else 202  # a 5xx would end the client
                if error.reason == "ChildExited":
                    status = 404  # nothing was sent, and nobody knows the session any more
            code = TIMED_OUT if error.reason == "ChildSilent" else UNAVAILABLE
            _refuse(exchange, status, envelope.id, error.message, code, error.reason)

    async def _post_in_session(
        self, exchange: Exchange, envelope: Envelope, id: bytes | None, stated: bytes | None
    ) -> None:
        """A message of the era of sessions."""
        if id is None:
            if envelope.method == "initialize" and envelope.type == "request":
                await self._sessions.open(exchange, envelope)
            else:
                _refuse(exchange, 400, envelope.id, "Missing session ID: initialize first")
            return
        session = self._sessions.find(id)
        if session is None:
            _refuse(exchange, 404, envelope.id, "Session not found")
        elif stated is not None and stated not in SESSION_VERSIONS:
            _refuse(exchange, 400, envelope.id, "unknown protocol version in the header")
        else:
            await self._sessions.post(session, exchange, envelope)

    async def _get(self, exchange: Exchange) -> None:
        session = self._session_of(exchange)
        if session is None:
            return
        last = exchange.request.header(b"last-event-id")
        if last is not None:
            await self._resume(session, exchange, last)
            return
        if session.stream is not None and session.stream.open:
            _refuse(exchange, 409, None, "Conflict: Only one SSE stream is allowed per session")
            return
        await self._sessions.listen(session, exchange)

    async def _resume(self, session: Any, exchange: Exchange, last: bytes) -> None:
        """Goes on with the answer to a call whose stream the client has lost."""
        found = session.trails.find(last)
        if found is None:
            _refuse(exchange, 400, None, "nothing is kept of the stream with this Last-Event-ID")
            return
        trail, position = found
        session.seen = self._clock.monotonic()
        stream = Stream(exchange, session.seen)
        trail.follow(stream, position)
        await self._serve(stream)

    async def _delete(self, exchange: Exchange) -> None:
        session = self._session_of(exchange)
        if session is not None:
            self._sessions.close(session)
            exchange.respond(200)

    def _session_of(self, exchange: Exchange) -> Any:
        """The session that a GET or DELETE names; None if that was answered already."""
        request = exchange.request
        stated = request.header(b"mcp-protocol-version")
        if self._eras == "stateless" or (stated is not None and stated >= STATELESS):
            exchange.respond(405, ((b"allow", b"POST"),))
            return None
        id = request.header(b"mcp-session-id")
        if id is None:
            _refuse(exchange, 400, None, "Missing session ID")
            return None
        session = self._sessions.find(id)
        if session is None:
            _refuse(exchange, 404, None, "Session not found")
        return session

    # -- time -------------------------------------------------------------------------------

    async def _serve(self, stream: Stream) -> None:
        """Serves a stream, which hears a comment now and then while it is silent."""
        self._open.add(stream)
        try:
            await stream.serve()
        finally:
            self._open.discard(stream)

    async def _sweep(self) -> None:
        """Comments on silent streams, forgotten calls, idle sessions, missing spares."""
        while True:
            await self._clock.sleep(TICK)
            try:
                now = self._clock.monotonic()
                for stream in tuple(self._open):
                    stream.remind(now)
                for link in tuple(self._children.links):
                    link.expire(now - CALL)
                self._sessions.sweep(now)
                await self._children.refill()
            except Exception as error:  # noqa: BLE001 - the top of a loop
                telemetry.event("bridge.failed", logging.ERROR, error=repr(error))

    def _rest(self, _: asyncio.Future[Exit]) -> None:
        """The slot has ended: nothing becomes old any more."""
        if self._sweeping is not None:
            self._sweeping.cancel()


def _refuse(
    exchange: Exchange,
    status: int,
    id: bytes | None,
    message: str,
    code: int = INVALID_REQUEST,
    reason: str = "",
) -> None:
    """Answers with an error of our own."""
    if exchange.started:
        exchange.abort()
        return
    details = {"reason": reason} if reason else {}
    exchange.respond(status, JSON, failure(id, code, message, **details))


def _refuse_sessions(exchange: Exchange, envelope: Envelope) -> None:
    """What a server says that knows the stateless era only."""
    words = "this server serves the stateless era; the initialize handshake is not accepted"
    body = failure(envelope.id, UNSUPPORTED_VERSION, words, supported=[STATELESS.decode()])
    exchange.respond(400, JSON, body)
