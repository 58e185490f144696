"""Probes over real connections: one session, kept, and gone with the instance."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from support.bridging import Scene, scene
from support.standin import JSON, Standin, failure, result

from mooring.clock import SystemClock
from mooring.controllers.prober import Prober
from mooring.core.address import parse
from mooring.core.health import Probe
from mooring.core.keeping import PROBE
from mooring.core.workload import Observed
from mooring.core.world import Belief
from mooring.kinds.server import MCPServer
from mooring.programs.questions import connect
from mooring.testing.stage import server
from mooring.transports.http_server import Exchange
from mooring.transports.http_upstream import Pool
from mooring.transports.mcp_client import McpClient

Run = Callable[[Coroutine[Any, Any, None]], None]
SECONDS = 10.0


class Watch:
    """A prober that looks after one instance."""

    def __init__(self, prober: Prober, address: str, changed: asyncio.Event) -> None:
        self.prober = prober
        self._seen = Observed("time-0", "u1", "sum", "running", address)
        self._changed = changed
        self._server = server("time")

    async def believed(self, true: Callable[[Belief], object], of: MCPServer) -> Belief:
        """What is believed once that is so."""
        self._server = of
        async with asyncio.timeout(SECONDS):
            while True:
                found = self.prober.look(of, [self._seen]).get("u1")
                if found is not None and true(found):
                    return found
                self._changed.clear()
                await self._changed.wait()

    async def probe(self) -> Probe:
        return await self.prober.probe(self._server.ref, "time-0")

    def gone(self) -> None:
        self.prober.forget(self._server.ref)


@asynccontextmanager
async def watch(address: str, *, ours: bool = False) -> AsyncIterator[Watch]:
    """`ours`: the header is sent that the keeper knows the daemon's sessions by."""
    pool, changed = Pool(), asyncio.Event()

    def marked(address: str, of: MCPServer) -> McpClient:
        return McpClient(pool, parse(address), (PROBE,))

    prober = Prober(
        marked if ours else partial(connect, pool, b"1.1 us"), SystemClock(), lambda: 0.0
    )
    async with asyncio.TaskGroup() as tasks:
        prober.begin(tasks, lambda _: changed.set())
        found = Watch(prober, address, changed)
        try:
            yield found
        finally:
            found.gone()
    await pool.close()


def where(standin: Standin) -> str:
    return f"http://127.0.0.1:{standin.address.port}/mcp"


def asked(standin: Standin) -> list[str]:
    bodies = [json.loads(request.body) for request in standin.seen if request.body]
    return [body.get("method", "") for body in bodies]


def test_after_a_thousand_probes_there_was_one_session_and_then_none(run: Run) -> None:
    async def story() -> None:
        async with Standin() as standin:
            async with watch(where(standin)) as at:
                await at.believed(lambda found: found.shaken, server("time"))
                for _ in range(1000):
                    assert (await at.probe()).finding.outcome == "answered"
                assert asked(standin).count("tools/list") >= 1000
                assert (standin.opened, len(standin.sessions)) == (1, 1)
            assert standin.sessions == set()
            assert asked(standin).count("initialize") == 1
            assert {request.header(b"via") for request in standin.seen} == {b"1.1 us"}

    run(story())


@pytest.mark.parametrize("isolation", ["shared", "session"])
def test_a_server_over_stdio_is_probed_on_its_first_child(run: Run, isolation: str) -> None:
    async def story() -> None:
        async with scene(isolation=isolation, max_children=1) as stage:
            address = f"http://127.0.0.1:{stage.address.port}{stage.address.path}"
            async with watch(address, ours=True) as at:
                await at.believed(lambda found: found.shaken, server("time"))
                for _ in range(100):
                    assert (await at.probe()).finding.outcome == "answered"
                assert (stage.bridge.sessions, len(stage.children)) == (1, 1)
                assert stage.toy.initializes == 1
                await serves_a_client(stage)
            await stage.until(lambda: stage.bridge.sessions == 0)

    run(story())


async def serves_a_client(stage: Scene) -> None:
    client = await stage.session()
    assert (await client.call("echo", text="x")).text == "x"
    await client.ask("DELETE")


def test_a_refused_connection_is_told_with_its_address(run: Run) -> None:
    async def story() -> None:
        async with Standin() as standin:
            address = where(standin)
            async with watch(address) as at:
                await at.believed(lambda found: found.shaken, server("time"))
                await standin.__aexit__()
                found = await at.probe()
                assert found.finding.message == (
                    f"cannot connect to http://127.0.0.1:{standin.address.port}: Connection refused"
                )
                assert found.health == "degraded"

    run(story())


def test_words_of_the_server_are_kept(run: Run) -> None:
    said: dict[str, Any] = {}

    async def story() -> None:
        async with Standin() as standin:

            async def behaviour(exchange: Exchange) -> None:
                told = json.loads(exchange.request.body) if exchange.request.body else {}
                if told.get("method") == "tools/call":
                    exchange.respond(200, (JSON,), said["answer"](told["id"]))
                else:
                    await standin.serve(exchange)

            standin.behaviour = behaviour
            words = "connect ECONNREFUSED 10.0.0.1:3000"
            texts = [{"type": "text", "text": words}]
            said["answer"] = partial(result, isError=True, content=texts)
            async with watch(where(standin)) as at:
                named = server("time", healthCheck={"tool": "whoami"})
                found = await at.believed(lambda found: found.failures, named)
                assert (found.health, found.message, found.shaken) == ("degraded", words, False)
                said["answer"] = partial(failure, code=-32603, text="token is required")
                assert (await at.probe()).finding.message == "token is required"
                said["answer"] = partial(result, content=[])
                assert (await at.probe()).health == "healthy"
                assert (await at.believed(lambda found: found.shaken, named)).message == ""

    run(story())


def test_a_server_that_hangs_is_told_so_and_loses_nothing_else(run: Run) -> None:
    async def story() -> None:
        hangs = asyncio.Event()
        async with Standin() as standin:

            async def behaviour(exchange: Exchange) -> None:
                told = json.loads(exchange.request.body) if exchange.request.body else {}
                if told.get("method") == "tools/list" and not hangs.is_set():
                    await asyncio.wait_for(hangs.wait(), SECONDS)
                await standin.serve(exchange)

            standin.behaviour = behaviour
            async with watch(where(standin)) as at:
                short = server("time", healthCheck={"timeoutSeconds": 0.05})
                found = await at.believed(lambda found: found.failures, short)
                assert (found.health, found.message) == ("degraded", "timed out after 0.05 s")
                hangs.set()
                await at.believed(lambda found: found.health == "healthy", server("time"))
                assert standin.opened == 1

    run(story())


CHALLENGE = (b"www-authenticate", b"Bearer")


@pytest.mark.parametrize(("status", "extra"), [(401, ()), (401, (CHALLENGE,)), (403, (CHALLENGE,))])
def test_who_wants_a_login_is_alive(run: Run, status: int, extra: Any) -> None:
    async def story() -> None:
        async with Standin() as standin:

            async def behaviour(exchange: Exchange) -> None:
                exchange.respond(status, (JSON, *extra), b"{}")

            standin.behaviour = behaviour
            async with watch(where(standin)) as at:
                found = await at.believed(lambda found: found.shaken, server("time"))
                assert (found.health, found.failures) == ("unauthenticated", 0)
                assert (await at.probe()).finding.outcome == "login"

    run(story())


def test_a_refusal_without_a_challenge_is_a_failure(run: Run) -> None:
    async def story() -> None:
        async with Standin() as standin, watch(where(standin)) as at:
            await at.believed(lambda found: found.shaken, server("time"))

            async def behaviour(exchange: Exchange) -> None:
                exchange.respond(403, (JSON,), failure(None, -32000, "not you"))

            standin.behaviour = behaviour
            found = await at.probe()
            assert (found.health, found.finding.message) == ("degraded", "not you")

    run(story())


def test_a_server_that_asks_to_be_left_alone_is_believed_as_before(run: Run) -> None:
    async def story() -> None:
        async with Standin() as standin, watch(where(standin)) as at:
            await at.believed(lambda found: found.shaken, server("time"))

            async def behaviour(exchange: Exchange) -> None:
                if exchange.request.method == "POST":
                    exchange.respond(429, (JSON,), failure(None, -32000, "slow down"))
                else:
                    await standin.serve(exchange)

            standin.behaviour = behaviour
            for _ in range(5):
                found = await at.probe()
                assert (found.finding.outcome, found.finding.message) == ("busy", "slow down")
                assert found.health == "healthy"

    run(story())
