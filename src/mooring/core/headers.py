"""Which headers pass, in both directions.

Both ways it is a list of what may pass, because a list of what may not is never complete.
Upwards never: cookies, `Forwarded`, `X-Forwarded-*`, and `Authorization`, which is meant for
Mooring and not for the servers behind it. Downwards never: cookies, CORS and CSP headers.
"""

from collections.abc import Iterable

Headers = tuple[tuple[bytes, bytes], ...]

SESSION_ID = b"mcp-session-id"
UPWARDS = frozenset(
    {
        b"content-type", b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"traceparent",
        b"tracestate", b"baggage", b"user-agent",
    }
)  # fmt: skip
DOWNWARDS = frozenset(
    {b"content-type", b"cache-control", b"allow", b"retry-after", b"www-authenticate",
     b"x-accel-buffering"}
)  # fmt: skip
PARAMETER = b"mcp-param-"
LAST_EVENT_ID = b"last-event-id"
BOTH = (b"accept", b"application/json, text/event-stream")
"""Python servers answer 406 to less, whatever the client itself accepts."""
NOSNIFF = (b"x-content-type-options", b"nosniff")


def upwards(headers: Headers, session: bytes, via: bytes) -> Headers:
    """The headers of a request as its upstream gets them.

    `session` is the upstream's own session id, empty without one; `via` our name, which is
    added to the proxies that the request came through. `Last-Event-ID` is for whoever forwards
    to add: what clients send is not what servers gave.
    """
    passed = [BOTH]
    path = via
    for pair in headers:
        name = pair[0]
        if name in UPWARDS or name.startswith(PARAMETER):
            passed.append(pair)
        elif name == b"via":
            path = pair[1] + b", " + path
    passed.append((b"via", path))
    if session:
        passed.append((SESSION_ID, session))
    return tuple(passed)


def downwards(headers: Headers, extra: Iterable[tuple[bytes, bytes]] = ()) -> Headers:
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
