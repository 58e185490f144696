"""The table follows the store."""

import asyncio
from typing import Any

from support.fronting import eventually

from mooring.core.ports import Listing
from mooring.core.table import Table
from mooring.errors import Conflict, Unavailable
from mooring.gateway.watching import LONGEST_PAUSE, PAUSE, watch
from mooring.kinds.group import MCPGroup
from mooring.kinds.server import MCPServer
from mooring.kinds.virtual import VirtualMCPServer
from mooring.stores.memory import MemoryStore
from mooring.testing.clock import FakeClock


def server(name: str) -> MCPServer:
    return MCPServer.model_validate(
        {"metadata": {"name": name}, "spec": {"source": {"command": ["x"]}}}
    )


class Tables:
    """Collects what was swapped in, and wakes whoever waits for more."""

    def __init__(self) -> None:
        self.seen: list[Table] = []
        self.more = asyncio.Event()

    def swap(self, table: Table) -> None:
        self.seen.append(table)
        self.more.set()

    async def latest(self) -> list[str]:
        await self.more.wait()
        self.more.clear()
        return sorted(path for path in self.seen[-1].by_path if path.startswith("/servers"))


class Unreliable(MemoryStore):
    """Fails to list servers the first so many times, in this way."""

    def __init__(self, error: Exception, times: int) -> None:
        super().__init__()
        self.error = error
        self.times = times
        self.lists = 0

    async def list(self, kind: str, namespace: str | None = None) -> Listing:
        if kind != "MCPServer":
            return await super().list(kind, namespace)
        self.lists += 1
        if self.times:
            self.times -= 1
            raise self.error
        return await super().list(kind, namespace)


def test_every_change_gives_a_new_table(run: Any) -> None:
    async def story() -> None:
        store, tables = MemoryStore(), Tables()
        await store.put(server("a"))
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch(store, FakeClock(), tables.swap))
            assert await tables.latest() == ["/servers/a/mcp"]
            await store.put(server("b"))
            assert await tables.latest() == ["/servers/a/mcp", "/servers/b/mcp"]
            await store.delete(server("a").ref)
            assert await tables.latest() == ["/servers/b/mcp"]
            watching.cancel()

    run(story())


def test_groups_and_virtual_servers_are_followed_too(run: Any) -> None:
    async def story() -> None:
        store, tables = MemoryStore(), Tables()
        group = MCPGroup.model_validate({"metadata": {"name": "tools"}})
        virtual = VirtualMCPServer.model_validate(
            {"metadata": {"name": "team"}, "spec": {"group": "tools"}}
        )
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch(store, FakeClock(), tables.swap))
            assert await tables.latest() == []
            await store.put(virtual)
            await tables.latest()
            assert tables.seen[-1].virtuals[0].judgement.reason == "GroupNotFound"
            await store.put(group)
            await tables.latest()
            assert tables.seen[-1].virtuals[0].judgement.phase == "Ready"
            await store.delete(virtual.ref)
            await tables.latest()
            assert tables.seen[-1].virtuals == ()
            watching.cancel()

    run(story())


def test_a_version_that_is_too_old_is_answered_by_listing_again(run: Any) -> None:
    async def story() -> None:
        store, tables = Unreliable(Conflict("Expired", "too old"), 3), Tables()
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch(store, FakeClock(), tables.swap))
            assert await tables.latest() == []
            assert store.lists == 4
            watching.cancel()

    run(story())


def test_a_store_that_fails_is_asked_again_after_a_pause(run: Any) -> None:
    async def story() -> None:
        clock, tables = FakeClock(), Tables()
        store = Unreliable(Unavailable("StoreUnavailable", "locked"), 1)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch(store, clock, tables.swap))
            await eventually(lambda: clock.sleepers)
            assert tables.seen == []
            await clock.advance(PAUSE)
            assert await tables.latest() == []
            watching.cancel()

    run(story())


def test_a_store_that_goes_on_failing_is_asked_less_often(run: Any) -> None:
    async def story() -> None:
        clock, tables = FakeClock(), Tables()
        store = Unreliable(Unavailable("StoreUnavailable", "locked"), 6)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch(store, clock, tables.swap))
            for pause in (PAUSE, 2, 4, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE):
                await eventually(lambda: clock.sleepers)
                asked = store.lists
                await clock.advance(pause - 0.1)
                assert store.lists == asked
                await clock.advance(0.1)
            assert await tables.latest() == []
            watching.cancel()

    run(story())
