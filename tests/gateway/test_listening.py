"""GET: the stream on which a server speaks unasked."""

import asyncio
from typing import Any

from support.fronting import eventually
from support.standin import JSON, SSE, failure, message

from mooring.gateway import listening

MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
GET = "GET /servers/notes/mcp HTTP/1.1\r\nHost: HOST\r\nAccept: text/event-stream\r\n"


def get(session: str, *lines: str) -> bytes:
    return (GET + "".join(f"{x}\r\n" for x in (f"Mcp-Session-Id: {session}", *lines, ""))).encode()


def test_events_arrive_while_the_stream_is_open(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            reader, writer = await w.raw(get(session))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"text/event-stream" in head
            await reader.readuntil(b": hello\n\n")
            request = w.standins["notes"][0].seen[-1]
            assert request.header(b"mcp-session-id") == b"notes-0-session-1"
            assert request.header(b"accept") == b"text/event-stream, application/json"
            found = w.sessions.find(session)
            assert found.streams == 1
            w.standins["notes"][0].proceed.set()
            await reader.readuntil(b"0\r\n\r\n")
            await eventually(lambda: found.streams == 0)
            writer.close()

    run(story())


def test_a_client_that_leaves_ends_its_stream(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            reader, writer = await w.raw(get(session))
            await reader.readuntil(b": hello\n\n")
            writer.close()
            await w.standins["notes"][0].gone.wait()
            await eventually(lambda: w.sessions.find(session).streams == 0)

    run(story())


def test_a_lingering_stream_is_waited_for(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]
            refusals = 2

            async def lingering(exchange: Any) -> None:
                nonlocal refusals
                if refusals:
                    refusals -= 1
                    exchange.respond(409, (JSON,), failure(None, -32600))
                else:
                    await standin.serve(exchange)

            standin.behaviour = lingering
            reader, writer = await w.raw(get(session))
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            writer.close()

    run(story())


def test_a_stream_that_lingers_on_is_not_waited_for_for_ever(
    world: Any, run: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(listening, "PATIENCE", 0.15)

    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]

            async def lingering(exchange: Any) -> None:
                exchange.respond(409, (JSON,), failure(None, -32600))

            standin.behaviour = lingering
            async with asyncio.timeout(5):
                said = await w.ask(method="GET", mcp_session_id=session)
            assert (said.status, said.body) == (409, failure(None, -32600))
            assert sum(r.method == "GET" for r in standin.seen) >= 2

    run(story())


def test_a_second_stream_of_one_client_gets_the_409_at_once(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]
            reader, writer = await w.raw(get(session))
            await reader.readuntil(b": hello\n\n")

            async def one_only(exchange: Any) -> None:
                exchange.respond(409, (JSON,), failure(None, -32600))

            standin.behaviour = one_only
            seen = len(standin.seen)
            said = await w.ask(method="GET", mcp_session_id=session)
            assert (said.status, said.body) == (409, failure(None, -32600))
            assert len(standin.seen) == seen + 1
            writer.close()

    run(story())


def test_a_server_without_streams_says_405(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()

            async def without(exchange: Any) -> None:
                exchange.respond(405, ((b"allow", b"POST"),))

            w.standins["notes"][0].behaviour = without
            said = await w.ask(method="GET", mcp_session_id=session)
            assert (said.status, said.headers[b"allow"], said.body) == (405, b"POST", b"")

    run(story())


def test_a_stream_of_a_lost_session_is_404(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            w.recovery = "fail"
            w.table()
            session = await w.open()
            w.standins["notes"][0].sessions.clear()
            said = await w.ask(method="GET", mcp_session_id=session)
            assert (said.status, said.reason) == (404, "SessionLost")
            w.table(**{"notes-0": {"uid": "new"}})
            said = await w.ask(method="GET", mcp_session_id=session)
            assert said.status == 404

    run(story())


def test_a_stream_that_is_cut_is_just_closed(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()

            async def cutting(exchange: Any) -> None:
                exchange.start(200, (SSE,))
                await exchange.write(b"data: 1\n\ndata: hal")
                exchange.abort()

            w.standins["notes"][0].behaviour = cutting
            said = await w.ask(method="GET", mcp_session_id=session)
            assert said.body == b"data: 1\n\n"

    run(story())


def test_when_the_gateway_closes_streams_end_in_order(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            reader, writer = await w.raw(get(session))
            await reader.readuntil(b": hello\n\n")
            w.gateway.close_streams()
            assert await w.front.drain(5)
            assert (await reader.read()).endswith(b"0\r\n\r\n")
            writer.close()
            await w.standins["notes"][0].gone.wait()

    run(story())


def test_a_subscription_of_the_stateless_era_ends_in_order_too(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]
            agreed = message("notifications/subscriptions/acknowledged", notifications={})

            async def behaviour(exchange: Any) -> None:
                exchange.start(200, (SSE,))
                await exchange.write(b"data: %b\n\n" % agreed)
                await standin.gone.wait()

            standin.behaviour = behaviour
            body = message("subscriptions/listen", 1, _meta=MODERN)
            reader, writer = await w.raw(
                b"POST /servers/notes/mcp HTTP/1.1\r\nHost: HOST\r\n"
                b"Content-Type: application/json\r\nMcp-Protocol-Version: 2026-07-28\r\n"
                b"Mcp-Method: subscriptions/listen\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await reader.readuntil(agreed)
            w.gateway.close_streams()
            assert await w.front.drain(5)
            said = await reader.read()
            assert b'"resultType":"complete"' in said
            assert said.endswith(b"0\r\n\r\n")
            await standin.gone.wait()
            writer.close()

    run(story())


def test_a_stream_that_has_not_begun_is_told_to_come_back(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]

            async def silent(_: Any) -> None:
                await standin.gone.wait()

            standin.behaviour = silent
            standin.arrived.clear()
            reader, writer = await w.raw(get(session))
            await standin.arrived.wait()
            w.gateway.close_streams()
            assert (await reader.readline()).startswith(b"HTTP/1.1 503 ")
            writer.close()

    run(story())
