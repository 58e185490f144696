"""Messages of our own on a session upstream: opening one, keeping one, asking whether it is known.

They go through the courier like those of clients, to the same instance, and their answers are
read whole. What a server asks or tells meanwhile is not for us.
"""

import asyncio
from typing import NamedTuple

from mooring.core.headers import BOTH, SESSION_ID, Headers, media_type
from mooring.core.loss import suspicious
from mooring.core.table import Upstream
from mooring.errors import MooringError, Unavailable
from mooring.sessions.courier import Courier, Parcel
from mooring.transports.envelope import Envelope, peek
from mooring.transports.http_upstream import Reply
from mooring.transports.sse import EventSplitter

SECONDS = 60.0
"""For one message and its answer."""
LONGEST = 4 * 1024 * 1024
"""Bytes of an answer."""
VERSION = b"mcp-protocol-version"
TYPE = (b"content-type", b"application/json")
_PING = b'{"jsonrpc":"2.0","id":"mooring-ping","method":"ping"}'
_PERSONAL = frozenset(
    {b"content-type", b"accept", VERSION, b"mcp-method", b"mcp-name", SESSION_ID, b"last-event-id"}
)
"""Headers that speak of one message, not of who sends it."""


class Heard(NamedTuple):
    """What a server answered to a message of ours."""

    status: int
    headers: Headers
    message: bytes
    """Its JSON-RPC response; whatever it said instead where that was refused; empty without one."""

    def header(self, name: bytes) -> bytes | None:
        """The first value under that name."""
        return next((value for key, value in self.headers if key == name), None)


def own_headers(via: bytes, upstream_id: bytes, version: str) -> Headers:
    """The headers of a request of our own on an upstream's session."""
    ours: Headers = (BOTH, TYPE, (b"via", via), (SESSION_ID, upstream_id))
    return (*ours, (VERSION, version.encode())) if version else ours


def in_the_name_of(headers: Headers, upstream_id: bytes = b"", version: str = "") -> Headers:
    """The headers of a message of ours that is sent with the credentials of a client's request.

    `headers`: those of that request, as they go upstream.
    """
    kept = tuple(p for p in headers if p[0] not in _PERSONAL and not p[0].startswith(b"mcp-param-"))
    ours: Headers = (BOTH, TYPE, *kept)
    if upstream_id:
        ours = (*ours, (SESSION_ID, upstream_id))
    return (*ours, (VERSION, version.encode())) if version else ours


async def tell(courier: Courier, upstream: Upstream, headers: Headers, body: bytes) -> Heard:
    """Sends one message and reads its answer. Raises Unavailable."""
    parcel = Parcel("POST", headers, body, repeatable=False, seconds=SECONDS)
    sent = await courier.send(upstream, parcel)
    try:
        async with asyncio.timeout(SECONDS):
            message = await _response(sent.reply)
    except TimeoutError:
        what = f"{upstream.name} did not end its answer in {SECONDS:g} s"
        raise Unavailable("UpstreamTimeout", what) from None
    finally:
        sent.close()
    return Heard(sent.reply.status, sent.reply.headers, message)


async def knows(courier: Courier, upstream: Upstream, headers: Headers) -> bool:
    """Whether an instance still knows the session that the headers name, or does not say."""
    try:
        heard = await tell(courier, upstream, headers, _PING)
    except MooringError:
        return True
    return heard.status != 404 and not suspicious(heard.status, heard.message)


async def _response(reply: Reply) -> bytes:
    """The response in an answer: of a stream the first one, else the whole body."""
    if media_type(reply.header(b"content-type")) != b"text/event-stream":
        return await reply.read(LONGEST, SECONDS)
    splitter = EventSplitter(LONGEST)
    try:
        async for chunk in reply.chunks():
            for event in splitter.feed(chunk):
                if event.data and _is_response(event.data):
                    return event.data
    except ValueError:
        raise Unavailable("UpstreamTooLarge", f"an event is over {LONGEST} bytes") from None
    return b""


def _is_response(text: bytes) -> bool:
    message = peek(text)
    return type(message) is Envelope and message.type == "response"
