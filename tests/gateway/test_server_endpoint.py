"""The endpoint of a server keeps to the eras that its declaration allows."""

from typing import Any

from support.standin import message

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
