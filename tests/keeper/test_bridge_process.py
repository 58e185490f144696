"""The bridge with real processes, spawned as the keeper spawns them."""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.bridging import KEY, scene

from mooring.errors import Unavailable

pytestmark = pytest.mark.process

LOCKING = Path(__file__).resolve().parents[1] / "servers" / "locking.py"
ISOLATIONS = pytest.mark.parametrize("isolation", ["shared", "session"])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_ten_clients_with_the_same_ids(run: Any) -> None:
    async def story() -> None:
        async with scene("dual", processes=True) as stage:
            clients = [await stage.session() for _ in range(5)]
            clients += [stage.client("stateless") for _ in range(5)]
            asked = [[c.call("echo", id=1, text=f"{n}") for n in range(20)] for c in clients]
            for answers in await asyncio.gather(*(asyncio.gather(*calls) for calls in asked)):
                assert [a.text for a in answers] == [str(n) for n in range(20)]
                assert {a.last["id"] for a in answers} == {1}
            assert (await clients[0].call("counted")).text == "1"

    run(story())


@ISOLATIONS
def test_an_exit_is_told_within_a_tenth_of_a_second(run: Any, isolation: str) -> None:
    async def story() -> None:
        async with scene(processes=True, isolation=isolation) as stage:
            client = await stage.session()
            async with asyncio.TaskGroup() as tasks:
                held = tasks.create_task(client.call("hold", key="a"))
                while (await client.call("held")).text != '["a"]':
                    pass
                died = await client.call("die", code=5, words="out of tea", part='{"jsonrpc":')
                began = time.monotonic()
                error = (await held).last["error"]
                assert time.monotonic() - began < 0.1
            assert error == died.last["error"]
            assert "exited with code 5: out of tea; " in error["message"]
            exit = await stage.bridge.exited
            assert (exit.code, exit.last_line) == (5, "out of tea")

    run(story())


@ISOLATIONS
def test_stop_leaves_no_process(run: Any, isolation: str) -> None:
    async def story() -> None:
        async with scene(processes=True, isolation=isolation) as stage:
            pids = [int((await (await stage.session()).call("pid")).text) for _ in range(2)]
            assert all(map(alive, pids))
            await stage.bridge.stop(2)
            assert not any(map(alive, pids))

    run(story())


def test_the_end_of_a_session_ends_its_process(run: Any) -> None:
    async def story() -> None:
        async with scene(processes=True, isolation="session") as stage:
            client, other = await stage.session(), await stage.session()
            pid = int((await client.call("pid")).text)
            await client.ask("DELETE")
            await stage.until(lambda: not alive(pid))
            assert (await other.call("echo", text="on")).text == "on"

    run(story())


@pytest.mark.parametrize("tool", ["mute", "deaf"])
def test_a_process_that_does_not_leave_is_ended(
    run: Any, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.keeper.link.MUTE", 0.1)
    monkeypatch.setattr("mooring.keeper.child.VOLUNTARY", 0.1)

    async def story() -> None:
        async with scene(processes=True) as stage:
            client = await stage.session()
            pid = int((await client.call("pid")).text)
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(client.call(tool))
                if tool == "deaf":
                    await client.notify("x")
                    await stage.bridge.stop(0.1)
                assert (await call).last["error"]["data"] == {"reason": "ChildExited"}
            await stage.until(lambda: not alive(pid))
            assert (await stage.bridge.exited).reason == (
                "the server's process closed its input or output, and was ended"
                if tool == "mute"
                else ""
            )

    run(story())


def test_a_flood_of_noise_holds_up_nobody_for_long(run: Any) -> None:
    async def story() -> None:
        async with scene(processes=True) as stage:
            client, other = await stage.session(), await stage.session()
            line = "noise " * 1000
            for _ in range(20):
                answered = await client.call("say", line="\n".join([line] * 100))
                assert answered.text == "said"
                assert (await other.call("echo", text="on")).text == "on"
            assert len(stage.noise.lines) >= 2000
            assert max(map(len, stage.noise.lines)) <= 2048

    run(story())


def test_big_messages_pass(run: Any) -> None:
    async def story() -> None:
        async with scene(processes=True) as stage:
            client = await stage.session()
            text = "ä" * 600_000
            assert (await client.call("echo", text=text)).text == text

    run(story())


def test_a_server_of_the_sdk_is_served_in_both_eras(run: Any) -> None:
    async def story() -> None:
        argv = (sys.executable, str(LOCKING))
        async with scene(processes=True, argv=argv) as stage:
            modern = stage.client("stateless")
            modern.meta = {KEY + "clientCapabilities": {}}
            discovered = await modern.request("server/discover")
            assert discovered.last["result"]["supportedVersions"] == ["2026-07-28"]
            client = await stage.session()
            assert stage.bridge.children == 2
            for each in (modern, client):
                assert (await each.call("echo", id="x", text="hi")).text == "hi"
                answered = await each.call_with_token("count", "t", 1, steps=3)
                assert [m.get("method") for m in answered.messages] == [
                    *["notifications/progress"] * 3,
                    None,
                ]
                assert answered.messages[0]["params"]["progressToken"] == "t"
            assert (await modern.call("echo", wrong=1)).status == 200
            assert (await modern.request("no/such/method")).status == 404

    run(story())


def test_a_command_that_cannot_be_started_is_named(run: Any) -> None:
    async def story() -> None:
        async with scene(processes=True, argv=("/no/such/command",)):
            pass

    with pytest.raises(ExceptionGroup) as caught:
        run(story())
    assert caught.group_contains(Unavailable, match="command not found: /no/such/command")
