"""A request of the stateless era: any instance will do, unless one gave what it brings back.

What an instance gave out to be brought back (a `requestState`, the id of a task) is wrapped on its
way to the client and unwrapped on its way back, so that it returns to that instance. When the
instance is gone the client hears so, and begins anew: no other one could make sense of it.
"""

from mooring.core.bridging import failure
from mooring.core.codes import INVALID_PARAMS
from mooring.core.headers import Headers
from mooring.core.repeating import repeatable
from mooring.core.routing import Alone, Ask, Pinned, Reject
from mooring.gateway.bond import Bond, Foreign, wrapped
from mooring.gateway.call import JSON
from mooring.gateway.relay import pass_on
from mooring.gateway.trip import CALL_SECONDS, Trip
from mooring.sessions.courier import Parcel
from mooring.transports.http_server import ClientGone

STATE = "invalid_request_state"
"""What the official SDK calls it in `data.reason`."""
GONE = "the server has lost what this request continues, or it is over; begin anew"


async def post_alone(trip: Trip) -> None:
    """A message that gets one answer. Raises ClientGone and Unavailable as endpoints do."""
    call, entry = trip.call, trip.entry
    method = call.message.method if call.message is not None else ""
    bond = bond_of(trip)
    try:
        ask, headers, body = _addressed(trip, bond, method)
    except Foreign:
        refuse_state(trip)
        return
    may_repeat = repeatable(method, body)
    parcel = Parcel("POST", headers, body, may_repeat, CALL_SECONDS, trip.tool)
    sent = await trip.plant.courier.deliver(entry, ask, parcel)
    if isinstance(sent, Reject):
        if type(ask) is Pinned and sent.reason == "SessionLost":
            refuse_state(trip)
        else:
            trip.reject(sent)
        return
    try:
        answer = trip.answer(sent.reply, None)
        if bond is not None:
            await wrapped(answer, bond.wrapping(sent.upstream.uid, method))
        await pass_on(call, answer, sent.reply)
    except ClientGone:
        if not call.delivered:
            call.outcome = "gone"
    finally:
        sent.close()


def bond_of(trip: Trip) -> Bond | None:
    """None for a remote server, whose instances are not ours to tell apart."""
    if not trip.entry.ours:
        return None
    call = trip.call
    return Bond(trip.plant.affinity, trip.entry.ref, call.identity, call.request.body)


def _addressed(trip: Trip, bond: Bond | None, method: str) -> tuple[Ask, Headers, bytes]:
    """Where a request may go, and how it reads there. Raises Foreign."""
    headers, body = trip.headers(), trip.call.request.body
    claim = bond.claim(method, headers) if bond is not None else None
    if claim is None:
        return Alone(), headers, body
    who = trip.call.identity
    return Pinned(trip.entry.ref, claim.uid, who, who), claim.headers, claim.body


def refuse_state(trip: Trip) -> None:
    """What a server says to a state or task that means nothing to it."""
    call = trip.call
    call.outcome, call.reason = "refused", STATE
    call.respond(400, JSON, failure(call.id, INVALID_PARAMS, GONE, reason=STATE))
