"""Events, as they are written."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mooring.controllers.recorder import Recorder
from mooring.core import events
from mooring.core.events import Happening
from mooring.core.ports import Change
from mooring.errors import Unavailable
from mooring.kinds.event import Event
from mooring.stores.memory import MemoryStore
from mooring.testing.clock import FakeClock
from mooring.testing.stage import server

Run = Callable[[Coroutine[Any, Any, None]], None]

TIME = server("time")
READY = Happening("Ready", "time-0: ready")
EXITED = Happening("Exited", "time-0: exit 1", warning=True)


class Shelf(MemoryStore):
    """A store that can be away, and counts what is written."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.away = False
        self.writes = 0

    async def _commit(self, change: Change) -> None:
        if self.away:
            raise Unavailable("StoreUnavailable", "the disk is full")
        self.writes += 1
        await super()._commit(change)


class Diary:
    """A recorder at work."""

    def __init__(self, clock: FakeClock, store: Shelf) -> None:
        self.clock = clock
        self.store = store
        self.recorder = Recorder(store, clock)

    def happen(self, *happenings: Happening) -> None:
        self.recorder.record(TIME, happenings)

    async def wait(self, seconds: float = 0) -> None:
        while True:
            await turns()
            if seconds <= 0:
                return
            await self.clock.advance(min(300, seconds))
            seconds -= 300

    async def told(self) -> dict[str, int]:
        """What is stored, and how often each happened."""
        listing = await self.store.list("Event")
        return {e.message: e.count for e in listing.items if isinstance(e, Event)}


async def turns() -> None:
    """Lets everything run that can."""
    loop = asyncio.get_running_loop()
    for _ in range(50):
        turn: asyncio.Future[None] = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


@asynccontextmanager
async def diary(before: Diary | None = None) -> AsyncIterator[Diary]:
    """A recorder from its start to its end; `before` is the one that wrote until then."""
    clock = before.clock if before else FakeClock()
    found = Diary(clock, before.store if before else Shelf(clock))
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(found.recorder.run())
        await turns()
        yield found
        work.cancel()


def test_what_is_new_is_written_at_once(run: Run) -> None:
    async def story() -> None:
        async with diary() as at:
            at.happen(READY, EXITED)
            assert not at.recorder.idle
            await at.wait()
            assert at.recorder.idle
            assert await at.told() == {"time-0: ready": 1, "time-0: exit 1": 1}

    run(story())


def test_repeats_are_counted_and_written_every_five_minutes(run: Run) -> None:
    async def story() -> None:
        async with diary() as at:
            for _ in range(10):
                at.happen(EXITED)
                await at.wait(27)
            assert await at.told() == {"time-0: exit 1": 1}
            await at.wait(90)
            assert await at.told() == {"time-0: exit 1": 10}
            assert at.store.writes == 2
            await at.wait(3600)
            assert at.store.writes == 2

    run(story())


def test_a_repeat_after_a_while_is_written_at_once(run: Run) -> None:
    async def story() -> None:
        async with diary() as at:
            at.happen(EXITED)
            await at.wait(400)
            at.happen(EXITED)
            await at.wait()
            assert await at.told() == {"time-0: exit 1": 2}
            stored = (await at.store.list("Event")).items[0]
            assert isinstance(stored, Event)
            assert stored.first_timestamp is not None
            assert stored.last_timestamp == at.clock.now()

    run(story())


def test_counts_go_on_after_a_restart(run: Run) -> None:
    async def story() -> None:
        async with diary() as at:
            for _ in range(3):
                at.happen(EXITED)
        assert await at.told() == {"time-0: exit 1": 3}
        async with diary(at) as again:
            await again.wait(300)
            again.happen(EXITED)
            await again.wait()
            assert await again.told() == {"time-0: exit 1": 4}

    run(story())


def test_what_happened_before_the_stored_ones_were_read_is_added(run: Run) -> None:
    async def story() -> None:
        async with diary() as at:
            at.happen(EXITED)
        second = Diary(at.clock, at.store)
        second.happen(EXITED)
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(second.recorder.run())
            await second.wait()
            work.cancel()
        assert await second.told() == {"time-0: exit 1": 2}

    run(story())


def test_repeats_push_nothing_out_and_the_newest_are_kept(run: Run) -> None:
    async def story() -> None:
        async with diary() as at:
            at.happen(READY)
            await at.wait(1)
            for _ in range(events.KEPT * 2):
                at.happen(EXITED)
            await at.wait(1)
            assert (await at.told()).keys() == {"time-0: ready", "time-0: exit 1"}
            for number in range(events.KEPT):
                at.happen(Happening("Exited", f"exit {number}"))
                await at.wait(1)
            told = await at.told()
            lately = {f"exit {number}" for number in range(2, events.KEPT)}
            assert told.keys() == {"time-0: ready", "time-0: exit 1"} | lately

    run(story())


def test_old_events_are_dropped(run: Run) -> None:
    async def story() -> None:
        async with diary() as at:
            at.happen(READY)
            await at.wait(23 * 3600)
            assert await at.told() == {"time-0: ready": 1}
            await at.wait(2 * 3600)
            assert await at.told() == {}
            at.happen(READY)
            await at.wait()
            assert await at.told() == {"time-0: ready": 1}

    run(story())


def test_events_of_many_that_are_gone_do_not_pile_up(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "TOTAL", 30)

    async def story() -> None:
        async with diary() as at:
            for number in range(60):
                gone = server(f"gone-{number}")
                meta = gone.metadata.model_copy(update={"uid": f"uid-{number}"})
                at.recorder.record(gone.model_copy(update={"metadata": meta}), [READY])
                await at.wait(1)
            await at.wait(120)
            assert len((await at.store.list("Event")).items) == 30

    run(story())


def test_a_store_that_is_away_loses_nothing(run: Run) -> None:
    async def story() -> None:
        async with diary() as at:
            at.store.away = True
            at.happen(READY, EXITED)
            await at.wait(30)
            assert await at.told() == {}
            at.store.away = False
            await at.wait(30)
            assert await at.told() == {"time-0: ready": 1, "time-0: exit 1": 1}

    run(story())


def test_an_event_that_somebody_removed_or_changed_is_written_again(run: Run) -> None:
    async def story() -> None:
        async with diary() as at:
            at.happen(READY, EXITED)
            await at.wait()
            removed, changed = (await at.store.list("Event")).items
            await at.store.delete(removed.ref)
            labels = changed.metadata.model_copy(update={"labels": {"a": "b"}})
            await at.store.put(changed.model_copy(update={"metadata": labels}))
            await at.wait(400)
            at.happen(READY, EXITED)
            await at.wait()
            assert await at.told() == {"time-0: ready": 2, "time-0: exit 1": 2}

    run(story())


def test_the_end_does_not_wait_for_a_store_that_is_away(run: Run) -> None:
    async def story() -> None:
        async with diary() as at:
            at.store.away = True
            at.happen(READY)

    run(story())
