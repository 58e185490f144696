"""What a virtual server knows of one client's session.

Everything here can be made anew from the session's sealed id and from what is kept of its
upstream sessions, so that a gateway that never saw a session goes on with it. What is empty is
not there: most sessions sit idle.
"""

import asyncio
from collections import OrderedDict
from typing import Any, Final

from mooring.core.aggregate_items import Catalog
from mooring.core.identity import Identity
from mooring.kinds.ref import Ref
from mooring.sessions.open_sessions import Session
from mooring.transports.streams import Stream
from mooring.virtual.declared import NOBODY
from mooring.virtual.promises import Promises
from mooring.virtual.sight import Sight

SEEN: Final = 1000
"""URIs of one session whose backend is remembered; the oldest are forgotten."""


class Half:
    """A client session's own session at one backend."""

    __slots__ = (
        "backend", "capabilities", "deaf", "hearing", "id", "listener", "lock", "looking",
        "ready", "session", "version",
    )  # fmt: skip

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.id = ""
        """Of the session, among all that are open; empty where the backend gave none."""
        self.session: Session | None = None
        """The same, as it was found last."""
        self.ready = False
        """It was initialized; where it has no session, every instance of the backend will do."""
        self.version = ""
        self.capabilities: frozenset[str] = frozenset()
        self.lock: asyncio.Lock | None = None
        """Held by whoever opens it."""
        self.listener: asyncio.Task[None] | None = None
        """Hears what the backend says unasked, while the client listens."""
        self.hearing: tuple[Session | None, int, Any] | None = None
        """Who hears what the backend says, in this session and of this owner of it."""
        self.deaf = False
        """The backend has no stream on which it would say anything."""
        self.looking = False
        """Its lists are about to be asked for again."""

    def end(self) -> None:
        """It is over; the next request opens another one."""
        self.id = ""
        self.session = None
        self.ready = self.deaf = False
        self.deafen()

    def deafen(self) -> None:
        """Nobody listens to it any more."""
        if self.listener is not None:
            self.listener.cancel()
            self.listener = None


class ClientState:
    """One client's session."""

    __slots__ = (
        "caller", "changed", "halves", "lent", "level", "own", "private", "promises", "running",
        "seen", "server", "session", "stream", "subscriptions", "told",
    )  # fmt: skip

    def __init__(self, server: Ref, session: Session, promises: Promises) -> None:
        self.server = server
        """The virtual server."""
        self.session = session
        self.promises = promises
        self.halves: dict[str, Half] = {}
        self.lent = False
        """It is a session of ours, lent to requests of the stateless era."""
        self.level = ""
        """What the client set last; empty where it set none."""
        self.subscriptions: dict[str, str] | None = None
        """Backends by the URI that was subscribed to."""
        self.seen: OrderedDict[str, str] | None = None
        """Backends by the URIs that were in their answers."""
        self.running: dict[bytes, str] | None = None
        """Backends by the raw id of the request that they are answering."""
        self.stream: Stream | None = None
        """On which the client hears what it did not ask for."""
        self.changed: set[str] = set()
        """Kinds of lists that changed since it was told."""
        self.private: dict[str, Catalog] | None = None
        """What backends told this session that they do not tell everybody."""
        self.caller = NOBODY
        """What backends are told of the client, as of its last request."""
        self.told: Sight | None = None
        """What it saw when it looked last, or was told of changes."""
        self.own: tuple[Sight, Sight] | None = None
        """What everybody sees, and what this client sees instead."""

    @property
    def version(self) -> str:
        return self.session.sealed.version

    @property
    def identity(self) -> Identity:
        return self.session.sealed.identity

    def half(self, backend: str) -> Half:
        """Its session at a backend, open or not."""
        found = self.halves.get(backend)
        if found is None:
            found = self.halves[backend] = Half(backend)
        return found

    def saw(self, uri: str, backend: str) -> None:
        """A backend named this resource."""
        if self.seen is None:
            self.seen = OrderedDict()
        self.seen[uri] = backend
        self.seen.move_to_end(uri)
        if len(self.seen) > SEEN:
            self.seen.popitem(last=False)

    def begun(self, id: bytes, backend: str) -> None:
        """A backend answers a request."""
        if self.running is None:
            self.running = {}
        self.running[id] = backend

    def ended(self, id: bytes) -> None:
        """It has answered."""
        if self.running is not None:
            self.running.pop(id, None)
