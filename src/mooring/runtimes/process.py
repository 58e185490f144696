"""Runs servers as processes of this machine, which the keeper holds.

The keeper knows what runs; here is a mirror of it, kept up by a long poll, and what the keeper
does not know: installations under way and starts that failed. When the keeper is gone, so is
everything that it held; a new one is asked for, and whoever looks sees what has exited.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mooring import telemetry
from mooring.clock import Clock
from mooring.core import slots
from mooring.core.actions import Action, Start, Stop
from mooring.core.packages import Complaint, package, settled
from mooring.core.slots import Birth
from mooring.core.workload import Observed, Workload
from mooring.errors import Invalid, MooringError, Unavailable
from mooring.kinds.ref import Ref
from mooring.kinds.server import Resolved
from mooring.runtimes.environment import base
from mooring.runtimes.feed import Feed
from mooring.runtimes.installs import Installed, Installs
from mooring.runtimes.keeper_client import KeeperClient
from mooring.runtimes.mirror import Mirror

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""
PATIENCE = 10.0
"""Seconds that a caller waits while the keeper is not reached."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What processes find around them, and what this machine is asked for."""

    logs: Path
    """Directory of their logs: NAMESPACE/INSTANCE.log."""
    directory: Path
    """Where they run, unless a server says so itself."""
    environ: Mapping[str, str]
    """Mooring's own environment, of which servers see little."""
    revive: Callable[[], Awaitable[object]]
    """Finds the keeper or starts one."""
    new_uid: Callable[[], str]
    """Never the same twice."""
    clock: Clock


@dataclass(slots=True, eq=False)
class _Attempt:
    """A start that the keeper does not know yet, or never will."""

    uid: str
    work: Workload
    name: str
    message: str = ""
    error: MooringError | None = None
    task: asyncio.Task[None] | None = None
    handing_over: bool = False
    """It is being handed to the keeper: too late to be called off."""
    unwanted: bool = False

    def observed(self) -> Observed:
        name, uid, checksum = self.name, self.uid, self.work.checksum
        if self.error is None:
            return Observed(name, uid, checksum, "installing", message=self.message)
        return Observed(
            name,
            uid,
            checksum,
            "failed",
            message=self.error.message,
            reason=self.error.reason,
            permanent=not self.error.retryable,
        )


class ProcessRuntime:
    """Servers with a `command`, or a package of PyPI or npm."""

    def __init__(
        self, keeper: KeeperClient, installs: Installs, around: Surroundings, feed: Feed
    ) -> None:
        self._keeper = keeper
        self._installs = installs
        self._around = around
        self._feed = feed
        self._mirror = Mirror(keeper, around.clock, around.revive, feed)
        self._attempts: dict[tuple[Ref, str], _Attempt] = {}
        self._resolved: dict[str, Resolved] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Follows the keeper, and installs; for ever. Being cancelled ends installations."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await self._mirror.follow(tasks)

    async def observe(self, ref: Ref) -> tuple[Observed, ...]:
        """The instances of a server as they are now, sorted by name.

        Raises Unavailable("KeeperGone") where nothing can be said yet.
        """
        await self._mirror.reached(PATIENCE, once=True)
        socket = str(self._keeper.socket_path)
        held = {state.uid: state for state in self._mirror.of(ref)}
        seen = []
        for (owner, _), attempt in self._attempts.items():
            if owner == ref and (attempt.error is None or attempt.uid not in held):
                held.pop(attempt.uid, None)  # until it is settled, the attempt knows better
                seen.append(attempt.observed())
        for state in held.values():
            seen.append(slots.observed(state, socket, self._resolved.get(state.uid)))
        return tuple(sorted(seen, key=lambda instance: (instance.name, instance.uid)))

    async def owners(self) -> tuple[Ref, ...]:
        """Every server that has instances here."""
        await self._mirror.reached(PATIENCE, once=True)
        trying = {owner for owner, _ in self._attempts}
        return tuple(sorted(trying | {slots.owner(state) for state in self._mirror.all()}))

    def changes(self) -> AsyncIterator[Ref]:
        """Servers whose instances changed."""
        return self._feed.changes()

    async def perform(self, action: Action) -> None:
        """Begins a start or a stop.

        Nothing is started where one of that name has not ended. Raises Unavailable where the
        keeper is not reached.
        """
        await self._mirror.reached(PATIENCE)
        match action:
            case Start():
                await self._start(action)
            case Stop():
                await self._stop(action)

    async def _start(self, action: Start) -> None:
        key = (action.ref, action.name)
        if self._is_up(key):
            return
        leftover = [s.uid for s in self._mirror.of(action.ref) if slots.name(s) == action.name]
        attempt = _Attempt(self._around.new_uid(), action.workload, action.name)
        self._attempts[key] = attempt
        for uid in leftover:
            self._mirror.drop(uid)
        try:
            installed = self._at_hand(action.workload)
            if installed is not None:
                await self._hand_over(attempt, installed)
                return
        except Unavailable:
            del self._attempts[key]
            raise
        except MooringError as error:
            self._failed(attempt, error)
            return
        attempt.task = self._task_group().create_task(self._install(attempt))
        self._feed.tell(action.ref)

    def _is_up(self, key: tuple[Ref, str]) -> bool:
        """Whether one of that name is up, on its way up, or has not ended yet."""
        ref, name = key
        attempt = self._attempts.get(key)
        if attempt is not None and attempt.error is None:
            return True
        return any(s.state != "exited" for s in self._mirror.of(ref) if slots.name(s) == name)

    def _at_hand(self, work: Workload) -> Installed | None:
        """What can be run at once."""
        if work.source.command is not None:
            return Installed(work.source.command, None)
        asked = package(work.source)
        if isinstance(asked, Complaint):
            raise Invalid("Invalid", asked.message)
        return self._installs.ready(settled(asked, work.resolved))

    async def _install(self, attempt: _Attempt) -> None:
        """Installs in the background, then starts."""
        work = attempt.work

        def say(phase: str) -> None:
            attempt.message = phase
            self._feed.tell(work.ref)

        try:
            asked = package(work.source)
            assert not isinstance(asked, Complaint)
            seconds = work.install_timeout_seconds
            installed = await self._installs.install(settled(asked, work.resolved), seconds, say)
            await self._hand_over(attempt, installed)
        except MooringError as error:
            self._failed(attempt, error)
        except Exception as error:  # noqa: BLE001 one installation must not end the others
            telemetry.event("install.failed", logging.ERROR, server=work.ref, error=repr(error))
            self._failed(attempt, Unavailable("CannotInstall", f"Mooring failed: {error!r}"))

    async def _hand_over(self, attempt: _Attempt, installed: Installed) -> None:
        """Gives the instance to the keeper; from then on the mirror shows it."""
        work = attempt.work
        attempt.handing_over = True
        log = self._around.logs / work.ref.namespace / f"{attempt.name}.log"
        birth = Birth(
            uid=attempt.uid,
            name=attempt.name,
            argv=installed.argv,
            base=base(self._around.environ),
            directory=str(self._around.directory),
            log=str(log),
        )
        if installed.resolved is not None:
            self._remember(attempt.uid, installed.resolved)
        self._mirror.add(await self._keeper.put(slots.slot(work, birth)))
        self._forget(attempt)
        if attempt.unwanted:
            await self._mirror.stop(attempt.uid, GRACE)

    def _remember(self, uid: str, resolved: Resolved) -> None:
        """Notes what was installed, and drops that note of instances which are gone."""
        alive = {state.uid for state in self._mirror.all()}
        alive.update(attempt.uid for attempt in self._attempts.values())
        for gone in self._resolved.keys() - alive:
            del self._resolved[gone]
        self._resolved[uid] = resolved

    def _failed(self, attempt: _Attempt, error: MooringError) -> None:
        if attempt.unwanted:
            self._forget(attempt)
            return
        attempt.error = error
        attempt.task = None
        self._feed.tell(attempt.work.ref)

    async def _stop(self, action: Stop) -> None:
        attempt = self._attempts.get((action.ref, action.name))
        if attempt is None or attempt.uid != action.uid:
            await self._mirror.stop(action.uid, GRACE)
            return
        attempt.unwanted = True
        if attempt.handing_over and attempt.error is None:
            return
        if attempt.task is not None:
            attempt.task.cancel()
        self._forget(attempt)

    def _forget(self, attempt: _Attempt) -> None:
        key = (attempt.work.ref, attempt.name)
        if self._attempts.get(key) is attempt:
            del self._attempts[key]
        self._feed.tell(attempt.work.ref)

    def _task_group(self) -> asyncio.TaskGroup:
        assert self._tasks is not None, "run() comes first"
        return self._tasks
