"""One watch for each backend: it asks, and asks again when there is a reason to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from mooring.clock import SystemClock
from mooring.core.address import Address
from mooring.core.aggregate_items import Lists
from mooring.core.table import Entry, Upstream
from mooring.errors import Denied, Unavailable
from mooring.kinds.ref import Ref
from mooring.virtual.catalogs import Catalogs, Watch, settled
from mooring.virtual.errands import Errands
from mooring.virtual.exploring import Offer

Run = Callable[[Any], Any]
REF = Ref("MCPServer", "default", "notes")


def entry(*uids: str) -> Entry:
    upstreams = tuple(Upstream(uid, uid, Address("127.0.0.1", 1, "/")) for uid in uids)
    return Entry(
        ref=REF, paths=(), upstreams={each.uid: each for each in upstreams}, preferred=upstreams,
        last_resort=(), phase="Ready", sentence="nobody is there", wanted=1, ready=1,
    )  # fmt: skip


class Talk:
    """A conversation that says what the test wants said."""

    def __init__(self, world: "World", entry: Entry) -> None:
        self.world = world
        self.entry = entry
        self.uid = ""
        self.ended = False

    async def begin(self) -> None:
        self.world.begun += 1
        if self.world.refusal is not None:
            raise self.world.refusal
        self.uid = self.entry.standing[0].uid

    async def offer(self) -> Offer:
        self.world.asked += 1
        tools = [b'{"name":"%b","inputSchema":{"type":"object"}}' % t for t in self.world.tools]
        return Offer(Lists(tools=tools))

    async def changes(self) -> AsyncIterator[str]:
        while True:
            yield await self.world.changes.get()

    async def end(self) -> None:
        self.ended = True


class World:
    """A backend, and who watches it."""

    def __init__(self) -> None:
        self.tools = [b"a"]
        self.refusal: Exception | None = None
        self.changes: asyncio.Queue[str] = asyncio.Queue()
        self.begun = self.asked = 0
        self.told: list[tuple[str, ...]] = []
        self.talks: list[Talk] = []
        self.errands = Errands()
        self.catalogs = Catalogs(self.errands, self.converse, SystemClock(), self.heard)

    def converse(self, entry: Entry, *_: Any) -> Any:
        self.talks.append(Talk(self, entry))
        return self.talks[-1]

    def heard(self, server: Ref, said: Any) -> None:
        assert server == REF
        self.told.append(tuple(said))

    async def until(self, true: Callable[[], Any]) -> None:
        while not true():
            await SystemClock().sleep(0.005)


def tale(run: Run, story: Callable[[World], Any]) -> None:
    async def told() -> None:
        world = World()
        async with asyncio.TaskGroup() as group:
            world.errands.begin(group)
            await asyncio.wait_for(story(world), 10)
            world.catalogs.swap({})
            world.errands.begin(None)

    run(told())


def names(watch: Watch) -> list[str]:
    return [item.name for item in watch.catalog.tools] if watch.catalog else []


def test_a_backend_is_asked_once_however_many_watch(run: Run) -> None:
    async def story(world: World) -> None:
        watches = [world.catalogs.watch(entry("u"), "session") for _ in range(5)]
        await settled(watches, 5)
        assert names(watches[0]) == ["a"]
        assert (world.begun, world.asked, len(set(map(id, watches)))) == (1, 1, 1)
        assert world.told == [()]

    tale(run, story)


def test_a_change_is_looked_at_again_and_told_with_what_was_said(run: Run) -> None:
    async def story(world: World) -> None:
        watch = world.catalogs.watch(entry("u"), "session")
        await settled([watch], 5)
        world.tools.append(b"b")
        world.changes.put_nowait("tools")
        world.changes.put_nowait("tools")
        await world.until(lambda: names(watch) == ["a", "b"])
        world.changes.put_nowait("prompts")  # it says so, though nothing is different
        await world.until(lambda: ("prompts",) in world.told)
        assert world.begun == 1

    tale(run, story)


def test_another_instance_is_asked_when_the_first_is_gone(run: Run) -> None:
    async def story(world: World) -> None:
        watch = world.catalogs.watch(entry("u"), "session")
        await settled([watch], 5)
        world.tools = [b"z"]
        world.catalogs.swap({REF: entry("v")})
        await world.until(lambda: names(watch) == ["z"])
        assert world.talks[0].ended

    tale(run, story)


def test_what_is_known_stays_while_a_backend_fails_and_goes_when_it_wants_a_login(run: Run) -> None:
    async def story(world: World) -> None:
        watch = world.catalogs.watch(entry("u"), "session")
        await settled([watch], 5)
        world.refusal = Unavailable("UpstreamReset", "cut")
        world.catalogs.swap({REF: entry("v")})
        await world.until(lambda: watch.problem == "cut")
        assert names(watch) == ["a"]
        world.refusal = Denied("LoginNeeded", "who are you")
        world.catalogs.swap({REF: entry("w")})
        await world.until(lambda: watch.denied)
        assert names(watch) == []
        world.refusal = None
        world.catalogs.swap({REF: entry("x")})
        await world.until(lambda: names(watch) == ["a"])
        assert not watch.denied

    tale(run, story)


def test_one_that_does_not_speak_of_an_era_is_not_asked_again_and_again(run: Run) -> None:
    async def story(world: World) -> None:
        world.refusal = Unavailable("UpstreamError", "Method not found")
        watch = world.catalogs.watch(entry("u"), "stateless")
        await settled([watch], 5)
        for _ in range(3):
            world.catalogs.swap({REF: entry("u")})
            await SystemClock().sleep(0.01)
        assert world.begun == 1
        world.refusal = None
        world.catalogs.swap({REF: entry("v")})
        await world.until(lambda: names(watch) == ["a"])

    tale(run, story)


def test_an_error_that_nobody_thought_of_ends_no_watch(run: Run) -> None:
    async def story(world: World) -> None:
        world.refusal = KeyError("surprise")
        watch = world.catalogs.watch(entry("u"), "session")
        await settled([watch], 5)
        assert watch.problem == "see the log of Mooring"
        world.refusal = None
        world.catalogs.swap({REF: entry("v")})
        await world.until(lambda: names(watch) == ["a"])

    tale(run, story)


def test_a_backend_without_instances_is_missing_in_its_own_words(run: Run) -> None:
    async def story(world: World) -> None:
        watch = world.catalogs.watch(entry(), "session")
        await settled([watch], 5)
        assert (watch.problem, world.begun) == ("nobody is there", 0)

    tale(run, story)


def test_all_conversations_end_in_the_end(run: Run) -> None:
    async def story(world: World) -> None:
        watch = world.catalogs.watch(entry("u"), "session")
        await settled([watch], 5)
        await world.catalogs.farewell()
        assert world.talks[0].ended

    tale(run, story)
