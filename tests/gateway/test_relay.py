"""Answers on their way back: streams, documents, and streams that break."""

import json
import re
from typing import Any

import pytest
from support.fronting import eventually
from support.standin import JSON, SSE, message, result


def streaming(*pieces: bytes, cut: bool = False) -> Any:
    async def behaviour(exchange: Any) -> None:
        exchange.start(200, (SSE, (b"cache-control", b"no-cache, no-transform")))
        for piece in pieces:
            await exchange.write(piece)
        if cut:
            exchange.abort()
        else:
            exchange.finish()

    return behaviour


NOTE = b'event: message\r\ndata: {"jsonrpc":"2.0","method":"notifications/progress"}\r\n\r\n'
ANSWER = b"event: message\r\ndata: " + result(2, ok=True) + b"\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        (NOTE + ANSWER,),
        (NOTE, ANSWER),
        (b": ping\n\n", NOTE[:20], NOTE[20:] + ANSWER[:7], ANSWER[7:]),
        (b"\xef\xbb\xbf" + ANSWER.replace(b"\r\n", b"\r"),),
        (ANSWER, NOTE),
        (b"unknown: field\n" + ANSWER,),
        (b"data: {\n" + b'data: "jsonrpc":"2.0","id":2,"result":{}}\n\n',),
    ],
)
def test_a_stream_arrives_byte_for_byte(world: Any, run: Any, pieces: tuple[bytes, ...]) -> None:
    async def story() -> None:
        async with world() as w:
            w.standins["notes"][0].behaviour = streaming(*pieces)
            said = await w.call()
            assert said.body == b"".join(pieces)
            assert said.headers[b"content-type"] == b"text/event-stream"
            assert said.headers[b"cache-control"] == b"no-cache, no-transform"
            assert said.headers[b"x-content-type-options"] == b"nosniff"

    run(story())


def test_an_event_is_passed_on_when_it_comes(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]

            async def talking(exchange: Any) -> None:
                exchange.start(200, (SSE,))
                for _ in range(3):
                    await exchange.write(NOTE)
                    await standin.proceed.wait()
                    standin.proceed.clear()
                await exchange.write(ANSWER)
                exchange.finish()

            standin.behaviour = talking
            body = message("tools/call", 2)
            reader, writer = await w.raw(
                b"POST /servers/notes/mcp HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json"
                b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            for _ in range(3):
                await reader.readuntil(NOTE)
                standin.proceed.set()
            await reader.readuntil(ANSWER)
            writer.close()

    run(story())


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("pieces", [(), (NOTE,), (NOTE, b"data: hal"), (NOTE + ANSWER[:30],)])
def test_a_stream_that_leaves_the_client_waiting_gets_one_more_event(
    world: Any, run: Any, cut: bool, pieces: tuple[bytes, ...]
) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            w.standins["notes"][0].behaviour = streaming(*pieces, cut=cut)
            said = await w.call(session=session)
            whole = b"".join(p for p in pieces if cut is False or p is NOTE)
            last = said.body.rstrip().rsplit(b"data: ", 1)[1]
            told = json.loads(last)
            assert told["id"] == 2
            assert told["error"]["data"]["reason"] == "OutcomeUnknown"
            assert "whether the request ran is unknown" in told["error"]["message"]
            if cut and len(pieces) < 2 and pieces != (NOTE + ANSWER[:30],):
                assert said.body.startswith(whole)
            assert (await w.call(session=session)).status == 200  # the session goes on

    run(story())


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize(
    "pieces", [(b"id: 7\nretry: 10\ndata:\n\n",), (ANSWER,), (ANSWER, b": ping\n\n")]
)
def test_a_stream_that_can_be_resumed_or_has_answered_gets_none(
    world: Any, run: Any, cut: bool, pieces: tuple[bytes, ...]
) -> None:
    async def story() -> None:
        async with world() as w:
            w.standins["notes"][0].behaviour = streaming(*pieces, cut=cut)
            said = (await w.call()).body
            assert re.sub(rb"id: 7[^\n]*", b"id: 7", said) == b"".join(pieces)

    run(story())


def test_ids_of_events_are_those_of_one_session(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            first, second = await w.open(), await w.open()
            standin = w.standins["notes"][0]
            standin.behaviour = streaming(b"id: 7\ndata:\n\n", b"id: 8\n" + ANSWER)
            said = (await w.call(session=first)).body
            ids = re.findall(rb"^id: (.*)$", said, re.M)
            assert [id.split(b".")[0] for id in ids] == [b"7", b"8"]
            resumed = await w.ask(method="GET", mcp_session_id=first, last_event_id=ids[1].decode())
            assert resumed.status == 200
            assert standin.seen[-1].header(b"last-event-id") == b"8"
            seen = len(standin.seen)
            for session, id in ((second, ids[1].decode()), (first, "8"), (first, "8.AAAAAAAAAAAA")):
                said = await w.ask(method="GET", mcp_session_id=session, last_event_id=id)
                assert (said.status, said.reason) == (400, "BadRequest")
            assert len(standin.seen) == seen

    run(story())


def test_a_long_event_passes_in_pieces(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            long = b"data: " + result(2, text="x" * (3 << 20)) + b"\n\n"
            w.standins["notes"][0].behaviour = streaming(long)
            assert (await w.call()).body == long

    run(story())


def test_a_document_that_is_cut_is_cut_for_the_client_too(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:

            async def cutting(exchange: Any) -> None:
                exchange.start(200, (JSON,))
                await exchange.write(b"[" * 100_000)
                exchange.abort()

            w.standins["notes"][0].behaviour = cutting
            with pytest.raises(Exception, match="connection"):
                await w.call()

    run(story())


def test_a_document_in_chunks_arrives_whole(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:

            async def chunked(exchange: Any) -> None:
                exchange.start(200, (JSON,))
                for piece in (b'{"jsonrpc":"2.0",', b'"id":2,"result"', b":{}}"):
                    await exchange.write(piece)
                exchange.finish()

            w.standins["notes"][0].behaviour = chunked
            assert (await w.call()).json == {"jsonrpc": "2.0", "id": 2, "result": {}}

    run(story())


def test_a_slow_reader_slows_its_server_and_nobody_else(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]
            written = 0

            async def pouring(exchange: Any) -> None:
                nonlocal written
                if b"pour" not in exchange.request.body:
                    await standin.serve(exchange)
                    return
                exchange.start(200, (SSE,))
                for _ in range(4000):
                    await exchange.write(b"data: " + b"x" * 10_000 + b"\n\n")
                    written += 10_000
                exchange.finish()

            standin.behaviour = pouring
            body = message("pour", 2)
            reader, writer = await w.raw(
                b"POST /servers/notes/mcp HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json"
                b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await reader.readuntil(b"\n\n")
            stuck = -1
            while stuck != written:  # until nothing moves any more
                stuck = written
                assert (await w.call()).status == 200
            assert written < 30_000_000
            writer.transport.abort()
            await eventually(lambda: standin.gone.is_set() or written == 40_000_000)

    run(story())
