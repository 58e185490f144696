"""Servers that do not start, and servers that do not stay: what is tried, and what is told."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from mooring.kinds.ref import Ref
from mooring.kinds.server import InstanceStatus
from mooring.testing.stage import Stage, ref

Run = Callable[[Coroutine[Any, Any, None]], None]

TOKEN = [
    {
        "name": "GITEA_ACCESS_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "gitea-creds", "key": "token"}},
    }
]
MISSING = (
    'secret resolution failed: server "gitea" env GITEA_ACCESS_TOKEN: '
    'secret "gitea-creds" does not exist. '
    "Fix: moor create secret gitea-creds --from-literal token=…"
)


async def only(stage: Stage, name: str) -> InstanceStatus:
    (row,) = (await stage.rows(name)).values()
    return row


async def told(stage: Stage, name: str) -> dict[str, int]:
    return {event.reason: event.count for event in await stage.events(name)}


def test_a_server_is_never_started_without_its_secret(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("gitea", env=TOKEN)
            row = await only(stage, "gitea")
            assert (row.state, row.reason, row.message) == ("ERROR", "SecretNotFound", MISSING)
            assert (await stage.status("gitea")).phase == "Failed"
            await stage.wait(3600, step=5)
            assert stage.runtime.performed == []

            await stage.secret("gitea-creds", user="me")
            row = await only(stage, "gitea")
            assert (row.state, row.reason) == ("ERROR", "SecretKeyNotFound")
            await stage.secret("gitea-creds", token="")
            assert (await only(stage, "gitea")).reason == "SecretEmpty"
            await stage.secret("gitea-creds", token="s3cret")
            row = await only(stage, "gitea")
            assert (row.state, row.attempt_count, row.message) == ("Ready", 0, "")
            assert set(await told(stage, "gitea")) == {
                "SecretNotFound",
                "SecretKeyNotFound",
                "SecretEmpty",
                "ProgressDeadlineExceeded",
                "Retry",
                "Starting",
                "Ready",
            }

    run(story())


def test_a_secret_that_goes_away_takes_nobody_down(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.secret("gitea-creds", token="s3cret")
            await stage.apply("gitea", env=TOKEN)
            await stage.store.delete(Ref("Secret", "default", "gitea-creds"))
            await stage.wait(60)
            status = await stage.status("gitea")
            assert await stage.states("gitea") == {"gitea-0": "Ready", "gitea-1": "ERROR"}
            assert status.phase == "Ready"
            assert MISSING in status.message
            updated = next(c for c in status.conditions if c.type == "Updated")
            assert (updated.status, updated.reason) == ("False", "UpdateFailing")

    run(story())


def test_no_value_is_told_anywhere(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.own["HOME_TOKEN"] = "pl4nted-home"
        env = [*TOKEN, {"name": "H", "valueFrom": {"env": "HOME_TOKEN"}}]
        async with stage.at_work():
            await stage.secret("gitea-creds", token="pl4nted-secret")
            await stage.apply("gitea", env=env)
            stage.runtime.exit(ref("gitea"), "gitea-0")
            await stage.wait(5)
            found = await stage.find("gitea")
            events = [event.document() for event in await stage.events("gitea")]
            assert "pl4nted" not in f"{found!r} {events!r} {stage.runtime.performed!r}"

    run(story())


def test_what_a_server_says_is_told_without_its_secrets(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.secret("gitea-creds", token="pl4nted-one")
            await stage.apply("gitea", env=TOKEN, healthCheck={"tool": "whoami"})
            stage.greetings.failing["gitea"] = RuntimeError("pl4nted-one is no token")
            await stage.wait(60)
            row = await only(stage, "gitea")
            assert (row.health, row.message) == ("degraded", "*** is no token")
            last = stage.prober.last(ref("gitea"), row.uid)
            assert last is not None
            assert last.finding.message == "*** is no token"

            stage.greetings.rejecting["gitea"] = "neither is pl4nted-two"
            await stage.secret("gitea-creds", token="pl4nted-two")
            await stage.wait(60)
            rows = await stage.rows("gitea")
            assert rows["gitea-0"].message == "*** is no token"
            assert rows["gitea-1"].message == "handshake failed: neither is ***"
            stage.runtime.exit(ref("gitea"), "gitea-0", last_line="bye, pl4nted-one")
            await stage.settle()
            exits = [e.message for e in await stage.events("gitea") if e.reason == "Exited"]
            assert exits == ['gitea-0: exit 1, "bye, ***"']
            events = [event.document() for event in await stage.events("gitea")]
            assert "pl4nted" not in f"{await stage.find('gitea')!r} {events!r}"

    run(story())


def test_a_command_that_fails_at_once_is_tried_ever_less_often(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        behaviour = stage.runtime.behaviour(ref("odd"))
        behaviour.failure, behaviour.reason = "command not found: odd", "CommandNotFound"
        async with stage.at_work():
            await stage.apply("odd")
            status = await stage.status("odd")
            assert status.message == (
                "Ready 0/1, 1 instance ERROR (command not found: odd, retry at 00:00:30Z)"
            )
            for attempts in (2, 3, 4, 5, 6):
                await stage.wait(30)
                assert (await only(stage, "odd")).attempt_count == attempts
            await stage.wait(299)
            row = await only(stage, "odd")
            assert (row.state, row.attempt_count) == ("ERROR", 6)
            assert row.last_attempt_at is not None
            assert row.next_retry_at == row.last_attempt_at + timedelta(seconds=300)
            behaviour.failure = ""
            await stage.wait(2)
            row = await only(stage, "odd")
            assert (row.state, row.name, row.restarts) == ("Ready", "odd-0", 0)
            assert (await told(stage, "odd"))["CommandNotFound"] >= 1

    run(story())


def test_failing_instances_count_and_none_is_started_beside_them(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.runtime.behaviour(ref("odd")).failure = "no"
        async with stage.at_work():
            await stage.apply("odd", replicas=2)
            await stage.wait(29)
            assert await stage.states("odd") == {"odd-0": "ERROR", "odd-1": "ERROR"}
            assert len(stage.runtime.performed) == 2

    run(story())


def test_a_server_that_never_answers_is_ended_and_tried_again(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.greetings.silent.add("mute")
        async with stage.at_work():
            await stage.apply("mute", handshakeTimeoutSeconds=20)
            await stage.wait(19)
            assert (await only(stage, "mute")).state == "Starting"
            await stage.wait(2)
            row = await only(stage, "mute")
            assert (row.state, row.reason) == ("ERROR", "HandshakeFailed")
            assert row.message == "handshake timed out after 20 s"
            assert await stage.runtime.observe(ref("mute")) == ()
            stage.greetings.silent.clear()
            await stage.wait(30)
            assert (await only(stage, "mute")).state == "Ready"

    run(story())


def test_an_error_in_answer_to_the_handshake_is_told_in_its_own_words(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.greetings.rejecting["gitea"] = "token is required\x1b[2J"
        async with stage.at_work():
            await stage.apply("gitea")
            row = await only(stage, "gitea")
            assert row.message == "handshake failed: token is required\\x1b[2J"
            (event,) = [e for e in await stage.events("gitea") if e.reason == "HandshakeFailed"]
            assert event.message == "gitea-0: handshake failed: token is required\\x1b[2J"
            assert event.type == "Warning"

    run(story())


def test_an_instance_that_exits_is_restarted_at_once(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", replicas=2)
            stage.runtime.exit(ref("time"), "time-0", 3, "boom")
            await stage.settle()
            row = (await stage.rows("time"))["time-0"]
            assert (row.state, row.restarts, row.uid) == ("Ready", 1, "time-0-uid3")
            (event,) = [e for e in await stage.events("time") if e.reason == "Exited"]
            assert event.message == 'time-0: exit 3, "boom"'

    run(story())


def test_a_crash_loop_is_shown_held_back_and_forgotten(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time")
            for _ in range(2):
                stage.runtime.exit(ref("time"), "time-0", 1, "missing API key")
                await stage.wait(2)
            stage.runtime.exit(ref("time"), "time-0", 1, "missing API key")
            await stage.settle()
            status = await stage.status("time")
            assert status.phase == "Failed"
            assert status.message == (
                'Ready 0/1, 1 instance CrashLoopBackOff (exit 1, "missing API key", '
                "retry at 00:00:06Z)"
            )
            await stage.wait(2)
            assert await stage.states("time") == {"time-0": "Ready"}
            await stage.wait(601, step=30)
            stage.runtime.exit(ref("time"), "time-0", 1, "missing API key")
            await stage.settle()
            row = await only(stage, "time")
            assert (row.state, row.crashes, row.restarts) == ("Ready", 1, 4)

    run(story())


def test_a_fixed_spec_ends_the_waiting(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        behaviour = stage.runtime.behaviour(ref("odd"))
        behaviour.failure = "no"
        async with stage.at_work():
            await stage.apply("odd")
            await stage.wait(100)
            behaviour.failure = ""
            await stage.apply("odd", args=["--works"])
            assert await stage.states("odd") == {"odd-0": "Ready"}

    run(story())


def test_a_broken_new_version_leaves_the_old_one_serving(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", replicas=2)
            stage.runtime.behaviour(ref("time")).failure = "no such option: --broken"
            await stage.apply("time", replicas=2, args=["--broken"])
            await stage.wait(600, step=5)
            status = await stage.status("time")
            assert status.phase == "Ready"
            assert [row.state for row in status.instances] == ["Ready", "Ready", "ERROR"]
            updated = next(c for c in status.conditions if c.type == "Updated")
            assert updated.message == "2 instances to be updated; no such option: --broken"
            await stage.apply("time", replicas=2)
            assert await stage.states("time") == {"time-0": "Ready", "time-1": "Ready"}

    run(story())


def test_earlier_events_are_not_lost_to_repeats(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time")
            for _ in range(200):
                stage.runtime.exit(ref("time"), "time-0")
                await stage.wait(70, step=10)
            events = {event.reason: event for event in await stage.events("time")}
            assert {"Starting", "Ready", "Exited"} <= events.keys()
            assert events["Exited"].count > 150
            assert len(events) < 10

    run(story())
