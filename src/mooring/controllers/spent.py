"""Packages and logs that no server needs any more are removed, a few times a day."""

import logging
from collections.abc import Awaitable, Collection
from typing import Protocol

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.packages import Package, referred
from mooring.core.ports import ObjectReader
from mooring.errors import MooringError
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer

FIRST = 600.0
"""Seconds after the start until the first sweep: what comes up then has come up."""
PAUSE = 6 * 3600.0


class Sweepable(Protocol):
    """Where packages and logs are."""

    def sweep(self, wanted: Collection[Package], servers: Collection[Ref]) -> Awaitable[int]:
        """Removes what none of them needs; returns how much that was."""
        ...


class Spent:
    """Sweeps, as long as it runs."""

    def __init__(self, store: ObjectReader, room: Sweepable, clock: Clock) -> None:
        self._store = store
        self._room = room
        self._clock = clock

    async def run(self) -> None:
        """Sweeps again and again, for ever."""
        await self._clock.sleep(FIRST)
        while True:
            await self.sweep()
            await self._clock.sleep(PAUSE)

    async def sweep(self) -> None:
        """One sweep; where the servers cannot be told, nothing is removed."""
        try:
            listing = await self._store.list("MCPServer")
            servers = [each for each in listing.items if isinstance(each, MCPServer)]
            wanted = {package for server in servers for package in referred(server)}
            gone = await self._room.sweep(wanted, {server.ref for server in servers})
        except (MooringError, OSError) as error:
            telemetry.event("spent.unswept", logging.WARNING, error=str(error))
            return
        if gone:
            telemetry.event("spent.removed", count=gone)
