"""The endpoint of one virtual server: what the room `virtual` decides, the gateway carries out.

A request for a backend makes the same journey as one of a client of that server, with the
client's session at that backend. What differs is how it may fail: a client of a virtual server
must not lose its session, or be asked who it is, because one backend of many wants that.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

from mooring.core.headers import Headers
from mooring.core.ids import same
from mooring.gateway.alone import post_alone
from mooring.gateway.call import Call
from mooring.gateway.carrying import is_settled
from mooring.gateway.leash import Leash
from mooring.gateway.listening import listen
from mooring.gateway.posting import post, post_in_session
from mooring.gateway.relay import SSE, Answer
from mooring.gateway.swift import SwiftTrip
from mooring.gateway.trip import Plant, Trip
from mooring.sessions.open_sessions import Session
from mooring.transports.envelope import Envelope, peek
from mooring.transports.http_reply import Reply
from mooring.transports.http_server import HttpServer
from mooring.transports.sse import EventSplitter, SseEvent
from mooring.virtual import call as room
from mooring.virtual.in_session import InSession
from mooring.virtual.stateless import Stateless
from mooring.virtual.virtuals import Virtuals

VERSION = b"mcp-protocol-version"
LOGIN = (401, 403)
LONGEST = 1024 * 1024
"""Bytes of an event that is looked at."""

Edit = Callable[[SseEvent], bytes]


def _message(told: Envelope | None, errand: room.Errand) -> Envelope | None:
    """What the backend is told, looked at again only where more than a name may differ."""
    if told is not None and errand.name is not None:
        return Envelope(
            told.type, told.method, told.id, errand.name, told.version, told.progress_token,
            told.request_id, told.is_error,
        )  # fmt: skip
    message = peek(errand.body) if errand.body else None
    return message if isinstance(message, Envelope) else told


class BackendCall(Call):
    """A client's request, as one backend gets it."""

    __slots__ = ("_client", "_knows_caller")

    def __init__(self, call: Call, errand: room.Errand) -> None:
        self._client = call
        self._knows_caller = bool(errand.headers)
        self.exchange = call.exchange
        self.began = call.began
        self.headers = call.headers
        self.identity = call.identity
        self.era = call.era
        self.cors = call.cors
        self.outcome = "answered"
        self.delivered = False
        self.reason = ""
        self.message = call.message
        self.request = request = call.request
        body = errand.body
        if body is not request.body:
            self.request = request.again(body)
            self.message = _message(call.message, errand)
        version = errand.version.encode()
        if errand.instead is not None:
            self._say(errand.instead)
        elif version and call.headers.get(VERSION) != version:
            kept = tuple(pair for pair in request.headers if pair[0] != VERSION)
            self._say((*kept, (VERSION, version)))

    def _say(self, headers: Headers) -> None:
        """These headers go on, instead of the client's own."""
        if self.request is self._client.request:
            self.request = self.request.again(self.request.body)
        self.request.headers = headers

    def tell(self) -> None:
        """What has become of it is what has become of the client's request."""
        client = self._client
        client.outcome, client.reason, client.delivered = self.outcome, self.reason, self.delivered

    def respond(self, status: int, headers: Headers, body: bytes = b"") -> None:
        if status < 400 or self._is_of_caller(status):
            super().respond(status, headers, body)
        elif status in LOGIN:
            self.refuse(status, "LoginNeeded", "the backend answers only callers that it knows")
        elif not self.sheltered:
            super().respond(status, headers, body)
        elif self.id is None:
            super().respond(202, ())
        else:
            self._shelter(status, headers, body)

    def _shelter(self, status: int, headers: Headers, body: bytes) -> None:
        message = peek(body) if body else None
        if type(message) is Envelope and message.is_error and same(message.id, self.id):
            super().respond(200, headers, body)
            return
        words = f"the backend answered with HTTP {status}"
        super().refuse(502, "UpstreamError", words, upstreamStatus=status)

    def refuse(
        self, status: int, reason: str, message: str, *, headers: Headers = (), **more: Any
    ) -> None:
        if status in LOGIN and not self._is_of_caller(status):
            status, headers = 502, ()
        elif (self.sheltered and not self._is_of_caller(status)) or reason == "SessionLost":
            status, headers = (503 if status == 404 else status), ()
        super().refuse(status, reason, message, headers=headers, **more)

    def _is_of_caller(self, status: int) -> bool:
        """Whether a backend says to a caller, whom it was told of, that it wants another login."""
        return status in LOGIN and self._knows_caller


LOGGED = b'"notifications/message"'


class BackendTrip(Trip):
    """A client's request at one backend."""

    __slots__ = ("_errand", "own")

    def __init__(self, plant: Plant, call: BackendCall, errand: room.Errand) -> None:
        self.plant = plant
        self.entry = errand.entry
        self.call = self.own = call
        self.session = errand.session
        self._errand = errand

    def _heard(self, notices: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Of what a client is told when its session has moved, that which is so for this client.

        That lists may have changed is for whoever made one list of many.
        """
        for notice in notices:
            if LOGGED not in notice and self._errand.event is not None:
                self._errand.event(SseEvent(b"", notice))
        return tuple(notice for notice in notices if LOGGED in notice)

    def headers(self) -> Headers:
        return super().headers() + self._errand.headers

    def answer(self, reply: Reply, session: Session | None) -> Answer:
        answer = super().answer(reply, session)
        answer.generation = 0  # questions are told apart by who hears them
        if answer.notices:
            answer.notices = self._heard(answer.notices)
        if self.call.era == "stateless":
            answer.notices = ()  # such a client hears of changes where it listens
        errand = self._errand
        if answer.type == SSE and errand.event is not None:
            edit(answer, errand.event)
        elif answer.whole and errand.answer is not None:
            answer.whole = errand.answer(answer.whole)
        return answer


def edit(answer: Answer, event: Edit) -> None:
    """Has a stream go on as it is heard."""
    if answer.whole is not None:
        answer.whole = b"".join(map(event, EventSplitter().feed(answer.whole)))
    elif answer.chunks is not None:
        answer.chunks = _edited(answer.chunks, event)


async def _edited(chunks: AsyncIterator[bytes], event: Edit) -> AsyncIterator[bytes]:
    """The same stream, event by event; from one that is too long on, as it comes."""
    splitter = EventSplitter(LONGEST)
    async for chunk in chunks:
        before = splitter.pending
        try:
            events = splitter.feed(chunk)
        except ValueError:
            yield before + chunk
            async for more in chunks:
                yield more
            return
        ready = b"".join(map(event, events))
        if ready:
            yield ready
    if splitter.pending:
        yield splitter.pending


class Carrier:
    """Does for virtual servers what needs a gateway."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant

    async def forward(self, call: room.Call, errand: room.Errand) -> None:
        """See `virtual/call.Gate`."""
        trip = self._trip(call, errand)
        session = errand.session
        if session is not None:
            session.calls += 1
        try:
            await (post(trip) if session is None else post_in_session(trip, session))
        finally:
            if session is not None:
                session.calls -= 1
                session.used_at = self._plant.clock.monotonic()
            trip.own.tell()

    async def forward_alone(self, call: room.Call, errand: room.Errand) -> None:
        """See `virtual/call.Gate`."""
        trip = self._trip(call, errand)
        with Leash() as leash:
            call.exchange.on_gone(leash.pull)
            await post_alone(trip)
        trip.own.tell()
        if leash.pulled and not trip.own.delivered:
            call.outcome = "gone"

    def knows(self, call: room.Call, errand: room.Errand, event: bytes) -> bool:
        """See `virtual/call.Gate`."""
        return self._trip(call, errand).original(event) is not None

    async def resume(self, call: room.Call, errand: room.Errand) -> None:
        """See `virtual/call.Gate`."""
        with Leash(self._plant.streams) as leash:
            call.exchange.on_gone(leash.pull)
            await listen(self._trip(call, errand))
        if leash.pulled and call.exchange.started and not call.exchange.ended:
            call.exchange.finish()

    def _trip(self, call: room.Call, errand: room.Errand) -> "BackendTrip":
        assert isinstance(call, Call)
        return BackendTrip(self._plant, BackendCall(call, errand), errand)


def virtuals(plant: Plant) -> Virtuals:
    """All virtual servers of a gateway."""
    records = plant.books, plant.recovery
    via, gate = plant.via, Carrier(plant)
    return Virtuals(plant.courier, plant.sessions, records, plant.clock, gate, via)


class VirtualEndpoint:
    """Answers for one virtual server."""

    def __init__(self, sessions: InSession, stateless: Stateless, plant: Plant) -> None:
        self._sessions = sessions
        self._stateless = stateless
        self._plant = plant

    def swift(self, call: Call, host: HttpServer, tell: Callable[[Call], None]) -> bool:
        """Begins a call that has nothing to wait for but a backend; False for any other.

        `tell` counts the call once it is answered.
        """
        errand = self._sessions.swift(call)
        if errand is None:
            return False
        session = errand.session
        if session is None or not is_settled(session):
            return False
        trip = BackendTrip(self._plant, BackendCall(call, errand), errand)
        told = tell if errand.entry.ours else self._judging(errand, tell)
        return SwiftTrip(trip, session, host, told).begin()

    def _judging(self, errand: room.Errand, tell: Callable[[Call], None]) -> Callable[[Call], None]:
        def told(call: Call) -> None:
            self._sessions.judge(call, errand.entry)
            tell(call)

        return told

    async def answer(self, call: Call) -> None:
        """See `Endpoint`."""
        if call.era == "stateless":
            await self._stateless.answer(call)
        else:
            await self._sessions.answer(call)
