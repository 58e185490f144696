"""Our server, as its clients see it."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from support.wire import Wire, serving, until

from mooring.transports.http_server import ClientGone, Exchange, Headers, HttpServer, Limits

Run = Callable[[Coroutine[Any, Any, None]], None]
GET = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
QUICK = Limits(
    head=1000,
    body=1000,
    head_seconds=0.04,
    body_idle_seconds=0.04,
    keepalive_seconds=0.04,
    write_idle_seconds=0.04,
    linger_seconds=0.04,
)


async def echo(exchange: Exchange) -> None:
    """Answers with path and body."""
    request = exchange.request
    exchange.respond(200, ((b"x-a", b"1"),), request.path.encode() + request.body)


async def counting(exchange: Exchange) -> None:
    """Streams three pieces."""
    exchange.start(200, ((b"content-type", b"text/event-stream"),))
    for number in range(3):
        await exchange.write(b"%d;" % number)
    exchange.finish()


class Gate:
    """A handler whose requests wait until they are let through."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.let_through = asyncio.Event()
        self.seen: list[str] = []

    async def __call__(self, exchange: Exchange) -> None:
        self.seen.append(exchange.request.path)
        self.arrived.set()
        await self.let_through.wait()
        exchange.respond(200, (), exchange.request.path.encode())


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


# One connection, many requests.


def test_pipelined_requests_are_answered_in_order(on_loop: Run) -> None:
    async def story() -> None:
        async with serving(echo) as site:
            wire = await site.connect()
            await wire.send(*(GET % b"%d" % n for n in range(200)))
            for number in range(200):
                assert (await wire.answer()).body == b"/%d" % number

    on_loop(story())


def test_a_pipelined_request_waits_for_the_answer_before_it(on_loop: Run) -> None:
    async def story() -> None:
        gate = Gate()
        async with serving(gate) as site:
            wire = await site.connect()
            await wire.send(GET % b"1", GET % b"2")
            await gate.arrived.wait()
            await wire.send(GET % b"3")
            assert gate.seen == ["/1"]
            gate.let_through.set()
            for path in (b"/1", b"/2", b"/3"):
                assert (await wire.answer()).body == path
            assert gate.seen == ["/1", "/2", "/3"]

    on_loop(story())


def test_large_pipelined_requests_are_answered_in_order(on_loop: Run) -> None:
    async def length(exchange: Exchange) -> None:
        exchange.respond(200, (), b"%d" % len(exchange.request.body))

    async def story() -> None:
        sizes = [0, 1, 20_000, 300_000, 3, 70_000]
        async with serving(length) as site:
            wire = await site.connect()
            await wire.send(*(POST % size + b"x" * size for size in sizes))
            for size in sizes:
                assert (await wire.answer()).body == b"%d" % size

    on_loop(story())


def test_a_request_may_come_byte_by_byte(run: Run) -> None:
    async def story() -> None:
        async with serving(echo) as site:
            wire = await site.connect()
            for byte in POST % 3 + b"abc":
                await wire.send(bytes([byte]))
            assert (await wire.answer()).body == b"/abc"

    run(story())


def test_a_client_that_waits_before_its_body_is_told_to_go_on(on_loop: Run) -> None:
    head = (POST % 2)[:-2] + b"Expect: 100-continue\r\n\r\n"

    async def story() -> None:
        async with serving(echo) as site:
            wire = await site.connect()
            await wire.send(GET % b"first", head)
            assert (await wire.answer()).body == b"/first"
            assert await wire.piece() == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert (await wire.ask(b"{}", method="POST")).body == b"/{}"
            together = await wire.ask(head, b"[]", method="POST")
            assert (together.body, together.interim) == (b"/[]", 0)

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


# Slow clients.


def test_a_slow_reader_costs_bounded_memory_and_delays_nobody(on_loop: Run) -> None:
    async def story() -> None:
        written = 0
        stuck = asyncio.Event()

        async def flooding(exchange: Exchange) -> None:
            nonlocal written
            if exchange.request.path != "/flood":
                exchange.respond(200)
                return
            exchange.start(200)
            loop = asyncio.get_running_loop()
            for _ in range(300):
                timer = loop.call_later(0.05, stuck.set)
                await exchange.write(b"x" * 65536)
                timer.cancel()
                written += 65536
            exchange.finish()

        async with serving(flooding) as site:
            slow = await site.connect()
            await slow.send(GET % b"flood")
            await stuck.wait()
            assert written < 15_000_000
            assert (await site.ask(GET % b"other")).status == 200
            assert len((await slow.answer()).body) == 65536 * 300

    on_loop(story())


def test_a_reader_who_takes_nothing_is_cut(on_loop: Run) -> None:
    async def story() -> None:
        gone = asyncio.Event()

        async def flooding(exchange: Exchange) -> None:
            exchange.on_gone(gone.set)
            exchange.start(200)
            while True:
                await exchange.write(b"x" * 65536)

        async with serving(flooding, QUICK) as site:
            await (await site.connect()).send(GET % b"")
            await gone.wait()

    on_loop(story())


def test_requests_are_not_handled_for_a_client_that_does_not_read(on_loop: Run) -> None:
    async def story() -> None:
        handled = 0
        answered = asyncio.Event()

        async def large(exchange: Exchange) -> None:
            nonlocal handled
            handled += 1
            exchange.respond(200, (), b"x" * 3_000_000)
            answered.set()

        async with serving(large) as site:
            wire = await site.connect()
            await wire.send((GET % b"") * 100)
            await answered.wait()
            await site.ask(GET % b"")  # time enough for the others, were they begun
            assert handled < 10
            for _ in range(100):
                await wire.answer()
            assert handled == 101

    on_loop(story())


def test_reading_ahead_is_bounded(on_loop: Run) -> None:
    async def story() -> None:
        gate = Gate()
        async with serving(gate) as site:
            wire = await site.connect()
            await wire.send(GET % b"1")
            await gate.arrived.wait()
            wire.writer.write(POST % 4_000_000 + b"x" * 4_000_000 + (GET % b"2") * 100_000)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wire.writer.drain(), 0.2)
            assert wire.writer.transport.get_write_buffer_size() > 500_000
            gate.let_through.set()
            assert [(await wire.answer()).body for _ in range(3)] == [b"/1", b"/", b"/2"]

    on_loop(story())


def test_a_head_that_takes_too_long_is_refused(on_loop: Run) -> None:
    async def story() -> None:
        async with serving(echo, QUICK) as site:
            answer = await site.ask(b"GET / HTTP/1.1\r\nHost: a\r\n")
            assert (answer.status, answer.headers[b"connection"]) == (408, b"close")
            wire = await site.connect()
            await wire.send(GET % b"", b"GE")
            assert (await wire.answer()).status == 200
            assert (await wire.answer()).status == 408
            assert await wire.end() == b""

    on_loop(story())


def test_a_head_that_drips_is_refused_all_the_same(run: Run) -> None:
    async def story() -> None:
        async with serving(echo, QUICK) as site:
            wire = await site.connect()
            answer = asyncio.ensure_future(wire.answer())
            await wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
            while not answer.done():
                await wire.send(b"x")
                await asyncio.wait({answer}, timeout=0.01)
            assert (await answer).status == 408

    run(story())


def test_a_body_that_stands_still_is_refused(on_loop: Run) -> None:
    async def story() -> None:
        async with serving(echo, QUICK) as site:
            assert (await site.ask(POST % 3, b"a", method="POST")).status == 408

    on_loop(story())


def test_an_idle_connection_is_closed_without_a_word(on_loop: Run) -> None:
    async def story() -> None:
        async with serving(echo, QUICK) as site:
            assert await (await site.connect()).end() == b""
            used = await site.connect()
            await used.ask(GET % b"")
            assert await used.end() == b""
            blank = await site.connect()
            assert await (await blank.send(b"\r\n")).end() == b""

    on_loop(story())


# Refusals.


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (POST % 1001, 413),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000 + b"\r\n\r\n", 431),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ],
)
def test_a_refused_request_ends_its_connection(on_loop: Run, sent: bytes, status: int) -> None:
    async def story() -> None:
        async with serving(echo, Limits(head=1000, body=1000)) as site:
            wire = await site.connect()
            await wire.send(GET % b"first", sent, GET % b"never")
            assert (await wire.answer()).body == b"/first"
            answer = await wire.answer()
            assert (answer.status, answer.headers[b"connection"]) == (status, b"close")
            assert answer.body.startswith(b"%d: " % status)
            assert await wire.end() == b""

    on_loop(story())


@pytest.mark.parametrize(
    "head", [POST % 5_000_000, (POST % 0)[:-21] + b"Transfer-Encoding: chunked\r\n\r\n4c4b40\r\n"]
)
def test_a_client_that_sends_too_much_still_gets_its_answer(on_loop: Run, head: bytes) -> None:
    async def story() -> None:
        async with serving(echo) as site:
            wire = await site.connect()
            await wire.send(head, b"x" * 5_000_000)
            answer = await wire.answer("POST")
            assert answer.status == 413
            assert await wire.end() == b""

    on_loop(story())


def test_who_goes_on_sending_for_ever_is_cut(on_loop: Run) -> None:
    async def story() -> None:
        async with serving(echo, Limits(body=1000)) as site:
            wire = await site.connect()
            wire.writer.write(POST % 100_000_000 + b"x" * 50_000_000)
            with pytest.raises(ConnectionError):
                await wire.send(b"x" * 50_000_000)

    on_loop(story())


def test_who_does_not_close_after_a_refusal_is_closed(on_loop: Run) -> None:
    async def story() -> None:
        async with serving(echo, QUICK) as site:
            wire = await site.connect()
            assert (await wire.ask(b"nonsense\r\n\r\n")).status == 400
            await until(lambda: site.server.connections_open == 0)

    on_loop(story())


def test_refusals_are_rendered_as_told(run: Run) -> None:
    def rendered(status: int, message: str) -> tuple[Headers, bytes]:
        return ((b"content-type", b"application/json"),), b'{"status":%d}' % status

    async def failing(exchange: Exchange) -> None:
        raise RuntimeError

    async def story() -> None:
        async with serving(failing, refusal=rendered) as site:
            wire = await site.connect()
            assert (await wire.ask(GET % b"")).body == b'{"status":500}'
            answer = await wire.ask(b"nonsense\r\n\r\n")
            assert answer.body == b'{"status":400}'
            assert answer.headers[b"content-type"] == b"application/json"

    run(story())


def test_connections_over_the_limit_are_told_so(on_loop: Run) -> None:
    async def story() -> None:
        async with serving(echo, Limits(connections=2)) as site:
            wires = [await site.connect() for _ in range(2)]
            for wire in wires:
                await wire.ask(GET % b"")
            wires.append(await site.connect())
            assert (await wires[2].answer()).status == 503
            await wires[2].close()
            await wires[0].close()
            await until(lambda: site.server.connections_open == 1)
            assert (await wires[1].ask(GET % b"")).status == 200

    on_loop(story())


def test_a_crowd_over_the_limit_is_cut(run: Run) -> None:
    async def story() -> None:
        async with serving(echo, Limits(connections=1)) as site:
            wires = [await site.connect() for _ in range(260)]
            assert (await wires[1].answer()).status == 503
            assert await wires[-1].end() == b""

    run(story())


# The end.


def test_draining_closes_idle_connections_and_lets_busy_ones_finish(on_loop: Run) -> None:
    async def story() -> None:
        gate = Gate()
        async with serving(gate) as site:
            idle, busy, half = [await site.connect() for _ in range(3)]
            await busy.send(GET % b"1", GET % b"2")
            await gate.arrived.wait()
            await half.send((POST % 2)[:-2] + b"Expect: 100-continue\r\n\r\n")
            await half.piece()
            await until(lambda: site.server.connections_open == 3)
            drained = asyncio.ensure_future(site.server.drain(5))
            assert await idle.end() == b""
            with pytest.raises(ConnectionRefusedError):
                await site.connect()
            await half.send(b"{}")
            gate.let_through.set()
            for wire in (busy, half):
                assert (await wire.answer()).headers[b"connection"] == b"close"
                assert await wire.end() == b""
            assert await drained
            assert gate.seen == ["/1", "/"]

    on_loop(story())


def test_a_stream_that_began_before_a_drain_ends_its_connection_too(on_loop: Run) -> None:
    async def story() -> None:
        started, go_on = asyncio.Event(), asyncio.Event()

        async def stepping(exchange: Exchange) -> None:
            exchange.start(200)
            await exchange.write(b"x")
            started.set()
            await go_on.wait()
            exchange.finish()

        async with serving(stepping) as site:
            wire = await site.connect()
            await wire.send(GET % b"")
            await started.wait()
            drained = asyncio.ensure_future(site.server.drain(5))
            go_on.set()
            assert (await wire.answer()).body == b"x"
            assert await wire.end() == b""
            assert await drained

    on_loop(story())


def test_draining_gives_up_in_time(on_loop: Run) -> None:
    async def story() -> None:
        gate = Gate()
        async with serving(gate) as site:
            wire = await site.connect()
            await wire.send(GET % b"")
            await gate.arrived.wait()
            assert not await site.server.drain(0.01)
            assert site.server.requests_open == 1

    on_loop(story())


def test_closing_cancels_handlers_and_waits_for_them(on_loop: Run) -> None:
    async def story() -> None:
        arrived = asyncio.Event()
        ends: list[str] = []

        async def waiting(exchange: Exchange) -> None:
            arrived.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ends.append("cancelled")

        async with serving(waiting) as site:
            wire = await site.connect()
            await wire.send(GET % b"")
            await arrived.wait()
            await site.server.close()
            assert ends == ["cancelled"]
            assert await wire.end() == b""
            assert (site.server.connections_open, site.server.requests_open) == (0, 0)
            await site.server.close()

    on_loop(story())


def test_a_server_that_never_listened_can_be_closed(run: Run) -> None:
    async def story() -> None:
        server = HttpServer(echo)
        assert await server.drain(0)
        await server.close()

    run(story())
