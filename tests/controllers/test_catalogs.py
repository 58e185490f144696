"""What servers offer, asked in the session that probes have."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mooring.controllers.catalogs import Catalogs
from mooring.core.aggregate_items import Lists
from mooring.errors import Conflict, Denied, Unavailable
from mooring.kinds.ref import Ref
from mooring.kinds.server import InstanceStatus, MCPServer
from mooring.testing.clock import FakeClock
from mooring.testing.stage import Greeting, Stage, ref, server

Run = Callable[[Coroutine[Any, Any, None]], None]
TIME = ref("time")


def running(uid: str, health: str = "healthy") -> MCPServer:
    made = server("time")
    row = {"name": "time-0", "uid": uid, "address": "http://127.0.0.1:1/", "state": "Ready"}
    rows = (InstanceStatus.model_validate({**row, "health": health}),)
    return made.model_copy(update={"status": made.status.model_copy(update={"instances": rows})})


class Asked:
    """Servers that answer when the test says so."""

    def __init__(self) -> None:
        self.questions: asyncio.Queue[tuple[str, asyncio.Future[Lists]]] = asyncio.Queue()

    async def lists(self, ref: Ref, uid: str) -> Lists:
        answer: asyncio.Future[Lists] = asyncio.get_running_loop().create_future()
        self.questions.put_nowait((uid, answer))
        return await answer


def tools(*names: str) -> Lists:
    return Lists([b'{"name":"%s","inputSchema":{}}' % name.encode() for name in names])


def test_each_instance_is_asked_once_and_then_when_it_is_due(run: Run) -> None:
    async def story() -> None:
        asked, clock, told = Asked(), FakeClock(), asyncio.Queue[Ref]()
        catalogs = Catalogs(asked.lists, clock)
        assert catalogs.look(running("a")) is None  # nobody asks yet
        async with asyncio.TaskGroup() as tasks:
            catalogs.begin(tasks, told.put_nowait)
            for _ in range(3):
                assert catalogs.look(running("a")) is None
            uid, answer = await asked.questions.get()
            assert (uid, asked.questions.empty()) == ("a", True)
            answer.set_result(tools("x"))
            assert await told.get() == TIME
            found = catalogs.look(running("a"))
            assert found is not None
            assert [item.name for item in found.catalog.tools] == ["x"]
            await clock.advance(29)
            assert catalogs.look(running("a")) is found
            await clock.advance(2)
            assert catalogs.look(running("a")) is found  # it holds until there is another
            _, answer = await asked.questions.get()
            answer.set_result(tools("y"))
            await told.get()
            again = catalogs.look(running("a"))
            assert again is not None
            assert [item.name for item in again.catalog.tools] == ["y"]

    run(story())


def test_a_new_instance_is_asked_at_once_and_the_old_question_is_dropped(run: Run) -> None:
    async def story() -> None:
        asked, told = Asked(), asyncio.Queue[Ref]()
        catalogs = Catalogs(asked.lists, FakeClock())
        async with asyncio.TaskGroup() as tasks:
            catalogs.begin(tasks, told.put_nowait)
            catalogs.look(running("a"))
            _, old = await asked.questions.get()
            catalogs.look(running("b"))
            uid, answer = await asked.questions.get()
            assert uid == "b"
            assert old.cancelled()
            answer.set_result(tools("x"))
            await told.get()
            assert catalogs.look(running("c", health="unhealthy")) is not None
            assert asked.questions.empty()  # one that is out is asked nothing
            catalogs.forget(TIME)
            assert catalogs.look(running("c", health="unhealthy")) is None

    run(story())


def test_what_cannot_be_had_leaves_what_was_known(run: Run) -> None:
    async def story() -> None:
        asked, clock, told = Asked(), FakeClock(), asyncio.Queue[Ref]()
        catalogs = Catalogs(asked.lists, clock)
        async with asyncio.TaskGroup() as tasks:
            catalogs.begin(tasks, told.put_nowait)
            for outcome in (Unavailable("UpstreamError", "no"), tools("x"), ValueError("strange")):
                catalogs.look(running("a"))
                _, answer = await asked.questions.get()
                if isinstance(outcome, Exception):
                    answer.set_exception(outcome)
                else:
                    answer.set_result(outcome)
                await told.get()
                found = catalogs.look(running("a"))
                assert found is not None
                known = [item.name for item in found.catalog.tools]
                assert (known, found.failure) == {
                    "Unavailable": ([], "no"),
                    "Lists": (["x"], ""),
                    "ValueError": (["x"], "ValueError('strange')"),
                }[type(outcome).__name__]
                await clock.advance(31)

    run(story())


def test_its_lists_are_had_in_the_session_of_its_probes(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.greetings.tools["time"] = [{"name": "now"}]
        async with stage.at_work():
            await stage.apply("time")
            await stage.wait(1)
            ((uid, name),) = [(r.uid, r.name) for r in (await stage.rows("time")).values()]
            assert name == "time-0"
            found = await stage.prober.lists(TIME, uid)
            assert [json.loads(text) for text in found.tools] == [{"name": "now"}]
            assert len(stage.greetings.sessions) == 1
            with pytest.raises(Conflict, match="not running"):
                await stage.prober.lists(TIME, "another")

    run(story())


def test_lists_of_one_that_wants_a_login_are_not_to_be_had(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.greetings.answers["time"] = Greeting(needs_login=True)
        async with stage.at_work():
            await stage.apply("time")
            await stage.wait(1)
            (row,) = (await stage.rows("time")).values()
            with pytest.raises(Denied):
                await stage.prober.lists(TIME, row.uid)

    run(story())


def test_after_a_restart_lists_open_a_session_where_there_is_none(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.greetings.tools["time"] = [{"name": "now"}]
        async with stage.at_work():
            await stage.apply("time")
            await stage.wait(1)
        async with stage.at_work():
            (row,) = (await stage.rows("time")).values()
            assert stage.greetings.sessions == set()
            found = await stage.prober.lists(TIME, row.uid)
            assert len(list(found.tools)) == 1

    run(story())


def test_a_session_that_was_forgotten_is_opened_again_for_lists(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.greetings.tools["time"] = [{"name": "now"}]
        async with stage.at_work():
            await stage.apply("time")
            await stage.wait(1)
            (row,) = (await stage.rows("time")).values()
            stage.greetings.forgotten.add(row.address)
            found = await stage.prober.lists(TIME, row.uid)
            assert len(list(found.tools)) == 1
            assert len(stage.greetings.sessions) == 1

    run(story())
