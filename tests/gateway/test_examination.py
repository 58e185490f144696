"""Bad requests: each is refused in words, and nothing is lost."""

import json
from typing import Any

import pytest
from support.standin import message

MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
PAGE = "https://app.example"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"not json", -32700),
        (b"[" * 5000, -32700),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        (b'"text"', -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}', -32600),
    ],
)
def test_what_is_no_message_is_400(world: Any, run: Any, body: bytes, code: int) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            said = await w.ask(body, mcp_session_id=session)
            assert said.status == 400
            assert said.json["error"]["code"] == code
            assert said.json["jsonrpc"] == "2.0"
            assert (await w.call(session=session)).status == 200

    run(story())


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"host": "evil.example"}, "Host 'evil.example' is not a name of this Mooring"),
        ({"origin": "null"}, "Origin 'null' may not call"),
        ({"origin": "https://evil.example"}, "may not call this Mooring"),
        ({"sec_fetch_site": "cross-site"}, "pages of other sites"),
    ],
)
def test_whom_we_do_not_answer_gets_403(
    world: Any, run: Any, headers: dict[str, str], words: str
) -> None:
    async def story() -> None:
        async with world() as w:
            lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
            host = "" if "host" in headers else "Host: HOST\r\n"
            for path in ("/servers/notes/mcp", "/servers/x/mcp", "/status", "/metrics", "/"):
                text = f"GET {path} HTTP/1.1\r\n{host}{lines}connection: close\r\n\r\n"
                reader, writer = await w.raw(text.encode())
                answer = (await reader.read()).decode()
                assert answer.startswith("HTTP/1.1 403 "), path
                assert words in answer
                writer.close()
            assert w.standins["notes"][0].seen == []

    run(story())


def test_pages_of_our_own_are_answered(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            said = await w.call(origin=f"http://localhost:{w.port}", sec_fetch_site="same-origin")
            assert said.status == 200
            assert not any(name.startswith(b"access-control") for name in said.headers)

    run(story())


def test_a_listed_page_gets_cors(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world(origins=(PAGE,)) as w:
            asked = "content-type, mcp-param-region"
            before = await w.ask(
                method="OPTIONS", origin=PAGE, access_control_request_method="POST",
                access_control_request_headers=asked, sec_fetch_site="cross-site",
            )  # fmt: skip
            assert before.status == 204
            assert before.headers[b"access-control-allow-headers"] == asked.encode()
            assert before.headers[b"access-control-allow-origin"] == PAGE.encode()
            for said in (await w.call(origin=PAGE), await w.ask(b"{", origin=PAGE)):
                assert said.headers[b"access-control-allow-origin"] == PAGE.encode()
                assert b"Mcp-Session-Id" in said.headers[b"access-control-expose-headers"]
                assert said.headers[b"vary"] == b"Origin"

    run(story())


def test_a_page_that_is_not_listed_gets_none(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            said = await w.ask(method="OPTIONS", origin=PAGE, access_control_request_method="POST")
            assert said.status == 403
            assert not any(name.startswith(b"access-control") for name in said.headers)

    run(story())


@pytest.mark.parametrize("method", ["PUT", "PATCH", "HEAD", "OPTIONS"])
def test_other_methods_are_405(world: Any, run: Any, method: str) -> None:
    async def story() -> None:
        async with world() as w:
            said = await w.ask(method=method)
            assert said.status == 405
            assert said.headers[b"allow"] == b"POST, GET, DELETE"

    run(story())


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "json"])
def test_other_types_are_415(world: Any, run: Any, kind: str) -> None:
    async def story() -> None:
        async with world() as w:
            said = await w.ask(message("ping", 1), content_type=kind)
            assert (said.status, said.reason) == (415, "UnsupportedMediaType")

    run(story())


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
def test_json_is_json_however_it_is_spelled(world: Any, run: Any, kind: str) -> None:
    async def story() -> None:
        async with world() as w:
            assert (await w.ask(message("ping", 1), content_type=kind)).status == 200

    run(story())


@pytest.mark.parametrize(
    "headers",
    [
        {"mcp_protocol_version": "2026-07-28"},
        {"mcp_protocol_version": "2026-07-28", "mcp_method": "tools/call"},
        {"mcp_protocol_version": "2026-07-28", "mcp_method": "tools/call", "mcp_name": "x"},
        {"mcp_protocol_version": "2027-01-01", "mcp_method": "tools/call", "mcp_name": "who"},
        {"mcp_method": "tools/call", "mcp_name": "who"},
    ],
)
def test_headers_that_disagree_with_the_body_are_400(
    world: Any, run: Any, headers: dict[str, str]
) -> None:
    async def story() -> None:
        async with world() as w:
            said = await w.ask(message("tools/call", "x-1", name="who", _meta=MODERN), **headers)
            assert said.status == 400
            assert said.json["error"]["code"] == -32020
            assert said.json["id"] == "x-1"
            assert w.standins["notes"][0].seen == []

    run(story())


def test_an_encoded_name_agrees(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            said = await w.ask(
                message("tools/call", 1, name="wést", _meta=MODERN),
                mcp_protocol_version="2026-07-28", mcp_method="tools/call",
                mcp_name="=?base64?d8Opc3Q=?=", mcp_param_region="eu",
            )  # fmt: skip
            assert said.status == 200
            assert w.standins["notes"][0].seen[-1].header(b"mcp-param-region") == b"eu"

    run(story())


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_stateless_era_only_posts(world: Any, run: Any, method: str) -> None:
    async def story() -> None:
        async with world() as w:
            said = await w.ask(method=method, mcp_protocol_version="2026-07-28")
            assert (said.status, said.headers[b"allow"]) == (405, b"POST")

    run(story())


def test_a_request_that_came_back_is_a_loop(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            await w.call()
            via = w.standins["notes"][0].seen[-1].header(b"via").decode()
            said = await w.call(via=f"1.0 elsewhere, {via}")
            assert (said.status, said.reason) == (508, "Loop")
            assert (await w.call(via="1.1 mooring-other")).status == 200

    run(story())


def test_an_oversized_body_is_413_and_an_oversized_head_431(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world(body=1000, head=2000) as w:
            assert (await w.ask(b" " * 1001)).status == 413
            assert (await w.ask(b"{}", x_long="x" * 2000)).status == 431
            assert (await w.call()).status == 200

    run(story())


def test_refusals_of_the_http_server_are_json_rpc(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world(body=1000) as w:
            said = await w.ask(b" " * 1001)
            assert said.headers[b"content-type"] == b"application/json"
            assert json.loads(said.body)["error"]["code"] == -32600

    run(story())


def test_half_a_head_sent_slowly_is_408(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world(head_seconds=0.05) as w:
            reader, writer = await w.raw(b"POST /servers/notes/mcp HTTP/1.1\r\nHost: HO")
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
            writer.close()

    run(story())
