"""The gateway's table, kept true by watching the objects.

Requests read the latest table and never the store. While nobody tells what is there, the last
table holds.
"""

import logging
from collections.abc import Callable

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.ports import ObjectReader
from mooring.core.table import Table, build
from mooring.errors import Conflict, MooringError
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer

KIND = "MCPServer"
PAUSE = 1.0
"""Seconds until a store that failed is asked again; doubled while it goes on failing."""
LONGEST_PAUSE = 8.0


async def watch(store: ObjectReader, clock: Clock, swap: Callable[[Table], None]) -> None:
    """Gives `swap` a new table at once and after every change, for ever."""
    pause = PAUSE

    def listed(table: Table) -> None:
        nonlocal pause
        pause = PAUSE
        swap(table)

    while True:
        try:
            await _follow(store, listed)
        except Conflict:
            continue  # the version is too old to watch from: list again
        except MooringError as error:
            telemetry.event("gateway.watch_failed", logging.WARNING, error=error.message)
            await clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


async def _follow(store: ObjectReader, swap: Callable[[Table], None]) -> None:
    listing = await store.list(KIND)
    servers = {item.ref: item for item in listing.items if isinstance(item, MCPServer)}
    swap(build(servers.values()))
    async for change in store.watch(KIND, listing.version):
        if _apply(servers, change.type, change.object):
            swap(build(servers.values()))


def _apply(servers: dict[Ref, MCPServer], happened: str, changed: object) -> bool:
    if not isinstance(changed, MCPServer):
        return False
    if happened == "DELETED":
        return servers.pop(changed.ref, None) is not None
    servers[changed.ref] = changed
    return True
