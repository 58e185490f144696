"""What is known of the keeper's slots, while accounts overtake each other and keepers die."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.keeper_here import KeeperHere, keeper_here

from mooring.core.keeping import SlotSpec, SlotState
from mooring.errors import Unavailable
from mooring.kinds.ref import Ref
from mooring.runtimes.feed import Feed
from mooring.runtimes.keeper_client import KeeperClient
from mooring.runtimes.mirror import LONGEST, PAUSE, Mirror
from mooring.testing.clock import FakeClock
from mooring.transports.http_upstream import Pool

Run = Callable[[Coroutine[Any, Any, None]], None]
REF = Ref("MCPServer", "default", "a")


def spec(uid: str = "u1", instance: str = "default/a-0") -> SlotSpec:
    return SlotSpec(
        uid=uid,
        instance=instance,
        server="default/a",
        checksum="c",
        argv=("a",),
        env={},
        transport="streamable-http",
    )


class Stage:
    """A mirror, a keeper that may be replaced, and news of both."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pool = Pool()
        self.client = KeeperClient(self.pool, path)
        self.clock = FakeClock()
        self.feed = Feed()
        self.news = self.feed.changes()
        self.revived = 0
        self.refuses = False
        """No new keeper comes up."""
        self.mirror = Mirror(self.client, self.clock, self._revive, self.feed)
        self.keeper: KeeperHere | None = None
        self._stack = AsyncExitStack()

    async def begin(self) -> None:
        self.keeper = await self._stack.enter_async_context(keeper_here(self.path))

    async def kill(self) -> None:
        stack, self._stack = self._stack, AsyncExitStack()  # the next may come up meanwhile
        await stack.aclose()

    async def put(self, wanted: SlotSpec) -> SlotState:
        state = await self.client.put(wanted)
        self.mirror.add(state)
        return state

    def states(self) -> dict[str, str]:
        return {state.uid: state.state for state in self.mirror.of(REF)}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for news until something holds."""
        while not condition():
            await anext(self.news)

    async def _revive(self) -> None:
        self.revived += 1
        if self.refuses:
            raise Unavailable("KeeperGone", "no keeper comes up")
        try:
            await self.client.state()
        except Unavailable:
            await self.begin()


@asynccontextmanager
async def stage(path: Path) -> AsyncIterator[Stage]:
    made = Stage(path)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(made.mirror.follow(tasks))
        yield made
        following.cancel()
        await asyncio.wait([following])
        await made.kill()
        await made.pool.close()


@pytest.fixture
def on_stage(run: Run, short: Path) -> Callable[[Callable[[Stage], Any]], None]:
    async def opened(story: Callable[[Stage], Any]) -> None:
        async with stage(short / "k.sock") as made:
            await made.mirror.reached(10)
            await story(made)

    return lambda story: run(opened(story))


OnStage = Callable[[Callable[[Stage], Any]], None]


def test_a_keeper_is_asked_for_where_there_is_none(on_stage: OnStage) -> None:
    async def story(stage: Stage) -> None:
        assert stage.revived == 1
        assert stage.keeper is not None
        assert stage.mirror.all() == ()

    on_stage(story)


def test_what_a_keeper_holds_already_is_known_from_the_first_look(run: Run, short: Path) -> None:
    async def story() -> None:
        async with keeper_here(short / "k.sock") as keeper:
            await keeper.slots.put(spec())
            async with stage(keeper.path) as made:
                await made.mirror.reached(10)
                assert made.states() == {"u1": "running"}
                assert len(keeper.spawner.made) == 1

    run(story())


def test_an_end_is_seen(on_stage: OnStage) -> None:
    async def story(stage: Stage) -> None:
        await stage.put(spec())
        assert stage.keeper is not None
        stage.keeper.spawner.made[0].exit(code=3)
        await stage.until(lambda: stage.states() == {"u1": "exited"})
        (state,) = stage.mirror.of(REF)
        assert state.exit is not None
        assert (state.exit.code, state.exit.last_line) == (3, "bye")

    on_stage(story)


def test_a_late_answer_does_not_raise_the_dead(on_stage: OnStage) -> None:
    async def story(stage: Stage) -> None:
        answer = await stage.put(spec())
        assert stage.keeper is not None
        stage.keeper.spawner.made[0].exit()
        await stage.until(lambda: stage.states() == {"u1": "exited"})
        stage.mirror.add(answer)
        assert stage.states() == {"u1": "exited"}
        stage.mirror.drop("u1")
        stage.mirror.add(answer)
        assert stage.states() == {}

    on_stage(story)


def test_a_stopped_instance_is_seen_until_it_has_ended_and_then_forgotten(
    on_stage: OnStage,
) -> None:
    async def story(stage: Stage) -> None:
        await stage.put(spec())
        seen = []
        await stage.mirror.stop("u1", 1)
        seen.append(stage.states())
        await stage.until(lambda: stage.states() == {})
        assert seen == [{"u1": "stopping"}]
        assert stage.keeper is not None
        await _turns(lambda: stage.keeper is not None and not stage.keeper.slots.states())

    on_stage(story)


def test_stopping_what_has_ended_or_never_was_is_harmless(on_stage: OnStage) -> None:
    async def story(stage: Stage) -> None:
        await stage.mirror.stop("u9", 1)
        await stage.put(spec())
        assert stage.keeper is not None
        stage.keeper.spawner.made[0].exit()
        await stage.until(lambda: stage.states() == {"u1": "exited"})
        await stage.mirror.stop("u1", 1)
        await stage.mirror.stop("u1", 1)
        assert stage.states() == {}

    on_stage(story)


def test_with_the_keeper_everything_it_held_is_gone(on_stage: OnStage) -> None:
    async def story(stage: Stage) -> None:
        await stage.put(spec())
        await stage.kill()
        await stage.until(lambda: stage.states() == {"u1": "exited"})
        await stage.mirror.reached(10)
        assert stage.revived == 2
        (state,) = stage.mirror.of(REF)
        assert state.exit is not None
        assert state.exit.last_line == "the keeper ended"

    on_stage(story)


def test_what_was_being_stopped_when_the_keeper_went_is_gone(on_stage: OnStage) -> None:
    async def story(stage: Stage) -> None:
        assert stage.keeper is not None
        stage.keeper.spawner._dies_of = "kill"
        await stage.put(spec())
        await stage.mirror.stop("u1", 60)
        assert stage.states() == {"u1": "stopping"}
        await stage.kill()
        await stage.until(lambda: stage.states() == {})

    on_stage(story)


def test_a_new_keeper_starts_from_nothing(on_stage: OnStage) -> None:
    async def story(stage: Stage) -> None:
        await stage.put(spec())
        await stage.kill()
        await stage.until(lambda: stage.states() == {"u1": "exited"})
        await stage.mirror.reached(10)
        await stage.put(spec("u2"))
        stage.mirror.drop("u1")
        assert stage.states() == {"u2": "running"}

    on_stage(story)


def test_while_no_keeper_comes_up_it_is_tried_more_and_more_seldom(on_stage: OnStage) -> None:
    async def story(stage: Stage) -> None:
        stage.refuses = True
        await stage.kill()
        pause = PAUSE
        for tries in range(1, 8):
            await _turns(lambda: stage.clock.sleepers == 1)
            assert stage.revived == 1 + tries
            await stage.clock.advance(pause)
            pause = min(2 * pause, LONGEST)
        stage.refuses = False
        await _turns(lambda: stage.clock.sleepers == 1)
        await stage.clock.advance(pause)
        await stage.mirror.reached(10)

    on_stage(story)


def test_what_is_known_can_be_looked_at_while_the_keeper_is_away(on_stage: OnStage) -> None:
    async def story(stage: Stage) -> None:
        stage.refuses = True
        await stage.kill()
        await _turns(lambda: stage.clock.sleepers == 1)
        await stage.mirror.reached(0.01, once=True)
        with pytest.raises(Unavailable) as caught:
            await stage.mirror.reached(0.01)
        assert caught.value.reason == "KeeperGone"

    on_stage(story)


async def _turns(until: Callable[[], bool]) -> None:
    """Lets others work until something holds."""
    for _ in range(10_000):
        await asyncio.to_thread(lambda: None)
        if until():
            return
    raise AssertionError("it never came true")
