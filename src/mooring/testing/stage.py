"""Mooring's control plane on a stage: real controllers, and a world that tests direct.

Objects are in memory, instances are a fake runtime's, what servers answer is made up, and time
passes when the test says so. The stage outlives the controllers, as the keeper and the store
do: `at_work` twice is a restart of Mooring.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from mooring.clock import Clock
from mooring.controllers.loop import Controllers
from mooring.controllers.prober import Prober
from mooring.controllers.servers import Surroundings
from mooring.core.aggregate_items import Lists
from mooring.core.load import Load
from mooring.core.ports import SecretStore
from mooring.errors import Denied, Invalid, NotFound, Unavailable
from mooring.kinds.base import Object, ObjectMeta
from mooring.kinds.event import Event
from mooring.kinds.ref import Ref
from mooring.kinds.secret import Secret
from mooring.kinds.server import InstanceStatus, MCPServer, ServerStatus
from mooring.stores.memory import MemoryStore
from mooring.testing.clock import FakeClock
from mooring.testing.runtime import FakeRuntime

QUIET_TURNS = 20
PATIENCE = 20_000
"""Turns of the loop until something that never comes to rest is given up."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a handshake found out."""

    era: Literal["session", "stateless"] = "session"
    needs_login: bool = False
    capabilities: Mapping[str, Any] = field(default_factory=lambda: {"tools": {}})


class Greetings:
    """What servers answer, by name; all is well, unless told otherwise."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.answers: dict[str, Greeting] = {}
        self.refusing: set[str] = set()
        """They refuse connections."""
        self.rejecting: dict[str, str] = {}
        """They answer a handshake with an error, in these words."""
        self.silent: set[str] = set()
        """They never answer a handshake."""
        self.tools: dict[str, Sequence[Mapping[str, Any]]] = {}
        """What they list."""
        self.unlisted: set[str] = set()
        """They refuse to list anything when they are asked for everything."""
        self.prompts: dict[str, Sequence[Mapping[str, Any]]] = {}
        self.results: dict[str, Mapping[str, Any]] = {}
        """What their tools answer."""
        self.failing: dict[str, Exception] = {}
        """What comes of every question after the handshake."""
        self.hanging: set[str] = set()
        """They answer nothing after the handshake."""
        self.asked: list[str] = []
        """Every address that was greeted, in order."""
        self.probed: list[str] = []
        """Every question after a handshake, in order: `time-0 tools/list`."""
        self.sessions: set[str] = set()
        """Sessions that are open."""
        self.forgotten: set[str] = set()
        """Addresses that know none of their sessions any more, until they are greeted again."""

    def connect(self, address: str, server: MCPServer) -> "Talk":
        """A contact, as the controllers are given it."""
        return Talk(self, address, server.metadata.name)


class Talk:
    """Passes the contract of `mooring.controllers.contact.Contact`."""

    def __init__(self, greetings: Greetings, address: str, name: str) -> None:
        self._greetings = greetings
        self._address = address
        self._name = name
        self._session = ""

    async def handshake(self, seconds: float, eras: str) -> Greeting:
        known = self._greetings
        await self.close()
        known.asked.append(self._address)
        if self._name in known.silent:
            await self._wait_in_vain(seconds)
        if self._name in known.refusing:
            raise Unavailable("UpstreamRefused", "connection refused")
        if self._name in known.rejecting:
            raise Invalid("BadRequest", known.rejecting[self._name])
        answer = known.answers.get(self._name, Greeting())
        if answer.era == "session" and not answer.needs_login:
            self._session = f"{self._address} {len(known.asked)}"
            known.sessions.add(self._session)
            known.forgotten.discard(self._address)
        return answer

    async def list_tools(self, seconds: float) -> Sequence[Mapping[str, Any]]:
        await self._answer("tools/list", seconds)
        return self._greetings.tools.get(self._name, ())

    async def lists(self, able: Mapping[str, Any], seconds: float) -> Lists:
        await self._answer("lists", seconds)
        known = self._greetings
        if self._name in known.unlisted:
            raise Invalid("UpstreamRejected", "no such method")
        tools = known.tools.get(self._name, ()) if "tools" in able else ()
        prompts = known.prompts.get(self._name, ())
        return Lists(
            tools=[json.dumps(tool).encode() for tool in tools],
            prompts=[json.dumps(prompt).encode() for prompt in prompts],
        )

    async def call_tool(
        self, name: str, arguments: dict[str, Any], seconds: float
    ) -> Mapping[str, Any]:
        await self._answer(f"tools/call {name} {arguments}", seconds)
        return self._greetings.results.get(self._name, {"content": []})

    async def ping(self, seconds: float) -> None:
        await self._answer("ping", seconds)

    async def close(self) -> None:
        self._greetings.sessions.discard(self._session)
        self._session = ""

    async def _answer(self, question: str, seconds: float) -> None:
        known = self._greetings
        known.probed.append(f"{self._address.split('/')[2]} {question}")
        if self._name in known.hanging:
            await self._wait_in_vain(seconds)
        if self._name in known.failing:
            raise known.failing[self._name]
        if known.answers.get(self._name, Greeting()).needs_login:
            raise Denied("LoginNeeded", "who are you?")
        if self._address in known.forgotten:
            await self.close()
            raise NotFound("SessionLost", "the server has forgotten the session")

    async def _wait_in_vain(self, seconds: float) -> None:
        await self._greetings.clock.sleep(seconds)
        raise Unavailable("UpstreamTimeout", f"timed out after {seconds:g} s")


class Stage:
    """The world around the controllers, and the hands of its clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.runtime = FakeRuntime(self.clock)
        self.greetings = Greetings(self.clock)
        self.loads: dict[str, Load] = {}
        self.own: dict[str, str] = {}
        self.secrets: dict[str, SecretStore] = {}
        """Stores of secrets beside Secret objects, by name."""
        self._controllers: Controllers | None = None

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Mooring runs inside; at the end it is cancelled, and everything around it stays."""
        around = Surroundings(
            base="http://127.0.0.1:8470",
            loads=lambda: self.loads,
            chance=lambda: 0.5,
            own=self.own,
            secrets=self.secrets,
        )
        self.prober = Prober(self.greetings.connect, self.clock, lambda: 0.5)
        self._controllers = Controllers(self.store, self.runtime, self.clock, self.prober, around)
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(self._controllers.run())
            await self.settle()
            try:
                yield
            finally:
                work.cancel()

    async def settle(self) -> None:
        """Returns when nothing more happens until time passes."""
        quiet = 0
        for _ in range(PATIENCE):
            await asyncio.sleep(0)
            quiet = quiet + 1 if self._controllers and self._controllers.idle else 0
            if quiet >= QUIET_TURNS:
                return
        raise AssertionError("it never comes to rest")

    async def wait(self, seconds: float, step: float = 0.25) -> None:
        """Lets time pass in small steps, and everything happen that it brings."""
        await self.settle()
        while seconds > 0:
            await self.clock.advance(min(step, seconds))
            await self.settle()
            seconds -= step

    async def apply(self, name: str, **spec: Any) -> MCPServer:
        """Declares a server, or changes what was declared; `spec` is as in a manifest."""
        wanted = server(name, **spec)
        before = await self.store.get(wanted.ref)
        if isinstance(before, MCPServer):
            wanted = before.model_copy(update={"spec": wanted.spec})
        stored = await self.store.put(wanted)
        await self.settle()
        return stored

    async def annotate(self, name: str, **annotations: str) -> None:
        """Gives a server these annotations, and no others."""
        found = await self.find(name)
        assert found is not None, f"{name} is gone"
        meta = found.metadata.model_copy(update={"annotations": annotations})
        await self.store.put(found.model_copy(update={"metadata": meta}))
        await self.settle()

    async def secret(self, name: str, **values: str) -> None:
        """Makes a secret, or changes it."""
        wanted = Secret.model_validate({"metadata": {"name": name}, "stringData": values})
        before = await self.store.get(wanted.ref)
        if before is not None:
            wanted = wanted.model_copy(update={"metadata": before.metadata})
        await self.store.put(wanted)
        await self.settle()

    async def delete(self, name: str) -> None:
        """Deletes a server."""
        await self.store.delete(ref(name))
        await self.settle()

    async def find(self, name: str) -> MCPServer | None:
        """A server as it is stored; None where it is gone."""
        found = await self.store.get(ref(name))
        return found if isinstance(found, MCPServer) else None

    async def status(self, name: str) -> ServerStatus:
        """What is said of a server that is there."""
        found = await self.find(name)
        assert found is not None, f"{name} is gone"
        return found.status

    async def rows(self, name: str) -> Mapping[str, InstanceStatus]:
        """The instances of a server that is there."""
        return {row.name: row for row in (await self.status(name)).instances}

    async def states(self, name: str) -> dict[str, str]:
        """The instances of a server that is there, and the state of each."""
        return {row.name: row.state for row in (await self.status(name)).instances}

    async def events(self, name: str) -> list[Event]:
        """What happened to a server, in the order in which it happened first."""
        listing = await self.store.list("Event")
        found = [
            e for e in listing.items if isinstance(e, Event) and e.involved_object.name == name
        ]
        return sorted(found, key=lambda event: int(event.metadata.resource_version))


def ref(name: str) -> Ref:
    """A server's name."""
    return Ref("MCPServer", "default", name)


def server(name: str, **spec: Any) -> MCPServer:
    """A server as somebody declares it; a command, unless a source is given."""
    document = {"source": {"command": ["serve"]}, **spec}
    found: Object = MCPServer.model_validate({"metadata": ObjectMeta(name=name), "spec": document})
    assert isinstance(found, MCPServer)
    return found
