"""GET: the stream on which a server speaks unasked."""

from mooring.core.headers import LAST_EVENT_ID
from mooring.core.routing import Reject
from mooring.gateway.carrying import carry
from mooring.gateway.relay import pass_on
from mooring.gateway.trip import STREAM_SECONDS, Trip
from mooring.sessions.courier import PATIENCE, Parcel, Sent
from mooring.sessions.open_sessions import Session

PAUSE = 0.1


async def listen(trip: Trip) -> None:
    """Opens the stream and passes it on until one side ends it."""
    session = trip.session
    if trip.call.headers.get(LAST_EVENT_ID):
        if session is not None:
            await trip.looked_up(session)
        if trip.original(trip.call.headers[LAST_EVENT_ID]) is None:
            trip.call.refuse(400, "BadRequest", "Last-Event-ID: this session has no such event")
            return
    sent = await _opened(trip)
    if sent is None:
        return
    try:
        answer = trip.answer(sent.reply, session)
        if session is not None:
            session.streams += 1
        try:
            await pass_on(trip.call, answer, sent.reply)
        finally:
            if session is not None:
                session.streams -= 1
                session.used_at = trip.plant.clock.monotonic()
    finally:
        sent.close()


def parcel(trip: Trip) -> Parcel:
    """The request as it goes to the owner of the session now.

    An event of an owner before means nothing to this one: the stream begins anew.
    """
    headers = trip.headers()
    given = trip.call.headers.get(LAST_EVENT_ID)
    id = trip.original(given) if given else None
    if id:
        headers = (*headers, (LAST_EVENT_ID, id))
    return Parcel("GET", headers, b"", repeatable=True, seconds=STREAM_SECONDS)


async def _opened(trip: Trip) -> Sent | None:
    """The upstream's stream; None where the client was answered without one.

    After a client dropped one it may linger, and 409 refuse the next.
    """
    clock = trip.plant.clock
    deadline = clock.monotonic() + PATIENCE
    while True:
        sent = await _asked(trip, trip.session)
        if sent is None or sent.reply.status != 409:
            return sent
        if _streams(trip) or clock.monotonic() >= deadline:
            return sent
        sent.close()
        await clock.sleep(PAUSE)


async def _asked(trip: Trip, session: Session | None) -> Sent | None:
    if session is not None:
        session.calls += 1  # it is in use while it waits for its stream
        try:
            return await carry(trip, session, parcel(trip), parcel)
        finally:
            session.calls -= 1
    sent = await trip.plant.courier.deliver(trip.entry, trip.ask, parcel(trip))
    if isinstance(sent, Reject):
        trip.reject(sent)
        return None
    return sent


def _streams(trip: Trip) -> int:
    """Open streams of the request's session: then a 409 means what it says."""
    return 0 if trip.session is None else trip.session.streams
