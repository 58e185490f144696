"""Who is asked how it is, when, and what is made of the answer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from mooring.controllers.prober import Prober
from mooring.core.workload import Observed
from mooring.core.world import Belief
from mooring.errors import Conflict, NotFound, Unavailable
from mooring.kinds.ref import Ref
from mooring.kinds.server import InstanceStatus, MCPServer
from mooring.testing.clock import FakeClock
from mooring.testing.stage import Greeting, Greetings, Talk, server

Run = Callable[[Coroutine[Any, Any, None]], None]

TIME = server("time")
SEEN = Observed("time-0", "u1", "sum", "running", "http://time-0/mcp")
ECHO = {"name": "echo", "annotations": {"readOnlyHint": True}, "inputSchema": {}}
WRITE = {"name": "write"}


class Round:
    """Probes under a clock, of servers that answer as they are told to."""

    def __init__(self, tasks: asyncio.TaskGroup, chance: float = 0.0) -> None:
        self.clock = FakeClock()
        self.greetings = Greetings(self.clock)
        self.changed: list[Ref] = []
        self.prober = Prober(self.greetings.connect, self.clock, lambda: chance)
        self.prober.begin(tasks, self.changed.append)

    async def look(self, *seen: Observed, of: MCPServer = TIME) -> dict[str, Belief]:
        """What is believed once everybody has said what there is to say now."""
        self.prober.look(of, seen)
        await turns()
        return dict(self.prober.look(of, seen))

    async def wait(self, seconds: float) -> None:
        """Time passes in small steps."""
        while seconds > 0:
            await turns()
            await self.clock.advance(min(0.5, seconds))
            seconds -= 0.5
        await turns()

    @property
    def probed(self) -> list[str]:
        return self.greetings.probed


async def turns() -> None:
    """Lets everything run that can."""
    loop = asyncio.get_running_loop()
    for _ in range(15):
        turn: asyncio.Future[None] = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


@asynccontextmanager
async def rounds(chance: float = 0.0) -> AsyncIterator[Round]:
    async with asyncio.TaskGroup() as tasks:
        found = Round(tasks, chance)
        yield found
        found.prober.forget(TIME.ref)


def with_row(of: MCPServer = TIME, **row: Any) -> MCPServer:
    known = InstanceStatus.model_validate({"name": "time-0", "uid": "u1", "state": "Ready", **row})
    return of.model_copy(update={"status": of.status.model_copy(update={"instances": (known,)})})


def checked(**check: Any) -> MCPServer:
    return server("time", healthCheck=check)


def test_it_is_ready_with_its_handshake_and_probed_right_after_it(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            assert at.prober.look(TIME, [SEEN]) == {}
            assert await at.look(SEEN) == {"u1": Belief(True, era="session")}
            assert at.probed == ["time-0 tools/list"]
            assert at.changed == [TIME.ref]

    run(story())


def test_the_interval_is_kept_and_chance_only_shortens_it(run: Run) -> None:
    async def story(chance: float, probes: int) -> None:
        async with rounds(chance) as at:
            await at.look(SEEN)
            await at.wait(26.5)
            assert len(at.probed) == 1
            await at.wait(300)
            assert len(at.probed) == probes

    run(story(0.0, 11))
    run(story(1.0, 13))


def test_an_interval_of_300_seconds_is_not_probed_twice(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            often = checked(intervalSeconds=300)
            for _ in range(29):
                await at.look(SEEN, of=often)
                await at.wait(10)
            assert len(at.probed) == 1

    run(story())


def test_probes_need_one_session_and_it_goes_with_the_instance(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            often = checked(intervalSeconds=1)
            await at.look(SEEN, of=often)
            await at.wait(1000)
            assert len(at.probed) >= 1000
            assert (len(at.greetings.asked), len(at.greetings.sessions)) == (1, 1)
            await at.look(of=often)
            assert at.greetings.sessions == set()

    run(story())


@pytest.mark.parametrize(
    ("address", "left"), [("http://time-0/mcp", 0), ("unix:///k.sock#/i/u1", 1)]
)
def test_what_the_keeper_holds_is_there_for_the_next_daemon(
    run: Run, address: str, left: int
) -> None:
    async def story() -> None:
        async def mooring() -> None:
            async with asyncio.TaskGroup() as tasks:
                found.append(Round(tasks))
                await found[0].look(replace(SEEN, address=address))
                ready.set()

        found: list[Round] = []
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(mooring())
            await ready.wait()
            running.cancel()
        assert len(found[0].greetings.sessions) == left

    run(story())


def test_a_session_that_was_forgotten_is_opened_again_within_the_probe(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            await at.look(SEEN)
            at.greetings.forgotten.add(SEEN.address)
            await at.wait(31)
            assert (await at.look(SEEN))["u1"].health == "healthy"
            assert len(at.greetings.asked) == 2
            assert len(at.greetings.sessions) == 1

    run(story())


@pytest.mark.parametrize(
    "failure",
    [
        Unavailable("UpstreamError", "ECONNREFUSED 10.0.0.1:3000"),
        RuntimeError("ECONNREFUSED 10.0.0.1:3000"),
    ],
)
def test_errors_and_exceptions_are_failures_in_their_own_words(
    run: Run, failure: Exception
) -> None:
    async def story() -> None:
        async with rounds() as at:
            await at.look(SEEN)
            at.greetings.failing["time"] = failure
            for health in ("degraded", "degraded", "unhealthy", "unhealthy"):
                await at.wait(30)
                found = (await at.look(SEEN))["u1"]
                assert (found.health, found.message) == (health, "ECONNREFUSED 10.0.0.1:3000")
            at.greetings.failing.clear()
            await at.wait(30)
            assert await at.look(SEEN) == {"u1": Belief(True, era="session")}

    run(story())


def test_a_hang_is_a_failure_after_its_time(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            at.greetings.hanging.add("time")
            await at.look(SEEN, of=checked(timeoutSeconds=0.05))
            await at.wait(0.5)
            found = (await at.look(SEEN, of=checked(timeoutSeconds=0.05)))["u1"]
            assert (found.health, found.message) == ("degraded", "timed out after 0.05 s")

    run(story())


def test_one_that_hangs_delays_nobody(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            other = server("other")
            at.greetings.hanging.add("time")
            await at.look(SEEN)
            there = replace(SEEN, name="other-0", uid="u2", address="http://other-0/mcp")
            assert (await at.look(there, of=other))["u2"].health == "healthy"
            await at.wait(5)
            assert at.probed == ["time-0 tools/list", "other-0 tools/list"]
            at.prober.forget(other.ref)

    run(story())


def test_probes_of_one_instance_do_not_overlap(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            at.greetings.hanging.add("time")
            slow = checked(intervalSeconds=1, timeoutSeconds=10)
            await at.look(SEEN, of=slow)
            async with asyncio.TaskGroup() as tasks:
                wanted = tasks.create_task(at.prober.probe(TIME.ref, "time-0"))
                await at.wait(9)
                assert len(at.probed) == 1
                at.greetings.hanging.clear()
                await at.wait(1)
                assert wanted.result().finding.outcome == "answered"
            assert len(at.probed) == 2

    run(story())


def test_a_named_tool_has_to_succeed_before_it_is_ready(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            named = checked(tool="whoami", arguments={"a": 1}, failureThreshold=2)
            texts = [{"type": "text", "text": "token is required"}]
            at.greetings.results["time"] = {"isError": True, "content": texts}
            found = (await at.look(SEEN, of=named))["u1"]
            assert at.probed == ["time-0 tools/call whoami {'a': 1}"]
            assert (found.health, found.shaken, found.settled) == ("degraded", False, False)
            assert found.message == "token is required"
            await at.wait(30)
            found = (await at.look(SEEN, of=named))["u1"]
            assert (found.health, found.shaken, found.settled) == ("unhealthy", False, True)
            await at.wait(100)
            assert len(at.probed) == 2
            assert at.greetings.sessions == set()

    run(story())


def test_a_named_tool_that_succeeds_makes_it_ready(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            at.greetings.tools["time"] = [ECHO, WRITE]
            found = await at.look(SEEN, of=checked(tool="whoami"))
            assert found == {"u1": Belief(True, era="session", safe_tools=("echo",))}

    run(story())


def test_tools_that_may_run_twice_are_those_of_its_own_list(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            at.greetings.tools["time"] = [WRITE, ECHO]
            assert (await at.look(SEEN))["u1"].safe_tools == ("echo",)
            assert (await at.look(SEEN, of=server("time", retry="never")))["u1"].safe_tools == ()
            at.greetings.tools["time"] = [WRITE]
            await at.look(SEEN)
            await at.wait(30)
            assert (await at.look(SEEN))["u1"].safe_tools == ()

    run(story())


def test_one_without_tools_is_pinged(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            at.greetings.answers["time"] = Greeting(capabilities={"prompts": {}})
            assert (await at.look(SEEN))["u1"].health == "healthy"
            assert at.probed == ["time-0 ping"]

    run(story())


def test_who_wants_a_login_is_greeted_anew_each_time(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            at.greetings.answers["time"] = Greeting(needs_login=True)
            assert (await at.look(SEEN))["u1"].health == "unauthenticated"
            await at.wait(30)
            assert (await at.look(SEEN))["u1"].health == "unauthenticated"
            assert at.probed == []
            at.greetings.answers.clear()
            await at.wait(30)
            assert (await at.look(SEEN))["u1"].health == "healthy"

    run(story())


def test_a_login_that_is_wanted_later_is_no_failure(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            await at.look(SEEN)
            at.greetings.answers["time"] = Greeting(needs_login=True)
            await at.wait(30)
            found = (await at.look(SEEN))["u1"]
            assert (found.health, found.failures) == ("unauthenticated", 0)

    run(story())


def test_only_what_runs_and_can_be_reached_is_probed(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            for state in ("installing", "stopping", "exited", "failed"):
                seen: Any = replace(SEEN, state=state)
                assert await at.look(seen) == {}
            assert await at.look(replace(SEEN, address="")) == {}
            for state in ("Draining", "ERROR"):
                assert await at.look(SEEN, of=with_row(state=state)) == {}
            assert (at.greetings.asked, at.probed) == ([], [])

    run(story())


@pytest.mark.parametrize("state", ["Draining", "ERROR"])
def test_one_that_leaves_is_asked_nothing_any_more(run: Run, state: str) -> None:
    async def story() -> None:
        async with rounds() as at:
            await at.look(SEEN)
            await at.look(SEEN, of=with_row(state=state))
            assert at.greetings.sessions == set()
            await at.wait(100)
            assert len(at.probed) == 1

    run(story())


def test_one_that_was_removed_and_comes_again_is_probed_afresh(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            at.greetings.failing["time"] = RuntimeError("no")
            assert (await at.look(SEEN))["u1"].failures == 1
            assert await at.look() == {}
            at.greetings.failing.clear()
            assert await at.look(SEEN) == {"u1": Belief(True, era="session")}
            assert len(at.greetings.asked) == 2

    run(story())


def test_a_new_uid_is_unknown(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            await at.look(SEEN)
            at.greetings.silent.add("time")
            assert await at.look(replace(SEEN, uid="u2")) == {}

    run(story())


def test_beliefs_survive_a_restart_by_uid(run: Run) -> None:
    async def story() -> None:
        async with rounds(chance=0.5) as at:
            row = {"health": "degraded", "message": "no", "failedProbes": 2, "era": "session"}
            known = with_row(**row)
            found = await at.look(SEEN, of=known)
            assert found["u1"] == Belief(True, "session", "degraded", "no", failures=2)
            assert at.greetings.asked == []
            at.greetings.failing["time"] = RuntimeError("still no")
            await at.wait(16)
            found = await at.look(SEEN, of=known)
            assert (found["u1"].health, found["u1"].message) == ("unhealthy", "still no")
            assert len(at.greetings.asked) == 1

    run(story())


def test_an_attempt_goes_on_after_a_restart(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            row = {"state": "Starting", "health": "degraded", "message": "no", "failedProbes": 2}
            known = with_row(checked(tool="whoami"), **row)
            at.greetings.results["time"] = {"isError": True}
            found = (await at.look(SEEN, of=known))["u1"]
            assert (found.health, found.settled, found.shaken) == ("unhealthy", True, False)

    run(story())


def test_another_health_check_is_tried_at_once(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            await at.look(SEEN)
            await at.look(SEEN, of=checked(tool="now"))
            assert at.probed == ["time-0 tools/list", "time-0 tools/call now {}"]

    run(story())


def test_a_probe_can_be_had_now_and_counts(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            await at.look(SEEN)
            at.greetings.failing["time"] = RuntimeError("no")
            await at.wait(3)
            found = await at.prober.probe(TIME.ref, "time-0")
            assert (found.finding.outcome, found.finding.message) == ("failed", "no")
            assert (found.health, found.seconds, found.tool) == ("degraded", 0.0, "")
            assert at.prober.last(TIME.ref, "u1") == found
            assert (await at.look(SEEN))["u1"].failures == 1

    run(story())


def test_a_probe_that_outlasts_its_instance_opens_no_session(run: Run) -> None:
    asked, answers = asyncio.Event(), asyncio.Event()

    class Slow(Talk):
        async def list_tools(self, seconds: float) -> Any:
            if asked.is_set() or not slow:
                return ()
            asked.set()
            await answers.wait()
            raise NotFound("SessionLost", "who are you?")

    slow: list[bool] = []

    async def story() -> None:
        async with asyncio.TaskGroup() as tasks:
            at = Round(tasks)
            at.prober = Prober(
                lambda address, of: Slow(at.greetings, address, "time"), at.clock, lambda: 0.0
            )
            at.prober.begin(tasks, at.changed.append)
            await at.look(SEEN)
            slow.append(True)
            wanted = tasks.create_task(at.prober.probe(TIME.ref, "time-0"))
            await asked.wait()
            await at.look()
            answers.set()
            assert (await wanted).finding.outcome == "failed"
            assert (len(at.greetings.asked), at.greetings.sessions) == (1, set())

    run(story())


def test_nobody_is_probed_who_does_not_run(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            assert at.prober.last(TIME.ref, "u1") is None
            with pytest.raises(Conflict, match="not running"):
                await at.prober.probe(TIME.ref, "time-0")
            at.greetings.silent.add("time")
            await at.look(SEEN)
            with pytest.raises(Conflict, match="still starting"):
                await at.prober.probe(TIME.ref, "time-0")
            await at.look(replace(SEEN, state="exited"))
            with pytest.raises(Conflict, match="is not running"):
                await at.prober.probe(TIME.ref, "time-0")

    run(story())


def test_a_forgotten_server_is_asked_nothing_any_more(run: Run) -> None:
    async def story() -> None:
        async with rounds() as at:
            await at.look(SEEN)
            at.prober.forget(TIME.ref)
            await at.wait(100)
            assert (len(at.probed), at.greetings.sessions) == (1, set())
            assert at.clock.sleepers == 0
            at.prober.forget(TIME.ref)

    run(story())
