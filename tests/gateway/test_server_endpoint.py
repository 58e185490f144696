"""The endpoint of a server keeps to the eras that its declaration allows."""

import asyncio
from typing import Any

import pytest
from support.standin import message, result

from mooring.core.identity import Identity

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def test_a_server_of_sessions_refuses_a_discover_as_one_that_never_heard_of_it(
    world: Any, run: Any
) -> None:
    async def story() -> None:
        async with world() as w:
            w.eras = "session"
            w.table()
            standin = w.standins["notes"][0]
            said = await w.ask(
                message("server/discover", 5, _meta=META),
                mcp_protocol_version="2026-07-28",
                mcp_method="server/discover",
            )
            assert (said.status, said.json["error"]["code"], said.json["id"]) == (404, -32601, 5)
            assert standin.seen == []
            session = await w.open()
            assert (await w.call(session=session)).status == 200

    run(story())


def test_a_server_without_sessions_refuses_initialize_and_names_what_it_speaks(
    world: Any, run: Any
) -> None:
    async def story() -> None:
        async with world() as w:
            w.eras = "stateless"
            w.table()
            asked = message("initialize", 1, protocolVersion="2025-11-25", capabilities={})
            said = await w.ask(asked)
            assert (said.status, said.json["error"]["code"]) == (400, -32022)
            assert said.json["error"]["data"]["supported"] == ["2026-07-28"]
            assert w.standins["notes"][0].seen == []

    run(story())


CANCELLED = message("notifications/cancelled", requestId=2)
STRANGERS = {
    "a call": ("POST", message("tools/call", 2, name="who", arguments={})),
    "a cancellation": ("POST", CANCELLED),
    "an answer": ("POST", result(1, action="accept")),
    "a stream": ("GET", b""),
    "an end": ("DELETE", b""),
}


@pytest.mark.parametrize("what", STRANGERS)
@pytest.mark.parametrize("by", ["another server's endpoint", "another caller"])
def test_who_may_not_use_a_session_takes_no_part_in_its_recovery(
    world: Any, run: Any, what: str, by: str
) -> None:
    method, body = STRANGERS[what]

    async def story() -> None:
        async with world({"notes": 1, "other": 1}) as w:
            session = await w.open()
            (owner,) = w.standins["notes"]
            owner.sessions.clear()
            owner.arrived.clear()

            async def slow(exchange: Any) -> None:
                if b'"initialize"' in exchange.request.body:
                    owner.arrived.set()
                    await owner.proceed.wait()
                await owner.serve(exchange)

            owner.behaviour = slow
            asked = asyncio.ensure_future(w.call(session=session))
            await owner.arrived.wait()
            found = w.sessions.find(session)
            told, path = found.sealed, "/servers/other/mcp"
            if by == "another caller":
                found.sealed, path = told._replace(identity=Identity("i", "mallory")), ""
            async with asyncio.timeout(3):
                said = await w.ask(body, method=method, path=path, mcp_session_id=session)
            assert (said.status, said.reason) == (404, "SessionLost")
            found.sealed = told
            owner.proceed.set()
            assert (await asked).json["result"]["session"] == "notes-0-session-2"
            assert w.standins["other"][0].seen == []

    run(story())
