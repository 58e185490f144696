"""The pool, as upstreams see it, and as its callers see what upstreams do."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.certificates import certificate
from support.wire import Upstream, Wire, request, scripted, serving, until, whole

from mooring.core.address import Address
from mooring.errors import Unavailable
from mooring.transports.http_lane import Lane
from mooring.transports.http_server import Exchange
from mooring.transports.http_upstream import Pool, PoolLimits, Reply

Run = Callable[[Coroutine[Any, Any, None]], None]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"


def saying(*answers: bytes) -> Callable[[Wire], Coroutine[Any, Any, None]]:
    """An upstream that gives these answers in turn on each connection, then closes it."""

    async def script(wire: Wire) -> None:
        for answer in answers:
            await request(wire)
            await wire.send(answer)

    return script


async def patient(wire: Wire) -> None:
    """Answers every request on a connection with its body."""
    while True:
        _, body = await request(wire)
        await wire.send(whole(body))


async def silent(wire: Wire) -> None:
    """Reads a request and says nothing until the client goes."""
    await request(wire)
    await wire.end()


async def get(pool: Pool, upstream: Upstream, **conditions: Any) -> Reply:
    return await pool.send(upstream.address, "GET", (), **conditions)


async def failure(work: Awaitable[object]) -> tuple[str, str]:
    """Reason and message of what goes wrong."""
    with pytest.raises(Unavailable) as caught:
        await work
    return caught.value.reason, caught.value.message


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


# What goes wrong.


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


# Connections used again.


def test_a_connection_is_used_again_and_again(on_loop: Run) -> None:
    async def story() -> None:
        async with scripted(patient) as upstream:
            pool = Pool()
            for number in range(20):
                reply = await pool.send(
                    upstream.address, "POST", (), b"%d" % number, repeatable=bool(number % 2)
                )
                assert await reply.read(100, 5) == b"%d" % number
            assert upstream.connections == 1
            other = replace(upstream.address, host="127.0.0.2")
            assert (await failure(pool.send(other, "GET", ())))[0] == "UpstreamRefused"
            await pool.close()

    on_loop(story())


def test_a_request_that_may_run_once_gets_no_old_connection(on_loop: Run) -> None:
    async def story() -> None:
        async with scripted(patient) as upstream:
            pool = Pool(PoolLimits(fresh_seconds=-1.0))
            await get(pool, upstream)
            await get(pool, upstream, repeatable=False)
            assert upstream.connections == 2
            await get(pool, upstream)
            assert upstream.connections == 2
            await pool.close()

    on_loop(story())


def test_a_request_that_may_run_once_gets_no_connection_that_has_ended(on_loop: Run) -> None:
    """The end is in the kernel, and the loop has not told us yet."""

    async def story() -> None:
        pool = Pool()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            address = Address("127.0.0.1", listening.getsockname()[1], "/")
            for _ in range(2):
                sending = asyncio.ensure_future(pool.send(address, "GET", (), repeatable=False))
                listening.setblocking(False)
                sock, _ = await asyncio.get_running_loop().sock_accept(listening)
                await asyncio.get_running_loop().sock_recv(sock, 1000)
                sock.send(whole(b"ok"))
                assert (await sending).complete == b"ok"
                sock.close()
        await pool.close()

    on_loop(story())


def closing_second() -> Callable[[Wire], Coroutine[Any, Any, None]]:
    """Answers the first request of each connection and closes on the second."""

    async def script(wire: Wire) -> None:
        await request(wire)
        await wire.send(whole(b"ok"))
        await request(wire)

    return script


def test_a_repeatable_request_is_sent_once_more(on_loop: Run) -> None:
    async def story() -> None:
        async with scripted(closing_second()) as upstream:
            pool = Pool()
            for _ in range(3):
                assert (await get(pool, upstream)).complete == b"ok"
            assert upstream.connections == 3
            await pool.close()

    on_loop(story())


def test_a_request_that_may_run_once_is_not_sent_again(on_loop: Run) -> None:
    async def story() -> None:
        async with scripted(closing_second()) as upstream:
            pool = Pool()
            await get(pool, upstream)
            reason, words = await failure(get(pool, upstream, repeatable=False))
            assert reason == "UpstreamReset"
            assert words.endswith("closed the connection without an answer")
            assert upstream.connections == 1
            await pool.close()

    on_loop(story())


def test_a_repeatable_request_is_not_repeated_for_ever(on_loop: Run) -> None:
    async def story() -> None:
        async def first_only(wire: Wire) -> None:
            await request(wire)
            if upstream.connections == 1:
                await wire.send(whole(b"ok"))
                await request(wire)

        async with scripted(first_only) as upstream:
            pool = Pool()
            await get(pool, upstream)
            assert (await failure(get(pool, upstream)))[0] == "UpstreamReset"
            assert upstream.connections == 2
            await pool.close()

    on_loop(story())


def test_an_idle_connection_is_closed_after_a_while(on_loop: Run) -> None:
    async def story() -> None:
        async with scripted(patient) as upstream:
            pool = Pool(PoolLimits(idle_seconds=0.0))
            await get(pool, upstream)
            await upstream.gone()
            await until(lambda: pool._timer is None)
            assert pool._lanes == {}
            await get(pool, upstream)
            assert upstream.connections == 2
            await pool.close()

    on_loop(story())


def test_an_upstream_that_speaks_unasked_is_cut(on_loop: Run) -> None:
    async def story() -> None:
        async def chatty(wire: Wire) -> None:
            await request(wire)
            await wire.send(whole(b"ok"))
            await said.wait()
            await wire.send(whole(b"more"))
            await wire.end()

        said = asyncio.Event()
        async with scripted(chatty) as upstream:
            pool = Pool()
            await get(pool, upstream)
            said.set()
            await upstream.gone()
            assert (await get(pool, upstream)).complete == b"ok"
            assert upstream.connections == 2
            await pool.close()

    on_loop(story())


async def varied(exchange: Exchange) -> None:
    """Answers a number in one of several forms, or cuts the connection."""
    body = exchange.request.body
    number = int(body)
    if number % 7 == 0:
        exchange.abort()
    elif number % 3 == 0:
        exchange.start(200)
        for _ in range(number % 5):
            await exchange.write(body + b";")
        exchange.finish()
    else:
        exchange.respond(200, (), (body + b";") * (number % 5))


async def outcome(pool: Pool, address: Address, number: int) -> object:
    """What comes of a number: its body, or what went wrong; some leave before that."""
    body = b"%d" % number
    try:
        async with asyncio.timeout(0.001 if number % 11 == 0 else 10):
            reply = await pool.send(address, "POST", (), body, repeatable=number % 2 == 0)
            if number % 13 == 0:
                return reply.abort()
            return await reply.read(1000, 5)
    except (TimeoutError, Unavailable) as error:
        return type(error)


def test_answers_are_never_mixed_up(on_loop: Run) -> None:
    async def story() -> None:
        async with serving(varied) as site:
            pool = Pool(PoolLimits(connections=5))
            address = Address("127.0.0.1", site.port, "/")
            found = await asyncio.gather(*(outcome(pool, address, n) for n in range(300)))
            for number, what in enumerate(found):
                expected = {b"%d;" % number * (number % 5)}
                if number % 7 == 0:
                    expected = {Unavailable}
                if number % 13 == 0:
                    expected.add(None)
                if number % 11 == 0:
                    expected.add(TimeoutError)
                assert what in expected
            await pool.close()

    on_loop(story())


# Too many at once.


class Doors:
    """An upstream that answers each request when told to."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def __call__(self, wire: Wire) -> None:
        while True:
            await request(wire)
            door = asyncio.Event()
            self.waiting.put_nowait(door)
            await door.wait()
            await wire.send(whole(b"ok"))


def test_requests_beyond_the_limit_wait_for_a_connection(on_loop: Run) -> None:
    async def story() -> None:
        doors = Doors()
        async with scripted(doors) as upstream:
            pool = Pool(PoolLimits(connections=2))
            asking = [asyncio.ensure_future(get(pool, upstream)) for _ in range(6)]
            for _ in range(6):
                (await doors.waiting.get()).set()
            assert [(await reply).complete for reply in asking] == [b"ok"] * 6
            assert upstream.connections == 2
            await pool.close()

    on_loop(story())


def test_waiting_for_a_connection_is_bounded_and_nothing_was_sent(on_loop: Run) -> None:
    async def story() -> None:
        doors = Doors()
        async with scripted(doors) as upstream:
            pool = Pool(PoolLimits(connections=1))
            first = asyncio.ensure_future(get(pool, upstream))
            door = await doors.waiting.get()
            reason, words = await failure(get(pool, upstream, seconds=0.01))
            assert reason == "UpstreamRefused"
            assert words.endswith("could be made in time")
            door.set()
            await first
            assert doors.waiting.empty()
            await pool.close()

    on_loop(story())


def test_room_goes_to_whoever_waits_when_a_connection_is_lost(on_loop: Run) -> None:
    async def story() -> None:
        doors = Doors()
        async with scripted(doors) as upstream:
            pool = Pool(PoolLimits(connections=1))
            first = asyncio.ensure_future(get(pool, upstream))
            await doors.waiting.get()
            others = [asyncio.ensure_future(get(pool, upstream)) for _ in range(2)]
            await asyncio.wait(others, timeout=0.01)
            first.cancel()
            others[0].cancel()
            (await doors.waiting.get()).set()
            assert (await others[1]).complete == b"ok"
            assert upstream.connections == 2
            await pool.close()

    on_loop(story())


def test_a_connection_given_to_one_who_has_just_left_is_not_lost(on_loop: Run) -> None:
    async def story() -> None:
        async with scripted(patient) as upstream:
            lane = Lane(upstream.address, PoolLimits(connections=1), None)
            deadline = asyncio.get_running_loop().time() + 5
            connection = await lane.open(deadline)
            leaving, staying = (asyncio.ensure_future(lane.open(deadline)) for _ in range(2))
            await asyncio.wait({leaving, staying}, timeout=0.01)
            lane.freed(connection)
            leaving.cancel()
            assert await staying is connection
            assert leaving.cancelled()
            await lane.close()

    on_loop(story())


def test_an_old_connection_makes_room_for_a_new_one(on_loop: Run) -> None:
    async def story() -> None:
        async with scripted(patient) as upstream:
            pool = Pool(PoolLimits(connections=1, fresh_seconds=-1.0))
            for _ in range(3):
                assert (await get(pool, upstream, repeatable=False, seconds=5)).status == 200
            assert upstream.connections == 3
            await pool.close()

    on_loop(story())


def test_room_is_free_again_when_a_connection_cannot_be_made(on_loop: Run, tmp_path: Path) -> None:
    async def story() -> None:
        pool = Pool(PoolLimits(connections=1))
        missing = Address("", 0, "/", socket=str(tmp_path / "missing"))
        asking = [failure(pool.send(missing, "GET", (), seconds=5)) for _ in range(5)]
        reasons = {reason for reason, _ in await asyncio.gather(*asking)}
        assert reasons == {"UpstreamRefused"}
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
