"""The keeper, wired: `python -m mooring.programs.keeper --socket PATH --log FILE`.

It outlives the daemon that started it, ends when it was told to (SIGTERM, SIGINT, a request)
or when no daemon came for a while, and leaves no child behind. This module is imported by the
keeper's process alone and stays light: no kinds, no pydantic.
"""

import argparse
import asyncio
import contextlib
import logging
import logging.handlers
import os
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import uvloop

from mooring import telemetry
from mooring.clock import Clock, SystemClock
from mooring.core.keeping import PROTOCOL, KeeperState, ListenerSpec
from mooring.errors import MooringError
from mooring.keeper.claim import Claim
from mooring.keeper.control import Control
from mooring.keeper.forking import Forker, Rung
from mooring.keeper.ladder import RUNGS, Ladder, home
from mooring.keeper.listeners import Listeners
from mooring.keeper.logfile import SIZE, Logs
from mooring.keeper.presence import Presence
from mooring.keeper.slots import Slots
from mooring.keeper.spawner import ForkSpawner
from mooring.transports.http_server import HttpServer, Limits

ALONE = 300.0
"""Seconds without a daemon after which a keeper ends."""
GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL for the children of a keeper that is ended by a signal."""
BODY = 64 * 1024 * 1024
"""Bytes of the largest message to a stdio server."""
_FILES = 65536


@dataclass(frozen=True, slots=True)
class Options:
    """What a keeper is started with."""

    socket: Path
    alone: float = ALONE
    rung: Rung | None = None
    """Forced, instead of the best that works."""
    listeners: tuple[tuple[ListenerSpec, int], ...] = ()
    """Listening sockets that are there already, by descriptor."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a keeper to its end; 1 where it cannot begin, with the reason on stderr."""
    given = _parse(arguments)
    path = Path(os.path.abspath(given.socket))
    options = Options(path, given.alone_seconds, given.rung, _inherited(given.listener))
    _open_log(given.log)
    os.chdir("/")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that closes is not ours
    claim = Claim(path)
    try:
        sock = claim.acquire()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(keep(options, sock, SystemClock()))
    except MooringError as error:
        telemetry.event("keeper.refused", logging.ERROR, reason=error.reason, why=error.message)
        print(f"moor keeper: {error.message}", file=sys.stderr)
        return 1
    finally:
        claim.release()
    return 0


async def keep(options: Options, sock: socket.socket, clock: Clock) -> None:
    """Serves the bound socket until it is time to end, then ends all children."""
    forker, ladder, logs = Forker(), Ladder(home(str(options.socket))), Logs(clock)
    listeners, presence = Listeners(), Presence(clock)
    for spec, descriptor in options.listeners:
        listeners.adopt(spec, socket.socket(fileno=descriptor))
    _raise_limit()
    try:
        about = await _introduce(forker, ladder, options, clock)
        async with asyncio.TaskGroup() as tasks:
            told = _Told()
            told.heed_signals()
            slots = Slots(ForkSpawner(forker, ladder, logs, clock), logs, clock, tasks)
            control = Control(about, slots, listeners, presence, told.tell)
            server = HttpServer(control.handle, Limits(body=BODY))
            await server.listen(sock)
            lonely = tasks.create_task(_when(presence.alone(options.alone), told.tell, "alone"))
            grace = await told.wait()
            lonely.cancel()
            await slots.end_all(grace)
            await server.drain(1.0)
            await server.close()
    finally:
        telemetry.event("keeper.ended")
        sock.close()
        listeners.close()
        forker.close()
        ladder.close()
        await logs.close()


class _Told:
    """Whether it is time to end, and how much grace children have."""

    def __init__(self) -> None:
        self._grace: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def tell(self, grace: float = GRACE, why: str = "asked") -> None:
        """It is."""
        if not self._grace.done():
            telemetry.event("keeper.ending", why=why)
            self._grace.set_result(grace)

    async def wait(self) -> float:
        """Returns the grace once it is time."""
        return await asyncio.shield(self._grace)

    def heed_signals(self) -> None:
        """SIGTERM and SIGINT tell it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.tell, GRACE, number.name)


async def _introduce(forker: Forker, ladder: Ladder, options: Options, clock: Clock) -> KeeperState:
    """Climbs the ladder and says who we are."""
    rung = await ladder.climb(forker, options.rung)
    about = KeeperState(
        protocol=PROTOCOL,
        version=version("mooring"),
        pid=os.getpid(),
        rung=rung,
        started_at=clock.now().timestamp(),
    )
    telemetry.event("keeper.started", pid=about.pid, rung=rung, socket=options.socket)
    return about


async def _when(moment: Awaitable[None], tell: Callable[..., None], why: str) -> None:
    await moment
    tell(why=why)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="moor keeper", description=__doc__)
    parser.add_argument("--socket", required=True, help="path of the Unix socket to serve")
    parser.add_argument("--log", default="", help="file of the keeper's own log")
    parser.add_argument("--alone-seconds", type=float, default=ALONE, help="end when alone so long")
    parser.add_argument("--rung", choices=RUNGS, help="hold children this way, not the best one")
    parser.add_argument(
        "--listener",
        nargs=4,
        action="append",
        default=[],
        metavar=("NAME", "HOST", "PORT", "DESCRIPTOR"),
        help="a listening socket to hold from the beginning",
    )
    return parser.parse_args(arguments)


def _inherited(given: Sequence[Sequence[str]]) -> tuple[tuple[ListenerSpec, int], ...]:
    """Listening sockets that we were started with; children must not get them."""
    found = []
    for name, host, port, descriptor in given:
        os.set_inheritable(int(descriptor), False)
        found.append((ListenerSpec(name=name, host=host, port=int(port)), int(descriptor)))
    return tuple(found)


def _open_log(path: str) -> None:
    """Sends events to a file that cannot grow without end; a full disk stops nothing."""
    logging.raiseExceptions = False
    if not path:
        logging.getLogger().addHandler(logging.NullHandler())
        return
    Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=SIZE, backupCount=2, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)


def _raise_limit() -> None:
    """Makes room for many sessions; children keep the limit that we were started with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main())
