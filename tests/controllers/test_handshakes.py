"""The first conversation with a new instance."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from mooring.controllers.handshakes import greet
from mooring.testing.clock import FakeClock
from mooring.testing.stage import Greeting, Greetings, Talk, server

Run = Callable[[Coroutine[Any, Any, None]], None]

TIME = server("time", handshakeTimeoutSeconds=60)


class Scene:
    """A server that answers as it is told to, and the hands of the clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.greetings = Greetings(self.clock)
        self.came: Any = None

    async def greet(self, seconds: float, contact: Any = None) -> Any:
        """What came of it after so many seconds; None while it goes on."""
        contact = contact or Talk(self.greetings, "http://there/mcp", "time")
        async with asyncio.TaskGroup() as tasks:
            talk = tasks.create_task(greet(contact, TIME, "time-0", self.clock))
            done, _ = await asyncio.wait((talk,), timeout=0.001)
            while seconds > 0 and not talk.done():
                await self.clock.advance(0.25)
                done, _ = await asyncio.wait((talk,), timeout=0)
                seconds -= 0.25
            if not done:
                talk.cancel()
            return talk.result() if done else None


def test_an_instance_that_answers_says_what_it_is(run: Run) -> None:
    async def story() -> None:
        at = Scene()
        at.greetings.answers["time"] = Greeting("stateless", needs_login=True)
        answer = await at.greet(0)
        assert (answer.era, answer.needs_login) == ("stateless", True)
        assert at.greetings.asked == ["http://there/mcp"]

    run(story())


def test_one_that_still_refuses_is_asked_until_it_answers(run: Run) -> None:
    async def story() -> None:
        at = Scene()
        at.greetings.refusing.add("time")
        assert await at.greet(10) is None
        assert 10 <= len(at.greetings.asked) <= 13
        at.greetings.refusing.clear()
        assert (await at.greet(1)).era == "session"

    run(story())


def test_whoever_refuses_for_too_long_has_failed_in_its_own_words(run: Run) -> None:
    async def story() -> None:
        at = Scene()
        at.greetings.refusing.add("time")
        assert await at.greet(59) is None
        at = Scene()
        at.greetings.refusing.add("time")
        assert await at.greet(61) == "handshake timed out after 60 s: connection refused"

    run(story())


def test_silence_is_a_failure_after_the_same_time(run: Run) -> None:
    async def story() -> None:
        at = Scene()
        at.greetings.silent.add("time")
        assert await at.greet(61) == "handshake timed out after 60 s"
        assert len(at.greetings.asked) == 1

    run(story())


def test_an_error_in_answer_is_a_failure_at_once(run: Run) -> None:
    async def story() -> None:
        at = Scene()
        at.greetings.rejecting["time"] = "token is required"
        assert await at.greet(0) == "handshake failed: token is required"

    run(story())


def test_what_we_stumble_over_is_told(run: Run) -> None:
    class Broken:
        async def handshake(self, seconds: float, eras: str) -> None:
            raise ZeroDivisionError("oops")

    async def story() -> None:
        assert await Scene().greet(0, Broken()) == "handshake failed: oops"

    run(story())
