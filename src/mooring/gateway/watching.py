"""The gateway's table, kept true by watching the object store.

Requests read the latest table and never the store. While the store does not answer, the last
table holds.
"""

import logging
from collections.abc import Callable

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.ports import ObjectStore
from mooring.core.table import Table, build
from mooring.errors import Conflict, MooringError
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer

KIND = "MCPServer"
PAUSE = 1.0
"""Seconds until a store that failed is asked again."""


async def watch(store: ObjectStore, clock: Clock, swap: Callable[[Table], None]) -> None:
    """Gives `swap` a new table at once and after every change, for ever."""
    while True:
        try:
            await _follow(store, swap)
        except Conflict:
            continue  # the version is too old to watch from: list again
        except MooringError as error:
            telemetry.event("gateway.watch_failed", logging.WARNING, error=error.message)
            await clock.sleep(PAUSE)


async def _follow(store: ObjectStore, swap: Callable[[Table], None]) -> None:
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
