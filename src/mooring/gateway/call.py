"""One request on an endpoint, and the one answer to it.

Everything that answers goes through here, so that status, headers of ours and what is counted
are decided in one place. Our own failures take the form that clients survive: inside a session
HTTP 200 with a JSON-RPC error, because one 5xx ends a whole client of the 1.x Python SDK;
404, 401, 403 and 413 keep their status; 5xx is for `initialize`, GET, DELETE and the stateless
era.
"""

from typing import Any, Literal

from mooring.core.bridging import failure
from mooring.core.codes import (
    HEADER_MISMATCH,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    TIMED_OUT,
    UNAVAILABLE,
    UNSUPPORTED_VERSION,
)
from mooring.core.era import Era
from mooring.core.headers import NOSNIFF, Headers
from mooring.core.identity import Identity
from mooring.errors import MooringError
from mooring.transports.envelope import Envelope
from mooring.transports.http_server import Exchange

JSON = ((b"content-type", b"application/json"), NOSNIFF)

_CODES = {
    "UpstreamTimeout": TIMED_OUT,
    "HeaderMismatch": HEADER_MISMATCH,
    "SessionsOnly": METHOD_NOT_FOUND,
    "StatelessOnly": UNSUPPORTED_VERSION,
}
_REFUSALS = {
    413: "BodyTooLarge",
    431: "HeadTooLarge",
    500: "InternalError",
    503: "TooManyConnections",
}

Outcome = Literal["answered", "refused", "failed", "gone"]
"""`refused`: the request was at fault; `failed`: the server behind, or we; `gone`: the client."""


class Call:
    """One request on an endpoint."""

    __slots__ = (
        "began", "cors", "delivered", "era", "exchange", "headers", "identity", "message",
        "outcome", "reason", "request",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, identity: Identity, began: float = 0.0) -> None:
        self.exchange = exchange
        self.began = began
        """On the monotonic clock."""
        self.request = exchange.request
        self.headers = exchange.request.index
        """The request's headers by name."""
        self.identity = identity
        self.era: Era = "session"
        self.message: Envelope | None = None
        """The body of a POST, peeked at; None for GET and DELETE."""
        self.cors: Headers = ()
        """Headers that let a listed web page read the answer."""
        self.outcome: Outcome = "answered"
        self.delivered = False
        """The client has what it waited for; SDK clients then leave before the stream has ended."""
        self.reason = ""
        """Why it was refused or failed, where we said so."""

    @property
    def id(self) -> bytes | None:
        """The raw JSON-RPC id that waits for an answer; None where nothing does."""
        message = self.message
        return message.id if message is not None and message.type == "request" else None

    @property
    def sheltered(self) -> bool:
        """Whether failures must not show as 5xx."""
        message = self.message
        return self.era == "session" and message is not None and message.method != "initialize"

    def respond(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """The whole answer."""
        self.exchange.respond(status, headers + self.cors if self.cors else headers, body)

    def start(self, status: int, headers: Headers) -> None:
        """The beginning of a streamed answer."""
        self.exchange.start(status, headers + self.cors if self.cors else headers)

    def refuse(
        self, status: int, reason: str, message: str, *, headers: Headers = (), **more: Any
    ) -> None:
        """An answer of our own that says no: a JSON-RPC error with `data.reason`."""
        self.outcome = "refused" if status < 500 else "failed"
        self.reason = reason
        if self.sheltered and (status >= 500 or status == 429):
            if self.id is None:
                self.respond(202, (NOSNIFF,))  # nobody waits for an answer, and 5xx would hurt
                return
            status = 200
        body = self.error(reason, message, **more)
        self.respond(status, (*JSON, *headers), body)

    def fail(self, error: MooringError) -> None:
        """Says no, or cuts an answer that has begun."""
        if self.exchange.started:
            self.outcome = "failed"
            self.exchange.abort()
        else:
            self.refuse(error.status, error.reason, error.message)

    def error(self, reason: str, message: str, **more: Any) -> bytes:
        """A JSON-RPC error for this request."""
        code = _CODES.get(reason, INVALID_REQUEST if self.outcome == "refused" else UNAVAILABLE)
        return failure(self.id, code, message, reason=reason, **more)


def refusal(status: int, message: str) -> tuple[Headers, bytes]:
    """How the HTTP server words what it refuses by itself."""
    reason = _REFUSALS.get(status, "BadRequest")
    code = INVALID_REQUEST if status < 500 else UNAVAILABLE
    return JSON, failure(None, code, message, reason=reason)
