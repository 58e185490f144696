"""Calls over stdio that a client comes back for after it lost the stream."""

import asyncio
import contextlib
from typing import Any

import pytest
from mcp import Client as SdkClient
from support.bridging import Answered, Client, Scene, scene

from mooring.keeper.resuming import KEPT_BYTES, KEPT_CALLS, KEPT_SECONDS, Trails
from mooring.testing.clock import FakeClock
from mooring.transports.http_reply import Reply
from mooring.transports.sse import EventSplitter, SseEvent

BOTH = pytest.mark.parametrize("isolation", ["shared", "session"])
HELD: Any = {"name": "hold", "arguments": {"key": "k"}, "_meta": {"progressToken": "t"}}


class Told:
    """A reader that notes what it is told."""

    def __init__(self) -> None:
        self.name = b""
        self.position = 0
        self.open = True
        self.ended = False
        self.messages: list[bytes] = []

    def put(self, message: bytes) -> None:
        self.messages.append(message)

    def end(self) -> None:
        self.ended = True

    def cut(self) -> None:
        self.open = False


class EventStream:
    """The events of an open stream, one after the other."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self._chunks = reply.chunks()
        self._splitter = EventSplitter()
        self._waiting: list[SseEvent] = []

    async def next(self) -> SseEvent | None:
        while not self._waiting:
            async with asyncio.timeout(10):
                chunk = await anext(self._chunks, b"")
            if not chunk:
                return None
            self._waiting += self._splitter.feed(chunk)
        return self._waiting.pop(0)

    async def id(self) -> bytes:
        event = await self.next()
        assert event is not None
        return event.id or b""

    async def rest(self) -> list[bytes]:
        """The ids of what comes until the end."""
        ids = []
        while (event := await self.next()) is not None:
            ids.append(event.id or b"")
        return ids


async def able(stage: Scene) -> Client:
    """A client in a session of a version whose calls can be come back for."""
    client = await stage.session()
    client.headers |= {b"mcp-protocol-version": b"2025-11-25", b"accept": ACCEPT}
    return client


ACCEPT = b"text/event-stream, application/json"


async def begun(stage: Scene, client: Client) -> EventStream:
    """A call that is held, and its stream."""
    events = EventStream(await client.send("POST", _body(client)))
    await stage.until(lambda: stage.toy.held)
    return events


def _body(client: Client) -> bytes:
    return str(client.message("tools/call", HELD, 7)).replace("'", '"').encode()


async def back(client: Client, last: bytes) -> EventStream:
    client.headers[b"last-event-id"] = last
    try:
        reply = await client.send("GET")
    finally:
        del client.headers[b"last-event-id"]
    assert reply.status == 200
    return EventStream(reply)


async def refused(client: Client, last: bytes) -> Answered:
    client.headers[b"last-event-id"] = last
    try:
        return await client.ask("GET")
    finally:
        del client.headers[b"last-event-id"]


@BOTH
def test_a_lost_stream_is_gone_on_with(run: Any, isolation: str) -> None:
    async def story() -> None:
        async with scene(isolation=isolation) as stage:
            client = await able(stage)
            events = await begun(stage, client)
            first = await events.next()
            assert first is not None
            assert (first.id, first.data, first.retry) == (b"1-0", b"", 1000)
            await client.call("step", key="k")
            assert await events.id() == b"1-1"
            events.reply.abort()
            await client.call("step", key="k")
            await client.call("release", key="k")
            resumed = await back(client, b"1-1")
            assert await resumed.rest() == [b"1-2", b"1-3"]
            again = await back(client, b"1-0")
            assert await again.rest() == [b"1-1", b"1-2", b"1-3"]

    run(story())


@BOTH
def test_what_comes_after_the_return_comes_too(run: Any, isolation: str) -> None:
    async def story() -> None:
        async with scene(isolation=isolation) as stage:
            client = await able(stage)
            events = await begun(stage, client)
            assert await events.id() == b"1-0"
            resumed = await back(client, b"1-0")  # the bridge believes the first still there
            await client.call("step", key="k")
            assert await resumed.id() == b"1-1"
            resumed.reply.abort()
            third = await back(client, b"1-1")
            await client.call("release", key="k")
            assert await third.rest() == [b"1-2"]

    run(story())


class Cutting:
    """A way to the bridge that loses the first stream that can be come back for."""

    def __init__(self, stage: Scene) -> None:
        self._stage = stage
        self._relays: set[asyncio.Task[Any]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.cuts = 0

    async def __aenter__(self) -> "Cutting":
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}{self._stage.address.path}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._relays)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        address = self._stage.address
        theirs, ours = await asyncio.open_connection(address.host, address.port)
        self._writers += (ours, writer)
        await asyncio.gather(self._pump(reader, ours), self._pump(theirs, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(1 << 16):
                writer.write(chunk)
                if b"retry:" in chunk and not self.cuts:
                    self.cuts += 1
                    break
        writer.close()


def test_the_official_client_comes_back_for_its_answer(run: Any) -> None:
    async def story() -> None:
        async with (
            scene(isolation="session") as stage,
            Cutting(stage) as way,
            SdkClient(way.url, mode="legacy") as client,
            asyncio.TaskGroup() as tasks,
        ):
            heard: list[float] = []

            async def progressed(progress: float, total: float | None, _: str | None) -> None:
                heard.append(progress)

            held = tasks.create_task(
                client.call_tool("hold", {"key": "k"}, progress_callback=progressed)
            )
            await stage.until(lambda: stage.toy.held)
            child, call = stage.children[0], stage.toy.held["k"]
            token = call["params"]["_meta"]["progressToken"]
            for step in (1, 2):
                note = {"progressToken": token, "progress": step}
                message = {"method": "notifications/progress", "params": note}
                child.write(child.toy.dump({"jsonrpc": "2.0", **message}))
            await stage.until(lambda: len(heard) == 2)
            content = [{"type": "text", "text": "late"}]
            answer = {"jsonrpc": "2.0", "id": call["id"], "result": {"content": content}}
            child.write(child.toy.dump(answer))
            assert (await held).content[0].text == "late"  # type: ignore[union-attr]
            assert way.cuts == 1

    run(story())


def test_a_question_waits_for_the_client_to_come_back(run: Any) -> None:
    async def story() -> None:
        async with scene(isolation="session") as stage:
            client = await able(stage)
            events = await begun(stage, client)
            assert await events.id() == b"1-0"
            events.reply.abort()
            stage.children[0].write('{"jsonrpc":"2.0","id":"q","method":"roots/list"}')
            resumed = await back(client, b"1-0")
            question = await resumed.next()
            assert question is not None
            assert (question.id, b"roots/list" in question.data) == (b"1-1", True)
            stage.children[0].write('{"jsonrpc":"2.0","id":"r","method":"roots/list"}')
            assert await resumed.id() == b"1-2"
            resumed.reply.abort()

    run(story())


def test_an_end_of_the_process_is_told_on_return(run: Any) -> None:
    async def story() -> None:
        async with scene(isolation="session") as stage:
            client = await able(stage)
            events = await begun(stage, client)
            assert await events.id() == b"1-0"
            resumed = await back(client, b"1-0")
            stage.children[0].end(code=3)
            last = await resumed.next()
            assert last is not None
            assert b"exited with code 3" in last.data
            assert await resumed.next() is None

    run(story())


@BOTH
def test_who_names_json_first_gets_json_for_a_lone_answer(run: Any, isolation: str) -> None:
    async def story() -> None:
        async with scene(isolation=isolation) as stage:
            client = await able(stage)
            assert (await client.call("echo", text="a")).streamed
            client.headers[b"accept"] = b"application/json, text/event-stream"
            assert not (await client.call("echo", text="a")).streamed
            client.headers |= {b"accept": ACCEPT, b"mcp-protocol-version": b"2025-06-18"}
            assert not (await client.call("echo", text="a")).streamed

    run(story())


@pytest.mark.parametrize("last", [b"", b"1-", b"2-0", b"1-x", b"-", b"1-9999999999"])
def test_what_is_not_kept_is_refused(run: Any, last: bytes) -> None:
    async def story() -> None:
        async with scene() as stage:
            client, other = await able(stage), await able(stage)
            await client.call("echo", text="a")
            assert (await refused(client, last)).status == 400
            assert (await refused(other, b"1-0")).status == 400

    run(story())


@BOTH
def test_an_ended_call_is_forgotten_after_a_while(run: Any, isolation: str) -> None:
    async def story() -> None:
        clock = FakeClock()
        async with scene(isolation=isolation, clock=clock) as stage:
            client = await able(stage)
            await client.call("echo", text="a")
            assert await (await back(client, b"1-0")).rest() == [b"1-1"]
            await clock.advance(KEPT_SECONDS + 15)
            assert (await refused(client, b"1-0")).status == 400

    run(story())


def test_a_trail_keeps_the_end_when_it_is_too_much() -> None:
    reader, second = Told(), Told()
    trail = Trails().begin(reader, [])
    for size in (1, KEPT_BYTES // 2, KEPT_BYTES // 2, KEPT_BYTES * 3):
        trail.add(b"x" * size)
    trail.follow(second, 1)
    assert (second.position, [len(m) for m in second.messages]) == (3, [KEPT_BYTES * 3])
    assert not reader.open


def test_ended_calls_make_room_for_new_ones() -> None:
    trails = Trails()
    for _ in range(KEPT_CALLS + 2):
        trails.begin(Told(), [b"answer"]).over = True
    lasting = trails.begin(Told(), [b"x" * KEPT_BYTES])
    assert trails.find(b"1-0") is None
    assert trails.find(b"%d-0" % (KEPT_CALLS + 2)) is not None
    lasting.over = True
    trails.begin(Told(), [])
    assert trails.find(b"%d-0" % (KEPT_CALLS + 2)) is None
    assert trails.find(lasting.name + b"-0") == (lasting, 0)


def test_a_client_that_comes_back_and_does_not_read_costs_bounded_memory(run: Any) -> None:
    async def story() -> None:
        async with scene(isolation="session") as stage:
            client, other = await able(stage), await able(stage)
            events = await begun(stage, client)
            assert await events.id() == b"1-0"
            resumed = await back(client, b"1-0")
            note = '{"jsonrpc":"2.0","method":"notifications/message","params":"%s"}'
            note %= "x" * 99_999
            child = stage.children[0]
            for _ in range(400):
                child.write(note)
            for _ in range(200):
                assert (await other.call("echo", text="meanwhile")).text == "meanwhile"
            assert child.waiting > 100  # the bridge has stopped reading
            child.write(child.toy.dump({"jsonrpc": "2.0", "id": 7, "result": "answer"}))
            ids = await resumed.rest()
            assert ids == [b"1-%d" % number for number in range(1, 402)]

    run(story())
