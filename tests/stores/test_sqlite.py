"""What only the SQLite store can get right or wrong."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from mooring.errors import Conflict, Invalid, MooringError, Unavailable
from mooring.kinds.base import ObjectMeta
from mooring.kinds.ref import Ref
from mooring.kinds.secret import LockedSecret, Secret
from mooring.kinds.server import MCPServer, ServerSpec, ServerStatus, Source
from mooring.stores.disk import APPLICATION, MIGRATIONS, connect
from mooring.stores.sqlite import SqliteStore, open_sqlite

Run = Callable[[Coroutine[Any, Any, None]], None]
KEY = b"k" * 32


def server(name: str = "time", size: int = 0) -> MCPServer:
    spec = ServerSpec(source=Source(pypi="mcp-server-time"), args=("x" * size,))
    return MCPServer(metadata=ObjectMeta(name=name), spec=spec)


class Gate(sqlite3.Connection):
    """A connection whose commits are counted, and wait while the gate is shut."""

    opened = threading.Event()
    entered = threading.Event()
    commits = 0
    failing: tuple[str, ...] = ("COMMIT",)
    failure = ""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            Gate.commits += 1
            Gate.entered.set()
            assert Gate.opened.wait(10)
        if Gate.failure and sql in Gate.failing:
            raise sqlite3.OperationalError(Gate.failure)
        return super().execute(sql, *values)


@pytest.fixture
def gate() -> Callable[[str], sqlite3.Connection]:
    Gate.opened.set()
    Gate.commits = 0

    def through_gate(path: str) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, factory=Gate)

    return through_gate


def shut() -> None:
    Gate.commits = 0
    Gate.opened.clear()
    Gate.entered.clear()


class SmallDisk:
    """Connections to a file that may not grow, until it may again."""

    def __init__(self) -> None:
        self.connection: sqlite3.Connection | None = None

    def __call__(self, path: str) -> sqlite3.Connection:
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        return self.connection

    def limit(self, pages: int) -> None:
        assert self.connection
        self.connection.execute(f"PRAGMA max_page_count = {pages}")


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def modes(directory: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in directory.iterdir()}


async def unavailable(path: Path, key: bytes = KEY, **others: Any) -> str:
    """Why the store cannot be opened."""
    with pytest.raises(Unavailable) as caught:
        async with open_sqlite(path, key, **others):
            pass
    assert caught.value.reason == "StoreUnavailable"
    assert str(path) in caught.value.message
    return caught.value.message


# writes


def test_the_event_loop_goes_on_while_the_disk_is_busy(tmp_path: Path, gate: Any, run: Run) -> None:
    async def test() -> None:
        async with open_sqlite(tmp_path / "s.db", KEY, connect=gate) as store:
            held = await store.put(server("held"))
            shut()
            write = asyncio.ensure_future(store.put(server("new")))
            assert await asyncio.to_thread(Gate.entered.wait, 10)
            assert await store.get(held.ref) == held
            assert await store.get(server("new").ref) is None
            assert not write.done()
            Gate.opened.set()
            assert await write == await store.get(server("new").ref)

    run(test())


def test_writes_that_gather_share_one_commit(tmp_path: Path, gate: Any, run: Run) -> None:
    async def test() -> None:
        async with open_sqlite(tmp_path / "s.db", KEY, connect=gate) as store:
            shut()
            first = asyncio.ensure_future(store.put(server("first")))
            assert await asyncio.to_thread(Gate.entered.wait, 10)
            others = [asyncio.ensure_future(store.put(server(f"s{n}"))) for n in range(50)]
            again = asyncio.ensure_future(store.put(server("s0")))
            results = asyncio.gather(first, *others, again, return_exceptions=True)
            await asyncio.wait([again], timeout=0.02)
            assert not again.done()  # it rests on a write that may still fail
            Gate.opened.set()
            refusal = (await results)[-1]
            assert isinstance(refusal, MooringError)
            assert refusal.reason == "AlreadyExists"
            assert Gate.commits == 2
            assert len((await store.list("MCPServer")).items) == 51

    run(test())


def test_what_changes_nothing_is_acknowledged_with_what_it_rests_on(
    tmp_path: Path, gate: Any, run: Run
) -> None:
    async def test() -> None:
        async with open_sqlite(tmp_path / "s.db", KEY, connect=gate) as store:
            held = server()
            metadata = held.metadata.model_copy(update={"finalizers": ("a/b",)})
            held = await store.put(held.model_copy(update={"metadata": metadata}))
            shut()
            first = asyncio.ensure_future(store.delete(held.ref))
            assert await asyncio.to_thread(Gate.entered.wait, 10)
            second = asyncio.ensure_future(store.delete(held.ref))
            done, _ = await asyncio.wait([first, second], timeout=0.05)
            assert not done
            Gate.opened.set()
            assert await first == await second
            assert Gate.commits == 1

    run(test())


def test_what_changes_nothing_does_not_reach_the_disk(tmp_path: Path, gate: Any, run: Run) -> None:
    async def test() -> None:
        async with open_sqlite(tmp_path / "s.db", KEY, connect=gate) as store:
            made = await store.put(server())
            reported = await store.report(
                made.model_copy(update={"status": ServerStatus(message="x")})
            )
            Gate.commits = 0
            for _ in range(100):
                await store.put(reported)
                await store.report(reported)
            assert Gate.commits == 0

    run(test())


def test_text_that_is_no_unicode_is_refused_alone(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        async with open_sqlite(tmp_path / "s.db", KEY) as store:
            made = await store.put(server())
            odd = made.model_copy(update={"status": ServerStatus(message="\ud800")})
            attempts = (store.report(odd), store.put(server("b")))
            refusal, other = await asyncio.gather(*attempts, return_exceptions=True)
            assert isinstance(refusal, Invalid)
            assert isinstance(other, MCPServer)

    run(test())


def test_a_thousand_objects_are_written_and_listed_fast(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        async with open_sqlite(tmp_path / "s.db", KEY) as store:
            await asyncio.gather(*(store.put(server(f"s{n}")) for n in range(1000)))
            began = time.perf_counter()
            listing = await store.list("MCPServer")
            assert time.perf_counter() - began < 0.05
            assert len(listing.items) == 1000

    run(test())


# a full disk


def test_a_full_disk_is_said_and_survived(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        disk = SmallDisk()
        async with open_sqlite(tmp_path / "s.db", KEY, connect=disk) as store:
            held = await store.put(server("held"))
            before = await store.list("MCPServer")
            disk.limit(1)
            attempts = (store.put(server(f"s{n}", size=50_000)) for n in range(5))
            for refusal in await asyncio.gather(*attempts, return_exceptions=True):
                assert isinstance(refusal, Unavailable)
                assert "the disk is full" in refusal.message
            assert await store.get(held.ref) == held
            assert await store.list("MCPServer") == before
            disk.limit(10_000)
            changes = store.watch("MCPServer", before.version)
            made = await store.put(server("later", size=50_000))
            assert (await anext(changes)).object == made
        async with open_sqlite(tmp_path / "s.db", KEY) as store:
            names = [item.metadata.name for item in (await store.list("MCPServer")).items]
            assert names == ["held", "later"]

    run(test())


def test_what_was_decided_on_a_lost_write_is_lost_with_it(
    tmp_path: Path, gate: Any, run: Run
) -> None:
    async def test() -> None:
        async with open_sqlite(tmp_path / "s.db", KEY, connect=gate) as store:
            held = await store.put(server("held"))
            shut()
            deletion = asyncio.ensure_future(store.delete(held.ref))
            assert await asyncio.to_thread(Gate.entered.wait, 10)
            heir = asyncio.ensure_future(store.put(server("held")))
            await asyncio.wait([heir], timeout=0.02)
            Gate.failure = "database or disk is full"
            Gate.opened.set()
            results = await asyncio.gather(deletion, heir, return_exceptions=True)
            Gate.failure = ""
            assert [type(each) for each in results] == [Unavailable, Unavailable]
            assert await store.get(held.ref) == held
            assert (await store.delete(held.ref)).metadata.uid == held.metadata.uid

    run(test())


def test_a_disk_that_cannot_even_take_back_is_opened_anew(
    tmp_path: Path, gate: Any, run: Run
) -> None:
    async def test() -> None:
        async with open_sqlite(tmp_path / "s.db", KEY, connect=gate) as store:
            held = await store.put(server("held"))
            Gate.failure, Gate.failing = "disk I/O error", ("COMMIT", "ROLLBACK")
            with pytest.raises(Unavailable, match="disk I/O error"):
                await store.put(server("lost"))
            Gate.failure, Gate.failing = "", ("COMMIT",)
            made = await store.put(server("later"))
        async with open_sqlite(tmp_path / "s.db", KEY) as store:
            assert (await store.list("MCPServer")).items == (held, made)

    run(test())


# files that cannot be used


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        path = tmp_path / "s.db"
        path.write_text("my diary, " * 1000)
        assert "is no store of Mooring" in await unavailable(path)
        assert path.read_text() == "my diary, " * 1000

    run(test())


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        path = tmp_path / "s.db"
        with connect(str(path)) as other:
            other.execute("CREATE TABLE diary (day TEXT)")
        other.close()
        before = path.read_bytes()
        assert "of another program" in await unavailable(path)
        assert path.read_bytes() == before

    run(test())


def test_a_damaged_file_is_refused(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        path = tmp_path / "s.db"
        async with open_sqlite(path, KEY) as store:
            await asyncio.gather(*(store.put(server(f"s{n}")) for n in range(100)))
        whole = path.read_bytes()
        path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
        assert "is damaged" in await unavailable(path)

    run(test())


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        path = tmp_path / "s.db"
        with connect(str(path)) as newer:
            newer.execute(f"PRAGMA application_id = {APPLICATION}")
            newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        newer.close()
        assert "newer version" in await unavailable(path)

    run(test())


def test_an_object_that_cannot_be_read_is_named(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        path = tmp_path / "s.db"
        async with open_sqlite(path, KEY) as store:
            await store.put(server())
        for change in ("body = '{}'", "kind = 'Ship'"):
            with connect(str(path)) as other:
                other.execute(f"UPDATE objects SET {change}")
            other.close()
            assert "/time in a form that cannot be read" in await unavailable(path)

    run(test())


def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        (tmp_path / "s.db").mkdir()
        assert "Is a directory" in await unavailable(tmp_path / "s.db")
        assert "No such file" in await unavailable(tmp_path / "absent" / "s.db")

    run(test())


def test_one_program_at_a_time(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        path = tmp_path / "s.db"
        impatient = sqlite3.connect
        async with open_sqlite(path, KEY) as store:
            await store.put(server())
            said = await unavailable(
                path, connect=lambda name: impatient(name, timeout=0.05, isolation_level=None)
            )
            assert "in use" in said
            await store.put(server("b"))

    run(test())


# secrecy and durability


def test_secrets_are_sealed_in_every_file(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        clear, coded = b"hunter2-very-secret", b"aHVudGVyMi12ZXJ5LXNlY3JldA"
        secret = Secret(metadata=ObjectMeta(name="s"), string_data={"token": clear.decode()})
        async with open_sqlite(tmp_path / "s.db", KEY) as store:
            made = await store.put(secret)
            metadata = made.metadata.model_copy(update={"labels": {"a": "b"}})
            made = await store.put(made.model_copy(update={"metadata": metadata}))
            files = contents(tmp_path)
            assert {"s.db", "s.db-wal"} <= files.keys()
            assert any(b"Secret" in content for content in files.values())
            for content in files.values():
                assert clear not in content
                assert coded not in content
        assert clear not in (tmp_path / "s.db").read_bytes()
        assert coded not in (tmp_path / "s.db").read_bytes()
        async with open_sqlite(tmp_path / "s.db", KEY) as store:
            again = await store.get(Ref("Secret", "default", "s"))
            assert again == made
            assert isinstance(again, Secret)
            assert again.value("token") == clear.decode()

    run(test())


async def secret(store: SqliteStore, name: str = "s") -> Secret:
    found = await store.get(Ref("Secret", "default", name))
    assert isinstance(found, Secret)
    return found


def test_with_another_key_all_but_the_values_is_there(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        path, other = tmp_path / "s.db", b"x" * 32
        async with open_sqlite(path, KEY) as store:
            await store.put(server())
            made = await store.put(Secret(metadata=ObjectMeta(name="s"), string_data={"k": "v"}))
        async with open_sqlite(path, other) as store:
            locked = await secret(store)
            assert isinstance(locked, LockedSecret)
            assert (dict(locked.data), locked.metadata) == ({}, made.metadata)
            assert "sealed" not in locked.document()
            assert await store.get(Ref("MCPServer", "default", "time"))
            meta = locked.metadata.model_copy(update={"labels": {"a": "b"}})
            plain = Secret.model_validate({**locked.document(), "metadata": meta})
            with pytest.raises(Conflict, match="cannot be decrypted"):
                await store.put(plain)
        async with open_sqlite(path, KEY) as store:
            assert await secret(store) == made

    run(test())


def test_a_locked_secret_can_be_given_new_values_or_removed(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        path, other = tmp_path / "s.db", b"x" * 32
        async with open_sqlite(path, KEY) as store:
            for name in "st":
                await store.put(Secret(metadata=ObjectMeta(name=name), string_data={"k": "v"}))
        async with open_sqlite(path, other) as store:
            locked = await secret(store)
            anew = Secret(metadata=locked.metadata, string_data={"k": "new"})
            await store.put(anew)
            await store.delete(Ref("Secret", "default", "t"))
        async with open_sqlite(path, other) as store:
            found = await secret(store)
            assert (type(found), found.value("k")) == (Secret, "new")

    run(test())


def test_another_key_is_told_of_as_long_as_something_is_locked(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        path, other = tmp_path / "s.db", b"x" * 32
        async with open_sqlite(path, KEY) as store:
            await store.put(Secret(metadata=ObjectMeta(name="s"), string_data={"k": "v"}))
        for _ in range(2):
            caplog.clear()
            async with open_sqlite(path, other) as store:
                assert "store.another_key" in caplog.text
        async with open_sqlite(path, other) as store:
            await store.delete(Ref("Secret", "default", "s"))
        for _ in range(2):
            caplog.clear()
            async with open_sqlite(path, other):
                assert "store.another_key" not in caplog.text

    run(test())


def test_a_sealed_value_opens_in_its_own_secret_only(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        path = tmp_path / "s.db"
        async with open_sqlite(path, KEY) as store:
            for name in "ab":
                await store.put(Secret(metadata=ObjectMeta(name=name), string_data={"k": name}))
        with connect(str(path)) as other:
            other.execute(
                "UPDATE objects SET sealed = (SELECT sealed FROM objects WHERE name = 'b')"
            )
        other.close()
        async with open_sqlite(path, KEY) as store:
            assert isinstance(await secret(store, "a"), LockedSecret)
            assert (await secret(store, "b")).value("k") == "b"

    run(test())


def test_the_files_belong_to_their_owner_alone(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        async with open_sqlite(tmp_path / "s.db", KEY) as store:
            await store.put(server())
            assert modes(tmp_path) == {0o600}

    run(test())


def test_every_commit_waits_for_the_disk(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        disk = SmallDisk()
        async with open_sqlite(tmp_path / "s.db", KEY, connect=disk):
            assert disk.connection
            assert disk.connection.execute("PRAGMA synchronous").fetchone() == (2,)
            assert disk.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    run(test())


def test_a_key_of_the_wrong_length_is_a_mistake_of_the_program(tmp_path: Path, run: Run) -> None:
    async def test() -> None:
        with pytest.raises(ValueError, match="32 bytes"):
            async with open_sqlite(tmp_path / "s.db", b"short"):
                pass

    run(test())
