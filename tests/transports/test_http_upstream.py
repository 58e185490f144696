"""The pool, as upstreams see it: what is sent, and where to."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.certificates import certificate
from support.wire import (
    Doors,
    Upstream,
    Wire,
    failure,
    get,
    patient,
    request,
    scripted,
    whole,
)

from mooring.core.address import Address
from mooring.transports.http_upstream import Pool, PoolLimits

Run = Callable[[Coroutine[Any, Any, None]], None]


# What is sent.


def test_a_request_as_h11_understands_it(on_loop: Run) -> None:
    seen: list[tuple[bytes, bytes, dict[bytes, bytes], bytes]] = []

    async def judging(wire: Wire) -> None:
        while True:
            head, body = await request(wire)
            seen.append((head.method, head.target, dict(head.headers), body))
            await wire.send(whole(b""))

    async def story() -> None:
        async with scripted(judging) as upstream:
            pool = Pool()
            host = f"127.0.0.1:{upstream.address.port}".encode()
            given = (
                (b"x-a", b"1"),
                (b"host", b"elsewhere"),
                (b"accept-encoding", b"gzip"),
                (b"connection", b"close"),
                (b"content-length", b"99"),
                (b"transfer-encoding", b"chunked"),
            )
            ours = {b"host": host, b"x-a": b"1", b"accept-encoding": b"identity"}
            await pool.send(upstream.address, "POST", given, b"{}")
            assert seen.pop() == (b"POST", b"/mcp", ours | {b"content-length": b"2"}, b"{}")
            await pool.send(upstream.address, "POST", given)
            assert seen.pop() == (b"POST", b"/mcp", ours | {b"content-length": b"0"}, b"")
            await pool.send(upstream.address, "GET", given, path="/other?x=%20")
            assert seen.pop() == (b"GET", b"/other?x=%20", ours, b"")
            assert upstream.connections == 1
            await pool.close()

    on_loop(story())


@pytest.mark.parametrize("path", ["/a b", "/a\r\nx: y", "/ä", "/\0"])
def test_a_path_cannot_break_out_of_its_line(run: Run, path: str) -> None:
    async def story() -> None:
        async with scripted(patient) as upstream:
            pool = Pool()
            with pytest.raises(ValueError, match="not a path"):
                await get(pool, upstream, path=path)
            with pytest.raises(ValueError, match="line break"):
                await pool.send(upstream.address, "GET", ((b"a", b"b\r\nc: d"),))
            assert upstream.connections == 0
            await pool.close()

    run(story())


def test_nothing_is_held_back_by_the_kernel(on_loop: Run) -> None:
    async def story() -> None:
        async with scripted(patient) as upstream:
            pool = Pool()
            await get(pool, upstream)
            (lane,) = pool._lanes.values()
            (connection,) = lane.connections
            sock = connection._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            await pool.close()

    on_loop(story())


def test_a_large_request_arrives_whole(on_loop: Run) -> None:
    async def story() -> None:
        async with scripted(patient) as upstream:
            pool = Pool()
            body = bytes(range(256)) * 15_000
            reply = await pool.send(upstream.address, "POST", (), body)
            assert await reply.read(len(body), 10) == body
            await pool.close()

    on_loop(story())


# Unix sockets.


def test_a_unix_socket_is_an_upstream_like_others(on_loop: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with scripted(patient, tmp_path / "s") as upstream:
            pool = Pool()
            for repeatable in (True, False):
                reply = await pool.send(upstream.address, "POST", (), b"{}", repeatable=repeatable)
                assert reply.complete == b"{}"
            assert upstream.connections == 1
            await pool.close()

    on_loop(story())


@pytest.fixture
def full(tmp_path: Path) -> Any:
    """A Unix socket whose backlog is full; connections are accepted by hand."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s"))
    listening.listen(0)
    waiting = []
    while True:
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        waiting.append(sock)
        try:
            sock.connect(str(tmp_path / "s"))
        except BlockingIOError:
            break
    yield listening
    for sock in [listening, *waiting]:
        sock.close()


def test_a_full_backlog_is_waited_for(on_loop: Run, full: socket.socket) -> None:
    async def story() -> None:
        pool = Pool()
        address = Address("", 0, "/", socket=full.getsockname())
        sending = asyncio.ensure_future(pool.send(address, "GET", (), seconds=5))
        await asyncio.wait({sending}, timeout=0.01)
        assert not sending.done()
        full.setblocking(False)
        accepted = []
        while not sending.done():
            sock, _ = await asyncio.get_running_loop().sock_accept(full)
            accepted.append(sock)
            sock.send(whole(b"ok"))
            await asyncio.wait({sending}, timeout=0.2)
        assert (await sending).complete == b"ok"
        await pool.close()
        for sock in accepted:
            sock.close()

    on_loop(story())


def test_a_full_backlog_is_not_waited_for_for_ever(on_loop: Run, full: socket.socket) -> None:
    async def story() -> None:
        pool = Pool()
        address = Address("", 0, "/", socket=full.getsockname())
        reason, _ = await failure(pool.send(address, "GET", (), seconds=0.01))
        assert reason == "UpstreamRefused"
        await pool.close()

    on_loop(story())


# TLS.


@pytest.mark.parametrize(
    ("name", "trusted", "words"),
    [
        ("127.0.0.1", True, ""),
        ("127.0.0.1", False, "certificate verify failed"),
        ("127.0.0.9", True, "certificate verify failed"),
    ],
)
def test_tls_is_verified(
    on_loop: Run, tmp_path: Path, name: str, trusted: bool, words: str
) -> None:
    path = certificate(tmp_path, name)

    async def story() -> None:
        upstream = Upstream(patient)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=context)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1], "/", tls=True)
        pool = Pool(tls=ssl.create_default_context(cafile=path) if trusted else None)
        if words:
            reason, message = await failure(pool.send(address, "GET", ()))
            assert reason == "UpstreamRefused"
            assert f"https://127.0.0.1:{address.port}" in message
            assert words in message.lower()
        else:
            for body in (b"1", b"2" * 300_000):
                reply = await pool.send(address, "POST", (), body, repeatable=False)
                assert await reply.read(300_000, 5) == body
        await pool.close()
        await upstream.gone()
        server.close()

    on_loop(story())


# The end.


def test_closing_ends_what_is_under_way(on_loop: Run) -> None:
    async def story() -> None:
        doors = Doors()
        async with scripted(doors) as upstream:
            pool = Pool(PoolLimits(connections=1))
            asking = [asyncio.ensure_future(failure(get(pool, upstream))) for _ in range(2)]
            await doors.waiting.get()
            await pool.close()
            assert [reason for reason, _ in await asyncio.gather(*asking)] == [
                "UpstreamReset",
                "UpstreamRefused",
            ]
            assert (await failure(get(pool, upstream)))[0] == "UpstreamRefused"
            other = replace(upstream.address, port=1)
            assert (await failure(pool.send(other, "GET", ())))[0] == "UpstreamRefused"
            await pool.close()

    on_loop(story())


def test_a_connection_that_is_made_too_late_is_closed(on_loop: Run) -> None:
    async def story() -> None:
        async with scripted(patient) as upstream:
            pool = Pool()
            sending = asyncio.ensure_future(failure(get(pool, upstream)))
            await asyncio.wait({sending}, timeout=0)
            await pool.close()
            assert (await sending)[0] == "UpstreamRefused"

    on_loop(story())
