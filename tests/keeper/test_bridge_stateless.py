"""The stateless era, and finding out whether a child speaks it."""

import asyncio
import json
from typing import Any

import pytest
from support.bridging import KEY, MODERN, Client, Events, Scene, scene


async def listening(client: Client, id: Any) -> Events:
    """A subscription that the server has acknowledged."""
    events = await client.stream("subscriptions/listen", {"notifications": {}}, id)
    first = await events.next() or {}
    assert first["method"] == "notifications/subscriptions/acknowledged"
    assert first["params"]["_meta"][KEY + "subscriptionId"] == id
    return events


async def eras(stage: Scene) -> tuple[bool, bool]:
    """Whether sessions and the stateless era are served."""
    discovered = await stage.client("stateless").request("server/discover")
    initialized = await stage.client().initialize()
    return "result" in initialized.last, "result" in discovered.last


@pytest.mark.parametrize("isolation", ["shared", "session"])
@pytest.mark.parametrize(
    ("words", "sessions", "stateless"),
    [
        ("session", True, False),
        ("stateless", False, True),
        ("locking", True, True),
        ("dual", True, True),
        ("fatal", True, False),
    ],
)
def test_either_era_is_served_whichever_comes_first(
    run: Any, words: str, isolation: str, sessions: bool, stateless: bool
) -> None:
    async def story() -> None:
        for initialize_first in (False, True):
            async with scene(words, isolation=isolation) as stage:
                if initialize_first:
                    await stage.client().initialize()
                assert await eras(stage) == (sessions, stateless)
                assert await eras(stage) == (sessions, stateless)
                assert not stage.bridge.exited.done()

    run(story())


def test_a_refusal_is_remembered(run: Any) -> None:
    async def story() -> None:
        async with scene("session") as stage:
            client = stage.client("stateless")
            for method, id in (("server/discover", "probe"), ("tools/list", 0)):
                answered = await client.request(method, id=id)
                assert answered.status == 404
                assert answered.last["id"] == id
                assert answered.last["error"]["code"] == -32601
            assert len(stage.children) == 1
            await stage.session()
            assert len(stage.children) == 1

    run(story())


def test_the_sibling_that_was_asked_in_vain_is_ended(run: Any) -> None:
    async def story() -> None:
        async with scene("session") as stage:
            client = await stage.session()
            assert (await stage.client("stateless").request("tools/list")).status == 404
            await stage.until(lambda: stage.bridge.children == 1)
            assert (await client.call("echo", text="on")).text == "on"
            assert not stage.bridge.exited.done()

    run(story())


def test_a_child_that_locks_its_era_gets_a_sibling(run: Any) -> None:
    async def story() -> None:
        async with scene("locking") as stage:
            modern = stage.client("stateless")
            assert (await modern.call("echo", text="new")).text == "new"
            assert stage.bridge.children == 1
            client = await stage.session()
            assert (await client.call("echo", text="old")).text == "old"
            assert [c.toy.era for c in stage.children] == ["stateless", "session"]

    run(story())


def test_silence_is_no_verdict(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mooring.keeper.stateless.PROBE", 0.05)

    async def story() -> None:
        async with scene("silent") as stage:
            answered = await stage.client("stateless").request("server/discover", id=5)
            assert answered.status == 504
            assert answered.last["id"] == 5
            assert answered.last["error"]["data"] == {"reason": "ChildSilent"}
            client = await stage.session()
            assert (await client.call("echo", text="on")).text == "on"
            assert len(stage.children) == 1

    run(story())


def test_the_era_may_be_declared(run: Any) -> None:
    async def story() -> None:
        async with scene("dual", eras="session") as stage:
            assert await eras(stage) == (True, False)
            assert (await stage.client("stateless").request("tools/list")).status == 404
            assert len(stage.children) == 1
        async with scene("dual", eras="stateless") as stage:
            assert await eras(stage) == (False, True)
            refused = await stage.client().initialize()
            assert refused.status == 400
            assert refused.last["error"]["code"] == -32022
            assert refused.last["error"]["data"] == {"supported": [MODERN]}
            assert (await stage.client().ask("GET")).status == 405

    run(story())


def test_clients_with_the_same_ids_get_their_own_answers(run: Any) -> None:
    async def story() -> None:
        async with scene("dual") as stage:
            clients = [stage.client("stateless") for _ in range(10)]
            calls = [client.call("echo", id=0, text=str(n)) for n, client in enumerate(clients)]
            answers = await asyncio.gather(*calls)
            assert [a.text for a in answers] == [str(n) for n in range(10)]
            assert {a.last["id"] for a in answers} == {0}

    run(story())


@pytest.mark.parametrize(
    ("tool", "status"), [("echo", 200), ("missing", 400), ("hold", 200), (None, 404)]
)
def test_errors_have_the_status_of_the_era(run: Any, tool: str | None, status: int) -> None:
    async def story() -> None:
        async with scene("dual") as stage:
            client = stage.client("stateless")
            if tool is None:
                answered = await client.request("no/such/method")
            elif tool == "hold":
                async with asyncio.TaskGroup() as tasks:
                    call = tasks.create_task(client.call("hold", key="a"))
                    await stage.until(lambda: stage.toy.held)
                    await client.call("die")
                answered = call.result()
                assert answered.last["error"]["data"] == {"reason": "ChildExited"}
            else:
                answered = await client.call(tool, text='an "error":{"code":-32601}')
            assert answered.status == status

    run(story())


def test_a_client_that_leaves_cancels_its_call_at_once(run: Any) -> None:
    async def story() -> None:
        async with scene("dual") as stage:
            client = stage.client("stateless")
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(client.call("hold", id="mine", key="a"))
                other = tasks.create_task(client.call("hold", id="mine", key="b"))
                await stage.until(lambda: len(stage.toy.held) == 2)
                call.cancel()
                await stage.until(lambda: list(stage.toy.held) == ["b"])
                await client.call("release", key="b")
                assert (await other).text == "released b"
            assert stage.toy.heard[-1]["method"] == "notifications/cancelled"

    run(story())


def test_subscriptions_are_told_apart(run: Any) -> None:
    async def story() -> None:
        async with scene("dual") as stage:
            client = stage.client("stateless")
            first, second = await listening(client, "listen:0"), await listening(client, 0)
            await client.call("notify", method="notifications/tools/list_changed")
            for events, id in ((first, "listen:0"), (second, 0)):
                note = await events.next() or {}
                assert note["method"] == "notifications/tools/list_changed"
                assert note["params"]["_meta"][KEY + "subscriptionId"] == id
            first.leave()
            await stage.until(lambda: stage.toy.heard)
            assert stage.toy.heard[-1]["params"] == {"requestId": stage.toy.listening[0]}
            second.leave()

    run(story())


def test_progress_and_log_messages_go_to_the_call_they_belong_to(run: Any) -> None:
    async def story() -> None:
        async with scene("dual") as stage:
            client = stage.client("stateless")
            answered = await client.call_with_token("progress", "t", 1, steps=1)
            assert answered.messages[0]["params"]["progressToken"] == "t"
            arguments = {"method": "notifications/message"}
            params = {"name": "notify", "arguments": arguments, "_meta": {KEY + "logLevel": "info"}}
            answered = await client.request("tools/call", params)
            assert answered.messages[0]["method"] == "notifications/message"
            answered = await client.call("notify", method="notifications/message")
            assert not answered.streamed
            assert "notifications/message" in stage.noise.lines[-1]

    run(story())


def test_what_the_era_does_not_know(run: Any) -> None:
    async def story() -> None:
        async with scene("dual") as stage:
            client = stage.client("stateless")
            assert (await client.notify("notifications/cancelled", requestId=1)).status == 202
            response = await client.post({"jsonrpc": "2.0", "id": 1, "result": {}})
            assert (response.status, response.last["error"]["code"]) == (400, -32600)
            for verb in ("GET", "DELETE"):
                refused = await client.ask(verb)
                assert (refused.status, refused.headers[b"allow"]) == (405, b"POST")
            asked = await client.call("ask", method="sampling/createMessage")
            assert "Method not found" in asked.text
            client.session = b"ignored"
            assert (await client.call("echo", text="x")).text == "x"

    run(story())


def test_a_stateless_child_beside_sessions_is_replaced(run: Any) -> None:
    async def story() -> None:
        async with scene("locking", isolation="session") as stage:
            modern = stage.client("stateless")
            assert (await modern.call("echo", text="x")).text == "x"
            client = await stage.session()
            assert (await modern.call("die")).last["error"]["data"] == {"reason": "ChildExited"}
            assert (await modern.call("echo", text="y")).text == "y"
            assert (await client.call("echo", text="z")).text == "z"

    run(story())


def test_a_subscription_that_is_not_read_is_cut(run: Any) -> None:
    async def story() -> None:
        async with scene("dual") as stage:
            client = stage.client("stateless")
            slow = await listening(client, 1)
            for _ in range(30):
                note = {"method": "notifications/tools/list_changed", "x": "x" * 1_000_000}
                assert (await client.call("notify", **note)).text == "notified"
            await stage.until(lambda: stage.toy.heard)
            assert stage.toy.heard[-1]["params"] == {"requestId": stage.toy.listening[0]}
            slow.leave()

    run(story())


def test_newlines_and_unknown_text_pass(run: Any) -> None:
    async def story() -> None:
        async with scene("dual") as stage:
            meta = json.dumps({KEY + "protocolVersion": MODERN})
            body = (
                '{"jsonrpc":"2.0",\n"method":"tools/call","params":{"name":"echo",'
                '"arguments":{"text":"\\ud83d\\n\\u0000"},\r\n"_meta":%s},"id": 1 }'
            )
            answered = await stage.client("stateless").post((body % meta).encode())
            assert answered.text == "\ud83d\n\0"

    run(story())


@pytest.mark.parametrize("words", ["dual", "locking", "stateless"])
def test_a_handshake_does_not_exist_in_this_era(run: Any, words: str) -> None:
    async def story() -> None:
        async with scene(words) as stage:
            client = stage.client("stateless")
            params = {"protocolVersion": "2025-11-25", "clientInfo": {}}
            for method in ("initialize", "unknown/method"):
                answered = await client.request(method, params, id="x")
                assert (answered.status, answered.last["id"]) == (404, "x")
                assert answered.last["error"]["code"] == -32601
            assert stage.toy.initializes == 0

    run(story())
