"""Runtimes on a stage: what a test does with any of them, and what it does to them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from support.installing import StandInTool
from support.keeper_here import KeeperHere, keeper_here
from support.keeping import StandInSpawner

from mooring.clock import SystemClock
from mooring.core.actions import Start, Stop
from mooring.core.keeping import SlotSpec
from mooring.core.ports import Runtime
from mooring.core.workload import Observed, Workload
from mooring.errors import Unavailable
from mooring.keeper.child import Blow, Child
from mooring.kinds.ref import Ref
from mooring.kinds.server import Source
from mooring.runtimes.feed import Feed
from mooring.runtimes.installs import Installs
from mooring.runtimes.keeper_client import KeeperClient
from mooring.runtimes.keeper_start import KeeperStart
from mooring.runtimes.process import ProcessRuntime, Surroundings
from mooring.runtimes.remote import RemoteRuntime
from mooring.testing.clock import FakeClock
from mooring.testing.runtime import FakeRuntime
from mooring.transports.http_upstream import Pool

REF = Ref("MCPServer", "default", "a")
OTHER = Ref("MCPServer", "team", "b")
CAT = Source(command=("cat",))


def start(
    ref: Ref = REF, number: int = 0, source: Source = CAT, checksum: str = "c1", **changes: Any
) -> Start:
    """Starts an instance of this number."""
    work = Workload(ref, checksum, source, **changes)
    return Start(ref, f"{ref.name}-{number}", work)


def stop(ref: Ref, seen: Observed) -> Stop:
    """Stops what was seen."""
    return Stop(ref, seen.name, seen.uid, "test")


class Staged(Protocol):
    """A runtime, with what a test needs beside the port."""

    runtime: Runtime
    stays: Mapping[str, Any]
    """What a workload that stays up has: `start(**staged.stays)`."""

    async def end(self, ref: Ref, name: str) -> None:
        """Has an instance end by itself."""
        ...

    def failing(self, ref: Ref) -> Source:
        """A source whose starts fail."""
        ...


async def until(
    runtime: Runtime, ref: Ref, condition: Callable[[tuple[Observed, ...]], bool]
) -> tuple[Observed, ...]:
    """Looks again at every change, until what is seen is as wanted."""
    news = runtime.changes()
    async with asyncio.timeout(20):
        while not condition(seen := await runtime.observe(ref)):
            await anext(news)
    return seen


async def running(runtime: Runtime, action: Start) -> Observed:
    """Starts an instance and waits until it runs."""
    await runtime.perform(action)

    def up(seen: tuple[Observed, ...]) -> bool:
        return any(one.name == action.name and one.state == "running" for one in seen)

    return next(one for one in await until(runtime, action.ref, up) if one.name == action.name)


class StagedFake:
    """The fake that tests of controllers use."""

    stays: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self.runtime = FakeRuntime(FakeClock())

    async def end(self, ref: Ref, name: str) -> None:
        self.runtime.exit(ref, name, last_line="bye")

    def failing(self, ref: Ref) -> Source:
        self.runtime.behaviour(ref).failure = "command not found: x"
        return CAT


class StagedRemote:
    """Servers that run elsewhere."""

    stays: Mapping[str, Any] = {"source": Source(url="https://example.com/mcp")}

    def __init__(self) -> None:
        self.runtime = RemoteRuntime(Feed())

    async def end(self, ref: Ref, name: str) -> None:
        raise NotImplementedError

    def failing(self, ref: Ref) -> Source:
        raise NotImplementedError


class StagedProcesses:
    """Processes, through a keeper."""

    stays: Mapping[str, Any] = {}

    def __init__(self, root: Path, pool: Pool) -> None:
        self.root = root
        self.pool = pool
        self.client = KeeperClient(pool, root / "k.sock")
        self.tool = StandInTool()
        self.environ = {"PATH": os.environ["PATH"], "TOKEN": "our own secret"}
        self.revived = 0
        numbers = count(1)
        clock = SystemClock()
        around = Surroundings(
            logs=root / "logs",
            directory=root,
            environ=self.environ,
            revive=self.revive,
            new_uid=lambda: f"uid-{next(numbers)}",
            clock=clock,
        )
        tools = {"pypi": self.tool}
        installs = Installs(root / "packages", root / "logs", self.environ, clock, tools)
        self.runtime = ProcessRuntime(self.client, installs, around, Feed())

    async def revive(self) -> None:
        self.revived += 1
        raise Unavailable("KeeperGone", "no keeper comes up")

    async def end(self, ref: Ref, name: str) -> None:
        raise NotImplementedError

    def failing(self, ref: Ref) -> Source:
        return Source(command=("no-such-command",))


class StagedHere(StagedProcesses):
    """With a keeper on this loop, and stand-ins for processes."""

    stays: Mapping[str, Any] = {"transport": "streamable-http"}

    def __init__(self, root: Path, pool: Pool) -> None:
        super().__init__(root, pool)
        self.spawner = RecordingSpawner()
        self.there: asyncio.Event | None = None
        """Where set, a keeper that is asked for comes up with it."""
        self.kill: Callable[[], Awaitable[None]]
        """Ends the keeper, as suddenly as a kill."""
        self.keeper: KeeperHere

    async def revive(self) -> None:
        if self.there is None:
            await super().revive()
        else:
            await self.there.wait()

    async def end(self, ref: Ref, name: str) -> None:
        self.spawner.made[-1].exit(code=1)


class RecordingSpawner(StandInSpawner):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.specs: list[SlotSpec] = []

    async def spawn(self, spec: SlotSpec, *, stdio: bool, port: int = 0) -> Child:
        self.specs.append(spec)
        return await super().spawn(spec, stdio=stdio, port=port)

    def obeys(self, blow: Blow) -> None:
        """Children end of this from now on, and of nothing less."""
        self._dies_of = blow


class StagedReal(StagedProcesses):
    """With a keeper of its own, and real processes."""

    async def revive(self) -> None:
        self.revived += 1
        await self.starter.ensure()

    @property
    def starter(self) -> KeeperStart:
        if not hasattr(self, "_starter"):
            options = ("--alone-seconds", "30")
            self._starter = KeeperStart(
                self.client, self.root / "keeper.log", self.environ, SystemClock(), options
            )
        return self._starter

    async def end(self, ref: Ref, name: str) -> None:
        instance = f"{ref.namespace}/{name}"
        pids = [s.pid for s in await self.client.slots() if s.instance == instance and s.pid]
        os.kill(pids[-1], signal.SIGKILL)


@asynccontextmanager
async def processes_here(root: Path) -> AsyncIterator[StagedHere]:
    """Processes without a process."""
    pool = Pool()
    staged = StagedHere(root, pool)
    async with AsyncExitStack() as keepers:
        staged.keeper = await keepers.enter_async_context(
            keeper_here(root / "k.sock", staged.spawner)
        )
        staged.kill = keepers.aclose
        async with following(staged):
            yield staged
    await pool.close()


@asynccontextmanager
async def processes(root: Path) -> AsyncIterator[StagedReal]:
    """Processes; no keeper is left behind."""
    pool = Pool()
    staged = StagedReal(root, pool)
    async with following(staged):
        yield staged
    state = await staged.client.state()
    await staged.client.shutdown(1)
    await asyncio.to_thread(os.waitpid, state.pid, 0)
    await pool.close()


@asynccontextmanager
async def following(staged: StagedProcesses) -> AsyncIterator[None]:
    """Has a runtime follow its keeper for the length of the block."""
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(staged.runtime.run())
        try:
            yield
        finally:
            following.cancel()
