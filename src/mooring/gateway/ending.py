"""DELETE: a client ends its session.

Once its owner agreed, does not know it, does not do such things, or does not answer, the
session is over: its id is unknown from then on.
"""

from mooring.core.headers import NOSNIFF
from mooring.core.routing import Reject
from mooring.errors import Unavailable
from mooring.gateway.relay import Answer, pass_on
from mooring.gateway.trip import Trip
from mooring.sessions.courier import Parcel

ENDING_SECONDS = 10.0
"""For a server to say that it ended a session."""


async def end(trip: Trip) -> None:
    """Ends the session of a request, which has one."""
    session = trip.session
    call = trip.call
    if session is None:
        call.refuse(
            400, "BadRequest", "DELETE ends a session: the Mcp-Session-Id header is missing"
        )
        return
    ask = trip.ask
    parcel = Parcel("DELETE", trip.headers(), b"", repeatable=True, seconds=ENDING_SECONDS)
    try:
        sent = await trip.plant.courier.deliver(trip.entry, ask, parcel)
    except Unavailable:
        trip.plant.sessions.end(session)
        call.respond(200, (NOSNIFF,))
        return
    if isinstance(sent, Reject):
        trip.reject(sent)
        return
    try:
        answer = Answer(sent.reply)
        if answer.status < 300 or answer.status in (404, 405):
            trip.plant.sessions.end(session)
            call.respond(200, (NOSNIFF,))
            return
        await pass_on(call, answer, sent.reply)
    finally:
        sent.close()
