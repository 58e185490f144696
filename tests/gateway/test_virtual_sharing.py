"""A session of a virtual server through several gateways, and past the loss of a backend's half."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from support.fronting import eventually
from support.joining import Backend, Joined, joined
from support.standin import JSON, SSE, message, result

from mooring.clock import SystemClock
from mooring.sessions.open_sessions import OpenSessions, Terms
from mooring.sessions.seal import Sealer
from mooring.transports.http_server import Exchange
from mooring.transports.sse import EventSplitter, encode

Run = Callable[[Any], Any]


async def call(joint: Joined, session: str, name: str = "notes_add") -> Any:
    """The session of the backend that answered."""
    said = await joint.ask(session, "tools/call", name=name, arguments={})
    text = said.body
    if said.headers[b"content-type"] == b"text/event-stream":
        text = EventSplitter().feed(text)[-1].data
    told = json.loads(text)
    assert "result" in told, said
    return told["result"]["session"]


def of_clients(backend: Backend) -> int:
    """How often it was initialized by others than those who look what there is."""
    params = [told["params"] for told in backend.asked.get("initialize", [])]
    return sum(each["clientInfo"]["name"] != "mooring" for each in params)


CLIENT = {"name": "tester", "version": "7"}


def test_two_gateways_use_one_session_at_each_backend(run: Run) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint, joined(beside=joint) as other:
            session = await joint.open(clientInfo=CLIENT)
            first = await call(joint, session)
            assert await call(other, session) == first
            mail = await call(other, session, "mail_add")
            assert await call(joint, session, "mail_add") == mail
            assert of_clients(joint["notes"]) == of_clients(joint["mail"]) == 1

    run(story())


def test_what_was_set_through_one_gateway_is_told_to_backends_by_the_other(run: Run) -> None:
    async def story() -> None:
        notes, mail = Backend("notes"), Backend("mail")
        notes.capabilities = mail.capabilities = {"tools": {}, "logging": {}}
        async with joined(notes, mail) as joint, joined(beside=joint) as other:
            session = await joint.open(clientInfo=CLIENT)
            await call(joint, session)
            await joint.ask(session, "logging/setLevel", level="debug")
            await call(other, session, "mail_add")
            assert mail.asked["logging/setLevel"][0]["params"] == {"level": "debug"}

    run(story())


def test_a_session_that_ended_is_over_at_every_gateway(run: Run) -> None:
    async def story() -> None:
        async with joined("notes") as joint, joined(beside=joint) as other:
            session = await joint.open(clientInfo=CLIENT)
            await call(joint, session)
            await call(other, session)
            said = await other.world.ask(method="DELETE", mcp_session_id=session)
            assert said.status == 200
            await eventually(lambda: len(joint["notes"].sessions) == 2)  # those who look
            async with joined(beside=joint) as third:
                assert (await third.ask(session, "ping")).status == 404
            await asyncio.wait_for(_gone(joint, session), 3)

    run(story())


async def _gone(joint: Joined, session: str) -> None:
    while (await joint.ask(session, "ping")).status != 404:
        await SystemClock().sleep(0.01)


def test_an_answer_finds_the_backend_that_asked_through_any_gateway(run: Run) -> None:
    async def story() -> None:
        notes = Backend("notes")

        async def behave(exchange: Exchange) -> None:
            told = json.loads(exchange.request.body or b"{}")
            if told.get("method") != "tools/call":
                await notes.serve(exchange)
                return
            exchange.start(200, (SSE,))
            question = {"jsonrpc": "2.0", "id": 5, "method": "roots/list"}
            await exchange.write(encode(json.dumps(question).encode()))
            await eventually(lambda: notes.asked.get("response"))
            await exchange.write(encode(result(told["id"], said=notes.asked["response"][0])))
            exchange.finish()

        notes.behaviour = behave
        relay = {"notes": {"roots": True}}
        async with joined(notes, relay=relay) as joint, joined(beside=joint) as other:
            session = await joint.open(clientInfo=CLIENT, capabilities={"roots": {}})
            body = message("tools/call", 9, name="notes_add")
            reader, _ = await joint.world.raw(
                b"POST /virtual/all/mcp HTTP/1.0\r\nhost: HOST\r\naccept: text/event-stream\r\n"
                b"content-type: application/json\r\nmcp-session-id: %b\r\n"
                b"content-length: %d\r\n\r\n%b" % (session.encode(), len(body), body)
            )
            text = b""
            while b"roots/list" not in text:
                text += await reader.read(65536)
            asked = json.loads(text[text.index(b"data: ") + 6 :].splitlines()[0])
            answer = {"jsonrpc": "2.0", "id": asked["id"], "result": {"roots": []}}
            said = await other.world.ask(json.dumps(answer).encode(), mcp_session_id=session)
            assert said.status == 202
            rest = await asyncio.wait_for(reader.read(-1), 5)
            assert b'"roots":[]' in rest

    run(story())


def test_a_backend_that_was_started_again_gets_the_session_back_unnoticed(run: Run) -> None:
    async def story() -> None:
        notes, mail = Backend("notes"), Backend("mail")
        notes.capabilities = {"tools": {}, "resources": {"subscribe": True}, "logging": {}}
        notes.resources = [{"uri": "note://1", "name": "1"}]
        async with joined(notes, mail) as joint:
            session = await joint.open(clientInfo=CLIENT)
            first = await call(joint, session)
            await joint.ask(session, "resources/subscribe", uri="note://1")
            await joint.ask(session, "logging/setLevel", level="debug")
            mails = await call(joint, session, "mail_add")
            notes.sessions.clear()
            second = await call(joint, session)
            assert second != first
            assert await call(joint, session) == second
            assert await call(joint, session, "mail_add") == mails
            assert of_clients(notes) == 2
            told = notes.asked["initialize"][-1]["params"]
            assert told["clientInfo"] == CLIENT
            assert len(notes.asked["resources/subscribe"]) == 2
            assert len(notes.asked["logging/setLevel"]) == 2

    run(story())


def test_an_instance_that_is_gone_is_replaced_by_another_unnoticed(run: Run) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint:
            session = await joint.open(clientInfo=CLIENT)
            await call(joint, session)
            joint["notes"].uid = "another"
            joint["notes"].sessions.clear()
            joint.table()
            many = await asyncio.gather(*(call(joint, session) for _ in range(8)))
            assert len(set(many)) == 1
            assert of_clients(joint["notes"]) == 2

    run(story())


def test_where_recovery_is_not_wanted_the_call_fails_and_the_next_one_begins_anew(run: Run) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint:
            joint.specs["notes"] = {"recovery": "fail"}
            joint.table()
            session = await joint.open(clientInfo=CLIENT)
            first = await call(joint, session)
            joint["notes"].sessions.clear()
            said = await joint.ask(session, "tools/call", name="notes_add")
            assert said.status == 200
            assert said.json["error"]["data"]["reason"] == "SessionLost"
            assert await call(joint, session) != first

    run(story())


def test_a_lost_stream_is_come_back_for_where_the_backend_can(run: Run) -> None:
    async def story() -> None:
        notes = Backend("notes")
        resumed: list[bytes] = []

        async def behave(exchange: Exchange) -> None:
            request = exchange.request
            told = json.loads(request.body or b"{}")
            last = request.header(b"last-event-id")
            if last is not None:
                resumed.append(last)
                exchange.start(200, (SSE,))
                await exchange.write(encode(result(3, done=True), id=b"e-2"))
                exchange.finish()
            elif told.get("method") == "tools/call":
                exchange.start(200, (SSE,))
                await exchange.write(b"id: e-1\ndata: \n\n")
                exchange.finish()
            else:
                await notes.serve(exchange)

        notes.behaviour = behave
        async with joined(notes, "mail") as joint:
            session = await joint.open(clientInfo=CLIENT)
            await call(joint, session, "mail_add")
            said = await joint.ask(session, "tools/call", 3, name="notes_add")
            id = said.body.splitlines()[0].removeprefix(b"id: ").decode()
            assert id != "e-1"
            given = {"mcp_session_id": session, "accept": "text/event-stream"}
            said = await joint.world.ask(method="GET", last_event_id=id, **given)
            assert b'"done":true' in said.body
            assert resumed == [b"e-1"]
            for forged in ("e-1", id + "x"):
                said = await joint.world.ask(method="GET", last_event_id=forged, **given)
                assert said.status == 400

    run(story())


def test_a_session_has_one_stream(run: Run) -> None:
    async def story() -> None:
        async with joined("notes") as joint:
            session = await joint.open()
            given = b"mcp-session-id: " + session.encode()
            head = b"GET /virtual/all/mcp HTTP/1.1\r\nhost: HOST\r\naccept: text/event-stream\r\n"
            reader, _ = await joint.world.raw(head + given + b"\r\n\r\n")
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            said = await joint.world.ask(method="GET", mcp_session_id=session)
            assert said.status == 409

    run(story())


def test_a_callers_limit_counts_sessions_of_its_own(run: Run) -> None:
    async def story() -> None:
        sessions = OpenSessions(Sealer(bytes(32)), SystemClock(), Terms(limit=2))
        async with joined("notes", "mail", sessions=sessions) as joint:
            for _ in range(2):
                session = await joint.open()
                for name in ("notes_add", "mail_add"):
                    await call(joint, session, name)
            assert (await joint.initialize()).status == 429

    run(story())


def test_what_ends_with_the_gateway_is_not_left_at_backends(run: Run) -> None:
    async def story() -> None:
        notes = Backend("notes")
        async with joined(notes) as joint:
            session = await joint.open(clientInfo=CLIENT)
            await call(joint, session)
            assert len(notes.sessions) == 2
            await joint.stop()
            assert len(notes.sessions) == 1  # the client's, that may go on elsewhere

    run(story())


def test_json_and_words_of_a_backend_pass_as_they_are(run: Run) -> None:
    async def story() -> None:
        notes = Backend("notes")
        answer = b'{"jsonrpc":"2.0","id":2,"result":{ "big":123456789012345678901, "x":"\\ud800"}}'

        async def behave(exchange: Exchange) -> None:
            if b"tools/call" in exchange.request.body:
                exchange.respond(200, (JSON,), answer)
            else:
                await notes.serve(exchange)

        notes.behaviour = behave
        async with joined(notes) as joint:
            said = await joint.ask(await joint.open(), "tools/call", name="notes_add")
            assert said.body == answer

    run(story())
