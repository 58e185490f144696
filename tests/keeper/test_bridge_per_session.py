"""A child for each session: everything passes in both directions, as if there were no bridge."""

import asyncio
import json
from typing import Any

import pytest
from support.bridging import Events, Scene, scene

from mooring.testing.clock import FakeClock

OWN = {"isolation": "session"}
ASK = {"name": "ask", "arguments": {"method": "roots/list"}}


async def answer(stage: Scene, client: Any, events: Events, result: Any) -> Any:
    """Answers what the server asks next on this stream."""
    question = await events.next() or {}
    reply = {"jsonrpc": "2.0", "id": question["id"], "result": result}
    assert (await client.post(reply)).status == 202
    return question


def test_each_session_has_a_child_of_its_own(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            one, other = await stage.session(), await stage.session()
            assert (stage.bridge.sessions, stage.bridge.children) == (2, 2)
            await one.call("notify", method="x")
            for client in (one, other):
                assert (await client.call("counted")).text == "1"
            await one.ask("DELETE")
            await stage.until(lambda: stage.bridge.children == 1)
            assert (await one.call("counted")).status == 404
            assert (await other.call("counted")).text == "1"

    run(story())


def test_messages_pass_as_they_are(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            client = stage.client()
            answered = await client.initialize("2099-01-01", id="first")
            assert answered.last["id"] == "first"
            assert "'name': 'test'" in answered.last["result"]["instructions"]
            raw = '{"jsonrpc":"2.0",\r\n "id":%s,"method":"tools/call","params":{"name":"id"}}'
            number = "1" * 50
            assert (await client.post((raw % number).encode())).text == number
            await client.request("logging/setLevel", {"level": "debug"})
            await client.notify("notifications/roots/list_changed")
            assert (await client.request("ping")).last["result"] == {}
            methods = [m.get("method") for m in stage.toy.heard]
            assert methods == [
                "notifications/initialized",
                "notifications/roots/list_changed",
                "ping",
            ]

    run(story())


def test_ids_and_tokens_are_the_same_however_they_are_written(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            client = await stage.session()
            raw = (
                '{"jsonrpc":"2.0","id":"é\\/","method":"tools/call","params":{"name":"%s",'
                '"arguments":%s,"_meta":{"progressToken":"ü"}}}'
            )
            told = await client.post((raw % ("progress", '{"steps":2}')).encode())
            assert [m.get("method") for m in told.messages[:2]] == ["notifications/progress"] * 2
            assert told.last["id"] == "é/"
            cancel = b'{"method":"notifications/cancelled","params":{"requestId":"\\u00e9/"}}'
            async with asyncio.TaskGroup() as tasks:
                hold = (raw % ("hold", '{"key":"k"}')).encode()
                held = tasks.create_task(client.post(hold))
                await stage.until(lambda: "k" in stage.toy.held)
                await client.post(cancel)
            assert held.result().last["error"]["code"] == -32800

    run(story())


def test_a_question_of_the_server_goes_to_the_call_it_must_belong_to(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            client = await stage.session()
            standing = await client.listen()
            events = await client.stream("tools/call", ASK, id=7)
            question = await answer(stage, client, events, {"roots": []})
            assert question["method"] == "roots/list"
            last = await events.next() or {}
            assert (last["id"], last["result"]["content"][0]["text"]) == (7, '{"roots": []}')
            standing.leave()

    run(story())


def test_a_question_among_many_calls_goes_to_the_standing_stream(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            client = await stage.session()
            standing = await client.listen()
            async with asyncio.TaskGroup() as tasks:
                held = tasks.create_task(client.call("hold", key="a"))
                await stage.until(lambda: stage.toy.held)
                asked = tasks.create_task(client.call("ask", method="roots/list"))
                await answer(stage, client, standing, "here")
                assert (await asked).text == '"here"'
                assert not asked.result().streamed
                await client.call("release", key="a")
                await held

    run(story())


def test_a_question_without_a_standing_stream_goes_to_the_latest_call(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            client = await stage.session()
            async with asyncio.TaskGroup() as tasks:
                held = tasks.create_task(client.call("hold", key="a"))
                await stage.until(lambda: stage.toy.held)
                events = await client.stream("tools/call", ASK)
                await answer(stage, client, events, "here")
                assert (await events.next() or {})["result"]
                await client.call("release", key="a")
                await held

    run(story())


@pytest.mark.parametrize("standing", [True, False])
def test_a_question_that_nobody_can_hear_waits_for_a_stream(run: Any, standing: bool) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            client = await stage.session()
            await client.call("bother", method="sampling/createMessage", question=10**30)
            events = (
                await client.listen()
                if standing
                else await client.stream("tools/call", {"name": "hold", "arguments": {"key": "a"}})
            )
            question = await events.next() or {}
            assert (question["method"], question["id"]) == ("sampling/createMessage", 10**30)
            events.leave()

    run(story())


def test_what_waits_for_a_stream_is_bounded(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            client = await stage.session()
            await client.call("bother", method="sampling/createMessage", question="lost")
            note = stage.toy.dump({"jsonrpc": "2.0", "method": "m"})
            stage.children[0].write("\n".join([note] * 300))
            await stage.until(lambda: any(m.get("id") == "lost" for m in stage.toy.heard))
            assert stage.toy.heard[-1]["error"]["message"] == "the client has no stream open"
            assert any("sampling/createMessage" in line for line in stage.noise.lines)
            events = await client.listen()
            for _ in range(256):
                assert (await events.next() or {})["method"] == "m"
            events.leave()

    run(story())


def test_changes_go_to_the_standing_stream_and_progress_to_its_call(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            client = await stage.session()
            standing = await client.listen()
            answered = await client.call("notify", method="notifications/tools/list_changed")
            assert not answered.streamed
            assert (await standing.next() or {})["method"] == "notifications/tools/list_changed"
            answered = await client.call_with_token("progress", "tok", 4, steps=2)
            assert [m.get("method") for m in answered.messages] == [
                "notifications/progress",
                "notifications/progress",
                None,
            ]
            answered = await client.call("notify", method="notifications/message")
            assert answered.messages[0]["method"] == "notifications/message"
            standing.leave()

    run(story())


def test_progress_of_a_call_that_is_over_is_dropped(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            client = await stage.session()
            note = {"method": "notifications/progress", "params": {"progressToken": 1}}
            await client.call("say", line=json.dumps({"jsonrpc": "2.0"} | note))
            events = await client.listen()
            await client.call("notify", method="notifications/tools/list_changed")
            assert (await events.next() or {})["method"] == "notifications/tools/list_changed"
            events.leave()

    run(story())


def test_a_cancellation_passes_and_ends_the_call(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            client = await stage.session()
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(client.call("hold", id="c", key="stubborn"))
                await stage.until(lambda: stage.toy.held)
                await client.notify("notifications/cancelled", requestId="c")
                assert (await call).last["error"]["code"] == -32800
            assert stage.toy.heard[-1]["params"]["requestId"] == "c"
            assert (await client.call("release", key="stubborn")).text == "True"

    run(story())


def test_an_id_that_is_in_use_is_refused(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            client = await stage.session()
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(client.call("hold", id=1, key="a"))
                await stage.until(lambda: stage.toy.held)
                assert (await client.call("echo", id=1, text="x")).status == 400
                await client.call("release", key="a")
                assert (await call).text == "released a"

    run(story())


def test_the_first_child_is_ready_before_anybody_comes(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            assert stage.bridge.children == 1
            await stage.session()
            assert stage.bridge.children == 1

    run(story())


def test_spares_are_kept_ready(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN, spares=2) as stage:
            assert stage.bridge.children == 2
            await stage.session()
            await stage.until(lambda: stage.bridge.children == 3)

    run(story())


def test_there_is_a_limit_to_children(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN, max_children=2) as stage:
            clients = [await stage.session() for _ in range(2)]
            refused = await stage.client().initialize(id=3)
            assert refused.status == 503
            assert refused.last["id"] == 3
            assert refused.last["error"]["data"] == {"reason": "TooManyChildren"}
            assert "all 2 processes" in refused.last["error"]["message"]
            await clients[0].ask("DELETE")
            assert (await stage.client().initialize()).status == 200

    run(story())


def test_the_child_of_the_other_era_does_not_count(run: Any) -> None:
    async def story() -> None:
        async with scene("locking", **OWN, max_children=1) as stage:
            modern = stage.client("stateless")
            assert (await modern.call("echo", text="x")).text == "x"
            assert (await (await stage.session()).call("echo", text="y")).text == "y"
            assert (await stage.client().initialize()).status == 503
        async with scene("locking", **OWN, max_children=1) as stage:
            await stage.session()
            assert (await stage.client("stateless").call("echo", text="x")).text == "x"

    run(story())


def test_idle_sessions_end_and_busy_ones_do_not(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        async with scene(**OWN, idle_seconds=60, clock=clock) as stage:
            idle, listening, calling = [await stage.session() for _ in range(3)]
            standing = await listening.listen()
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(calling.call("hold", key="a"))
                await stage.until(lambda: stage.children[2].toy.held)
                await clock.advance(70)
                await stage.until(lambda: stage.bridge.children == 2)
                assert (await idle.call("counted")).status == 404
                await calling.call("release", key="a")
                assert (await call).text == "released a"
            assert (await listening.call("counted")).text == "1"
            standing.leave()

    run(story())


def test_a_server_that_refuses_a_client_leaves_no_session(run: Any) -> None:
    async def story() -> None:
        async with scene("stateless", **OWN) as stage:
            answered = await stage.client().initialize()
            assert answered.last["error"]["code"] == -32022
            assert b"mcp-session-id" not in answered.headers
            assert stage.bridge.sessions == 0

    run(story())


def test_a_client_that_leaves_before_it_knows_its_session_takes_it_along(run: Any) -> None:
    async def story() -> None:
        async with scene("silent", "stateless", **OWN) as stage:
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(stage.client().initialize())
                await stage.until(lambda: stage.bridge.sessions)
                call.cancel()
            await stage.until(lambda: not stage.bridge.sessions)
            await stage.until(lambda: not stage.bridge.children)

    run(story())


def test_a_child_that_dies_takes_only_its_session_along(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            one, other = await stage.session(), await stage.session()
            events = await one.listen()
            answered = await one.call("die", code=9)
            assert answered.last["error"]["data"] == {"reason": "ChildExited"}
            message = answered.last["error"]["message"]
            assert "code 9" in message
            assert message.endswith("; whether the request ran is unknown")
            assert await events.next() is None
            assert (await one.call("counted")).status == 404
            assert (await other.call("counted")).text == "1"
            assert not stage.bridge.exited.done()
            await other.call("die", code=8)
            assert (await stage.bridge.exited).code == 8

    run(story())


def test_a_first_child_that_dies_unused_ends_the_slot(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            stage.children[0].end(127)
            assert (await stage.bridge.exited).code == 127

    run(story())


def test_a_session_that_is_ended_by_us_does_not_end_the_slot(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            client = await stage.session()
            await client.ask("DELETE")
            await stage.until(lambda: stage.bridge.children == 0)
            assert not stage.bridge.exited.done()
            assert (await (await stage.session()).call("counted")).text == "1"

    run(story())


def test_a_slow_reader_slows_only_its_own_child(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            slow, other = await stage.session(), await stage.session()
            meta = {"progressToken": 1}
            arguments = {"steps": 400, "size": 50_000}
            params = {"name": "progress", "arguments": arguments, "_meta": meta}
            events = await slow.stream("tools/call", params)
            assert (await other.call("echo", text="meanwhile")).text == "meanwhile"
            count = 0
            while await events.next() is not None:
                count += 1
            assert count == 401

    run(story())


def prober(stage: Scene) -> Any:
    client = stage.client()
    client.headers[b"mooring-probe"] = b"1"
    return client


def test_the_daemons_own_session_has_the_first_child_and_takes_nobodys_place(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN, max_children=1) as stage:
            ours = prober(stage)
            assert (await ours.initialize()).status == 200
            assert stage.bridge.children == 1
            await stage.session()
            assert stage.bridge.children == 2
            assert (await stage.client().initialize()).status == 503
            assert (await ours.call("counted")).text == "1"

    run(story())


def test_the_next_daemon_is_given_the_session_of_the_one_before(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            former, ours = prober(stage), prober(stage)
            first = await former.initialize(id="a")
            second = await ours.initialize(id="b")
            assert second.status == 200
            assert (first.last["id"], second.last["id"]) == ("a", "b")
            assert first.last["result"] == second.last["result"]
            assert ours.session == former.session
            assert (stage.bridge.sessions, len(stage.children)) == (1, 1)
            assert stage.toy.initializes == 1
            told = [message.get("method") for message in stage.toy.heard]
            assert told == ["notifications/initialized"]
            await ours.ask("DELETE")
            await stage.until(lambda: stage.bridge.children == 0)
            assert (await prober(stage).initialize()).status == 200

    run(story())


def test_a_child_that_refuses_the_daemon_is_quoted(run: Any) -> None:
    async def story() -> None:
        async with scene("stateless", **OWN) as stage:
            refused = await prober(stage).initialize(id=7)
            assert refused.last["id"] == 7
            assert "error" in refused.last
            assert stage.bridge.sessions == 0

    run(story())


def test_the_daemons_own_session_is_never_idle(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        async with scene(**OWN, idle_seconds=60, clock=clock) as stage:
            ours = prober(stage)
            await ours.initialize()
            idle = await stage.session()
            await clock.advance(70)
            await stage.until(lambda: stage.bridge.children == 1)
            assert (await idle.call("counted")).status == 404
            assert (await ours.call("counted")).text == "1"

    run(story())


def test_the_daemons_own_child_may_end_and_is_replaced_while_others_live(run: Any) -> None:
    async def story() -> None:
        async with scene(**OWN) as stage:
            ours = prober(stage)
            await ours.initialize()
            other = await stage.session()
            stage.children[0].end(3)
            await stage.until(lambda: stage.bridge.children == 1)
            assert (await ours.call("counted")).status == 404
            assert (await prober(stage).initialize()).status == 200
            assert (await other.call("counted")).text == "1"

    run(story())
