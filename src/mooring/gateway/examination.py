"""What a request must be before an endpoint sees it.

Each rule that is broken is answered at once, in words, as a JSON-RPC error under the HTTP
status that it stands for; an endpoint gets requests that are well formed, of a known era, and
from somebody whom we answer.
"""

from mooring.core.authorities import Authorities, listed, refused
from mooring.core.bridging import failure
from mooring.core.era import era_of, mirrored
from mooring.core.headers import NOSNIFF, SESSION_ID, Headers, media_type, names_us
from mooring.gateway.call import JSON, Call
from mooring.transports.envelope import Malformed, peek

METHODS = ("POST", "GET", "DELETE")
ALLOW = (b"allow", b"POST, GET, DELETE")
_SITE = b"sec-fetch-site"
EXPOSED = b"Mcp-Session-Id, WWW-Authenticate, Retry-After"


class Examiner:
    """Knows whom we answer to, and what a request must look like."""

    def __init__(self, ours: Authorities, via: bytes) -> None:
        self._ours = ours
        self._via = via

    def refusal(self, headers: dict[bytes, bytes]) -> str | None:
        """Why we do not answer this caller, in words."""
        host = headers.get(b"host")
        return refused(self._ours, host, headers.get(b"origin"), headers.get(_SITE))

    def admits(self, call: Call) -> bool:
        """Whether we answer this caller at all; False where it has been refused."""
        headers = call.headers
        origin = headers.get(b"origin")
        plain = origin is None and headers.get(b"host") in self._ours.hosts
        complaint = None if plain and _SITE not in headers else self.refusal(headers)
        if complaint is not None:
            call.refuse(403, "Forbidden", complaint)
            return False
        if origin is not None and listed(self._ours, origin):
            call.cors = _cors(origin)
            if call.request.method == "OPTIONS":
                _preflight(call)
                return False
        if b"via" in headers and self._came_back(call):
            call.refuse(508, "Loop", "this request has come through this Mooring before")
            return False
        return True

    def _came_back(self, call: Call) -> bool:
        return any(n == b"via" and names_us(v, self._via) for n, v in call.request.headers)


def understood(call: Call) -> bool:
    """Fills in what the call says; False where it has been refused."""
    if call.request.method == "POST":
        return _message(call) and _headers_agree(call)
    return _bodiless(call)


def _message(call: Call) -> bool:
    """The body is one message in JSON."""
    kind = call.headers.get(b"content-type")
    if kind != b"application/json" and media_type(kind) != b"application/json":
        call.refuse(415, "UnsupportedMediaType", "the Content-Type must be application/json")
        return False
    message = peek(call.request.body)
    if isinstance(message, Malformed):
        call.outcome = "refused"
        body = failure(message.id, message.code, message.message, reason="BadRequest")
        call.respond(400, JSON, body)
        return False
    call.message = message
    return True


def _headers_agree(call: Call) -> bool:
    """The era is known, and headers that repeat the body say the same."""
    headers = call.headers
    message = call.message
    assert message is not None
    version = headers.get(b"mcp-protocol-version")
    call.era = era_of(version, message.version, message.method, SESSION_ID in headers)
    if call.era == "session" or message.type != "request":
        return True
    complaint = mirrored(headers, message.method, message.name, message.version)
    if complaint is None:
        return True
    call.refuse(400, "HeaderMismatch", complaint)
    return False


def _bodiless(call: Call) -> bool:
    method = call.request.method
    if method not in METHODS:
        message = f"{ascii(method)[1:-1]} is not a method of an MCP endpoint"
        call.refuse(405, "MethodNotAllowed", message, headers=(ALLOW,))
        return False
    call.era = era_of(call.headers.get(b"mcp-protocol-version"), None, "", True)
    if call.era == "stateless":
        message = f"from MCP 2026-07-28 on there is no {method}; requests are POSTed"
        call.refuse(405, "MethodNotAllowed", message, headers=((b"allow", b"POST"),))
        return False
    return True


def _cors(origin: bytes) -> Headers:
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"Origin"),
    )


def _preflight(call: Call) -> None:
    """What a browser asks before it lets a page send headers of MCP; their names are open."""
    asked = call.headers.get(b"access-control-request-headers", b"")
    allowed: Headers = (
        (b"access-control-allow-methods", b"POST, GET, DELETE"),
        (b"access-control-max-age", b"600"),
        NOSNIFF,
    )
    if asked:
        allowed = (*allowed, (b"access-control-allow-headers", asked))
    call.respond(204, allowed)
