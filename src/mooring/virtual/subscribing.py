"""`subscriptions/listen` of a virtual server: one stream of what changes.

That lists have changed is told when what this client sees has changed. Resources are
subscribed to at the backend that has them: one stream to each backend for all clients that are
told the same of, opened anew when somebody wants another resource. Source: MCP 2026-07-28,
Subscriptions.
"""

import asyncio
import json
from collections.abc import Iterable
from typing import Any, Final

from mooring.core.bridging import updated_uri
from mooring.core.subscriptions import SUBSCRIPTION, farewell
from mooring.errors import MooringError
from mooring.transports.streams import Stream
from mooring.virtual.call import Call
from mooring.virtual.declared import Caller
from mooring.virtual.exploring import Conversation
from mooring.virtual.sight import KINDS, Sight
from mooring.virtual.splicing import value_at
from mooring.virtual.virtual_server import NOTES, VirtualServer

RESOURCES: Final = "resourceSubscriptions"
MOST: Final = 1000
"""Resources of one subscription."""
AGAIN: Final = 1.0
UPDATED: Final = "notifications/resources/updated"
_METHODS: Final = {kind: f"notifications/{kind}/list_changed" for kind in NOTES}


class Listener:
    """One client's subscription."""

    __slots__ = ("caller", "id", "kinds", "stream", "told", "uris")

    def __init__(self, stream: Stream, id: bytes, caller: Caller, told: Sight) -> None:
        self.stream = stream
        self.id = json.loads(id)
        self.caller = caller
        self.told = told
        """What it saw when it was last told of changes."""
        self.kinds: frozenset[str] = frozenset()
        self.uris: dict[str, str] = {}
        """Backends by the resources that it subscribed to."""

    def tell(self, method: str, **params: Any) -> None:
        """One notification, which says to which subscription it belongs."""
        told = {"_meta": {SUBSCRIPTION: self.id}, **params}
        note = {"jsonrpc": "2.0", "method": method, "params": told}
        if self.stream.full:
            self.stream.cut()
        else:
            self.stream.put(json.dumps(note, separators=(",", ":")).encode())


class Ear:
    """What one backend is listened to for, in the name of some callers."""

    __slots__ = ("task", "uris")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.uris: frozenset[str] = frozenset()


class Subscribing:
    """All subscriptions to one virtual server."""

    def __init__(self, server: VirtualServer) -> None:
        self._server = server
        self._room = server.room
        self._listeners: set[Listener] = set()
        self._ears: dict[tuple[str, bytes], Ear] = {}
        server.on_change = self._announce

    async def listen(self, call: Call, sight: Sight) -> None:
        """Answers a request to listen, until the client leaves or we do."""
        id = (call.message.id if call.message is not None else None) or b"null"
        caller = self._server.declared.caller(call.headers)
        stream = Stream(call.exchange, self._room.clock.monotonic())
        listener = Listener(stream, id, caller, sight)
        wanted = value_at(call.request.body, ("params", "notifications"))
        agreed = _agree(listener, wanted if isinstance(wanted, dict) else {}, sight)
        listener.tell("notifications/subscriptions/acknowledged", notifications=agreed)
        stream.farewell = farewell(id)
        self._listeners.add(listener)
        self._room.streams.add(stream)
        self._hear_all(caller)
        try:
            await stream.serve()
        finally:
            self._room.streams.discard(stream)
            self._listeners.discard(listener)
            self._hear_all(caller)

    def _announce(self, said: Iterable[str]) -> None:
        """Tells every client whose lists are not what they were; `said`: so say backends."""
        for listener in tuple(self._listeners):
            before = listener.told
            listener.told = self._server.seen("stateless", listener.caller)
            for kind in sorted({*listener.told.differs(before), *said} & listener.kinds):
                listener.tell(_METHODS[kind])

    def _hear_all(self, caller: Caller) -> None:
        """Listens to each backend for what clients have subscribed to there, and nothing else."""
        wanted: dict[str, set[str]] = {}
        for listener in self._listeners:
            if listener.caller.credentials == caller.credentials:
                for uri, backend in listener.uris.items():
                    wanted.setdefault(backend, set()).add(uri)
        known = {b for b, credentials in self._ears if credentials == caller.credentials}
        for backend in known | wanted.keys():
            self._hear(backend, caller, frozenset(wanted.get(backend, ())))

    def _hear(self, backend: str, caller: Caller, uris: frozenset[str]) -> None:
        key = backend, caller.credentials
        ear = self._ears.setdefault(key, Ear())
        if ear.uris == uris:
            return
        ear.uris = uris
        if ear.task is not None:
            ear.task.cancel()
            ear.task = None
        if uris:
            ear.task = self._room.errands.start(self._follow(backend, caller, uris))
        else:
            del self._ears[key]

    async def _follow(self, backend: str, caller: Caller, uris: frozenset[str]) -> None:
        """Passes on what a backend says of these resources, for as long as they are wanted."""
        room = self._room
        while True:
            entry = self._server.declared.backends.get(backend)
            if entry is not None:
                talk = Conversation(
                    room.courier, room.via, entry, "stateless", caller.told(backend)
                )
                try:
                    async for note in talk.notes({RESOURCES: sorted(uris)}):
                        self._pass_on(backend, caller, note)
                except MooringError:
                    pass  # it is asked again
            await room.clock.sleep(AGAIN)

    def _pass_on(self, backend: str, caller: Caller, note: bytes) -> None:
        uri = updated_uri(note)
        params = value_at(note, ("params",))
        params = params if isinstance(params, dict) else {}
        params.pop("_meta", None)
        for listener in self._listeners:
            same = listener.caller.credentials == caller.credentials
            if same and _concerns(listener, backend, uri):
                listener.tell(UPDATED, **params)


def _agree(listener: Listener, wanted: dict[str, Any], sight: Sight) -> dict[str, Any]:
    """Takes down what a client wants to hear, as far as it can be had, and returns that."""
    able = sight.capabilities()
    kinds = frozenset(k for k in KINDS if wanted.get(f"{k}ListChanged") is True and k in able)
    listener.kinds = kinds
    agreed: dict[str, Any] = {f"{kind}ListChanged": True for kind in sorted(kinds)}
    uris = wanted.get(RESOURCES)
    for uri in uris[:MOST] if isinstance(uris, list) else ():
        readers = sight.view.readers(str(uri)) or sight.able("resources")
        if len(readers) == 1:
            listener.uris[str(uri)] = readers[0]
    if listener.uris:
        agreed[RESOURCES] = list(listener.uris)
    return agreed


def _concerns(listener: Listener, backend: str, uri: str) -> bool:
    """Whether a client subscribed to it; it may be part of what it subscribed to."""
    if uri in listener.uris:
        return listener.uris[uri] == backend
    return any(b == backend and uri.startswith(whole) for whole, b in listener.uris.items())
