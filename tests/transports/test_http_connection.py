"""One connection to the server: requests in order, slow clients, refusals."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from support.wire import GET, POST, QUICK, Gate, echo, serving, until

from mooring.transports.http_server import Exchange, Headers, Limits

Run = Callable[[Coroutine[Any, Any, None]], None]


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
