"""Calls whose headers contradict their arguments, refused for a child that sees no headers."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.bridging import Answered, Client, scene

from mooring.errors import Unavailable
from mooring.keeper.mirrors import Mirrors
from mooring.transports.envelope import Envelope, peek
from mooring.transports.http_head import Request

SCHEMA = b'{"properties":{"text":{"type":"string","x-mcp-header":"Text"}}}'
PAGE = b'{"id":1,"result":{"tools":[{"name":"echo","inputSchema":%b}%b]%b}}'
CALL = b'{"id":1,"method":"tools/call","params":{"name":"%b","arguments":{"text":"a"}}}'
Told = Callable[[], Awaitable[str | None]]


def page(schema: bytes = SCHEMA, more: bytes = b"", cursor: bytes = b"") -> bytes:
    return PAGE % (schema, more, cursor)


class Child:
    """Answers questions for tools, and counts them."""

    def __init__(self, *pages: bytes) -> None:
        self.pages = pages
        self.cursors: list[Any] = []

    async def ask(self, params: dict[str, Any]) -> bytes:
        self.cursors.append(params.get("cursor"))
        if not self.pages:
            raise Unavailable("ChildSilent", "no answer")
        return self.pages[(len(self.cursors) - 1) % len(self.pages)]


def saying(mirrors: Mirrors, child: Child, text: str | None, name: str = "echo") -> Told:
    """A call of a tool with the argument "a", and this in the header."""
    body = CALL % name.encode()
    headers = () if text is None else ((b"mcp-param-text", text.encode()),)
    request = Request("POST", "/", headers)
    request.body = body
    envelope = peek(body)
    assert isinstance(envelope, Envelope)
    return lambda: mirrors.complaint(request, envelope, child.ask)


def test_headers_are_held_against_the_list_that_passed(run: Any) -> None:
    async def story() -> None:
        mirrors, child = Mirrors(), Child(page())
        assert mirrors.learn(page()) is None
        assert await saying(mirrors, child, "a")() is None
        assert child.cursors == []
        assert "does not match" in (await saying(mirrors, child, "b")() or "")
        assert "is missing" in (await saying(mirrors, child, None)() or "")

    run(story())


def test_nobody_is_refused_because_of_an_old_list(run: Any) -> None:
    async def story() -> None:
        mirrors, child = Mirrors(), Child(page(b"{}"))
        mirrors.learn(page())
        assert await saying(mirrors, child, None)() is None
        assert await saying(mirrors, child, "b")() is None
        assert child.cursors == [None]

    run(story())


def test_what_was_not_listed_is_asked_for_where_a_header_names_it(run: Any) -> None:
    async def story() -> None:
        pages = page(b"{}", b',{"name":"other"}', b',"nextCursor":"2"'), page()
        mirrors, child = Mirrors(), Child(*pages)
        assert await saying(mirrors, child, None)() is None
        assert child.cursors == []
        assert await saying(mirrors, child, "b")() is not None
        assert child.cursors == [None, "2"]
        assert await saying(mirrors, child, "b", "other")() is None
        assert child.cursors == [None, "2"]

    run(story())


@pytest.mark.parametrize(
    "child", [Child(), Child(b'{"id":1,"error":{"code":-32601}}'), Child(b'{"result":[]}')]
)
def test_what_cannot_be_seen_is_not_demanded(run: Any, child: Child) -> None:
    async def story() -> None:
        mirrors = Mirrors()
        mirrors.learn(page())
        assert await saying(mirrors, child, "b")() is None

    run(story())


def test_a_list_without_an_end_is_given_up(run: Any) -> None:
    async def story() -> None:
        mirrors, child = Mirrors(), Child(page(cursor=b',"nextCursor":"1"'))
        assert await saying(mirrors, child, "b")() is not None
        assert len(child.cursors) == 100

    run(story())


async def echo(client: Client, header: bytes | None) -> Answered:
    if header is not None:
        client.headers[b"mcp-param-text"] = header
    try:
        return await client.call("echo", id="mine", text="ahoy")
    finally:
        client.headers.pop(b"mcp-param-text", None)


@pytest.mark.parametrize("isolation", ["shared", "session"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_contradiction_is_refused_by_the_bridge(run: Any, isolation: str, listed: bool) -> None:
    async def story() -> None:
        async with scene("stateless", "mirrored", isolation=isolation) as stage:
            client = stage.client("stateless")
            if listed:
                await client.request("tools/list", {"cursor": "2"})
                assert (await echo(client, None)).status == 400
            refused = await echo(client, b"=?base64?YWhveQ?=")
            assert (refused.status, refused.last["id"]) == (400, "mine")
            assert refused.last["error"]["code"] == -32020
            assert (await echo(client, b"=?base64?YWhveQ==?=")).text == "ahoy"

    run(story())


def test_sessions_have_no_such_headers(run: Any) -> None:
    async def story() -> None:
        async with scene("session", "mirrored") as stage:
            client = await stage.session()
            await client.request("tools/list")
            assert (await echo(client, b"other")).text == "ahoy"

    run(story())
