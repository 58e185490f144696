"""Is it ready? The first conversation with every new instance.

A running instance is ready once it has completed an MCP handshake. It is asked again and again
while it still refuses connections, until the server's handshakeTimeoutSeconds have passed.
What came of it is believed of that uid for as long as the instance exists. An instance that
was ready before Mooring was restarted is not bothered again: its row says so.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Literal, Protocol

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.workload import Observed
from mooring.core.world import Belief
from mooring.errors import MooringError
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 1.0
JUDGED = ("Ready", "Draining", "ERROR")
"""States of a row whose instance needs no handshake (any more)."""


class Answer(Protocol):
    """What a handshake found out."""

    @property
    def era(self) -> Literal["session", "stateless"]:
        """Which era the instance speaks."""
        ...

    @property
    def needs_login(self) -> bool:
        """It is alive, and serves only users that it knows."""
        ...


Handshake = Callable[[str, MCPServer, float], Awaitable[Answer]]
"""Greets the instance at an address, within so many seconds; raises MooringError."""


class Handshakes:
    """Beliefs about running instances, by uid, and the conversations that they come from."""

    def __init__(
        self,
        greet: Handshake,
        clock: Clock,
        tasks: asyncio.TaskGroup,
        changed: Callable[[Ref], None],
    ) -> None:
        self._greet = greet
        self._clock = clock
        self._tasks = tasks
        self._changed = changed
        self._beliefs: dict[Ref, dict[str, Belief]] = {}
        self._talks: dict[Ref, dict[str, asyncio.Task[None]]] = {}

    def look(self, server: MCPServer, observed: Iterable[Observed]) -> Mapping[str, Belief]:
        """What is believed of these instances; greets those that nobody has greeted yet."""
        seen = tuple(observed)
        running = {one.uid: one for one in seen if one.state == "running" and one.address}
        beliefs = self._beliefs.setdefault(server.ref, {})
        talks = self._talks.setdefault(server.ref, {})
        for uid in beliefs.keys() - {one.uid for one in seen}:
            del beliefs[uid]
        for uid in talks.keys() - running.keys():
            talks.pop(uid).cancel()
        judged = {row.uid for row in server.status.instances if row.state in JUDGED}
        for uid in sorted(running.keys() - beliefs.keys() - talks.keys() - judged):
            talk = self._talk(server, running[uid])
            talks[uid] = self._tasks.create_task(talk, name=f"handshake {running[uid].name}")
        return dict(beliefs)

    def forget(self, ref: Ref) -> None:
        """Nothing of this server exists any more."""
        self._beliefs.pop(ref, None)
        for talk in self._talks.pop(ref, {}).values():
            talk.cancel()

    async def _talk(self, server: MCPServer, instance: Observed) -> None:
        belief = await self._find_out(server, instance)
        self._beliefs.setdefault(server.ref, {})[instance.uid] = belief
        self._talks.get(server.ref, {}).pop(instance.uid, None)
        self._changed(server.ref)

    async def _find_out(self, server: MCPServer, instance: Observed) -> Belief:
        seconds = server.spec.handshake_timeout_seconds
        words: list[str] = []
        try:
            async with asyncio.timeout(None) as limit:
                alarm = self._tasks.create_task(self._expire(limit, seconds))
                try:
                    return await self._ask(server, instance, words)
                finally:
                    alarm.cancel()
        except TimeoutError:
            last = f": {words[-1]}" if words else ""
            return Belief(False, message=f"handshake timed out after {seconds} s{last}")
        except MooringError as error:
            return Belief(False, message=f"handshake failed: {error.message}")
        except Exception as error:  # noqa: BLE001 - one strange server must not end the others
            telemetry.event(
                "handshake.broke", logging.ERROR, instance=instance.name, error=repr(error)
            )
            return Belief(False, message=f"handshake failed: {error}")

    async def _ask(self, server: MCPServer, instance: Observed, words: list[str]) -> Belief:
        """Until it answers; what it said while it did not goes into `words`."""
        began = self._clock.monotonic()
        pause = FIRST_PAUSE
        while True:
            left = server.spec.handshake_timeout_seconds - (self._clock.monotonic() - began)
            try:
                answer = await self._greet(instance.address, server, max(left, 0.001))
                return _belief(answer)
            except MooringError as error:
                if not error.retryable:
                    raise
                words.append(error.message)
                del words[:-1]
            await self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _expire(self, limit: asyncio.Timeout, seconds: float) -> None:
        await self._clock.sleep(seconds)
        limit.reschedule(asyncio.get_running_loop().time())


def _belief(answer: Answer) -> Belief:
    health: Literal["unauthenticated", "healthy"]
    health = "unauthenticated" if answer.needs_login else "healthy"
    return Belief(True, era=answer.era, health=health)
