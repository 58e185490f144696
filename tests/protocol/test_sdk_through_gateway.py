"""Clients of the official SDK, servers of the official SDK, the gateway between them."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp_types import ElicitResult
from support.fronting import World, eventually, world

from mooring.core.address import Address
from mooring.transports.http_upstream import Pool
from mooring.transports.mcp_client import McpClient

pytestmark = pytest.mark.process
SERVER = Path(__file__).parents[1] / "servers" / "sdk_server.py"
ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])


@dataclass
class Instance:
    """A process of the test server, as the world expects it."""

    name: str
    uid: str
    address: Address
    process: subprocess.Popen[bytes]


def start(name: str, *flags: str) -> Instance:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(SERVER), str(port), *flags], stderr=subprocess.PIPE
    )
    return Instance(name, f"uid-{name}-{port}", Address("127.0.0.1", port, "/mcp"), process)


def stop(instance: Instance) -> None:
    instance.process.kill()
    instance.process.wait()
    assert instance.process.stderr is not None
    instance.process.stderr.close()


def ready(instance: Instance) -> None:
    """Returns when the server says on stderr that it listens; goes on reading what it says."""
    assert instance.process.stderr is not None
    for line in instance.process.stderr:
        if b"running on" in line:
            break
    threading.Thread(target=_drain, args=(instance.process.stderr,), daemon=True).start()


def _drain(stream: Any) -> None:
    try:
        while stream.read(4096):
            pass
    except ValueError:
        return  # closed


@pytest.fixture(scope="module")
def instances() -> Iterator[list[Instance]]:
    started = [start("subject-0"), start("subject-1")]
    for instance in started:
        ready(instance)
    yield started
    for instance in started:
        stop(instance)


@asynccontextmanager
async def fronted(*instances: Instance) -> AsyncIterator[tuple[World, str]]:
    async with world({"notes": 0}) as w:
        w.standins["notes"] = list(instances)  # type: ignore[arg-type]
        w.table()
        yield w, f"http://127.0.0.1:{w.port}/servers/notes/mcp"


def text(result: Any) -> str:
    return str(result.content[0].text)


@ERAS
def test_tools_are_listed_and_called(run: Any, instances: list[Instance], mode: Any) -> None:
    async def story() -> None:
        async with fronted(*instances) as (w, url), Client(url, mode=mode) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert {"who", "keep", "work"} <= names
            answers = {text(await client.call_tool("who")) for _ in range(8)}
            pids = {str(instance.process.pid) for instance in instances}
            assert answers <= pids
            if mode == "legacy":
                assert len(answers) == 1
                assert sum(load.sessions for load in w.gateway.loads().values()) == 1
            else:
                assert client.session.protocol_version == "2026-07-28"
                assert answers == pids
        assert all(load.calls == 0 for load in w.gateway.loads().values())

    run(story())


def test_sessions_see_only_their_own_state(run: Any, instances: list[Instance]) -> None:
    async def one(url: str, number: int) -> str:
        async with Client(url, mode="legacy") as client:
            pids = set()
            for count in range(5):
                kept = await client.call_tool("keep", {"text": f"{number}-{count}"})
                assert kept.structured_content == {
                    "result": [f"{number}-{c}" for c in range(count + 1)]
                }
                pids.add(text(await client.call_tool("who")))
            assert len(pids) == 1
            return pids.pop()

    async def story() -> None:
        async with fronted(*instances) as (w, url):
            owners = await asyncio.gather(*(one(url, number) for number in range(10)))
            assert sorted(Counter(owners).values()) == [5, 5]
            await eventually(
                lambda: all(load.sessions == 0 for load in w.gateway.loads().values())
            )  # every client said DELETE

    run(story())


@ERAS
def test_progress_arrives_while_a_call_runs(run: Any, instances: list[Instance], mode: Any) -> None:
    async def story() -> None:
        seen: list[float] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            seen.append(progress)

        async with fronted(*instances) as (_, url), Client(url, mode=mode) as client:
            done = await client.call_tool("work", {"steps": 5}, progress_callback=note)
            assert text(done) == "done"
            assert seen == [1, 2, 3, 4, 5]

    run(story())


def test_a_server_asks_its_client(run: Any, instances: list[Instance]) -> None:
    async def answer(_: Any, params: Any) -> ElicitResult:
        assert params.message == "How many copies?"
        return ElicitResult(action="accept", content={"copies": 3})

    async def story() -> None:
        async with (
            fronted(*instances) as (_, url),
            Client(url, mode="legacy", elicitation_callback=answer) as client,
        ):
            assert text(await client.call_tool("reserve", {"title": "Dune"})) == "3 of Dune"

    run(story())


def test_a_change_is_told_on_the_open_stream(run: Any, instances: list[Instance]) -> None:
    async def story() -> None:
        told = asyncio.Event()

        async def hear(message: Any) -> None:
            if getattr(message, "method", "") == "notifications/tools/list_changed":
                told.set()

        async with (
            fronted(*instances) as (_, url),
            Client(url, mode="legacy", message_handler=hear) as client,
        ):
            await client.call_tool("change")
            await told.wait()

    run(story())


@ERAS
def test_giving_up_reaches_the_call(run: Any, instances: list[Instance], mode: Any) -> None:
    async def story() -> None:
        async with (
            fronted(instances[0]) as (_, url),
            Client(url, mode=mode) as client,
            Client(url, mode=mode) as other,
        ):
            with pytest.raises(MCPError, match=r"(?i)time"):
                await client.call_tool("hang", {"name": f"c-{mode}"}, read_timeout_seconds=0.3)

            async def noticed() -> bool:
                said = await other.call_tool("cancelled_calls")
                return f"c-{mode}" in said.structured_content["result"]

            while not await noticed():
                pass
            assert text(await client.call_tool("who")) == str(instances[0].process.pid)

    run(story())


def test_a_client_resumes_a_stream_that_its_server_closed(run: Any) -> None:
    async def story(instance: Instance) -> None:
        async with fronted(instance) as (_, url), Client(url, mode="legacy") as client:
            assert text(await client.call_tool("poll")) == "resumed"

    instance = start("resumable", "events")
    try:
        ready(instance)
        run(story(instance))
    finally:
        stop(instance)


def test_when_an_instance_dies_its_calls_fail_and_others_go_on(
    run: Any, instances: list[Instance]
) -> None:
    async def story(doomed: Instance) -> None:
        async with fronted(doomed) as (w, url), Client(url, mode="legacy") as lost:
            w.standins["notes"].append(instances[0])  # type: ignore[arg-type]
            w.table(**{doomed.name: {"health": "unhealthy"}})
            async with Client(url, mode="legacy") as other:
                with pytest.raises(MCPError, match=r"whether the request ran is unknown|closed"):
                    await lost.call_tool("die")
                for _ in range(3):
                    assert text(await other.call_tool("who")) == str(instances[0].process.pid)
                w.standins["notes"].pop(0)
                w.table()
                assert text(await lost.call_tool("who")) == str(instances[0].process.pid)
                assert text(await other.call_tool("who")) == str(instances[0].process.pid)

    doomed = start("doomed")
    try:
        ready(doomed)
        run(story(doomed))
    finally:
        stop(doomed)


def test_our_own_client_speaks_to_it_directly_and_through_the_gateway(
    run: Any, instances: list[Instance]
) -> None:
    async def story() -> None:
        pool = Pool()
        try:
            async with fronted(*instances) as (w, _):
                through = Address("127.0.0.1", w.port, "/servers/notes/mcp")
                for address in (instances[0].address, through):
                    for eras in ("auto", "session"):
                        client = McpClient(pool, address)
                        found = await client.handshake(10, eras)  # type: ignore[arg-type]
                        assert found.era == ("session" if eras == "session" else "stateless")
                        assert found.server_name == "subject"
                        assert "who" in {tool["name"] for tool in await client.list_tools(10)}
                        said = await client.call_tool("work", {"steps": 2}, 10)
                        assert said["content"][0]["text"] == "done"
                        await client.close()
        finally:
            await pool.close()

    run(story())
