"""DELETE: a client ends its session.

Its record becomes a tombstone first, so that nobody recovers what is being ended; then its owner
is told. Whether that agrees, does not know it, does not do such things or does not answer: the
session is over, and its id unknown from then on.
"""

from mooring.core.headers import NOSNIFF
from mooring.core.routing import Reject
from mooring.errors import Unavailable
from mooring.gateway.relay import Answer, pass_on
from mooring.gateway.trip import Trip
from mooring.sessions.courier import Parcel
from mooring.sessions.open_sessions import Session

ENDING_SECONDS = 10.0
"""For a server to say that it ended a session."""
OVER = "the session has ended already"


async def end(trip: Trip) -> None:
    """Ends the session of a request, which has one."""
    session = trip.session
    call = trip.call
    if session is None:
        call.refuse(
            400, "BadRequest", "DELETE ends a session: the Mcp-Session-Id header is missing"
        )
        return
    if not await _buried(trip, session):
        call.refuse(404, "SessionLost", OVER)
        return
    await _tell_owner(trip)


async def _buried(trip: Trip, session: Session) -> bool:
    """Leaves a tombstone; False where there was one. Raises Unavailable."""
    ended = await trip.plant.books.end(session)
    last = ended.last if ended is not None else None
    if last is not None and last.generation > session.generation:
        trip.plant.sessions.move(session, last.uid, last.upstream_id, last.generation)
    trip.plant.sessions.end(session)
    return ended is not None


async def _tell_owner(trip: Trip) -> None:
    call = trip.call
    parcel = Parcel("DELETE", trip.headers(), b"", repeatable=True, seconds=ENDING_SECONDS)
    try:
        sent = await trip.plant.courier.deliver(trip.entry, trip.ask, parcel)
    except Unavailable:
        call.respond(200, (NOSNIFF,))
        return
    if isinstance(sent, Reject):
        call.respond(200, (NOSNIFF,))  # its owner is gone
        return
    try:
        answer = Answer(sent.reply)
        if answer.status < 300 or answer.status in (404, 405):
            call.respond(200, (NOSNIFF,))
            return
        await pass_on(call, answer, sent.reply)
    finally:
        sent.close()
