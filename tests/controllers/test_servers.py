"""Servers: look at one, decide, act, report."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest

from mooring.core.actions import Start
from mooring.core.workload import Observed
from mooring.errors import Conflict
from mooring.kinds.base import FINALIZER, Object
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer
from mooring.stores.memory import MemoryStore
from mooring.testing.clock import FakeClock
from mooring.testing.runtime import FakeRuntime
from mooring.testing.stage import Stage, ref, server

Run = Callable[[Coroutine[Any, Any, None]], None]
T = TypeVar("T", bound=Object)


class Busy(MemoryStore):
    """A store in which somebody is quicker whenever a status is written."""

    quicker: Callable[[], Awaitable[object]] | None = None
    reports = 0

    async def report(self, new: T) -> T:
        self.reports += 1
        if self.quicker is not None:
            await self.quicker()
        return await super().report(new)


class Broken(FakeRuntime):
    """A runtime that cannot tell anything about one server."""

    def __init__(self, clock: FakeClock, name: str, error: Exception) -> None:
        super().__init__(clock)
        self._name = name
        self._error = error

    async def observe(self, ref: Ref) -> tuple[Observed, ...]:
        if ref.name == self._name:
            raise self._error
        return await super().observe(ref)


def busy_stage() -> tuple[Stage, Busy]:
    stage = Stage()
    store = stage.store = Busy(stage.clock)
    return stage, store


def test_a_server_is_held_until_its_instances_are_gone(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.runtime.behaviour(ref("time")).lingers = True
        async with stage.at_work():
            await stage.apply("time")
            found = await stage.find("time")
            assert found is not None
            assert found.metadata.finalizers == (FINALIZER,)
            assert found.metadata.generation == 1
            await stage.delete("time")
            await stage.wait(5)
            assert (await stage.status("time")).phase == "Terminating"
            stage.runtime.ended(ref("time"), "time-0")
            await stage.settle()
            assert await stage.find("time") is None

    run(story())


def test_finalizers_of_others_are_left_alone(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        declared = server("time")
        meta = declared.metadata.model_copy(update={"finalizers": ("example.org/backup",)})
        async with stage.at_work():
            await stage.store.put(declared.model_copy(update={"metadata": meta}))
            await stage.settle()
            await stage.delete("time")
            await stage.wait(5)
            found = await stage.find("time")
            assert found is not None
            assert found.metadata.finalizers == ("example.org/backup",)

    run(story())


def test_a_spec_that_changes_meanwhile_loses_no_status(run: Run) -> None:
    async def story() -> None:
        stage, store = busy_stage()

        async def relabel() -> None:
            store.quicker = None
            found = await stage.find("time")
            assert found is not None
            meta = found.metadata.model_copy(update={"labels": {"a": "b"}})
            await store.put(found.model_copy(update={"metadata": meta}))

        async with stage.at_work():
            await stage.apply("time")
            stage.runtime.exit(ref("time"), "time-0")
            store.quicker = relabel
            await stage.settle()
            assert (await stage.rows("time"))["time-0"].restarts == 1
            found = await stage.find("time")
            assert found is not None
            assert found.metadata.labels == {"a": "b"}

    run(story())


def test_somebody_who_always_is_quicker_is_met_with_patience(run: Run) -> None:
    async def story() -> None:
        stage, store = busy_stage()

        async def refuse() -> None:
            raise Conflict("StaleVersion", "always")

        async with stage.at_work():
            store.quicker = refuse
            await stage.apply("time")
            tried = store.reports
            await stage.wait(60)
            assert store.reports - tried <= 3 * 10
            store.quicker = None
            await stage.wait(20)
            assert (await stage.status("time")).phase == "Ready"
            starts = [a for a in stage.runtime.performed if isinstance(a, Start)]
            assert len({a.name for a in starts}) == 1

    run(story())


def test_another_writer_of_the_status_is_not_overwritten(run: Run) -> None:
    async def story() -> None:
        stage, store = busy_stage()

        async def meddle() -> None:
            store.quicker = None
            found = await store.get(ref("time"))
            assert isinstance(found, MCPServer)
            status = found.status.model_copy(update={"message": "meddled with"})
            await store.report(found.model_copy(update={"status": status}))

        async with stage.at_work():
            await stage.apply("time")
            store.quicker = meddle
            await stage.apply("time", replicas=2)
            assert (await stage.status("time")).message == "meddled with"
            await stage.wait(2)
            assert (await stage.status("time")).message == "Ready 2/2"

    run(story())


def test_instances_that_nobody_declared_are_ended(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", replicas=2)
        found = await stage.find("time")
        assert found is not None
        stage.store = MemoryStore(stage.clock)
        async with stage.at_work():
            assert await stage.runtime.observe(ref("time")) == ()

    run(story())


def test_a_runtime_that_is_away_is_an_event_and_is_asked_again(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            stage.runtime.away = True
            await stage.apply("time")
            await stage.wait(60)
            told = await stage.events("time")
            assert [(e.type, e.reason) for e in told] == [("Warning", "KeeperGone")]
            stage.runtime.away = False
            await stage.wait(20)
            assert (await stage.status("time")).phase == "Ready"

    run(story())


def test_the_finalizer_goes_on_when_the_runtime_comes_back(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time")
            stage.runtime.away = True
            await stage.delete("time")
            await stage.wait(30)
            assert await stage.find("time") is not None
            stage.runtime.away = False
            await stage.wait(30)
            assert await stage.find("time") is None

    run(story())


@pytest.mark.parametrize("error", [Conflict("Conflict", "odd"), ZeroDivisionError("odd")])
def test_one_broken_server_does_not_disturb_the_others(run: Run, error: Exception) -> None:
    async def story() -> None:
        stage = Stage()
        stage.runtime = Broken(stage.clock, "odd", error)
        async with stage.at_work():
            await stage.apply("odd")
            await stage.apply("time")
            await stage.wait(30)
            assert (await stage.status("time")).phase == "Ready"
            assert (await stage.status("odd")).instances == ()

    run(story())
