"""The bridge as an HTTP server: verbs, sessions, refusals, silence, and the end."""

import asyncio
import json
from typing import Any

import pytest
from support.bridging import scene

from mooring.testing.clock import FakeClock

ISOLATIONS = pytest.mark.parametrize("isolation", ["shared", "session"])


@ISOLATIONS
def test_a_session_must_be_named_and_known(run: Any, isolation: str) -> None:
    async def story() -> None:
        async with scene(isolation=isolation) as stage:
            client = stage.client()
            for status, session in ((400, b""), (404, b"unknown")):
                client.session = session
                answered = await client.request("tools/list", id="x")
                assert (answered.status, answered.last["id"]) == (status, "x")
                assert (await client.ask("GET")).status == status
                assert (await client.ask("DELETE")).status == status
            client.session = b"unknown"
            assert (await client.request("initialize")).status == 404

    run(story())


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{", -32700), (b"[]", -32600), (b'{"jsonrpc":"2.0"}', -32600), (b"", -32700)],
)
def test_what_is_no_message_is_refused(run: Any, body: bytes, code: int) -> None:
    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            answered = await client.post(body)
            assert (answered.status, answered.last["error"]["code"]) == (400, code)
            assert answered.last["id"] is None

    run(story())


def test_other_verbs_and_versions_are_refused(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            refused = await client.ask("PUT")
            assert (refused.status, refused.headers[b"allow"]) == (405, b"POST, GET, DELETE")
            client.headers[b"mcp-protocol-version"] = b"1999-01-01"
            assert (await client.call("echo", text="x")).status == 400
            client.headers[b"mcp-protocol-version"] = b"2025-06-18"
            assert (await client.call("echo", text="x")).status == 200

    run(story())


@ISOLATIONS
def test_there_is_one_standing_stream_for_a_session(run: Any, isolation: str) -> None:
    async def story() -> None:
        async with scene(isolation=isolation) as stage:
            client = await stage.session()
            first = await client.listen()
            assert (first.status, (await client.ask("GET")).status) == (200, 409)
            first.leave()
            async with asyncio.timeout(5):
                while (second := await client.listen()).status == 409:
                    await second.reply.read(1000, 1)
            await client.ask("DELETE")
            assert await second.next() is None

    run(story())


@ISOLATIONS
def test_silent_streams_hear_a_comment_now_and_then(run: Any, isolation: str) -> None:
    async def story() -> None:
        clock = FakeClock()
        async with scene(isolation=isolation, clock=clock) as stage:
            client = await stage.session()
            standing = await client.listen()
            body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hold",'
            body += b'"arguments":{"key":"a"}}}'
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(client.post(body))
                await stage.until(lambda: stage.toy.held)
                await clock.advance(20)
                await standing.comment()
                await clock.advance(15)
                await standing.comment()
                await client.call("release", key="a")
                assert call is not None
            assert call.result().streamed
            assert call.result().raw.count(b": ping\n\n") == 2
            assert call.result().text == "released a"
            standing.leave()

    run(story())


@ISOLATIONS
def test_a_call_does_not_take_for_ever(run: Any, isolation: str) -> None:
    async def story() -> None:
        clock = FakeClock()
        async with scene(isolation=isolation, clock=clock) as stage:
            client = await stage.session()
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(client.call("hold", key="a"))
                await stage.until(lambda: stage.toy.held)
                await clock.advance(3620)
                assert (await call).last["error"]["data"] == {"reason": "ChildSilent"}
                await stage.until(lambda: not stage.toy.held)

    run(story())


@pytest.mark.parametrize("words", ["crlf", "bom", "batch", "tail"])
def test_however_a_server_writes(run: Any, words: str) -> None:
    async def story() -> None:
        async with scene(words) as stage:
            client = await stage.session()
            answered = await client.call_with_token("progress", 1, 1, steps=2)
            assert len(answered.messages) == 3

    run(story())


@ISOLATIONS
@pytest.mark.parametrize(
    "line", ["Server is ready!", "{half a message", "[1, 2]", "\x00\x01", "[", '"text"', "{}"]
)
def test_noise_goes_to_the_log(run: Any, isolation: str, line: str) -> None:
    async def story() -> None:
        async with scene(isolation=isolation) as stage:
            client = await stage.session()
            answered = await client.call("say", line=line)
            assert answered.text == "said"
            assert not answered.streamed
            assert line.strip("[]").split(", ")[-1] in stage.noise.lines[-1]

    run(story())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less time for a child that is of no use."""
    monkeypatch.setattr("mooring.keeper.link.MUTE", 0.05)
    monkeypatch.setattr("mooring.keeper.child.VOLUNTARY", 0.05)


@ISOLATIONS
@pytest.mark.usefixtures("impatient")
def test_a_child_that_closes_its_output_is_ended(run: Any, isolation: str) -> None:
    async def story() -> None:
        async with scene(isolation=isolation) as stage:
            client = await stage.session()
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(client.call("hold", key="a"))
                await stage.until(lambda: stage.toy.held)
                stage.children[0].close_stdout()
                error = (await call).last["error"]
            assert "closed its input or output" in error["message"]
            assert "closed its input or output" in (await stage.bridge.exited).reason

    run(story())


def test_the_last_words_of_a_child_are_heard(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            toy = stage.children[0]
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(client.call("hold", key="a"))
                await stage.until(lambda: stage.toy.held)
                number = stage.toy.held["a"]["id"]
                words = {"content": [{"text": "bye"}]}
                toy.write(json.dumps({"jsonrpc": "2.0", "id": number, "result": words}))
                toy.end(1)
                assert (await call).text == "bye"

    run(story())


@pytest.mark.parametrize("result", [b'"caf\xe9"', b"[" * 100_000, b'"' + b"x" * 300_000])
@pytest.mark.parametrize("answer", [b'"id":%d,"result":%b}', b'"result":%b,"id":%d}'])
def test_an_answer_that_cannot_be_read_is_given_up(
    run: Any, result: bytes, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.transports.stdio.PipeChannel.__init__.__defaults__", (250_000, 5))

    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(client.call("hold", id="x", key="a"))
                await stage.until(lambda: stage.toy.held)
                number = stage.toy.held["a"]["id"]
                values = (number, result) if answer.startswith(b'"id"') else (result, number)
                stage.children[0].write(b'{"jsonrpc":"2.0",' + answer % values)
                last = (await call).last
            assert last["id"] == "x"
            assert last["error"]["data"] == {"reason": "AnswerUnreadable"}
            assert (await client.call("echo", text="on")).text == "on"
            assert any(line.startswith('{"jsonrpc"') for line in stage.noise.lines)

    run(story())


@ISOLATIONS
@pytest.mark.parametrize("answer", ['"id":%s,"result":%s}', '"result" : %s , "\\u0069d" : %s }'])
def test_an_answer_passes_however_deeply_it_is_nested(
    run: Any, isolation: str, answer: str
) -> None:
    deep = '[{"a":' * 20_000 + "[]" + "}]" * 20_000

    async def story() -> None:
        async with scene(isolation=isolation) as stage:
            client = await stage.session()
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(client.call("hold", id="x", key="a"))
                await stage.until(lambda: stage.toy.held)
                number = stage.toy.held["a"]["id"]
                first = answer.startswith('"id"')
                line = '{"jsonrpc":"2.0",' + answer
                said = json.dumps(number)
                stage.children[0].write((line % ((said, deep) if first else (deep, said))).encode())
                told = line % (('"x"', deep) if first else (deep, '"x"'))
                assert (await call).texts == [told.encode()]

    run(story())


@ISOLATIONS
def test_stop_ends_everything(run: Any, isolation: str) -> None:
    async def story() -> None:
        async with scene(isolation=isolation) as stage:
            client = await stage.session()
            events = await client.listen()
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(client.call("hold", key="a"))
                await stage.until(lambda: stage.toy.held)
                await stage.bridge.stop(1)
                assert (await call).last["error"]["data"] == {"reason": "ChildExited"}
            assert await events.next() is None
            assert stage.bridge.exited.done()
            assert stage.bridge.children == 0
            await stage.bridge.stop(1)

    run(story())


def test_a_child_that_does_not_read_keeps_nobody_waiting_for_ever(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mooring.transports.stdio.PipeChannel.__init__.__defaults__", (1 << 26, 0.1)
    )

    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            toy = stage.children[0]
            toy.pause()
            assert (await client.notify("x", big="x" * 3_000_000)).status == 202
            stuck = await client.call("echo", id=2, text="y")
            assert stuck.status == 200
            assert stuck.last["error"]["data"] == {"reason": "ChildSilent"}
            assert (await client.notify("x")).status == 202
            toy.resume()
            assert (await client.call("echo", text="z")).text == "z"

    run(story())


@pytest.mark.usefixtures("impatient")
def test_a_child_that_closes_its_input_is_ended(run: Any) -> None:
    async def story() -> None:
        async with scene() as stage:
            client = await stage.session()
            stage.children[0].close_stdin()
            async with asyncio.timeout(5):
                while (answered := await client.call("echo", text="x")).status == 200:
                    assert answered.last["error"]["data"] == {"reason": "ChildExited"}
            assert answered.status == 404
            assert (await client.notify("notifications/else")).status == 404
            assert "closed its input" in (await stage.bridge.exited).reason

    run(story())
