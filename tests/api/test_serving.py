"""The door of the API: who may come in, and how it closes."""

import asyncio
import contextlib
import errno
import http.client
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from support.surface import PATIENCE, Served, served

from mooring.api import connection as bounds
from mooring.api import serving
from mooring.api.certificate import Certificates
from mooring.api.connection import peer_uid
from mooring.api.serving import Lock, serve
from mooring.api.token import TokenFile
from mooring.cli.client import Api
from mooring.cli.failures import Failure
from mooring.clock import SystemClock

Run = Callable[[Coroutine[Any, Any, None]], None]


def test_the_kernel_tells_who_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_uid(ours) == os.getuid()
    with socket.socket(socket.AF_INET) as tcp:
        assert peer_uid(tcp) is None


def test_another_user_is_refused_in_words(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "peer_uid", lambda _: os.getuid() + 1)
    with api.connection() as connection:
        response = http.client.HTTPResponse(connection.sock)
        response.begin()
        assert response.status == 403
        assert b"its owner and root only" in response.read()


def test_root_may_come_in(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "peer_uid", lambda _: 0)
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


def test_a_head_without_end_is_refused(api: Served) -> None:
    with api.connection() as connection:
        assert connection.sock is not None
        connection.sock.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n")
        with contextlib.suppress(OSError):
            for _ in range(40):
                connection.sock.sendall(b"x-filler: %b\r\n" % (b"y" * 4000))
        assert connection.sock.recv(1000).startswith(b"HTTP/1.1 431 ")


def test_a_large_body_is_no_large_head(api: Served) -> None:
    document = b'{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {'
    document += b'"k": "%b"}}' % (b"x" * 200_000)
    made = api.ask("POST", "/api/v1/namespaces/default/secrets", document)
    assert made.status == 201


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET"])
def test_a_head_that_does_not_come_is_given_up(
    api: Served, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.1)
    with api.connection() as connection:
        assert connection.sock is not None
        connection.sock.sendall(sent)
        said = b""
        while more := connection.sock.recv(1000):
            said += more
        assert said.endswith(b"ok") == (b"healthz" in sent)


@pytest.mark.parametrize("part", [b"", b'{"apiVersion":'])
def test_a_body_that_does_not_go_on_is_given_up(
    api: Served, monkeypatch: pytest.MonkeyPatch, part: bytes
) -> None:
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.1)
    with api.connection() as connection:
        assert connection.sock is not None
        head = b"POST /api/v1/namespaces/default/secrets HTTP/1.1\r\nhost: x\r\n"
        connection.sock.sendall(head + b"content-length: 100\r\n\r\n" + part)
        assert connection.sock.recv(1000) == b""


def test_a_body_that_comes_slowly_is_waited_for(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.3)
    document = b'{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}'
    with api.connection() as connection:
        assert connection.sock is not None
        head = b"POST /api/v1/namespaces/default/secrets HTTP/1.1\r\nhost: x\r\n"
        kind = b"content-type: application/json\r\n"
        connection.sock.sendall(head + kind + b"content-length: %d\r\n\r\n" % len(document))
        for begin in range(0, len(document), 10):
            time.sleep(0.1)  # as a slow sender does
            connection.sock.sendall(document[begin : begin + 10])
        assert connection.sock.recv(1000).startswith(b"HTTP/1.1 201 ")


def test_a_caller_who_reads_nothing_is_cut_off(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "READING_SECONDS", 0.1)
    left = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(2):
            await send({"type": "http.response.body", "body": b"x" * 5_000_000, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async def story() -> None:
        path, app = tmp_path / "a.sock", Starlette(routes=[Mount("/", endless)])
        app.state.ending = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(serve(app, await open_door(path)))
            with socket.socket(socket.AF_UNIX) as silent:
                silent.setblocking(False)
                await asyncio.get_running_loop().sock_connect(silent, str(path))
                silent.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                await left.wait()
            task.cancel()

    run(story())


def test_so_many_may_come_in_and_no_more(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serving, "CONNECTIONS", 2)

    async def story() -> None:
        slow, path = Slow(), tmp_path / "a.sock"
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(serve(slow.app, await open_door(path)))
            inside = [await ask(path) for _ in range(2)]
            await slow.began.wait()
            for _ in range(3):
                reader, writer = await ask(path)
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
            slow.release.set()
            for reader, writer in inside:
                assert b"at last" in await reader.readuntil(b"at last")
                writer.close()
                await writer.wait_closed()
            while True:  # until the door has noticed that they left
                reader, writer = await ask(path)
                with contextlib.suppress(ConnectionError):
                    if await reader.read(1):
                        break
                writer.close()
            writer.close()
            task.cancel()

    run(story())
    assert caplog.text.count("api.full") == 1


@contextlib.asynccontextmanager
async def locked(tmp_path: Path) -> Any:
    """An app behind TLS and a token: its port, and what clients need."""
    certificates = Certificates(tmp_path, SystemClock())
    token = TokenFile(tmp_path / "api.token")
    slow = Slow()
    slow.release.set()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    client = ssl.create_default_context(cadata=certificates.authority().decode())
    async with asyncio.TaskGroup() as tasks:
        lock = Lock(certificates.context(), token)
        task = tasks.create_task(serve(slow.app, listener, lock=lock))
        yield port, client, token
        task.cancel()


async def asked(port: int, client: ssl.SSLContext, token: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
    head = f"GET / HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n"
    writer.write(head.encode() + b"connection: close\r\n\r\n")
    said = await reader.read()
    writer.close()
    await writer.wait_closed()
    return said


def test_a_locked_door_opens_to_the_token_over_tls(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with locked(tmp_path) as (port, client, token):
            assert (await asked(port, client, token.text())).endswith(b"at last")
            assert (await asked(port, client, "wrong")).startswith(b"HTTP/1.1 401 ")

    run(story())


def test_whoever_speaks_no_tls_gets_nothing_and_disturbs_nobody(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with locked(tmp_path) as (port, client, token):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert b"HTTP" not in await reader.read()
            writer.close()
            silent = await asyncio.open_connection("127.0.0.1", port)
            assert (await asked(port, client, token.text())).endswith(b"at last")
            silent[1].close()
            for each in (writer, silent[1]):
                with contextlib.suppress(OSError):
                    await each.wait_closed()

    run(story())


def test_an_idle_connection_is_closed_when_its_time_is_over_and_not_before(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "KEEPALIVE_SECONDS", 1)

    async def story() -> None:
        slow, path = Slow(), tmp_path / "a.sock"
        slow.release.set()
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(serve(slow.app, await open_door(path)))
            reader, writer = await ask(path)
            await reader.readuntil(b"at last")
            began = time.monotonic()
            async with asyncio.timeout(3):
                assert await reader.read() == b""
            assert time.monotonic() - began >= 0.9
            writer.close()
            await writer.wait_closed()
            task.cancel()

    run(story())
