"""Many sessions on one child: everyone gets their own answers and nobody else's."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.bridging import Client, Events, scene

from mooring.errors import Unavailable
from mooring.testing.clock import FakeClock

RAW_IDS = ["0", '""', "1" * 50, "-7", '"a b"', '"\\u00e9\\""', '"1"']


def hold(key: str) -> dict[str, Any]:
    return {"name": "hold", "arguments": {"key": key}}


async def let_go(client: Client, call: "asyncio.Task[Any]", key: str) -> Any:
    """Has the child answer a held call."""
    assert (await client.call("release", key=key)).text == "True"
    return await call


def test_a_session_is_opened_used_and_ended(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            assert (await client.call("echo", text="hi")).text == "hi"
            assert stage.bridge.sessions == 1
            assert (await client.ask("DELETE")).status == 200
            assert stage.bridge.sessions == 0
            assert (await client.call("echo", text="hi")).status == 404

    run(story())


def test_clients_with_the_same_ids_get_their_own_answers(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            clients = [await stage.session() for _ in range(10)]
            calls = [client.call("echo", id=1, text=f"of {n}") for n, client in enumerate(clients)]
            answers = await asyncio.gather(*calls)
            assert [a.text for a in answers] == [f"of {n}" for n in range(10)]
            assert {a.last["id"] for a in answers} == {1}
            assert stage.toy.initializes == 1

    run(story())


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    calls=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(RAW_IDS)), max_size=8, unique=True),
    order=st.randoms(),
)
def test_whatever_the_ids_and_the_order_of_answers(
    run: Any, calls: list[tuple[int, str]], order: Any
) -> None:
    async def story() -> None:
        async with scene() as stage:
            clients = [await stage.session() for _ in range(3)]
            keys = [f"{n} {raw}" for n, raw in calls]
            async with asyncio.TaskGroup() as tasks:
                asked = [
                    tasks.create_task(
                        clients[n].post(
                            b'{"jsonrpc":"2.0","id":%b,"method":"tools/call","params":%b}'
                            % (raw.encode(), json.dumps(hold(f"{n} {raw}")).encode())
                        )
                    )
                    for n, raw in calls
                ]
                await stage.until(lambda: len(stage.toy.held) == len(calls))
                for key in order.sample(keys, len(keys)):
                    await clients[0].call("release", key=key)
            for (n, raw), task in zip(calls, asked, strict=True):
                assert task.result().text == f"released {n} {raw}"
                assert f'"id":{raw},' in task.result().raw.decode()

    run(story())


@pytest.mark.parametrize("raw", RAW_IDS)
@pytest.mark.parametrize("words", ["", "tail"])
def test_the_raw_id_comes_back(run: Any, raw: str, words: str) -> None:
    async def story() -> None:
        async with scene(words) as stage:
            client = await stage.session()
            body = f'{{ "id" : {raw} ,\n"method":"tools/list", "jsonrpc":"2.0"}}'
            answered = await client.post(body.encode())
            assert f'"id":{raw}' in answered.raw.decode()
            assert answered.last["result"]["tools"]

    run(story())


@pytest.mark.parametrize("token", [0, "", 10**50, "t"])
def test_progress_goes_to_its_caller(run: Any, token: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            one, other = await stage.session(), await stage.session()
            async with asyncio.TaskGroup() as tasks:
                first = tasks.create_task(one.call_with_token("hold", token, 1, key="a"))
                second = tasks.create_task(other.call_with_token("hold", token, 1, key="b"))
                await stage.until(lambda: len(stage.toy.held) == 2)
                await other.call("step", key="a")
                await other.call("release", key="a")
                await other.call("release", key="b")
            assert [m.get("method") for m in first.result().messages] == [
                "notifications/progress",
                None,
            ]
            assert first.result().messages[0]["params"]["progressToken"] == token
            assert first.result().streamed
            assert not second.result().streamed

    run(story())


def test_a_cancellation_reaches_the_right_call(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            one, other = await stage.session(), await stage.session()
            async with asyncio.TaskGroup() as tasks:
                first = tasks.create_task(one.call("hold", id=1, key="a"))
                second = tasks.create_task(other.call("hold", id=1, key="b"))
                await stage.until(lambda: len(stage.toy.held) == 2)
                answered = await one.notify("notifications/cancelled", requestId=1, reason="bored")
                assert answered.status == 202
                assert (await first).last["error"]["code"] == -32800
                await stage.until(lambda: list(stage.toy.held) == ["b"])
                assert (await let_go(one, second, "b")).text == "released b"
            assert stage.toy.heard[-1]["params"]["reason"] == "bored"

    run(story())


def test_a_cancellation_of_nothing_reaches_nobody(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            one, other = await stage.session(), await stage.session()
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(one.call("hold", id=1, key="a"))
                await stage.until(lambda: stage.toy.held)
                assert (await other.notify("notifications/cancelled", requestId=1)).status == 202
                assert (await other.call("held")).text == '["a"]'
                await let_go(other, call, "a")

    run(story())


def test_a_late_reply_to_a_cancelled_call_is_dropped(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(client.call("hold", id=1, key="stubborn"))
                await stage.until(lambda: stage.toy.held)
                await client.notify("notifications/cancelled", requestId=1)
                assert (await call).last["error"]["code"] == -32800
            assert (await client.call("release", id=1, key="stubborn")).text == "True"

    run(story())


def test_a_client_that_leaves_cancels_nothing(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(client.request("tools/call", hold("a"), 5))
                await stage.until(lambda: stage.toy.held)
                call.cancel()
            other = await stage.session()
            assert (await other.call("held")).text == '["a"]'
            await client.notify("notifications/cancelled", requestId=5)
            await stage.until(lambda: not stage.toy.held)

    run(story())


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("2025-06-18", "2025-06-18"),
        ("2024-11-05", "2024-11-05"),
        ("2099-01-01", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("rubbish", "2025-11-25"),
    ],
)
def test_each_session_negotiates_its_version(run: Any, asked: str, given: str) -> None:
    async def story() -> None:
        async with scene() as stage:
            await stage.session()
            answered = await stage.client().initialize(asked, id="mine")
            assert answered.last["id"] == "mine"
            assert answered.last["result"]["protocolVersion"] == given
            assert answered.last["result"]["serverInfo"] == {"name": "toy", "version": "1"}
            assert b'"n":1' + b"0" * 30 in answered.raw

    run(story())


def test_the_child_meets_one_client_that_can_do_nothing(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            await stage.session()
            assert (await client.initialize(id=9)).last["id"] == 9
            assert (await client.call("counted")).text == "1"
            methods = [m.get("method") for m in stage.toy.heard]
            assert methods.count("notifications/initialized") == 1

    run(story())


def test_ping_and_log_level_are_answered_without_the_child(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            for method in ("ping", "logging/setLevel"):
                answered = await client.request(method, {"level": "debug"}, "")
                assert answered.last == {"jsonrpc": "2.0", "id": "", "result": {}}
            assert [m["method"] for m in stage.toy.heard] == ["notifications/initialized"]

    run(story())


@pytest.mark.parametrize(
    ("method", "words"), [("sampling/createMessage", "Method not found"), ("ping", "{}")]
)
def test_requests_of_the_child_are_refused(run: Any, method: str, words: str) -> None:
    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            assert words in (await client.call("ask", method=method)).text

    run(story())


def test_log_messages_of_the_child_go_to_the_log(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            answered = await client.call("notify", method="notifications/message")
            assert not answered.streamed
            assert "notifications/message" in stage.noise.lines[-1]

    run(story())


def test_changes_are_told_to_every_session(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            clients = [await stage.session() for _ in range(3)]
            streams = [await client.listen() for client in clients[:2]]
            await clients[2].call("notify", method="notifications/tools/list_changed")
            for events in streams:
                assert (await events.next() or {})["method"] == "notifications/tools/list_changed"

    run(story())


async def update(client: Client, uri: str) -> None:
    params = {"name": "notify", "arguments": {"method": "notifications/resources/updated"}}
    params["arguments"]["uri"] = uri  # type: ignore[index]  # a dict in a dict
    await client.request("tools/call", params)


async def updates(events: Events) -> str:
    return str((await events.next() or {})["params"]["uri"])


def test_updates_are_told_to_those_who_subscribed(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            one, other = await stage.session(), await stage.session()
            first, second = await one.listen(), await other.listen()
            await one.request("resources/subscribe", {"uri": "note://a"})
            await other.request("resources/subscribe", {"uri": "note://b"})
            await update(one, "note://a")
            await update(one, "note://b")
            await update(one, "note://b/part")
            assert [await updates(first), await updates(first)] == ["note://a", "note://b/part"]
            assert await updates(second) == "note://b"

    run(story())


def test_one_session_does_not_end_the_subscription_of_another(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            one, other = await stage.session(), await stage.session()
            for client in (one, other):
                await client.request("resources/subscribe", {"uri": "note://a"})
            assert (await one.request("resources/unsubscribe", {"uri": "note://a"})).last[
                "result"
            ] == {}
            methods = [m.get("method") for m in stage.toy.heard]
            assert "resources/unsubscribe" not in methods
            await other.ask("DELETE")
            await stage.until(lambda: stage.toy.heard[-1]["method"] == "resources/unsubscribe")

    run(story())


def test_other_notifications_pass_and_those_of_a_handshake_do_not(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            await client.notify("notifications/initialized")
            await client.notify("notifications/roots/list_changed")
            await client.notify("notifications/custom", big=10**40)
            assert (await client.post({"jsonrpc": "2.0", "id": 1, "result": {}})).status == 202
            heard = json.loads((await client.call("heard")).text)
            assert [m["method"] for m in heard[1:]] == ["notifications/custom"]
            assert heard[1]["params"]["big"] == 10**40

    run(story())


def test_the_end_of_a_session_cancels_its_own_calls(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            one, other = await stage.session(), await stage.session()
            async with asyncio.TaskGroup() as tasks:
                first = tasks.create_task(one.call("hold", key="a"))
                second = tasks.create_task(other.call("hold", key="b"))
                await stage.until(lambda: len(stage.toy.held) == 2)
                await one.ask("DELETE")
                assert (await first).last["error"]["code"] == -32800
                await stage.until(lambda: list(stage.toy.held) == ["b"])
                await let_go(other, second, "b")

    run(story())


def test_a_child_that_takes_nothing_any_more_is_given_no_session(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.keeper.link.LAST_WORDS", 0.5)
    monkeypatch.setattr("mooring.keeper.link.MUTE", 0.1)

    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            stage.children[0].close_stdin()
            async with asyncio.timeout(5):
                while (await client.call("echo", text="x")).status == 200:
                    pass
            assert not stage.bridge.exited.done()
            assert (await stage.client().initialize()).status == 503

    run(story())


def test_the_end_of_the_child_is_told_to_everyone(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            one, other = await stage.session(), await stage.session()
            events = await other.listen()
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(one.call("hold", key="a"))
                await stage.until(lambda: stage.toy.held)
                stage.children[0].end(3, words="no such table")
                async with asyncio.timeout(1):
                    error = (await call).last["error"]
            assert call.result().status == 200
            assert error["data"] == {"reason": "ChildExited"}
            assert "exited with code 3: no such table" in error["message"]
            assert error["message"].endswith("; whether the request ran is unknown")
            assert await events.next() is None
            assert (await one.call("echo", text="x")).status == 404
            assert (await stage.bridge.exited).code == 3
            assert (await stage.client().initialize()).status == 503

    run(story())


def test_a_child_that_refuses_to_begin_is_quoted(run: Any) -> None:
    async def story() -> None:
        async with scene("stateless") as stage:
            answered = await stage.client().initialize(id="x")
            assert answered.last["id"] == "x"
            assert answered.last["error"]["code"] == -32022
            assert b"mcp-session-id" not in answered.headers

    run(story())


def test_sessions_that_nobody_uses_for_a_day_are_forgotten(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        async with scene(clock=clock) as stage:
            idle, listening = await stage.session(), await stage.session()
            events = await listening.listen()
            await clock.advance(24 * 3600 + 10)
            assert (await idle.call("counted")).status == 404
            assert (await listening.call("counted")).status == 200
            events.leave()

    run(story())


def test_a_reader_that_is_too_slow_loses_progress_but_not_the_answer(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            client, other = await stage.session(), await stage.session()
            meta = {"progressToken": 1}
            arguments = {"steps": 600, "size": 50_000}
            events = await client.stream(
                "tools/call", {"name": "progress", "arguments": arguments, "_meta": meta}
            )
            assert (await other.call("echo", text="meanwhile")).text == "meanwhile"
            received = []
            while (message := await events.next()) is not None:
                received.append(message)
            assert received[-1]["result"]["content"][0]["text"] == "done"
            assert 1 < len(received) < 601

    run(story())


def test_a_standing_stream_that_is_not_read_is_cut(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            slow, busy = await stage.session(), await stage.session()
            reply = await slow.send("GET")
            flood = {"lines": 400, "size": 50_000, "method": "notifications/tools/list_changed"}
            assert (await busy.call("flood", **flood)).text == "flooded"
            assert (await busy.call("echo", text="on")).text == "on"
            with pytest.raises(Unavailable):
                async for _ in reply.chunks():
                    pass
            events = await slow.listen()
            await busy.call("notify", method="notifications/tools/list_changed")
            assert await events.next() is not None

    run(story())


def test_there_is_one_of_the_daemons_own_sessions(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            clients = [stage.client() for _ in range(3)]
            for client in clients[:2]:
                client.headers[b"mooring-probe"] = b"1"
            for client in clients:
                assert (await client.initialize()).status == 200
            assert stage.bridge.sessions == 2
            former, ours, other = clients
            assert (await former.call("echo", text="x")).status == 404
            assert (await ours.call("echo", text="x")).text == "x"
            assert (await other.call("echo", text="x")).text == "x"

    run(story())
