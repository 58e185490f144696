"""The first conversation with every new instance."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from mooring.controllers.handshakes import Handshakes
from mooring.core.workload import Observed
from mooring.core.world import Belief
from mooring.kinds.ref import Ref
from mooring.kinds.server import InstanceStatus, MCPServer, State
from mooring.testing.clock import FakeClock
from mooring.testing.stage import Greeting, Greetings, server

Run = Callable[[Coroutine[Any, Any, None]], None]

TIME = server("time", handshakeTimeoutSeconds=60)
SEEN = Observed("time-0", "u1", "sum", "running", "http://there/mcp")


class Talks:
    """Handshakes under a clock, with servers that answer as they are told to."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.clock = FakeClock()
        self.greetings = Greetings()
        self.changed: list[Ref] = []
        self.handshakes = Handshakes(self.greetings.greet, self.clock, tasks, self.changed.append)

    async def look(self, *seen: Observed, of: MCPServer = TIME) -> dict[str, Belief]:
        """What is believed once everybody has said what there is to say now."""
        self.handshakes.look(of, seen)
        await self.wait(0)
        return dict(self.handshakes.look(of, seen))

    async def wait(self, seconds: float) -> None:
        """Time passes in small steps."""
        while True:
            await turns()
            if seconds <= 0:
                return
            await self.clock.advance(0.25)
            seconds -= 0.25


async def turns() -> None:
    """Lets everything run that can."""
    loop = asyncio.get_running_loop()
    for _ in range(10):
        turn: asyncio.Future[None] = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


@asynccontextmanager
async def talks() -> AsyncIterator[Talks]:
    async with asyncio.TaskGroup() as tasks:
        found = Talks(tasks)
        yield found
        found.handshakes.forget(TIME.ref)


def with_row(state: State, uid: str = "u1") -> MCPServer:
    row = InstanceStatus(name="time-0", uid=uid, state=state)
    return TIME.model_copy(update={"status": TIME.status.model_copy(update={"instances": (row,)})})


def test_an_instance_that_answers_is_believed(run: Run) -> None:
    async def story() -> None:
        async with talks() as at:
            assert at.handshakes.look(TIME, [SEEN]) == {}
            assert await at.look(SEEN) == {"u1": Belief(True, era="session")}
            assert at.changed == [TIME.ref]
            assert at.greetings.asked == ["http://there/mcp"]

    run(story())


def test_the_answer_tells_era_and_need_of_a_login(run: Run) -> None:
    async def story() -> None:
        async with talks() as at:
            at.greetings.answers["time"] = Greeting("stateless", needs_login=True)
            found = (await at.look(SEEN))["u1"]
            assert (found.era, found.health) == ("stateless", "unauthenticated")

    run(story())


def test_nobody_is_greeted_twice(run: Run) -> None:
    async def story() -> None:
        async with talks() as at:
            for _ in range(5):
                await at.look(SEEN)
            assert len(at.greetings.asked) == 1

    run(story())


@pytest.mark.parametrize("state", ["Ready", "Draining", "ERROR"])
def test_an_instance_whose_row_is_settled_is_not_bothered(run: Run, state: State) -> None:
    async def story() -> None:
        async with talks() as at:
            assert await at.look(SEEN, of=with_row(state)) == {}
            assert at.greetings.asked == []
            assert await at.look(SEEN, of=with_row(state, "u0")) != {}

    run(story())


def test_only_running_instances_are_greeted(run: Run) -> None:
    async def story() -> None:
        async with talks() as at:
            for state in ("installing", "stopping", "exited", "failed"):
                seen: Any = replace(SEEN, state=state)
                assert await at.look(seen) == {}
            assert await at.look(replace(SEEN, address="")) == {}
            assert at.greetings.asked == []

    run(story())


def test_an_instance_that_still_refuses_is_asked_until_it_answers(run: Run) -> None:
    async def story() -> None:
        async with talks() as at:
            at.greetings.refusing.add("time")
            assert await at.look(SEEN) == {}
            await at.wait(10)
            asked = len(at.greetings.asked)
            assert 10 <= asked <= 13
            at.greetings.refusing.clear()
            await at.wait(1)
            assert (await at.look(SEEN))["u1"].shaken

    run(story())


def test_whoever_refuses_for_too_long_has_failed_in_its_own_words(run: Run) -> None:
    async def story() -> None:
        async with talks() as at:
            at.greetings.refusing.add("time")
            await at.look(SEEN)
            await at.wait(59)
            assert await at.look(SEEN) == {}
            await at.wait(2)
            words = "handshake timed out after 60 s: connection refused"
            assert await at.look(SEEN) == {"u1": Belief(False, message=words)}

    run(story())


def test_silence_is_a_failure_after_the_same_time(run: Run) -> None:
    async def story() -> None:
        async with talks() as at:
            at.greetings.silent.add("time")
            await at.look(SEEN)
            await at.wait(61)
            words = "handshake timed out after 60 s"
            assert await at.look(SEEN) == {"u1": Belief(False, message=words)}
            assert len(at.greetings.asked) == 1

    run(story())


def test_an_error_in_answer_is_a_failure_at_once(run: Run) -> None:
    async def story() -> None:
        async with talks() as at:
            at.greetings.rejecting["time"] = "token is required"
            words = "handshake failed: token is required"
            assert await at.look(SEEN) == {"u1": Belief(False, message=words)}

    run(story())


def test_a_fault_of_our_own_is_told_and_hurts_nobody_else(run: Run) -> None:
    async def broken(address: str, server: MCPServer, seconds: float) -> Greeting:
        raise ZeroDivisionError("oops")

    async def story() -> None:
        async with asyncio.TaskGroup() as tasks:
            changed: list[Ref] = []
            handshakes = Handshakes(broken, FakeClock(), tasks, changed.append)
            handshakes.look(TIME, [SEEN])
            await turns()
            found = handshakes.look(TIME, [SEEN])
            assert found == {"u1": Belief(False, message="handshake failed: oops")}

    run(story())


def test_what_was_believed_of_an_instance_goes_with_it(run: Run) -> None:
    async def story() -> None:
        async with talks() as at:
            await at.look(SEEN)
            assert await at.look() == {}
            await at.look(SEEN)
            assert len(at.greetings.asked) == 2

    run(story())


def test_a_conversation_with_an_instance_that_ended_is_broken_off(run: Run) -> None:
    async def story() -> None:
        async with talks() as at:
            at.greetings.silent.add("time")
            await at.look(SEEN)
            await at.look(replace(SEEN, state="exited"))
            await at.wait(100)
            assert at.changed == []
            assert at.clock.sleepers == 0

    run(story())


def test_a_forgotten_server_is_not_talked_to_any_more(run: Run) -> None:
    async def story() -> None:
        async with talks() as at:
            at.greetings.silent.add("time")
            await at.look(SEEN)
            at.handshakes.forget(TIME.ref)
            await at.wait(100)
            assert at.changed == []
            at.handshakes.forget(TIME.ref)

    run(story())
