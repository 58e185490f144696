"""Which objects are looked at next."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from mooring.controllers.queue import Queue
from mooring.kinds.ref import Ref
from mooring.testing.clock import START, FakeClock

Run = Callable[[Coroutine[Any, Any, None]], None]

A, B = Ref("MCPServer", "default", "a"), Ref("MCPServer", "default", "b")


class Desk:
    """A queue, and the clock that it goes by."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.clock = FakeClock()
        self.queue = Queue(self.clock, tasks)

    async def waiting(self) -> list[Ref]:
        """Everything that can be taken now; all of it is busy then."""
        taken = []
        while not self.queue.idle:
            try:
                async with asyncio.timeout(0.001):
                    taken.append(await self.queue.take())
            except TimeoutError:
                break
        return taken

    async def wait(self, seconds: float) -> None:
        """Alarms are set first, then time passes."""
        await self.clock.advance(0)
        await turns()
        await self.clock.advance(seconds)
        await turns()


async def turns() -> None:
    """Lets everything run that can."""
    loop = asyncio.get_running_loop()
    for _ in range(5):
        turn: asyncio.Future[None] = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    async with asyncio.TaskGroup() as tasks:
        found = Desk(tasks)
        yield found
        for ref in (A, B):
            found.queue._silence(ref)


def test_what_is_asked_for_twice_is_looked_at_once(run: Run) -> None:
    async def story() -> None:
        async with desk() as at:
            for ref in (A, B, A, A):
                at.queue.add(ref)
            assert await at.waiting() == [A, B]

    run(story())


def test_what_is_asked_for_during_a_look_is_looked_at_once_more(run: Run) -> None:
    async def story() -> None:
        async with desk() as at:
            at.queue.add(A)
            await at.queue.take()
            at.queue.add(A)
            at.queue.add(A)
            assert await at.waiting() == []
            at.queue.done(A)
            assert await at.waiting() == [A]
            at.queue.done(A)
            assert at.queue.idle

    run(story())


def test_a_waiting_worker_gets_what_comes(run: Run) -> None:
    async def story() -> None:
        async with desk() as at, asyncio.TaskGroup() as tasks:
            taken = tasks.create_task(at.queue.take())
            await turns()
            assert at.queue.idle
            at.queue.add(A)
            assert await taken == A

    run(story())


def test_an_alarm_brings_it_back(run: Run) -> None:
    async def story() -> None:
        async with desk() as at:
            at.queue.add(A)
            await at.queue.take()
            at.queue.done(A, START + timedelta(seconds=100))
            await at.wait(99)
            assert at.queue.idle
            await at.wait(1)
            assert await at.waiting() == [A]

    run(story())


def test_a_later_look_replaces_the_alarm(run: Run) -> None:
    async def story() -> None:
        async with desk() as at:
            at.queue.add(A)
            await at.queue.take()
            at.queue.done(A, START + timedelta(seconds=10))
            at.queue.add(A)
            await at.queue.take()
            at.queue.done(A, START + timedelta(seconds=50))
            await at.wait(20)
            assert at.queue.idle
            await at.wait(30)
            assert await at.waiting() == [A]

    run(story())


def test_an_alarm_of_the_past_rings_at_once(run: Run) -> None:
    async def story() -> None:
        async with desk() as at:
            at.queue.add(A)
            await at.queue.take()
            at.queue.done(A, START - timedelta(seconds=1))
            await turns()
            assert await at.waiting() == [A]

    run(story())


def test_a_failing_object_is_held_back_longer_every_time(run: Run) -> None:
    async def story() -> None:
        async with desk() as at:
            at.queue.add(A)
            delays = []
            for _ in range(7):
                assert await at.waiting() == [A]
                delays.append(at.queue.failed(A, 0.5))
                await at.wait(delays[-1])
            assert delays == [0.5, 1, 2, 4, 8, 15, 15]

    run(story())


def test_what_happens_to_a_failing_object_waits_with_it(run: Run) -> None:
    async def story() -> None:
        async with desk() as at:
            at.queue.add(A)
            await at.queue.take()
            at.queue.add(A)
            at.queue.failed(A, 0.5)
            at.queue.add(A)
            at.queue.add(B)
            assert await at.waiting() == [B]
            await at.wait(0.5)
            assert await at.waiting() == [A]

    run(story())


def test_success_forgets_failures(run: Run) -> None:
    async def story() -> None:
        async with desk() as at:
            at.queue.add(A)
            await at.queue.take()
            at.queue.failed(A, 0.5)
            await at.wait(0.5)
            assert await at.waiting() == [A]
            at.queue.done(A)
            at.queue.add(A)
            assert await at.waiting() == [A]
            assert at.queue.failed(A, 0.5) == 0.5

    run(story())
