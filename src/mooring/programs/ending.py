"""Ending what outlives the daemon: the keeper and its children."""

from mooring import telemetry
from mooring.clock import Clock
from mooring.errors import Unavailable
from mooring.runtimes.keeper_client import KeeperClient

GRACE = 10.0
"""Seconds that children have between SIGTERM and SIGKILL."""
PATIENCE = 30.0
"""Seconds until the keeper must be gone."""
LOOK = 0.05


async def end_keeper(keeper: KeeperClient, clock: Clock) -> bool:
    """Ends the keeper with all its children and waits for it; True once it is gone."""
    deadline = clock.monotonic() + PATIENCE
    asked = False
    while clock.monotonic() < deadline:
        try:
            if asked:
                await keeper.state()
            else:
                await keeper.shutdown(GRACE)
                asked = True
        except Unavailable as error:
            if error.reason == "KeeperGone":
                return True
        await clock.sleep(LOOK)
    telemetry.event("daemon.keeper_stays", socket=keeper.socket_path)
    return False
