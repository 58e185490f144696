"""One runtime over two."""

from collections.abc import Callable, Coroutine
from typing import Any

from mooring.core.actions import Start, Stop
from mooring.core.workload import Workload
from mooring.kinds.ref import Ref
from mooring.kinds.server import Source
from mooring.runtimes.choice import RuntimeChoice
from mooring.runtimes.feed import Feed
from mooring.runtimes.remote import RemoteRuntime
from mooring.testing.clock import FakeClock
from mooring.testing.runtime import FakeRuntime

Run = Callable[[Coroutine[Any, Any, None]], None]
NEAR, FAR = Ref("MCPServer", "default", "a"), Ref("MCPServer", "default", "b")
COMMAND, URL = Source(command=("x",)), Source(url="https://example.com/mcp")


def start(ref: Ref, source: Source, name: str) -> Start:
    return Start(ref, name, Workload(ref, "c1", source))


def test_the_source_decides_where_an_instance_runs(run: Run) -> None:
    async def story() -> None:
        here, feed = FakeRuntime(FakeClock()), Feed()
        both = RuntimeChoice(here, RemoteRuntime(feed), feed)
        await both.perform(start(NEAR, COMMAND, "a-0"))
        await both.perform(start(FAR, URL, "b-0"))
        assert await here.owners() == (NEAR,)
        assert await both.owners() == (NEAR, FAR)
        assert (await both.observe(FAR))[0].address == "https://example.com/mcp"

    run(story())


def test_a_server_that_moved_is_seen_in_both_places_until_it_is_stopped(run: Run) -> None:
    async def story() -> None:
        here, feed = FakeRuntime(FakeClock()), Feed()
        both = RuntimeChoice(here, RemoteRuntime(feed), feed)
        await both.perform(start(NEAR, URL, "a-1"))
        await both.perform(start(NEAR, COMMAND, "a-0"))
        seen = await both.observe(NEAR)
        assert [one.name for one in seen] == ["a-0", "a-1"]
        for one in seen:
            await both.perform(Stop(NEAR, one.name, one.uid, "test"))
        assert await both.observe(NEAR) == ()

    run(story())


def test_changes_of_both_are_heard(run: Run) -> None:
    async def story() -> None:
        feed = Feed()
        both = RuntimeChoice(FakeRuntime(FakeClock()), RemoteRuntime(feed), feed)
        news = both.changes()
        await both.perform(start(FAR, URL, "b-0"))
        assert await anext(news) == FAR

    run(story())
