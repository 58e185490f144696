"""The commonest request takes no task, and is answered as all others are."""

import asyncio
import logging
from typing import Any

import pytest
from support.fronting import World, eventually
from support.standin import JSON, SSE, Standin, failure, message, result

from mooring.core.load import Load


def swift(w: World) -> list[bool]:
    """Of each request under way, whether it takes no task."""
    return [task is None for task in w.front._tasks.values()]


def holding(standin: Standin, answer: Any) -> None:
    """It answers when it is told to `proceed`."""

    async def behaviour(exchange: Any) -> None:
        await standin.proceed.wait()
        await answer(exchange)

    standin.behaviour = behaviour
    standin.arrived.clear()


async def warm(w: World) -> tuple[str, Standin]:
    """A session whose owner has a connection to spare."""
    session = await w.open()
    assert (await w.call(session=session)).status == 200
    return session, w.standins["notes"][0]


def test_a_call_of_a_session_takes_no_task_and_leaves_nothing(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session, standin = await warm(w)
            holding(standin, standin.serve)
            call = asyncio.ensure_future(w.call(7, session))
            await standin.arrived.wait()
            assert swift(w) == [True]
            assert w.gateway.loads()[standin.uid] == Load(1, 1)
            assert w.sessions.find(session).calls == 1
            standin.proceed.set()
            said = await call
            assert (said.json["id"], said.json["result"]["who"]) == (7, standin.name)
            assert swift(w) == []
            assert w.gateway.loads()[standin.uid] == Load(1, 0)
            assert w.sessions.find(session).calls == 0
            page = (await w.ask(method="GET", path="/metrics")).body
            assert b'method="tools/call",outcome="answered"} 2.0' in page

    run(story())


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, (SSE,), b"data: " + result(7, a=1) + b"\n\n"),
        (200, (SSE,), b"data: " + message("x") + b"\n\n"),
        (202, (), b""),
        (400, (JSON,), failure(7, -32600)),
        (429, (JSON,), failure(7, -32000)),
        (500, (JSON,), b"{}"),
        (302, ((b"location", b"/x"),), b""),
        (200, ((b"content-type", b"text/html"),), b"<p>"),
        (200, (JSON,), b'"' + b"x" * 200_000 + b'"'),
    ],
)
def test_it_is_answered_as_a_request_with_a_task_is(
    world: Any, run: Any, status: int, headers: Any, body: bytes
) -> None:
    async def story() -> None:
        async with world() as w:
            session, standin = await warm(w)

            async def answer(exchange: Any) -> None:
                exchange.respond(status, headers, body)

            standin.behaviour = answer
            swiftly = await w.call(7, session)
            w.front._swift = None
            slowly = await w.call(7, session)
            for said in (swiftly, slowly):  # how a long body is framed is chance
                for name in (b"date", b"content-length", b"transfer-encoding"):
                    said.headers.pop(name, None)
            assert swiftly == slowly
            assert w.gateway.loads()[standin.uid] == Load(1, 0)

    run(story())


def test_a_stream_goes_on_in_a_task(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session, standin = await warm(w)

            async def streaming(exchange: Any) -> None:
                exchange.start(200, (SSE,))
                await exchange.write(b"data: " + message("x") + b"\n\n")
                standin.arrived.set()
                await standin.proceed.wait()
                await exchange.write(b"data: " + result(7) + b"\n\n")
                exchange.finish()

            standin.behaviour = streaming
            call = asyncio.ensure_future(w.call(7, session))
            await eventually(lambda: swift(w) == [False])
            standin.proceed.set()
            assert (await call).body.endswith(b"data: " + result(7) + b"\n\n")

    run(story())


@pytest.mark.parametrize(("method", "reason"), [("tools/call", "OutcomeUnknown"), ("ping", "")])
def test_a_connection_that_ends_without_an_answer_is_minded(
    world: Any, run: Any, method: str, reason: str
) -> None:
    async def story() -> None:
        async with world() as w:
            session, standin = await warm(w)
            cuts = iter([True])

            async def cutting(exchange: Any) -> None:
                if next(cuts, False):
                    exchange.abort()
                else:
                    await standin.serve(exchange)

            standin.behaviour = cutting
            said = await w.ask(message(method, 7), mcp_session_id=session)
            assert (said.reason if reason else "") == reason
            assert ("result" in said.json) == (not reason)
            assert w.gateway.loads()[standin.uid] == Load(1, 0)

    run(story())


def test_a_client_that_leaves_cancels_nothing(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session, standin = await warm(w)
            holding(standin, standin.serve)
            body = message("tools/call", 7)
            head = "POST /servers/notes/mcp HTTP/1.1\r\nhost: HOST\r\n"
            head += f"content-type: application/json\r\nmcp-session-id: {session}\r\n"
            _, writer = await w.raw(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            await standin.arrived.wait()
            writer.close()
            await w.left.wait()
            assert swift(w) == [True]
            assert not standin.gone.is_set()
            standin.proceed.set()
            await eventually(lambda: w.gateway.loads()[standin.uid] == Load(1, 0))
            assert swift(w) == []

    run(story())


def test_a_drain_waits_for_it(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session, standin = await warm(w)
            holding(standin, standin.serve)
            call = asyncio.ensure_future(w.call(7, session))
            await standin.arrived.wait()
            draining = asyncio.ensure_future(w.front.drain(10))
            await eventually(lambda: w.front.draining)
            assert not draining.done()
            standin.proceed.set()
            said = await call
            assert (said.status, said.headers[b"connection"]) == (200, b"close")
            assert await draining

    run(story())


def test_the_end_of_the_server_ends_it(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session, standin = await warm(w)
            holding(standin, standin.serve)
            call = asyncio.ensure_future(w.call(7, session))
            await standin.arrived.wait()
            await w.front.close()
            assert isinstance(await asyncio.gather(call, return_exceptions=True), list)
            standin.proceed.set()
            await eventually(lambda: w.gateway.loads()[standin.uid].calls == 0)
            assert w.front.requests_open == 0

    run(story())


def test_what_goes_wrong_in_a_way_that_nobody_thought_of_is_a_500(
    world: Any, run: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)

    def broken(*_: Any) -> None:
        raise KeyError("a mistake")

    async def story() -> None:
        async with world() as w:
            session, standin = await warm(w)
            with monkeypatch.context() as patch:
                patch.setattr("mooring.gateway.swift.pass_whole", broken)
                assert (await w.call(session=session)).status == 500
            assert w.gateway.loads()[standin.uid] == Load(1, 0)
            assert (await w.call(session=session)).status == 200
            assert "a mistake" in caplog.text

    run(story())
