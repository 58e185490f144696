"""A store that is killed in the middle of its writes loses nothing that it acknowledged."""

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from mooring.kinds.ref import Ref
from mooring.kinds.secret import Secret
from mooring.stores.sqlite import open_sqlite

pytestmark = pytest.mark.process

KEY = b"k" * 32
WRITER = """
import asyncio, sys
from pathlib import Path
from mooring.kinds.base import ObjectMeta
from mooring.kinds.secret import Secret
from mooring.kinds.server import MCPServer, ServerSpec, ServerStatus, Source
from mooring.stores.sqlite import open_sqlite

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

async def keep_reporting(store, run, number):
    spec = ServerSpec(source=Source(pypi="x"))
    held = await store.put(MCPServer(metadata=ObjectMeta(name=f"s-{run}-{number}"), spec=spec))
    say("server", held.metadata.name, held.metadata.resource_version)
    while True:
        status = ServerStatus(message=held.metadata.resource_version)
        held = await store.report(held.model_copy(update={"status": status}))
        say("server", held.metadata.name, held.metadata.resource_version)

async def make_and_delete(store, run):
    for number in range(1_000_000):
        name = f"t-{run}-{number}"
        made = await store.put(Secret(metadata=ObjectMeta(name=name), string_data={"k": name}))
        say("made" if number % 2 else "kept", name, made.metadata.resource_version)
        if number % 2:
            gone = await store.delete(made.ref)
            say("gone", name, gone.metadata.resource_version)

async def main():
    path, run = Path(sys.argv[1]), sys.argv[2]
    async with open_sqlite(path, b"k" * 32) as store:
        async with asyncio.TaskGroup() as tasks:
            for number in range(8):
                tasks.create_task(keep_reporting(store, run, number))
            tasks.create_task(make_and_delete(store, run))

asyncio.run(main())
"""


def killed_writer(path: Path, run: int, lines: int) -> list[list[str]]:
    """What a writer had acknowledged when it was killed, behind so many lines."""
    command = [sys.executable, "-c", WRITER, str(path), str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        late = threading.Timer(20, writer.kill)
        late.start()
        said = [writer.stdout.readline() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        late.cancel()
        said += writer.stdout.read().splitlines(keepends=True)
    assert writer.returncode == -signal.SIGKILL
    return [line.split() for line in said if line.endswith("\n")]


def test_kill_during_writes_loses_nothing_acknowledged(
    tmp_path: Path, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    chance = random.Random(20260101)
    path = tmp_path / "objects.db"
    acknowledged: list[list[str]] = []
    for number in range(4):
        lines = chance.randrange(1, 400)
        acknowledged += killed_writer(path, number, lines)
        assert len(acknowledged) >= lines

    async def check() -> None:
        async with open_sqlite(path, KEY) as store:
            versions = [int(version) for _, _, version in acknowledged]
            assert int((await store.list("MCPServer")).version) >= max(versions)
            assert len(set(versions)) == len(versions)
            for what, name, version in acknowledged:
                kind = "MCPServer" if what == "server" else "Secret"
                held = await store.get(Ref(kind, "default", name))
                if what == "gone":
                    assert held is None
                elif what == "kept":
                    assert isinstance(held, Secret)
                    assert held.value("k") == name
                elif what == "server":
                    assert held is not None
                    assert int(held.metadata.resource_version) >= int(version)

    run(check())
