"""A remote backend that fails is left alone for a while; nobody waits for it, or hammers it."""

from collections.abc import Callable
from typing import Any

from support.joining import Backend, Joined, joined
from support.standin import message

from mooring.clock import SystemClock
from mooring.transports.http_server import Exchange

Run = Callable[[Any], Any]
REMOTE = {"source": {"url": "http://127.0.0.1:1/mcp"}}
POLICY = {"failureThreshold": 2, "intervalSeconds": 30, "timeoutSeconds": 5}


class Skipping(SystemClock):
    """Time that also passes when the test says so."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.skipped


class Out:
    """Out of order: counts who came all the same."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, exchange: Exchange) -> None:
        self.calls += 1
        exchange.respond(502, ((b"content-type", b"text/html"),), b"<p>bad gateway</p>")


async def reason(joint: Joined, session: str, tool: str) -> str:
    said = await joint.ask(session, "tools/call", name=tool, arguments={})
    assert said.status == 200
    return str(said.json.get("error", {}).get("data", {}).get("reason", ""))


def test_a_remote_backend_is_left_alone_and_tried_again_with_one_call(run: Run) -> None:
    async def story() -> None:
        clock, out = Skipping(), Out()
        async with joined("mail", "notes", clock=clock, health=POLICY) as joint:
            joint.specs["mail"] = REMOTE
            joint.table()
            session = await joint.open()
            assert await reason(joint, session, "mail_add") == ""
            joint["mail"].behaviour = out
            for _ in range(2):
                assert await reason(joint, session, "mail_add") == "UpstreamUnreadable"
            said = await joint.ask(session, "tools/call", name="mail_add", arguments={})
            assert said.json["error"]["data"]["reason"] == "BackendLeftAlone"
            assert said.json["error"]["message"] == (
                "backend mail did not answer; it is tried again in 30 s"
            )
            asked = out.calls
            for _ in range(20):
                assert await reason(joint, session, "mail_add") == "BackendLeftAlone"
                assert await reason(joint, session, "notes_add") == ""
            assert out.calls == asked
            clock.skipped += 30
            assert await reason(joint, session, "mail_add") == "UpstreamUnreadable"
            assert await reason(joint, session, "mail_add") == "BackendLeftAlone"
            clock.skipped += 30
            joint["mail"].behaviour = None
            for _ in range(2):
                assert await reason(joint, session, "mail_add") == ""

    run(story())


def test_a_server_that_we_run_is_left_to_its_probes(run: Run) -> None:
    async def story() -> None:
        out = Out()
        async with joined("mail", health=POLICY) as joint:
            session = await joint.open()
            await reason(joint, session, "mail_add")
            joint["mail"].behaviour = out
            for _ in range(5):
                assert await reason(joint, session, "mail_add") == "UpstreamUnreadable"

    run(story())


def test_errors_that_a_backend_gives_itself_are_answers(run: Run) -> None:
    async def story() -> None:
        async with joined("mail", health=POLICY) as joint:
            joint.specs["mail"] = REMOTE
            joint["mail"].tools.append({"name": "broken", "inputSchema": {}})
            joint.table()
            session = await joint.open()
            for _ in range(5):
                said = await joint.ask(session, "tools/call", name="mail_broken", arguments={})
                assert said.json["error"]["message"] == "broken"

    run(story())


def test_in_the_stateless_era_too(run: Run) -> None:
    async def story() -> None:
        out, mail = Out(), Backend("mail")
        mail.stateless = True
        async with joined(mail, health=POLICY) as joint:
            joint.specs["mail"] = REMOTE
            joint.table()

            async def call() -> Any:
                told = {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                        "io.modelcontextprotocol/clientInfo": {"name": "x", "version": "1"},
                        "io.modelcontextprotocol/clientCapabilities": {}}  # fmt: skip
                body = message("tools/call", 1, name="mail_add", arguments={}, _meta=told)
                return (
                    await joint.world.ask(
                        body, mcp_protocol_version="2026-07-28", mcp_method="tools/call",
                        mcp_name="mail_add",
                    )
                ).json  # fmt: skip

            assert (await call())["result"]["who"] == "mail"
            mail.behaviour = out
            for _ in range(2):
                assert "error" in await call()
            assert (await call())["error"]["data"]["reason"] == "BackendLeftAlone"
            assert out.calls == 2

    run(story())
