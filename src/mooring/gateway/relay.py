"""Bringing an answer back to the client, as it came.

JSON and event streams pass byte for byte, chunk by chunk. Whatever else a server says (an HTML
page of a proxy, a redirect) is not for an MCP client: it is reported in a JSON-RPC error, by
status and type only.
"""

from collections.abc import AsyncIterator

from mooring.core.bridging import OUTCOME_UNKNOWN
from mooring.core.headers import downwards, media_type
from mooring.core.ids import same
from mooring.errors import MooringError
from mooring.gateway.call import Call
from mooring.gateway.following import Following, Mark, answers_alone
from mooring.transports.envelope import Envelope, peek
from mooring.transports.http_server import Headers
from mooring.transports.http_upstream import Reply
from mooring.transports.sse import encode

JSON = b"application/json"
SSE = b"text/event-stream"
SMALL = 64 * 1024
"""Bytes of a body that is read whole before it is passed on."""
BODY_SECONDS = 60.0
KEPT = (b"allow", b"retry-after", b"www-authenticate")
"""Headers of an unreadable answer that still mean something."""


class Answer:
    """An upstream's answer, or what is left of it to read."""

    __slots__ = (
        "chunks", "generation", "headers", "mark", "notices", "status", "type", "whole",
    )  # fmt: skip

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.headers: Headers = reply.headers
        kind = reply.header(b"content-type")
        self.type = JSON if kind == JSON else media_type(kind)
        self.whole: bytes | None = reply.complete
        """The body, where all of it is here."""
        self.chunks: AsyncIterator[bytes] | None = None
        """What is still to come, where it is not."""
        self.mark: Mark | None = None
        """Makes the id of an event that of one session."""
        self.generation = 0
        """Of the session's owner; see `core/questions`."""
        self.notices: tuple[bytes, ...] = ()
        """Messages of ours that the client is told first."""
        if self.whole is None:
            self.chunks = reply.chunks()


async def settle(answer: Answer, reply: Reply) -> None:
    """Reads a body whole that is small, or may be empty."""
    if answer.whole is not None or answer.type not in (JSON, b""):
        return
    length = reply.header(b"content-length")
    if answer.type == JSON and (length is None or int(length) > SMALL):
        return
    answer.whole = await reply.read(SMALL, BODY_SECONDS)
    answer.chunks = None


async def pass_on(call: Call, answer: Answer, reply: Reply, extra: Headers = ()) -> None:
    """Gives the client the answer. Raises ClientGone, and Unavailable where it was cut."""
    if answer.whole is None:
        await settle(answer, reply)
    if answer.whole is not None:
        pass_whole(call, answer, extra)
    elif _is_failure(call, answer):
        _shelter(call, answer)
    elif answer.type == SSE and not 300 <= answer.status < 400:
        await _events(call, answer, extra)
    elif answer.type == JSON and not 300 <= answer.status < 400:
        await _document(call, answer, extra)
    else:
        unreadable(call, answer)


def pass_whole(call: Call, answer: Answer, extra: Headers = ()) -> None:
    """The same for an answer that is here to its end, which takes no waiting."""
    whole = answer.whole
    if _is_failure(call, answer):
        _shelter(call, answer)
    elif 300 <= answer.status < 400:
        unreadable(call, answer)
    elif answer.type == SSE:
        _all_events(call, answer, extra)
    elif answer.type == JSON or not whole:
        if answer.notices and whole:
            stream = b"".join(map(encode, (*answer.notices, whole)))
            call.respond(200, _as_events(downwards(answer.headers, extra)), stream)
            return
        _judge(call, answer.status)
        call.respond(answer.status, downwards(answer.headers, extra), whole or b"")
    else:
        unreadable(call, answer)


def _is_failure(call: Call, answer: Answer) -> bool:
    """Whether the client must be spared the status."""
    return (answer.status >= 500 or answer.status == 429) and call.sheltered


def _shelter(call: Call, answer: Answer) -> None:
    """A failure of the server inside a session: its own error if it is one, never its status."""
    message = peek(answer.whole) if answer.whole else None
    ours = type(message) is Envelope and message.is_error and same(message.id, call.id)
    if ours and answer.whole:
        call.outcome = "failed"
        call.respond(200, downwards(answer.headers), answer.whole)
        return
    unreadable(call, answer)


def unreadable(call: Call, answer: Answer) -> None:
    """The server's answer is not MCP: says so, and shows nothing of it but where it points."""
    status = answer.status
    kind = ascii(answer.type.decode("latin-1")) if answer.type else "no content type"
    message = f"the server answered with HTTP {status} ({kind}), not with JSON or an event stream"
    headers = dict(answer.headers)
    if 300 <= status < 400:
        where = ascii(headers.get(b"location", b"").decode("latin-1")[:500])
        message = f"the server redirects (HTTP {status}) to {where}; redirects are not followed"
    keep = tuple(pair for pair in answer.headers if pair[0] in KEPT)
    ours = status if status >= 400 else 502
    call.refuse(ours, "UpstreamUnreadable", message, headers=keep, upstreamStatus=status)


def _judge(call: Call, status: int) -> None:
    if status >= 400:
        call.outcome = "refused" if status < 500 else "failed"


async def _document(call: Call, answer: Answer, extra: Headers) -> None:
    """A long JSON body: begun with its first bytes, cut where it is cut."""
    assert answer.chunks is not None
    begun = False
    async for chunk in answer.chunks:
        if not begun:
            begun = True
            _judge(call, answer.status)
            call.start(answer.status, downwards(answer.headers, extra))
        await call.exchange.write(chunk)
    if not begun:
        call.respond(answer.status, downwards(answer.headers, extra))
        return
    call.exchange.finish()


def _all_events(call: Call, answer: Answer, extra: Headers) -> None:
    """An event stream that has ended already."""
    whole = answer.whole or b""
    headers = downwards(answer.headers, extra)
    notices = b"".join(map(encode, answer.notices))
    if not notices and answers_alone(whole, call.id):
        call.respond(answer.status, headers, whole)
        return
    following = Following(call.id, answer.mark, answer.generation)
    body = notices + following.feed(whole) + following.rest()
    if following.abandoned:
        body += _lost(call, "the stream ended without an answer")
    call.respond(answer.status, headers, body)


async def _events(call: Call, answer: Answer, extra: Headers) -> None:
    """An event stream, event by event; if it leaves the client waiting, one more event says so."""
    headers = downwards(answer.headers, extra)
    notices = b"".join(map(encode, answer.notices))
    following = Following(call.id, answer.mark, answer.generation)
    assert answer.chunks is not None
    call.start(answer.status, headers)
    if notices:
        await call.exchange.write(notices)
    why = "the stream ended without an answer"
    try:
        async for chunk in answer.chunks:
            ready = following.feed(chunk)
            if ready:
                await call.exchange.write(ready)
                call.delivered = following.answered
        await call.exchange.write(following.rest())
    except MooringError as error:
        why = error.message
    if following.abandoned:
        await call.exchange.write(_lost(call, why))
    call.exchange.finish()


def _as_events(headers: Headers) -> Headers:
    """The headers of an answer in JSON that becomes a stream."""
    kept = tuple(pair for pair in headers if pair[0] not in (b"content-type", b"content-length"))
    return ((b"content-type", SSE), *kept)


def _lost(call: Call, why: str) -> bytes:
    call.outcome = "failed"
    message = f"the connection to the server was lost ({why}); {OUTCOME_UNKNOWN}"
    return encode(call.error("OutcomeUnknown", message))
