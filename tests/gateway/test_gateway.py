"""Requests through the gateway to real servers and back."""

import asyncio
import json
from typing import Any

from support.standin import JSON, message, result

from mooring.core.load import Load
from mooring.core.reporting import Report
from mooring.testing.clock import FakeClock


def test_a_call_arrives_and_its_answer_comes_back_byte_for_byte(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]
            session = await w.open()
            body = b'{"id":98765432109876543210987,"jsonrpc":"2.0", "method":"x",\n"params":{}}'
            said = await w.ask(body, mcp_session_id=session)
            assert said.status == 200
            assert b'"id":98765432109876543210987' in said.body
            assert standin.seen[-1].body == body
            assert said.headers[b"x-content-type-options"] == b"nosniff"

    run(story())


def test_a_client_never_sees_its_servers_session_id(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]
            (theirs,) = standin.sessions
            assert theirs not in session
            said = await w.call(session=session)
            assert said.json["result"]["session"] == theirs
            assert standin.seen[-1].header(b"mcp-session-id").decode() == theirs

    run(story())


def test_sessions_are_spread_and_stay_where_they_are(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 3}) as w:
            sessions = [await w.open() for _ in range(9)]
            assert [len(s.sessions) for s in w.standins["notes"]] == [3, 3, 3]
            assert {uid: load.sessions for uid, load in w.gateway.loads().items()} == {
                "uid-notes-0": 3,
                "uid-notes-1": 3,
                "uid-notes-2": 3,
            }
            owners = [(await w.call(session=s)).json["result"] for s in sessions]
            again = [(await w.call(session=s)).json["result"] for s in sessions]
            assert owners == again
            assert len({o["session"] for o in owners}) == 9

    run(story())


def test_a_pinned_session_keeps_its_owner_whatever_is_believed_of_it(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner = (await w.call(session=session)).json["result"]["who"]
            for change in ({"health": "unhealthy"}, {"state": "Draining"}, {"state": "ERROR"}):
                w.table(**{owner: change})
                assert (await w.call(session=session)).json["result"]["who"] == owner
                opened = await w.open()
                assert (await w.call(session=opened)).json["result"]["who"] != owner

    run(story())


def test_where_that_is_wanted_a_session_whose_instance_is_gone_is_lost(
    world: Any, run: Any
) -> None:
    async def story() -> None:
        async with world() as w:
            w.recovery = "fail"
            session = await w.open()
            w.table(**{"notes-0": {"uid": "another-start"}})
            said = await w.call(session=session)
            assert (said.status, said.reason) == (404, "SessionLost")
            assert "initialize again" in said.json["error"]["message"]
            assert said.json["id"] == 2

    run(story())


def test_a_new_gateway_routes_sessions_that_it_never_saw(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w, world({"notes": 0}) as other:
            sessions = [await w.open() for _ in range(4)]
            other.standins = w.standins
            other.table()
            for session in sessions:
                assert (await other.call(session=session)).json["result"] == (
                    await w.call(session=session)
                ).json["result"]
            assert other.gateway.loads()["uid-notes-0"] == Load(2, 0)

    run(story())


def test_a_session_of_another_server_is_unknown(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 1, "time": 1}) as w:
            session = await w.open()
            said = await w.ask(
                message("tools/list", 5), path="/servers/time/mcp", mcp_session_id=session
            )
            assert (said.status, said.reason) == (404, "SessionLost")
            assert (await w.call(session=session)).status == 200

    run(story())


def test_a_forged_session_is_unknown(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            for forged in (
                session[:-1],
                session + "A",
                "nonsense",
                "A" * 5000,
                "notes-0-session-1",
            ):
                said = await w.call(session=forged)
                assert (said.status, said.reason) == (404, "SessionLost")

    run(story())


def test_nothing_ready_says_what_is_true(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            w.table(**{"notes-0": {"state": "Starting", "health": "unknown"}})
            opening = await w.ask(message("initialize", 1, protocolVersion="2025-11-25"))
            assert (opening.status, opening.reason) == (503, "NoReadyInstance")
            assert "Starting 0/1" in opening.json["error"]["message"]
            alone = await w.call()
            assert (alone.status, alone.reason) == (200, "NoReadyInstance")  # 5xx ends clients

    run(story())


def test_an_unknown_server_is_404_in_words(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            for path in ("/servers/tme/mcp", "/ns/default/servers/tme/mcp"):
                said = await w.ask(message("initialize", 7), path=path)
                assert said.status == 404
                assert 'no server "tme"' in said.json["error"]["message"]
                assert "moor get servers" in said.json["error"]["message"]
                assert said.json["id"] == 7
            odd = await w.ask(path="/servers/%1b[31m/mcp", method="GET")
            assert odd.status == 404

    run(story())


def test_paths_that_lead_nowhere_are_404(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            for path in (
                "/",
                "/mcp",
                "/servers",
                "/.well-known/oauth-protected-resource",
                "/x" * 99,
            ):
                for method in ("GET", "POST", "PUT"):
                    said = await w.ask(b"{", path=path, method=method)
                    assert said.status == 404, (path, method)
                    assert "/servers/NAME/mcp" in said.json["error"]["message"]

    run(story())


def test_before_the_table_is_read_nothing_is_said_to_be_missing(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            w.gateway.loaded.clear()
            said = await w.ask(message("initialize", 1), path="/servers/other/mcp")
            assert (said.status, said.reason) == (503, "NoReadyInstance")

    run(story())


def test_a_namespace_has_paths_of_its_own(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            said = await w.ask(message("tools/list", 1), path="/ns/default/servers/notes/mcp")
            assert said.json["result"]["who"] == "notes-0"

    run(story())


def test_ten_clients_with_the_same_ids_each_get_their_own_answer(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            sessions = [await w.open() for _ in range(10)]
            answers = await asyncio.gather(*(w.call(1, s) for s in sessions for _ in range(5)))
            told = [answer.json["result"]["session"] for answer in answers]
            assert len(set(told)) == 10
            assert all(len(set(told[i : i + 5])) == 1 for i in range(0, 50, 5))
            assert all(load.calls == 0 for load in w.gateway.loads().values())

    run(story())


def test_an_unexpected_error_is_the_servers_500_and_the_gateway_lives(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:

            async def broken(exchange: Any) -> None:
                exchange.respond(200, (JSON,), b"not json at all")

            w.standins["notes"][0].behaviour = broken
            said = await w.ask(message("initialize", 1))
            assert said.status == 200  # what is not ours to judge passes
            assert said.body == b"not json at all"

    run(story())


def test_idle_sessions_are_swept_and_ended_upstream(world: Any, run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        async with world(clock=clock) as w:
            standin = w.standins["notes"][0]
            session = await w.open()
            standin.arrived.clear()
            await clock.advance(w.sessions.terms.patience + w.sessions.terms.round)
            await standin.arrived.wait()
            assert (standin.seen[-1].method, standin.sessions) == ("DELETE", set())
            assert (await w.call(session=session)).status == 404

    run(story())


def test_the_stateless_era_needs_no_session(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
            session = await w.open()
            seen: set[str] = set()
            for _ in range(4):
                said = await w.ask(
                    message("tools/call", 3, name="who", _meta=meta),
                    mcp_protocol_version="2026-07-28", mcp_method="tools/call", mcp_name="who",
                    mcp_session_id=session,
                )  # fmt: skip
                assert said.json["result"]["session"] == ""  # ignored, and not forwarded
                seen.add(said.json["result"]["who"])
            assert seen == {"notes-0", "notes-1"}

    run(story())


def test_the_credential_of_the_caller_is_not_for_the_server(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            await w.call(authorization="Bearer secret", cookie="a=b", x_forwarded_for="1.2.3.4")
            names = {name for name, _ in w.standins["notes"][0].seen[-1].headers}
            assert names == {
                b"host", b"accept", b"accept-encoding", b"content-type", b"content-length", b"via",
            }  # fmt: skip
            assert w.standins["notes"][0].seen[-1].header(b"host").startswith(b"127.0.0.1:")

    run(story())


def test_a_big_answer_arrives_whole(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            text = "x" * (3 << 20)

            async def big(exchange: Any) -> None:
                exchange.respond(200, (JSON,), result(2, text=text))

            w.standins["notes"][0].behaviour = big
            assert json.loads((await w.call()).body)["result"]["text"] == text

    run(story())


def test_an_instance_that_cannot_be_reached_is_left_alone_and_told_of(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as at:
            away, there = at.standins["notes"]
            await away.__aexit__()
            for _ in range(20):
                await at.open()
            assert there.opened == 20
            report = at.gateway.tally.add_to(Report())
            assert report.ejections == {away.uid: 30.0}
            at.table(**{away.name: {"address": ""}})
            assert at.gateway.tally.add_to(Report()).ejections == {}

    run(story())
