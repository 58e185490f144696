"""When a keeper counts as alone."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from mooring.keeper.presence import Presence
from mooring.testing.clock import FakeClock

Run = Callable[[Any], Any]


def watched(story: Callable[[FakeClock, Presence, asyncio.Task[None]], Awaitable[None]]) -> Any:
    """Runs a story while somebody waits for 300 s alone."""

    async def whole() -> None:
        clock = FakeClock()
        presence = Presence(clock)
        async with asyncio.TaskGroup() as tasks:
            alone = tasks.create_task(presence.alone(300))
            await clock.advance(0)
            await asyncio.wait([alone], timeout=0.001)
            await story(clock, presence, alone)
            alone.cancel()

    return whole()


def test_nobody_ever_came(run: Run) -> None:
    async def story(clock: FakeClock, presence: Presence, alone: asyncio.Task[None]) -> None:
        await clock.advance(299)
        assert not alone.done()
        await clock.advance(1)
        assert alone.done()

    run(watched(story))


def test_each_visit_begins_the_wait_again(run: Run) -> None:
    async def story(clock: FakeClock, presence: Presence, alone: asyncio.Task[None]) -> None:
        for _ in range(5):
            await clock.advance(250)
            with presence.here():
                pass
        await clock.advance(299)
        assert not alone.done()
        await clock.advance(1)
        assert alone.done()

    run(watched(story))


def test_whoever_stays_is_here_all_the_time(run: Run) -> None:
    async def story(clock: FakeClock, presence: Presence, alone: asyncio.Task[None]) -> None:
        with presence.here():
            await clock.advance(1000)
            with presence.here():
                await clock.advance(1000)
            await clock.advance(1000)
        assert not alone.done()
        await clock.advance(299)
        assert not alone.done()
        await clock.advance(1)
        assert alone.done()

    run(watched(story))


def test_a_visit_that_fails_is_over_too(run: Run) -> None:
    async def story(clock: FakeClock, presence: Presence, alone: asyncio.Task[None]) -> None:
        try:
            with presence.here():
                raise ValueError
        except ValueError:
            pass
        await clock.advance(300)
        assert alone.done()

    run(watched(story))
