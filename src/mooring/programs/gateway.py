"""A gateway in a process of its own.

Either one of several that the daemon starts behind one port (`python -m mooring.programs.gateway
--listener …`), or one that was started by itself (`moor gateway`), here or on another machine. It
learns of servers from the API, tells it how it fares, and holds nothing that would be lost with
it. It ends when it is told to (SIGTERM, SIGINT; the second one is impatient); the daemon's own
also end when their stdin does, which is a pipe to the daemon. Requests under way may finish.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import uvloop

from mooring import telemetry
from mooring.clock import Clock, SystemClock
from mooring.core.authorities import authorities
from mooring.core.elsewhere import from_elsewhere
from mooring.errors import MooringError
from mooring.gateway.gateway import Gateway
from mooring.gateway.reporting import Post, Reporter
from mooring.programs import session_parts
from mooring.programs.answering import Ending, Within, either, listed
from mooring.programs.reaching import Reach, reach
from mooring.programs.session_parts import SessionParts
from mooring.sessions.key_file import KeyFile
from mooring.sessions.seal import Sealer
from mooring.sessions.shared_sessions import SharedSessions
from mooring.stores.served import ServedObjects
from mooring.transports.http_upstream import Pool
from mooring.transports.turns import Shares, Turns

STDIN = 0
ROUNDS_LATE = 3
"""A gateway on another machine leaves sweeping to those beside the servers, if there are any."""


@dataclass(frozen=True, slots=True)
class Ours:
    """Names that we go by, beside loopback, and web pages that may call; by commas."""

    hosts: str = ""
    origins: str = ""


@dataclass(frozen=True, slots=True)
class Lent:
    """Memory that the processes behind one port share; see `transports/turns`."""

    descriptor: int
    count: int
    own: int
    """Which of them we are, from 0."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a gateway is started with."""

    name: str
    """Its own among all gateways of the installation."""
    reach: Reach
    parts: SessionParts
    ours: Ours
    lent: Lent | None = None
    """With it, the gateway is one of those that the daemon has started."""


def run(options: Options, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Answers on a listening socket until the end is asked for. Raises MooringError."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_live(options, listener, ready, SystemClock()))


def main(arguments: Sequence[str] | None = None) -> int:
    """One of the daemon's own; 1 where it cannot begin, with the reason in its log."""
    given = _parse(arguments)
    _open_log(given.log)
    try:
        run(_options(given), socket.socket(fileno=given.listener), lambda: None)
    except MooringError as error:
        telemetry.event("gateway.refused", logging.ERROR, reason=error.reason, why=error.message)
        return 1
    return 0


async def _live(
    options: Options, listener: socket.socket, ready: Callable[[], None], clock: Clock
) -> None:
    ending = Ending(lambda: None)
    _heed_signals(ending)
    turns = None
    if options.lent is not None:
        _heed_stdin(ending)
        turns = Turns(Shares(options.lent.descriptor, options.lent.count), options.lent.own)
    port = int(listener.getsockname()[1])
    ours = authorities(port, listed(options.ours.hosts), listed(options.ours.origins))
    who, tls = options.reach.who(), options.reach.tls()
    keys = KeyFile(options.parts.key)
    sealer = Sealer(*keys.keys())
    sessions = SharedSessions(sealer, clock, options.name, options.parts.terms)
    pool, asking = Pool(), Pool(tls=tls)
    try:
        async with options.parts.records(clock) as records:
            objects = ServedObjects(asking, options.reach.address, who)
            gateway = Gateway(objects, pool, clock, ours, sessions, records)
            if not options.reach.here:
                gateway.seen = from_elsewhere
                gateway.sweeper.rounds_late = ROUNDS_LATE
            post = Post(asking, options.reach.address, options.name, who)
            reporter = Reporter(post.bring, sessions, gateway.tally, clock)
            beside = (partial(keys.follow, sealer.ring, clock, sessions.verify), reporter.run)
            await serve(Within(gateway, listener, beside, turns), ending, ready)
    finally:
        await pool.close()
        await asking.close()


async def serve(gateway: Within, ending: Ending, ready: Callable[[], None]) -> None:
    """Answers requests until the end is asked for."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(gateway.run(), name="gateway")
        await either(gateway.open(), ending.asked.wait())
        ready()
        await ending.asked.wait()
        await gateway.drain(ending.hurry)
        running.cancel()


def _heed_signals(ending: Ending) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.ask)


def _heed_stdin(ending: Ending) -> None:
    """The end of stdin asks for the end, too."""
    loop = asyncio.get_running_loop()

    def heard() -> None:
        if not os.read(STDIN, 4096):
            loop.remove_reader(STDIN)
            if not ending.asked.is_set():
                ending.ask()

    loop.add_reader(STDIN, heard)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mooring.programs.gateway", description=__doc__)
    parser.add_argument("--name", required=True, help="its number among the gateways, from 1")
    parser.add_argument("--listener", type=int, required=True, help="descriptor to accept on")
    parser.add_argument("--shares", type=int, required=True, help="descriptor of shared memory")
    parser.add_argument("--of", type=int, required=True, help="how many gateways there are")
    parser.add_argument("--api", required=True, help="where the API is: unix:///PATH")
    session_parts.add_arguments(parser)
    parser.add_argument("--allowed-hosts", default="", help="further authorities, by commas")
    parser.add_argument("--allowed-origins", default="", help="origins of web pages, by commas")
    parser.add_argument("--log", default="", help="file of the log, instead of stderr")
    return parser.parse_args(arguments)


def _options(given: argparse.Namespace) -> Options:
    return Options(
        name=given.name,
        reach=reach(given.api, "", ""),
        parts=session_parts.parsed(given, os.environ),
        ours=Ours(given.allowed_hosts, given.allowed_origins),
        lent=Lent(given.shares, given.of, int(given.name) - 1),
    )


def _open_log(path: str) -> None:
    handler = logging.FileHandler(path) if path else logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)


if __name__ == "__main__":
    sys.exit(main())
