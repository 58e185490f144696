"""One request at one server, with everything that is needed to bring it there and back."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from mooring.clock import Clock
from mooring.core.bridging import failure
from mooring.core.codes import CANCELLED
from mooring.core.headers import Headers, hops, upwards
from mooring.core.repeating import repeatable, repeatable_call
from mooring.core.routing import Alone, Ask, Opening, Pinned, Reject
from mooring.core.table import Entry, Upstream
from mooring.errors import MooringError
from mooring.gateway.afterwork import Afterwork
from mooring.gateway.call import JSON, Call
from mooring.gateway.entries import Entries
from mooring.gateway.following import Mark
from mooring.gateway.leash import Leashes
from mooring.gateway.relay import SSE, Answer
from mooring.sessions.affinity import Affinity
from mooring.sessions.asking import own_headers
from mooring.sessions.books import Books
from mooring.sessions.courier import Courier
from mooring.sessions.event_ids import EventIds
from mooring.sessions.open_sessions import OpenSessions, Session
from mooring.sessions.recovery import Recovery
from mooring.transports.http_upstream import Reply

STREAM_SECONDS = 60.0
"""For a server to begin a stream, to open a session, or to end one."""
CALL_SECONDS = 600.0
"""For a server to begin its answer to a call."""
CALL = "tools/call"


@dataclass(frozen=True, slots=True)
class Plant:
    """What all endpoints of a gateway share."""

    courier: Courier
    sessions: OpenSessions
    afterwork: Afterwork
    clock: Clock
    via: bytes
    """Our own name in `Via`."""
    event_ids: EventIds
    affinity: Affinity
    entries: Entries
    streams: Leashes
    """Requests that stay open for as long as client and server like."""
    books: Books
    """Records of sessions."""
    recovery: Recovery


class Trip:
    """One request at one server."""

    __slots__ = ("call", "entry", "plant", "session")

    def __init__(self, plant: Plant, entry: Entry, call: Call, session: Session | None) -> None:
        self.plant = plant
        self.entry = entry
        self.call = call
        self.session = session

    @property
    def ask(self) -> Ask:
        """What routing needs to know."""
        if self.session is not None:
            told = self.session.sealed
            return Pinned(told.server, told.uid, told.identity, self.call.identity)
        message = self.call.message
        opening = message is not None and message.method == "initialize"
        return Opening() if opening and self.call.era == "session" else Alone()

    @property
    def has_owner(self) -> bool:
        """Whether the instance that holds the session is there, as far as we know."""
        if self.session is None:
            return False
        uid = self.session.sealed.uid
        return uid in self.entry.upstreams or uid in self.entry.elsewhere

    @property
    def is_ours(self) -> bool:
        """Whether the session is one of this caller's, and of this server's."""
        if self.session is None:
            return False
        told = self.session.sealed
        return (told.identity, told.server) == (self.call.identity, self.entry.ref)

    @property
    def tool(self) -> str | None:
        """The tool that is called."""
        message = self.call.message
        return message.name if message is not None and message.method == CALL else None

    @property
    def is_repeatable(self) -> bool:
        """Whether its method may run twice, whatever it is called with."""
        message = self.call.message
        return message is not None and repeatable(message.method, self.call.request.body)

    @property
    def is_harmless(self) -> bool:
        """Whether it may run twice at the owner of its session."""
        if self.is_repeatable or self.session is None:
            return self.is_repeatable
        owner = self.entry.upstreams.get(self.session.sealed.uid)
        safe = owner.safe if owner is not None else frozenset()
        return repeatable_call(self.tool, self.call.request.body, safe)

    def refresh(self) -> None:
        """Looks at the server as it is now."""
        self.entry = self.plant.entries.get(self.entry.ref) or self.entry

    async def looked_up(self, session: Session) -> None:
        """Returns when it is known what the record of a session says."""
        looking = None if session.looked else self.plant.recovery.look(session)
        if looking is not None:
            await asyncio.wait([looking])

    async def end_session(self, session: Session) -> None:
        """The session is over, for everybody who can hear it."""
        self.plant.sessions.end(session)
        with suppress(MooringError):
            await self.plant.books.end(session)

    def headers(self) -> Headers:
        """Those of the request as they go upstream."""
        upstream_id = b"" if self.session is None else self.session.sealed.upstream_id
        via = self.plant.via
        headers = self.call.request.headers
        if b"via" in self.call.headers:
            via = hops(headers, via)
        return upwards(headers, upstream_id, via)

    def scope(self, session: Session | None) -> bytes:
        """Whose event ids these are: a session's, or all of a server's that has none."""
        if session is None:
            return str(self.entry.ref).encode()
        return _scope(session, session.generation)

    def original(self, marked: bytes) -> bytes | None:
        """The owner's own id of an event; empty for one of an owner that the session had before.

        None where this session was never given that id.
        """
        session = self.session
        ids = self.plant.event_ids
        found = ids.original(self.scope(session), marked)
        if found is None and session is not None:
            former = (_scope(session, number) for number in range(session.generation))
            if any(ids.original(scope, marked) is not None for scope in former):
                return b""
        return found

    def marker(self, session: Session | None) -> Mark:
        """Makes the ids of events those of that scope."""
        return partial(self.plant.event_ids.mark_event, self.scope(session))

    def answer(self, reply: Reply, session: Session | None) -> Answer:
        """The answer of the upstream, on its way to this client."""
        answer = Answer(reply)
        if answer.type == SSE:
            answer.mark = self.marker(session)
        if session is not None and session.generation:
            answer.generation = session.generation
            if session.notices and self._may_tell(answer):
                answer.notices, session.notices = session.notices, ()
        return answer

    def _may_tell(self, answer: Answer) -> bool:
        """Whether the client would read messages of ours with this answer."""
        if answer.status != 200 or (answer.type != SSE and answer.whole is None):
            return False
        reads = self.call.headers.get(b"accept", b"")
        return SSE in reads and (self.call.id is not None or self.call.message is None)

    def reject(self, rejected: Reject) -> None:
        """Answers what routing said."""
        self.call.refuse(rejected.status, rejected.reason, rejected.message)

    def take_back(self) -> None:
        """Answers a request that its client has cancelled while it waited."""
        call = self.call
        call.outcome = "refused"
        call.respond(200, JSON, failure(call.id, CANCELLED, "Request cancelled"))

    def end_upstream(self, upstream: Upstream, upstream_id: bytes, version: str) -> None:
        """Has a session ended upstream that no client will use."""
        headers = own_headers(self.plant.via, upstream_id, version)
        self.plant.afterwork.end_upstream(upstream, headers)


def _scope(session: Session, generation: int) -> bytes:
    """Names a session and one of its owners."""
    return b"%b#%d" % (session.id.encode(), generation) if generation else session.id.encode()
