"""Mooring's own questions to servers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.standin import JSON, SSE, Standin, failure, result

from mooring.errors import Denied, Invalid, MooringError, NotFound, Unavailable
from mooring.transports.http_server import Exchange
from mooring.transports.http_upstream import Pool
from mooring.transports.mcp_client import Handshake, McpClient

Answer = Callable[[Exchange, dict[str, Any]], Awaitable[None]]
SECONDS = 5.0


@asynccontextmanager
async def client(answer: Answer | None = None) -> AsyncIterator[tuple[McpClient, Standin]]:
    pool = Pool()
    async with Standin() as standin:

        async def behaviour(exchange: Exchange) -> None:
            request = exchange.request
            if request.method != "POST":
                await standin.serve(exchange)
                return
            told = json.loads(request.body)
            if answer is not None and told.get("method") not in ("initialize",):
                await answer(exchange, told)
            elif told.get("method") == "server/discover":
                exchange.respond(400, (JSON,), failure(told["id"], -32600))
            else:
                await standin.serve(exchange)

        standin.behaviour = behaviour
        try:
            yield McpClient(pool, standin.address), standin
        finally:
            await pool.close()


def respond(exchange: Exchange, body: bytes, status: int = 200) -> None:
    exchange.respond(status, (JSON,), body)


def methods(standin: Standin) -> list[str]:
    return [json.loads(r.body).get("method", "") if r.body else r.method for r in standin.seen]


def test_a_server_with_sessions_is_greeted_and_left(run: Any) -> None:
    async def story() -> None:
        async with client() as (mine, standin):
            found = await mine.handshake(SECONDS)
            assert found == Handshake("session", "2025-11-25", "standin", "1", {"tools": {}})
            assert methods(standin) == [
                "server/discover", "initialize", "notifications/initialized"
            ]  # fmt: skip
            noted = standin.seen[-1]
            assert noted.header(b"mcp-session-id") == b"standin-session-1"
            assert noted.header(b"mcp-protocol-version") == b"2025-11-25"
            await mine.close()
            await mine.close()
            assert standin.sessions == set()

    run(story())


def test_a_server_of_the_stateless_era_gets_no_session(run: Any) -> None:
    async def answer(exchange: Exchange, told: dict[str, Any]) -> None:
        assert exchange.request.header(b"mcp-method") == told["method"].encode()
        meta = {"io.modelcontextprotocol/serverInfo": {"name": "new", "version": "2"}}
        assert told["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
        if told["method"] == "server/discover":
            body = result(told["id"], supportedVersions=["2026-07-28"], capabilities={}, _meta=meta)
        else:
            assert exchange.request.header(b"mcp-name") == b"who"
            body = result(told["id"], content=[])
        respond(exchange, body)

    async def story() -> None:
        async with client(answer) as (mine, standin):
            assert await mine.handshake(SECONDS) == Handshake("stateless", "2026-07-28", "new", "2")
            assert await mine.call_tool("who", {}, SECONDS) == {"content": []}
            await mine.close()
            assert methods(standin) == ["server/discover", "tools/call"]

    run(story())


@pytest.mark.parametrize("code", [-32020, -32021, -32022])
def test_an_error_that_only_the_stateless_era_has_is_a_verdict(run: Any, code: int) -> None:
    async def answer(exchange: Exchange, told: dict[str, Any]) -> None:
        respond(exchange, failure(told["id"], code), 400)

    async def story() -> None:
        async with client(answer) as (mine, _):
            assert (await mine.handshake(SECONDS)).era == "stateless"

    run(story())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (405, b""),
        (406, b"Not Acceptable"),
        (400, b"{"),
        (400, b'{"jsonrpc":"2.0","error":{"code":-32000,"message":"Server not initialized"}}'),
        (200, result(1, supportedVersions=["2025-11-25"])),
        (500, b"<html>"),
    ],
)
def test_any_other_answer_to_the_probe_means_sessions(run: Any, status: int, body: bytes) -> None:
    async def answer(exchange: Exchange, told: dict[str, Any]) -> None:
        if told["method"] == "server/discover":
            respond(exchange, body, status)
        else:
            exchange.respond(202)

    async def story() -> None:
        async with client(answer) as (mine, _):
            assert (await mine.handshake(SECONDS)).era == "session"

    run(story())


def test_silence_is_no_verdict(run: Any) -> None:
    async def answer(exchange: Exchange, _: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    async def story() -> None:
        async with client(answer) as (mine, standin):
            with pytest.raises(Unavailable) as caught:
                await mine.handshake(0.05)
            assert caught.value.reason == "UpstreamTimeout"
            assert methods(standin) == ["server/discover"]

    run(story())


def test_nor_is_a_refused_connection(run: Any) -> None:
    async def story() -> None:
        async with client() as (mine, standin):
            await standin.__aexit__()
            with pytest.raises(Unavailable) as caught:
                await mine.handshake(SECONDS)
            assert caught.value.reason == "UpstreamRefused"

    run(story())


def test_one_era_can_be_asked_for(run: Any) -> None:
    async def story() -> None:
        async with client() as (mine, standin):
            assert (await mine.handshake(SECONDS, "session")).era == "session"
            assert "server/discover" not in methods(standin)
            with pytest.raises(MooringError):
                await mine.handshake(SECONDS, "stateless")

    run(story())


@pytest.mark.parametrize("challenge", [(401, ()), (403, ((b"www-authenticate", b"Bearer"),))])
def test_a_server_that_wants_a_login_is_alive(run: Any, challenge: Any) -> None:
    async def story() -> None:
        async with client() as (mine, standin):

            async def guarded(exchange: Exchange) -> None:
                exchange.respond(challenge[0], (*challenge[1],))

            standin.behaviour = guarded
            for eras in ("auto", "session"):
                found = await mine.handshake(SECONDS, eras)  # type: ignore[arg-type]
                assert found.needs_login
            with pytest.raises(Denied):
                await mine.list_tools(SECONDS)

    run(story())


def test_a_refused_handshake_has_the_servers_own_words(run: Any) -> None:
    async def story() -> None:
        async with client() as (mine, standin):

            async def refusing(exchange: Exchange) -> None:
                told = json.loads(exchange.request.body)
                respond(exchange, failure(told["id"], -32603, "missing API key «x»"))

            standin.behaviour = refusing
            with pytest.raises(Unavailable) as caught:
                await mine.handshake(SECONDS)
            assert (caught.value.reason, caught.value.message) == (
                "UpstreamError", "missing API key «x»"
            )  # fmt: skip

    run(story())


def test_what_is_not_mcp_is_named(run: Any) -> None:
    async def story() -> None:
        async with client() as (mine, standin):

            async def page(exchange: Exchange) -> None:
                exchange.respond(502, ((b"content-type", b"text/html"),), b"<h1>secret</h1>")

            standin.behaviour = page
            with pytest.raises(Unavailable, match=r"HTTP 502 \(text/html\)") as caught:
                await mine.handshake(SECONDS)
            assert caught.value.reason == "UpstreamUnreadable"

            async def redirect(exchange: Exchange) -> None:
                exchange.respond(307, ((b"location", b"https://x.example/"),))

            standin.behaviour = redirect
            with pytest.raises(Unavailable, match=r"to https://x\.example/"):
                await mine.handshake(SECONDS)

    run(story())


def test_tools_are_listed_to_the_last_page(run: Any) -> None:
    async def answer(exchange: Exchange, told: dict[str, Any]) -> None:
        page = int(told["params"].get("cursor", "0"))
        more = {} if page == 2 else {"nextCursor": str(page + 1)}
        respond(exchange, result(told["id"], tools=[{"name": f"t{page}"}], **more))

    async def story() -> None:
        async with client(answer) as (mine, _):
            assert [t["name"] for t in await mine.list_tools(SECONDS)] == ["t0", "t1", "t2"]

    run(story())


def test_a_list_that_never_ends_is_given_up(run: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("mooring.transports.mcp_client.PAGES", 3)

    async def answer(exchange: Exchange, told: dict[str, Any]) -> None:
        respond(exchange, result(told["id"], tools=[], nextCursor="again"))

    async def story() -> None:
        async with client(answer) as (mine, _):
            with pytest.raises(Unavailable, match="does not end"):
                await mine.list_tools(SECONDS)

    run(story())


def test_questions_of_the_server_are_refused_and_pings_answered(run: Any) -> None:
    answers: list[Any] = []
    heard = asyncio.Event()

    async def answer(exchange: Exchange, told: dict[str, Any]) -> None:
        if "method" not in told:
            answers.append(told)
            exchange.respond(202)
            if len(answers) == 2:
                heard.set()
            return
        exchange.start(200, (SSE,))
        for id, method in (("q", "elicitation/create"), (told["id"], "ping")):
            asked = json.dumps({"jsonrpc": "2.0", "id": id, "method": method}).encode()
            await exchange.write(b"event: message\r\ndata: " + asked + b"\r\n\r\n")
        await heard.wait()
        await exchange.write(b"data: " + result(told["id"], content=["done"]) + b"\n\n")
        exchange.finish()

    async def story() -> None:
        async with client(answer) as (mine, _):
            assert await mine.call_tool("who", {"a": 1}, SECONDS) == {"content": ["done"]}
            refused, ponged = answers
            assert (refused["id"], refused["error"]["code"]) == ("q", -32601)
            assert ponged["result"] == {}

    run(story())


@pytest.mark.parametrize(
    ("code", "status", "family"),
    [
        (-32602, 200, Invalid),
        (-32601, 404, Invalid),
        (-32603, 200, Unavailable),
        (-32000, 503, Unavailable),
        (-32600, 404, NotFound),
    ],
)
def test_errors_keep_their_words(
    run: Any, code: int, status: int, family: type[MooringError]
) -> None:
    async def answer(exchange: Exchange, told: dict[str, Any]) -> None:
        respond(exchange, failure(told["id"], code, "Unknown tool: x\n"), status)

    async def story() -> None:
        async with client(answer) as (mine, _):
            with pytest.raises(family) as caught:
                await mine.call_tool("x", {}, SECONDS)
            assert caught.value.message == "Unknown tool: x\n"

    run(story())


def test_a_result_that_is_an_error_of_the_tool_is_a_result(run: Any) -> None:
    async def answer(exchange: Exchange, told: dict[str, Any]) -> None:
        respond(exchange, result(told["id"], isError=True, content=[]))

    async def story() -> None:
        async with client(answer) as (mine, _):
            assert (await mine.call_tool("x", {}, SECONDS))["isError"]

    run(story())


def test_a_stream_that_ends_without_an_answer_is_an_error(run: Any) -> None:
    async def answer(exchange: Exchange, _: dict[str, Any]) -> None:
        exchange.start(200, (SSE,))
        await exchange.write(b": nothing\n\ndata: nonsense\n\n")
        exchange.finish()

    async def story() -> None:
        async with client(answer) as (mine, _):
            with pytest.raises(Unavailable, match="without an answer"):
                await mine.call_tool("x", {}, SECONDS)

    run(story())


def test_arguments_that_a_tool_wants_in_headers_are_sent_there(run: Any) -> None:
    schema = {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}

    async def answer(exchange: Exchange, told: dict[str, Any]) -> None:
        id = told["id"]
        if told["method"] == "server/discover":
            respond(exchange, result(id, supportedVersions=["2026-07-28"]))
        elif told["method"] == "tools/list":
            respond(exchange, result(id, tools=[{"name": "routed", "inputSchema": schema}]))
        elif exchange.request.header(b"mcp-param-region") == b"eu":
            respond(exchange, result(id, content=["routed"]))
        else:
            respond(exchange, failure(id, -32020, "Mcp-Param-Region header is missing"), 400)

    async def story() -> None:
        async with client(answer) as (mine, _):
            await mine.handshake(SECONDS)
            found = await mine.call_tool("routed", {"region": "eu"}, SECONDS)
            assert found == {"content": ["routed"]}

    run(story())


def test_closing_never_fails(run: Any) -> None:
    async def story() -> None:
        async with client() as (mine, standin):
            await mine.handshake(SECONDS)
            await standin.__aexit__()
            await mine.close()

    run(story())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, failure(None, -32600, "Session not found")),
        (404, b""),
        (400, failure(None, -32000, "Bad Request: No valid session ID provided")),
    ],
)
def test_a_session_that_the_server_has_forgotten_is_told_apart(
    run: Any, status: int, body: bytes
) -> None:
    async def answer(exchange: Exchange, told: dict[str, Any]) -> None:
        if told["method"] == "tools/list":
            respond(exchange, body, status)
        else:
            exchange.respond(202)

    async def story() -> None:
        async with client(answer) as (mine, standin):
            await mine.handshake(SECONDS, "session")
            with pytest.raises(NotFound) as caught:
                await mine.list_tools(SECONDS)
            assert caught.value.reason == "SessionLost"
            await mine.handshake(SECONDS, "session")
            assert standin.opened == 2
            assert len(standin.sessions) == (2 if status == 404 else 1)

    run(story())


def test_without_a_session_not_found_is_what_it_says(run: Any) -> None:
    async def answer(exchange: Exchange, told: dict[str, Any]) -> None:
        respond(exchange, failure(told["id"], -32600, "nothing here"), 404)

    async def story() -> None:
        async with client(answer) as (mine, _):
            with pytest.raises(NotFound, match="nothing here"):
                await mine.list_tools(SECONDS)

    run(story())


def test_what_was_not_answered_in_time_is_taken_back(run: Any) -> None:
    taken_back = asyncio.Event()

    async def answer(exchange: Exchange, told: dict[str, Any]) -> None:
        if told["method"] == "tools/call":
            await asyncio.wait_for(taken_back.wait(), SECONDS)
            exchange.abort()
            return
        if told["method"] == "notifications/cancelled":
            assert told["params"]["requestId"] == 2
            taken_back.set()
        exchange.respond(202)

    async def story() -> None:
        async with client(answer) as (mine, _):
            await mine.handshake(SECONDS, "session")
            with pytest.raises(Unavailable, match=r"timed out after 0\.05 s"):
                await mine.call_tool("slow", {}, 0.05)
            assert taken_back.is_set()

    run(story())


def test_a_server_can_be_asked_whether_it_is_there(run: Any) -> None:
    async def answer(exchange: Exchange, told: dict[str, Any]) -> None:
        if "id" not in told:
            exchange.respond(202)
        elif told["method"] == "server/discover":
            respond(exchange, result(told["id"], supportedVersions=["2026-07-28"]))
        else:
            respond(exchange, result(told["id"]))

    async def story() -> None:
        async with client(answer) as (mine, standin):
            await mine.handshake(SECONDS, "session")
            await mine.ping(SECONDS)
            assert methods(standin)[-1] == "ping"
            await mine.handshake(SECONDS)
            await mine.ping(SECONDS)
            assert methods(standin)[-2:] == ["server/discover", "server/discover"]

    run(story())


def test_everything_is_listed_page_by_page_as_far_as_it_is_declared(run: Any) -> None:
    pages = {
        ("tools/list", None): {"tools": [{"name": "a", "x": "é"}], "nextCursor": "2"},
        ("tools/list", "2"): {"tools": [{"name": "b"}]},
        ("resources/list", None): {"resources": [{"uri": "u"}]},
    }

    async def answer(exchange: Exchange, told: dict[str, Any]) -> None:
        key = (told["method"], told.get("params", {}).get("cursor"))
        if "id" not in told:
            exchange.respond(202, (), b"")
        elif key in pages:
            respond(exchange, result(told["id"], **pages[key]))
        else:
            respond(exchange, failure(told["id"], -32601))

    async def story() -> None:
        async with client(answer) as (mine, standin):
            await mine.handshake(SECONDS, "session")
            found = await mine.lists({"tools": {}, "resources": {}}, SECONDS)
            assert [json.loads(text) for text in found.tools] == [
                {"name": "a", "x": "é"},
                {"name": "b"},
            ]
            assert list(found.resources) == [b'{"uri": "u"}']
            assert (found.prompts, found.templates) == ([], [])
            assert "prompts/list" not in methods(standin)
            with pytest.raises(MooringError):
                await mine.lists({"prompts": {}}, SECONDS)

    run(story())
