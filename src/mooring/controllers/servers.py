"""Servers: look at one, decide, act, report.

Every pass looks at everything again: the object, its secrets, its instances, what is believed
of them. Nothing is remembered between passes but beliefs, so that a crash in the middle of one
is made good by the next.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from mooring.clock import Clock
from mooring.controllers.prober import Prober
from mooring.controllers.recorder import Recorder
from mooring.controllers.secrets import SecretReader
from mooring.core.actions import Stop
from mooring.core.environment import Complaint, Known, resolve
from mooring.core.events import Happening
from mooring.core.load import Loads
from mooring.core.ports import ObjectStore, Runtime, SecretStore
from mooring.core.reconcile import decide
from mooring.core.reporting import Reports
from mooring.core.revisions import as_it_was
from mooring.core.veil import Veil
from mooring.core.workload import Observed, Workload, prepare
from mooring.core.world import World
from mooring.errors import Conflict, Unavailable
from mooring.kinds.base import FINALIZER
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer, ServerStatus

RUNNABLE = frozenset({"command", "pypi", "npm", "url"})
"""Sources that run on one machine without a container runtime."""
HIDDEN = 100
"""Earlier values of one server that are kept out of what it says, too."""
REPORTS = 3
"""Attempts at a status while somebody keeps changing the spec."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What does not change while Mooring runs."""

    base: str
    """Where the gateway listens: `http://127.0.0.1:8470`."""
    loads: Callable[[], Loads]
    """How busy each instance is, over all gateways."""
    chance: Callable[[], float]
    """A number from 0 up to 1, another one every time."""
    own: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Mooring's own environment: never shown."""
    sources: Collection[str] = RUNNABLE
    secrets: Mapping[str, SecretStore] = field(default_factory=dict)
    """Stores of secrets beside Secret objects, by name."""
    pepper: bytes = field(default=b"", repr=False)
    """Keeps guesses from being tried on checksums that a value went into."""
    reports: Reports = field(default_factory=Reports)
    """Of gateways."""
    heard_since: datetime | None = None
    """When gateways began to be listened to."""


class ServerReconciler:
    """Brings servers closer to what is wanted, one pass at a time."""

    def __init__(
        self,
        store: ObjectStore,
        runtime: Runtime,
        clock: Clock,
        prober: Prober,
        recorder: Recorder,
        around: Surroundings,
    ) -> None:
        self.secrets = SecretReader(store, around.secrets, clock)
        self._store = store
        self._runtime = runtime
        self._clock = clock
        self._prober = prober
        self._recorder = recorder
        self._around = around
        self._hidden: dict[Ref, list[str]] = {}
        """Values of secrets that each server was given, the newest last: never shown."""

    async def reconcile(self, ref: Ref) -> datetime | None:
        """One step towards what is wanted; returns when to come back, if time matters."""
        server = await self._store.get(ref)
        if not isinstance(server, MCPServer):
            await self._abandon(ref)
            return None
        server = await self._hold(server)
        try:
            return await self._step(server)
        except Unavailable as error:
            self._recorder.record(server, [Happening(error.reason, error.message, warning=True)])
            raise

    async def _step(self, server: MCPServer) -> datetime | None:
        world = await self._look(server)
        decision = decide(server, world, self._clock.now(), self._around.chance())
        for action in decision.actions:
            await self._runtime.perform(action)
        server = await self._report(server, decision.status)
        self._recorder.record(server, decision.happenings)
        if decision.release:
            await self._release(server)
        return decision.wake_at

    async def _look(self, server: MCPServer) -> World:
        observed = await self._runtime.observe(server.ref)
        target = await self._prepared(server)
        earlier = await self._earlier(server, target.checksum)
        declared = {checksum: one for checksum, (one, _) in earlier.items()}
        veil = self._veil(server.ref, [target, *(workload for _, workload in earlier.values())])
        return World(
            observed=tuple(_covered(one, veil) for one in observed),
            target=target,
            beliefs=self._prober.look(server, observed, declared, veil),
            loads=self._around.loads(),
            heard_since=self._around.heard_since,
            store_trouble=self._around.reports.store_trouble(self._clock.monotonic()),
            earlier={checksum: workload for checksum, (_, workload) in earlier.items()},
            base=self._around.base,
        )

    def _veil(self, ref: Ref, made: Iterable[Workload | Complaint]) -> Veil:
        """Covers the values that instances were given since Mooring was started."""
        workloads = [one for one in made if isinstance(one, Workload)]
        now = {one.env[name] for one in workloads for name in one.hidden}
        before = [value for value in self._hidden.get(ref, ()) if value not in now]
        self._hidden[ref] = [*before[-HIDDEN:], *sorted(now)]
        return Veil(self._hidden[ref])

    async def _prepared(self, server: MCPServer) -> Workload | Complaint:
        around = self._around
        secrets = await self.secrets.read(server)
        environment = resolve(server, Known(secrets, around.own, around.pepper))
        return prepare(server, environment, around.sources)

    async def _earlier(
        self, server: MCPServer, present: str
    ) -> Mapping[str, tuple[MCPServer, Workload]]:
        """What instances of earlier revisions were declared as, and the workloads they serve with.

        By checksum.
        """
        wanted = {row.checksum for row in server.status.instances} - {"", present}
        found: dict[str, tuple[MCPServer, Workload]] = {}
        for revision in reversed(server.status.revisions):
            if not wanted - found.keys():
                break
            declared = as_it_was(server, revision)
            made = await self._prepared(declared) if declared else None
            if declared and isinstance(made, Workload) and made.checksum in wanted:
                found.setdefault(made.checksum, (declared, made))
        return found

    async def _hold(self, server: MCPServer) -> MCPServer:
        """Sees to it that the object stays until its instances are gone."""
        meta = server.metadata
        if meta.deletion_timestamp is not None or FINALIZER in meta.finalizers:
            return server
        held = meta.model_copy(update={"finalizers": (*meta.finalizers, FINALIZER)})
        return await self._store.put(server.model_copy(update={"metadata": held}))

    async def _report(self, server: MCPServer, status: ServerStatus) -> MCPServer:
        """Writes the status; a spec that was changed meanwhile is no reason to lose it."""
        before = server.status
        if status == before:
            return server
        for attempt in range(1, REPORTS + 1):
            try:
                return await self._store.report(server.model_copy(update={"status": status}))
            except Conflict:
                latest = await self._store.get(server.ref)
                if not isinstance(latest, MCPServer) or attempt == REPORTS:
                    raise
                if latest.metadata.uid != server.metadata.uid or latest.status != before:
                    raise
                server = latest
        return server

    async def _release(self, server: MCPServer) -> None:
        """Lets a deleted object go."""
        rest = tuple(name for name in server.metadata.finalizers if name != FINALIZER)
        meta = server.metadata.model_copy(update={"finalizers": rest})
        self._prober.forget(server.ref)
        self._hidden.pop(server.ref, None)
        await self._store.put(server.model_copy(update={"metadata": meta}))

    async def _abandon(self, ref: Ref) -> None:
        """Ends the instances of a server that nobody knows any more."""
        self._prober.forget(ref)
        self._hidden.pop(ref, None)
        for seen in await self._runtime.observe(ref):
            if seen.state != "stopping":
                await self._runtime.perform(Stop(ref, seen.name, seen.uid, "its server is gone"))


def _covered(seen: Observed, veil: Veil) -> Observed:
    """The instance, with what it said last as it may be told."""
    if seen.ended is None or not seen.ended.last_line:
        return seen
    return replace(seen, ended=replace(seen.ended, last_line=veil.text(seen.ended.last_line)))
