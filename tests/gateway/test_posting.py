"""POST: what becomes of a message when something goes wrong on the way."""

import asyncio
from typing import Any

import pytest
from support.fronting import eventually
from support.standin import JSON, SSE, Standin, failure, message, result

from mooring.core.load import Load
from mooring.gateway import posting
from mooring.sessions import courier
from mooring.sessions.event_ids import EventIds
from mooring.sessions.seal import Sealer

MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
STATELESS = {
    "mcp_protocol_version": "2026-07-28", "mcp_method": "tools/call", "mcp_name": "who"
}  # fmt: skip
TYPESCRIPT_LOST = b'{"jsonrpc":"2.0","error":{"code":-32000,"message":"No valid session ID"}}'


def post(body: bytes, session: str = "", **headers: str) -> bytes:
    """A raw request on a connection of its own."""
    if session:
        headers["mcp_session_id"] = session
    lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
    return (
        "POST /servers/notes/mcp HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\n"
        f"{lines}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def answering(status: int, body: bytes = b"", *headers: tuple[bytes, bytes]) -> Any:
    async def behaviour(exchange: Any) -> None:
        exchange.respond(status, headers or (JSON,), body)

    return behaviour


def test_notifications_and_responses_are_accepted(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            for body in (message("notifications/initialized"), result(1, action="accept")):
                said = await w.ask(body, mcp_session_id=session)
                assert (said.status, said.body) == (202, b"")

    run(story())


def test_no_session_is_minted_where_the_server_gives_none(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            w.standins["notes"][0].behaviour = answering(200, result(1, protocolVersion="x"))
            said = await w.ask(message("initialize", 1))
            assert said.status == 200
            assert b"mcp-session-id" not in said.headers
            assert (await w.call()).status == 200

    run(story())


@pytest.mark.parametrize(
    ("status", "body"), [(400, failure(None, -32600)), (200, failure(1, -32602))]
)
def test_no_session_is_minted_from_a_refusal(
    world: Any, run: Any, status: int, body: bytes
) -> None:
    async def story() -> None:
        async with world() as w:
            id = (b"mcp-session-id", b"never-established")
            w.standins["notes"][0].behaviour = answering(status, body, JSON, id)
            said = await w.ask(message("initialize", 1))
            assert (said.status, said.body) == (status, body)
            assert b"mcp-session-id" not in said.headers

    run(story())


def test_a_session_id_over_a_kibibyte_is_502_and_ended(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]
            id = (b"mcp-session-id", b"x" * 1025)
            standin.behaviour = answering(200, result(1, protocolVersion="x"), JSON, id)
            said = await w.ask(message("initialize", 1))
            assert (said.status, said.reason) == (502, "UpstreamSessionIdTooLong")
            standin.arrived.clear()
            await standin.arrived.wait()
            assert standin.seen[-1].method == "DELETE"

    run(story())


def test_an_initialize_that_is_answered_by_a_stream_opens_a_session(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:

            async def streaming(exchange: Any) -> None:
                if b"initialize" not in exchange.request.body:
                    exchange.respond(200, (JSON,), result(2, ok=True))
                    return
                exchange.start(200, (SSE, (b"mcp-session-id", b"theirs")))
                await exchange.write(b"id: 1\nretry: 100\ndata:\n\n")
                answer = result(1, protocolVersion="2025-06-18")
                await exchange.write(b"event: message\ndata: " + answer + b"\n\n")
                exchange.finish()

            w.standins["notes"][0].behaviour = streaming
            said = await w.ask(message("initialize", 1, protocolVersion="2025-11-25"))
            ids = EventIds(Sealer(bytes(32)).ring)
            marked = ids.mark(said.session.encode(), b"1")
            assert said.body.startswith(b"id: %b\nretry: 100\ndata:\n\nevent: message" % marked)
            session = w.sessions.find(said.session)
            assert session is not None
            assert session.sealed.version == "2025-06-18"
            assert (await w.call(session=said.session)).status == 200

    run(story())


def test_where_that_is_wanted_a_session_that_its_server_forgot_is_lost_for_good(
    world: Any, run: Any
) -> None:
    async def story() -> None:
        async with world() as w:
            w.recovery = "fail"
            w.table()
            session = await w.open()
            standin = w.standins["notes"][0]
            standin.sessions.clear()
            said = await w.call(3, session)
            assert (said.status, said.reason, said.json["id"]) == (404, "SessionLost", 3)
            seen = len(standin.seen)
            assert (await w.call(session=session)).status == 404
            assert len(standin.seen) == seen

    run(story())


def test_a_400_that_does_not_passes(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]
            pings = 0

            async def picky(exchange: Any) -> None:
                nonlocal pings
                if b'"ping"' in exchange.request.body:
                    pings += 1
                    exchange.respond(200, (JSON,), result("mooring-ping"))
                else:
                    exchange.respond(400, (JSON,), TYPESCRIPT_LOST)

            standin.behaviour = picky
            for _ in range(3):
                said = await w.call(session=session)
                assert (said.status, said.body) == (400, TYPESCRIPT_LOST)
            assert pings == 1  # at most one question a second
            standin.behaviour = answering(400, failure(2, -32602))
            assert (await w.call(session=session)).body == failure(2, -32602)
            standin.behaviour = None
            assert (await w.call(session=session)).status == 200

    run(story())


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failing_server_does_not_end_a_client_inside_a_session(
    world: Any, run: Any, status: int
) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]
            page = ((b"content-type", b"text/html"), (b"retry-after", b"7"))
            standin.behaviour = answering(status, b"<h1>Oops</h1> secret", *page)
            said = await w.call(session=session)
            assert (said.status, said.reason) == (200, "UpstreamUnreadable")
            assert said.json["error"]["data"]["upstreamStatus"] == status
            assert said.headers[b"retry-after"] == b"7"
            assert b"secret" not in said.body
            notified = await w.ask(message("notifications/initialized"), mcp_session_id=session)
            assert notified.status == 202
            standin.behaviour = answering(status, failure(2, -32603, "theirs"))
            theirs = await w.call(session=session)
            assert (theirs.status, theirs.body) == (200, failure(2, -32603, "theirs"))

    run(story())


def test_outside_of_sessions_a_failing_server_shows_as_it_is(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            w.standins["notes"][0].behaviour = answering(500, failure(1, -32603))
            assert (await w.ask(message("initialize", 1))).status == 500
            stateless = await w.ask(message("tools/call", 1, name="who", _meta=MODERN), **STATELESS)
            assert (stateless.status, stateless.body) == (500, failure(1, -32603))

    run(story())


@pytest.mark.parametrize("status", [401, 403])
def test_a_challenge_passes(world: Any, run: Any, status: int) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]
            challenge = (b"www-authenticate", b'Bearer resource_metadata="x"')

            async def asking(exchange: Any) -> None:
                if b'"initialize"' in exchange.request.body:
                    await standin.serve(exchange)
                else:
                    exchange.respond(status, (challenge,))

            standin.behaviour = asking
            said = await w.call(session=session)
            assert said.status == status
            assert said.headers[b"www-authenticate"] == challenge[1]
            standin.behaviour = None
            assert (await w.call(session=session)).json["result"]["session"] == "notes-0-session-1"
            assert standin.opened == 1

    run(story())


def test_a_redirect_is_shown_and_not_followed(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]
            location = (b"location", b"https://elsewhere.example/mcp")
            standin.behaviour = answering(307, b"", location)
            said = await w.ask(message("initialize", 1))
            assert (said.status, said.reason) == (502, "UpstreamUnreadable")
            assert "https://elsewhere.example/mcp" in said.json["error"]["message"]
            assert len(standin.seen) == 1

    run(story())


def test_a_page_instead_of_an_answer_is_reported_by_type_only(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            page = ((b"content-type", b"text/html; charset=utf-8"), (b"set-cookie", b"a=b"))
            w.standins["notes"][0].behaviour = answering(200, b"<script>", *page)
            said = await w.ask(message("initialize", 1))
            assert (said.status, said.reason) == (502, "UpstreamUnreadable")
            assert "text/html" in said.json["error"]["message"]
            assert b"script" not in said.body
            assert b"set-cookie" not in said.headers

    run(story())


def test_a_refused_owner_is_tried_again_until_it_is_back(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]
            await standin.__aexit__()
            asked = asyncio.ensure_future(w.call(session=session))
            asyncio.get_running_loop().call_later(0.1, standin.proceed.set)
            await standin.proceed.wait()
            again = Standin(standin.name)
            again.address, again.sessions = standin.address, standin.sessions
            async with again:
                assert (await asked).json["result"]["who"] == "notes-0"

    run(story())


def test_a_refused_owner_fails_the_request_and_keeps_the_session(
    world: Any, run: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(courier, "PATIENCE", 0.1)

    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner = next(s for s in w.standins["notes"] if s.sessions)
            await owner.__aexit__()
            said = await w.call(session=session)
            assert (said.status, said.reason) == (200, "UpstreamRefused")
            assert w.sessions.find(session) is not None
            assert all(load.calls == 0 for load in w.gateway.loads().values())

    run(story())


def test_a_new_session_goes_to_the_next_instance(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 3}) as w:
            await w.standins["notes"][0].__aexit__()
            w.standins["notes"][1].behaviour = answering(503, b"", (b"retry-after", b"1"))
            for _ in range(6):
                await w.open()
            assert len(w.standins["notes"][2].sessions) == 6

    run(story())


def test_what_stands_alone_goes_to_the_next_instance(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            await w.standins["notes"][0].__aexit__()
            answers = [await w.call() for _ in range(4)]
            assert {answer.json["result"]["who"] for answer in answers} == {"notes-1"}

    run(story())


def test_a_call_that_may_have_run_is_not_sent_again(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:

            async def cut(exchange: Any) -> None:
                exchange.abort()

            for standin in w.standins["notes"]:
                standin.behaviour = cut
            said = await w.call()
            assert (said.status, said.reason) == (200, "UpstreamReset")
            assert sum(len(s.seen) for s in w.standins["notes"]) == 1

    run(story())


def test_a_server_that_never_answers_is_given_up(world: Any, run: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(posting, "CALL_SECONDS", 0.05)

    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]

            async def silent(_: Any) -> None:
                await standin.gone.wait()

            standin.behaviour = silent
            said = await w.call(session=session)
            assert (said.status, said.reason) == (200, "UpstreamTimeout")
            assert said.json["error"]["code"] == -32001
            standin.behaviour = None
            assert (await w.call(session=session)).status == 200

    run(story())


def test_a_list_is_asked_for_once_more_elsewhere(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:

            async def cut(exchange: Any) -> None:
                exchange.abort()

            w.standins["notes"][0].behaviour = cut
            for _ in range(4):
                said = await w.ask(message("tools/list", 1))
                assert said.json["result"]["who"] == "notes-1"

    run(story())


def test_a_client_that_leaves_has_not_cancelled_its_call(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]
            finished = asyncio.Event()

            async def slow(exchange: Any) -> None:
                exchange.start(200, (SSE,))
                await exchange.write(b": begun\n\n")
                await standin.proceed.wait()
                for _ in range(10):
                    await exchange.write(b": more\n\n")
                await exchange.write(b"data: " + result(2, ok=True) + b"\n\n")
                exchange.finish()
                finished.set()

            standin.behaviour = slow
            reader, writer = await w.raw(post(message("tools/call", 2), session))
            await reader.readuntil(b": begun\n\n")
            writer.close()
            await w.left.wait()
            standin.proceed.set()
            await finished.wait()
            assert not standin.gone.is_set()
            await eventually(lambda: w.gateway.loads() == {"uid-notes-0": Load(1, 0)})

    run(story())


def test_a_client_of_the_stateless_era_that_leaves_has(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]
            body = message("tools/call", 2, name="who", _meta=MODERN)

            async def silent(exchange: Any) -> None:
                await standin.gone.wait()

            async def streaming(exchange: Any) -> None:
                exchange.start(200, (SSE,))
                await exchange.write(b": begun\n\n")
                await standin.gone.wait()

            for behaviour in (silent, streaming):
                standin.behaviour = behaviour
                standin.gone.clear()
                standin.arrived.clear()
                reader, writer = await w.raw(post(body, **STATELESS))
                await standin.arrived.wait()
                if behaviour is streaming:
                    await reader.readuntil(b": begun\n\n")
                writer.close()
                await standin.gone.wait()
                await eventually(lambda: w.gateway.loads()["uid-notes-0"].calls == 0)

    run(story())


def test_a_client_that_left_before_it_had_its_session_leaves_none_behind(
    world: Any, run: Any
) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]

            async def slow(exchange: Any) -> None:
                if exchange.request.method == "POST":
                    await standin.proceed.wait()
                await standin.serve(exchange)

            standin.behaviour = slow
            _, writer = await w.raw(post(message("initialize", 1)))
            await standin.arrived.wait()
            standin.arrived.clear()
            writer.close()
            await w.left.wait()
            standin.proceed.set()
            await standin.arrived.wait()
            await eventually(lambda: not standin.sessions)
            assert len(w.sessions) == 0

    run(story())


def test_a_client_that_leaves_with_its_answer_keeps_its_session(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]

            async def slow_to_end(exchange: Any) -> None:
                if b"initialize" not in exchange.request.body:
                    await standin.serve(exchange)
                    return
                standin.sessions.add("theirs")
                exchange.start(200, (SSE, (b"mcp-session-id", b"theirs")))
                answer = result(1, protocolVersion="2025-11-25")
                await exchange.write(b"data: " + answer + b"\n\n")
                await standin.proceed.wait()
                exchange.finish()

            standin.behaviour = slow_to_end
            reader, writer = await w.raw(post(message("initialize", 1)))
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            session = head.split("mcp-session-id: ")[1].split("\r\n")[0]
            await reader.readuntil(b"}\n\n")
            writer.close()
            await w.left.wait()
            standin.proceed.set()
            await eventually(lambda: w.gateway.loads()["uid-notes-0"].calls == 0)
            assert (await w.call(session=session)).json["result"]["session"] == "theirs"
            assert [request.method for request in standin.seen] == ["POST", "POST"]

    run(story())
