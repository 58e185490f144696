"""What happened leads to a look at the object that it happened to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any

from mooring.core.actions import Action
from mooring.core.workload import Observed
from mooring.errors import Unavailable
from mooring.kinds.ref import Ref
from mooring.testing.clock import FakeClock
from mooring.testing.runtime import FakeRuntime
from mooring.testing.stage import Stage, ref, server

Run = Callable[[Coroutine[Any, Any, None]], None]

TOKEN = [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "creds", "key": "token"}}}]


class Strange(FakeRuntime):
    """A runtime that can be slow, deaf, mute, and counts who looks."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.slow: set[str] = set()
        self.go_on = asyncio.Event()
        self.looking: list[Ref] = []
        self.most: dict[Ref, int] = {}
        self.looks = 0
        self.mute = False
        self.unheard = False
        self.shuffles = False
        self.subscriptions = 0

    async def observe(self, about: Ref) -> tuple[Observed, ...]:
        self.looks += 1
        self.looking.append(about)
        self.most[about] = max(self.most.get(about, 0), self.looking.count(about))
        if about.name in self.slow:
            await self.go_on.wait()
        self.looking.remove(about)
        seen = await super().observe(about)
        turn = self.looks % 5 if self.shuffles else 0
        return tuple(replace(one) for one in seen[turn:] + seen[:turn])

    async def perform(self, action: Action) -> None:
        if action.ref.name in self.slow:
            await self.go_on.wait()
        await super().perform(action)

    async def changes(self) -> AsyncIterator[Ref]:
        self.subscriptions += 1
        async for changed in super().changes():
            if self.mute:
                raise Unavailable("KeeperGone", "it fell silent")
            yield changed

    def tell(self, ref: Ref) -> None:
        """Says that something changed, unless nobody is to hear of it."""
        if not self.unheard:
            super().tell(ref)


def strange_stage() -> tuple[Stage, Strange]:
    stage = Stage()
    runtime = stage.runtime = Strange(stage.clock)
    return stage, runtime


def test_a_slow_server_delays_no_other(run: Run) -> None:
    async def story() -> None:
        stage, runtime = strange_stage()
        async with stage.at_work():
            runtime.slow.add("slow")
            declared = [stage.store.put(one) for one in (server("slow"), server("time"))]
            await asyncio.gather(*declared)
            for _ in range(300):
                await turn()
            assert (await stage.status("time")).phase == "Ready"
            assert (await stage.status("slow")).instances == ()
            runtime.go_on.set()
            await stage.settle()
            assert (await stage.status("slow")).phase == "Ready"

    run(story())


def test_no_object_is_looked_at_twice_at_the_same_time(run: Run) -> None:
    async def story() -> None:
        stage, runtime = strange_stage()
        async with stage.at_work():
            runtime.slow.add("time")
            await stage.store.put(server("time"))
            for number in range(5):
                found = await stage.find("time")
                assert found is not None
                labels = {"n": str(number)}
                meta = found.metadata.model_copy(update={"labels": labels})
                await stage.store.put(found.model_copy(update={"metadata": meta}))
                for _ in range(20):
                    await turn()
            runtime.go_on.set()
            await stage.settle()
            assert runtime.most[ref("time")] == 1
            assert (await stage.status("time")).phase == "Ready"

    run(story())


def test_a_changed_secret_reaches_the_servers_that_use_it_and_no_other(run: Run) -> None:
    async def story() -> None:
        stage, runtime = strange_stage()
        async with stage.at_work():
            await stage.secret("creds", token="one")
            await stage.apply("user", env=TOKEN)
            await stage.apply("other")
            looks = runtime.looks
            await stage.secret("unused", token="x")
            assert runtime.looks == looks
            await stage.secret("creds", token="two")
            await stage.wait(3)
            assert [row.uid for row in (await stage.rows("other")).values()] == ["other-0-uid2"]
            (row,) = (await stage.rows("user")).values()
            assert runtime.started[row.uid].env == {"T": "two"}

    run(story())


def test_what_nobody_told_of_is_found_within_a_minute(run: Run) -> None:
    async def story() -> None:
        stage, runtime = strange_stage()
        async with stage.at_work():
            await stage.apply("time")
            runtime.unheard = True
            runtime.exit(ref("time"), "time-0")
            await stage.wait(30)
            assert (await stage.status("time")).phase == "Ready"
            runtime.unheard = False
            await stage.wait(31)
            assert (await stage.rows("time"))["time-0"].restarts == 1

    run(story())


def test_after_a_gap_in_the_news_everything_is_looked_at(run: Run) -> None:
    async def story() -> None:
        stage, runtime = strange_stage()
        async with stage.at_work():
            await stage.apply("time")
            runtime.mute = True
            runtime.exit(ref("time"), "time-0")
            await stage.settle()
            assert (await stage.rows("time"))["time-0"].restarts == 0
            runtime.mute = False
            await stage.wait(1)
            assert runtime.subscriptions == 2
            assert (await stage.rows("time"))["time-0"].restarts == 1

    run(story())


def test_a_runtime_that_is_away_at_first_is_found_when_it_comes(run: Run) -> None:
    async def story() -> None:
        stage, runtime = strange_stage()
        runtime.away = True
        async with stage.at_work():
            await stage.apply("time")
            await stage.wait(90, step=1)
            assert (await stage.find("time")) is not None
            runtime.away = False
            await stage.wait(20)
            assert (await stage.status("time")).phase == "Ready"
            runtime.exit(ref("time"), "time-0")
            await stage.settle()
            assert (await stage.rows("time"))["time-0"].restarts == 1

    run(story())


def test_a_world_at_rest_is_left_alone_for_a_day(run: Run) -> None:
    async def story() -> None:
        stage, runtime = strange_stage()
        async with stage.at_work():
            await stage.secret("creds", token="one")
            await stage.apply("time", replicas=3, env=TOKEN, group="core")
            version = (await stage.store.list("MCPServer")).version
            performed = len(runtime.performed)
            looks = runtime.looks
            await stage.wait(24 * 3600, step=600)
            assert runtime.looks - looks >= 24 * 60
            assert len(runtime.performed) == performed
            found = await stage.find("time")
            assert found is not None
            assert int(found.metadata.resource_version) <= int(version)

    run(story())


def test_a_thousand_looks_at_a_world_at_rest_write_nothing(run: Run) -> None:
    async def story() -> None:
        stage, runtime = strange_stage()
        runtime.shuffles = True
        async with stage.at_work():
            await stage.apply("time", replicas=5)
            stage.greetings.rejecting["sick"] = "token is required"
            await stage.apply("sick", replicas=2)
            await stage.secret("creds", token="one")
            await stage.apply("user", replicas=2, env=TOKEN)
            await stage.apply("stale", replicas=2, progressDeadlineSeconds=10)
            runtime.behaviour(ref("stale")).failure = "broken"
            await stage.apply("stale", replicas=2, progressDeadlineSeconds=10, args=["-v"])
            await stage.wait(11)
            before = (await stage.store.list("MCPServer")).items
            actions, looked = len(runtime.performed), runtime.looks
            for _ in range(250):
                for name in ("time", "sick", "user", "stale"):
                    runtime.tell(ref(name))
                await stage.settle()
            assert runtime.looks - looked == 1000
            assert len(runtime.performed) == actions
            assert (await stage.store.list("MCPServer")).items == before

    run(story())


async def turn() -> None:
    """Lets everything run that can."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    loop.call_soon(done.set_result, None)
    await done
