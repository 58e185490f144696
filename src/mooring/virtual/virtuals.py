"""All virtual servers of a gateway, and what they share."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final, NamedTuple

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.era import Era
from mooring.core.headers import Headers
from mooring.core.table import Entry, Table
from mooring.kinds.ref import Ref
from mooring.sessions.books import Books
from mooring.sessions.courier import Courier
from mooring.sessions.open_sessions import OpenSessions
from mooring.sessions.recovery import Recovery
from mooring.virtual.call import Gate
from mooring.virtual.catalogs import Catalogs
from mooring.virtual.cursors import Cursors
from mooring.virtual.declared import Declared
from mooring.virtual.errands import Errands
from mooring.virtual.exploring import Conversation
from mooring.virtual.in_session import InSession
from mooring.virtual.room import Room
from mooring.virtual.stateless import Stateless
from mooring.virtual.virtual_server import VirtualServer

TICK: Final = 5.0
"""Seconds between two looks at what has become old."""


class Served(NamedTuple):
    """A virtual server, and who answers its clients."""

    uid: str
    server: VirtualServer
    sessions: InSession
    stateless: Stateless


class Virtuals:
    """Keeps them as the table says; `run` keeps what they see true."""

    def __init__(
        self,
        courier: Courier,
        sessions: OpenSessions,
        records: tuple[Books, Recovery],
        clock: Clock,
        gate: Gate,
        via: bytes,
    ) -> None:
        def converse(entry: Entry, era: Era, more: Headers) -> Conversation:
            return Conversation(courier, via, entry, era, more)

        errands = Errands()
        self.room = Room(
            courier=courier,
            sessions=sessions,
            books=records[0],
            recovery=records[1],
            clock=clock,
            via=via,
            errands=errands,
            gate=gate,
            catalogs=Catalogs(errands, converse, clock, self._changed),
            cursors=Cursors(sessions.sealer.ring),
        )
        self._known: dict[Ref, Served] = {}

    def swap(self, table: Table) -> dict[str, Served]:
        """From now on this table holds; returns who answers at each path."""
        known, self._known = self._known, {}
        answering: dict[str, Served] = {}
        for virtual in table.virtuals:
            declared = Declared(virtual)
            found = known.get(virtual.ref)
            if found is None or found.uid != virtual.uid:
                server = VirtualServer(declared, self.room)
                found = Served(virtual.uid, server, InSession(server), Stateless(server))
            self._known[virtual.ref] = found
            found.server.become(declared)
            answering |= dict.fromkeys(virtual.paths, found)
        backends = (each for virtual in table.virtuals for each in virtual.backends.values())
        self.room.catalogs.swap({entry.ref: entry for entry in backends})
        self._begin()
        return answering

    async def run(self) -> None:
        """Keeps what they see true, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self.room.errands.begin(group)
                for served in self._known.values():
                    served.server.changed()
                self._begin()
                while True:
                    await self.room.clock.sleep(TICK)
                    try:
                        self._remind()
                        self._keep()
                        self.room.catalogs.sweep()
                    except Exception as error:  # noqa: BLE001 - the top of a loop
                        telemetry.event("virtual.tick_failed", logging.ERROR, error=repr(error))
        finally:
            self.room.errands.begin(None)
            await self.room.catalogs.farewell()

    def close_streams(self) -> None:
        """Ends all streams that would stay open for ever."""
        for stream in tuple(self.room.streams):
            stream.end()

    def _changed(self, backend: Ref, said: Iterable[str]) -> None:
        for ref, served in self._known.items():
            if ref.namespace == backend.namespace and served.server.concerns(backend.name):
                served.server.changed(said)

    def _begin(self) -> None:
        if self.room.errands.going:
            for served in self._known.values():
                served.server.begin()

    def _keep(self) -> None:
        """What sessions have at backends is in use as long as they are; others are forgotten."""
        room = self.room
        now = room.clock.monotonic()
        for id, state in list(room.states.items()):
            session = state.session
            busy = session.calls > 0 or session.streams > 0
            if not room.sessions.is_open(session) and not busy:
                del room.states[id]
                continue
            used_at = now if busy else session.used_at
            for half in state.halves.values():
                if half.session is not None and half.session.used_at < used_at:
                    half.session.used_at = used_at

    def _remind(self) -> None:
        """Comments on silent streams."""
        now = self.room.clock.monotonic()
        for stream in self.room.streams:
            stream.remind(now)
