"""Finding the keeper, or starting one."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.keeper_here import keeper_here

from mooring.clock import SystemClock
from mooring.core.keeping import PROTOCOL, KeeperState, ListenerSpec
from mooring.errors import Conflict, Unavailable
from mooring.runtimes.keeper_client import KeeperClient
from mooring.runtimes.keeper_start import KeeperStart
from mooring.transports.http_upstream import Pool

Run = Callable[[Coroutine[Any, Any, None]], None]
ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/tmp", "API_KEY": "secret"}


@asynccontextmanager
async def way(directory: Path, *options: str) -> AsyncIterator[tuple[KeeperStart, KeeperClient]]:
    pool = Pool()
    client = KeeperClient(pool, directory / "k.sock")
    options = ("--alone-seconds", "30", *options)
    start = KeeperStart(client, directory / "keeper.log", ENVIRON, SystemClock(), options)
    yield start, client
    await pool.close()


async def ended(state: KeeperState) -> None:
    await asyncio.to_thread(os.waitpid, state.pid, 0)


def test_a_living_keeper_is_taken_as_it_is(run: Run, short: Path) -> None:
    async def story() -> None:
        async with keeper_here(short / "k.sock") as keeper, way(short) as (start, _):
            assert await start.ensure() == keeper.about

    run(story())


@pytest.mark.parametrize(("protocol", "word"), [(PROTOCOL - 1, "older"), (PROTOCOL + 1, "newer")])
def test_a_keeper_of_another_protocol_is_refused(
    run: Run, short: Path, protocol: int, word: str
) -> None:
    async def story() -> None:
        async with (
            keeper_here(short / "k.sock", protocol=protocol) as keeper,
            way(short) as (start, _),
        ):
            with pytest.raises(Conflict, match=f"pid {keeper.about.pid}.* is {word}") as caught:
                await start.ensure()
            assert caught.value.reason == "KeeperVersion"
            assert "moor down" in caught.value.message

    run(story())


@pytest.mark.process
def test_a_keeper_is_started_once_and_stays(run: Run, short: Path) -> None:
    async def story() -> None:
        async with way(short) as (start, client):
            state = await start.ensure()
            assert await start.ensure() == state
            async with way(short) as (another, _):
                assert await another.ensure() == state
            assert os.getsid(state.pid) == state.pid
            await client.shutdown(1)
            await ended(state)

    run(story())


@pytest.mark.process
def test_a_keeper_sees_no_secret_and_no_terminal(run: Run, short: Path) -> None:
    async def story() -> None:
        async with way(short) as (start, client):
            state = await start.ensure()
            process = f"/proc/{state.pid}"
            environ = await asyncio.to_thread(lambda: Path(f"{process}/environ").read_bytes())
            names = {entry.partition(b"=")[0] for entry in environ.split(b"\0") if entry}
            assert names <= {b"PATH", b"HOME", b"LC_CTYPE"}
            assert os.readlink(f"{process}/fd/0") == os.devnull
            await client.shutdown(1)
            await ended(state)

    run(story())


@pytest.mark.process
def test_after_a_killed_keeper_a_new_one_is_started_and_nothing_is_left(
    run: Run, short: Path
) -> None:
    async def story() -> None:
        async with way(short) as (start, client):
            first = await start.ensure()
            os.kill(first.pid, signal.SIGKILL)
            while True:
                second = await start.ensure()
                if second.pid != first.pid:
                    break
            assert not await asyncio.to_thread(Path(f"/proc/{first.pid}").exists)
            await client.shutdown(1)
            await ended(second)

    run(story())


@pytest.mark.process
def test_a_keeper_that_cannot_begin_is_quoted(run: Run, short: Path) -> None:
    async def story() -> None:
        async with way(short, "--no-such-option") as (start, _):
            with pytest.raises(Unavailable) as caught:
                await start.ensure()
            assert caught.value.reason == "KeeperGone"
            assert "the keeper ended at once" in caught.value.message
            assert "unrecognized arguments: --no-such-option" in caught.value.message

    run(story())


@pytest.mark.process
def test_a_socket_that_is_held_is_the_next_keepers_too(run: Run, short: Path) -> None:
    async def story() -> None:
        async with way(short) as (start, client):
            first = await start.ensure()
            listener = await client.listener("127.0.0.1", 0)
            place = listener.getsockname()
            start.hold(ListenerSpec(name="gateway", host="127.0.0.1", port=0), listener)
            os.kill(first.pid, signal.SIGKILL)
            await ended(first)
            await start.ensure()
            start.release()
            listener.close()
            again = await client.listener("127.0.0.1", 0)
            assert again.getsockname() == place
            again.close()
            await client.shutdown(1.0)

    run(story())
