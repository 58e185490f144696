"""The stateless era: what an instance gave out returns to it; the rest goes anywhere."""

import asyncio
import json
from typing import Any

import pytest
from support.standin import JSON, SSE, Standin, message, result

from mooring.core.elsewhere import from_elsewhere

META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}


def asked(method: str, id: Any = 1, **params: Any) -> tuple[bytes, dict[str, str]]:
    headers = {"mcp_protocol_version": "2026-07-28", "mcp_method": method}
    named = params.get("name") or params.get("taskId")
    if named:
        headers["mcp_name"] = named
    return message(method, id, **params, _meta=META), headers


async def ask(w: Any, method: str, **params: Any) -> Any:
    body, headers = asked(method, **params)
    return await w.ask(body, **headers)


def puzzling(standin: Standin, stream: bool = False) -> None:
    """It asks back once, and only knows its own states and tasks."""

    async def behaviour(exchange: Any) -> None:
        told = json.loads(exchange.request.body)
        params = told["params"]
        state = params.get("requestState")
        if told["method"] == "tasks/get":
            assert exchange.request.header(b"mcp-name") == f"task of {standin.name}".encode()
            assert params["taskId"] == f"task of {standin.name}"
            body = result(told["id"], taskId=params["taskId"], status="working", who=standin.name)
        elif params["name"] == "task":
            body = result(told["id"], resultType="task", taskId=f"task of {standin.name}")
        elif state is None:
            body = result(
                told["id"], resultType="input_required", requestState=f"é\u2028 {standin.name}"
            )
        else:
            assert state == f"é\u2028 {standin.name}"
            body = result(told["id"], resultType="complete", who=standin.name)
        if stream:
            exchange.start(200, (SSE,))
            await exchange.write(b": first\r\n\r\n")
            await exchange.write(b"event: message\r\ndata: %b\r\n\r\n" % body)
            exchange.finish()
        else:
            exchange.respond(200, (JSON,), body)

    standin.behaviour = behaviour


def told(said: Any) -> Any:
    """The result, of JSON or of a stream's last event."""
    text = said.body.strip().rsplit(b"data: ")[-1]
    return json.loads(text)["result"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_state_returns_to_the_instance_that_gave_it(world: Any, run: Any, stream: bool) -> None:
    async def story() -> None:
        async with world({"notes": 3}) as w:
            for standin in w.standins["notes"]:
                puzzling(standin, stream)
            states = [told(await ask(w, "tools/call", name="x"))["requestState"] for _ in range(6)]
            assert not any("notes" in state for state in states)
            done = [told(await ask(w, "tools/call", name="x", requestState=s)) for s in states]
            assert {each["who"] for each in done} == {"notes-0", "notes-1", "notes-2"}

    run(story())


def test_a_task_is_asked_for_where_it_runs_by_its_own_name(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 3}) as w:
            for standin in w.standins["notes"]:
                puzzling(standin)
            tasks = [told(await ask(w, "tools/call", name="task"))["taskId"] for _ in range(3)]
            for task in tasks:
                for _ in range(2):
                    status = told(await ask(w, "tasks/get", taskId=task))
                    assert status["taskId"] == task

    run(story())


def test_when_the_instance_is_gone_the_client_hears_so_and_nobody_else_is_asked(
    world: Any, run: Any
) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            for standin in w.standins["notes"]:
                puzzling(standin)
            state = told(await ask(w, "tools/call", name="x"))["requestState"]
            (owner,) = [standin for standin in w.standins["notes"] if standin.seen]
            w.table(**{owner.name: {"uid": "another", "address": "http://127.0.0.1:1/mcp"}})
            before = [len(standin.seen) for standin in w.standins["notes"]]
            said = await ask(w, "tools/call", name="x", requestState=state)
            assert (said.status, said.json["error"]["code"]) == (400, -32602)
            assert said.reason == "invalid_request_state"
            assert [len(standin.seen) for standin in w.standins["notes"]] == before

    run(story())


def test_an_instance_that_only_other_gateways_reach_is_not_gone(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 1}) as w:
            puzzling(w.standins["notes"][0])
            state = told(await ask(w, "tools/call", name="x"))["requestState"]
            w.gateway.seen = from_elsewhere
            w.table()
            said = await ask(w, "tools/call", name="x", requestState=state)
            assert (said.status, said.reason) == (503, "NotRoutableHere")

    run(story())


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "x", "requestState": "forged"},
        {"name": "x", "requestState": "STATE", "arguments": {"other": 1}},
        {"name": "y", "requestState": "STATE"},
    ],
)
def test_a_state_of_another_request_is_refused_with_one_instance_too(
    world: Any, run: Any, changed: dict[str, Any]
) -> None:
    async def story() -> None:
        async with world({"notes": 1}) as w:
            puzzling(w.standins["notes"][0])
            state = told(await ask(w, "tools/call", name="x"))["requestState"]
            if changed["requestState"] == "STATE":
                changed["requestState"] = state
            said = await ask(w, "tools/call", **changed)
            assert (said.status, said.reason) == (400, "invalid_request_state")
            assert len(w.standins["notes"][0].seen) == 1

    run(story())


def test_a_state_that_is_named_twice_is_refused(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 1}) as w:
            puzzling(w.standins["notes"][0])
            state = told(await ask(w, "tools/call", name="x"))["requestState"]
            body, headers = asked("tools/call", name="x", requestState=state)
            twice = body.replace(b'"params":{', b'"params":{"requestState":"x",')
            said = await w.ask(twice, **headers)
            assert said.reason == "invalid_request_state"

    run(story())


def test_a_long_answer_passes_as_it_is(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 1}) as w:
            long = "x" * (2 << 20)

            async def behaviour(exchange: Any) -> None:
                told = json.loads(exchange.request.body)
                exchange.respond(200, (JSON,), result(told["id"], text=long))

            w.standins["notes"][0].behaviour = behaviour
            assert told(await ask(w, "tools/call", name="x")) == {"text": long}

    run(story())


def test_a_list_whose_instance_cuts_the_connection_is_asked_of_another_one_once(
    world: Any, run: Any
) -> None:
    async def story() -> None:
        async with world({"notes": 3}) as w:

            async def behaviour(exchange: Any) -> None:
                exchange.abort()

            for standin in w.standins["notes"]:
                standin.behaviour = behaviour
            said = await ask(w, "tools/list")
            assert said.reason == "UpstreamReset"
            assert sum(len(standin.seen) for standin in w.standins["notes"]) == 2
            said = await ask(w, "tools/call", name="x")
            assert said.reason == "UpstreamReset"
            assert sum(len(standin.seen) for standin in w.standins["notes"]) == 3

    run(story())


@pytest.mark.parametrize(
    ("safe", "asked_of"), [([["x"], ["x"]], 2), ([["x"], []], 1), ([[], []], 1)]
)
def test_a_call_that_is_cut_goes_to_another_instance_if_both_say_that_it_may(
    world: Any, run: Any, safe: list[list[str]], asked_of: int
) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:

            async def behaviour(exchange: Any) -> None:
                exchange.abort()

            for standin in w.standins["notes"]:
                standin.behaviour = behaviour
            w.table(**{f"notes-{n}": {"safeTools": list(each)} for n, each in enumerate(safe)})
            for _ in range(2):  # each is the first one once
                for standin in w.standins["notes"]:
                    standin.seen.clear()
                said = await ask(w, "tools/call", name="x")
                assert said.reason == "UpstreamReset"
                assert sum(len(standin.seen) for standin in w.standins["notes"]) == asked_of

    run(story())


def test_a_client_that_leaves_ends_its_call_upstream(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 1}) as w:
            (standin,) = w.standins["notes"]

            async def behaviour(exchange: Any) -> None:
                await asyncio.Event().wait()

            standin.behaviour = behaviour
            calling = asyncio.ensure_future(ask(w, "tools/call", name="x"))
            await standin.arrived.wait()
            calling.cancel()
            await standin.gone.wait()

    run(story())
