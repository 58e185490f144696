"""Session records in a file: what is kept, who shares it, and what can be wrong with it."""

import asyncio
import sqlite3
import sys
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from mooring.clock import SystemClock
from mooring.core.session_record import Gap, Held, Moved, Until
from mooring.errors import Conflict, Unavailable
from mooring.stores import sessions_sqlite
from mooring.stores.sessions_sqlite import open_session_file
from mooring.testing.clock import FakeClock

KEY = b"k" * 16
UNTIL = Until(2e9, 3e9)
CLOCK = SystemClock()


def test_records_and_tombstones_outlive_the_store(tmp_path: Path, run: Any) -> None:
    async def test() -> None:
        path = tmp_path / "sessions.db"
        async with open_session_file(path, CLOCK) as store:
            made = await store.create(KEY, b"v", UNTIL)
            await store.end(b"other", 3e9)
        async with open_session_file(path, CLOCK) as store:
            assert await store.read(KEY) == made
            with pytest.raises(Conflict):
                await store.create(b"other", b"x", UNTIL)

    run(test())
    assert (tmp_path / "sessions.db").stat().st_mode & 0o777 == 0o600


def files(directory: Path) -> list[tuple[str, int, int]]:
    """What would be another one after a write."""
    seen = [(file.name, file.stat()) for file in sorted(directory.iterdir())]
    return [(n, s.st_size, s.st_mtime_ns) for n, s in seen if not n.endswith("-shm")]


def test_an_unchanged_world_causes_no_write(tmp_path: Path, run: Any) -> None:
    async def test() -> None:
        path = tmp_path / "sessions.db"
        async with open_session_file(path, CLOCK) as store:
            await store.create(KEY, b"v", UNTIL)
            feed = store.changes()
            assert await anext(feed) == Gap()
            witness = sqlite3.connect(path)
            before = files(tmp_path)
            (version,) = witness.execute("PRAGMA data_version").fetchone()
            for _ in range(20):
                assert not await store.due(1e9)
                assert await store.sweep(1e9, 10) == ()
                assert await store.touch([KEY], 1e9) == ()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(sessions_sqlite.LOOK_SECONDS * 3):
                    await anext(feed)
            assert witness.execute("PRAGMA data_version").fetchone() == (version,)
            witness.close()
            assert files(tmp_path) == before

    run(test())


WRITER = """
import asyncio, sys
from pathlib import Path
from mooring.clock import SystemClock
from mooring.core.session_record import Until
from mooring.stores.sessions_sqlite import open_session_file
async def main():
    async with open_session_file(Path(sys.argv[1]), SystemClock()) as store:
        for number in range(int(sys.argv[3])):
            key = b"%s-%d" % (sys.argv[2].encode(), number)
            held = await store.create(key, b"v", Until(2e9, 3e9))
            await store.replace(key, b"w", held.revision)
            await store.end(key, 3e9)
asyncio.run(main())
"""


@pytest.mark.process
def test_processes_share_a_file_and_hear_of_each_other(tmp_path: Path, run: Any) -> None:
    async def test() -> None:
        path = tmp_path / "sessions.db"
        async with open_session_file(path, CLOCK) as store:
            feed = store.changes()
            assert await anext(feed) == Gap()
            writers = [
                await asyncio.create_subprocess_exec(
                    sys.executable, "-c", WRITER, str(path), name, "30"
                )
                for name in ("a", "b", "c")
            ]
            ended = set()
            while len(ended) < 90:
                moved = await anext(feed)
                if isinstance(moved, Moved) and moved.ended:
                    ended.add(moved.key)
            assert [await writer.wait() for writer in writers] == [0, 0, 0]

    run(test())


def test_a_file_that_somebody_else_locks_is_away_until_it_is_let_go(
    tmp_path: Path, run: Any
) -> None:
    def impatient(path: str) -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=0.05, isolation_level=None)

    async def test() -> None:
        path = tmp_path / "sessions.db"
        async with open_session_file(path, CLOCK, impatient) as store:
            made = await store.create(KEY, b"v", UNTIL)
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            for work in (store.replace(KEY, b"w", made.revision), store.end(KEY, 3e9)):
                with pytest.raises(Unavailable, match="in use by another program") as caught:
                    await work
                assert caught.value.reason == "SessionStoreUnavailable"
            other.execute("ROLLBACK")
            other.close()
            assert await store.read(KEY) == made
            assert (await store.replace(KEY, b"w", made.revision)).value == b"w"

    run(test())


class Hanging:
    """A connection to a disk that does not answer while `stuck` is held."""

    def __init__(self, connection: sqlite3.Connection, stuck: Any) -> None:
        self._connection = connection
        self._stuck = stuck

    def execute(self, *arguments: Any) -> Any:
        with self._stuck:
            return self._connection.execute(*arguments)

    def close(self) -> None:
        self._connection.close()


def test_waiting_for_a_disk_is_bounded(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_sqlite, "WAIT_SECONDS", 0.05)
    stuck = Lock()

    async def test() -> None:
        def connect(path: str) -> Any:
            made = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            return Hanging(made, stuck)

        async with open_session_file(tmp_path / "sessions.db", CLOCK, connect) as store:
            with stuck, pytest.raises(Unavailable, match="does not answer"):
                await store.read(KEY)
            assert await store.read(KEY) is None

    run(test())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"this is text, not a database, and long enough to be read as one\n" * 10, "no store"),
        (None, "of another program"),
    ],
)
def test_what_is_not_ours_is_refused_and_left_alone(
    tmp_path: Path, run: Any, content: bytes | None, words: str
) -> None:
    path = tmp_path / "sessions.db"
    if content is None:
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE theirs (x)")
        other.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()

    async def test() -> None:
        with pytest.raises(Unavailable, match=words) as caught:
            async with open_session_file(path, CLOCK):
                pass
        assert caught.value.reason == "SessionStoreUnavailable"

    run(test())
    assert path.read_bytes() == before


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path, run: Any) -> None:
    path = tmp_path / "sessions.db"

    async def test() -> None:
        async with open_session_file(path, CLOCK):
            pass
        newer = sqlite3.connect(path)
        newer.execute("PRAGMA user_version = 99")
        newer.close()
        with pytest.raises(Unavailable, match="newer version"):
            async with open_session_file(path, CLOCK):
                pass

    run(test())


def test_a_damaged_file_is_said_with_a_way_out(tmp_path: Path, run: Any) -> None:
    path = tmp_path / "sessions.db"

    async def test() -> None:
        async with open_session_file(path, CLOCK) as store:
            await asyncio.gather(*(store.create(b"%d" % n, bytes(3000), UNTIL) for n in range(50)))
        whole = bytearray(before())
        whole[4096:-4096] = b"\xff" * (len(whole) - 8192)
        spoil(whole)
        with pytest.raises(Unavailable, match=r"damaged\. Fix: move it away"):
            async with open_session_file(path, CLOCK) as store:
                await store.read(b"1")

    def before() -> bytes:
        return path.read_bytes()

    def spoil(content: bytes) -> None:
        path.write_bytes(content)

    run(test())


def test_a_directory_that_is_not_there_is_said_in_words(tmp_path: Path, run: Any) -> None:
    async def test() -> None:
        with pytest.raises(Unavailable, match="No such file"):
            async with open_session_file(tmp_path / "nowhere" / "sessions.db", CLOCK):
                pass

    run(test())


def test_a_closed_store_says_so(tmp_path: Path, run: Any) -> None:
    async def test() -> None:
        async with open_session_file(tmp_path / "sessions.db", CLOCK) as store:
            feed = store.changes()
            assert await anext(feed) == Gap()
        with pytest.raises(Unavailable, match="closed"):
            await store.read(KEY)
        with pytest.raises(Unavailable, match="closed"):
            await anext(feed)
        await store.close()

    run(test())


def test_a_lease_is_held_by_the_clock(tmp_path: Path, run: Any) -> None:
    async def test() -> None:
        clock = FakeClock()
        async with open_session_file(tmp_path / "sessions.db", clock) as store:
            assert await store.lease("sweep", "a", 30)
            await clock.advance(29)
            assert not await store.lease("sweep", "b", 30)
            await clock.advance(1)
            assert await store.lease("sweep", "b", 30)

    run(test())


def test_operations_that_gather_are_one_commit(tmp_path: Path, run: Any) -> None:
    async def test() -> None:
        began = []

        def connect(path: str) -> sqlite3.Connection:
            made = sqlite3.connect(path, isolation_level=None)
            made.set_trace_callback(
                lambda text: began.append(text) if text[:5] == "BEGIN" else None
            )
            return made

        async with open_session_file(tmp_path / "sessions.db", CLOCK, connect) as store:
            began.clear()
            made = [store.create(b"%d" % n, b"v", UNTIL) for n in range(100)]
            results = await asyncio.gather(
                *made, store.create(b"0", b"x", UNTIL), return_exceptions=True
            )
            assert sum(isinstance(each, Held) for each in results) == 100
            assert isinstance(results[-1], Conflict)
            assert len(began) <= 3

    run(test())


def test_a_full_disk_is_said_and_survived(tmp_path: Path, run: Any) -> None:
    def small(path: str) -> sqlite3.Connection:
        made = sqlite3.connect(path, isolation_level=None)
        made.execute("PRAGMA max_page_count = 40")
        return made

    async def test() -> None:
        async with open_session_file(tmp_path / "sessions.db", CLOCK, small) as store:
            made = await store.create(KEY, b"v", UNTIL)
            with pytest.raises(Unavailable, match="disk is full"):
                await store.create(b"big", bytes(400_000), UNTIL)
            assert await store.read(KEY) == made
            assert await store.read(b"big") is None

    run(test())
