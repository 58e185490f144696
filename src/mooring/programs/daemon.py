"""The daemon: API, controllers and gateway of one installation, in one process.

With several workers the gateway is several processes of its own, which it starts and ends.

What must outlive it (children, their sessions, the listening socket) is the keeper's, which
it finds or starts. Its end is a sequence: no new requests, those under way may finish, nobody
decides any more; then, where the children end with it, the keeper; then the store.
"""

import asyncio
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from uuid import uuid4

import uvloop

from mooring.api.app import make_app
from mooring.api.serving import serve as serve_api
from mooring.clock import Clock, SystemClock
from mooring.controllers.loop import Controllers
from mooring.controllers.prober import Prober
from mooring.controllers.servers import Surroundings
from mooring.controllers.spent import Spent
from mooring.core.authorities import authorities
from mooring.core.keeping import LISTENER, KeeperState, ListenerSpec
from mooring.core.load import Loads
from mooring.core.ports import ObjectStore
from mooring.core.reporting import Report, Reports
from mooring.core.session_record import SessionStore
from mooring.errors import MooringError
from mooring.gateway.gateway import Gateway
from mooring.gateway.reporting import Reporter
from mooring.kinds.server import MCPServer
from mooring.programs.answering import Answering, Ending, Within, either, listed
from mooring.programs.door import Door, opened
from mooring.programs.ending import end_keeper
from mooring.programs.places import Lock, Places, of, prepare
from mooring.programs.questions import Questions, connect
from mooring.programs.secrets import outer_secrets
from mooring.programs.session_parts import SessionParts, session_parts
from mooring.programs.settings import Settings
from mooring.programs.workers import Workers
from mooring.runtimes.choice import RuntimeChoice
from mooring.runtimes.feed import Feed
from mooring.runtimes.installs import Installs
from mooring.runtimes.keeper_client import KeeperClient
from mooring.runtimes.keeper_start import KeeperStart
from mooring.runtimes.logs import LogReader
from mooring.runtimes.process import ProcessRuntime
from mooring.runtimes.process import Surroundings as ProcessSurroundings
from mooring.runtimes.remote import RemoteRuntime
from mooring.runtimes.storeroom import Storeroom
from mooring.sessions.key_file import KeyFile
from mooring.sessions.keys import load_or_make
from mooring.sessions.seal import Sealer
from mooring.sessions.shared_sessions import SharedSessions
from mooring.stores.sqlite import open_sqlite
from mooring.transports.http_upstream import Pool
from mooring.transports.mcp_client import McpClient

WITHIN = "daemon"
"""What the gateway within the daemon is called in reports."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What is told to whoever waits for the daemon to be up."""

    base: str
    """Where clients find it: `http://127.0.0.1:8470`."""
    keeper: KeeperState


@dataclass(frozen=True, slots=True)
class Front:
    """Where callers come in, beside the Unix socket."""

    base: str
    """The MCP endpoints."""
    door: Door | None
    """The API for those who have the token."""


class Audience(Protocol):
    """Who is told how the daemon fares."""

    def ready(self, state: Ready, stop: Callable[[], None]) -> None:
        """Everything answers; `stop` asks for the end, from any thread."""
        ...

    def draining(self) -> None:
        """The end has begun."""
        ...


def run(settings: Settings, audience: Audience, *, keeps: bool) -> None:
    """Runs until SIGTERM or SIGINT. `keeps`: the children outlive it.

    Raises MooringError where it cannot start, in words.
    """
    places = of(settings.data_dir)
    prepare(places)
    lock = Lock(places)
    lock.acquire()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_live(settings, places, keeps, audience))
    except BaseExceptionGroup as group:
        told = _in_words(group)
        if told is None:
            raise
        raise told from group
    finally:
        lock.release()


async def _live(settings: Settings, places: Places, keeps: bool, audience: Audience) -> None:
    loop = asyncio.get_running_loop()
    ending = Ending(audience.draining)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.ask)
    host, port = settings.address
    clock = SystemClock()
    parts = session_parts(settings, places, os.environ)
    names = listed(settings.api_names)
    with opened(settings.api_address, places, clock, names) as door:
        async with _pool() as pool:
            keeper = KeeperClient(pool, places.keeper_socket)
            options = ("--alone-seconds", settings.keeper_alone_seconds)
            start = KeeperStart(keeper, places.logs / "keeper.log", os.environ, clock, options)
            key = load_or_make(places.keys / "secrets.key")
            async with (
                open_sqlite(places.database, key, clock) as store,
                parts.records(clock) as records,
            ):
                state = await start.ensure()
                try:
                    listener = await keeper.listener(host, port)
                    start.hold(ListenerSpec(name=LISTENER, host=host, port=port), listener)
                    base = _base(host, listener)
                    front = Front(base, door)
                    daemon = _Daemon(settings, places, store, pool, clock, front)
                    ready = partial(
                        audience.ready, Ready(base, state), partial(_soon, loop, ending)
                    )
                    log = "" if keeps else str(places.daemon_log)
                    answering = daemon.answering(listener, log, parts, records)
                    await daemon.live(start, keeper, answering, ending, ready)
                finally:
                    start.release()
                    if not keeps:
                        await end_keeper(keeper, clock)


def _in_words(error: BaseException | None) -> MooringError | None:
    """An error in words among those of a group of tasks."""
    while isinstance(error, BaseExceptionGroup):
        found = error.subgroup(MooringError)
        error = found.exceptions[0] if found is not None else None
    return error if isinstance(error, MooringError) else None


def _soon(loop: asyncio.AbstractEventLoop, ending: Ending) -> None:
    loop.call_soon_threadsafe(ending.ask)


def _base(host: str, listener: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"


@asynccontextmanager
async def _pool() -> AsyncIterator[Pool]:
    pool = Pool()
    try:
        yield pool
    finally:
        await pool.close()


class _Daemon:
    """The parts, wired."""

    def __init__(
        self,
        settings: Settings,
        places: Places,
        store: ObjectStore,
        pool: Pool,
        clock: Clock,
        front: Front,
    ) -> None:
        self._settings = settings
        self._places = places
        self._store = store
        self._pool = pool
        self._clock = clock
        self._base = front.base
        self._door = front.door
        self._reports = Reports()
        self._heard_since = clock.now()
        door = front.door.url if front.door else ""
        self._via = b""
        self._prober = Prober(self._contact, clock, random.random)
        questions = Questions(pool, self._prober, LogReader(places.logs, clock), front.base, door)
        self._api = make_app(store, questions, clock, self._reports)

    def answering(
        self, listener: socket.socket, log: str, parts: SessionParts, records: SessionStore
    ) -> Answering:
        """Who answers on the MCP port; `log`: the file of processes of their own, else stderr."""
        hosts, origins = self._settings.allowed_hosts, self._settings.allowed_origins
        keys = KeyFile(parts.key)
        sealer = Sealer(*keys.keys())
        self._via = sealer.via
        count = self._settings.worker_count
        if count == 1:
            port = int(self._base.rpartition(":")[2])
            ours = authorities(port, listed(hosts), listed(origins))
            sessions = SharedSessions(sealer, self._clock, "", parts.terms)
            gateway = Gateway(self._store, self._pool, self._clock, ours, sessions, records)
            reporter = Reporter(self._hear, sessions, gateway.tally, self._clock)
            beside = (partial(keys.follow, sealer.ring, self._clock, sessions.verify), reporter.run)
            return Within(gateway, listener, beside)
        arguments = [
            *("--api", f"unix://{self._places.api_socket}", *parts.arguments()),
            *("--allowed-hosts", hosts, "--allowed-origins", origins, "--log", log),
        ]
        return Workers(count, listener, arguments, self._reports, self._clock)

    def _contact(self, address: str, server: MCPServer) -> McpClient:
        return connect(self._pool, self._via, address, server)

    async def _hear(self, report: Report) -> Report:
        """Takes what the gateway within tells."""
        return self._reports.hear(WITHIN, report, self._clock.monotonic())

    def _loads(self) -> Loads:
        return self._reports.loads(self._clock.monotonic())

    async def live(
        self,
        start: KeeperStart,
        keeper: KeeperClient,
        answering: Answering,
        ending: Ending,
        ready: Callable[[], None],
    ) -> None:
        """Everything at work, until the end is asked for."""
        feed = Feed()
        installs = Installs(
            self._places.packages, self._places.logs / "installs", os.environ, self._clock
        )
        around_processes = ProcessSurroundings(
            logs=self._places.logs,
            directory=self._places.work,
            environ=os.environ,
            revive=start.ensure,
            new_uid=_new_uid,
            clock=self._clock,
        )
        processes = ProcessRuntime(keeper, installs, around_processes, feed)
        runtime = RuntimeChoice(processes, RemoteRuntime(feed), feed)
        own = dict(os.environ)
        secrets = outer_secrets(self._settings, self._places, os.environ)
        around = Surroundings(
            self._base, self._loads, random.random, own, runtime.sources,
            secrets.stores, secrets.pepper, self._reports, self._heard_since,
        )  # fmt: skip
        room = Storeroom(self._places.packages, self._places.logs, installs.place, self._clock)
        spent = Spent(self._store, room, self._clock)
        controllers = Controllers(self._store, runtime, self._clock, self._prober, around)
        async with asyncio.TaskGroup() as tasks:
            work = [
                tasks.create_task(processes.run(), name="processes"),
                tasks.create_task(controllers.run(), name="controllers"),
                tasks.create_task(spent.run(), name="spent"),
                tasks.create_task(self._serve_api(), name="api"),
            ]
            if self._door is not None:
                work.append(tasks.create_task(self._door.serve(self._api), name="api door"))
            gateway = tasks.create_task(answering.run(), name="gateway")
            await either(answering.open(), ending.asked.wait())
            await either(controllers.looked.wait(), ending.asked.wait())
            ready()
            await ending.asked.wait()
            await answering.drain(ending.hurry)
            for task in (*work, gateway):
                task.cancel()

    async def _serve_api(self) -> None:
        path = self._places.api_socket
        path.unlink(missing_ok=True)  # we hold the lock: whoever made it is dead
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        previous = os.umask(0o177)
        try:
            door.bind(str(path))
        finally:
            os.umask(previous)
        door.listen(128)
        try:
            await serve_api(self._api, door)
        finally:
            path.unlink(missing_ok=True)


def _new_uid() -> str:
    return uuid4().hex[:16]
