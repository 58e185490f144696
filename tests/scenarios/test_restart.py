"""Mooring ends and comes back: what runs is adopted, what was counted goes on."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from mooring.core.load import Load
from mooring.kinds.server import ServerStatus
from mooring.testing.stage import Stage, ref

Run = Callable[[Coroutine[Any, Any, None]], None]


def test_what_runs_is_adopted_and_not_bothered(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", replicas=3)
        before = await stage.find("time")
        actions, asked = len(stage.runtime.performed), len(stage.greetings.asked)
        async with stage.at_work():
            await stage.settle()
            assert len(stage.greetings.asked) == asked
            await stage.wait(120, step=5)
            assert await stage.find("time") == before
            assert len(stage.runtime.performed) == actions
            assert len(stage.greetings.asked) == asked + 3  # each once, to probe it

    run(story())


def test_what_was_not_ready_yet_is_greeted_again(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.greetings.silent.add("time")
        async with stage.at_work():
            await stage.apply("time")
            assert await stage.states("time") == {"time-0": "Starting"}
        stage.greetings.silent.clear()
        async with stage.at_work():
            await stage.settle()
            row = (await stage.rows("time"))["time-0"]
            assert (row.state, row.uid) == ("Ready", "time-0-uid1")

    run(story())


def test_what_ended_meanwhile_is_restarted(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", replicas=2)
        stage.runtime.exit(ref("time"), "time-1", 1, "boom")
        async with stage.at_work():
            await stage.settle()
            row = (await stage.rows("time"))["time-1"]
            assert (row.state, row.restarts) == ("Ready", 1)

    run(story())


def test_after_everything_was_stopped_everything_starts_and_nobody_is_blamed(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", replicas=2)
        for name in ("time-0", "time-1"):
            stage.runtime.ended(ref("time"), name)
        await stage.clock.advance(60)
        async with stage.at_work():
            await stage.settle()
            rows = (await stage.rows("time")).values()
            assert [(r.state, r.restarts, r.crashes) for r in rows] == [("Ready", 0, 0)] * 2

    run(story())


def test_attempts_go_on_counting(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.runtime.behaviour(ref("odd")).failure = "no"
        async with stage.at_work():
            await stage.apply("odd")
            await stage.wait(100)
            before = (await stage.rows("odd"))["odd-0"]
            assert (before.state, before.attempt_count) == ("ERROR", 4)
        async with stage.at_work():
            await stage.settle()
            assert (await stage.rows("odd"))["odd-0"] == before
            await stage.wait(30)
            assert (await stage.rows("odd"))["odd-0"].attempt_count == 5

    run(story())


def test_a_crash_loop_is_no_shorter_for_a_restart(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time")
            for _ in range(5):
                stage.runtime.exit(ref("time"), "time-0")
                await stage.wait(9)
            stage.runtime.exit(ref("time"), "time-0")
            await stage.settle()
            before = (await stage.rows("time"))["time-0"]
            assert before.state == "CrashLoopBackOff"
        async with stage.at_work():
            await stage.wait(15)
            assert (await stage.rows("time"))["time-0"] == before
            await stage.wait(2)
            assert (await stage.rows("time"))["time-0"].state == "Ready"

    run(story())


def test_draining_goes_on(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", replicas=2)
            stage.loads["time-1-uid2"] = Load(sessions=1)
            await stage.apply("time", replicas=1)
            await stage.wait(10)
        async with stage.at_work():
            await stage.wait(15)
            assert await stage.states("time") == {"time-0": "Ready", "time-1": "Draining"}
            await stage.wait(10)
            assert await stage.states("time") == {"time-0": "Ready"}

    run(story())


def test_a_deletion_is_finished(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", replicas=2)
        await stage.store.delete(ref("time"))
        async with stage.at_work():
            await stage.wait(3)
            assert await stage.find("time") is None
            assert await stage.runtime.owners() == ()

    run(story())


def test_a_change_made_meanwhile_is_rolled_out(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time")
        found = await stage.find("time")
        assert found is not None
        spec = found.spec.model_copy(update={"args": ("--new",)})
        await stage.store.put(found.model_copy(update={"spec": spec}))
        async with stage.at_work():
            await stage.wait(3)
            (row,) = (await stage.rows("time")).values()
            assert stage.runtime.started[row.uid].args == ("--new",)

    run(story())


def test_a_changed_variable_of_our_own_environment_is_noticed(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.own["HOME_TOKEN"] = "one"
        env = [{"name": "T", "valueFrom": {"env": "HOME_TOKEN"}}]
        async with stage.at_work():
            await stage.apply("time", env=env)
        async with stage.at_work():
            await stage.settle()
            assert await stage.states("time") == {"time-0": "Ready"}
            assert len(stage.runtime.performed) == 1
        stage.own["HOME_TOKEN"] = "two"
        async with stage.at_work():
            await stage.wait(3)
            (row,) = (await stage.rows("time")).values()
            assert stage.runtime.started[row.uid].env == {"T": "two"}

    run(story())


def test_a_kill_between_a_start_and_its_report_starts_nothing_twice(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time")
        found = await stage.find("time")
        assert found is not None
        await stage.store.report(found.model_copy(update={"status": ServerStatus()}))
        async with stage.at_work():
            await stage.settle()
            row = (await stage.rows("time"))["time-0"]
            assert (row.state, row.uid) == ("Ready", "time-0-uid1")
            assert len(stage.runtime.performed) == 1

    run(story())


def test_a_stranger_among_the_instances_is_ended(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time")
        (seen,) = await stage.runtime.observe(ref("time"))
        stage.runtime._set(ref("time"), replace(seen, name="odd", uid="odd-uid"))
        async with stage.at_work():
            await stage.settle()
            names = [one.name for one in await stage.runtime.observe(ref("time"))]
            assert names == ["time-0"]

    run(story())
