"""What backends offer, asked for so that their status can be told.

Of each server the lists of its best instance are asked for, in the session that probes have: when
that instance is a new one, and as often as it is probed, because a list may change by itself.
Nothing is stored: what was found stays until something else is found, and after a restart is
asked for again. Clients are not answered from here; a gateway asks for itself, and hears of
changes at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.aggregate_changes import Fingerprints, fingerprints
from mooring.core.aggregate_items import Catalog, Lists, catalog
from mooring.core.health import standing
from mooring.core.printable import printable
from mooring.errors import MooringError
from mooring.kinds.ref import Ref
from mooring.kinds.server import InstanceStatus, MCPServer

Ask = Callable[[Ref, str], Awaitable[Lists]]
"""The lists of a server's instance, by its uid; raises MooringError."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of one server."""

    uid: str
    """The instance that was asked."""
    due: datetime
    """When it is asked again."""
    catalog: Catalog
    """What it offers; empty where nobody could find out."""
    tools: Fingerprints
    failure: str = ""
    """Why its lists could not be had."""


class Catalogs:
    """The lists of servers, as they were asked for last."""

    def __init__(self, ask: Ask, clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._tasks: asyncio.TaskGroup | None = None
        self._changed: Callable[[Ref], None] = lambda ref: None
        self._found: dict[Ref, Found] = {}
        self._asking: dict[Ref, tuple[str, asyncio.Task[None]]] = {}

    def begin(self, tasks: asyncio.TaskGroup, changed: Callable[[Ref], None]) -> None:
        """From now on these tasks ask; `changed` is told of every server that was asked."""
        self._tasks = tasks
        self._changed = changed
        self._asking = {}

    def look(self, server: MCPServer) -> Found | None:
        """What it offers, as far as that is known; asks where it is not, or may have changed."""
        found = self._found.get(server.ref)
        best = _best(server)
        if best is None:
            return found
        stale = found is None or found.uid != best.uid or found.due <= self._clock.now()
        asked, _ = self._asking.get(server.ref, ("", None))
        if stale and asked != best.uid:
            self._begin(server, best)
        return found

    def forget(self, ref: Ref) -> None:
        """The server is nobody's backend any more."""
        self._found.pop(ref, None)
        _, task = self._asking.pop(ref, ("", None))
        if task is not None:
            task.cancel()

    def _begin(self, server: MCPServer, best: InstanceStatus) -> None:
        _, before = self._asking.pop(server.ref, ("", None))
        if before is not None:
            before.cancel()
        if self._tasks is None:
            return
        work = self._find_out(server, best)
        task = self._tasks.create_task(work, name=f"lists of {best.name}")
        self._asking[server.ref] = (best.uid, task)

    async def _find_out(self, server: MCPServer, best: InstanceStatus) -> None:
        found = await self._asked(server, best)
        del self._asking[server.ref]
        self._found[server.ref] = found
        self._changed(server.ref)

    async def _asked(self, server: MCPServer, best: InstanceStatus) -> Found:
        name = server.metadata.name
        seconds = server.spec.health_check.interval_seconds
        due = self._clock.now() + timedelta(seconds=seconds)
        try:
            offered = catalog(name, await self._ask(server.ref, best.uid))
            return Found(best.uid, due, offered, fingerprints(offered))
        except MooringError as error:
            why = printable(error.message)
        except Exception as error:  # noqa: BLE001 - one strange server must not end the others
            telemetry.event("lists.broke", logging.ERROR, server=name, error=repr(error))
            why = printable(repr(error))
        before = self._found.get(server.ref)
        kept = before.catalog if before is not None else Catalog(name)
        tools = before.tools if before is not None else {}
        return Found(best.uid, due, kept, tools, why)


def _best(server: MCPServer) -> InstanceStatus | None:
    """The instance that is asked: the first of those that new work goes to."""
    rows = [row for row in server.status.instances if row.uid and row.address]
    for wanted in ("preferred", "last-resort"):
        for row in sorted(rows, key=lambda r: r.name):
            if standing(row) == wanted:
                return row
    return None
