"""Rollouts: a change takes the place of what served before, or leaves it where it is."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mooring.core.actions import Start
from mooring.core.revisions import as_it_was
from mooring.core.workload import RESTARTED, Workload
from mooring.kinds.base import Condition
from mooring.kinds.server import Resolved
from mooring.testing.stage import Stage, ref

Run = Callable[[Coroutine[Any, Any, None]], None]

TOKEN = [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "creds", "key": "token"}}}]
BROKEN = "no such option: --broken"


def broken(workload: Workload) -> str:
    return BROKEN if "--broken" in workload.args else ""


async def progressing(stage: Stage, name: str = "time") -> Condition:
    return next(c for c in (await stage.status(name)).conditions if c.type == "Progressing")


async def told(stage: Stage, name: str = "time") -> dict[str, str]:
    return {event.reason: event.message for event in await stage.events(name)}


async def args(stage: Stage, name: str = "time") -> list[tuple[str, ...]]:
    """What the instances that run were started with."""
    rows = (await stage.status(name)).instances
    return sorted(stage.runtime.started[row.uid].args for row in rows if row.state == "Ready")


async def uids(stage: Stage, name: str = "time") -> set[str]:
    return {row.uid for row in (await stage.status(name)).instances}


async def serving(stage: Stage) -> int:
    return sum(row.state == "Ready" for row in (await stage.status("time")).instances)


def test_a_change_replaces_one_instance_after_the_other(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        behaviour = stage.runtime.behaviour(ref("time"))
        async with stage.at_work():
            await stage.apply("time", replicas=3)
            behaviour.installs = True
            await stage.apply("time", replicas=3, args=["-v"])
            for done in range(3):
                await stage.wait(100)
                states = await stage.states("time")
                assert sorted(states.values()) == ["Installing", "Ready", "Ready", "Ready"]
                assert (await args(stage)).count(("-v",)) == done
                assert (await progressing(stage)).message == f"revision 2: {done} of 3 updated"
                (fresh,) = [name for name, state in states.items() if state == "Installing"]
                stage.runtime.installed(ref("time"), fresh)
            await stage.wait(2)
            assert await args(stage) == [("-v",)] * 3
            assert (await progressing(stage)).reason == "RolloutComplete"
            events = await told(stage)
            assert events["RolloutStarted"] == "revision 2: instances are replaced one by one"
            assert events["RolloutComplete"] == "revision 2 is rolled out"
            assert "it is replaced by a new one" in events["Draining"]

    run(story())


def test_a_broken_change_stalls_and_what_served_goes_on(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        behaviour = stage.runtime.behaviour(ref("time"))
        async with stage.at_work():
            await stage.apply("time", replicas=2)
            before = await uids(stage)
            behaviour.breaks = broken
            await stage.apply("time", replicas=2, args=["--broken"], progressDeadlineSeconds=100)
            await stage.wait(99)
            assert (await progressing(stage)).reason == "RolloutInProgress"
            await stage.wait(2)
            found = await progressing(stage)
            assert (found.status, found.reason) == ("False", "ProgressDeadlineExceeded")
            assert BROKEN in found.message
            assert (await told(stage))["ProgressDeadlineExceeded"] == (
                "revision 2 made no step within 100 s; the instances before it go on serving"
            )
            await stage.wait(2000, step=5)
            assert before < await uids(stage)
            assert await args(stage) == [(), ()]
            spec = (await stage.find("time")).spec  # type: ignore[union-attr]  # it is there
            assert spec.args == ("--broken",)

            behaviour.breaks = lambda workload: ""
            await stage.wait(310, step=5)
            assert (await progressing(stage)).reason == "RolloutComplete"
            assert await args(stage) == [("--broken",)] * 2

    run(story())


@pytest.mark.parametrize("lost", [False, True])
def test_what_served_before_a_broken_change_comes_back_as_it_was(run: Run, lost: bool) -> None:
    async def story() -> None:
        stage = Stage()
        stage.runtime.behaviour(ref("time")).breaks = broken
        async with stage.at_work():
            await stage.secret("creds", token="one")
            await stage.apply("time", replicas=2, env=TOKEN)
            await stage.apply("time", replicas=2, env=TOKEN, args=["--broken"])
            await stage.wait(60)
            for _ in range(3):
                for name in ("time-0", "time-1"):
                    if lost:
                        stage.runtime.ended(ref("time"), name)
                    else:
                        stage.runtime.exit(ref("time"), name)
                await stage.wait(10)
            assert await stage.states("time") == {
                "time-0": "Ready", "time-1": "Ready", "time-2": "ERROR",
            }  # fmt: skip
            assert await args(stage) == [(), ()]
            await stage.apply("time", replicas=2, env=TOKEN, args=["-v"])
            await stage.wait(10)
            assert await args(stage) == [("-v",), ("-v",)]

    run(story())


def test_all_that_served_comes_back_with_mooring(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.runtime.behaviour(ref("time")).breaks = broken
        async with stage.at_work():
            await stage.apply("time")
            await stage.apply("time", args=["--broken"])
            await stage.wait(5)
        for name in ("time-0", "time-1"):
            stage.runtime.ended(ref("time"), name)
        await stage.clock.advance(60)
        async with stage.at_work():
            await stage.wait(10)
            assert await stage.states("time") == {"time-0": "Ready", "time-1": "ERROR"}
            assert await args(stage) == [()]

    run(story())


def test_one_that_exits_once_the_change_is_proven_comes_back_as_the_new_one(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        behaviour = stage.runtime.behaviour(ref("time"))
        async with stage.at_work():
            await stage.apply("time", replicas=3)
            behaviour.installs = True
            await stage.apply("time", replicas=3, args=["-v"])
            stage.runtime.installed(ref("time"), "time-3")
            await stage.wait(5)
            behaviour.installs = False
            stage.runtime.exit(ref("time"), "time-0")
            await stage.settle()
            row = (await stage.rows("time"))["time-0"]
            assert (row.state, row.restarts) == ("Ready", 1)
            assert stage.runtime.started[row.uid].args == ("-v",)

    run(story())


def test_a_restart_replaces_every_instance_and_resolves_anew(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        behaviour = stage.runtime.behaviour(ref("time"))
        behaviour.resolved = Resolved(package="time", version="1.0")
        async with stage.at_work():
            await stage.apply("time", source={"pypi": "time"}, replicas=2)
            before = await uids(stage)
            behaviour.resolved = Resolved(package="time", version="2.0")
            await stage.annotate("time", **{RESTARTED: "2026-01-01T00:00:00Z"})
            await stage.wait(10)
            assert not before & await uids(stage)
            status = await stage.status("time")
            assert status.resolved is not None
            assert status.resolved.version == "2.0"
            starts = [a.workload for a in stage.runtime.performed if isinstance(a, Start)]
            assert [work.resolved and work.resolved.version for work in starts[2:]] == [None, "2.0"]
            words = "restart of revision 1: instances are replaced one by one"
            assert (await told(stage))["RolloutStarted"] == words
            assert [revision.number for revision in status.revisions] == [1]

            after = await uids(stage)
            await stage.annotate("time")
            await stage.apply("time", source={"pypi": "time"}, replicas=3)
            await stage.wait(10)
            assert after < await uids(stage)

    run(story())


def test_a_restart_makes_a_waiting_instance_due(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        behaviour = stage.runtime.behaviour(ref("odd"))
        behaviour.failure = "no"
        async with stage.at_work():
            await stage.apply("odd")
            await stage.wait(1)
            behaviour.failure = ""
            await stage.annotate("odd", **{RESTARTED: "now"})
            assert await stage.states("odd") == {"odd-0": "Ready"}

    run(story())


def test_a_restart_ends_a_crash_loop(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time")
            for pause in (2, 2, 0):
                stage.runtime.exit(ref("time"), "time-0")
                await stage.wait(pause)
            assert await stage.states("time") == {"time-0": "CrashLoopBackOff"}
            await stage.annotate("time", **{RESTARTED: "now"})
            (row,) = (await stage.rows("time")).values()
            assert (row.state, row.crashes) == ("Ready", 0)

    run(story())


def test_a_failed_restart_leaves_what_served_and_it_comes_back_too(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        behaviour = stage.runtime.behaviour(ref("time"))
        behaviour.resolved = Resolved(package="time", version="1.0")
        async with stage.at_work():
            await stage.apply("time", source={"pypi": "time"})
            behaviour.breaks = lambda work: "" if work.resolved else "2.0 is broken"
            await stage.annotate("time", **{RESTARTED: "now"})
            await stage.wait(60)
            stage.runtime.exit(ref("time"), "time-0")
            await stage.wait(5)
            rows = await stage.rows("time")
            assert (rows["time-0"].state, rows["time-1"].state) == ("Ready", "ERROR")
            work = stage.runtime.started[rows["time-0"].uid]
            assert work.resolved is not None
            assert work.resolved.version == "1.0"

    run(story())


def test_going_back_is_a_change_like_any_other(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", args=["-a"])
            await stage.apply("time", args=["-b"], replicas=2)
            await stage.wait(10)
            found = await stage.find("time")
            assert found is not None
            old = as_it_was(found, found.status.revisions[0])
            assert old is not None
            await stage.store.put(found.model_copy(update={"spec": old.spec}))
            await stage.wait(10)
            assert await args(stage) == [("-a",), ("-a",)]
            assert [r.number for r in (await stage.status("time")).revisions] == [2, 3]

    run(story())


def test_what_no_instance_sees_restarts_nothing_and_is_no_rollout(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        env = [{"name": name, "value": name} for name in "abc"]
        async with stage.at_work():
            await stage.apply("time", replicas=2, env=env)
            before, rollout = await uids(stage), (await stage.status("time")).rollout
            await stage.apply("time", replicas=3, env=env[::-1])
            await stage.annotate("time", note="x")
            await stage.apply("time", replicas=3, env=env, drainSeconds=5)
            await stage.wait(5)
            status = await stage.status("time")
            assert before < await uids(stage)
            assert status.rollout is not None
            assert rollout is not None
            assert status.rollout.began_at == rollout.began_at
            assert (await progressing(stage)).reason == "RolloutComplete"

    run(story())


def test_a_changed_secret_replaces_instances_one_by_one(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.secret("creds", token="one")
            await stage.apply("time", replicas=2, env=TOKEN)
            await stage.secret("creds", token="two")
            for _ in range(40):
                await stage.wait(0.25)
                assert await serving(stage) >= 2
            started = stage.runtime.started
            assert [started[uid].env for uid in await uids(stage)] == [{"T": "two"}] * 2
            assert (await told(stage))["RolloutStarted"] == (
                "revision 1 with changed secrets or variables: instances are replaced one by one"
            )

    run(story())


def test_a_new_instance_that_is_not_well_replaces_nobody(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", replicas=2)
            before = await uids(stage)
            stage.greetings.rejecting["time"] = "token is required"
            await stage.apply("time", replicas=2, args=["-v"], progressDeadlineSeconds=60)
            await stage.wait(90)
            assert before < await uids(stage)
            found = await progressing(stage)
            assert found.reason == "ProgressDeadlineExceeded"
            assert "token is required" in found.message

    run(story())


def test_what_serves_is_asked_what_it_was_declared_with(run: Run) -> None:
    """A health check that only the new version could pass takes no old instance away."""

    async def story() -> None:
        stage = Stage()
        stage.greetings.results["time"] = {"isError": True, "content": []}
        check = {"tool": "of_version_2", "intervalSeconds": 10}
        async with stage.at_work():
            await stage.apply("time", replicas=2)
            await stage.apply(
                "time", replicas=2, args=["-2"], healthCheck=check, progressDeadlineSeconds=60
            )
            await stage.wait(200)
            assert (await progressing(stage)).reason == "ProgressDeadlineExceeded"
            rows = (await stage.status("time")).instances
            assert [row.health for row in rows] == ["healthy", "healthy", "degraded"]
            assert {question.split()[1] for question in stage.greetings.probed
                    if question.startswith(("time-0-", "time-1-"))} == {"tools/list"}  # fmt: skip

            stage.greetings.results.clear()
            await stage.wait(60)
            assert (await progressing(stage)).reason == "RolloutComplete"
            assert await args(stage) == [("-2",)] * 2

    run(story())
