"""What every store of session records does, seen through two doors of it at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from mooring.clock import SystemClock
from mooring.core.session_record import Gap, Held, Moved, SessionStore, Until
from mooring.errors import Conflict, MooringError

Test = Callable[[SessionStore, SessionStore], Coroutine[Any, Any, None]]
KEY, OTHER = b"k" * 16, bytes(range(240, 256))
CLOCK = SystemClock()
NOW = CLOCK.now().timestamp()
IDLE, ABSOLUTE = NOW + 1800, NOW + 86400
UNTIL = Until(IDLE, ABSOLUTE)
BOUND = 10.0
"""Seconds that anything may take to arrive."""


@pytest.fixture
def on_store(open_sessions: Any, run: Any) -> Callable[[Test], None]:
    """Runs a test on a store of each sort, opened twice as by two gateways."""

    async def opened(test: Test) -> None:
        async with open_sessions() as one, open_sessions() as other:
            await test(one, other)

    return lambda test: run(opened(test))


async def refused(work: Awaitable[Any], family: type[MooringError], reason: str) -> None:
    with pytest.raises(family) as caught:
        await work
    assert caught.value.reason == reason


async def told(changes: AsyncIterator[Moved | Gap]) -> Moved | Gap:
    async with asyncio.timeout(BOUND):
        return await anext(changes)


async def swept(store: SessionStore, now: float, limit: int = 100) -> list[tuple[bytes, bytes]]:
    held = await store.sweep(now, limit)
    assert all(each.ended for each in held)
    return sorted((each.key, each.value) for each in held)


# create and read


def test_a_record_is_read_as_it_was_made(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        made = await one.create(KEY, b"\x00sealed\xff", UNTIL)
        assert (made.key, made.value, made.ended) == (KEY, b"\x00sealed\xff", False)
        assert (made.until.idle, made.until.absolute) == pytest.approx((IDLE, ABSOLUTE), abs=0.01)
        assert await one.read(KEY) == await other.read(KEY) == made

    on_store(test)


def test_what_was_never_made_is_not_there(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        await one.create(KEY, b"v", UNTIL)
        assert await other.read(OTHER) is None

    on_store(test)


def test_a_record_is_made_once(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        made = await one.create(KEY, b"first", UNTIL)
        await refused(other.create(KEY, b"second", UNTIL), Conflict, "AlreadyExists")
        assert await one.read(KEY) == made

    on_store(test)


def test_values_may_be_large_and_many(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        values = {b"%016d" % n: bytes([n]) * 100_000 for n in range(20)}
        await asyncio.gather(*(one.create(key, v, UNTIL) for key, v in values.items()))
        found = await asyncio.gather(*(other.read(key) for key in values))
        assert [held.value for held in found if held] == list(values.values())

    on_store(test)


# replace


def test_a_record_is_replaced_by_whom_knows_its_revision(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        made = await one.create(KEY, b"a", UNTIL)
        second = await other.replace(KEY, b"b", made.revision)
        third = await one.replace(KEY, b"c", second.revision)
        assert len({made.revision, second.revision, third.revision}) == 3
        assert await other.read(KEY) == third == Held(KEY, b"c", third.revision, made.until)

    on_store(test)


def test_a_stale_replacement_changes_nothing(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        made = await one.create(KEY, b"a", UNTIL)
        second = await one.replace(KEY, b"b", made.revision)
        for revision in (made.revision, second.revision + 1, 0, -1):
            await refused(other.replace(KEY, b"x", revision), Conflict, "StaleVersion")
        assert await one.read(KEY) == second

    on_store(test)


def test_of_replacements_of_one_revision_one_wins(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        made = await one.create(KEY, b"a", UNTIL)
        tries = (
            store.replace(KEY, b"%d" % n, made.revision)
            for n, store in enumerate([one, other] * 10)
        )
        results = await asyncio.gather(*tries, return_exceptions=True)
        won = [each for each in results if isinstance(each, Held)]
        lost = [each for each in results if isinstance(each, Conflict)]
        assert (len(won), len(lost)) == (1, 19)
        assert await one.read(KEY) == won[0]

    on_store(test)


def test_an_absent_record_is_never_replaced(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        await refused(one.replace(KEY, b"x", 0), Conflict, "StaleVersion")
        assert await other.read(KEY) is None

    on_store(test)


# tombstones


def test_an_ended_record_leaves_a_tombstone_without_its_value(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        made = await one.create(KEY, b"secret", UNTIL)
        last = await one.end(KEY, ABSOLUTE)
        assert last is not None
        assert (last.value, last.ended) == (b"secret", True)
        found = await other.read(KEY)
        assert found is not None
        assert (found.value, found.ended, found.is_over(NOW)) == (b"", True, True)
        assert found.revision != made.revision

    on_store(test)


def test_a_session_ends_once(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        await one.create(KEY, b"v", UNTIL)
        results = await asyncio.gather(*(s.end(KEY, ABSOLUTE) for s in [one, other] * 5))
        assert sum(result is not None for result in results) == 1

    on_store(test)


def test_a_tombstone_is_never_replaced_nor_made_anew(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        made = await one.create(KEY, b"v", UNTIL)
        await one.end(KEY, ABSOLUTE)
        tombstone = await one.read(KEY)
        assert tombstone is not None
        for revision in (made.revision, tombstone.revision, tombstone.revision + 1):
            await refused(other.replace(KEY, b"x", revision), Conflict, "StaleVersion")
        await refused(other.create(KEY, b"x", UNTIL), Conflict, "AlreadyExists")
        assert await other.touch([KEY], IDLE + 500) == (KEY,)
        assert await one.end(KEY, ABSOLUTE + 500) is None
        assert await one.read(KEY) == tombstone

    on_store(test)


def test_a_session_without_a_record_can_end_too(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        last = await one.end(KEY, ABSOLUTE)
        assert last is not None
        assert (last.value, last.ended) == (b"", True)
        found = await other.read(KEY)
        assert found is not None
        assert found.ended
        await refused(other.create(KEY, b"x", UNTIL), Conflict, "AlreadyExists")
        assert await other.end(KEY, ABSOLUTE) is None

    on_store(test)


def test_an_end_beats_every_replacement(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        made = await one.create(KEY, b"v", UNTIL)
        work = (one.end(KEY, ABSOLUTE), other.replace(KEY, b"x", made.revision))
        await asyncio.gather(*work, return_exceptions=True)
        found = await one.read(KEY)
        assert found is not None
        assert found.ended

    on_store(test)


# expiry


def test_what_is_not_over_is_not_swept(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        made = await one.create(KEY, b"v", UNTIL)
        assert not await one.due(IDLE - 1)
        assert await one.sweep(IDLE - 1, 10) == ()
        assert await other.read(KEY) == made
        assert not made.is_over(IDLE - 1)
        assert made.is_over(IDLE + 1)

    on_store(test)


def test_an_idle_record_is_swept_to_one_caller_and_stays_ended(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        await one.create(KEY, b"v", UNTIL)
        assert await one.due(IDLE + 1)
        both = await asyncio.gather(swept(one, IDLE + 1), swept(other, IDLE + 1))
        assert sorted(both) == [[], [(KEY, b"v")]]
        assert not await one.due(IDLE + 1)
        await refused(other.create(KEY, b"x", UNTIL), Conflict, "AlreadyExists")

    on_store(test)


def test_a_touched_record_lives_on_and_keeps_its_revision(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        made = await one.create(KEY, b"v", UNTIL)
        assert await other.touch([KEY, OTHER], IDLE + 600) == (OTHER,)
        found = await one.read(KEY)
        assert found is not None
        assert found.revision == made.revision
        assert found.until.idle == pytest.approx(IDLE + 600, abs=0.01)
        assert await swept(one, IDLE + 599) == []
        assert await swept(one, IDLE + 601) == [(KEY, b"v")]

    on_store(test)


def test_a_touch_never_shortens_a_life(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        made = await one.create(KEY, b"v", UNTIL)
        assert await other.touch([KEY], IDLE - 600) == ()
        assert await one.read(KEY) == made
        assert await one.touch([], IDLE) == ()

    on_store(test)


def test_a_replaced_record_keeps_its_times(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        made = await one.create(KEY, b"v", UNTIL)
        await one.touch([KEY], IDLE + 600)
        await one.replace(KEY, b"w", made.revision)
        assert await swept(other, IDLE + 599) == []
        assert await swept(other, IDLE + 601) == [(KEY, b"w")]

    on_store(test)


def test_at_its_absolute_time_a_record_is_over_however_busy(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        await one.create(KEY, b"v", UNTIL)
        await one.touch([KEY], ABSOLUTE + 5000)
        assert await swept(other, ABSOLUTE + 1) == [(KEY, b"v")]

    on_store(test)


def test_a_tombstone_is_kept_to_the_absolute_time_and_then_forgotten(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        await one.create(KEY, b"v", UNTIL)
        await one.end(KEY, ABSOLUTE - 5000)
        await one.end(OTHER, ABSOLUTE)
        assert await swept(one, ABSOLUTE - 1) == []
        assert await other.read(KEY) is not None
        assert await other.due(ABSOLUTE + 1)
        assert await swept(other, ABSOLUTE + 1) == []
        assert [await one.read(key) for key in (KEY, OTHER)] == [None, None]
        assert not await other.due(ABSOLUTE + 1)

    on_store(test)


def test_a_sweep_has_a_limit(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        keys = [b"%016d" % n for n in range(25)]
        await asyncio.gather(*(one.create(key, key, UNTIL) for key in keys))
        rounds = [await swept(other, IDLE + 1, 10) for _ in range(4)]
        assert [len(each) for each in rounds] == [10, 10, 5, 0]
        assert sorted(pair for each in rounds for pair in each) == [(key, key) for key in keys]

    on_store(test)


# changes


def test_changes_are_told_at_every_door_in_order(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        feeds = (one.changes(), other.changes())
        assert [await told(feed) for feed in feeds] == [Gap(), Gap()]
        made = await one.create(KEY, b"a", UNTIL)
        second = await other.replace(KEY, b"b", made.revision)
        await one.touch([KEY], IDLE + 1)
        await one.end(KEY, ABSOLUTE)
        last = await one.read(KEY)
        assert last is not None
        expected = [
            Moved(KEY, made.revision, False),
            Moved(KEY, second.revision, False),
            Moved(KEY, last.revision, True),
        ]
        for feed in feeds:
            heard = [await told(feed)]
            while heard[-1] != expected[-1]:
                heard.append(await told(feed))
            # a change that another has overtaken need not be told
            assert [each for each in expected if each in heard] == heard
            await feed.aclose()  # type: ignore[attr-defined]

    on_store(test)


def test_what_was_refused_is_not_told(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        made = await one.create(KEY, b"a", UNTIL)
        feed = one.changes()
        assert await told(feed) == Gap()
        await refused(one.create(KEY, b"x", UNTIL), Conflict, "AlreadyExists")
        await refused(other.replace(KEY, b"x", made.revision + 1), Conflict, "StaleVersion")
        await one.touch([KEY, OTHER], IDLE + 60)
        witness = await other.create(OTHER, b"b", UNTIL)
        assert await told(feed) == Moved(OTHER, witness.revision, False)
        await feed.aclose()  # type: ignore[attr-defined]

    on_store(test)


def test_what_is_swept_is_told(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        await one.create(KEY, b"a", UNTIL)
        feed = other.changes()
        assert await told(feed) == Gap()
        await one.sweep(IDLE + 1, 10)
        tombstone = await one.read(KEY)
        assert tombstone is not None
        assert await told(feed) == Moved(KEY, tombstone.revision, True)
        await feed.aclose()  # type: ignore[attr-defined]

    on_store(test)


def test_a_listener_can_give_up_while_it_waits(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        feed = one.changes()
        assert await told(feed) == Gap()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(feed)
        assert (await other.create(KEY, b"v", UNTIL)).key == KEY

    on_store(test)


# lease


def test_a_lease_has_one_holder_until_it_is_given_back(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        assert await one.lease("sweep", "a", 60)
        assert not await other.lease("sweep", "b", 60)
        assert await one.lease("sweep", "a", 60)
        assert await other.lease("something else", "b", 60)
        assert not await other.lease("sweep", "b", 0)
        assert await one.lease("sweep", "a", 0)
        assert await other.lease("sweep", "b", 60)
        assert not await one.lease("sweep", "a", 60)

    on_store(test)


def test_a_lease_runs_out(on_store: Any) -> None:
    async def test(one: SessionStore, other: SessionStore) -> None:
        assert await one.lease("sweep", "a", 0.05)
        async with asyncio.timeout(BOUND):
            while not await other.lease("sweep", "b", 60):
                await CLOCK.sleep(0.01)
        assert not await one.lease("sweep", "a", 60)

    on_store(test)
