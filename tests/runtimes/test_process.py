"""Processes, through a keeper on this loop, with stand-ins for pip and children.

What all runtimes do is in the contract, which also runs real processes.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from support.keeper_here import keeper_here
from support.runtimes import (
    REF,
    StagedHere,
    following,
    processes_here,
    running,
    start,
    stop,
    until,
)

from mooring.core.installing import Trouble
from mooring.core.workload import Observed
from mooring.errors import Unavailable
from mooring.kinds.server import Resolved, Source

Run = Callable[[Coroutine[Any, Any, None]], None]
Story = Callable[[StagedHere], Coroutine[Any, Any, None]]
OnStage = Callable[[Story], None]
PACKAGE = {"source": Source(pypi="a"), "transport": "streamable-http"}
HTTP = {"transport": "streamable-http"}


@pytest.fixture
def on_stage(run: Run, short: Path) -> OnStage:
    async def opened(story: Story) -> None:
        async with processes_here(short) as staged:
            await story(staged)

    return lambda story: run(opened(story))


def states(seen: tuple[Observed, ...]) -> list[str]:
    return [one.state for one in seen]


async def slots(staged: StagedHere) -> list[str]:
    return [state.state for state in await staged.client.slots()]


def test_a_package_is_installed_and_then_run(on_stage: OnStage) -> None:
    async def story(staged: StagedHere) -> None:
        staged.tool.gate.clear()
        await staged.runtime.perform(start(**PACKAGE))
        (seen,) = await until(
            staged.runtime, REF, lambda seen: seen[0].message == "installing a 1.0"
        )
        assert seen.state == "installing"
        assert seen.address == ""
        staged.tool.gate.set()
        (after,) = await until(staged.runtime, REF, lambda seen: seen[0].state == "running")
        assert after.uid == seen.uid
        assert after.resolved == Resolved(package="a", version="1.0", hash="sha256:1.0")

    on_stage(story)


def test_what_is_installed_already_runs_at_once(on_stage: OnStage) -> None:
    async def story(staged: StagedHere) -> None:
        first = await running(staged.runtime, start(**PACKAGE))
        await staged.runtime.perform(start(number=1, resolved=first.resolved, **PACKAGE))
        seen = await staged.runtime.observe(REF)
        assert states(seen) == ["running", "running"]
        assert len(staged.tool.began) == 1

    on_stage(story)


def test_instances_of_one_server_wait_for_one_installation(on_stage: OnStage) -> None:
    async def story(staged: StagedHere) -> None:
        staged.tool.gate.clear()
        for number in range(3):
            await staged.runtime.perform(start(number=number, **PACKAGE))
        await until(
            staged.runtime, REF, lambda seen: all(one.message == "installing a 1.0" for one in seen)
        )
        staged.tool.gate.set()
        await until(staged.runtime, REF, lambda seen: states(seen) == ["running"] * 3)
        assert len(staged.tool.began) == 1

    on_stage(story)


def test_a_stop_ends_an_installation(on_stage: OnStage) -> None:
    async def story(staged: StagedHere) -> None:
        staged.tool.gate.clear()
        await staged.runtime.perform(start(**PACKAGE))
        await staged.tool.begun.wait()
        (seen,) = await staged.runtime.observe(REF)
        await staged.runtime.perform(stop(REF, seen))
        assert await staged.runtime.observe(REF) == ()
        while staged.tool.at_work:
            await asyncio.to_thread(lambda: None)
        assert await slots(staged) == []

    on_stage(story)


def test_an_installation_that_fails_is_told_and_can_be_tried_again(on_stage: OnStage) -> None:
    async def story(staged: StagedHere) -> None:
        staged.tool.trouble["1.0"] = Trouble("network", "no route to host")
        await staged.runtime.perform(start(**PACKAGE))
        (failed,) = await until(staged.runtime, REF, lambda seen: seen[0].state == "failed")
        assert (failed.reason, failed.permanent) == ("CannotInstall", False)
        assert "no route to host" in failed.message
        staged.tool.trouble.clear()
        again = await running(staged.runtime, start(**PACKAGE))
        assert again.uid != failed.uid
        assert len(await staged.runtime.observe(REF)) == 1

    on_stage(story)


def test_a_package_that_does_not_exist_is_permanent(on_stage: OnStage) -> None:
    async def story(staged: StagedHere) -> None:
        staged.tool.trouble["1.0"] = Trouble("absent", "No matching distribution found for a")
        await staged.runtime.perform(start(**PACKAGE))
        (failed,) = await until(staged.runtime, REF, lambda seen: seen[0].state == "failed")
        assert (failed.reason, failed.permanent) == ("PackageNotFound", True)

    on_stage(story)


def test_a_source_that_makes_no_sense_fails_at_once(on_stage: OnStage) -> None:
    async def story(staged: StagedHere) -> None:
        await staged.runtime.perform(start(source=Source(pypi="a>=1")))
        (failed,) = await staged.runtime.observe(REF)
        assert (failed.state, failed.reason, failed.permanent) == ("failed", "Invalid", True)
        assert "name one version" in failed.message

    on_stage(story)


def test_a_mistake_of_ours_fails_one_installation_and_no_other(on_stage: OnStage) -> None:
    async def story(staged: StagedHere) -> None:
        staged.tool.trouble["1.0"] = ZeroDivisionError("oops")
        await staged.runtime.perform(start(**PACKAGE))
        (failed,) = await until(staged.runtime, REF, lambda seen: seen[0].state == "failed")
        assert "oops" in failed.message
        await running(staged.runtime, start(number=1, **HTTP))

    on_stage(story)


def test_a_server_sees_the_short_list_and_what_it_declares(on_stage: OnStage) -> None:
    async def story(staged: StagedHere) -> None:
        await running(staged.runtime, start(env={"API_KEY": "k"}, args=("--x",), **HTTP))
        (spec,) = staged.spawner.specs
        assert spec.env == {"PATH": staged.environ["PATH"], "API_KEY": "k"}
        assert spec.argv == ("cat", "--x")
        assert spec.cwd == str(staged.root)
        assert spec.log == str(staged.root / "logs" / "default" / "a-0.log")

    on_stage(story)


def test_a_stop_that_comes_while_the_keeper_is_asked_is_heeded(on_stage: OnStage) -> None:
    async def story(staged: StagedHere) -> None:
        staged.keeper.silent = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(staged.runtime.perform(start(**HTTP)))
            while not any(asked.startswith("PUT") for asked in staged.keeper.asked):
                await asyncio.to_thread(lambda: None)
            (seen,) = await staged.runtime.observe(REF)
            await staged.runtime.perform(stop(REF, seen))
            staged.keeper.silent.set()
        await until(staged.runtime, REF, lambda seen: seen == ())
        assert [made.blows for made in staged.spawner.made] == [["term"]]

    on_stage(story)


def test_a_name_whose_instance_has_not_ended_is_left_alone(on_stage: OnStage) -> None:
    async def story(staged: StagedHere) -> None:
        staged.spawner.obeys("kill")
        seen = await running(staged.runtime, start(**HTTP))
        await staged.runtime.perform(start(checksum="c2", **HTTP))
        await staged.runtime.perform(stop(REF, seen))
        await staged.runtime.perform(start(checksum="c2", **HTTP))
        (still,) = await staged.runtime.observe(REF)
        assert (still.uid, still.state, still.checksum) == (seen.uid, "stopping", "c1")

    on_stage(story)


def test_what_ended_is_replaced_and_the_keeper_forgets_it(on_stage: OnStage) -> None:
    async def story(staged: StagedHere) -> None:
        for _ in range(3):
            await running(staged.runtime, start(**HTTP))
            await staged.end(REF, "a-0")
            await until(staged.runtime, REF, lambda seen: states(seen) == ["exited"])
        await running(staged.runtime, start(**HTTP))
        assert states(await staged.runtime.observe(REF)) == ["running"]
        while await slots(staged) != ["running"]:
            await asyncio.to_thread(lambda: None)

    on_stage(story)


def test_without_a_keeper_nothing_is_started(
    run: Run, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.runtimes.process.PATIENCE", 0.01)

    async def story() -> None:
        async with processes_here(short) as staged:
            await running(staged.runtime, start(**HTTP))
            await staged.kill()
            (seen,) = await until(staged.runtime, REF, lambda seen: states(seen) == ["exited"])
            assert seen.ended is not None
            assert seen.ended.last_line == "the keeper ended"
            assert await staged.runtime.owners() == (REF,)
            with pytest.raises(Unavailable) as caught:
                await staged.runtime.perform(start(**HTTP))
            assert caught.value.reason == "KeeperGone"

    run(story())


def test_a_new_daemon_sees_what_the_keeper_holds_before_it_says_anything(
    run: Run, short: Path
) -> None:
    async def story() -> None:
        async with processes_here(short) as first:
            before = await running(first.runtime, start(**HTTP))
            second = StagedHere(short, first.pool)
            async with following(second):
                assert await second.runtime.observe(REF) == (before,)
                await second.runtime.perform(start(**HTTP))
                assert await second.runtime.observe(REF) == (before,)
            assert len(first.spawner.made) == 1

    run(story())


def test_before_the_keeper_was_ever_reached_nothing_is_claimed(
    run: Run, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.runtimes.process.PATIENCE", 0.01)

    async def story() -> None:
        async with processes_here(short) as other:
            lost = StagedHere(short / "elsewhere", other.pool)
            with pytest.raises(Unavailable):
                await lost.runtime.observe(REF)
            with pytest.raises(Unavailable):
                await lost.runtime.owners()

    run(story())


def test_a_keeper_that_comes_back_empty_is_filled_again(run: Run, short: Path) -> None:
    async def story() -> None:
        async with processes_here(short) as staged:
            before = await running(staged.runtime, start(**HTTP))
            staged.there = asyncio.Event()
            await staged.kill()
            await until(staged.runtime, REF, lambda seen: states(seen) == ["exited"])
            async with keeper_here(staged.root / "k.sock"):
                staged.there.set()
                after = await running(staged.runtime, start(**HTTP))
                assert after.uid != before.uid

    run(story())
