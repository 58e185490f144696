"""Opening a session: what an upstream's answer to `initialize` says.

The client gets a session id of ours only when the upstream gave one with a successful answer.
The negotiated version stands in that answer, so its first message is read before it is passed
on; a server that says something else first (a ping, a log message) is not kept waiting.
"""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec

from mooring.core.bridging import requested_version
from mooring.core.headers import SESSION_ID, Headers
from mooring.core.recovery import promised
from mooring.core.repeating import repeatable
from mooring.core.routing import Opening, Reject
from mooring.errors import MooringError
from mooring.gateway.relay import JSON, SSE, Answer, pass_on
from mooring.gateway.trip import STREAM_SECONDS, Trip
from mooring.sessions.courier import Parcel, Sent
from mooring.sessions.open_sessions import Session
from mooring.transports.http_server import ClientGone
from mooring.transports.members import NotAnObject, NotJson, members
from mooring.transports.sse import EventSplitter, SseEvent

LONGEST = 4 * 1024 * 1024
"""Bytes of an answer to `initialize`."""


class Agreed(NamedTuple):
    """What client and server have agreed on."""

    version: str
    """Of the protocol."""
    promises: tuple[str, ...] = ()
    """What the server can do, as far as it has said so; see `core/recovery`."""


class _Result(msgspec.Struct):
    protocolVersion: str = ""
    capabilities: dict[str, Any] = {}


class _Message(msgspec.Struct):
    result: _Result | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


_DECODE = msgspec.json.Decoder(_Message).decode


async def open_session(trip: Trip) -> None:
    """Has an instance answer an `initialize`, and gives the client a session id of ours."""
    call = trip.call
    trip.plant.sessions.admit(call.identity)
    body = call.request.body
    parcel = Parcel("POST", trip.headers(), body, repeatable("initialize", body), STREAM_SECONDS)
    delivered = await trip.plant.courier.deliver(trip.entry, Opening(), parcel)
    if isinstance(delivered, Reject):
        trip.reject(delivered)
        return
    sent = await trip.plant.courier.next_best(trip.entry, parcel, delivered)
    answer = trip.answer(sent.reply, None)
    discarded = False
    try:
        await _welcome(trip, sent, answer)
    except ClientGone:
        if not call.delivered:
            call.outcome = "gone"
        trip.plant.afterwork.discard(sent, answer)
        discarded = True
    finally:
        if not discarded:
            sent.close()


async def _welcome(trip: Trip, sent: Sent, answer: Answer) -> None:
    """Passes the answer to `initialize` on, with a session id of ours if it gave one."""
    upstream_id = sent.reply.header(SESSION_ID)
    if upstream_id is None:
        await pass_on(trip.call, answer, sent.reply)
        return
    agreed = await negotiated(answer, requested_version(trip.call.request.body))
    if agreed is None:
        await pass_on(trip.call, answer, sent.reply)
        if 200 <= answer.status < 300:
            trip.end_upstream(sent.upstream, upstream_id, "")
        return
    session: Session | None = None
    try:
        session = await _opened(trip, sent.upstream.uid, upstream_id, agreed)
        if trip.call.exchange.ended:
            raise ClientGone("the client left before it had its session")
        if answer.mark is not None:
            answer.mark = trip.marker(session)
        given: Headers = ((SESSION_ID, session.id.encode()),)
        await pass_on(trip.call, answer, sent.reply, given)
    except (MooringError, ClientGone):
        if trip.call.delivered:
            raise
        trip.end_upstream(sent.upstream, upstream_id, agreed.version)
        if session is not None:
            await trip.end_session(session)
        raise


async def _opened(trip: Trip, uid: str, upstream_id: bytes, agreed: Agreed) -> Session:
    """The session, with a record of it."""
    plant, who = trip.plant, trip.call.identity
    session = plant.sessions.open(trip.entry.ref, uid, upstream_id, agreed.version, who)
    await plant.books.enter(session, _params(trip.call.request.body), agreed.promises)
    return session


def _params(initialize: bytes) -> bytes:
    """The parameters of a request, as they came."""
    try:
        return dict(members(initialize)).get("params", b"{}")
    except (NotAnObject, NotJson):
        return b"{}"


async def first_message(answer: Answer) -> bytes:
    """The first message of an answer, which can be passed on all the same; empty without one."""
    if answer.type != SSE:
        await _gather(answer, None)
        return answer.whole or b""
    events = await _gather(answer, EventSplitter(LONGEST))
    return next((event.data for event in events if event.data), b"")


async def negotiated(answer: Answer, asked: str) -> Agreed | None:
    """What was agreed on in the session that was opened; None where none was.

    `asked` is what the client asked for; it stands in where the server says something else first.
    """
    if not 200 <= answer.status < 300:
        return None
    if answer.type not in (JSON, SSE):
        return None
    first = await first_message(answer)
    return _agreed(first, asked) if first or answer.type == JSON else None


async def _gather(answer: Answer, splitter: EventSplitter | None) -> list[SseEvent]:
    """Reads the first message of a stream, or a whole document, and puts it back."""
    if answer.whole is not None:
        return splitter.feed(answer.whole) if splitter else []
    assert answer.chunks is not None
    taken: list[bytes] = []
    events: list[SseEvent] = []
    size = 0
    async for chunk in answer.chunks:
        taken.append(chunk)
        size += len(chunk)
        if splitter is not None:
            events += splitter.feed(chunk)
        if size > LONGEST or any(event.data for event in events):
            answer.chunks = _after(taken, answer.chunks)
            return events
    answer.whole, answer.chunks = b"".join(taken), None
    return events


async def _after(taken: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in taken:
        yield chunk
    async for chunk in rest:
        yield chunk


def _agreed(message: bytes, asked: str) -> Agreed | None:
    try:
        told = _DECODE(message)
    except (msgspec.DecodeError, RecursionError):
        return Agreed(asked)
    if bytes(told.error) != b"null":
        return None
    if told.result is None:
        return Agreed(asked)
    return Agreed(told.result.protocolVersion, promised(told.result.capabilities))
