"""News of servers."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from mooring.kinds.ref import Ref
from mooring.runtimes.feed import Feed

Run = Callable[[Coroutine[Any, Any, None]], None]
A, B = Ref("MCPServer", "default", "a"), Ref("MCPServer", "default", "b")


def test_everyone_hears_what_is_told_after_they_began_to_listen(run: Run) -> None:
    async def story() -> None:
        feed = Feed()
        feed.tell(A)
        first, second = feed.changes(), feed.changes()
        feed.tell(B)
        feed.tell(A)
        assert [await anext(first), await anext(first)] == [B, A]
        assert [await anext(second), await anext(second)] == [B, A]

    run(story())


def test_a_server_told_often_is_heard_once(run: Run) -> None:
    async def story() -> None:
        feed = Feed()
        news = feed.changes()
        for _ in range(1000):
            feed.tell(A)
        feed.tell(B)
        assert [await anext(news), await anext(news)] == [A, B]

    run(story())


def test_a_listener_waits_for_news(run: Run) -> None:
    async def story() -> None:
        feed = Feed()
        news = feed.changes()
        async with asyncio.TaskGroup() as tasks:
            heard = tasks.create_task(anext(news))  # type: ignore[arg-type]  # a coroutine in fact
            await asyncio.wait([heard], timeout=0)
            assert not heard.done()
            feed.tell(A)
        assert heard.result() == A

    run(story())
