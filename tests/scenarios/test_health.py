"""Honest health: what probes find, what is told of it, and who gets new work."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mooring.core.table import build
from mooring.errors import Conflict, Unavailable
from mooring.kinds.server import InstanceStatus
from mooring.testing.stage import Greeting, Stage, ref

Run = Callable[[Coroutine[Any, Any, None]], None]

TOKEN = [
    {
        "name": "GITEA_ACCESS_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "gitea-creds", "key": "token"}},
    }
]
WHOAMI = {"tool": "whoami", "arguments": {"verbose": True}}


def refused(words: str = "token is required") -> dict[str, Any]:
    return {"isError": True, "content": [{"type": "text", "text": words}]}


async def only(stage: Stage, name: str) -> InstanceStatus:
    (row,) = (await stage.rows(name)).values()
    return row


async def told(stage: Stage, name: str) -> dict[str, int]:
    return {event.reason: event.count for event in await stage.events(name)}


def test_without_a_health_check_liveness_is_a_list_of_tools(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            server = await stage.apply("time")
            check = server.spec.health_check
            assert (check.tool, check.interval_seconds, check.failure_threshold) == (None, 30, 3)
            assert stage.greetings.probed == ["time-0-uid1.test tools/list"]
            assert (await only(stage, "time")).health == "healthy"

    run(story())


@pytest.mark.parametrize(
    "failure",
    [
        Unavailable("UpstreamError", "ECONNREFUSED 10.0.0.1:3000"),
        RuntimeError("ECONNREFUSED 10.0.0.1:3000"),
    ],
)
def test_each_failure_counts_and_its_words_are_kept(run: Run, failure: Exception) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time")
            stage.greetings.failing["time"] = failure
            await stage.wait(30)
            row = await only(stage, "time")
            assert (row.state, row.health, row.failed_probes) == ("Ready", "degraded", 1)
            assert row.message == "ECONNREFUSED 10.0.0.1:3000"
            status = await stage.status("time")
            assert status.phase == "Degraded"
            assert status.message == (
                "Ready 0/1, 1 instance degraded (ECONNREFUSED 10.0.0.1:3000, "
                "since 2026-01-01T00:00:28Z, probed every 30 s)"
            )
            await stage.wait(60)
            assert (await only(stage, "time")).health == "unhealthy"
            assert (await stage.status("time")).phase == "Failed"
            stage.greetings.failing.clear()
            await stage.wait(30)
            row = await only(stage, "time")
            assert (row.health, row.message, row.failed_probes) == ("healthy", "", 0)
            assert (await stage.status("time")).message == "Ready 1/1"
            found = await told(stage, "time")
            assert (found["Degraded"], found["Unhealthy"], found["Healthy"]) == (1, 1, 1)

    run(story())


def test_a_hang_counts_after_its_time(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.greetings.hanging.add("time")
        async with stage.at_work():
            await stage.apply("time", healthCheck={"timeoutSeconds": 0.05})
            await stage.wait(0.25, step=0.05)
            row = await only(stage, "time")
            assert (row.health, row.message) == ("degraded", "timed out after 0.05 s")

    run(story())


@pytest.mark.parametrize(
    ("threshold", "seen"), [(1, ["unhealthy"]), (2, ["degraded", "unhealthy"])]
)
def test_the_threshold_decides(run: Run, threshold: int, seen: list[str]) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", healthCheck={"failureThreshold": threshold})
            stage.greetings.failing["time"] = RuntimeError("no")
            for health in (*seen, seen[-1]):
                await stage.wait(30)
                assert (await only(stage, "time")).health == health

    run(story())


def test_two_failures_then_a_success_is_healthy(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time")
            stage.greetings.failing["time"] = RuntimeError("no")
            await stage.wait(60)
            assert (await only(stage, "time")).failed_probes == 2
            stage.greetings.failing.clear()
            await stage.wait(30)
            row = await only(stage, "time")
            assert (row.health, row.failed_probes) == ("healthy", 0)

    run(story())


def test_what_does_not_change_is_not_written(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("well")
            await stage.apply("ill")
            stage.greetings.failing["ill"] = RuntimeError("no")
            await stage.wait(100)
            before = [await stage.find(name) for name in ("well", "ill")]
            probes = len(stage.greetings.probed)
            await stage.wait(1800, step=1)
            assert len(stage.greetings.probed) > probes + 100
            assert [await stage.find(name) for name in ("well", "ill")] == before

    run(story())


def test_after_a_thousand_probes_a_server_has_seen_one_session(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", healthCheck={"intervalSeconds": 1})
            await stage.wait(1000, step=1)
            assert len(stage.greetings.probed) >= 1000
            assert (len(stage.greetings.asked), len(stage.greetings.sessions)) == (1, 1)
            await stage.delete("time")
            assert stage.greetings.sessions == set()

    run(story())


def test_a_restart_of_mooring_leaves_no_session_behind(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", replicas=3)
            assert len(stage.greetings.sessions) == 3
        assert stage.greetings.sessions == set()

    run(story())


def test_beliefs_survive_a_restart_of_mooring(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time")
            stage.greetings.failing["time"] = RuntimeError("no")
            await stage.wait(60)
            before = await only(stage, "time")
            assert (before.health, before.failed_probes) == ("degraded", 2)
        async with stage.at_work():
            assert await only(stage, "time") == before
            await stage.wait(30)
            after = await only(stage, "time")
            assert (after.uid, after.health) == (before.uid, "unhealthy")

    run(story())


def test_new_work_goes_to_those_that_are_well(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", replicas=2)

            async def able() -> tuple[int, int, int]:
                found = await stage.find("time")
                assert found is not None
                (entry,) = build([found]).entries
                return len(entry.preferred), len(entry.last_resort), len(entry.upstreams)

            assert await able() == (2, 0, 2)
            stage.greetings.failing["time"] = RuntimeError("no")
            await stage.wait(30)
            assert await able() == (0, 2, 2)
            await stage.wait(60)
            assert await able() == (0, 0, 2)
            stage.greetings.failing.clear()
            stage.greetings.answers["time"] = Greeting(needs_login=True)
            await stage.wait(30)
            assert await able() == (2, 0, 2)
            assert (await stage.status("time")).message == (
                "Ready 2/2, 2 instances require authentication"
            )

    run(story())


def test_from_a_missing_secret_through_back_off_to_honest_health(run: Run) -> None:
    """The motivating case: never started without its secret, and never called healthy for it."""

    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("gitea", env=TOKEN, healthCheck=WHOAMI)
            row = await only(stage, "gitea")
            assert (row.state, row.health, row.reason) == ("ERROR", "unhealthy", "SecretNotFound")
            for attempts in (2, 3):
                await stage.wait(30)
                assert (await only(stage, "gitea")).attempt_count == attempts
            assert (stage.runtime.performed, stage.greetings.probed) == ([], [])

            await stage.secret("gitea-creds", token="s3cret")
            row = await only(stage, "gitea")
            assert (row.state, row.health, row.attempt_count) == ("Ready", "healthy", 0)
            (question,) = stage.greetings.probed[:1]
            assert question == "gitea-0-uid1.test tools/call whoami {'verbose': True}"
            assert (await stage.status("gitea")).message == "Ready 1/1"

    run(story())


def test_a_wrong_token_is_told_as_what_it_is(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.greetings.results["gitea"] = refused()
        async with stage.at_work():
            await stage.secret("gitea-creds", token="wrong")
            await stage.apply("gitea", env=TOKEN, healthCheck=WHOAMI)
            row = await only(stage, "gitea")
            assert (row.state, row.health, row.message) == (
                "Starting",
                "degraded",
                "token is required",
            )
            assert (await stage.status("gitea")).ready_instances == 0
            await stage.wait(60)
            row = await only(stage, "gitea")
            assert (row.state, row.health) == ("ERROR", "unhealthy")
            assert (row.reason, row.message) == ("ProbeFailed", "token is required")
            assert (await stage.status("gitea")).message.startswith(
                "Ready 0/1, 1 instance ERROR (token is required, retry at "
            )
            assert await stage.runtime.observe(ref("gitea")) == ()
            await stage.wait(60)
            row = await only(stage, "gitea")
            assert (row.state, row.attempt_count, row.health) == ("Starting", 2, "degraded")
            assert (await stage.status("gitea")).message == (
                "Ready 0/1, 1 instance Starting (token is required, attempt 2, probed every 30 s)"
            )

            stage.greetings.results.clear()
            await stage.secret("gitea-creds", token="right")
            await stage.wait(1)
            row = await only(stage, "gitea")
            assert (row.state, row.health, row.message) == ("Ready", "healthy", "")
            found = await told(stage, "gitea")
            assert {"Degraded", "ProbeFailed", "Retry", "Ready"} <= set(found)

    run(story())


def test_a_token_that_is_revoked_later_is_told_too(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("gitea", healthCheck=WHOAMI)
            uid = (await only(stage, "gitea")).uid
            stage.greetings.results["gitea"] = refused("token has expired")
            await stage.wait(90)
            row = await only(stage, "gitea")
            assert (row.state, row.health, row.uid) == ("Ready", "unhealthy", uid)
            assert (await stage.status("gitea")).message == (
                "Ready 0/1, 1 instance unhealthy (token has expired, "
                "since 2026-01-01T00:01:25Z, probed every 30 s)"
            )

    run(story())


def test_another_health_check_restarts_nothing(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time")
            before = (await only(stage, "time")).uid
            await stage.apply("time", healthCheck=WHOAMI)
            assert stage.greetings.probed[-1].endswith("whoami {'verbose': True}")
            await stage.wait(60)
            assert (await only(stage, "time")).uid == before
            assert len(stage.runtime.performed) == 1

    run(story())


def test_events_of_before_a_change_of_health_are_kept(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time")
            await stage.settle()
            before = [event.reason for event in await stage.events("time")]
            stage.greetings.failing["time"] = RuntimeError("no")
            await stage.wait(120)
            after = [event.reason for event in await stage.events("time")]
            assert after[: len(before)] == before
            assert after[len(before) :] == ["Degraded", "Unhealthy"]

    run(story())


def test_one_that_does_not_run_is_not_probed_when_asked_to(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.runtime.behaviour(ref("odd")).failure = "command not found: odd"
        async with stage.at_work():
            await stage.apply("odd")
            await stage.wait(100)
            assert stage.greetings.probed == []
            with pytest.raises(Conflict):
                await stage.prober.probe(ref("odd"), "odd-0")

    run(story())
