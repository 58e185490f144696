"""A cluster in memory: our API over a store in memory, with Kubernetes' own kinds beside ours.

What belongs to an object (ownerReferences) goes when it does. Secrets answer their values and
Events can be written, as in Kubernetes. Nobody asks who you are, and nothing runs: a test plays
scheduler and kubelet by writing the status of pods.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette

from mooring.api import discovery
from mooring.api.app import make_app
from mooring.api.looking import Looking
from mooring.api.reach import LogQuery
from mooring.api.serving import serve
from mooring.clock import Clock, SystemClock
from mooring.core.health import Probe
from mooring.errors import NotFound
from mooring.kinds.ref import Ref
from mooring.testing.cluster_store import ClusterStore
from mooring.testing.plain import PLAIN, PlainMeta, PlainObject, catalog
from mooring.testing.plain_doors import PlainDoors

END_SECONDS = 0.2


class Cluster:
    """A Kubernetes API server, as far as Mooring needs one."""

    def __init__(self, store: ClusterStore | None = None, clock: Clock | None = None) -> None:
        self.store = store or ClusterStore(clock)
        self.app: Starlette = make_app(self.store, Nobody(), clock or SystemClock())
        looking = Looking(clock or SystemClock(), self.app.state.ending)
        clock = clock or SystemClock()
        doors = [PlainDoors(kind, self.store, looking, clock) for kind in PLAIN]
        plain = [route for door in doors for route in door.routes()]
        self.app.router.routes[:0] = [*discovery.routes(catalog()), *plain]

    async def begin(self) -> None:
        """Makes what every cluster has; so no version of a cluster is 0, which means any."""
        meta = PlainMeta(name="default")
        namespace = PlainObject(api_version="v1", kind="Namespace", metadata=meta)
        if await self.store.get(namespace.ref) is None:
            await self.store.put(namespace)


@asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[str]:
    """The cluster on a port of its own: its URL, as long as the block runs."""
    await cluster.begin()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        serving = asyncio.create_task(serve(cluster.app, listener, END_SECONDS))
        try:
            yield url
        finally:
            serving.cancel()
            await asyncio.wait([serving])


class Nobody:
    """Satisfies `mooring.api.reach.Reach` where no server runs."""

    async def tools(self, ref: Ref) -> list[Mapping[str, Any]]:
        raise NotFound("NotFound", f"{ref} does not run here")

    async def call(self, ref: Ref, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        raise NotFound("NotFound", f"{ref} does not run here")

    async def probe(self, ref: Ref, instance: str) -> Probe:
        raise NotFound("NotFound", f"{instance} does not run here")

    def last_probe(self, ref: Ref, uid: str) -> Probe | None:
        return None

    async def logs(self, ref: Ref, instance: str, query: LogQuery) -> AsyncIterator[bytes]:
        raise NotFound("NotFound", f"{instance} does not run here")
        yield b""  # what makes it a generator

    def endpoints(self) -> str:
        return ""

    def door(self) -> str:
        return ""
