"""Which headers pass, in both directions.

Both ways it is a list of what may pass, because a list of what may not is never complete.
Upwards never: cookies, `Forwarded`, `X-Forwarded-*`, and `Authorization`, which is meant for
Mooring and not for the servers behind it. Downwards never: cookies, CORS and CSP headers.
"""

from functools import lru_cache

Headers = tuple[tuple[bytes, bytes], ...]

SESSION_ID = b"mcp-session-id"
UPWARDS = frozenset(
    {
        b"content-type", b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"traceparent",
        b"tracestate", b"baggage", b"user-agent",
    }
)  # fmt: skip
STAYING = frozenset(
    {
        b"host", b"accept", b"accept-encoding", b"accept-language", b"connection",
        b"content-length", SESSION_ID,
    }
)  # fmt: skip
"""Headers of almost every request that do not pass: no need to look at them closer."""
DOWNWARDS = frozenset(
    {b"content-type", b"cache-control", b"allow", b"retry-after", b"www-authenticate",
     b"x-accel-buffering"}
)  # fmt: skip
PARAMETER = b"mcp-param-"
LAST_EVENT_ID = b"last-event-id"
BOTH = (b"accept", b"application/json, text/event-stream")
"""Python servers answer 406 to less, whatever the client itself accepts."""
EVENTS_FIRST = (b"accept", b"text/event-stream, application/json")
"""The same, of a client that would rather have a stream."""
NOSNIFF = (b"x-content-type-options", b"nosniff")


@lru_cache(maxsize=1024)  # a client says the same again and again
def upwards(headers: Headers, session: bytes, via: bytes) -> Headers:
    """The headers of a request as its upstream gets them.

    `session` is the upstream's own session id, empty without one; `via` the proxies on the
    way, ourselves included. `Last-Event-ID` is for whoever forwards to add: what clients send
    is not what servers gave.
    """
    passed = [
        pair
        for pair in headers
        if pair[0] in UPWARDS or (pair[0] not in STAYING and pair[0].startswith(PARAMETER))
    ]
    accept = BOTH if BOTH in headers else _accepting(headers)
    if session:
        return (accept, *passed, (b"via", via), (SESSION_ID, session))
    return (accept, *passed, (b"via", via))


def _accepting(headers: Headers) -> tuple[bytes, bytes]:
    """Both kinds of answer, in the order in which the client names them."""
    eager = any(name == b"accept" and prefers_events(value) for name, value in headers)
    return EVENTS_FIRST if eager else BOTH


def prefers_events(accept: bytes) -> bool:
    """Whether a client that takes both would rather have a stream: it names that first.

    >>> prefers_events(b"text/event-stream, application/json")
    True
    """
    return media_type(accept.partition(b",")[0]) == b"text/event-stream"


def hops(headers: Headers, ours: bytes) -> bytes:
    """The proxies that a request came through, and then ourselves.

    >>> hops(((b"via", b"1.1 a"), (b"via", b"1.0 b")), b"1.1 us")
    b'1.1 a, 1.0 b, 1.1 us'
    """
    return b", ".join([*(value for name, value in headers if name == b"via"), ours])


@lru_cache(maxsize=1024)
def downwards(headers: Headers, extra: Headers = ()) -> Headers:
    """The headers of an answer as the client gets them, with `extra` ones of ours."""
    return (*[pair for pair in headers if pair[0] in DOWNWARDS], NOSNIFF, *extra)


def names_us(via: bytes | None, name: bytes) -> bool:
    """Whether a request came through the proxy of this name before.

    >>> names_us(b"1.1 front, 1.1 mooring-7f", b"1.1 mooring-7f")
    True
    """
    return via is not None and any(hop.strip() == name for hop in via.split(b","))


def media_type(content_type: bytes | None) -> bytes:
    """The type without its parameters.

    >>> media_type(b"Application/JSON; charset=utf-8")
    b'application/json'
    """
    if content_type is None:
        return b""
    return content_type.partition(b";")[0].strip().lower()
