"""What upstreams do wrong, and how it is told."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from support.wire import (
    Wire,
    failure,
    get,
    patient,
    request,
    saying,
    scripted,
    silent,
    whole,
)

from mooring.core.address import Address
from mooring.transports.http_upstream import Pool

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
    ],
)
def test_what_is_no_answer_is_told_as_such(on_loop: Run, answer: bytes) -> None:
    async def story() -> None:
        async with scripted(saying(answer)) as upstream:
            pool = Pool()
            reason, words = await failure(get(pool, upstream))
            assert reason == "UpstreamMalformed"
            assert f"http://127.0.0.1:{upstream.address.port}" in words
            await upstream.gone()
            await pool.close()

    on_loop(story())


@pytest.mark.parametrize(
    "answer",
    [
        whole(b"abc")[:-1],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_a_body_that_is_cut_is_told_after_what_came(on_loop: Run, answer: bytes) -> None:
    async def story() -> None:
        async with scripted(saying(answer)) as upstream:
            pool = Pool()
            reply = await get(pool, upstream)
            pieces = reply.chunks()
            assert (await anext(pieces)).startswith(b"ab")
            reason, words = await failure(anext(pieces))
            assert reason == "UpstreamReset"
            assert words.endswith("ended before its answer was complete")
            assert (await failure(reply.read(100, 5)))[0] == "UpstreamReset"
            await pool.close()

    on_loop(story())


def test_a_body_in_bad_chunks_is_told_after_what_came(on_loop: Run) -> None:
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

    async def story() -> None:
        go_on = asyncio.Event()

        async def stepping(wire: Wire) -> None:
            await request(wire)
            await wire.send(answer)
            await go_on.wait()
            await wire.send(b"zz\r\n")
            await wire.end()

        async with scripted(stepping) as upstream:
            pool = Pool()
            reply = await get(pool, upstream)
            go_on.set()
            assert (await failure(reply.read(100, 5)))[0] == "UpstreamMalformed"
            await pool.close()

    on_loop(story())


def test_a_connection_that_ends_without_an_answer_may_have_run(on_loop: Run) -> None:
    async def story() -> None:
        for partial in (b"", b"HTTP/1.1 200"):
            async with scripted(saying(partial)) as upstream:
                pool = Pool()
                assert (await failure(get(pool, upstream)))[0] == "UpstreamReset"
                assert upstream.connections == 1
                await pool.close()

    on_loop(story())


def test_a_closed_port_and_a_missing_socket_refuse(on_loop: Run, tmp_path: Path) -> None:
    async def story() -> None:
        pool = Pool()
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        reason, words = await failure(pool.send(Address("127.0.0.1", port, "/"), "GET", ()))
        assert (reason, words) == (
            "UpstreamRefused",
            f"cannot connect to http://127.0.0.1:{port}: Connection refused",
        )
        path = str(tmp_path / "s")
        reason, words = await failure(pool.send(Address("", 0, "/", socket=path), "GET", ()))
        assert (reason, words) == (
            "UpstreamRefused",
            f"cannot connect to unix://{path}: No such file or directory",
        )
        await pool.close()

    on_loop(story())


def test_a_name_that_no_one_knows_refuses(run: Run) -> None:
    async def story() -> None:
        pool = Pool()
        for name in ("nowhere.invalid", "x" * 70 + ".invalid"):
            assert (await failure(pool.send(Address(name, 1, "/"), "GET", ())))[0] == (
                "UpstreamRefused"
            )
        await pool.close()

    run(story())


def test_an_upstream_that_is_silent_is_given_up(on_loop: Run) -> None:
    async def story() -> None:
        async with scripted(silent) as upstream:
            pool = Pool()
            reason, words = await failure(get(pool, upstream, seconds=0.01))
            assert reason == "UpstreamTimeout"
            assert words.endswith("did not begin to answer in time")
            await upstream.gone()
            await pool.close()

    on_loop(story())


def test_a_caller_that_gives_up_ends_the_connection(on_loop: Run) -> None:
    async def story() -> None:
        async with scripted(silent) as upstream:
            pool = Pool()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await get(pool, upstream)
            await upstream.gone()
            await pool.close()

    on_loop(story())


def test_a_reply_may_be_given_up_at_any_time(on_loop: Run) -> None:
    async def story() -> None:
        async def beginning(wire: Wire) -> None:
            await request(wire)
            await wire.send(whole(b"abc")[:-1])
            await wire.end()

        async with scripted(beginning) as upstream:
            pool = Pool()
            reply = await get(pool, upstream)
            chunks = reply.chunks()
            assert await anext(chunks) == b"ab"
            waiting = asyncio.ensure_future(failure(anext(chunks)))
            await asyncio.wait({waiting}, timeout=0.01)
            reply.abort()
            reply.abort()
            assert await waiting == ("UpstreamReset", "the answer was given up")
            await upstream.gone()
            await pool.close()
        async with scripted(patient) as upstream:
            pool = Pool()
            (await get(pool, upstream)).abort()
            await get(pool, upstream)
            assert upstream.connections == 1
            await pool.close()

    on_loop(story())
