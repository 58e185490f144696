"""Answers, as clients of the server get them."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from support.wire import GET, POST, Wire, counting, echo, serving

from mooring.transports.http_exchange import HeadWriter
from mooring.transports.http_server import ClientGone, Exchange

Run = Callable[[Coroutine[Any, Any, None]], None]


# Answers.


def test_a_whole_answer(on_loop: Run) -> None:
    async def story() -> None:
        async with serving(echo) as site:
            answer = await site.ask(POST % 2, b"{}", method="POST")
            assert (answer.status, answer.body) == (200, b"/{}")
            assert answer.headers.keys() == {b"x-a", b"date", b"content-length"}

    on_loop(story())


def test_a_small_answer_is_one_write(on_loop: Run) -> None:
    async def story() -> None:
        async with serving(echo) as site:
            wire = await site.connect()
            await wire.send(GET % b"x")
            assert (await wire.piece()).endswith(b"\r\n\r\n/x")

    on_loop(story())


def test_a_large_answer_arrives_whole(on_loop: Run) -> None:
    async def large(exchange: Exchange) -> None:
        exchange.respond(200, (), b"x" * 3_000_000)

    async def story() -> None:
        async with serving(large) as site:
            wire = await site.connect()
            for _ in range(2):
                assert len((await wire.ask(GET % b"")).body) == 3_000_000

    on_loop(story())


def test_a_streamed_answer_is_chunked_and_each_piece_is_sent_at_once(on_loop: Run) -> None:
    step = asyncio.Event()

    async def stepping(exchange: Exchange) -> None:
        exchange.start(200)
        await exchange.write(b"one")
        await step.wait()
        await exchange.write(b"")
        await exchange.write(b"two")
        exchange.finish()

    async def story() -> None:
        async with serving(stepping) as site:
            wire = await site.connect()
            await wire.send(GET % b"")
            head = await wire.reader.readuntil(b"\r\n\r\n")
            assert b"transfer-encoding: chunked\r\n" in head
            assert await wire.reader.readuntil(b"one\r\n") == b"3\r\none\r\n"
            step.set()
            assert await wire.reader.readuntil(b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"

    on_loop(story())


def test_answers_without_a_body(on_loop: Run) -> None:
    async def bare(exchange: Exchange) -> None:
        path = exchange.request.path
        if path == "/stream":
            exchange.start(204)
            exchange.finish()
        else:
            exchange.respond(int(path[1:]), (), b"not sent")

    async def story() -> None:
        async with serving(bare) as site:
            wire = await site.connect()
            for path in (b"204", b"304", b"stream"):
                answer = await wire.ask(GET % path)
                assert (answer.body, answer.headers.keys()) == (b"", {b"date"})

    on_loop(story())


def test_head_gets_the_head_alone(on_loop: Run) -> None:
    async def story() -> None:
        async with serving(echo) as site:
            wire = await site.connect()
            answer = await wire.ask(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", method="HEAD")
            assert (answer.headers[b"content-length"], answer.body) == (b"2", b"")
            assert (await wire.ask(GET % b"y")).body == b"/y"
        async with serving(counting) as site:
            wire = await site.connect()
            for _ in range(2):
                answer = await wire.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", method="HEAD")
                assert (answer.status, answer.body) == (200, b"")

    on_loop(story())


def test_http_1_0_is_answered_as_it_asks(on_loop: Run) -> None:
    async def story() -> None:
        async with serving(echo) as site:
            wire = await site.connect()
            kept = await wire.ask(b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert (kept.headers[b"connection"], kept.body) == (b"keep-alive", b"/x")
            last = await wire.ask(b"GET /y HTTP/1.0\r\n\r\n")
            assert (last.headers[b"connection"], last.body) == (b"close", b"/y")
            assert await wire.end() == b""
        async with serving(counting) as site:
            wire = await site.connect()
            await wire.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            head, _, body = (await wire.end()).partition(b"\r\n\r\n")
            assert b"transfer-encoding" not in head
            assert body == b"0;1;2;"

    on_loop(story())


def test_headers_of_the_connection_are_the_server_s(on_loop: Run) -> None:
    async def passing_on(exchange: Exchange) -> None:
        foreign = (
            (b"content-length", b"99"),
            (b"transfer-encoding", b"chunked"),
            (b"connection", b"close"),
            (b"date", b"never"),
        )
        exchange.respond(200, foreign, b"x")

    async def story() -> None:
        async with serving(passing_on) as site:
            wire = await site.connect()
            for _ in range(2):
                answer = await wire.ask(GET % b"")
                assert answer.body == b"x"
                assert answer.headers[b"date"].endswith(b" GMT")

    on_loop(story())


@pytest.mark.parametrize("header", [(b"a", b"b\r\nc: d"), (b"a", b"b\n"), (b"a\r", b"b")])
def test_a_header_cannot_break_out_of_its_line(run: Run, header: tuple[bytes, bytes]) -> None:
    async def breaking(exchange: Exchange) -> None:
        exchange.respond(200, (header,))

    async def story() -> None:
        async with serving(breaking) as site:
            assert (await site.ask(GET % b"")).status == 500

    run(story())


def test_an_unknown_status_is_sent_as_it_is(run: Run) -> None:
    async def odd(exchange: Exchange) -> None:
        exchange.respond(299)

    async def story() -> None:
        async with serving(odd) as site:
            assert (await site.ask(GET % b"")).status == 299

    run(story())


def test_the_peer_is_known(on_loop: Run, tmp_path: Path) -> None:
    async def peer(exchange: Exchange) -> None:
        with exchange.connection_socket() as sock:
            family = socket.AddressFamily(sock.family).name
        exchange.respond(200, (), f"{family} {exchange.request.peer}".encode())

    async def story() -> None:
        async with serving(peer) as site:
            wire = await site.connect()
            port = wire.writer.get_extra_info("sockname")[1]
            answer = await wire.ask(GET % b"")
            assert answer.body == b"AF_INET 127.0.0.1:%d" % port

            local = socket.socket(socket.AF_UNIX)
            local.bind(str(tmp_path / "s"))
            await site.server.listen(local)
            wire = Wire(*await asyncio.open_unix_connection(tmp_path / "s"))
            answer = await wire.ask(GET % b"")
            assert answer.body == b"AF_UNIX unix:%d" % os.getuid()
            await wire.close()

    on_loop(story())


def test_nothing_is_held_back_by_the_kernel(on_loop: Run) -> None:
    async def nodelay(exchange: Exchange) -> None:
        with exchange.connection_socket() as sock:
            on = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        exchange.respond(200, (), b"%d" % bool(on))

    async def story() -> None:
        async with serving(nodelay) as site:
            assert (await site.ask(GET % b"")).body == b"1"

    on_loop(story())


# Handlers that fail.


def test_a_handler_that_fails_is_answered_for(on_loop: Run) -> None:
    async def failing(exchange: Exchange) -> None:
        if exchange.request.path == "/raise":
            raise RuntimeError("a secret")

    async def story() -> None:
        async with serving(failing) as site:
            wire = await site.connect()
            for path in (b"raise", b"forget"):
                answer = await wire.ask(GET % path)
                assert answer.status == 500
                assert b"secret" not in answer.body

    on_loop(story())


def test_a_stream_that_fails_is_cut(on_loop: Run) -> None:
    async def failing(exchange: Exchange) -> None:
        exchange.start(200)
        await exchange.write(b"x")
        if exchange.request.path == "/raise":
            raise RuntimeError
        if exchange.request.path == "/abort":
            exchange.abort()
            exchange.abort()

    async def story() -> None:
        async with serving(failing) as site:
            for path in (b"raise", b"forget", b"abort"):
                wire = await site.connect()
                await wire.send(GET % path)
                assert not (await wire.end()).endswith(b"0\r\n\r\n")

    on_loop(story())


def test_an_answer_is_given_once(run: Run) -> None:
    problems: list[str] = []

    async def twice(exchange: Exchange) -> None:
        with pytest.raises(RuntimeError, match="no streamed answer"):
            exchange.finish()
        exchange.respond(200)
        for again in (exchange.respond, exchange.start):
            with pytest.raises(RuntimeError) as caught:
                again(200)
            problems.append(str(caught.value))
        with pytest.raises(RuntimeError):
            await exchange.write(b"x")

    async def story() -> None:
        async with serving(twice) as site:
            assert (await site.ask(GET % b"x")).status == 200
        assert problems == ["GET /x has been answered already"] * 2

    run(story())


# Clients that go away.


def test_a_client_s_disconnect_is_noticed_while_its_request_is_handled(on_loop: Run) -> None:
    async def story() -> None:
        gone = asyncio.Event()
        ends: list[str] = []

        async def waiting(exchange: Exchange) -> None:
            exchange.on_gone(lambda: ends.append("called"))
            exchange.on_gone(gone.set)
            await gone.wait()
            exchange.on_gone(lambda: ends.append("called at once"))
            exchange.respond(200)
            exchange.start(200)
            exchange.finish()
            exchange.abort()
            with pytest.raises(ClientGone):
                await exchange.write(b"x")
            ends.append("done")

        async with serving(waiting) as site:
            wire = await site.connect()
            await wire.send(GET % b"")
            await wire.close()
            await gone.wait()
            await site.server.drain(5)
            assert ends == ["called", "called at once", "done"]

    on_loop(story())


def test_nobody_is_called_when_the_answer_had_ended(on_loop: Run) -> None:
    async def story() -> None:
        calls: list[str] = []

        async def quick(exchange: Exchange) -> None:
            exchange.on_gone(lambda: calls.append("gone"))
            exchange.respond(200)

        async with serving(quick) as site:
            wire = await site.connect()
            await wire.ask(GET % b"")
            await wire.close()
            assert await site.server.drain(5)
            assert calls == []

    on_loop(story())


def test_a_writer_who_waits_for_a_client_that_goes_is_told(on_loop: Run) -> None:
    async def story() -> None:
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def flooding(exchange: Exchange) -> None:
            exchange.start(200)
            try:
                while True:
                    await exchange.write(b"x" * 65536)
            except ClientGone:
                outcome.set_result("gone")
                raise

        async with serving(flooding) as site:
            wire = await site.connect()
            await wire.send(GET % b"")
            await wire.piece()
            wire.writer.transport.abort()
            assert await outcome == "gone"

    on_loop(story())


def test_a_client_that_is_gone_before_we_know_does_no_harm(on_loop: Run) -> None:
    async def story() -> None:
        async def late(exchange: Exchange) -> None:
            sock.close()  # our answer is met by a reset, before we can say that it is the last
            exchange.respond(200)
            answered.set()

        answered = asyncio.Event()
        async with serving(late) as site:
            sock = socket.create_connection(("127.0.0.1", site.port))
            sock.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            await answered.wait()
            assert await site.server.drain(5)

    on_loop(story())


def test_a_head_is_written_once_for_the_same_headers_and_never_for_others() -> None:
    writer = HeadWriter(frozenset({b"left"}))
    for turn in range(3000):  # objects come and go, and so do their ids
        headers = ((b"a", b"%d" % turn), (b"left", b"out"))
        assert writer.write(b"one\r\n", headers) == b"one\r\na: %d\r\n" % turn
        assert writer.write(b"two\r\n", headers) == b"two\r\na: %d\r\n" % turn
    assert writer.write(b"one\r\n", headers) is writer.write(b"one\r\n", headers)
    long = ((b"a", b"x" * 5000),)
    assert writer.write(b"", long) is not writer.write(b"", long)
    for _ in range(2):
        with pytest.raises(ValueError, match="line break"):
            writer.write(b"", ((b"a", b"b\r\nc: d"),))
