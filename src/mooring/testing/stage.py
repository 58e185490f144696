"""Mooring's control plane on a stage: real controllers, and a world that tests direct.

Objects are in memory, instances are a fake runtime's, what servers answer is made up, and time
passes when the test says so. The stage outlives the controllers, as the keeper and the store
do: `at_work` twice is a restart of Mooring.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from mooring.controllers.loop import Controllers
from mooring.controllers.servers import Surroundings
from mooring.core.load import Load
from mooring.core.ports import SecretStore
from mooring.errors import Invalid, Unavailable
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


class Greetings:
    """What servers answer to a handshake, by name; a healthy greeting, unless told otherwise."""

    def __init__(self) -> None:
        self.answers: dict[str, Greeting] = {}
        self.refusing: set[str] = set()
        """They refuse connections."""
        self.rejecting: dict[str, str] = {}
        """They answer with an error, in these words."""
        self.silent: set[str] = set()
        """They never answer."""
        self.asked: list[str] = []
        """Every address that was greeted, in order."""

    async def greet(self, address: str, server: MCPServer, seconds: float) -> Greeting:
        """A handshake, as the controllers are given it."""
        name = server.metadata.name
        self.asked.append(address)
        if name in self.silent:
            await asyncio.get_running_loop().create_future()
        if name in self.refusing:
            raise Unavailable("UpstreamRefused", "connection refused")
        if name in self.rejecting:
            raise Invalid("BadRequest", self.rejecting[name])
        return self.answers.get(name, Greeting())


class Stage:
    """The world around the controllers, and the hands of its clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.runtime = FakeRuntime(self.clock)
        self.greetings = Greetings()
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
        self._controllers = Controllers(
            self.store, self.runtime, self.clock, self.greetings.greet, around
        )
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
