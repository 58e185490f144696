"""What a virtual server is made of, asked of its backends now: for `moor why tool`.

Each backend is asked the way a client asks it, all at once, and for a few seconds only. Those
that do not answer are named; what they would offer is missing, and nothing else.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from mooring.api.answers import answer
from mooring.api.reach import Reach
from mooring.core.aggregate import merge
from mooring.core.aggregate_items import Catalog, Lists, catalog
from mooring.core.instances import API_VERSION
from mooring.core.ports import ObjectStore
from mooring.core.virtual import backends_of, judge
from mooring.core.virtual_view import document
from mooring.errors import MooringError, NotFound, Unavailable
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer
from mooring.kinds.virtual import VirtualMCPServer

SECONDS = 10.0
"""How long a backend may take."""

Answer = Catalog | str
"""What a backend offers, or why that is not known."""


class Exploring:
    """The door `…/virtualmcpservers/NAME/view`."""

    def __init__(self, store: ObjectStore, reach: Reach) -> None:
        self._store = store
        self._reach = reach

    async def view(self, request: Request) -> Response:
        """Every tool that clients see, and every one that they do not, with the reason."""
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        ref = Ref("VirtualMCPServer", namespace, name)
        virtual = await self._store.get(ref)
        if not isinstance(virtual, VirtualMCPServer):
            raise NotFound("NotFound", f"{ref} does not exist")
        servers = await self._backends(virtual)
        judgement = judge(virtual.spec.group, servers)
        shared = {each.name for each in judgement.backends if each.listed == "shared"}
        asked = [server for server in servers or () if server.metadata.name in shared]
        answers = await self._ask(asked)
        known = [found for found in answers.values() if isinstance(found, Catalog)]
        failures = {name: found for name, found in answers.items() if isinstance(found, str)}
        seen = merge(known, virtual.spec.aggregation)
        head = {"kind": "VirtualView", "apiVersion": API_VERSION}
        metadata = {"name": name, "namespace": namespace}
        told = document(judgement, seen, failures)
        return answer({**head, "metadata": metadata, **told})

    async def _backends(self, virtual: VirtualMCPServer) -> Sequence[MCPServer] | None:
        namespace, group = virtual.ref.namespace, virtual.spec.group
        if await self._store.get(Ref("MCPGroup", namespace, group)) is None:
            return None
        listing = await self._store.list("MCPServer", namespace)
        servers = [item for item in listing.items if isinstance(item, MCPServer)]
        return backends_of(namespace, group, servers)

    async def _ask(self, servers: Sequence[MCPServer]) -> Mapping[str, Answer]:
        async with asyncio.TaskGroup() as tasks:
            asked = {
                server.metadata.name: tasks.create_task(self._offer(server)) for server in servers
            }
        return {name: task.result() for name, task in asked.items()}

    async def _offer(self, server: MCPServer) -> Answer:
        try:
            async with asyncio.timeout(SECONDS):
                tools = await self._reach.tools(server.ref)
        except TimeoutError:
            return Unavailable("UpstreamTimeout", f"timed out after {SECONDS:g} s").message
        except MooringError as error:
            return error.message
        texts = [json.dumps(tool).encode() for tool in tools]
        return catalog(server.metadata.name, Lists(tools=texts))
