"""How a server ends."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from support.wire import GET, POST, Gate, echo, serving, until

from mooring.transports.http_server import Exchange, HttpServer

Run = Callable[[Coroutine[Any, Any, None]], None]


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


def test_a_connection_that_was_just_made_has_a_moment_for_its_request(on_loop: Run) -> None:
    async def story() -> None:
        async with serving(echo) as site:
            fresh, kept = [await site.connect() for _ in range(2)]
            await kept.send(GET % b"1")
            await kept.answer()
            await until(lambda: site.server.connections_open == 2)
            drained = asyncio.ensure_future(site.server.drain(5))
            await until(lambda: site.server.draining)
            for wire in (fresh, kept):
                await wire.send(GET % b"2")
                answer = await wire.answer()
                assert (answer.status, answer.headers[b"connection"]) == (200, b"close")
                assert await wire.end() == b""
            assert await drained

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


# Without a task.


def test_a_request_may_be_handled_without_a_task(on_loop: Run) -> None:
    async def story() -> None:
        def swift(exchange: Exchange, host: HttpServer) -> bool:
            match exchange.request.path:
                case "/at-once":
                    exchange.respond(200, (), b"at once")
                    host.finished(exchange)
                case "/never":
                    host.finished(exchange)
                case "/on":
                    host.goes_on(exchange, echo(exchange))
                case "/mistake":
                    raise KeyError("a mistake")
                case _:
                    return False
            return True

        async with serving(echo, swift=swift) as site:
            for path, status, body in (
                (b"at-once", 200, b"at once"),
                (b"on", 200, b"/on"),
                (b"task", 200, b"/task"),
                (b"never", 500, None),
                (b"mistake", 500, None),
            ):
                answer = await site.ask(GET % path)
                assert answer.status == status
                assert body in (None, answer.body)
            assert site.server.requests_open == 0

    on_loop(story())


def test_many_requests_at_once_are_answered_in_order_however_they_are_handled(
    on_loop: Run,
) -> None:
    async def story() -> None:
        def swift(exchange: Exchange, host: HttpServer) -> bool:
            exchange.respond(200, (), exchange.request.path.encode())
            host.finished(exchange)
            return True

        async with serving(echo, swift=swift) as site:
            wire = await site.connect()
            await wire.send(b"".join(GET % (b"%d" % number) for number in range(1500)))
            for number in range(1500):
                assert (await wire.answer()).body == b"/%d" % number

    on_loop(story())


def test_what_would_go_on_after_the_end_does_not(on_loop: Run) -> None:
    async def story() -> None:
        taken: list[Exchange] = []

        def swift(exchange: Exchange, host: HttpServer) -> bool:
            taken.append(exchange)
            return True

        async with serving(echo, swift=swift) as site:
            wire = await site.connect()
            await wire.send(GET % b"x")
            await until(lambda: bool(taken))
            assert site.server.requests_open == 1
            await site.server.close()
            site.server.goes_on(taken[0], echo(taken[0]))
            assert site.server.requests_open == 0

    on_loop(story())
