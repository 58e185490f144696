"""A disk that fails now and then costs the writes that it refused, and no other.

Each commit may fail before it, at it, or in taking it back; whatever was acknowledged is there
afterwards, whatever was refused is not, and readers and watchers never saw it.
"""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from mooring.core.ports import ObjectStore
from mooring.errors import Unavailable
from mooring.kinds.base import ObjectMeta
from mooring.kinds.server import MCPServer, ServerSpec, ServerStatus, Source
from mooring.stores.sqlite import open_sqlite

KEY = b"k" * 32
WRITERS = 12
TURNS = 15


class Moody(sqlite3.Connection):
    """A connection whose transactions fail at random."""

    chance = random.Random(7)
    odds = 0.0
    failures = 0

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        moods = {"BEGIN IMMEDIATE": 0.3, "COMMIT": 1.0, "ROLLBACK": 0.3}
        if Moody.chance.random() < Moody.odds * moods.get(sql, 0.0):
            Moody.failures += 1
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *values)


def moody(path: str) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, factory=Moody)


async def insist(store: ObjectStore, name: str) -> MCPServer:
    """Writes several times, again and again until each is acknowledged; returns the last."""
    spec = ServerSpec(source=Source(pypi="x"))
    held = MCPServer(metadata=ObjectMeta(name=name), spec=spec)
    for turn in range(TURNS):
        while True:
            try:
                if not held.metadata.resource_version:
                    held = await store.put(held)
                else:
                    status = ServerStatus(message=str(turn))
                    held = await store.report(held.model_copy(update={"status": status}))
                break
            except Unavailable:
                stored = await store.get(held.ref)
                assert stored == (held if held.metadata.resource_version else None)
    return held


async def follow(store: ObjectStore, since: str, until: dict[str, str]) -> None:
    """Watches until every writer's last write was told; each object's story has no gap."""
    turns: dict[str, int] = {}
    version = int(since)
    async for change in store.watch("MCPServer", since):
        assert isinstance(change.object, MCPServer)
        name, message = change.object.metadata.name, change.object.status.message
        assert int(change.object.metadata.resource_version) == version + 1
        version += 1
        turn = 0 if change.type == "ADDED" else int(message)
        assert turn == turns.get(name, -1) + 1
        turns[name] = turn
        if len(turns) == WRITERS and set(turns.values()) == {TURNS - 1}:
            until.update({key: str(value) for key, value in turns.items()})
            return


@pytest.mark.parametrize("seed", range(4))
def test_a_failing_disk_loses_nothing_acknowledged(
    seed: int, tmp_path: Path, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def test() -> None:
        Moody.chance, Moody.odds, Moody.failures = random.Random(seed), 0.0, 0
        seen: dict[str, str] = {}
        async with open_sqlite(tmp_path / "s.db", KEY, connect=moody) as store:
            start = (await store.list("MCPServer")).version
            Moody.odds = 0.4
            async with asyncio.TaskGroup() as tasks:
                watcher = tasks.create_task(follow(store, start, seen))
                names = [f"s{number:02}" for number in range(WRITERS)]
                writers = [tasks.create_task(insist(store, name)) for name in names]
            Moody.odds = 0.0
            assert watcher.done()
            assert Moody.failures > 5
            before = (await store.list("MCPServer")).items
            assert before == tuple(writer.result() for writer in writers)
        async with open_sqlite(tmp_path / "s.db", KEY) as store:
            assert (await store.list("MCPServer")).items == before
        assert len(seen) == WRITERS

    run(test())
