"""A server of the stateless era on two instances, each with keys of its own, is one to its clients.

The server is that of the conformance suite, on the official SDK: a state that one instance sealed
opens at no other, and each tells its own changes only.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from support.installation import BIN, ROOT, Mooring

from mooring.core.address import Address
from mooring.transports.http_upstream import Pool, Reply
from mooring.transports.sse import EventSplitter

pytestmark = pytest.mark.process

Run = Callable[[Coroutine[Any, Any, None]], None]
SERVER = ROOT / "tests/servers/conformance.py"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
}
ASKING = "test_input_required_result_request_state"


@pytest.fixture(scope="module")
def mooring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mooring]:
    installation = Mooring(tmp_path_factory.mktemp("several"))
    try:
        installation.start("serve")
        installation.wait_for_api()
        for name, more in (("http", ""), ("stdio", ", stdio")):
            how = "transport: streamable-http" if name == "http" else "isolation: session"
            installation.apply(
                f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: {name}}}
spec:
  source: {{command: [{BIN / "python"}, {SERVER}{more}]}}
  {how}
  replicas: 2
"""
            )
        for name in ("http", "stdio"):
            installation.ready(name)
        yield installation
    finally:
        installation.end()


class Caller:
    """A client that keeps nothing."""

    def __init__(self, mooring: Mooring, server: str, pool: Pool) -> None:
        self.address = Address("127.0.0.1", mooring.port, f"/servers/{server}/mcp")
        self.pool = pool
        self.number = 0

    async def send(self, method: str, name: str = "", **params: Any) -> Reply:
        self.number += 1
        headers = [
            (b"content-type", b"application/json"),
            (b"accept", b"application/json, text/event-stream"),
            (b"mcp-protocol-version", b"2026-07-28"),
            (b"mcp-method", method.encode()),
        ]
        if name:
            headers.append((b"mcp-name", name.encode()))
            params["name"] = name
        message = {"jsonrpc": "2.0", "id": self.number, "method": method}
        body = json.dumps({**message, "params": {**params, "_meta": META}}).encode()
        return await self.pool.send(self.address, "POST", tuple(headers), body, seconds=30)

    async def call(self, tool: str, **params: Any) -> tuple[int, Any]:
        reply = await self.send("tools/call", tool, arguments={}, **params)
        text = await reply.read(1 << 20, 30)
        return reply.status, json.loads(text.strip().rpartition(b"data: ")[2] or text)


@pytest.mark.parametrize("server", ["http", "stdio"])
def test_a_question_is_gone_on_with_where_it_was_asked(
    mooring: Mooring, server: str, run: Run
) -> None:
    async def story() -> None:
        pool = Pool()
        caller = Caller(mooring, server, pool)
        try:
            for _ in range(6):
                _, asked = await caller.call(ASKING)
                state = asked["result"]["requestState"]
                answers = {"confirm": {"action": "accept", "content": {"ok": True}}}
                status, done = await caller.call(ASKING, inputResponses=answers, requestState=state)
                assert status == 200
                assert "state-ok" in done["result"]["content"][0]["text"], done
            status, refused = await caller.call(ASKING, requestState=state[:-2] + "xx")
            told = refused["error"]
            assert (status, told["code"], told["data"]["reason"]) == (
                400, -32602, "invalid_request_state",
            )  # fmt: skip
        finally:
            await pool.close()

    run(story())


@pytest.mark.parametrize("server", ["http", "stdio"])
def test_one_listener_hears_both(mooring: Mooring, server: str, run: Run) -> None:
    async def story() -> None:
        pool = Pool()
        caller = Caller(mooring, server, pool)
        try:
            wanted = {"toolsListChanged": True}
            stream = await caller.send("subscriptions/listen", notifications=wanted)
            assert stream.status == 200
            heard: asyncio.Queue[Any] = asyncio.Queue()
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(read(stream, heard))
                first = await heard.get()
                assert first["method"] == "notifications/subscriptions/acknowledged"
                assert first["params"]["notifications"] == wanted
                for _ in range(8):  # by turns, at either instance
                    status, _ = await caller.call("test_trigger_tool_change")
                    assert status == 200
                    async with asyncio.timeout(10):
                        told = await heard.get()
                    assert told["method"] == "notifications/tools/list_changed"
                reading.cancel()
            stream.abort()
        finally:
            await pool.close()

    run(story())


async def read(stream: Reply, heard: "asyncio.Queue[Any]") -> None:
    splitter = EventSplitter()
    async for chunk in stream.chunks():
        for event in splitter.feed(chunk):
            if event.data:
                heard.put_nowait(json.loads(event.data))
