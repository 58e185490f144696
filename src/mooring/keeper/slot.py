"""One slot: one start of one instance, from the wish to its end.

Whatever goes wrong in a slot stays in it: a failure of ours while holding a child ends that
slot with a reason, and the keeper goes on with the others.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from msgspec.structs import replace

from mooring import telemetry
from mooring.clock import Clock
from mooring.core import logline
from mooring.core.keeping import Exit, SlotSpec, SlotState
from mooring.errors import MooringError
from mooring.keeper.bridge import Bridge
from mooring.keeper.child import Child, Spawner
from mooring.keeper.http_child import HttpChild
from mooring.keeper.logfile import LogFile
from mooring.keeper.ports import Ports
from mooring.transports.http_server import Exchange

MARGIN = 10.0
"""Seconds that a stop may last beyond its grace, before everything is killed."""


class Occupant(Protocol):
    """What a slot is for: the bridge to stdio children, or an HTTP child."""

    @property
    def exited(self) -> asyncio.Future[Exit]: ...

    @property
    def sessions(self) -> int: ...

    @property
    def children(self) -> int: ...

    async def start(self) -> None: ...

    async def handle(self, exchange: Exchange) -> None: ...

    async def stop(self, grace: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all slots of a keeper share."""

    spawner: Spawner
    ports: Ports
    clock: Clock
    changed: Callable[[str], None]
    """Called with the uid of a slot whose state has changed."""


class _Over(Exception):
    """Ends the tasks of a slot."""


class Slot:
    """One start of one instance."""

    def __init__(self, spec: SlotSpec, log: LogFile, around: Surroundings) -> None:
        self.spec = spec
        self.settled = asyncio.Event()
        """It runs, or it never will."""
        self.over = asyncio.Event()
        """It has exited."""
        self._log = log
        self._around = around
        self._state: Literal["running", "stopping", "exited"] = "running"
        self._occupant: Occupant | None = None
        self._children: list[Child] = []
        self._port = 0
        self._pid = 0
        self._exit: Exit | None = None
        self._started_at = around.clock.now().timestamp()

    @property
    def state(self) -> SlotState:
        """As the daemon sees it."""
        spec, occupant = self.spec, self._occupant
        return SlotState(
            uid=spec.uid,
            instance=spec.instance,
            server=spec.server,
            checksum=spec.checksum,
            state=self._state,
            transport=spec.transport,
            pid=self._pid,
            port=self._port,
            path=spec.path,
            started_at=self._started_at,
            exit=self._exit,
            children=occupant.children if occupant else 0,
            sessions=occupant.sessions if occupant else 0,
        )

    @property
    def occupant(self) -> Occupant | None:
        """Who answers; None before the start and after the end."""
        return self._occupant if self.settled.is_set() else None

    async def hold(self) -> None:
        """The whole life of the slot; returns when it has exited, and never fails."""
        exit = await self._live()
        await self._end_children()
        self._end(exit)

    async def stop(self, grace: float) -> None:
        """Ends it; returns when that is done, and never fails. A shorter grace may follow."""
        self.mark_stopping()
        try:
            async with asyncio.timeout(grace + MARGIN):
                await self.settled.wait()
                if self._occupant is not None:
                    await self._occupant.stop(grace)
                await self.over.wait()
        except Exception as error:  # noqa: BLE001 - the top of a task; TimeoutError above all
            telemetry.event(
                "slot.stop_failed", logging.WARNING, uid=self.spec.uid, error=repr(error)
            )
            await self._end_children()

    def mark_stopping(self) -> None:
        """From now on its end is wanted."""
        if self._state == "running":
            self._become("stopping")

    async def _live(self) -> Exit:
        """Lives, and contains every failure."""
        self._log.mark(logline.STARTED, self.spec.uid)
        exit = Exit(signal=9)
        try:
            async with asyncio.TaskGroup() as tasks:
                exit = await self._occupy(tasks)
                raise _Over
        except* _Over:
            pass
        except* MooringError as group:
            exit = Exit(reason=str(_first(group)))
        except* Exception as group:  # noqa: BLE001 - the top of a slot; others go on
            error = repr(_first(group))
            exit = Exit(signal=9, reason=f"the keeper failed: {error}")
            telemetry.event("slot.failed", logging.ERROR, uid=self.spec.uid, error=error)
        return exit

    async def _occupy(self, tasks: asyncio.TaskGroup) -> Exit:
        """Starts the occupant and waits for its end."""
        occupant = self._occupant = self._choose(tasks)
        await occupant.start()
        telemetry.event("slot.started", uid=self.spec.uid, instance=self.spec.instance)
        self.settled.set()
        self._around.changed(self.spec.uid)
        exit = await asyncio.shield(occupant.exited)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MARGIN):
                await occupant.stop(0)
        return exit

    def _choose(self, tasks: asyncio.TaskGroup) -> Occupant:
        """Raises Conflict "PortInUse"."""
        if self.spec.transport == "stdio":
            return Bridge(self.spec, self._spawn, self._around.clock, self._log, tasks)
        self._port = self._around.ports.take(self.spec.port)
        return HttpChild(self._spawn)

    async def _spawn(self) -> Child:
        """A child whose end is ours to see to, whatever the occupant does."""
        stdio = self.spec.transport == "stdio"
        child = await self._around.spawner.spawn(self.spec, stdio=stdio, port=self._port)
        self._children.append(child)
        self._pid = self._children[0].pid
        child.exited.add_done_callback(lambda _: self._forget(child))
        return child

    def _forget(self, child: Child) -> None:
        self._children.remove(child)
        if self._children:
            self._pid = self._children[0].pid

    async def _end_children(self) -> None:
        """Kills all that are left, at once."""
        async with asyncio.TaskGroup() as ends:
            for child in tuple(self._children):
                ends.create_task(child.end(0))

    def _end(self, exit: Exit) -> None:
        """It is over: nothing of it stays but the memory of how it ended, and no secret."""
        if exit.at == 0:
            exit = replace(exit, at=self._around.clock.now().timestamp())
        self._exit = exit
        self.spec = replace(self.spec, env={})
        self._occupant = None
        self._around.ports.give_back(self._port)
        how = exit.reason or (f"signal {exit.signal}" if exit.signal else f"code {exit.code}")
        self._log.mark(logline.ENDED, self.spec.uid, how)
        telemetry.event("slot.ended", uid=self.spec.uid, instance=self.spec.instance, how=how)
        self._become("exited")
        self.settled.set()
        self.over.set()

    def _become(self, state: Literal["running", "stopping", "exited"]) -> None:
        self._state = state
        self._around.changed(self.spec.uid)


def _first(group: BaseException) -> BaseException:
    """One error of a group, in place of them all."""
    error = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
