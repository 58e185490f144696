"""One instance, and what is found out about it for as long as it is there.

First it is greeted; then it is probed, at once and ever after, in the one session that the
greeting opened. Probes of one instance never overlap: whoever wants one now waits for the one
under way. One that was ready before Mooring was started again is not greeted anew, and its
first probe comes at some moment of its interval, so that not all of them come together.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mooring.controllers.contact import Answer, Practice
from mooring.controllers.handshakes import greet
from mooring.core.aggregate_items import Lists
from mooring.core.health import Finding, Probe, believe, verdict
from mooring.core.repeating import safe_tools
from mooring.core.veil import CLEAR, Veil
from mooring.core.workload import Observed
from mooring.core.world import Belief
from mooring.errors import Conflict, Denied, MooringError, NotFound
from mooring.kinds.server import HealthCheck, MCPServer

JITTER = 0.1
"""A probe comes up to this part of the interval earlier, so that probes spread."""
LIST_EVERY = 10
"""Where a tool is called, tools are listed with every so many probes."""


class Patient:
    """One instance."""

    def __init__(
        self,
        server: MCPServer,
        instance: Observed,
        practice: Practice,
        known: Belief | None,
        veil: Veil = CLEAR,
    ) -> None:
        """`known`: what was believed of it before Mooring was started again.

        `veil`: covers what it says but must not be told.
        """
        self.name = instance.name
        self.belief = known
        """None until it was greeted."""
        self.last: Probe | None = None
        self.left = False
        """Nobody looks after it any more."""
        self._server = server
        self._veil = veil
        self._practice = practice
        self._contact = practice.connect(instance.address, server)
        self._lasting = instance.address.startswith("unix:")
        """The keeper holds its session, and gives it to the Mooring that comes after us."""
        self._turn = asyncio.Lock()
        self._connected = False
        self._able: Mapping[str, Any] = {"tools": {}}
        self._tools: tuple[Mapping[str, Any], ...] | None = None
        self._probes = 0
        self._due = 0.0
        self._nap: asyncio.Task[None] | None = None
        self._life: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Starts to look after it."""
        self._life = self._practice.tasks.create_task(self._live(), name=f"probe {self.name}")

    def leave(self) -> None:
        """It is on its way out: its session ends, and nobody asks it any more."""
        self.left = True
        if self._life is not None:
            self._life.cancel()

    def renew(self, server: MCPServer, veil: Veil = CLEAR) -> None:
        """The server as it is declared now; another health check is tried at once."""
        before, self._server = self._server.spec, server
        self._veil = veil
        if before.health_check != server.spec.health_check and self.belief is not None:
            self._due = self._practice.clock.monotonic()
            if self._nap is not None:
                self._nap.cancel()
        if before.retry != server.spec.retry and self.belief is not None:
            self._hold(self._with_tools(self.belief))

    async def probe(self) -> Probe:
        """Asks it now. Raises Conflict "NotRunning" where there is nobody to ask."""
        if self.belief is None and not self.left:
            raise Conflict("NotRunning", f"instance/{self.name} is still starting")
        async with self._turn:
            if self.left or self.belief is None:
                raise Conflict("NotRunning", f"instance/{self.name} is not running")
            return await self._probe(self.belief)

    async def lists(self) -> Lists:
        """Everything that it offers. Raises Conflict "NotRunning", or as a contact does."""
        async with self._turn:
            if self.left or self.belief is None:
                raise Conflict("NotRunning", f"instance/{self.name} is not running")
            seconds = self._server.spec.health_check.timeout_seconds
            if self._connected:
                try:
                    return await self._contact.lists(self._able, seconds)
                except NotFound as error:
                    if error.reason != "SessionLost":
                        raise
            self._connect(await self._contact.handshake(seconds, self._server.spec.eras))
            if not self._connected:
                raise Denied("LoginNeeded", f"instance/{self.name} wants the caller's own login")
            return await self._contact.lists(self._able, seconds)

    # -- its life ---------------------------------------------------------------------------

    async def _live(self) -> None:
        clock = self._practice.clock
        try:
            if self.belief is None or not self.belief.shaken:
                async with self._turn:
                    await self._greet()
                self._due = clock.monotonic()
            else:
                interval = self._server.spec.health_check.interval_seconds
                self._due = clock.monotonic() + interval * self._practice.chance()
            while self.belief is not None and _hopeful(self.belief):
                left = self._due - clock.monotonic()
                if left > 0:
                    await self._rest(left)
                    continue
                async with self._turn:
                    if self._due <= clock.monotonic():  # nobody else has asked meanwhile
                        await self._probe(self.belief)
        finally:
            if self.left or not self._lasting:
                await self._contact.close()

    async def _rest(self, seconds: float) -> None:
        """Until then, or until the health check changes."""
        self._nap = self._practice.tasks.create_task(self._practice.clock.sleep(seconds))
        try:
            await asyncio.wait((self._nap,))
        finally:
            self._nap.cancel()
            self._nap = None

    async def _greet(self) -> None:
        answer = await greet(self._contact, self._server, self.name, self._practice.clock)
        if isinstance(answer, str):
            self._hold(Belief(False, health="unhealthy", message=self._veil.text(answer)))
            return
        self._connect(answer)
        before = self.belief or Belief(False, health="unknown", settled=False)
        before = replace(before, era=answer.era)
        check = self._server.spec.health_check
        if answer.needs_login:
            self._hold(believe(before, Finding("login"), check.failure_threshold))
        elif check.tool is None:
            self._hold(believe(before, Finding("answered"), check.failure_threshold))
        else:
            self._hold(before)

    def _connect(self, answer: Answer) -> None:
        self._connected = not answer.needs_login
        self._able = answer.capabilities

    # -- one probe --------------------------------------------------------------------------

    async def _probe(self, belief: Belief) -> Probe:
        clock, check = self._practice.clock, self._server.spec.health_check
        at, began = clock.now(), clock.monotonic()
        pause = check.interval_seconds * (1 - JITTER * self._practice.chance())
        self._due = began + pause
        found = await self._find_out(check)
        found = replace(found, message=self._veil.text(found.message))
        self._probes += 1
        after = believe(self._with_tools(belief), found, check.failure_threshold)
        seconds = clock.monotonic() - began
        self.last = Probe(at, seconds, found, after.health, check.tool or "")
        self._hold(after)
        return self.last

    async def _find_out(self, check: HealthCheck) -> Finding:
        try:
            return await self._ask(check)
        except Denied:
            return Finding("login")
        except MooringError as error:
            if error.reason == "UpstreamTimeout":
                return Finding("failed", f"timed out after {check.timeout_seconds:g} s")
            if error.reason == "UpstreamBusy":
                return Finding("busy", error.message)
            return Finding("failed", error.message)
        except Exception as error:  # noqa: BLE001 - what one server makes us stumble over is its own
            return Finding("failed", str(error) or type(error).__name__)

    async def _ask(self, check: HealthCheck) -> Finding:
        """In the session that there is; in a new one, where the instance has forgotten it."""
        clock = self._practice.clock
        end = clock.monotonic() + check.timeout_seconds
        if self._connected:
            try:
                return await self._examine(check, end)
            except NotFound as error:
                if error.reason != "SessionLost" or self.left:
                    raise
        left = max(end - clock.monotonic(), 0.001)
        answer = await self._contact.handshake(left, self._server.spec.eras)
        self._connect(answer)
        if answer.needs_login:
            return Finding("login")
        return await self._examine(check, end)

    async def _examine(self, check: HealthCheck, end: float) -> Finding:
        """The probe proper, until then."""
        left = max(end - self._practice.clock.monotonic(), 0.001)
        if check.tool is None:
            if "tools" in self._able:
                self._note(await self._contact.list_tools(left))
            else:
                await self._contact.ping(left)
            return Finding("answered")
        result = await self._contact.call_tool(check.tool, dict(check.arguments), left)
        found = verdict(result)
        due = self._tools is None or self._probes % LIST_EVERY == 0
        if due and found.outcome == "answered":
            await self._list(max(end - self._practice.clock.monotonic(), 0.001))
        return found

    async def _list(self, seconds: float) -> None:
        """Its tools, where they can be had; whether it is well is not asked here."""
        try:
            self._note(await self._contact.list_tools(seconds))
        except MooringError:
            self._tools = self._tools or ()

    # -- what is known ----------------------------------------------------------------------

    def _note(self, tools: Sequence[Mapping[str, Any]]) -> None:
        """Keeps of its tools what decides whether they may be called twice."""
        self._tools = tuple(
            {"name": tool.get("name"), "annotations": tool.get("annotations")} for tool in tools
        )

    def _with_tools(self, belief: Belief) -> Belief:
        if self._tools is None:
            return belief
        return replace(belief, safe_tools=safe_tools(self._tools, self._server.spec.retry))

    def _hold(self, belief: Belief) -> None:
        """Believes this from now on."""
        if belief != self.belief:
            self.belief = belief
            self._practice.changed(self._server.ref)


def _hopeful(belief: Belief) -> bool:
    """Whether there is something to find out: it is not, or not yet, given up."""
    return belief.shaken or not belief.settled
