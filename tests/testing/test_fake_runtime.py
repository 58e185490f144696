"""What a test can make of the runtime that it holds in its hands."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mooring.core.actions import Start, Stop
from mooring.core.environment import Resolution
from mooring.core.workload import make
from mooring.errors import Unavailable
from mooring.kinds.server import Resolved
from mooring.testing.clock import FakeClock
from mooring.testing.runtime import FakeRuntime
from mooring.testing.stage import ref, server

Run = Callable[[Coroutine[Any, Any, None]], None]

TIME = ref("time")
WORK = make(server("time"), Resolution({}, {}), None)
START = Start(TIME, "time-0", WORK)


async def states(runtime: FakeRuntime) -> list[tuple[str, str]]:
    return [(one.uid, one.state) for one in await runtime.observe(TIME)]


def test_left_alone_it_starts_and_stops_at_once(run: Run) -> None:
    async def story() -> None:
        runtime = FakeRuntime(FakeClock())
        await runtime.perform(START)
        await runtime.perform(START)
        assert await states(runtime) == [("time-0-uid1", "running")]
        assert await runtime.owners() == (TIME,)
        await runtime.perform(Stop(TIME, "time-0", "another", "x"))
        assert await states(runtime) == [("time-0-uid1", "running")]
        await runtime.perform(Stop(TIME, "time-0", "time-0-uid1", "x"))
        assert (await states(runtime), await runtime.owners()) == ([], ())

    run(story())


def test_what_ended_is_replaced_under_a_new_uid(run: Run) -> None:
    async def story() -> None:
        runtime = FakeRuntime(FakeClock())
        await runtime.perform(START)
        runtime.exit(TIME, "time-0", 3, "boom")
        (seen,) = await runtime.observe(TIME)
        assert seen.ended is not None
        assert (seen.state, seen.ended.code, seen.ended.last_line) == ("exited", 3, "boom")
        await runtime.perform(START)
        assert await states(runtime) == [("time-0-uid2", "running")]

    run(story())


def test_installs_and_endings_take_as_long_as_the_test_says(run: Run) -> None:
    async def story() -> None:
        runtime = FakeRuntime(FakeClock())
        behaviour = runtime.behaviour(TIME)
        behaviour.installs = behaviour.lingers = True
        behaviour.resolved = Resolved(package="p", version="1")
        await runtime.perform(START)
        runtime.progress(TIME, "time-0", "downloading")
        (seen,) = await runtime.observe(TIME)
        assert (seen.state, seen.message, seen.resolved) == ("installing", "downloading", None)
        runtime.installed(TIME, "time-0")
        (seen,) = await runtime.observe(TIME)
        assert (seen.state, seen.resolved) == ("running", behaviour.resolved)
        await runtime.perform(Stop(TIME, "time-0", seen.uid, "x"))
        assert await states(runtime) == [(seen.uid, "stopping")]
        runtime.ended(TIME, "time-0")
        assert await states(runtime) == []

    run(story())


def test_starts_fail_in_the_words_of_the_test(run: Run) -> None:
    async def story() -> None:
        runtime = FakeRuntime(FakeClock())
        behaviour = runtime.behaviour(TIME)
        behaviour.failure, behaviour.permanent = "no such command", True
        await runtime.perform(START)
        (seen,) = await runtime.observe(TIME)
        assert (seen.state, seen.message, seen.reason) == (
            "failed",
            "no such command",
            "CannotStart",
        )
        assert seen.permanent

    run(story())


def test_every_change_is_told(run: Run) -> None:
    async def story() -> None:
        runtime = FakeRuntime(FakeClock())
        changes = runtime.changes()
        await runtime.perform(START)
        assert await anext(changes) == TIME
        runtime.exit(TIME, "time-0")
        assert await anext(changes) == TIME

    run(story())


def test_it_can_be_away(run: Run) -> None:
    async def story() -> None:
        runtime = FakeRuntime(FakeClock())
        runtime.away = True
        for attempt in (runtime.observe(TIME), runtime.owners(), runtime.perform(START)):
            with pytest.raises(Unavailable):
                await attempt

    run(story())
