"""GET: the stream on which a server speaks unasked."""

from mooring.core.headers import LAST_EVENT_ID, Headers
from mooring.core.routing import Reject
from mooring.gateway.relay import pass_on
from mooring.gateway.trip import STREAM_SECONDS, Trip
from mooring.sessions.courier import PATIENCE, Parcel, Sent

PAUSE = 0.1


async def listen(trip: Trip) -> None:
    """Opens the stream and passes it on until one side ends it."""
    headers = trip.headers()
    given = trip.call.headers.get(LAST_EVENT_ID)
    if given:
        id = trip.plant.event_ids.original(trip.scope(trip.session), given)
        if id is None:
            trip.call.refuse(400, "BadRequest", "Last-Event-ID: this session has no such event")
            return
        headers = (*headers, (LAST_EVENT_ID, id))
    sent = await _opened(trip, headers)
    if isinstance(sent, Reject):
        trip.reject(sent)
        return
    session = trip.session
    try:
        answer = trip.answer(sent.reply, session)
        if await trip.ended_by_loss(sent.upstream, sent.reply, answer):
            return
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


async def _opened(trip: Trip, headers: Headers) -> Sent | Reject:
    """The upstream's stream. After a client dropped one it may linger, and 409 refuse the next."""
    clock = trip.plant.clock
    parcel = Parcel("GET", headers, b"", repeatable=True, seconds=STREAM_SECONDS)
    deadline = clock.monotonic() + PATIENCE
    while True:
        sent: Sent | Reject = await trip.plant.courier.deliver(trip.entry, trip.ask, parcel)
        if isinstance(sent, Reject):
            return sent
        if sent.reply.status != 409 or _streams(trip) or clock.monotonic() >= deadline:
            return sent
        sent.close()
        await clock.sleep(PAUSE)


def _streams(trip: Trip) -> int:
    """Open streams of the request's session: then a 409 means what it says."""
    return 0 if trip.session is None else trip.session.streams
