"""Ends everything that belongs to a data directory: the daemon, the keeper, its children."""

import asyncio
import os
import signal

from mooring.clock import SystemClock
from mooring.errors import Unavailable
from mooring.programs.ending import end_keeper
from mooring.programs.places import Places, holder, of
from mooring.programs.settings import Settings
from mooring.runtimes.keeper_client import KeeperClient
from mooring.transports.http_upstream import Pool

PATIENCE = 60.0
"""Seconds until the daemon must have drained and ended."""
LOOK = 0.05


def run(settings: Settings) -> bool:
    """Ends it all; False where nothing ran. Raises Unavailable where something stays."""
    return asyncio.run(_end(of(settings.data_dir)))


async def _end(places: Places) -> bool:
    clock = SystemClock()
    pid = holder(places)
    if pid:
        os.kill(pid, signal.SIGTERM)
        deadline = clock.monotonic() + PATIENCE
        while holder(places) == pid:
            if clock.monotonic() > deadline:
                raise Unavailable("CannotStop", f"the daemon (pid {pid}) does not end")
            await clock.sleep(LOOK)
    if not places.keeper_socket.exists():
        return bool(pid)
    pool = Pool()
    try:
        gone = await end_keeper(KeeperClient(pool, places.keeper_socket), clock)
    finally:
        await pool.close()
    if not gone:
        raise Unavailable("CannotStop", f"the keeper at {places.keeper_socket} does not end")
    return True
