"""POST: a message goes up, its answer comes down."""

from mooring.core.bridging import requested_version
from mooring.core.headers import SESSION_ID, Headers
from mooring.core.repeating import repeatable
from mooring.core.routing import Opening, Reject
from mooring.errors import MooringError
from mooring.gateway.opening import negotiated
from mooring.gateway.relay import Answer, pass_on
from mooring.gateway.trip import STREAM_SECONDS, Trip
from mooring.sessions.courier import Parcel, Sent
from mooring.sessions.open_sessions import Session
from mooring.transports.http_server import ClientGone

CALL_SECONDS = 600.0
"""For a server to begin its answer to a call."""


async def post(trip: Trip) -> None:
    """A request, notification or response of a client."""
    call = trip.call
    ask = trip.ask
    opening = type(ask) is Opening
    method = call.message.method if call.message is not None else ""
    body = call.request.body
    seconds = STREAM_SECONDS if opening else CALL_SECONDS
    parcel = Parcel("POST", trip.headers(), body, repeatable(method, body), seconds)
    delivered = await trip.plant.courier.deliver(trip.entry, ask, parcel)
    if isinstance(delivered, Reject):
        trip.reject(delivered)
        return
    sent = delivered
    if opening:
        sent = await trip.plant.courier.next_best(trip.entry, parcel, sent)
    discarded = False
    answer = trip.answer(sent.reply, trip.session)
    try:
        if answer.status >= 400 and await trip.ended_by_loss(sent.upstream, sent.reply, answer):
            return
        if opening:
            await _open(trip, sent, answer)
        else:
            await pass_on(call, answer, sent.reply)
    except ClientGone:
        if not call.delivered:
            call.outcome = "gone"
        if call.era == "session":
            trip.plant.afterwork.discard(sent, answer)
            discarded = True
    finally:
        if not discarded:
            sent.close()


async def _open(trip: Trip, sent: Sent, answer: Answer) -> None:
    """Passes the answer to `initialize` on, with a session id of ours if it gave one."""
    upstream_id = sent.reply.header(SESSION_ID)
    if upstream_id is None:
        await pass_on(trip.call, answer, sent.reply)
        return
    version = await negotiated(answer, requested_version(trip.call.request.body))
    if version is None:
        await pass_on(trip.call, answer, sent.reply)
        if 200 <= answer.status < 300:
            trip.end_upstream(sent.upstream, upstream_id, "")
        return
    uid = sent.upstream.uid
    who = trip.call.identity
    session: Session | None = None
    try:
        session = trip.plant.sessions.open(trip.entry.ref, uid, upstream_id, version, who)
        if trip.call.exchange.ended:
            raise ClientGone("the client left before it had its session")
        if answer.mark is not None:
            answer.mark = trip.marker(session)
        given: Headers = ((SESSION_ID, session.id.encode()),)
        await pass_on(trip.call, answer, sent.reply, given)
    except (MooringError, ClientGone):
        if trip.call.delivered:
            raise
        trip.end_upstream(sent.upstream, upstream_id, version)
        if session is not None:
            trip.plant.sessions.end(session)
        raise
