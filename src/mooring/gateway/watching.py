"""The gateway's table, kept true by watching the objects.

Requests read the latest table and never the store. While nobody tells what is there, the last
table holds. The first one is made when every kind has been listed.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.ports import ObjectReader
from mooring.core.table import Made, Table, build
from mooring.errors import Conflict, MooringError
from mooring.kinds.base import Object
from mooring.kinds.group import MCPGroup
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer
from mooring.kinds.virtual import VirtualMCPServer

KINDS = ("MCPServer", "MCPGroup", "VirtualMCPServer")
PAUSE = 1.0
"""Seconds until a store that failed is asked again; doubled while it goes on failing."""
LONGEST_PAUSE = 8.0


async def watch(store: ObjectReader, clock: Clock, swap: Callable[[Table], None]) -> None:
    """Gives `swap` a new table at once and after every change, for ever."""
    objects = _Objects(swap)
    async with asyncio.TaskGroup() as tasks:
        for kind in KINDS:
            tasks.create_task(_keep(store, clock, kind, objects), name=f"watch {kind}")


class _Objects:
    """All objects that make a table, by kind."""

    def __init__(self, swap: Callable[[Table], None]) -> None:
        self._swap = swap
        self._known: dict[str, dict[Ref, Object]] = {}
        self._made: Made = {}

    def listed(self, kind: str, objects: Mapping[Ref, Object]) -> None:
        """All there is of a kind."""
        self._known[kind] = dict(objects)
        self._tell()

    def changed(self, happened: str, changed: Object) -> None:
        """One object is there, or is not any more."""
        known, ref = self._known[changed.kind], changed.ref
        if happened != "DELETED":
            known[ref] = changed
        elif known.pop(ref, None) is None:
            return
        self._tell()

    def _tell(self) -> None:
        if len(self._known) < len(KINDS):
            return
        every = [each for kind in KINDS for each in self._known[kind].values()]
        servers = [each for each in every if isinstance(each, MCPServer)]
        groups = [each for each in every if isinstance(each, MCPGroup)]
        virtuals = [each for each in every if isinstance(each, VirtualMCPServer)]
        self._swap(build(servers, groups, virtuals, self._made))


async def _keep(store: ObjectReader, clock: Clock, kind: str, objects: _Objects) -> None:
    """Keeps the objects of one kind true."""
    pause = PAUSE
    while True:
        try:
            listing = await store.list(kind)
            objects.listed(kind, {item.ref: item for item in listing.items})
            pause = PAUSE
            async for change in store.watch(kind, listing.version):
                objects.changed(change.type, change.object)
        except Conflict:
            continue  # the version is too old to watch from: list again
        except MooringError as error:
            telemetry.event("gateway.watch_failed", logging.WARNING, error=error.message)
            await clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
