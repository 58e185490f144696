"""What no server needs any more is removed, a few times a day."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from mooring.controllers.spent import FIRST, PAUSE, Spent
from mooring.core.packages import Package
from mooring.core.ports import Listing
from mooring.errors import Unavailable
from mooring.kinds.ref import Ref
from mooring.kinds.server import Resolved
from mooring.stores.memory import MemoryStore
from mooring.testing.clock import FakeClock
from mooring.testing.stage import server

Run = Callable[[Coroutine[Any, Any, None]], None]


class Room:
    """Notes what it is to keep."""

    def __init__(self) -> None:
        self.asked: list[tuple[set[Package], set[Ref]]] = []

    async def sweep(self, wanted: Collection[Package], servers: Collection[Ref]) -> int:
        self.asked.append((set(wanted), set(servers)))
        return 0


async def turn() -> None:
    """Lets everything run that can."""
    loop = asyncio.get_running_loop()
    for _ in range(10):
        done: asyncio.Future[None] = loop.create_future()
        loop.call_soon(done.set_result, None)
        await done


class Away(MemoryStore):
    """A store that cannot be read."""

    async def list(self, kind: str, namespace: str | None = None) -> Listing:
        raise Unavailable("StoreUnavailable", "away")


def test_everything_that_a_server_refers_to_is_kept(run: Run) -> None:
    async def test() -> None:
        clock, room = FakeClock(), Room()
        store = MemoryStore(clock)
        stored = await store.put(server("time", source={"pypi": "time"}))
        resolved = Resolved(package="time", version="1.0")
        status = stored.status.model_copy(update={"resolved": resolved})
        await store.report(stored.model_copy(update={"status": status}))
        await store.put(server("plain"))
        await Spent(store, room, clock).sweep()
        ((wanted, servers),) = room.asked
        assert wanted == {Package("pypi", "time", version="1.0")}
        assert {ref.name for ref in servers} == {"time", "plain"}

    run(test())


def test_where_servers_cannot_be_told_nothing_is_removed(run: Run) -> None:
    async def test() -> None:
        clock, room = FakeClock(), Room()
        await Spent(Away(clock), room, clock).sweep()
        assert room.asked == []

    run(test())


def test_it_sweeps_after_a_while_and_then_now_and_again(run: Run) -> None:
    async def test() -> None:
        clock, room = FakeClock(), Room()
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(Spent(MemoryStore(clock), room, clock).run())
            counts = []
            for seconds in (0.0, FIRST - 1, 1, PAUSE - 1, 1, PAUSE):
                await clock.advance(seconds)
                await turn()
                counts.append(len(room.asked))
            work.cancel()
        assert counts == [0, 0, 1, 1, 2, 3]

    run(test())
