"""The loop: what happened leads to a look at the object that it happened to.

Four kinds of news fill one queue: changed objects (a server; a secret, for the servers that
use it; a server, for its group and the virtual servers of that), changed instances, changed
beliefs and lists, and time. Once a minute every server is looked at whatever happened. Objects
are looked at side by side, so that a slow one delays no other.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from mooring import telemetry
from mooring.clock import Clock
from mooring.controllers.catalogs import Catalogs
from mooring.controllers.follow import Listener, follow
from mooring.controllers.gateways import GatewayNews
from mooring.controllers.groups import GroupReconciler
from mooring.controllers.prober import Prober
from mooring.controllers.queue import Queue
from mooring.controllers.recorder import Recorder
from mooring.controllers.servers import ServerReconciler, Surroundings
from mooring.controllers.virtual import Outlook, VirtualReconciler
from mooring.core import backoff
from mooring.core.environment import secret_names
from mooring.core.ports import Change, ObjectStore, Runtime
from mooring.errors import MooringError
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer
from mooring.kinds.virtual import VirtualMCPServer

SIDE_BY_SIDE = 64
"""Objects looked at at the same time."""
RESYNC = 60.0
"""Seconds between looks at everything."""
AT_ONCE = 16
"""Objects of such a look that are asked for in one go, so that requests are not held up."""
BREATH = 0.05


Reconciler = Callable[[Ref], Awaitable[datetime | None]]
"""One step towards what is wanted of an object; returns when to come back, if time matters."""


class Controllers:
    """All controllers of one installation; `run` is them at work."""

    def __init__(
        self,
        store: ObjectStore,
        runtime: Runtime,
        clock: Clock,
        prober: Prober,
        around: Surroundings,
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._clock = clock
        self._prober = prober
        self._around = around
        self._recorder = Recorder(store, clock)
        self._servers: dict[Ref, MCPServer] = {}
        self._virtuals: dict[Ref, VirtualMCPServer] = {}
        self.catalogs = Catalogs(prober.lists, clock)
        self._queue: Queue | None = None
        self.looked = asyncio.Event()
        """Set once every server that was there at the start has been looked at: until then its
        status is what was true when Mooring ended."""
        self._unseen: set[Ref] | None = None

    async def run(self) -> None:
        """Works until it is cancelled; then writes the events that are not written yet."""
        async with asyncio.TaskGroup() as tasks:
            queue = self._queue = Queue(self._clock, tasks)
            self._prober.begin(tasks, queue.add)
            servers = ServerReconciler(
                self._store, self._runtime, self._clock, self._prober, self._recorder, self._around
            )
            groups = GroupReconciler(self._store, lambda: self._servers.values())
            self.catalogs.begin(tasks, self._relisted)
            virtuals = VirtualReconciler(
                self._store,
                self._recorder,
                self.catalogs,
                Outlook(self._clock, lambda: self._servers.values(), self._around.base),
            )
            reconcilers: Mapping[str, Reconciler] = {
                "MCPServer": servers.reconcile,
                "MCPGroup": groups.reconcile,
                "VirtualMCPServer": virtuals.reconcile,
            }
            worker = _Worker(queue, reconcilers, self._around.chance, tasks)
            worker.seen = self._seen
            tasks.create_task(self._recorder.run(), name="recorder")
            tasks.create_task(self._follow_servers(queue), name="servers")
            tasks.create_task(self._follow_secrets(queue), name="secrets")
            poll = servers.secrets.watch(lambda: self._servers.values(), queue.add)
            tasks.create_task(poll, name="secrets outside")
            tasks.create_task(self._follow_groups(queue), name="groups")
            tasks.create_task(self._follow_virtuals(queue), name="virtual servers")
            tasks.create_task(self._follow_instances(queue), name="instances")
            tasks.create_task(self._resync(queue), name="resync")
            news = GatewayNews(
                self._around.reports, lambda: self._servers, self._recorder, self._clock, queue.add
            )
            tasks.create_task(news.run(), name="gateways")
            tasks.create_task(worker.run(), name="worker")

    def _seen(self, ref: Ref) -> None:
        if self._unseen is not None:
            self._unseen.discard(ref)
            if not self._unseen:
                self.looked.set()

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do until something happens, or time passes."""
        return self._queue is not None and self._queue.idle and self._recorder.idle

    async def _follow_servers(self, queue: Queue) -> None:
        def listed(items: tuple[Object, ...]) -> None:
            before = list(self._servers.values())
            self._servers = {one.ref: one for one in items if isinstance(one, MCPServer)}
            for server in (*before, *self._servers.values()):
                self._ask_for(queue, server)
            if self._unseen is None:
                self._unseen = set(self._servers)
                if not self._unseen:
                    self.looked.set()

        def changed(change: Change) -> None:
            server, ref = change.object, change.object.ref
            if not isinstance(server, MCPServer):
                return
            before = self._servers.pop(ref, None)
            if change.type != "DELETED":
                self._servers[ref] = server
            else:
                self.catalogs.forget(ref)
            for one in (before, server):
                if one is not None:
                    self._ask_for(queue, one)

        await self._follow("MCPServer", Listener(listed, changed))

    async def _follow_secrets(self, queue: Queue) -> None:
        def touched(secret: Object) -> None:
            where, name = secret.ref.namespace, secret.ref.name
            for ref, server in self._servers.items():
                if ref.namespace == where and name in secret_names(server):
                    queue.add(ref)

        def listed(items: tuple[Object, ...]) -> None:
            for ref, server in self._servers.items():
                if secret_names(server):
                    queue.add(ref)

        await self._follow("Secret", Listener(listed, lambda change: touched(change.object)))

    async def _follow_groups(self, queue: Queue) -> None:
        def touched(group: Object) -> None:
            queue.add(group.ref)
            self._ask_for_joined(queue, group.ref)

        def listed(items: tuple[Object, ...]) -> None:
            for group in items:
                touched(group)

        await self._follow("MCPGroup", Listener(listed, lambda c: touched(c.object)))

    async def _follow_virtuals(self, queue: Queue) -> None:
        def listed(items: tuple[Object, ...]) -> None:
            found = [one for one in items if isinstance(one, VirtualMCPServer)]
            self._virtuals = {one.ref: one for one in found}
            for ref in self._virtuals:
                queue.add(ref)

        def changed(change: Change) -> None:
            virtual = change.object
            self._virtuals.pop(virtual.ref, None)
            if change.type != "DELETED" and isinstance(virtual, VirtualMCPServer):
                self._virtuals[virtual.ref] = virtual
            queue.add(virtual.ref)

        await self._follow("VirtualMCPServer", Listener(listed, changed))

    def _ask_for(self, queue: Queue, server: MCPServer) -> None:
        """A look at a server, at the group that it counts in, and at what is made of that."""
        queue.add(server.ref)
        if server.spec.group is not None:
            group = Ref("MCPGroup", server.ref.namespace, server.spec.group)
            queue.add(group)
            self._ask_for_joined(queue, group)

    def _ask_for_joined(self, queue: Queue, group: Ref) -> None:
        """A look at the virtual servers that are made of a group."""
        for ref, virtual in self._virtuals.items():
            if ref.namespace == group.namespace and virtual.spec.group == group.name:
                queue.add(ref)

    def _relisted(self, ref: Ref) -> None:
        """The lists of a server were asked for."""
        server = self._servers.get(ref)
        if server is not None and server.spec.group is not None and self._queue is not None:
            group = Ref("MCPGroup", ref.namespace, server.spec.group)
            self._ask_for_joined(self._queue, group)

    async def _follow(self, kind: str, listener: Listener) -> None:
        await follow(self._store, kind, listener, self._clock, self._around.chance)

    async def _follow_instances(self, queue: Queue) -> None:
        """Instances that changed; after a gap, all of them."""
        failures = 0
        while True:
            try:
                changes = self._runtime.changes()  # first: nothing is to fall between
                for ref in await self._all():
                    queue.add(ref)
                async for ref in changes:
                    failures = 0
                    queue.add(ref)
            except MooringError as error:
                telemetry.event("instances.unseen", logging.WARNING, error=error.message)
            failures += 1
            await self._clock.sleep(backoff.look_again(failures, self._around.chance()))

    async def _resync(self, queue: Queue) -> None:
        while True:
            await self._clock.sleep(RESYNC)
            try:
                for number, ref in enumerate(await self._all(), 1):
                    queue.add(ref)
                    if number % AT_ONCE == 0:
                        await self._clock.sleep(BREATH)
            except MooringError as error:
                telemetry.event("instances.unseen", logging.WARNING, error=error.message)

    async def _all(self) -> list[Ref]:
        """Every server that is declared, and every one that has instances all the same."""
        return sorted({*self._servers, *await self._runtime.owners()})


class _Worker:
    """Takes refs from the queue and has each looked at by the controller of its kind."""

    def __init__(
        self,
        queue: Queue,
        reconcilers: Mapping[str, Reconciler],
        chance: Callable[[], float],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._queue = queue
        self._reconcilers = reconcilers
        self._chance = chance
        self._tasks = tasks
        self._places = asyncio.Semaphore(SIDE_BY_SIDE)
        self.seen: Callable[[Ref], None] = lambda ref: None
        """Told of every object that was looked at, well or not."""

    async def run(self) -> None:
        while True:
            await self._places.acquire()
            ref = await self._queue.take()
            self._tasks.create_task(self._look(ref), name=f"reconcile {ref}")

    async def _look(self, ref: Ref) -> None:
        try:
            self._queue.done(ref, await self._reconcilers[ref.kind](ref))
        except MooringError as error:
            delay = self._queue.failed(ref, self._chance())
            telemetry.event(
                "reconcile.failed", logging.WARNING, ref=ref, reason=error.reason,
                error=error.message, again_in=round(delay, 3),
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - one object must not stop all the others
            self._queue.failed(ref, self._chance())
            telemetry.event("reconcile.broke", logging.ERROR, ref=ref, error=repr(error))
        finally:
            self._places.release()
            self.seen(ref)
