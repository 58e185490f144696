"""Numbers for the long poll: nothing is missed, nothing is told for ever."""

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mooring.keeper.news import News

Run = Callable[[Any], Any]
EVENTS = st.lists(st.tuples(st.booleans(), st.sampled_from("abcde")), max_size=30)


def tell(news: News, events: list[tuple[bool, str]]) -> None:
    for gone, uid in events:
        (news.gone if gone else news.changed)(uid)


@given(EVENTS, EVENTS)
def test_who_asks_is_told_what_changed_since_and_nothing_else(
    before: list[tuple[bool, str]], after: list[tuple[bool, str]]
) -> None:
    news = News(100)
    tell(news, before)
    number = news.sequence
    tell(news, after)
    changed, gone = news.since(number)
    last = {uid: went for went, uid in after}
    assert changed == sorted(uid for uid, went in last.items() if not went)
    assert set(gone) == {uid for went, uid in after if went}


@given(EVENTS)
def test_numbers_only_grow(events: list[tuple[bool, str]]) -> None:
    news, seen = News(5), [5]
    for event in events:
        tell(news, [event])
        seen.append(news.sequence)
    assert seen == sorted(set(seen))


def test_a_number_of_an_earlier_keeper_is_told_everything() -> None:
    older = News(1_000_000)
    tell(older, [(False, "x")] * 50)
    news = News(2_000_000)
    tell(news, [(False, "a")])
    assert news.since(older.sequence)[0] == ["a"]


def test_a_number_from_the_future_is_told_everything() -> None:
    news = News(10)
    tell(news, [(False, "a"), (False, "b")])
    assert news.since(10**9)[0] == ["a", "b"]


def test_those_gone_are_not_remembered_for_ever() -> None:
    news = News(0)
    for number in range(5000):
        news.changed(str(number))
        news.gone(str(number))
    changed, gone = news.since(0)
    assert changed == []
    assert len(gone) == 1000
    assert "4999" in gone


def test_a_wait_ends_with_the_next_change(run: Run) -> None:
    async def story() -> None:
        news = News(10)
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(news.wait(10, 60, never)) for _ in range(3)]
            tasks.create_task(asyncio.to_thread(int)).add_done_callback(lambda _: news.changed("a"))
        assert all(wait.done() for wait in waits)
        assert news.since(10) == (["a"], [])

    run(story())


def test_nobody_waits_for_what_has_happened_already(run: Run) -> None:
    async def story() -> None:
        news = News(10)
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        news.changed("a")
        await news.wait(10, 60, never)
        await news.wait(10**9, 60, never)

    run(story())


def test_a_wait_ends_when_its_time_is_up(run: Run) -> None:
    async def story() -> None:
        news = News(10)
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await news.wait(10, 0.01, never)
        assert news.since(10) == ([], [])
        assert not never.done()

    run(story())


def test_a_wait_ends_when_the_asker_has_gone(run: Run) -> None:
    async def story() -> None:
        news = News(10)
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone.set_result(None)
        await news.wait(10, 60, gone)

    run(story())
