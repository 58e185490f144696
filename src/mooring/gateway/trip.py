"""One request at one server, with everything that is needed to bring it there and back."""

from dataclasses import dataclass
from functools import partial

from mooring.clock import Clock
from mooring.core.headers import BOTH, SESSION_ID, Headers, hops, upwards
from mooring.core.loss import suspicious
from mooring.core.routing import Alone, Ask, Opening, Pinned, Reject
from mooring.core.table import Entry, Upstream
from mooring.errors import MooringError
from mooring.gateway.afterwork import Afterwork
from mooring.gateway.call import Call
from mooring.gateway.entries import Entries
from mooring.gateway.following import Mark
from mooring.gateway.leash import Leashes
from mooring.gateway.relay import SSE, Answer, settle
from mooring.sessions.affinity import Affinity
from mooring.sessions.courier import Courier, Parcel
from mooring.sessions.event_ids import EventIds
from mooring.sessions.open_sessions import OpenSessions, Session
from mooring.transports.http_upstream import Reply

STREAM_SECONDS = 60.0
"""For a server to begin a stream, to open a session, or to end one."""
CONFIRM_EVERY = 1.0
"""Seconds between two questions to an upstream whether one session is lost."""
PING = b'{"jsonrpc":"2.0","id":"mooring-ping","method":"ping"}'
TYPE = (b"content-type", b"application/json")
LOST = "the server has forgotten this session; initialize again"


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


def own_headers(via: bytes, upstream_id: bytes, version: str) -> Headers:
    """The headers of a request of our own on an upstream's session."""
    ours: Headers = (BOTH, TYPE, (b"via", via), (SESSION_ID, upstream_id))
    return (*ours, (b"mcp-protocol-version", version.encode())) if version else ours


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
        return (str(self.entry.ref) if session is None else session.id).encode()

    def marker(self, session: Session | None) -> Mark:
        """Makes the ids of events those of that scope."""
        return partial(self.plant.event_ids.mark_event, self.scope(session))

    def answer(self, reply: Reply, session: Session | None) -> Answer:
        """The answer of the upstream, on its way to this client."""
        answer = Answer(reply)
        if answer.type == SSE:
            answer.mark = self.marker(session)
        return answer

    def reject(self, rejected: Reject) -> None:
        """Answers what routing said."""
        self.call.refuse(rejected.status, rejected.reason, rejected.message)

    def end_upstream(self, upstream: Upstream, upstream_id: bytes, version: str) -> None:
        """Has a session ended upstream that no client will use."""
        headers = own_headers(self.plant.via, upstream_id, version)
        self.plant.afterwork.end_upstream(upstream, headers)

    async def ended_by_loss(self, upstream: Upstream, reply: Reply, answer: Answer) -> bool:
        """Ends the session if this answer proves that its owner has forgotten it, and says so."""
        session = self.session
        if session is None or answer.status not in (400, 404):
            return False
        if answer.status == 400 and not await self._confirmed(session, upstream, reply, answer):
            return False
        self.plant.sessions.end(session)
        self.call.refuse(404, "SessionLost", LOST)
        return True

    async def _confirmed(
        self, session: Session, upstream: Upstream, reply: Reply, answer: Answer
    ) -> bool:
        await settle(answer, reply)
        if not suspicious(answer.status, answer.whole or b""):
            return False
        now = self.plant.clock.monotonic()
        if now - session.confirmed_at < CONFIRM_EVERY:
            return False
        session.confirmed_at = now
        told = session.sealed
        headers = own_headers(self.plant.via, told.upstream_id, told.version)
        ping = Parcel("POST", headers, PING, repeatable=True, seconds=STREAM_SECONDS)
        try:
            sent = await self.plant.courier.send(upstream, ping)
        except MooringError:
            return False
        try:
            said = Answer(sent.reply)
            await settle(said, sent.reply)
            return said.status == 404 or suspicious(said.status, said.whole or b"")
        finally:
            sent.close()
