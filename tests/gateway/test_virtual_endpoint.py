"""A virtual server as its clients meet it, over HTTP."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from support.fronting import eventually
from support.joining import Backend, Joined, joined, tool
from support.standin import JSON, SSE, failure, message, result

from mooring.clock import SystemClock
from mooring.transports.http_server import Exchange
from mooring.transports.sse import EventSplitter, encode

Run = Callable[[Any], Any]


def test_backends_are_one_list_and_a_call_goes_to_the_one_that_has_the_tool(run: Run) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint:
            session = await joint.open()
            assert await joint.listed(session) == [
                "mail_add",
                "mail_find",
                "notes_add",
                "notes_find",
            ]
            given = {"name": "mail_add", "big": 12345678901234567890}
            said = await joint.ask(session, "tools/call", name="mail_add", arguments=given)
            told = said.json["result"]
            assert told["who"] == "mail"
            assert told["params"] == {"name": "add", "arguments": given}

    run(story())


def test_it_says_who_it_is_and_what_its_backends_can_do(run: Run) -> None:
    async def story() -> None:
        notes, mail = Backend("notes"), Backend("mail")
        notes.capabilities = {"tools": {}, "prompts": {}, "logging": {}, "experimental": {"x": {}}}
        mail.instructions = "Mail is sent at once."
        async with joined(notes, mail) as joint:
            said = await joint.initialize(protocolVersion="2025-06-18")
            told = said.json["result"]
            assert told["protocolVersion"] == "2025-06-18"
            assert told["serverInfo"]["name"] == "all"
            assert set(told["capabilities"]) == {"tools", "prompts", "logging"}
            assert told["instructions"] == "# mail\n\nMail is sent at once."

    run(story())


def test_a_backend_is_initialized_once_for_a_session_and_told_the_clients_words(run: Run) -> None:
    async def story() -> None:
        async with joined("notes", relay={"notes": {"elicitation": True}}) as joint:
            session = await joint.open(
                protocolVersion="2025-06-18",
                capabilities={"sampling": {}, "elicitation": {}, "tasks": {}, "x": {"y": 1}},
                clientInfo={"name": "tester", "version": "7"},
            )
            for _ in range(3):
                await joint.ask(session, "tools/call", name="notes_add", arguments={})
            opened = joint["notes"].asked["initialize"]
            assert len(opened) == 2  # one to find out what there is, one for the client
            assert opened[1]["params"] == {
                "protocolVersion": "2025-06-18",
                "capabilities": {"elicitation": {}, "x": {"y": 1}},
                "clientInfo": {"name": "tester", "version": "7"},
            }
            assert len(joint["notes"].asked["notifications/initialized"]) == 2

    run(story())


def test_one_question_to_a_backend_answers_many_sessions(run: Run) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint:
            sessions = await asyncio.gather(*(joint.open() for _ in range(20)))
            lists = await asyncio.gather(*(joint.listed(session) for session in sessions))
            assert joint["notes"].opened == joint["mail"].opened == 1
            assert len(joint["notes"].asked["tools/list"]) == 1
            assert {len(each) for each in lists} == {4}

    run(story())


def test_backends_are_asked_once_before_any_client_is_there(run: Run) -> None:
    async def story() -> None:
        async with joined("notes", "mail", "alone") as joint:
            joint.specs["alone"] = {"group": None}
            joint.states["mail"] = {"health": "unhealthy"}
            joint.table()
            await eventually(lambda: "tools/list" in joint["notes"].asked)
            joint["mail"].asked.clear()
            joint.states.clear()
            joint.table()
            await eventually(lambda: "tools/list" in joint["mail"].asked)
            joint.table()
            assert len(await joint.listed(await joint.open())) == 4
            for name in ("notes", "mail"):
                assert len(joint[name].asked["tools/list"]) == 1

    run(story())


def test_all_pages_of_a_backend_are_read(run: Run) -> None:
    async def story() -> None:
        notes = Backend("notes")
        notes.tools = [tool(f"t{n}") for n in range(7)]
        notes.page = 3
        async with joined(notes) as joint:
            assert len(await joint.listed(await joint.open())) == 7

    run(story())


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("tools/call", {"name": "nothing"}, -32602),
        ("prompts/get", {"name": "nothing"}, -32602),
        ("resources/read", {"uri": "note://nothing"}, -32002),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "nothing"}}, -32602),
        ("tools/list", {"cursor": "made-up"}, -32602),
        ("logging/setLevel", {"level": "loud"}, -32602),
        ("tasks/list", {}, -32601),
        ("something/else", {}, -32601),
    ],
)
def test_what_does_not_exist_is_refused_in_words(
    run: Run, method: str, params: dict[str, Any], code: int
) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint:
            said = await joint.ask(await joint.open(), method, **params)
            assert said.status == 200
            assert said.json["error"]["code"] == code
            assert said.json["id"] == 2

    run(story())


def test_a_filter_holds_for_calls_as_for_lists(run: Run) -> None:
    async def story() -> None:
        rules = {"strategy": "none", "tools": {"notes": {"filter": ["find"]}}}
        async with joined("notes", aggregation=rules) as joint:
            session = await joint.open()
            assert await joint.listed(session) == ["find"]
            said = await joint.ask(session, "tools/call", name="add", arguments={})
            assert said.json["error"]["code"] == -32602
            assert "tools/call" not in joint["notes"].asked

    run(story())


@pytest.mark.parametrize(("health", "left"), [("healthy", 1), ("unhealthy", 0)])
def test_a_session_ends_with_all_that_it_has_at_backends(run: Run, health: str, left: int) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint:
            session = await joint.open()
            for name in ("notes_add", "mail_add"):
                await joint.ask(session, "tools/call", name=name, arguments={})
            assert len(joint["notes"].sessions) == 2
            joint.states["mail"] = {"health": health}
            joint.table()
            said = await joint.world.ask(method="DELETE", mcp_session_id=session)
            assert said.status == 200
            await eventually(lambda: len(joint["notes"].sessions) == 1)
            await eventually(lambda: len(joint["mail"].sessions) == left)
            assert (await joint.ask(session, "ping")).status == 404

    run(story())


@pytest.mark.parametrize("id", ["made-up", ""])
def test_a_session_id_that_is_none_of_ours_is_unknown(run: Run, id: str) -> None:
    async def story() -> None:
        async with joined("notes") as joint:
            assert (await joint.ask(id, "ping")).status == 404
            assert (await joint.world.ask(message("ping", 1))).status == 400

    run(story())


def test_a_virtual_server_that_does_not_exist_is_told_so_by_name(run: Run) -> None:
    async def story() -> None:
        async with joined("notes") as joint:
            said = await joint.world.ask(message("ping", 1), path="/virtual/al/mcp")
            assert said.status == 404
            assert said.json["error"]["message"] == 'no virtual server "al". Fix: moor get vmcp'

    run(story())


def test_the_session_of_a_server_is_not_one_of_a_virtual_server(run: Run) -> None:
    async def story() -> None:
        async with joined("all") as joint:  # a backend of the same name
            ours = await joint.open()
            joint.world.path = "/servers/all/mcp"
            theirs = await joint.open()
            assert (await joint.ask(ours, "ping")).status == 404
            joint.world.path = "/virtual/all/mcp"
            assert (await joint.ask(theirs, "ping")).status == 404
            assert (await joint.ask(ours, "ping")).json["result"] == {}

    run(story())


def test_a_session_goes_on_at_a_gateway_that_never_saw_it(run: Run) -> None:
    async def story() -> None:
        async with joined("notes") as joint, joined("notes") as other:
            session = await joint.open(clientInfo={"name": "tester", "version": "7"})
            said = await other.ask(session, "tools/call", name="notes_add", arguments={})
            assert said.json["result"]["who"] == "notes"
            told = other["notes"].asked["initialize"][-1]["params"]
            assert told["clientInfo"]["name"] == "tester"

    run(story())


def test_a_backend_that_hangs_is_missing_and_delays_nobody(run: Run) -> None:
    async def story() -> None:
        notes, slow = Backend("notes"), Backend("slow")
        held = asyncio.Event()

        async def hang(exchange: Exchange) -> None:
            await held.wait()
            await slow.serve(exchange)

        slow.behaviour = hang
        async with joined(notes, slow) as joint:
            clock = asyncio.get_running_loop().time
            began = clock()
            session = await joint.open()
            opened = clock()
            said = await joint.ask(session, "tools/list")
            assert clock() - opened < 1.0
            assert clock() - began < 2.0
            listed = said.json["result"]
            assert [each["name"] for each in listed["tools"]] == ["notes_add", "notes_find"]
            assert [m["backend"] for m in listed["_meta"]["dev.mooring/partial"]] == ["slow"]
            assert (await joint.ask(session, "tools/call", name="notes_add")).json["result"]
            slow.behaviour = None
            held.set()
            await eventually(lambda: "tools/list" in slow.asked)
            said = await joint.ask(session, "tools/call", name="slow_add", arguments={})
            assert said.json["result"]["who"] == "slow"

    run(story())


async def listening(joint: Joined, session: str) -> "asyncio.Queue[dict[str, Any]]":
    """What a client hears on its stream."""
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    reader, _ = await joint.world.raw(
        b"GET /virtual/all/mcp HTTP/1.0\r\nhost: HOST\r\naccept: text/event-stream\r\n"
        b"mcp-session-id: %b\r\n\r\n" % session.encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head, head

    async def hear() -> None:
        splitter = EventSplitter()
        while chunk := await reader.read(65536):
            for event in splitter.feed(chunk):
                if event.data:
                    heard.put_nowait(json.loads(event.data))

    joint.listeners.append(asyncio.ensure_future(hear()))
    return heard


def test_a_change_reaches_every_client_that_listens_and_the_next_list_has_it(run: Run) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint:
            first, second = await joint.open(), await joint.open()
            heard = [await listening(joint, first), await listening(joint, second)]
            await eventually(lambda: joint["notes"].streams)
            joint["notes"].tools.append(tool("count"))
            await joint["notes"].say("notifications/tools/list_changed")
            for queue in heard:
                note = await asyncio.wait_for(queue.get(), 2)
                assert note["method"] == "notifications/tools/list_changed"
            assert "notes_count" in await joint.listed(first)
            assert [queue.qsize() for queue in heard] == [0, 0]

    run(story())


class Partial(Backend):
    """Has one tool more for some of its sessions."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.favoured = ""

    def _converse(self, exchange: Exchange, told: dict[str, Any], session: str) -> None:
        if told.get("method") == "tools/list" and session == self.favoured:
            tools = [*self.tools, tool("more")]
            exchange.respond(200, (JSON,), result(told["id"], tools=tools))
        else:
            super()._converse(exchange, told, session)


def test_what_a_backend_has_for_one_session_is_seen_in_that_session_alone(run: Run) -> None:
    async def story() -> None:
        notes = Partial("notes")
        async with joined(notes, "mail") as joint:
            first, second = await joint.open(), await joint.open()
            heard = [await listening(joint, first), await listening(joint, second)]
            opened: list[str] = []
            for session in (first, second):
                said = await joint.ask(session, "tools/call", name="notes_add", arguments={})
                opened.append(said.json["result"]["session"])
            await eventually(lambda: len(notes.streams) == 3)
            notes.favoured = opened[0]
            of_it = [
                stream
                for stream in notes.streams
                if stream.request.header(b"mcp-session-id") == opened[0].encode()
            ]
            for stream in of_it:
                await stream.write(encode(message("notifications/tools/list_changed")))
            note = await asyncio.wait_for(heard[0].get(), 2)
            assert note["method"] == "notifications/tools/list_changed"
            assert "notes_more" in await joint.listed(first)
            assert "notes_more" not in await joint.listed(second)
            assert heard[1].empty()
            said = await joint.ask(first, "tools/call", name="notes_more", arguments={})
            assert said.json["result"]["params"]["name"] == "more"
            said = await joint.ask(second, "tools/call", name="notes_more", arguments={})
            assert said.json["error"]["code"] == -32602

    run(story())


def test_a_backend_that_comes_or_goes_changes_the_list(run: Run) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint:
            session = await joint.open()
            assert len(await joint.listed(session)) == 4
            heard = await listening(joint, session)
            joint.states["mail"] = {"health": "unhealthy"}
            joint.table()
            note = await asyncio.wait_for(heard.get(), 2)
            assert note["method"] == "notifications/tools/list_changed"
            assert await joint.listed(session) == ["notes_add", "notes_find"]
            joint.states.clear()
            joint.table()
            await asyncio.wait_for(heard.get(), 2)
            assert len(await joint.listed(session)) == 4

    run(story())


def test_a_call_waits_for_its_backend_that_is_being_started_again(run: Run) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint:
            session = await joint.open()
            await joint.ask(session, "tools/call", name="notes_add", arguments={})
            joint.states["notes"] = {"state": "Starting", "health": "unknown"}
            joint.table()
            call = joint.ask(session, "tools/call", name="notes_find", arguments={})
            asked = asyncio.ensure_future(call)
            for _ in range(3):
                assert await joint.listed(session) == ["mail_add", "mail_find"]
            joint.states.clear()
            joint.table()
            assert (await asked).json["result"]["who"] == "notes"

    run(story())


def test_a_client_that_only_listens_hears_a_backend_again_that_was_away(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.virtual.backends.AGAIN", 0.001)

    async def story() -> None:
        async with joined("notes", "mail") as joint:
            session = await joint.open()
            heard = await listening(joint, session)
            await joint.ask(session, "tools/call", name="notes_add", arguments={})
            notes = joint["notes"]
            await eventually(lambda: len(notes.streams) == 2)
            joint.states["notes"] = {"health": "unhealthy"}
            joint.table()
            assert (await asyncio.wait_for(heard.get(), 2))["method"].endswith("list_changed")
            for stream in notes.streams:
                stream.finish()
            notes.streams.clear()
            for _ in range(100):
                assert await joint.listed(session) == ["mail_add", "mail_find"]
            joint.states.clear()
            joint.table()
            assert (await asyncio.wait_for(heard.get(), 2))["method"].endswith("list_changed")
            await asyncio.wait_for(eventually(lambda: notes.streams), 5)
            await notes.say("notifications/message", level="info", data="back")
            assert (await asyncio.wait_for(heard.get(), 2))["params"]["data"] == "back"

    run(story())


@pytest.mark.parametrize(
    "ref",
    [
        {"type": "ref/prompt", "name": "mail_greet"},
        {"type": "ref/resource", "uri": "mail://{id}"},
    ],
)
def test_a_completion_does_not_wait_for_a_backend_that_is_not_asked(
    run: Run, ref: dict[str, str]
) -> None:
    async def story() -> None:
        notes, mail = Backend("notes"), Backend("mail")
        mail.capabilities = {"prompts": {}, "resources": {}, "completions": {}}
        mail.prompts = [{"name": "greet"}]
        mail.templates = [{"uriTemplate": "mail://{id}", "name": "mail"}]
        async with joined(notes, mail) as joint:
            session = await joint.open()
            await joint.ask(session, "tools/call", name="notes_add", arguments={})
            joint.states["notes"] = {"state": "Starting", "health": "unknown"}
            joint.table()
            began = asyncio.get_running_loop().time()
            asked = {"ref": ref, "argument": {"name": "a", "value": "b"}}
            said = await joint.ask(session, "completion/complete", **asked)
            assert said.json["result"]["who"] == "mail"
            assert asyncio.get_running_loop().time() - began < 5.0

    run(story())


def test_a_call_to_a_backend_that_has_failed_is_told_so_at_once(run: Run) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint:
            session = await joint.open()
            await joint.ask(session, "tools/call", name="notes_add", arguments={})
            joint.states["notes"] = {"health": "unhealthy"}
            joint.table()
            began = asyncio.get_running_loop().time()
            said = await joint.ask(session, "tools/call", name="notes_find", arguments={})
            assert said.json["error"]["message"] == "Unknown tool: notes_find; away now: notes"
            assert asyncio.get_running_loop().time() - began < 5.0

    run(story())


def test_what_a_backend_says_unasked_reaches_the_client_that_listens(run: Run) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint:
            session = await joint.open()
            heard = await listening(joint, session)
            await joint.ask(session, "tools/call", name="mail_add", arguments={})
            await eventually(lambda: len(joint["mail"].streams) == 2)
            note = {"level": "info", "data": "sent"}
            await joint["mail"].say("notifications/message", **note)
            said = await asyncio.wait_for(heard.get(), 2)
            assert (said["method"], said["params"]) == ("notifications/message", note)

    run(story())


@pytest.mark.parametrize("why", ["it has no such page", "its sessions do not move"])
def test_a_backend_that_gives_no_stream_is_not_opened_anew(run: Run, why: str) -> None:
    async def story() -> None:
        async with joined("notes") as joint:
            notes = joint["notes"]
            if why == "its sessions do not move":
                joint.specs["notes"] = {"recovery": "fail"}
                joint.table()

            async def without(exchange: Exchange) -> None:
                if exchange.request.method == "GET":
                    exchange.respond(404, (JSON,), failure(None, -32600))
                    if why == "its sessions do not move":
                        notes.sessions.clear()
                else:
                    await notes.serve(exchange)

            session = await joint.open()
            await joint.ask(session, "tools/call", name="notes_add", arguments={})
            opened = notes.opened
            notes.behaviour = without
            await listening(joint, session)
            await eventually(lambda: any(each.method == "GET" for each in notes.seen))
            await eventually(lambda: "ping" in notes.asked or not notes.sessions)
            await SystemClock().sleep(0.1)
            assert notes.opened == opened

    run(story())


def asking(backend: Backend, *questions: dict[str, Any]) -> None:
    """Has a backend ask this on the stream of each call, then answer."""

    async def behave(exchange: Exchange) -> None:
        told = json.loads(exchange.request.body or b"{}")
        if told.get("method") != "tools/call":
            await backend.serve(exchange)
            return
        exchange.start(200, (SSE,))
        for number, question in enumerate(questions):
            text = json.dumps({"jsonrpc": "2.0", "id": number} | question).encode()
            await exchange.write(encode(text))
        await eventually(lambda: len(backend.asked.get("response", ())) == len(questions))
        await exchange.write(encode(result(told["id"], answers=backend.asked["response"])))
        exchange.finish()

    backend.behaviour = behave


def test_a_question_reaches_the_client_with_the_name_of_who_asks(run: Run) -> None:
    async def story() -> None:
        notes = Backend("notes")
        params = {"message": "How many?", "requestedSchema": {"type": "object"}}
        asking(notes, {"method": "elicitation/create", "params": params})
        async with joined(notes, relay={"notes": {"elicitation": True}}) as joint:
            session = await joint.open(capabilities={"elicitation": {}})
            call = asyncio.ensure_future(listen_to_call(joint, session))
            question = await asyncio.wait_for(joint.questions.get(), 5)
            assert question["params"]["message"] == "notes: How many?"
            assert question["params"]["_meta"] == {"dev.mooring/backend": "notes"}
            assert question["id"] != 0
            answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}}
            said = await joint.world.ask(json.dumps(answer).encode(), mcp_session_id=session)
            assert said.status == 202
            answers = (await call)["result"]["answers"]
            assert answers == [{"jsonrpc": "2.0", "id": 0, "result": {"action": "accept"}}]

    run(story())


def test_progress_is_told_to_who_asked_and_to_nobody_else(run: Run) -> None:
    async def story() -> None:
        notes = Backend("notes")
        params = {"messages": [], "_meta": {"progressToken": 1}}
        question = {"method": "sampling/createMessage", "params": params}
        asking(notes, question)
        async with joined(notes, relay={"notes": {"sampling": True}}) as joint:
            session = await joint.open(capabilities={"sampling": {}})
            tokens = []
            for again in (False, True):
                if again:
                    notes.sessions.clear()  # it was started anew
                    notes.behaviour = None
                    await joint.ask(session, "tools/call", name="notes_add", arguments={})
                    notes.asked.pop("response")
                    asking(notes, question)
                call = asyncio.ensure_future(listen_to_call(joint, session))
                told = await asyncio.wait_for(joint.questions.get(), 5)
                tokens.append(told["params"]["_meta"]["progressToken"])
                for token in tokens:
                    progress = {"progressToken": token, "progress": 1}
                    await joint.tell(session, "notifications/progress", **progress)
                answer = json.dumps({"jsonrpc": "2.0", "id": told["id"], "result": {}}).encode()
                await joint.world.ask(answer, mcp_session_id=session)
                await call
            assert len(set(tokens)) == 2
            heard = [each["params"] for each in notes.asked["notifications/progress"]]
            assert heard == [{"progressToken": 1, "progress": 1}] * 2

    run(story())


async def listen_to_call(joint: Joined, session: str) -> dict[str, Any]:
    """Calls a tool; what is asked meanwhile goes to `questions`."""
    body = message("tools/call", "a-call", name="notes_add")
    reader, _ = await joint.world.raw(
        b"POST /virtual/all/mcp HTTP/1.0\r\nhost: HOST\r\naccept: text/event-stream, "
        b"application/json\r\ncontent-type: application/json\r\nmcp-session-id: %b\r\n"
        b"content-length: %d\r\n\r\n%b" % (session.encode(), len(body), body)
    )
    await reader.readuntil(b"\r\n\r\n")
    splitter = EventSplitter()
    while chunk := await reader.read(65536):
        for event in splitter.feed(chunk):
            told = json.loads(event.data)
            if "method" not in told:
                return dict(told)
            joint.questions.put_nowait(told)
    raise AssertionError("no answer")


@pytest.mark.parametrize(
    ("relay", "capabilities"),
    [
        ({}, {"sampling": {}}),
        ({"notes": {"sampling": True}}, {}),
        ({"notes": {"roots": True}}, {"sampling": {}}),
    ],
)
def test_a_question_that_is_not_relayed_is_declined(
    run: Run, relay: dict[str, Any], capabilities: dict[str, Any]
) -> None:
    async def story() -> None:
        notes = Backend("notes")
        asking(notes, {"method": "sampling/createMessage", "params": {}}, {"method": "ping"})
        async with joined(notes, relay=relay) as joint:
            session = await joint.open(capabilities=capabilities)
            said = await listen_to_call(joint, session)
            declined, pong = sorted(said["result"]["answers"], key=lambda each: each["id"])
            assert declined["error"]["code"] == -32601
            assert pong["result"] == {}
            assert joint.questions.empty()

    run(story())


def test_a_lost_session_at_a_backend_is_not_the_clients_loss(run: Run) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint:
            session = await joint.open()
            for name in ("notes_add", "mail_add"):
                await joint.ask(session, "tools/call", name=name, arguments={})
            joint["notes"].sessions.clear()  # it was started again
            said = await joint.ask(session, "tools/call", name="notes_add", arguments={})
            assert said.status == 200
            said = await joint.ask(session, "tools/call", name="notes_add", arguments={})
            assert said.json["result"]["who"] == "notes"
            assert (await joint.ask(session, "tools/call", name="mail_add")).json["result"]

    run(story())


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_a_backend_that_refuses_a_call_fails_that_call_alone(run: Run, status: int) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint:
            session = await joint.open()
            for name in ("notes_add", "mail_add"):
                await joint.ask(session, "tools/call", name=name, arguments={})

            async def refuse(exchange: Exchange) -> None:
                exchange.respond(status, (JSON, (b"www-authenticate", b"Bearer")), b"{}")

            joint["notes"].behaviour = refuse
            said = await joint.ask(session, "tools/call", name="notes_add", arguments={})
            assert said.status == 200
            assert said.json["error"]["code"] < 0
            assert b"www-authenticate" not in said.headers
            assert (await joint.ask(session, "tools/call", name="mail_add")).json["result"]

    run(story())


def test_an_error_of_a_backend_passes_as_it_is(run: Run) -> None:
    async def story() -> None:
        notes = Backend("notes")
        notes.tools = [tool("broken")]
        async with joined(notes) as joint:
            said = await joint.ask(await joint.open(), "tools/call", name="notes_broken")
            assert said.body == failure(2, -32603, "broken")

    run(story())


def test_resources_are_read_where_they_are(run: Run) -> None:
    async def story() -> None:
        notes, mail = Backend("notes"), Backend("mail")
        for each in (notes, mail):
            each.capabilities = {"resources": {"subscribe": True}}
        notes.resources = [{"uri": "note://1", "name": "one"}, {"uri": "all://x", "name": "x"}]
        mail.resources = [{"uri": "all://x", "name": "x"}]
        mail.templates = [{"uriTemplate": "mail://{id}", "name": "mail"}]
        async with joined(notes, mail) as joint:
            session = await joint.open()
            for uri, who in {"note://1": "notes", "mail://7": "mail", "all://x": "mail"}.items():
                said = await joint.ask(session, "resources/read", uri=uri)
                assert said.json["result"]["who"] == who, uri
            said = await joint.ask(session, "resources/subscribe", uri="note://1")
            assert said.json["result"]["who"] == "notes"

    run(story())


def test_a_resource_that_several_may_have_is_nobodys(run: Run) -> None:
    async def story() -> None:
        notes, mail = Backend("notes"), Backend("mail")
        for each, pattern in ((notes, "x://{a}"), (mail, "x://{b}")):
            each.capabilities = {"resources": {}}
            each.templates = [{"uriTemplate": pattern, "name": "x"}]
        async with joined(notes, mail) as joint:
            said = await joint.ask(await joint.open(), "resources/read", uri="x://1")
            assert said.json["error"]["code"] == -32602
            assert "mail, notes" in said.json["error"]["message"]

    run(story())


def test_the_log_level_is_told_to_those_that_log_now_and_later(run: Run) -> None:
    async def story() -> None:
        notes, mail, quiet = Backend("notes"), Backend("mail"), Backend("quiet")
        for each in (notes, mail):
            each.capabilities = {"tools": {}, "logging": {}}
        async with joined(notes, mail, quiet) as joint:
            session = await joint.open()
            for name in ("notes_add", "quiet_add"):
                await joint.ask(session, "tools/call", name=name, arguments={})
            assert (await joint.ask(session, "logging/setLevel", level="debug")).json[
                "result"
            ] == {}
            assert notes.asked["logging/setLevel"][0]["params"] == {"level": "debug"}
            await joint.ask(session, "tools/call", name="mail_add", arguments={})
            assert mail.asked["logging/setLevel"][0]["params"] == {"level": "debug"}
            assert "logging/setLevel" not in quiet.asked

    run(story())


def test_a_client_takes_a_request_back(run: Run) -> None:
    async def story() -> None:
        notes = Backend("notes")
        called = asyncio.Event()

        async def behave(exchange: Exchange) -> None:
            told = json.loads(exchange.request.body or b"{}")
            if told.get("method") == "tools/call":
                called.set()
                await eventually(lambda: "notifications/cancelled" in notes.asked)
                exchange.respond(200, (JSON,), failure(told["id"], -32800, "cancelled"))
            else:
                await notes.serve(exchange)

        notes.behaviour = behave
        async with joined(notes, "mail") as joint:
            session = await joint.open()
            call = asyncio.ensure_future(joint.ask(session, "tools/call", "x", name="notes_add"))
            await called.wait()  # until then nobody can be told that it is taken back
            said = await joint.tell(session, "notifications/cancelled", requestId="x")
            assert said.status == 202
            assert (await call).json["error"]["code"] == -32800
            assert notes.asked["notifications/cancelled"][0]["params"] == {"requestId": "x"}
            assert "notifications/cancelled" not in joint["mail"].asked

    run(story())


def test_a_request_that_is_taken_back_before_a_backend_has_it_is_not_sent(run: Run) -> None:
    async def story() -> None:
        async with joined("notes", "mail") as joint:
            notes = joint["notes"]
            session = await joint.open()
            await joint.ask(session, "tools/call", name="notes_add", arguments={})
            await notes.__aexit__()  # it refuses connections
            call = asyncio.ensure_future(joint.ask(session, "tools/call", "x", name="notes_add"))
            pausing = joint.gateway._plant.courier.pausing
            await eventually(lambda: pausing)
            said = await joint.tell(session, "notifications/cancelled", requestId="x")
            assert said.status == 202
            assert (await call).json["error"]["code"] == -32800
            async with notes:  # it listens again
                await joint.ask(session, "tools/call", name="notes_add", arguments={})
            assert [each["id"] for each in notes.asked["tools/call"]] == [2, 2]
            assert "notifications/cancelled" not in notes.asked

    run(story())


def test_credentials_go_to_whom_they_are_for_and_the_list_is_the_callers_own(run: Run) -> None:
    async def story() -> None:
        notes, mine = Backend("notes"), Backend("mine")

        async def behave(exchange: Exchange) -> None:
            if exchange.request.header(b"authorization") is None:
                exchange.respond(401, ((b"www-authenticate", b"Bearer"),))
            else:
                await mine.serve(exchange)

        mine.behaviour = behave
        mine.health, mine.forwarded = "unauthenticated", ["Authorization"]
        async with joined(notes, mine) as joint:
            said = await joint.initialize()
            assert await joint.listed(said.session) == ["notes_add", "notes_find"]
            asked = message("tools/list", 3)
            said = await joint.world.ask(
                asked, mcp_session_id=said.session, authorization="Bearer a"
            )
            assert len(said.json["result"]["tools"]) == 4
            call = message("tools/call", 4, name="mine_add", arguments={})
            session = said.headers.get(b"mcp-session-id")
            assert session is None
            opened = (await joint.initialize()).session
            said = await joint.world.ask(call, mcp_session_id=opened, authorization="Bearer a")
            assert said.json["result"]["who"] == "mine"
            assert [r for r in notes.seen if r.header(b"authorization")] == []
            assert {r.header(b"authorization") for r in mine.seen} == {b"Bearer a"}

    run(story())


def wanting(backend: Backend, *methods: str) -> None:
    """Has a backend answer 401 to these."""

    async def behave(exchange: Exchange) -> None:
        told = json.loads(exchange.request.body or b"{}")
        method = told.get("method", exchange.request.method)
        who = told.get("params", {}).get("clientInfo", {}).get("name")
        if method in methods and who != "mooring":
            exchange.respond(401, ((b"www-authenticate", b"Bearer x"),))
        else:
            await backend.serve(exchange)

    backend.behaviour = behave


@pytest.mark.parametrize("method", ["initialize", "notifications/initialized", "tools/call"])
def test_a_client_is_not_asked_for_a_login_because_a_backend_wants_one(
    run: Run, method: str
) -> None:
    async def story() -> None:
        notes = Backend("notes")
        wanting(notes, method)
        async with joined(notes, "mail") as joint:
            session = await joint.open()
            await joint.listed(session)
            said = await joint.ask(session, "tools/call", name="notes_add", arguments={})
            if method != "notifications/initialized":
                assert said.json["error"]["data"]["reason"] in ("LoginNeeded", "UpstreamUnreadable")
            assert said.status == 200
            assert b"www-authenticate" not in said.headers
            assert (await joint.ask(session, "tools/call", name="mail_add")).json["result"]

    run(story())


@pytest.mark.parametrize("method", ["initialize", "tools/call"])
def test_a_caller_whose_login_a_backend_refuses_hears_so(run: Run, method: str) -> None:
    async def story() -> None:
        mine = Backend("mine")
        wanting(mine, method)
        async with joined("notes", mine) as joint:
            joint.specs["mine"] = {"auth": {"forward": ["Authorization"]}}
            joint.table()
            session = await joint.open()
            given = {"mcp_session_id": session, "authorization": "Bearer old"}
            await joint.world.ask(message("tools/list", 2), **given)
            call = message("tools/call", 3, name="mine_add", arguments={})
            assert (await joint.world.ask(call, **given)).status == 401

    run(story())


def test_a_backend_that_wants_a_login_is_not_listed(run: Run) -> None:
    async def story() -> None:
        mine = Backend("mine")
        mine.health = "unauthenticated"
        async with joined("notes", mine) as joint:
            session = await joint.open()
            assert await joint.listed(session) == ["notes_add", "notes_find"]
            assert mine.seen == []

    run(story())
