"""The life of a server: declared, changed, scaled, deleted, and what a user then sees."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mooring.core.load import Load
from mooring.kinds.server import MCPServer, Resolved
from mooring.testing.stage import Greeting, Stage, ref

Run = Callable[[Coroutine[Any, Any, None]], None]


async def reasons(stage: Stage, name: str) -> list[str]:
    return [event.reason for event in await stage.events(name)]


def ready_condition(server: MCPServer | None) -> tuple[str, str]:
    assert server is not None
    found = next(c for c in server.status.conditions if c.type == "Ready")
    return found.status, found.reason


def test_a_package_is_installed_started_and_ready(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        behaviour = stage.runtime.behaviour(ref("time"))
        behaviour.installs = True
        behaviour.resolved = Resolved(package="mcp-server-time", version="1.2", hash="sha256:0")
        stage.greetings.refusing.add("time")
        async with stage.at_work():
            await stage.apply("time", source={"pypi": "mcp-server-time"})
            stage.runtime.progress(ref("time"), "time-0", "downloading mcp-server-time")
            await stage.settle()
            status = await stage.status("time")
            assert status.phase == "Installing"
            assert status.message == (
                "Ready 0/1, 1 instance Installing (downloading mcp-server-time)"
            )

            stage.runtime.installed(ref("time"), "time-0")
            await stage.settle()
            assert (await stage.status("time")).phase == "Starting"
            assert ready_condition(await stage.find("time")) == ("False", "NoInstancesReady")

            stage.greetings.refusing.clear()
            await stage.wait(1)
            status = await stage.status("time")
            assert (status.phase, status.message) == ("Ready", "Ready 1/1")
            assert status.url == "http://127.0.0.1:8470/servers/time/mcp"
            assert status.resolved is not None
            assert ready_condition(await stage.find("time")) == ("True", "AllInstancesReady")
            assert await reasons(stage, "time") == [
                "Installing",
                "Starting",
                "Resolved",
                "Ready",
            ]

    run(story())


def test_what_an_instance_is_started_from_is_what_was_declared(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.own["HOME_TOKEN"] = "from home"
        async with stage.at_work():
            await stage.secret("creds", token="from the secret")
            env = [
                {"name": "A", "value": "plain"},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "creds", "key": "token"}}},
                {"name": "C", "valueFrom": {"env": "HOME_TOKEN"}},
            ]
            await stage.apply("time", args=["-v"], env=env)
            (row,) = (await stage.rows("time")).values()
            work = stage.runtime.started[row.uid]
            assert work.args == ("-v",)
            assert work.env == {"A": "plain", "B": "from the secret", "C": "from home"}
            assert work.checksum == row.checksum == (await stage.status("time")).checksum

    run(story())


def test_a_remote_server_is_greeted_and_nothing_else(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.greetings.answers["cloud"] = Greeting("stateless", needs_login=True)
        async with stage.at_work():
            await stage.apply("cloud", source={"url": "https://example.org/mcp"}, replicas=3)
            status = await stage.status("cloud")
            assert [row.name for row in status.instances] == ["cloud-0"]
            assert (status.instances[0].era, status.phase) == ("stateless", "Ready")
            assert status.message == "Ready 1/1, 1 instance requires authentication"

    run(story())


def test_an_image_is_refused_in_words(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("web", source={"image": "example/mcp:1"})
            status = await stage.status("web")
            assert (status.phase, status.instances[0].reason) == ("Failed", "RuntimeAbsent")
            assert "no container runtime is configured" in status.message
            assert ready_condition(await stage.find("web")) == ("False", "RuntimeAbsent")
            assert await reasons(stage, "web") == ["RuntimeAbsent"]
            assert stage.runtime.performed == []

    run(story())


def test_scaling_up_keeps_what_runs_and_scaling_down_drains(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", replicas=1)
            await stage.apply("time", replicas=3)
            uids = [row.uid for row in (await stage.rows("time")).values()]
            assert uids == ["time-0-uid1", "time-1-uid2", "time-2-uid3"]

            stage.loads["time-2-uid3"] = Load(sessions=1)
            await stage.apply("time", replicas=1)
            assert await stage.states("time") == {
                "time-0": "Ready",
                "time-1": "Draining",
                "time-2": "Draining",
            }
            status = await stage.status("time")
            assert status.message == ("Ready 1/1, 2 instances Draining (fewer are wanted)")
            await stage.wait(2)
            assert await stage.states("time") == {"time-0": "Ready", "time-2": "Draining"}
            stage.loads["time-2-uid3"] = Load()
            await stage.wait(2)
            assert await stage.states("time") == {"time-0": "Ready"}
            assert "Stopped" in await reasons(stage, "time")

    run(story())


def test_sessions_are_waited_for_no_longer_than_drain_seconds(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", drainSeconds=10)
            stage.loads["time-0-uid1"] = Load(sessions=9)
            await stage.apply("time", drainSeconds=10, replicas=0)
            await stage.wait(9)
            assert await stage.states("time") == {"time-0": "Draining"}
            await stage.wait(2)
            status = await stage.status("time")
            assert (status.phase, status.message, status.instances) == ("Stopped", "Stopped", ())
            assert ready_condition(await stage.find("time")) == ("False", "Stopped")

    run(story())


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 2, "drainSeconds": 5},
        {"replicas": 2, "group": "core"},
        {"replicas": 2, "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]},
    ],
)
def test_what_an_instance_does_not_see_restarts_nothing(run: Run, change: Any) -> None:
    async def story() -> None:
        stage = Stage()
        env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
        async with stage.at_work():
            await stage.apply("time", replicas=2, env=env)
            before = await stage.rows("time")
            actions = len(stage.runtime.performed)
            await stage.apply("time", **{"env": env, **change})
            await stage.wait(5)
            assert await stage.rows("time") == before
            assert len(stage.runtime.performed) == actions
            assert (await stage.status("time")).observed_generation == 2

    run(story())


def test_a_change_replaces_one_instance_after_the_other(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", replicas=2)
            stage.greetings.refusing.add("time")
            await stage.apply("time", replicas=2, args=["--new"])
            await stage.wait(5)
            assert await stage.states("time") == {
                "time-0": "Ready",
                "time-1": "Ready",
                "time-2": "Starting",
            }
            status = await stage.status("time")
            assert status.phase == "Ready"
            assert status.message == ("Ready 2/2, 1 instance Starting, 2 instances to be updated")
            stage.greetings.refusing.clear()
            await stage.wait(5)
            rows = await stage.rows("time")
            assert [row.state for row in rows.values()] == ["Ready", "Ready"]
            started = [stage.runtime.started[row.uid].args for row in rows.values()]
            assert started == [("--new",), ("--new",)]

    run(story())


def test_a_changed_secret_replaces_the_instances_that_use_it(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        env = [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "creds", "key": "token"}}}]
        async with stage.at_work():
            await stage.secret("creds", token="old")
            await stage.apply("time", env=env)
            await stage.secret("creds", token="new")
            await stage.wait(5)
            (row,) = (await stage.rows("time")).values()
            assert stage.runtime.started[row.uid].env == {"T": "new"}
            assert row.state == "Ready"

    run(story())


def test_a_deleted_server_drains_and_is_gone(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", replicas=2)
            stage.loads["time-0-uid1"] = Load(sessions=1)
            await stage.delete("time")
            status = await stage.status("time")
            assert status.phase == "Terminating"
            assert status.message == ("Terminating, 2 instances Draining (the server is deleted)")
            await stage.wait(3)
            assert await stage.states("time") == {"time-0": "Draining"}
            await stage.wait(30)
            assert await stage.find("time") is None
            assert await stage.runtime.owners() == ()

    run(story())


def test_a_server_that_is_declared_anew_is_a_new_server(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time")
            first = await stage.find("time")
            await stage.delete("time")
            await stage.wait(3)
            await stage.apply("time")
            second = await stage.find("time")
            assert first is not None
            assert second is not None
            assert first.metadata.uid != second.metadata.uid
            assert await stage.states("time") == {"time-0": "Ready"}

    run(story())


def test_a_fixed_port_is_handed_over(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        behaviour = stage.runtime.behaviour(ref("web"))
        behaviour.lingers = True
        spec = {"transport": "streamable-http", "port": 8080}
        async with stage.at_work():
            await stage.apply("web", **spec)
            await stage.apply("web", **spec, args=["--new"])
            await stage.wait(3)
            assert await stage.states("web") == {"web-0": "Draining", "web-1": "Pending"}
            assert "waits until web-0 has ended" in (await stage.status("web")).message
            stage.runtime.ended(ref("web"), "web-0")
            await stage.settle()
            assert await stage.states("web") == {"web-1": "Ready"}

    run(story())
