"""Requests that stand alone, for a backend that knows sessions only and keeps nothing in them.

Such a request borrows a session of ours at that backend, for itself alone while it lasts, so that
the ids of different clients never meet; the next one gets the same session. The client's words
about itself are not told: whose request it is differs from one to the next.
"""

from typing import Final

from mooring.core.bridging import LATEST
from mooring.core.identity import Identity
from mooring.virtual.backends import Backends
from mooring.virtual.call import Call
from mooring.virtual.declared import Caller
from mooring.virtual.promises import promised
from mooring.virtual.room import UID
from mooring.virtual.states import ClientState
from mooring.virtual.virtual_server import VirtualServer

LENT: Final = 200
"""Sessions that may be lent at once, of one backend, to one caller."""
KEPT: Final = 8
"""Sessions that are kept for the next request."""
CLIENT: Final = {"name": "mooring", "version": "1"}

Key = tuple[str, Identity, bytes]
"""A backend, who calls, and the fingerprint of what the backend is told of them."""


class Borrowing:
    """Sessions of ours at the backends of one virtual server."""

    def __init__(self, server: VirtualServer) -> None:
        self._server = server
        self._room = server.room
        self._backends = Backends(server)
        self._kept: dict[Key, list[ClientState]] = {}
        self._lent: dict[Key, int] = {}

    async def forward(self, call: Call, caller: Caller, backend: str, body: bytes) -> None:
        """Takes a request to a backend in a session of ours, and its answer to the client."""
        key = backend, call.identity, caller.credentials
        lent = self._lent.get(key, 0)
        if lent >= LENT:
            words = f"backend {backend} answers {LENT} requests already"
            call.refuse(503, "TooManySessions", words)
            return
        self._lent[key] = lent + 1
        state = self._taken(key, caller)
        try:
            await self._backends.forward(call, state, backend, body)
        finally:
            self._lent[key] -= 1
            self._give_back(key, state)

    def _taken(self, key: Key, caller: Caller) -> ClientState:
        """One that nobody uses, or a new one."""
        kept = self._kept.get(key, [])
        while kept:
            state = kept.pop()
            if self._room.sessions.is_open(state.session):
                state.session.calls += 1
                return state
        promises = promised({}, CLIENT)
        ref = self._server.ref
        session = self._room.sessions.open(ref, UID, promises.packed, LATEST, key[1])
        session.calls += 1
        state = ClientState(ref, session, promises)
        state.caller, state.lent = caller, True
        return state

    def _give_back(self, key: Key, state: ClientState) -> None:
        state.session.calls -= 1
        state.session.used_at = self._room.clock.monotonic()
        kept = self._kept.setdefault(key, [])
        if len(kept) < KEPT:
            kept.append(state)
        else:
            self._room.errands.start(self._backends.end(state))
