"""GET: the stream on which a server speaks unasked."""

from mooring.core.routing import Reject
from mooring.gateway.courier import PATIENCE, Parcel, Sent
from mooring.gateway.relay import Answer, pass_on
from mooring.gateway.trip import STREAM_SECONDS, Trip

PAUSE = 0.1


async def listen(trip: Trip) -> None:
    """Opens the stream and passes it on until one side ends it."""
    sent = await _opened(trip)
    if isinstance(sent, Reject):
        trip.reject(sent)
        return
    session = trip.session
    try:
        answer = Answer(sent.reply)
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


async def _opened(trip: Trip) -> Sent | Reject:
    """The upstream's stream. After a client dropped one it may linger, and 409 refuse the next."""
    clock = trip.plant.clock
    parcel = Parcel("GET", trip.headers(), b"", repeatable=True, seconds=STREAM_SECONDS)
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
