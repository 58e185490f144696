"""Answers of upstreams, whole and in pieces."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from support.wire import (
    Wire,
    failure,
    get,
    request,
    saying,
    scripted,
    whole,
)

from mooring.transports.http_upstream import Pool

Run = Callable[[Coroutine[Any, Any, None]], None]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"


# What comes back.


@pytest.mark.parametrize(
    ("answer", "body", "kept"),
    [
        (whole(b"abc"), b"abc", True),
        (whole(b""), b"", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", True),
        (CHUNKED + b"2;x\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n", b"abc", True),
        (INTERIM + whole(b"abc"), b"abc", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", b"x", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x", False),
        (whole(b"abc", 200, b"Connection: close"), b"abc", False),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", b"to the end", False),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"", True),
        (whole(b"abc") + whole(b"surplus"), b"abc", False),
        (whole(b"abc") + b"noise", b"abc", False),
    ],
)  # fmt: skip
def test_answers_of_all_forms(on_loop: Run, answer: bytes, body: bytes, kept: bool) -> None:
    async def story() -> None:
        async with scripted(saying(answer)) as upstream:
            for pieces in (False, True):
                pool = Pool()
                reply = await get(pool, upstream)
                if pieces:
                    assert b"".join([piece async for piece in reply.chunks()]) == body
                    assert [piece async for piece in reply.chunks()] == []
                else:
                    assert await reply.read(100, 5) == body
                    assert await reply.read(100, 5) == body
                assert reply.header(b"link") is None
                reply.abort()
                await pool.close()
        answers = (answer, whole(b"again")) if kept else (answer,)
        async with scripted(saying(*answers)) as upstream:
            pool = Pool()
            await (await get(pool, upstream)).read(100, 5)
            await (await get(pool, upstream)).read(100, 5)
            assert upstream.connections == (1 if kept else 2)
            await pool.close()

    on_loop(story())


def test_an_answer_to_head_has_no_body(on_loop: Run) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

    async def story() -> None:
        async with scripted(saying(answer)) as upstream:
            pool = Pool()
            for _ in range(2):
                reply = await pool.send(upstream.address, "HEAD", ())
                assert (reply.complete, reply.header(b"content-length")) == (b"", b"5")
            await pool.close()

    on_loop(story())


def test_headers_are_lower_cased_and_in_order(run: Run) -> None:
    async def story() -> None:
        async with scripted(saying(whole(b"", 299, b"X-B:  1 ", b"X-A: 2", b"X-B: 3"))) as upstream:
            pool = Pool()
            reply = await get(pool, upstream)
            assert reply.status == 299
            assert reply.headers[:3] == ((b"x-b", b"1"), (b"x-a", b"2"), (b"x-b", b"3"))
            assert (reply.header(b"x-b"), reply.header(b"x-c")) == (b"1", None)
            await pool.close()

    run(story())


def test_a_body_that_came_with_its_head_is_complete(on_loop: Run) -> None:
    async def story() -> None:
        async with scripted(saying(whole(b"abc"))) as upstream:
            pool = Pool()
            reply = await get(pool, upstream)
            assert reply.complete == b"abc"
            assert [piece async for piece in reply.chunks()] == [b"abc"]
            await pool.close()

    on_loop(story())


def test_pieces_are_handed_on_as_they_arrive(on_loop: Run) -> None:
    async def story() -> None:
        steps = [asyncio.Event() for _ in range(3)]

        async def stepping(wire: Wire) -> None:
            await request(wire)
            await wire.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for number, step in enumerate(steps):
                await step.wait()
                await wire.send(b"1\r\n%d\r\n" % number)
            await wire.send(b"0\r\n\r\n")

        async with scripted(stepping) as upstream:
            pool = Pool()
            reply = await get(pool, upstream)
            assert reply.complete is None
            chunks = reply.chunks()
            for number, step in enumerate(steps):
                step.set()
                assert await anext(chunks) == b"%d" % number
            with pytest.raises(StopAsyncIteration):
                await anext(chunks)
            await pool.close()

    on_loop(story())


def test_a_reader_who_is_behind_stops_the_upstream(on_loop: Run) -> None:
    async def story() -> None:
        size, sent = 40_000_000, 0
        stuck = asyncio.Event()

        async def flooding(wire: Wire) -> None:
            nonlocal sent
            await request(wire)
            await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
            loop = asyncio.get_running_loop()
            while sent < size:
                timer = loop.call_later(0.05, stuck.set)
                await wire.send(b"x" * 100_000)
                timer.cancel()
                sent += 100_000

        async with scripted(flooding) as upstream:
            pool = Pool()
            reply = await get(pool, upstream)
            await stuck.wait()
            assert sent < size / 2
            assert reply.buffered < 1_000_000
            received = 0
            async for piece in reply.chunks():
                received += len(piece)
            assert received == size
            assert (await get(pool, upstream, seconds=5)).status == 200
            await pool.close()

    on_loop(story())


# Reading a whole body.


def test_a_body_over_the_limit_is_given_up(on_loop: Run) -> None:
    async def story() -> None:
        async def endless(wire: Wire) -> None:
            await request(wire)
            await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                await wire.send(b"x" * 1000)

        async with scripted(endless) as upstream:
            pool = Pool()
            reason, words = await failure((await get(pool, upstream)).read(10_000, 5))
            assert (reason, words) == ("UpstreamTooLarge", "the answer is over 10000 bytes")
            await upstream.gone()
            await pool.close()
        async with scripted(saying(whole(b"abc"))) as upstream:
            pool = Pool()
            assert (await failure((await get(pool, upstream)).read(2, 5)))[0] == "UpstreamTooLarge"
            await pool.close()

    on_loop(story())


def test_a_body_that_takes_too_long_is_given_up(on_loop: Run) -> None:
    async def story() -> None:
        async def stopping(wire: Wire) -> None:
            await request(wire)
            await wire.send(whole(b"abc")[:-1])
            await wire.end()

        async with scripted(stopping) as upstream:
            pool = Pool()
            reply = await get(pool, upstream)
            assert (await failure(reply.read(100, 0.01)))[0] == "UpstreamTimeout"
            await upstream.gone()
            await pool.close()

    on_loop(story())
