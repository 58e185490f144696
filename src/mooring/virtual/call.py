"""A request as a gateway hands it in, and what a gateway does for a virtual server.

The room knows no gateway; a gateway knows the room.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from mooring.core.era import Era
from mooring.core.headers import Headers
from mooring.core.identity import Identity
from mooring.core.table import Entry
from mooring.sessions.open_sessions import Session
from mooring.transports.envelope import Envelope
from mooring.transports.http_server import Exchange, Request
from mooring.transports.sse import SseEvent


class Call(Protocol):
    """One request of a client, and the one answer to it."""

    exchange: Exchange
    request: Request
    headers: dict[bytes, bytes]
    identity: Identity
    era: Era
    message: Envelope | None
    outcome: Any
    reason: str

    def respond(self, status: int, headers: Headers, body: bytes = b"") -> None: ...
    def start(self, status: int, headers: Headers) -> None: ...
    def refuse(
        self, status: int, reason: str, message: str, *, headers: Headers = (), **more: Any
    ) -> None: ...


class Errand(NamedTuple):
    """A client's request on its way to one backend."""

    entry: Entry
    body: bytes
    """As the backend gets it."""
    session: Session | None = None
    """The client's own at that backend."""
    version: str = ""
    """The protocol version that was negotiated with the backend."""
    name: str | None = None
    """What the backend calls what is called, where the client calls it otherwise."""
    headers: Headers = ()
    """What the backend is to be told of the caller besides, or instead."""
    instead: Headers | None = None
    """The client's own headers, where they must say something else."""
    event: Callable[[SseEvent], bytes] | None = None
    """Makes of each event of a stream what the client gets."""
    answer: Callable[[bytes], bytes] | None = None
    """Makes of an answer that comes alone what the client gets."""


class Gate(Protocol):
    """What a gateway does for a virtual server."""

    def forward(self, call: Call, errand: Errand) -> Awaitable[None]:
        """Takes the request to a backend, and its answer to the client."""
        ...

    def forward_alone(self, call: Call, errand: Errand) -> Awaitable[None]:
        """The same for a request of the stateless era."""
        ...

    def knows(self, call: Call, errand: Errand, event: bytes) -> bool:
        """Whether an id of an event was given to this client by that backend."""
        ...

    def resume(self, call: Call, errand: Errand) -> Awaitable[None]:
        """Opens a stream of a backend's again that the client has lost."""
        ...
