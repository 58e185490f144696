"""What a client sees when the half of its session that a server holds is lost."""

import asyncio
import json
from typing import Any

import pytest
from support.fronting import World, eventually
from support.standin import JSON, SSE, Standin, failure, message, result

from mooring.clock import SystemClock
from mooring.errors import Unavailable
from mooring.gateway import posting
from mooring.sessions import courier, reopening
from mooring.sessions.open_sessions import digest
from mooring.stores.sessions_memory import MemorySessions

TYPESCRIPT_LOST = b'{"jsonrpc":"2.0","error":{"code":-32000,"message":"No valid session ID"}}'
INITIALIZED = b"notifications/initialized"


def said_to(standin: Standin, method: bytes) -> int:
    """How often a message of that method came."""
    return sum(b'"%b"' % method in request.body for request in standin.seen)


def owner_of(w: World, number: int = 1) -> tuple[Standin, Standin]:
    """The stand-in that holds sessions, and the other one."""
    one, two = w.standins["notes"]
    return (one, two) if one.sessions else (two, one)


def gone(standin: Standin) -> dict[str, Any]:
    """The row of an instance that was started anew and is not ready."""
    return {standin.name: {"uid": f"{standin.uid}-again", "state": "Starting"}}


def test_a_forgotten_session_goes_on_elsewhere_with_the_same_id(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)
            owner.sessions.clear()
            w.table(**{owner.name: {"state": "Draining"}})
            said = await w.call(3, session)
            assert (said.status, said.json["id"]) == (200, 3)
            assert said.json["result"] == {"who": other.name, "session": f"{other.name}-session-1"}
            again = await w.call(4, session)
            assert again.json["result"]["who"] == other.name
            assert said_to(other, b"initialize") == said_to(other, INITIALIZED) == 1
            assert w.gateway.tally.outcomes == {"recovered": 1}
            page = (await w.ask(method="GET", path="/metrics")).body
            assert b'mooring_recoveries_total{outcome="recovered"} 1.0' in page

    run(story())


def test_it_may_be_the_same_instance_that_has_forgotten_everything(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]
            standin.sessions.clear()
            said = await w.call(session=session)
            assert said.json["result"]["session"] == "notes-0-session-2"

    run(story())


def test_the_new_owner_is_told_what_the_client_said_and_no_other_version(
    world: Any, run: Any
) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]
            params = {
                "capabilities": {"roots": {}},
                "clientInfo": {"name": "c\u00e9", "version": "1"},
            }
            said = await w.ask(message("initialize", 1, protocolVersion="2099-01-01", **params))
            standin.sessions.clear()
            assert (await w.call(session=said.session)).status == 200
            sent = next(r for r in reversed(standin.seen) if b'"initialize"' in r.body)
            assert json.loads(sent.body)["params"] == {"protocolVersion": "2025-11-25", **params}
            assert sent.header(b"mcp-session-id") is None

    run(story())


def test_however_many_requests_wait_there_is_one_recovery(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)
            w.table(**gone(owner))
            answers = await asyncio.gather(*(w.call(n, session) for n in range(20)))
            assert [each.json["id"] for each in answers] == list(range(20))
            assert {each.json["result"]["who"] for each in answers} == {other.name}
            assert said_to(other, b"initialize") == said_to(other, INITIALIZED) == 1
            assert said_to(other, b"tools/call") == 20

    run(story())


def test_so_it_is_where_the_server_says_it_with_a_400(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]

            async def forgetful(exchange: Any) -> None:
                id = (exchange.request.header(b"mcp-session-id") or b"").decode()
                if id and id not in standin.sessions:
                    exchange.respond(400, (JSON,), TYPESCRIPT_LOST)
                else:
                    await standin.serve(exchange)

            standin.behaviour = forgetful
            standin.sessions.clear()
            answers = await asyncio.gather(*(w.call(n, session) for n in range(20)))
            assert {each.status for each in answers} == {200}
            assert standin.opened == 2
            assert said_to(standin, b"ping") == 1

    run(story())


def test_a_refusal_by_the_second_owner_is_passed_on(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]

            async def never_happy(exchange: Any) -> None:
                if b"tools/call" in exchange.request.body:
                    exchange.respond(404, (JSON,), failure(2, -32600, "theirs"))
                else:
                    await standin.serve(exchange)

            standin.behaviour = never_happy
            said = await w.call(session=session)
            assert (said.status, said.body) == (404, failure(2, -32600, "theirs"))
            assert said_to(standin, b"tools/call") == 2

    run(story())


def test_a_call_that_was_cut_is_not_repeated_and_the_answer_says_so(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)

            async def cut(exchange: Any) -> None:
                exchange.abort()

            owner.behaviour = cut
            said = await w.call(session=session)
            assert (said.status, said.reason) == (200, "OutcomeUnknown")
            assert said_to(owner, b"tools/call") == 1
            assert other.seen == []
            owner.behaviour = None
            assert (await w.call(session=session)).json["result"]["who"] == owner.name

    run(story())


def test_a_list_that_was_cut_is_asked_for_again_at_the_owner(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)
            cuts = iter([True, False])

            async def cut(exchange: Any) -> None:
                if next(cuts, False):
                    exchange.abort()
                else:
                    await owner.serve(exchange)

            owner.behaviour = cut
            said = await w.ask(message("tools/list", 2), mcp_session_id=session)
            assert said.json["result"]["who"] == owner.name
            assert other.seen == []

    run(story())


@pytest.mark.parametrize("method", ["tools/call", "tools/list"])
def test_what_was_in_flight_when_its_instance_exited_is_never_replayed(
    world: Any, run: Any, method: str
) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)

            async def exits(exchange: Any) -> None:
                w.table(**gone(owner))
                exchange.abort()

            owner.behaviour = exits
            said = await w.ask(message(method, 2), mcp_session_id=session)
            assert (said.status, said.reason) == (200, "OutcomeUnknown")
            assert said_to(other, method.encode()) == 0
            assert (await w.call(session=session)).json["result"]["who"] == other.name

    run(story())


def test_nor_if_the_session_has_moved_before_that_is_known(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)

            async def exits(exchange: Any) -> None:
                w.table(**gone(owner))
                assert (await w.call(session=session)).json["result"]["who"] == other.name
                exchange.abort()

            owner.behaviour = exits
            said = await w.ask(message("tools/list", 2), mcp_session_id=session)
            assert (said.status, said.reason) == (200, "OutcomeUnknown")
            assert said_to(other, b"tools/list") == 0

    run(story())


def test_a_refused_request_waits_until_the_owner_is_known_to_be_gone(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)
            await owner.__aexit__()
            asked = asyncio.ensure_future(w.call(session=session))
            await eventually(lambda: w.gateway.loads().get(owner.uid, None))
            w.table(**gone(owner))
            assert (await asked).json["result"]["who"] == other.name

    run(story())


def test_whoever_notices_late_that_the_owner_is_gone_follows(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)
            await owner.__aexit__()
            early = asyncio.ensure_future(w.call(1, session))
            await eventually(lambda: w.gateway.loads()[owner.uid].sessions == 1)
            await SystemClock().sleep(0.03)
            late = asyncio.ensure_future(w.call(2, session))  # tries again when all is done
            await SystemClock().sleep(0.03)
            w.table(**gone(owner))
            assert [(await each).status for each in (early, late)] == [200, 200]
            assert said_to(other, b"initialize") == 1

    run(story())


@pytest.mark.parametrize(
    "body",
    [
        message("notifications/cancelled", requestId=7),
        message("notifications/progress", progressToken=1, progress=1),
        message("notifications/initialized"),
        result(5, action="accept"),
    ],
)
def test_what_means_nothing_to_a_new_owner_is_dropped(world: Any, run: Any, body: bytes) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)
            owner.sessions.clear()
            assert (await w.ask(body, mcp_session_id=session)).status == 202
            w.table(**gone(owner))
            assert (await w.ask(body, mcp_session_id=session)).status == 202
            assert other.seen == []

    run(story())


def test_news_of_roots_reaches_the_new_owner(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)
            w.table(**gone(owner))
            news = message("notifications/roots/list_changed")
            assert (await w.ask(news, mcp_session_id=session)).status == 202
            assert said_to(other, b"notifications/roots/list_changed") == 1

    run(story())


def test_initialized_reaches_an_upstream_session_once(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)
            w.table(**gone(owner))
            await w.call(session=session)
            note = message("notifications/initialized")
            assert (await w.ask(note, mcp_session_id=session)).status == 202
            assert said_to(other, INITIALIZED) == 1

    run(story())


def test_a_request_that_is_cancelled_while_it_waits_is_never_sent(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)

            async def slow(exchange: Any) -> None:
                if b'"initialize"' in exchange.request.body:
                    await other.proceed.wait()
                await other.serve(exchange)

            other.behaviour = slow
            w.table(**gone(owner))
            one, two = (asyncio.ensure_future(w.call(n, session)) for n in (1, 2))
            await other.arrived.wait()
            cancelled = message("notifications/cancelled", requestId=2)
            assert (await w.ask(cancelled, mcp_session_id=session)).status == 202
            assert (await two).json["error"]["code"] == -32800
            other.proceed.set()
            assert (await one).json["result"]["who"] == other.name
            assert said_to(other, b"tools/call") == 1

    run(story())


@pytest.mark.parametrize("method", ["tools/call", "tools/list"])
def test_a_request_that_is_cancelled_while_its_owner_refuses_is_never_sent(
    world: Any, run: Any, monkeypatch: Any, method: str
) -> None:
    monkeypatch.setattr(courier, "FIRST_PAUSE", 0.4)

    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, _ = owner_of(w)
            await owner.__aexit__()
            asked = [
                asyncio.ensure_future(w.ask(message(method, n, name="t"), mcp_session_id=session))
                for n in (1, 2)
            ]
            pausing = w.gateway._plant.courier.pausing
            await eventually(lambda: [len(each) for each in pausing.values()] == [2])
            owner.seen.clear()
            cancelled = message("notifications/cancelled", requestId=2)
            assert (await w.ask(cancelled, mcp_session_id=session)).status == 202
            assert (await asked[1]).json["error"]["code"] == -32800
            async with owner:  # it listens again
                assert (await asked[0]).json["result"]["who"] == owner.name
            assert [json.loads(request.body)["id"] for request in owner.seen] == [1]
            assert not pausing

    run(story())


def test_what_was_set_holds_at_the_new_owner(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)
            for n, (method, params) in enumerate(
                [
                    ("logging/setLevel", {"level": "error"}),
                    ("resources/subscribe", {"uri": "a:1"}),
                    ("resources/subscribe", {"uri": "a:2"}),
                    ("resources/unsubscribe", {"uri": "a:1"}),
                ]
            ):
                await w.ask(message(method, n, **params), mcp_session_id=session)
            w.table(**gone(owner))
            await w.call(session=session)
            told = [json.loads(r.body) for r in other.seen if r.body]
            assert [(m["method"], m.get("params")) for m in told[1:4]] == [
                ("notifications/initialized", None),
                ("logging/setLevel", {"level": "error"}),
                ("resources/subscribe", {"uri": "a:2"}),
            ]

    run(story())


def test_what_the_owner_refused_was_not_set(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]

            async def refusing(exchange: Any) -> None:
                exchange.respond(200, (JSON,), failure(2, -32602))

            standin.behaviour = refusing
            subscribe = message("resources/subscribe", 2, uri="a:1")
            assert (await w.ask(subscribe, mcp_session_id=session)).body == failure(2, -32602)
            standin.behaviour = None
            standin.sessions.clear()
            standin.seen.clear()
            await w.call(session=session)
            assert said_to(standin, b"resources/subscribe") == 0

    run(story())


LOGGING = {"logging": {}, "tools": {"listChanged": True}}


def promising(standin: Standin, capabilities: dict[str, Any], version: str = "2025-11-25") -> Any:
    """A behaviour that answers `initialize` with other capabilities."""

    async def serve(exchange: Any) -> None:
        if b'"initialize"' not in exchange.request.body:
            await standin.serve(exchange)
            return
        standin.opened += 1
        id = f"{standin.name}-session-{standin.opened}"
        standin.sessions.add(id)
        asked = json.loads(exchange.request.body)["id"]
        answer = result(asked, protocolVersion=version, capabilities=capabilities, serverInfo={})
        exchange.respond(200, (JSON, (b"mcp-session-id", id.encode())), answer)

    return serve


def events(body: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: ")]


def test_the_client_is_told_that_its_servers_state_is_lost(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]
            standin.behaviour = promising(standin, LOGGING)
            session = await w.open()
            standin.sessions.clear()
            said = await w.call(session=session)
            assert said.headers[b"content-type"] == SSE[1]
            told, changed, answer = events(said.body)
            assert (told["method"], told["params"]["level"]) == ("notifications/message", "warning")
            assert changed["method"] == "notifications/tools/list_changed"
            assert answer["id"] == 2
            assert (await w.call(session=session)).headers[b"content-type"] == JSON[1]

    run(story())


def test_a_client_that_reads_no_events_is_not_given_any(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]
            standin.behaviour = promising(standin, LOGGING)
            session = await w.open()
            standin.sessions.clear()
            said = await w.call(session=session, accept="application/json")
            assert said.json["id"] == 2

    run(story())


@pytest.mark.parametrize(
    ("capabilities", "version"), [({"tools": {}}, "2025-11-25"), (LOGGING, "2025-06-18")]
)
def test_an_instance_that_does_not_keep_the_promises_ends_the_session(
    world: Any, run: Any, capabilities: Any, version: str
) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]
            standin.behaviour = promising(standin, LOGGING)
            session = await w.open()
            standin.sessions.clear()
            standin.behaviour = promising(standin, capabilities, version)
            said = await w.call(session=session)
            assert (said.status, said.reason) == (404, "SessionLost")
            assert (await w.call(session=session)).status == 404
            await eventually(lambda: not standin.sessions)  # the spare was ended, too

    run(story())


def test_an_instance_that_cannot_is_passed_over(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 4}) as w:
            session = await w.open()
            owner = next(s for s in w.standins["notes"] if s.sessions)
            others = [s for s in w.standins["notes"] if s is not owner]

            async def failing(exchange: Any) -> None:
                exchange.respond(503)

            await others[0].__aexit__()
            others[1].behaviour = failing
            w.table(**gone(owner))
            for _ in range(3):
                said = await w.call(session=session)
                if "result" in said.json:
                    break
            assert said.json["result"]["who"] == others[2].name

    run(story())


def test_where_no_instance_can_the_request_fails_and_the_session_is_tried_later(
    world: Any, run: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(reopening, "WAIT", 0.05)

    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]
            w.table(**gone(standin))
            said = await w.call(session=session)
            assert (said.status, said.reason) == (200, "RecoveryFailed")
            w.table()
            standin.sessions.clear()
            said = await w.call(session=session)
            assert said.status == 200  # known again, and it has forgotten: not yet
            found = w.sessions.find(session)
            assert found is not None
            found.retry_at = 0.0
            assert (await w.call(session=session)).json["result"]["who"] == standin.name

    run(story())


def test_a_request_waits_for_the_instance_that_is_being_started(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]
            w.table(**gone(standin))
            standin.sessions.clear()
            asked = asyncio.ensure_future(w.call(session=session))
            await eventually(lambda: w.sessions.find(session).moving)
            w.table(**{standin.name: {"uid": "started"}})
            assert (await asked).json["result"]["session"] == "notes-0-session-2"

    run(story())


def test_a_challenge_is_for_who_led_and_the_next_one_leads(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]
            challenges = iter([True])

            async def asking(exchange: Any) -> None:
                if b'"initialize"' in exchange.request.body:
                    await standin.proceed.wait()
                    if next(challenges, False):
                        challenge = (b"www-authenticate", b'Bearer realm="x"')
                        exchange.respond(401, (JSON, challenge), failure(None, -32001))
                        return
                await standin.serve(exchange)

            standin.behaviour = asking
            standin.sessions.clear()
            calls = [asyncio.ensure_future(w.call(n, session)) for n in (1, 2, 3)]
            flights = w.gateway.recovery._flights
            await eventually(lambda: [len(each.waiting) for each in flights.values()] == [3])
            standin.proceed.set()
            said = await asyncio.gather(*calls)
            assert sorted(each.status for each in said) == [200, 200, 401]
            refused = next(each for each in said if each.status == 401)
            assert refused.headers[b"www-authenticate"] == b'Bearer realm="x"'
            assert standin.opened == 2

    run(story())


def test_a_leader_that_leaves_does_not_stop_it(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)

            async def slow(exchange: Any) -> None:
                if b'"initialize"' in exchange.request.body:
                    await other.proceed.wait()
                await other.serve(exchange)

            other.behaviour = slow
            w.table(**gone(owner))
            head = "GET /servers/notes/mcp HTTP/1.1\r\nhost: HOST\r\naccept: text/event-stream\r\n"
            _, writer = await w.raw(f"{head}mcp-session-id: {session}\r\n\r\n".encode())
            await other.arrived.wait()
            asked = asyncio.ensure_future(w.call(session=session))
            writer.close()
            await w.left.wait()
            other.proceed.set()
            assert (await asked).json["result"]["who"] == other.name
            assert other.opened == 1

    run(story())


def test_a_session_that_is_deleted_while_it_is_recovered_stays_deleted(
    world: Any, run: Any
) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)

            async def slow(exchange: Any) -> None:
                if b'"initialize"' in exchange.request.body:
                    await other.proceed.wait()
                await other.serve(exchange)

            other.behaviour = slow
            w.table(**gone(owner))
            asked = asyncio.ensure_future(w.call(session=session))
            await other.arrived.wait()
            assert (await w.ask(method="DELETE", mcp_session_id=session)).status == 200
            other.proceed.set()
            assert (await asked).status == 404
            await eventually(lambda: other.opened == 1 and not other.sessions)
            assert (await w.call(session=session)).status == 404
            held = await w.records.read(digest(session))
            assert held is not None
            assert held.ended

    run(story())


def test_the_former_owner_is_told_if_it_is_still_there(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, _ = owner_of(w)
            kept = set(owner.sessions)
            forgotten = iter([True])

            async def mistaken(exchange: Any) -> None:
                if b"tools/call" in exchange.request.body and next(forgotten, False):
                    exchange.respond(404, (JSON,), failure(None, -32600))
                else:
                    await owner.serve(exchange)

            owner.behaviour = mistaken
            await w.call(session=session)
            await eventually(lambda: not kept & owner.sessions)

    run(story())


def test_a_late_answer_reaches_nobody_elses_question(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]

            async def asking(exchange: Any) -> None:
                if b"tools/call" not in exchange.request.body:
                    await standin.serve(exchange)
                    return
                if exchange.request.header(b"mcp-session-id").decode() not in standin.sessions:
                    await standin.serve(exchange)
                    return
                exchange.start(200, (SSE,))
                question = message("elicitation/create", 1, message="sure?")
                withdrawn = message("notifications/cancelled", requestId=1)
                await exchange.write(b"data: %b\n\ndata: %b\n\n" % (question, withdrawn))
                await exchange.write(b"data: " + result(2, ok=True) + b"\n\n")
                exchange.finish()

            standin.behaviour = asking
            session = await w.open()
            first = events((await w.call(session=session)).body)
            assert first[0]["id"] == 1
            standin.sessions.clear()
            second = events((await w.call(session=session)).body)
            assert (second[0]["id"], second[1]["params"]["requestId"]) == ("1:1", "1:1")
            standin.seen.clear()
            for late in (1, "0:1", "2:1"):
                answer = await w.ask(result(late, action="accept"), mcp_session_id=session)
                assert answer.status == 202
            assert standin.seen == []
            await w.ask(result("1:1", action="accept"), mcp_session_id=session)
            assert [json.loads(r.body)["id"] for r in standin.seen] == [1]

    run(story())


def test_progress_is_told_to_who_asked_and_to_nobody_else(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]

            async def asking(exchange: Any) -> None:
                known = (exchange.request.header(b"mcp-session-id") or b"").decode()
                if b"tools/call" not in exchange.request.body or known not in standin.sessions:
                    await standin.serve(exchange)
                    return
                exchange.start(200, (SSE,))
                question = message("sampling/createMessage", 1, _meta={"progressToken": 1})
                await exchange.write(b"data: " + question + b"\n\n")
                await exchange.write(b"data: " + result(2, ok=True) + b"\n\n")
                exchange.finish()

            standin.behaviour = asking
            session = await w.open()
            first = events((await w.call(session=session)).body)
            assert first[0]["params"]["_meta"] == {"progressToken": 1}
            standin.sessions.clear()
            second = events((await w.call(session=session)).body)
            assert second[0]["params"]["_meta"] == {"progressToken": "1:1"}
            standin.seen.clear()
            for token in (1, "0:1", "2:1", "1:1"):
                note = message("notifications/progress", progressToken=token, progress=1)
                assert (await w.ask(note, mcp_session_id=session)).status == 202
            told = [json.loads(request.body)["params"] for request in standin.seen]
            assert told == [{"progressToken": 1, "progress": 1}]

    run(story())


def test_an_answer_that_waits_while_its_session_moves_reaches_nobody(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)
            await owner.__aexit__()
            body = result(1, action="accept")
            late = asyncio.ensure_future(w.ask(body, mcp_session_id=session))
            await eventually(lambda: w.gateway._plant.courier.ejections.failing)  # it tries again
            w.table(**gone(owner))
            w.sessions.move(w.sessions.find(session), other.uid, b"moved", 1)
            assert (await late).status == 202
            assert other.seen == []

    run(story())


def test_an_event_id_of_the_owner_before_is_not_given_to_the_next(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            standin = w.standins["notes"][0]

            async def streaming(exchange: Any) -> None:
                if exchange.request.method == "GET":
                    exchange.start(200, (SSE,))
                    await exchange.write(b"id: 7\ndata: {}\n\n")
                    exchange.finish()
                else:
                    await standin.serve(exchange)

            standin.behaviour = streaming
            session = await w.open()
            said = await w.ask(method="GET", mcp_session_id=session)
            id = said.body.split(b"\n")[0].removeprefix(b"id: ").decode()
            resumed = await w.ask(method="GET", mcp_session_id=session, last_event_id=id)
            assert resumed.status == 200
            assert standin.seen[-1].header(b"last-event-id") == b"7"
            standin.sessions.clear()
            await w.call(session=session)
            resumed = await w.ask(method="GET", mcp_session_id=session, last_event_id=id)
            assert resumed.status == 200
            assert standin.seen[-1].header(b"last-event-id") is None
            newer = resumed.body.split(b"\n")[0].removeprefix(b"id: ").decode()
            assert newer != id

    run(story())


def test_a_server_that_has_no_stream_to_get_has_not_forgotten_the_session(
    world: Any, run: Any
) -> None:
    async def story() -> None:
        async with world() as w:
            session = await w.open()
            standin = w.standins["notes"][0]

            async def posts_only(exchange: Any) -> None:
                if exchange.request.method == "GET":
                    exchange.respond(404, (JSON,), b'{"detail":"Not Found"}')
                else:
                    await standin.serve(exchange)

            standin.behaviour = posts_only
            for _ in range(3):
                assert (await w.ask(method="GET", mcp_session_id=session)).status == 404
            assert (await w.call(session=session)).json["result"]["session"] == "notes-0-session-1"
            assert said_to(standin, b"ping") == 1
            standin.sessions.clear()
            assert (await w.call(session=session)).json["result"]["session"] == "notes-0-session-2"

    run(story())


class Counted(MemorySessions):
    """Counts what it is asked."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.asked: list[str] = []

    async def create(self, *given: Any) -> Any:
        self.asked.append("create")
        return await super().create(*given)

    async def read(self, *given: Any) -> Any:
        self.asked.append("read")
        return await super().read(*given)

    async def replace(self, *given: Any) -> Any:
        self.asked.append("replace")
        return await super().replace(*given)


def test_an_ordinary_request_asks_no_store(world: Any, run: Any) -> None:
    async def story() -> None:
        records = Counted(SystemClock())
        async with world(records=records) as w, world({}, records=records) as second:
            second.standins = w.standins
            second.table()
            session = await w.open()
            assert records.asked == ["create"]
            for _ in range(10):
                await w.call(session=session)
                await w.ask(message("tools/list", 3), mcp_session_id=session)
            assert records.asked == ["create"]
            for _ in range(10):
                assert (await second.call(session=session)).status == 200
            assert records.asked == ["create", "read"]  # the first one there, beside the call

    run(story())


def test_a_slow_store_holds_up_no_call_but_the_first(world: Any, run: Any) -> None:
    async def story() -> None:
        slow = asyncio.Event()

        class Slow(MemorySessions):
            async def read(self, key: bytes) -> Any:
                await slow.wait()
                return await super().read(key)

        records = Slow(SystemClock())
        async with world(records=records) as w, world({}, records=records) as second:
            second.standins = w.standins
            second.table()
            session = await w.open()
            first = asyncio.ensure_future(second.call(2, session))
            standin = w.standins["notes"][0]
            await eventually(lambda: said_to(standin, b"tools/call") == 1)
            assert not first.done()  # it has been sent, and its answer waits for what is known
            assert (await second.call(3, session)).status == 200
            slow.set()
            assert (await first).status == 200

    run(story())


def test_a_stream_whose_client_leaves_while_it_is_looked_up_is_ended(world: Any, run: Any) -> None:
    async def story() -> None:
        class Silent(MemorySessions):
            async def read(self, key: bytes) -> Any:
                await asyncio.Event().wait()

        records = Silent(SystemClock())
        async with world(records=records) as w, world({}, records=records) as second:
            second.standins = w.standins
            second.table()
            (standin,) = w.standins["notes"]
            session = await w.open()
            head = "GET /servers/notes/mcp HTTP/1.1\r\nhost: HOST\r\naccept: text/event-stream\r\n"
            _, writer = await second.raw(f"{head}mcp-session-id: {session}\r\n\r\n".encode())
            await eventually(lambda: any(r.method == "GET" for r in standin.seen))
            await SystemClock().sleep(0.05)  # its answer is here
            writer.close()
            async with asyncio.timeout(3):
                await standin.gone.wait()
            assert second.gateway.loads()[standin.uid].calls == 0

    run(story())


def test_a_gateway_without_a_record_recovers_nothing(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w, world({"notes": 0}) as stranger:
            session = await w.open()
            owner, _ = owner_of(w)
            stranger.standins = w.standins
            stranger.table()
            assert (await stranger.call(session=session)).status == 200
            stranger.table(**gone(owner))
            assert (await stranger.call(session=session)).status == 404

    run(story())


def test_a_gateway_that_heard_of_no_move_follows_what_is_written(world: Any, run: Any) -> None:
    class Quiet(MemorySessions):
        """Tells nobody of changes."""

        async def changes(self) -> Any:
            await asyncio.Event().wait()
            yield

    async def story() -> None:
        records = Quiet(SystemClock())
        async with world({"notes": 3}, records=records) as w, world({}, records=records) as second:
            second.standins = w.standins
            second.table()
            session = await w.open()
            owner = next(s for s in w.standins["notes"] if s.sessions)
            assert (await second.call(session=session)).json["result"]["who"] == owner.name
            owner.sessions.clear()
            moved = (await w.call(session=session)).json["result"]
            assert (await second.call(session=session)).json["result"] == moved
            assert sum(said_to(s, b"initialize") for s in w.standins["notes"]) == 2

    run(story())


def test_a_move_is_heard_before_anybody_asks(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w, world({}, records=w.records) as second:
            second.standins = w.standins
            second.table()
            session = await w.open()
            await second.call(session=session)
            w.standins["notes"][0].sessions.clear()
            await w.call(session=session)
            seen = second.sessions.known(digest(session))
            await eventually(lambda: seen.generation == 1)
            assert seen.sealed.upstream_id == b"notes-0-session-2"

    run(story())


def test_without_the_store_a_lost_session_waits_for_it_and_is_not_given_up(
    world: Any, run: Any
) -> None:
    class Away(MemorySessions):
        away = False

        async def read(self, key: bytes) -> Any:
            if self.away:
                raise Unavailable("SessionStoreUnavailable", "the store is away")
            return await super().read(key)

    async def story() -> None:
        records = Away(SystemClock())
        async with world(records=records) as w:
            session = await w.open()
            (standin,) = w.standins["notes"]
            standin.sessions.clear()
            records.away = True
            said = await w.call(session=session)
            assert (said.status, said.reason) == (200, "SessionStoreUnavailable")
            assert standin.opened == 1
            records.away = False
            w.sessions.find(session).retry_at = 0.0
            assert (await w.call(session=session)).json["result"]["session"] == "notes-0-session-2"

    run(story())


@pytest.mark.parametrize("cut", [False, True])
def test_what_is_set_while_a_session_moves_holds_at_the_new_owner(
    world: Any, run: Any, cut: bool
) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)

            async def slow(exchange: Any) -> None:
                if b'"initialize"' in exchange.request.body:
                    await other.proceed.wait()
                if cut and b"setLevel" in exchange.request.body:
                    exchange.abort()
                else:
                    await other.serve(exchange)

            other.behaviour = slow
            w.table(**gone(owner))
            asked = asyncio.ensure_future(w.call(session=session))
            await other.arrived.wait()
            level = message("logging/setLevel", 3, level="error")
            await w.gateway._plant.books.note(w.sessions.find(session), level)
            other.proceed.set()
            said = await asked
            if cut:
                assert said.reason == "RecoveryFailed"
                await eventually(lambda: not other.sessions)
                return
            assert said.status == 200
            told = [json.loads(r.body).get("params") for r in other.seen if b"setLevel" in r.body]
            assert told == [{"level": "error"}]
            assert said_to(other, b"initialize") == 1

    run(story())


def test_a_gateway_that_shares_the_records_follows_and_recovers(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 3}) as w, world({"notes": 0}, records=w.records) as second:
            second.standins = w.standins
            second.table()
            session = await w.open()
            owner = next(s for s in w.standins["notes"] if s.sessions)
            w.table(**gone(owner))
            second.table(**gone(owner))
            one, two = await asyncio.gather(w.call(session=session), second.call(session=session))
            who = {one.json["result"]["session"], two.json["result"]["session"]}
            assert len(who) == 1
            await eventually(lambda: sum(len(s.sessions) for s in w.standins["notes"]) == 2)
            assert (await second.ask(method="DELETE", mcp_session_id=session)).status == 200
            await eventually(lambda: w.sessions.find(session) is None)
            assert (await w.call(session=session)).status == 404

    run(story())


def test_an_owner_that_is_stopped_keeps_its_session(world: Any, run: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(posting, "CALL_SECONDS", 0.05)
    monkeypatch.setattr(courier, "PATIENCE", 0.05)

    async def story() -> None:
        async with world({"notes": 2}) as w:
            session = await w.open()
            owner, other = owner_of(w)

            async def silent(_: Any) -> None:
                await owner.gone.wait()

            owner.behaviour = silent
            said = await w.call(session=session)
            assert (said.status, said.reason) == (200, "UpstreamTimeout")
            owner.behaviour = None
            monkeypatch.undo()
            assert (await w.call(session=session)).json["result"]["who"] == owner.name
            assert other.seen == []

    run(story())
