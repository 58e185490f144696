"""The door of the API: who may come in, and how it closes."""

import asyncio
import contextlib
import errno
import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from support.surface import PATIENCE, Served, served

from mooring.api import serving
from mooring.api.serving import peer_uid, serve
from mooring.cli.client import Api
from mooring.cli.failures import Failure

Run = Callable[[Coroutine[Any, Any, None]], None]


def test_the_kernel_tells_who_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_uid(ours) == os.getuid()
    with socket.socket(socket.AF_INET) as tcp:
        assert peer_uid(tcp) is None


def test_another_user_is_refused_in_words(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "peer_uid", lambda _: os.getuid() + 1)
    with api.connection() as connection:
        response = http.client.HTTPResponse(connection.sock)
        response.begin()
        assert response.status == 403
        assert b"its owner and root only" in response.read()


def test_root_may_come_in(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "peer_uid", lambda _: 0)
    assert api.ask("GET", "/healthz").status == 200


class Slow:
    """An app whose one answer waits until it is let go."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.release = asyncio.Event()
        self.app = Starlette(routes=[Route("/", self._answer)])
        self.app.state.ending = asyncio.Event()

    async def _answer(self, _: Request) -> PlainTextResponse:
        self.began.set()
        await self.release.wait()
        return PlainTextResponse("at last")


async def open_door(path: Path) -> socket.socket:
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.bind(str(path))
    door.listen()
    return door


async def ask(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    return reader, writer


def test_an_answer_under_way_is_finished(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        slow, path = Slow(), tmp_path / "a.sock"
        door = await open_door(path)
        async with asyncio.TaskGroup() as tasks:
            serving_task = tasks.create_task(serve(slow.app, door))
            reader, writer = await ask(path)
            await slow.began.wait()
            serving_task.cancel()
            await slow.app.state.ending.wait()
            with pytest.raises(OSError):  # noqa: PT011  # refused or gone, as the platform says
                await asyncio.open_unix_connection(str(path))
            slow.release.set()
            assert (await reader.read()).endswith(b"at last")
            writer.close()
            await writer.wait_closed()

    run(story())


def test_an_answer_that_takes_too_long_is_cut(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        slow, path = Slow(), tmp_path / "a.sock"
        door = await open_door(path)
        async with asyncio.TaskGroup() as tasks:
            serving_task = tasks.create_task(serve(slow.app, door, seconds=0.05))
            reader, writer = await ask(path)
            await slow.began.wait()
            serving_task.cancel()
            assert b"at last" not in await reader.read()
            writer.close()
            await writer.wait_closed()

    run(story())


def test_idle_connections_do_not_delay_the_end(api: Served) -> None:
    with api.connection() as connection:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        api.stop()


def test_signals_stay_with_whoever_runs_it(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        slow, path = Slow(), tmp_path / "a.sock"
        slow.release.set()
        door = await open_door(path)
        async with asyncio.TaskGroup() as tasks:
            serving_task = tasks.create_task(serve(slow.app, door))
            reader, writer = await ask(path)
            await slow.began.wait()
            assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
            serving_task.cancel()
            await reader.read()
            writer.close()
            await writer.wait_closed()

    run(story())


def test_nobody_is_left_waiting_at_the_end(tmp_path: Path) -> None:
    ended: list[bool] = []

    def ask_until_it_ends(path: Path) -> None:
        with contextlib.suppress(Failure):
            while True:
                Api(str(path), seconds=PATIENCE).get("/version")
        ended.append(True)

    for number in range(10):
        with served(tmp_path / f"{number}.sock") as api:
            callers = [
                threading.Thread(target=ask_until_it_ends, args=(api.path,)) for _ in range(3)
            ]
            for caller in callers:
                caller.start()
            api.ask("GET", "/healthz")
            began = time.monotonic()
            api.stop()
            for caller in callers:
                caller.join(PATIENCE)
            assert time.monotonic() - began < PATIENCE / 2
    assert len(ended) == 30


class Exhausted(socket.socket):
    """A listener that finds no free descriptor the first time."""

    refusals = 1

    def accept(self) -> tuple[socket.socket, Any]:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_a_caller_waits_while_there_is_no_room(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "RETRY_SECONDS", 0.01)

    async def story() -> None:
        slow, path = Slow(), tmp_path / "a.sock"
        slow.release.set()
        door = Exhausted(socket.AF_UNIX, socket.SOCK_STREAM)
        door.bind(str(path))
        door.listen()
        async with asyncio.TaskGroup() as tasks:
            serving_task = tasks.create_task(serve(slow.app, door))
            reader, writer = await ask(path)
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            serving_task.cancel()
            await reader.read()
            writer.close()
            await writer.wait_closed()

    run(story())
