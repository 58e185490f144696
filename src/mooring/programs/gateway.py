"""A gateway in a process of its own: `python -m mooring.programs.gateway --name 1 …`.

One of several that the daemon starts behind one port. It learns of servers from the control
API, tells it how it fares, and holds nothing that would be lost with it. It ends when it is
told to (SIGTERM, SIGINT; the second one is impatient) or when its stdin ends, which is a pipe
to the daemon: requests under way may finish.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial

import uvloop

from mooring import telemetry
from mooring.clock import Clock, SystemClock
from mooring.core.address import Address
from mooring.core.authorities import authorities
from mooring.errors import MooringError
from mooring.gateway.gateway import Gateway
from mooring.gateway.reporting import Reporter
from mooring.programs import session_parts
from mooring.programs.answering import Ending, Within, either, listed
from mooring.sessions.key_file import KeyFile
from mooring.sessions.seal import Sealer
from mooring.sessions.shared_sessions import SharedSessions
from mooring.stores.served import ServedObjects
from mooring.transports.http_upstream import Pool
from mooring.transports.turns import Shares, Turns

STDIN = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a gateway to its end; 1 where it cannot begin, with the reason in its log."""
    given = _parse(arguments)
    _open_log(given.log)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_live(given, SystemClock()))
    except MooringError as error:
        telemetry.event("gateway.refused", logging.ERROR, reason=error.reason, why=error.message)
        return 1
    return 0


async def _live(given: argparse.Namespace, clock: Clock) -> None:
    ending = Ending(lambda: None)
    _heed(ending)
    listener = socket.socket(fileno=given.listener)
    port = int(listener.getsockname()[1])
    ours = authorities(port, listed(given.allowed_hosts), listed(given.allowed_origins))
    parts = session_parts.parsed(given, os.environ)
    keys = KeyFile(parts.key)
    sealer = Sealer(*keys.keys())
    sessions = SharedSessions(sealer, clock, given.name, parts.terms)
    api = Address("", 0, "/", socket=given.api)
    pool, asking = Pool(), Pool()
    try:
        async with parts.records(clock) as records:
            objects = ServedObjects(asking, api)
            gateway = Gateway(objects, pool, clock, ours, sessions, records)
            turns = Turns(Shares(given.shares, given.of), int(given.name) - 1)
            within = Within(gateway, listener, partial(keys.follow, sealer.ring, clock), turns)
            await serve(within, Reporter(asking, api, sessions, clock), ending)
    finally:
        await pool.close()
        await asking.close()


async def serve(gateway: Within, reporter: Reporter, ending: Ending) -> None:
    """Answers requests until the end is asked for."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(gateway.run(), name="gateway")
        await either(gateway.open(), ending.asked.wait())
        reporting = tasks.create_task(reporter.run(), name="reporter")
        await ending.asked.wait()
        await gateway.drain(ending.hurry)
        reporting.cancel()
        running.cancel()


def _heed(ending: Ending) -> None:
    """Signals ask for the end, and so does the end of stdin."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.ask)

    def heard() -> None:
        if not os.read(STDIN, 4096):
            loop.remove_reader(STDIN)
            if not ending.asked.is_set():
                ending.ask()

    loop.add_reader(STDIN, heard)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="moor gateway", description=__doc__)
    parser.add_argument("--name", required=True, help="its number among the gateways, from 1")
    parser.add_argument("--listener", type=int, required=True, help="descriptor to accept on")
    parser.add_argument("--shares", type=int, required=True, help="descriptor of shared memory")
    parser.add_argument("--of", type=int, required=True, help="how many gateways there are")
    parser.add_argument("--api", required=True, help="path of the control API's socket")
    session_parts.add_arguments(parser)
    parser.add_argument("--allowed-hosts", default="", help="further authorities, by commas")
    parser.add_argument("--allowed-origins", default="", help="origins of web pages, by commas")
    parser.add_argument("--log", default="", help="file of the log, instead of stderr")
    return parser.parse_args(arguments)


def _open_log(path: str) -> None:
    handler = logging.FileHandler(path) if path else logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)


if __name__ == "__main__":
    sys.exit(main())
