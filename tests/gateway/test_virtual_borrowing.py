"""A backend that knows sessions only, and keeps nothing in them, for clients without sessions."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from support.fronting import Said
from support.joining import Backend, Joined, joined
from support.standin import SSE, message, result

from mooring.transports.http_server import Exchange
from mooring.transports.sse import encode
from mooring.virtual import borrowing

Run = Callable[[Any], Any]
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
STATELESS = {"stateful": False}


async def ask(joint: Joined, method: str, id: Any = 1, **params: Any) -> Said:
    headers = {"mcp_protocol_version": "2026-07-28", "mcp_method": method}
    name = params.get("name")
    body = message(method, id, _meta=META, **params)
    return await joint.world.ask(body, **headers, **({"mcp_name": name} if name else {}))


async def settled(joint: Joined, **specs: dict[str, Any]) -> None:
    joint.specs.update(specs)
    joint.table()


def test_it_is_discovered_listed_and_called_like_any_other(run: Run) -> None:
    async def story() -> None:
        modern = Backend("mail")
        modern.stateless = True
        async with joined(modern, "notes") as joint:
            refused = await ask(joint, "server/discover")
            assert refused.status == 404
            await settled(joint, notes=STATELESS)
            told = (await ask(joint, "server/discover")).json["result"]
            assert told["supportedVersions"] == ["2026-07-28"]
            listed = (await ask(joint, "tools/list")).json["result"]
            assert sorted(each["name"] for each in listed["tools"]) == [
                "mail_add", "mail_find", "notes_add", "notes_find",
            ]  # fmt: skip
            assert listed["cacheScope"] == "private"
            for backend in ("mail", "notes"):
                name, given = f"{backend}_add", {"big": 12345678901234567890}
                said = await ask(joint, "tools/call", 7, name=name, arguments=given)
                assert (said.status, said.json["id"]) == (200, 7)
                assert said.json["result"]["who"] == backend
                if backend == "notes":
                    assert said.json["result"]["resultType"] == "complete"
                assert said.json["result"]["params"]["arguments"] == given
                assert b"mcp-session-id" not in said.headers

    run(story())


def test_one_session_serves_one_request_after_the_other(run: Run) -> None:
    async def story() -> None:
        async with joined("notes") as joint:
            await settled(joint, notes=STATELESS)
            sessions = set()
            for _ in range(5):
                said = await ask(joint, "tools/call", name="notes_add", arguments={})
                sessions.add(said.json["result"]["session"])
            assert len(sessions) == 1
            asked = joint["notes"].asked["tools/call"]
            assert len(asked) == 5
            opened = joint["notes"].asked["initialize"]
            assert opened[-1]["params"]["capabilities"] == {}
            assert opened[-1]["params"]["clientInfo"]["name"] == "mooring"

    run(story())


def test_requests_at_the_same_time_never_share_a_session(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(borrowing, "KEPT", 2)

    async def story() -> None:
        notes, waiting = Backend("notes"), asyncio.Event()
        seen: list[str] = []

        async def slowly(exchange: Exchange) -> None:
            told = json.loads(exchange.request.body or b"{}")
            if told.get("method") == "tools/call":
                seen.append((exchange.request.header(b"mcp-session-id") or b"").decode())
                if len(seen) == 4:
                    waiting.set()
                await waiting.wait()
            await notes.serve(exchange)

        notes.behaviour = slowly
        async with joined(notes) as joint:
            await settled(joint, notes=STATELESS)
            calls = [ask(joint, "tools/call", 1, name="notes_add", arguments={}) for _ in range(4)]
            answers = await asyncio.gather(*calls)
            assert [each.json["id"] for each in answers] == [1] * 4
            assert len(set(seen)) == 4
            await ask(joint, "tools/call", name="notes_add", arguments={})
            assert seen[-1] in seen[:4]

    run(story())


def test_a_session_that_was_lost_is_opened_again(run: Run) -> None:
    async def story() -> None:
        async with joined("notes") as joint:
            await settled(joint, notes=STATELESS)
            first = await ask(joint, "tools/call", name="notes_add", arguments={})
            joint["notes"].sessions.clear()
            said = await ask(joint, "tools/call", name="notes_add", arguments={})
            assert said.json["result"]["who"] == "notes"
            assert said.json["result"]["session"] != first.json["result"]["session"]

    run(story())


def test_where_recovery_is_not_wanted_the_next_request_gets_another_session(run: Run) -> None:
    async def story() -> None:
        async with joined("notes") as joint:
            await settled(joint, notes={**STATELESS, "recovery": "fail"})
            await ask(joint, "tools/call", name="notes_add", arguments={})
            joint["notes"].sessions.clear()
            said = await ask(joint, "tools/call", name="notes_add", arguments={})
            assert said.status == 503
            assert said.json["error"]["data"]["reason"] == "SessionLost"
            said = await ask(joint, "tools/call", name="notes_add", arguments={})
            assert said.json["result"]["who"] == "notes"

    run(story())


def test_an_answer_in_a_stream_passes_and_questions_of_the_backend_are_declined(run: Run) -> None:
    async def story() -> None:
        notes = Backend("notes")

        async def asking(exchange: Exchange) -> None:
            told = json.loads(exchange.request.body or b"{}")
            if told.get("method") != "tools/call":
                await notes.serve(exchange)
                return
            exchange.start(200, (SSE,))
            await exchange.write(encode(message("sampling/createMessage", 5, messages=[])))
            progress = message("notifications/progress", progressToken="p", progress=1)
            await exchange.write(encode(progress))
            await exchange.write(encode(result(told["id"], done=True)))
            exchange.finish()

        notes.behaviour = asking
        async with joined(notes) as joint:
            await settled(joint, notes=STATELESS)
            said = await ask(joint, "tools/call", name="notes_add", arguments={})
            events = [json.loads(line[6:]) for line in said.body.decode().splitlines()
                      if line.startswith("data: ")]  # fmt: skip
            assert [each.get("method", "result") for each in events] == [
                "notifications/progress", "result",
            ]  # fmt: skip
            assert events[-1]["result"] == {"resultType": "complete", "done": True}

    run(story())


def test_more_requests_than_may_be_lent_a_session_are_told_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(borrowing, "LENT", 0)

    async def story() -> None:
        async with joined("notes") as joint:
            await settled(joint, notes=STATELESS)
            said = await ask(joint, "tools/call", name="notes_add", arguments={})
            assert said.json["error"]["data"]["reason"] == "TooManySessions"

    run(story())
