"""Asking a backend something of our own, and reading the one answer.

What a backend says besides is not of interest here, but for a question: that is declined, so
that it does not wait.
"""

import asyncio
from typing import Final, NamedTuple

from mooring.core.bridging import failure
from mooring.core.codes import METHOD_NOT_FOUND
from mooring.core.headers import BOTH, SESSION_ID, Headers, media_type
from mooring.core.ids import same
from mooring.core.routing import Ask, Reject
from mooring.core.table import Entry
from mooring.errors import Denied, MooringError, NotFound, Unavailable
from mooring.sessions.courier import Courier, Parcel, Sent
from mooring.transports.envelope import Envelope, peek
from mooring.transports.http_upstream import Reply
from mooring.transports.sse import LIMIT, EventSplitter

TYPE: Final = (b"content-type", b"application/json")
SECONDS: Final = 30.0
"""For a backend to answer a question of ours."""
SSE: Final = b"text/event-stream"


class Said(NamedTuple):
    """What a backend answered: a JSON-RPC response, or None where that is not what came."""

    status: int
    message: bytes | None
    session: bytes | None
    """The session id that came with it."""
    uid: str
    """Of the instance that answered."""
    challenged: bool = False
    """It wants to know who calls."""


def own_headers(via: bytes, session: bytes, version: str, more: Headers = ()) -> Headers:
    """The headers of a request of ours on a backend's session."""
    headers: Headers = (BOTH, TYPE, (b"via", via), *more)
    if session:
        headers = (*headers, (SESSION_ID, session))
    return (*headers, (b"mcp-protocol-version", version.encode())) if version else headers


async def ask(courier: Courier, entry: Entry, to: Ask, parcel: Parcel) -> Said:
    """Sends a request and reads its answer.

    Raises NotFound "SessionLost", and Unavailable as the courier does.
    """
    sent = await courier.deliver(entry, to, parcel)
    if isinstance(sent, Reject):
        raise _rejected(sent)
    try:
        if sent.reply.status in (429, 503) and b'"initialize"' in parcel.body:
            sent = await courier.next_best(entry, parcel, sent)
        return await read(sent, parcel.body, parcel.seconds)
    finally:
        sent.close()


def _rejected(rejected: Reject) -> MooringError:
    if rejected.reason == "SessionLost":
        return NotFound("SessionLost", rejected.message)
    return Unavailable("NoReadyInstance", rejected.message)


async def read(sent: Sent, body: bytes, seconds: float) -> Said:
    """The answer to a request that was sent."""
    reply = sent.reply
    asked = peek(body)
    id = asked.id if isinstance(asked, Envelope) else None
    status = reply.status
    denied = status == 401 or (status == 403 and reply.header(b"www-authenticate") is not None)
    message: bytes | None = None
    kind = media_type(reply.header(b"content-type"))
    if kind == SSE:
        message = await _answer_in(reply, id, seconds)
    elif kind == TYPE[1]:
        message = await reply.read(LIMIT, seconds)
    return Said(status, message, reply.header(SESSION_ID), sent.upstream.uid, denied)


async def _answer_in(reply: Reply, id: bytes | None, seconds: float) -> bytes | None:
    """The answer in a stream, read no further than that."""
    splitter = EventSplitter()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in reply.chunks():
                for event in splitter.feed(chunk):
                    if event.data and _answers(event.data, id):
                        return event.data
    except TimeoutError:
        raise Unavailable("UpstreamTimeout", f"no answer after {seconds:g} s") from None
    except ValueError as error:
        raise Unavailable("UpstreamTooLarge", str(error)) from None
    return None


def _answers(text: bytes, id: bytes | None) -> bool:
    message = peek(text)
    return isinstance(message, Envelope) and message.type == "response" and same(message.id, id)


def refusal(said: Said, backend: str, what: str) -> MooringError:
    """What it means that a backend did not do as it was asked."""
    if said.challenged:
        return Denied("LoginNeeded", f"backend {backend} answers only callers that it knows")
    return Unavailable("UpstreamError", f"backend {backend} answered {what} with {said.status}")


def declined(id: bytes, method: str) -> bytes:
    """The answer to a question of a backend that no client is to be asked."""
    if method == "ping":
        return b'{"jsonrpc":"2.0","id":%b,"result":{}}' % id
    return failure(id, METHOD_NOT_FOUND, f"the client is not asked for {method}")
