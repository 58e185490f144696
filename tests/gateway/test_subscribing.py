"""One listener hears all instances, later ones too, and learns what it may have missed."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.fronting import HEADERS, eventually
from support.standin import JSON, SSE, Standin, failure, message

from mooring.transports.sse import EventSplitter

META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
ID = "io.modelcontextprotocol/subscriptionId"
MODERN = ((b"mcp-protocol-version", b"2026-07-28"), (b"mcp-method", b"subscriptions/listen"))


def note(method: str, **params: Any) -> bytes:
    told = message(f"notifications/{method}", _meta={ID: "l"}, **params)
    return b"event: message\r\ndata: %b\r\n\r\n" % told


class Speaker:
    """What an instance says to its listeners."""

    def __init__(self, standin: Standin, honours: dict[str, Any] | None = None) -> None:
        self.standin = standin
        self.says: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.honours = honours
        self.asked: list[Any] = []
        self.listeners = 0
        standin.behaviour = self.behaviour

    async def behaviour(self, exchange: Any) -> None:
        told = json.loads(exchange.request.body)
        wanted = told["params"]["notifications"]
        self.asked.append(wanted)
        exchange.start(200, (SSE,))
        honoured = wanted if self.honours is None else self.honours
        self.listeners += 1
        await exchange.write(note("subscriptions/acknowledged", notifications=honoured))
        while True:
            said = await self.says.get()
            if said is None:
                self.listeners -= 1
                exchange.abort()
                return
            await exchange.write(said)


class Listener:
    """A client's stream."""

    def __init__(self, reply: Any) -> None:
        self.reply = reply
        self._chunks = reply.chunks()
        self._splitter = EventSplitter()
        self._events: list[Any] = []

    async def next(self) -> Any:
        async with asyncio.timeout(20):
            while not self._events:
                self._events += self._splitter.feed(await anext(self._chunks))
        return json.loads(self._events.pop(0).data)

    async def method(self) -> str:
        return str((await self.next())["method"]).removeprefix("notifications/")

    async def end(self) -> None:
        async with asyncio.timeout(20):
            assert [chunk async for chunk in self._chunks] == []


@asynccontextmanager
async def listening(w: Any, **wanted: Any) -> AsyncIterator[Listener]:
    body = message("subscriptions/listen", "l", notifications=wanted, _meta=META)
    reply = await w.pool.send(w.address, "POST", (*HEADERS, *MODERN), body, seconds=10)
    try:
        assert reply.status == 200
        yield Listener(reply)
    finally:
        reply.abort()


def test_one_listener_hears_every_instance(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 3}) as w:
            speakers = [Speaker(standin) for standin in w.standins["notes"]]
            async with listening(w, toolsListChanged=True) as listener:
                first = await listener.next()
                assert first["params"]["notifications"] == {"toolsListChanged": True}
                for number, speaker in enumerate(speakers):
                    speaker.says.put_nowait(note("tools/list_changed", of=number))
                    said = await listener.next()
                    assert (said["params"]["of"], said["params"]["_meta"][ID]) == (number, "l")
            for standin in w.standins["notes"]:
                await standin.gone.wait()

    run(story())


def test_what_instances_agree_to_is_put_together(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            one, two = w.standins["notes"]
            Speaker(one, {"toolsListChanged": True})
            Speaker(two, {"promptsListChanged": True})
            async with listening(w, toolsListChanged=True, promptsListChanged=True) as listener:
                agreed = (await listener.next())["params"]["notifications"]
                assert agreed == {"toolsListChanged": True, "promptsListChanged": True}

    run(story())


def test_an_instance_that_comes_later_is_asked_too_and_the_client_looks_again(
    world: Any, run: Any
) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            one, two = (Speaker(standin) for standin in w.standins["notes"])
            w.table(**{"notes-1": {"state": "Starting", "address": ""}})
            async with listening(w, toolsListChanged=True) as listener:
                assert await listener.method() == "subscriptions/acknowledged"
                assert two.asked == []
                w.table()
                assert await listener.method() == "tools/list_changed"
                two.says.put_nowait(note("tools/list_changed", of=2))
                assert (await listener.next())["params"]["of"] == 2
                assert one.asked == two.asked

    run(story())


def test_an_instance_that_leaves_is_let_go_and_the_stream_goes_on(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            one, two = (Speaker(standin) for standin in w.standins["notes"])
            async with listening(w, toolsListChanged=True) as listener:
                await listener.next()
                w.table(**{"notes-1": {"state": "Draining"}})
                await two.standin.gone.wait()
                one.says.put_nowait(note("tools/list_changed", of=1))
                assert (await listener.next())["params"]["of"] == 1

    run(story())


def test_a_lost_instance_is_listened_to_again_and_the_client_looks_again(
    world: Any, run: Any
) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            one, two = (Speaker(standin) for standin in w.standins["notes"])
            async with listening(w, resourceSubscriptions=["note://a"]) as listener:
                await listener.next()
                two.says.put_nowait(None)
                said = await listener.next()
                assert (said["method"], said["params"]["uri"]) == (
                    "notifications/resources/updated", "note://a",
                )  # fmt: skip
                one.says.put_nowait(note("tools/list_changed"))
                assert await listener.method() == "tools/list_changed"

    run(story())


def test_when_none_is_left_the_stream_ends_with_its_result(
    world: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.gateway.subscribing.LAST_SECONDS", 0.2)

    async def story() -> None:
        async with world({"notes": 1}) as w:
            Speaker(w.standins["notes"][0])
            async with listening(w, toolsListChanged=True) as listener:
                await listener.next()
                w.table(**{"notes-0": {"state": "Draining"}})
                assert (await listener.next())["result"]["resultType"] == "complete"
                await listener.end()

    run(story())


def test_an_instance_that_comes_later_and_refuses_is_not_kept_busy(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            one, two = w.standins["notes"]
            speaker = Speaker(one)

            async def behaviour(exchange: Any) -> None:
                exchange.respond(404, (JSON,), failure("l", -32601, "Method not found"))

            two.behaviour = behaviour
            w.table(**{"notes-1": {"state": "Starting", "address": ""}})
            async with listening(w, toolsListChanged=True) as listener:
                await listener.next()
                w.table()
                await two.arrived.wait()
                await eventually(lambda: w.sessions.load(two.uid).calls == 0)
                assert w.sessions.load(one.uid).calls == 1
                speaker.says.put_nowait(note("tools/list_changed"))
                assert await listener.method() == "tools/list_changed"

    run(story())


def test_a_gateway_that_closes_ends_it_with_its_result(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            for standin in w.standins["notes"]:
                Speaker(standin)
            async with listening(w, toolsListChanged=True) as listener:
                await listener.next()
                w.gateway.close_streams()
                assert (await listener.next())["id"] == "l"
                await listener.end()

    run(story())


def test_a_server_that_knows_no_subscriptions_says_so_itself(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:

            async def behaviour(exchange: Any) -> None:
                exchange.respond(404, (JSON,), failure("l", -32601, "Method not found"))

            for standin in w.standins["notes"]:
                standin.behaviour = behaviour
            body = message("subscriptions/listen", "l", notifications={}, _meta=META)
            said = await w.ask(
                body, mcp_protocol_version="2026-07-28", mcp_method="subscriptions/listen"
            )
            assert (said.status, said.body) == (404, failure("l", -32601, "Method not found"))

    run(story())


def test_each_instance_is_asked_for_its_own_tasks(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world({"notes": 2}) as w:
            one, two = (Speaker(standin) for standin in w.standins["notes"])
            async with listening(w, toolsListChanged=True) as listener:
                await listener.next()
                names = {}
                for speaker in (one, two):
                    own = f"task of {speaker.standin.name}"
                    speaker.says.put_nowait(note("tasks", taskId=own))
                    names[own] = (await listener.next())["params"]["taskId"]
            assert not set(names) & set(names.values())
            await eventually(lambda: one.standin.gone.is_set())
            async with listening(w, taskIds=[*names.values(), "foreign"]) as listener:
                agreed = (await listener.next())["params"]["notifications"]
                assert sorted(agreed["taskIds"]) == sorted(names.values())
            for speaker in (one, two):
                assert speaker.asked[-1]["taskIds"] == [f"task of {speaker.standin.name}"]

    run(story())
