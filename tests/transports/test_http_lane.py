"""Connections used again, and too many at once."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.wire import (
    Doors,
    Wire,
    failure,
    get,
    patient,
    request,
    scripted,
    serving,
    until,
    whole,
)

from mooring.core.address import Address
from mooring.errors import Unavailable
from mooring.transports.http_asking import UpstreamConnection
from mooring.transports.http_lane import Lane
from mooring.transports.http_server import Exchange
from mooring.transports.http_upstream import Pool, PoolLimits

Run = Callable[[Coroutine[Any, Any, None]], None]


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


def test_what_was_sent_once_is_not_said_to_be_refused(on_loop: Run, tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "s"

        async def gone_with_the_second(wire: Wire) -> None:
            await request(wire)
            await wire.send(whole(b"ok"))
            await request(wire)
            path.unlink()

        async with scripted(gone_with_the_second, path) as upstream:
            pool = Pool()
            await get(pool, upstream)
            assert (await failure(get(pool, upstream)))[0] == "UpstreamReset"
            assert (await failure(get(pool, upstream)))[0] == "UpstreamRefused"
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


def test_a_caller_that_leaves_while_a_connection_opens_leaves_none_behind(on_loop: Run) -> None:
    async def story() -> None:
        class Interrupting(Lane):
            def made(self, connection: UpstreamConnection) -> None:
                super().made(connection)
                opening.cancel()

        async with scripted(patient) as upstream:
            lane = Interrupting(upstream.address, PoolLimits(), None)
            deadline = asyncio.get_running_loop().time() + 5
            opening = asyncio.ensure_future(lane.open(deadline))
            await asyncio.wait({opening})
            assert opening.cancelled()
            assert lane.unused
            await lane.close()

    on_loop(story())
