"""Session records in a real Redis that has a password, speaks TLS, hangs, ends and comes back."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.certificates import certificate
from support.redis_here import RedisHere, redis_here

from mooring.clock import SystemClock
from mooring.core.session_record import Gap, Held, Moved, SessionStore, Until
from mooring.errors import Unavailable
from mooring.stores import sessions_redis
from mooring.stores.redis_address import parse
from mooring.stores.sessions_redis import RedisSessions, open_redis

pytestmark = pytest.mark.process
CLOCK = SystemClock()
KEY = b"k" * 16
NOW = CLOCK.now().timestamp()
UNTIL = Until(NOW + 1800, NOW + 86400)
SECRET = "hush-hush"
BOUND = 15.0


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with redis_here(tmp_path / "redis", password=SECRET) as here:
        yield here


def opened(server: RedisHere, password: str = SECRET) -> Any:
    return open_redis(parse(server.url, password), CLOCK)


async def away(work: Awaitable[Any], words: str) -> str:
    with pytest.raises(Unavailable, match=words) as caught:
        await work
    assert caught.value.reason == "SessionStoreUnavailable"
    return caught.value.message


async def until_back(store: SessionStore) -> Held | None:
    async with asyncio.timeout(BOUND):
        while True:
            try:
                return await store.read(KEY)
            except Unavailable:
                await CLOCK.sleep(0.02)


async def listening(store: SessionStore) -> AsyncIterator[Moved | Gap]:
    """A feed of changes, as a gateway has it that listens again whenever it must."""
    while True:
        try:
            async for told in store.changes():
                yield told
        except Unavailable:
            await CLOCK.sleep(0.02)


@asynccontextmanager
async def heard(store: SessionStore) -> AsyncIterator[AsyncIterator[Moved | Gap]]:
    feed = listening(store)
    try:
        assert await anext(feed) == Gap()
        yield feed
    finally:
        await feed.aclose()  # type: ignore[attr-defined]


def test_a_password_is_needed_and_never_shown(
    server: RedisHere, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def test() -> None:
        async with opened(server) as store:
            assert (await store.create(KEY, b"v", UNTIL)).value == b"v"
        for wrong in ("", f"{SECRET}-not"):
            async with opened(server, wrong) as store:
                said = await away(store.read(KEY), "password")
                assert SECRET not in said

    run(test())
    assert SECRET not in caplog.text


def test_tls_trusts_who_shows_the_right_certificate(tmp_path: Path, run: Any) -> None:
    other = tmp_path / "other"
    other.mkdir()
    foreign = certificate(other, "127.0.0.1")

    async def test(server: RedisHere) -> None:
        right = parse(server.url, SECRET)
        async with open_redis(right, CLOCK) as store:
            made = await store.create(KEY, b"v", UNTIL)
            async with heard(store) as feed:
                await store.replace(KEY, b"w", made.revision)
                assert await anext(feed) == Moved(KEY, made.revision + 1, False)
        for wrong in (replace(right, ca=str(foreign)), replace(right, host="localhost")):
            async with open_redis(wrong, CLOCK) as store:
                await away(store.read(KEY), "certificate")
        async with open_redis(replace(right, tls=False), CLOCK) as store:
            await away(store.read(KEY), "cannot be reached")

    with redis_here(tmp_path / "redis", password=SECRET, tls=True) as server:
        run(test(server))


def test_what_it_holds_is_there_again_after_a_stop(server: RedisHere, run: Any) -> None:
    async def test() -> None:
        async with opened(server) as store, heard(store) as feed:
            made = await store.create(KEY, b"v", UNTIL)
            await store.end(b"other", UNTIL.absolute)
            server.stop()
            await away(store.read(KEY), "cannot be reached")
            await away(store.create(b"new", b"v", UNTIL), "cannot be reached")
            server.start()
            assert await until_back(store) == made
            tombstone = await store.read(b"other")
            assert tombstone is not None
            assert tombstone.ended
            seen = [await anext(feed) for _ in range(3)]
            assert seen[2] == Gap()

    run(test())


def test_one_that_comes_back_empty_is_noticed(server: RedisHere, run: Any) -> None:
    async def test() -> None:
        async with opened(server) as store, heard(store) as feed:
            before = await store.create(KEY, b"v", UNTIL)
            assert await anext(feed) == Moved(KEY, before.revision, False)
            server.kill()
            server.start(empty=True)
            assert await until_back(store) is None
            assert await anext(feed) == Gap()
            assert await store.touch([KEY], UNTIL.idle) == (KEY,)
            after = await store.create(KEY, b"v", UNTIL)
            assert after.revision != before.revision

    run(test())


def test_one_that_was_flushed_is_noticed(server: RedisHere, run: Any) -> None:
    async def test() -> None:
        async with opened(server) as store:
            await store.create(KEY, b"v", UNTIL)
            assert await store.touch([KEY], UNTIL.idle) == ()
            server.ask("FLUSHALL")
            assert await store.touch([KEY], UNTIL.idle) == (KEY,)
            assert not await store.due(UNTIL.absolute + 1)

    run(test())


def test_waiting_for_one_that_hangs_is_bounded(
    server: RedisHere, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_redis, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(sessions_redis, "AWAY_SECONDS", 0.5)

    async def test() -> None:
        async with opened(server) as store:
            made = await store.create(KEY, b"v", UNTIL)
            server.hang()
            began = time.monotonic()
            reads = [away(store.read(KEY), "does not answer") for _ in range(50)]
            await asyncio.gather(*reads)
            assert time.monotonic() - began < 2
            began = time.monotonic()
            await away(store.read(KEY), "does not answer")
            assert time.monotonic() - began < 0.1
            await CLOCK.sleep(0.5)
            async with asyncio.TaskGroup() as tasks:  # one asks again, nobody waits for it
                asking = tasks.create_task(away(store.read(KEY), "does not answer"))
                await CLOCK.sleep(0)
                await asyncio.gather(*(away(store.read(KEY), "not answer") for _ in range(9)))
                assert not asking.done()
            server.go_on()
            assert await until_back(store) == made

    run(test())


def test_a_listener_of_one_that_hangs_gives_up_and_hears_of_a_gap(
    server: RedisHere, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_redis, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(sessions_redis, "QUIET_SECONDS", 0.2)

    async def test() -> None:
        async with opened(server) as store:
            feed = store.changes()
            assert await anext(feed) == Gap()
            server.hang()
            async with asyncio.timeout(BOUND):
                await away(anext(feed), "session store")
            server.go_on()
            async with heard(store):
                assert await until_back(store) is None

    run(test())


def test_a_quiet_listener_stays(
    server: RedisHere, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_redis, "QUIET_SECONDS", 0.05)

    async def test() -> None:
        async with opened(server) as store, heard(store) as feed:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await anext(feed)
        async with opened(server) as store, heard(store) as feed:
            async with asyncio.TaskGroup() as tasks:
                hearing = tasks.create_task(anext(feed))  # type: ignore[arg-type]
                await CLOCK.sleep(0.3)
                made = await store.create(KEY, b"v", UNTIL)
            assert hearing.result() == Moved(KEY, made.revision, False)

    run(test())


def test_a_connection_that_was_cut_is_a_gap(server: RedisHere, run: Any) -> None:
    async def test() -> None:
        async with opened(server) as store, heard(store) as feed:
            assert server.ask("CLIENT", "KILL", "TYPE", "pubsub").startswith(b":1")
            async with asyncio.timeout(BOUND):
                assert await anext(feed) == Gap()

    run(test())


def test_a_write_whose_answer_was_lost_can_be_done_again(server: RedisHere, run: Any) -> None:
    async def test() -> None:
        async with opened(server) as store:
            made = await store.create(KEY, b"v", UNTIL)
            assert await store.create(KEY, b"v", UNTIL) == made
            after = await store.replace(KEY, b"w", made.revision)
            assert await store.replace(KEY, b"w", made.revision) == after

    run(test())


def test_prefixes_keep_installations_apart(server: RedisHere, run: Any) -> None:
    async def test() -> None:
        address = parse(server.url, SECRET)
        async with (
            open_redis(replace(address, prefix="a"), CLOCK) as one,
            open_redis(replace(address, prefix="b"), CLOCK) as other,
            heard(other) as feed,
        ):
            await one.create(KEY, b"v", UNTIL)
            assert await one.lease("sweep", "a", 60)
            assert await other.read(KEY) is None
            assert await other.sweep(UNTIL.absolute, 10) == ()
            assert await other.lease("sweep", "b", 60)
            witness = await other.create(KEY, b"w", UNTIL)
            assert await anext(feed) == Moved(KEY, witness.revision, False)

    run(test())


def test_nothing_is_kept_for_ever(server: RedisHere, run: Any) -> None:
    async def test() -> None:
        async with opened(server) as store:
            await store.create(KEY, b"v", UNTIL)
            await store.end(b"other", UNTIL.absolute)
            await store.create(b"third", b"v", UNTIL)
            await store.sweep(UNTIL.idle + 1, 1)
            names = [name for name in server.ask("KEYS", "*").split() if b":s:" in name]
            assert len(names) == 3
            longest = (86400 + sessions_redis.KEEP_SECONDS + 5) * 1000
            for name in names:
                left = int(server.ask("PTTL", name.decode())[1:])
                assert sessions_redis.KEEP_SECONDS * 1000 < left <= longest

    run(test())


def test_a_full_redis_says_so(server: RedisHere, run: Any) -> None:
    async def test() -> None:
        async with opened(server) as store:
            made = await store.create(KEY, b"v", UNTIL)
            server.ask("CONFIG", "SET", "maxmemory", "1")
            await away(store.create(b"new", b"v", UNTIL), "refuses: .*memory")
            server.ask("CONFIG", "SET", "maxmemory", "0")
            assert await store.read(KEY) == made

    run(test())


def test_a_replica_says_so(server: RedisHere, run: Any) -> None:
    async def test() -> None:
        async with opened(server) as store:
            server.ask("REPLICAOF", "127.0.0.1", "1")
            await away(store.create(KEY, b"v", UNTIL), "takes no writes")
            server.ask("REPLICAOF", "NO", "ONE")
            assert (await store.create(KEY, b"v", UNTIL)).value == b"v"

    run(test())


def test_a_closed_store_ends_who_listens(server: RedisHere, run: Any) -> None:
    async def test() -> None:
        async with opened(server) as store:
            feed = store.changes()
            assert await anext(feed) == Gap()
            async with asyncio.TaskGroup() as tasks:
                hearing = tasks.create_task(away(anext(feed), "closed|reached"))
                await CLOCK.sleep(0)
                await store.close()
            assert hearing.done()
            await away(store.read(KEY), "closed")

    run(test())


def test_in_a_cluster_it_follows_to_the_node_that_has_our_slot(tmp_path: Path, run: Any) -> None:
    async def test(one: RedisHere, other: RedisHere) -> None:
        async with open_redis(parse(one.url), CLOCK) as store:
            assert isinstance(store, RedisSessions)
            slot = one.ask("CLUSTER", "KEYSLOT", "{mooring}:due")[1:-2].decode()
            there = other.ask("CLUSTER", "MYID").split()[1].decode()
            one.ask("CLUSTER", "MEET", "127.0.0.1", str(other.port))
            async with asyncio.timeout(BOUND):
                while there.encode() not in one.ask("CLUSTER", "NODES"):
                    await CLOCK.sleep(0.02)
                while b"cluster_state:ok" not in other.ask("CLUSTER", "INFO"):
                    await CLOCK.sleep(0.02)
            for node in (other, one):
                assert node.ask("CLUSTER", "SETSLOT", slot, "NODE", there) == b"+OK\r\n"
            made = await store.create(KEY, b"v", UNTIL)
            assert await store.read(KEY) == made
            assert b":s:" in other.ask("KEYS", "*")
            other.kill()
            await away(store.read(KEY), "cannot be reached")
            for _ in range(2):  # the first node is asked again, and says who has the slot
                await away(store.read(KEY), "cannot be reached|is down")

    with (
        redis_here(tmp_path / "one", cluster=True) as one,
        redis_here(tmp_path / "other", cluster=True, slots=False) as other,
    ):
        run(test(one, other))


def test_a_user_needs_no_more_rights_than_the_guide_says(
    server: RedisHere, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_redis, "QUIET_SECONDS", 0.05)
    guide = (Path(__file__).resolve().parents[2] / "docs/guides/session-stores.md").read_text()
    granted = re.search(r"ACL user needs `([^`]+)`\s+on `([^`]+)` and `([^`]+)`", guide)
    assert granted
    rights = " ".join(granted.groups()).split()
    assert server.ask("ACL", "SETUSER", "moor", "reset", "on", ">pw", *rights) == b"+OK\r\n"

    async def test() -> None:
        address = replace(parse(server.url, "pw"), username="moor")
        async with open_redis(address, CLOCK) as store, heard(store) as feed:
            made = await store.create(KEY, b"v", UNTIL)
            assert await anext(feed) == Moved(KEY, made.revision, False)
            await store.replace(KEY, b"w", made.revision)
            assert await store.touch([KEY], UNTIL.idle + 1) == ()
            assert await store.lease("sweep", "a", 60)
            assert await store.lease("sweep", "a", 0)
            assert await store.due(UNTIL.idle + 2)
            assert len(await store.sweep(UNTIL.idle + 2, 10)) == 1
            await store.end(b"other", UNTIL.absolute)
            assert await store.sweep(UNTIL.absolute + 1, 10) == ()
            heard_of = [await anext(feed) for _ in range(3)]
            assert [moved for moved in heard_of if moved == Gap()] == []
            with pytest.raises(TimeoutError):  # it is asked whether it is there, and stays
                async with asyncio.timeout(0.3):
                    await anext(feed)
        async with open_redis(replace(address, prefix="theirs"), CLOCK) as store:
            await away(store.read(KEY), "does not let its user|refuses")

    run(test())
