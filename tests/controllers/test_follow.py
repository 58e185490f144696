"""Staying up to date with all objects of one kind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from mooring.controllers.follow import Listener, follow
from mooring.core.ports import Change, Listing
from mooring.errors import Unavailable
from mooring.kinds.base import Object
from mooring.stores.memory import MemoryStore
from mooring.testing.clock import FakeClock
from mooring.testing.stage import server

Run = Callable[[Coroutine[Any, Any, None]], None]


class Shaky(MemoryStore):
    """A store that can be away, and remembers little."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, history=3)
        self.away = False
        self.lists = 0

    async def list(self, kind: str, namespace: str | None = None) -> Listing:
        self.lists += 1
        if self.away:
            raise Unavailable("StoreUnavailable", "the disk is full")
        return await super().list(kind, namespace)


class Ear:
    """What is heard of servers."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = Shaky(self.clock)
        self.listed: list[list[str]] = []
        self.changed: list[tuple[str, str]] = []

    async def follow(self) -> None:
        listener = Listener(self._list, self._change)
        await follow(self.store, "MCPServer", listener, self.clock, lambda: 0.5)

    async def wait(self, seconds: float = 0) -> None:
        await turns()
        await self.clock.advance(seconds)
        await turns()

    def _list(self, items: tuple[Object, ...]) -> None:
        self.listed.append([item.metadata.name for item in items])

    def _change(self, change: Change) -> None:
        self.changed.append((change.type, change.object.metadata.name))


async def turns() -> None:
    """Lets everything run that can."""
    loop = asyncio.get_running_loop()
    for _ in range(20):
        turn: asyncio.Future[None] = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


@asynccontextmanager
async def listening(ear: Ear) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(ear.follow())
        await turns()
        yield
        work.cancel()


def test_first_all_there_is_and_then_every_change(run: Run) -> None:
    async def story() -> None:
        ear = Ear()
        await ear.store.put(server("a"))
        async with listening(ear):
            await ear.store.put(server("b"))
            await ear.store.delete(server("a").ref)
            await ear.wait()
            assert ear.listed == [["a"]]
            assert ear.changed == [("ADDED", "b"), ("DELETED", "a")]

    run(story())


def test_a_store_that_is_away_is_asked_again_until_it_is_back(run: Run) -> None:
    async def story() -> None:
        ear = Ear()
        ear.store.away = True
        await ear.store.put(server("a"))
        async with listening(ear):
            for _ in range(60):
                await ear.wait(1)
            assert 5 <= ear.store.lists <= 10
            ear.store.away = False
            await ear.wait(20)
            assert ear.listed == [["a"]]

    run(story())


def test_whoever_fell_behind_begins_again(run: Run) -> None:
    async def story() -> None:
        ear = Ear()
        async with listening(ear):
            for name in "abcdefgh":
                await ear.store.put(server(name))
            await ear.wait(1)
            assert ear.listed == [[], list("abcdefgh")]
            await ear.store.put(server("i"))
            await ear.wait()
            assert ear.changed[-1] == ("ADDED", "i")

    run(story())
