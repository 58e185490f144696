"""POST: a message goes up, its answer comes down."""

from mooring.core.headers import NOSNIFF
from mooring.core.questions import meant
from mooring.core.routing import Reject
from mooring.errors import MooringError
from mooring.gateway.carrying import carry
from mooring.gateway.opening import first_message
from mooring.gateway.relay import Answer, pass_on
from mooring.gateway.trip import CALL, CALL_SECONDS, Trip
from mooring.sessions.courier import Parcel, Sent, TakenBack
from mooring.sessions.journal import METHODS
from mooring.sessions.open_sessions import Session
from mooring.transports.envelope import Envelope, peek, splice
from mooring.transports.http_server import ClientGone

PROGRESS = "notifications/progress"


async def post(trip: Trip) -> None:
    """A message that belongs to no session: of a server that has none, or that asks for one."""
    delivered = await trip.plant.courier.deliver(trip.entry, trip.ask, parcel(trip))
    if isinstance(delivered, Reject):
        trip.reject(delivered)
        return
    await bring_back(trip, delivered, None)


async def post_in_session(trip: Trip, session: Session) -> None:
    """A request, notification or response of a session."""
    message = trip.call.message
    if message is not None and message.type != "request" and await _is_over(trip, session, message):
        trip.call.respond(202, (NOSNIFF,))
        return
    try:
        sent = await carry(trip, session, parcel(trip), parcel)
    except TakenBack:
        trip.take_back()
        return
    if sent is not None:
        await bring_back(trip, sent, session)


def parcel(trip: Trip) -> Parcel:
    """The message as it goes to the owner of the session now."""
    call = trip.call
    body = call.request.body
    message = call.message
    if message is None:
        return Parcel("POST", trip.headers(), body, False, CALL_SECONDS)
    session = trip.session
    key = None if session is None else session.key
    if message.method == CALL:
        headers = trip.headers()
        return Parcel("POST", headers, body, False, CALL_SECONDS, message.name, key, call.id)
    if session is not None and session.generation:
        if message.type == "response":
            body = splice(body, id=meant(session.generation, message.id))
        elif message.method == PROGRESS:
            token = meant(session.generation, message.progress_token)
            body = splice(body, progress_token=token)
    headers, repeatable = trip.headers(), trip.is_repeatable
    return Parcel("POST", headers, body, repeatable, CALL_SECONDS, None, key, call.id)


async def bring_back(trip: Trip, sent: Sent, session: Session | None) -> None:
    """Gives the client the answer. Its leaving cancels nothing: the answer is read to its end."""
    call = trip.call
    answer = trip.answer(sent.reply, session)
    discarded = False
    try:
        if session is not None and call.message is not None and call.message.method in METHODS:
            await _note(trip, session, answer)
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


async def _is_over(trip: Trip, session: Session, message: Envelope) -> bool:
    """Whether this is of no use to the owner that the session has now."""
    if message.method == "notifications/cancelled":
        withdrawn = trip.plant.recovery.withdraw(session, message.request_id)
        return trip.plant.courier.take_back(session.key, message.request_id) or withdrawn
    if message.type == "response" or message.method == PROGRESS:
        named = message.id if message.type == "response" else message.progress_token
        await trip.looked_up(session)
        return meant(session.generation, named) is None and named is not None
    return message.method == "notifications/initialized" and session.generation > 0


async def _note(trip: Trip, session: Session, answer: Answer) -> None:
    """What the owner has agreed to goes into the journal."""
    if answer.status != 200:
        return
    said = await first_message(answer)
    told = peek(said) if said else None
    if type(told) is not Envelope or told.type != "response" or told.is_error:
        return
    try:
        await trip.plant.books.note(session, trip.call.request.body)
    except MooringError:
        return  # the owner knows; a later one will not
