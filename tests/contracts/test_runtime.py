"""What every runtime does."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.keeping import short_directory
from support.runtimes import (
    OTHER,
    REF,
    Staged,
    StagedFake,
    StagedRemote,
    processes,
    processes_here,
    running,
    start,
    stop,
    until,
)

from mooring.core.address import parse
from mooring.core.workload import Observed

Run = Callable[[Coroutine[Any, Any, None]], None]
Story = Callable[[Staged], Coroutine[Any, Any, None]]
OnStage = Callable[[Story], None]
REAL = pytest.param("processes", marks=pytest.mark.process)


@asynccontextmanager
async def open_stage(sort: str, root: Path) -> AsyncIterator[Staged]:
    if sort == "fake":
        yield StagedFake()
    elif sort == "remote":
        yield StagedRemote()
    else:
        async with (processes if sort == "processes" else processes_here)(root) as staged:
            yield staged


def staged_by(request: pytest.FixtureRequest, run: Run) -> OnStage:
    async def opened(story: Story, root: Path) -> None:
        async with open_stage(request.param, root) as staged:
            await story(staged)

    def play(story: Story) -> None:
        with short_directory() as root:
            run(opened(story, root))

    return play


@pytest.fixture(params=["fake", "remote", "here", REAL])
def on_any(request: pytest.FixtureRequest, run: Run) -> OnStage:
    """Runs a story on every runtime."""
    return staged_by(request, run)


@pytest.fixture(params=["fake", "here", REAL])
def on_local(request: pytest.FixtureRequest, run: Run) -> OnStage:
    """Runs a story on every runtime whose instances can end."""
    return staged_by(request, run)


def gone(seen: tuple[Observed, ...]) -> bool:
    return seen == ()


def test_an_empty_runtime_runs_nothing(on_any: OnStage) -> None:
    async def story(staged: Staged) -> None:
        assert await staged.runtime.observe(REF) == ()
        assert await staged.runtime.owners() == ()

    on_any(story)


def test_a_started_instance_runs_at_an_address(on_any: OnStage) -> None:
    async def story(staged: Staged) -> None:
        seen = await running(staged.runtime, start(**staged.stays))
        assert (seen.name, seen.checksum) == ("a-0", "c1")
        assert seen.uid
        assert parse(seen.address)

    on_any(story)


def test_a_start_repeated_changes_nothing(on_any: OnStage) -> None:
    async def story(staged: Staged) -> None:
        before = await running(staged.runtime, start(**staged.stays))
        await staged.runtime.perform(start(**staged.stays))
        assert await staged.runtime.observe(REF) == (before,)

    on_any(story)


def test_instances_are_seen_by_server_and_sorted(on_any: OnStage) -> None:
    async def story(staged: Staged) -> None:
        for number in (2, 0, 1):
            await running(staged.runtime, start(number=number, **staged.stays))
        await running(staged.runtime, start(OTHER, **staged.stays))
        seen = await staged.runtime.observe(REF)
        assert [one.name for one in seen] == ["a-0", "a-1", "a-2"]
        assert len({one.uid for one in seen}) == 3
        assert [one.name for one in await staged.runtime.observe(OTHER)] == ["b-0"]
        assert await staged.runtime.owners() == (REF, OTHER)

    on_any(story)


def test_a_stopped_instance_goes(on_any: OnStage) -> None:
    async def story(staged: Staged) -> None:
        keeps = await running(staged.runtime, start(number=0, **staged.stays))
        goes = await running(staged.runtime, start(number=1, **staged.stays))
        await staged.runtime.perform(stop(REF, goes))
        await until(staged.runtime, REF, lambda seen: len(seen) == 1)
        assert await staged.runtime.observe(REF) == (keeps,)

    on_any(story)


def test_a_stop_repeated_or_meant_for_another_start_changes_nothing(on_any: OnStage) -> None:
    async def story(staged: Staged) -> None:
        seen = await running(staged.runtime, start(**staged.stays))
        await staged.runtime.perform(stop(REF, replace(seen, uid="another")))
        await staged.runtime.perform(stop(REF, replace(seen, name="a-9", uid="another")))
        assert await staged.runtime.observe(REF) == (seen,)
        await staged.runtime.perform(stop(REF, seen))
        await staged.runtime.perform(stop(REF, seen))
        await until(staged.runtime, REF, gone)
        await staged.runtime.perform(stop(REF, seen))
        assert await staged.runtime.owners() == ()

    on_any(story)


def test_changes_tell_who_has_to_be_looked_at(on_any: OnStage) -> None:
    async def story(staged: Staged) -> None:
        seen = await running(staged.runtime, start(**staged.stays))
        await running(staged.runtime, start(OTHER, **staged.stays))
        await staged.runtime.perform(stop(REF, seen))
        await until(staged.runtime, REF, gone)

    on_any(story)


def test_every_start_has_a_uid_of_its_own(on_local: OnStage) -> None:
    async def story(staged: Staged) -> None:
        first = await running(staged.runtime, start(**staged.stays))
        await staged.runtime.perform(stop(REF, first))
        await until(staged.runtime, REF, gone)
        second = await running(staged.runtime, start(**staged.stays))
        assert first.uid != second.uid

    on_local(story)


def test_an_instance_that_ended_is_seen_until_it_is_started_again(on_local: OnStage) -> None:
    async def story(staged: Staged) -> None:
        first = await running(staged.runtime, start(**staged.stays))
        await staged.end(REF, "a-0")
        (ended,) = await until(staged.runtime, REF, lambda seen: seen[0].state == "exited")
        assert ended.uid == first.uid
        assert ended.ended is not None
        assert ended.ended.code or ended.ended.signal
        second = await running(staged.runtime, start(**staged.stays))
        assert second.uid != first.uid
        assert await staged.runtime.observe(REF) == (second,)

    on_local(story)


def test_an_instance_that_ended_is_forgotten_when_it_is_stopped(on_local: OnStage) -> None:
    async def story(staged: Staged) -> None:
        await running(staged.runtime, start(**staged.stays))
        await staged.end(REF, "a-0")
        (ended,) = await until(staged.runtime, REF, lambda seen: seen[0].state == "exited")
        await staged.runtime.perform(stop(REF, ended))
        await until(staged.runtime, REF, gone)

    on_local(story)


@pytest.fixture(params=["fake", REAL])
def on_failing(request: pytest.FixtureRequest, run: Run) -> OnStage:
    """Runs a story on every runtime whose starts can fail."""
    return staged_by(request, run)


def test_a_start_that_fails_says_why(on_failing: OnStage) -> None:
    async def story(staged: Staged) -> None:
        await staged.runtime.perform(start(source=staged.failing(REF)))
        (seen,) = await until(staged.runtime, REF, lambda seen: seen[0].state == "failed")
        assert seen.reason
        assert "command not found" in seen.message
        await staged.runtime.perform(start(source=staged.failing(REF)))
        (again,) = await until(staged.runtime, REF, lambda seen: seen[0].state == "failed")
        assert again.uid != seen.uid
        await staged.runtime.perform(stop(REF, again))
        await until(staged.runtime, REF, gone)

    on_failing(story)
