"""The data plane: every HTTP request on the MCP port comes through here.

First whether we may answer at all, then what is asked, then the endpoint answers. A request
reads one table and waits for nothing but its upstream.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.authorities import Authorities
from mooring.core.identity import ANONYMOUS
from mooring.core.load import Load
from mooring.core.ports import ObjectReader
from mooring.core.session_record import SessionStore
from mooring.core.table import Table, Upstream
from mooring.errors import MooringError
from mooring.gateway.afterwork import Afterwork
from mooring.gateway.call import Call
from mooring.gateway.endpoint import Endpoint
from mooring.gateway.entries import Entries
from mooring.gateway.examination import Examiner, understood
from mooring.gateway.leash import Leashes
from mooring.gateway.metrics import Metrics, method_class
from mooring.gateway.nowhere import Nowhere
from mooring.gateway.pages import Pages
from mooring.gateway.server_endpoint import ServerEndpoint
from mooring.gateway.swift import SwiftTrip
from mooring.gateway.trip import Plant
from mooring.gateway.virtual_endpoint import VirtualEndpoint, virtuals
from mooring.gateway.watching import watch
from mooring.sessions.affinity import Affinity
from mooring.sessions.books import Books
from mooring.sessions.courier import Courier
from mooring.sessions.event_ids import EventIds
from mooring.sessions.hearing import Hearing
from mooring.sessions.open_sessions import OpenSessions
from mooring.sessions.records import Records
from mooring.sessions.recovery import Recovery
from mooring.sessions.reopening import Reopener
from mooring.sessions.sweeper import Sweeper
from mooring.sessions.tally import Tally
from mooring.transports.http_server import ClientGone, Exchange, HttpServer
from mooring.transports.http_upstream import Pool
from mooring.virtual.room import UID


class Gateway:
    """Answers requests (`handle`) while it watches the store (`run`)."""

    def __init__(
        self,
        store: ObjectReader,
        pool: Pool,
        clock: Clock,
        ours: Authorities,
        sessions: OpenSessions,
        records: SessionStore,
    ) -> None:
        """`records`: where those of sessions are kept."""
        self.loaded = asyncio.Event()
        """Set once there is a table, so that requests can be taken."""
        self.seen: Callable[[Table], Table] = lambda table: table
        """What of a table is true for this gateway."""
        self._store = store
        self._clock = clock
        self._sessions = sessions
        self._entries = Entries()
        sealer = sessions.sealer
        courier = Courier(pool, sessions, clock, self._entries.get)
        self._afterwork = Afterwork(courier)
        self._streams: Leashes = set()
        via = sealer.via
        ids = EventIds(sealer.ring)
        affinity = Affinity(sealer.ring, clock)
        self._books = Books(records, Records(sealer.ring), clock, sessions.terms)
        reopener = Reopener(courier, self._entries.get, clock, via)
        self.tally = Tally()
        self.tally.ejections = lambda: courier.ejections.told(clock.monotonic())
        """What is to be told of this gateway."""
        self.tally.ejections = lambda: courier.ejections.told(clock.monotonic())
        entries = self._entries.get
        self.recovery = Recovery(sessions, self._books, reopener, entries, self.tally, clock)
        self._hearing = Hearing(sessions, self._books, self.recovery, self.tally, clock)
        self.sweeper = Sweeper(sessions, self._books, reopener, entries, clock)
        self._plant = Plant(
            courier=courier,
            sessions=sessions,
            afterwork=self._afterwork,
            clock=clock,
            via=via,
            event_ids=ids,
            affinity=affinity,
            streams=self._streams,
            books=self._books,
            recovery=self.recovery,
            entries=self._entries,
        )
        self._virtuals = virtuals(self._plant)
        self._endpoints: dict[str, Endpoint] = {}
        self._servers: dict[str, ServerEndpoint] = {}
        self._joined: dict[str, VirtualEndpoint] = {}
        self._upstreams: Mapping[str, Upstream] = MappingProxyType({})
        self._metrics = Metrics(self._gauges(), self.tally.outcomes, sessions.gateway)
        self._examiner = Examiner(ours, via)
        self._pages = Pages(self._examiner, self._metrics, self.tally)

    def _gauges(self) -> Mapping[str, tuple[str, Callable[[], int]]]:
        """What `/metrics` tells of this moment."""
        tally = self.tally
        return {
            "mooring_sessions": ("Open sessions.", lambda: len(self._sessions)),
            "mooring_streams": ("Open streams.", lambda: len(self._streams)),
            "mooring_calls": ("Calls that wait for a server.", self._calls),
            "mooring_ejected_instances": (
                "Instances that get no new sessions here for a while.",
                lambda: len(tally.ejections()),
            ),
            "mooring_session_store_up": (
                "1 while records of sessions can be read and written.",
                lambda: int(not tally.store),
            ),
        }

    async def run(self) -> None:
        """Keeps the table true and sweeps sessions, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._afterwork.begin(group)
                self.recovery.begin(group)
                group.create_task(watch(self._store, self._clock, self.swap))
                group.create_task(self._hearing.run())
                group.create_task(self.sweeper.run())
                group.create_task(self._virtuals.run())
        finally:
            self._afterwork.begin(None)
            self.recovery.begin(None)

    def swap(self, table: Table) -> None:
        """From now on this table holds, as it looks from here."""
        table = self.seen(table)
        self._servers = {
            path: ServerEndpoint(entry, self._plant) for path, entry in table.by_path.items()
        }
        self._endpoints = {**self._servers}
        self._joined = {
            path: VirtualEndpoint(served.sessions, served.stateless, self._plant)
            for path, served in self._virtuals.swap(table).items()
        }
        self._endpoints |= self._joined
        self._upstreams = {u.uid: u for entry in table.entries for u in entry.upstreams.values()}
        self._pages.table = table
        self._entries.swap(table)
        self._sessions.keep_only(table.uids | {UID})
        self._plant.courier.ejections.keep_only(table.uids)
        self.loaded.set()

    def loads(self) -> Mapping[str, Load]:
        """Open sessions and calls of each instance, by uid, as they are now."""
        return {uid: Load(load.sessions, load.calls) for uid, load in self._sessions.loads.items()}

    def close_streams(self) -> None:
        """Ends all streams that would stay open for ever; for the beginning of a drain."""
        for leash in tuple(self._streams):
            leash.pull()
        self._virtuals.close_streams()

    def swift(self, exchange: Exchange, host: HttpServer) -> bool:
        """Answers a request that needs no task, or begins to; False where it needs one."""
        request = exchange.request
        server = self._servers.get(request.path)
        virtual = self._joined.get(request.path) if server is None else None
        if (server is None and virtual is None) or request.method != "POST":
            return False
        call = Call(exchange, ANONYMOUS, self._clock.monotonic())
        if not (self._examiner.admits(call) and understood(call)):
            self._tell(call)
            host.finished(exchange)
            return True
        if server is None:
            return virtual is not None and virtual.swift(call, host, self._tell)
        found = server.swift(call)
        return found is not None and SwiftTrip(*found, host, self._tell).begin()

    async def handle(self, exchange: Exchange) -> None:
        """Answers one request."""
        path = exchange.request.path
        endpoint = self._endpoints.get(path)
        lost = False
        if endpoint is None:
            if self._pages.answer(exchange):
                return
            endpoint = Nowhere(path, loaded=self.loaded.is_set())
            lost = True
        call = Call(exchange, ANONYMOUS, self._clock.monotonic())
        if self._examiner.admits(call) and (lost or understood(call)):
            try:
                await endpoint.answer(call)
            except ClientGone:
                call.outcome = "gone"
            except MooringError as error:
                call.fail(error)
        self._tell(call)

    def _tell(self, call: Call) -> None:
        """Counts a call that was answered, and logs one that failed."""
        self._metrics.count(call, self._clock.monotonic() - call.began)
        if call.outcome == "failed":
            telemetry.event(
                "gateway.call_failed", logging.INFO,
                path=call.request.path, method=method_class(call), reason=call.reason,
            )  # fmt: skip

    def _calls(self) -> int:
        return sum(load.calls for load in self._sessions.loads.values())
