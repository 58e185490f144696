"""Session records in memory: what its contract leaves open."""

import asyncio
from typing import Any

import pytest

from mooring.core.session_record import Gap, Moved, Until
from mooring.errors import Unavailable
from mooring.stores.sessions_memory import Listeners, MemorySessions, first_revision
from mooring.testing.clock import FakeClock

UNTIL = Until(100.0, 1000.0)


def test_a_listener_that_falls_behind_is_told_of_a_gap(run: Any) -> None:
    async def test() -> None:
        listeners = Listeners(backlog=3)
        feed = listeners.listen()
        assert await anext(feed) == Gap()
        for number in range(5):
            listeners.tell(Moved(b"k", number, False))
        assert await anext(feed) == Gap()
        listeners.tell(Moved(b"k", 5, False))
        assert await anext(feed) == Moved(b"k", 5, False)

    run(test())


def test_a_listener_in_time_hears_everything(run: Any) -> None:
    async def test() -> None:
        listeners = Listeners(backlog=3)
        feed = listeners.listen()
        assert await anext(feed) == Gap()
        for number in range(10):
            listeners.tell(Moved(b"k", number, False))
            assert await anext(feed) == Moved(b"k", number, False)

    run(test())


def test_who_listens_hears_that_the_store_was_closed(run: Any) -> None:
    async def test() -> None:
        store = MemorySessions(FakeClock())
        feed = store.changes()
        assert await anext(feed) == Gap()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(store.close())
            with pytest.raises(Unavailable, match="closed"):
                await anext(feed)
        await store.close()

    run(test())


def test_a_lease_is_held_by_the_clock(run: Any) -> None:
    async def test() -> None:
        clock = FakeClock()
        store = MemorySessions(clock)
        assert await store.lease("sweep", "a", 30)
        await clock.advance(29)
        assert not await store.lease("sweep", "b", 30)
        await clock.advance(1)
        assert await store.lease("sweep", "b", 30)

    run(test())


def test_a_record_that_is_put_back_is_another_revision(run: Any) -> None:
    async def test() -> None:
        one, other = MemorySessions(FakeClock()), MemorySessions(FakeClock())
        before = await one.create(b"k", b"v", UNTIL)
        after = await other.create(b"k", b"v", UNTIL)
        assert before.revision != after.revision

    run(test())
    assert len({first_revision() for _ in range(1000)}) == 1000
