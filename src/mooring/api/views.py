"""What is computed rather than stored: instances with their logs, and servers one can ask."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mooring.api.answers import answer
from mooring.api.audit import audited, who
from mooring.api.bodies import json_document
from mooring.api.feeds import Feed, InstanceFeed
from mooring.api.looking import Looking, number, truth
from mooring.api.reach import LogQuery, Reach
from mooring.api.streams import Write
from mooring.core.instances import API_VERSION, KIND, told
from mooring.core.naming import label
from mooring.core.ports import ObjectStore
from mooring.errors import Conflict, Invalid, MooringError, NotFound
from mooring.kinds.ref import Ref

_VIRTUAL = "/virtualmcpservers/"


class Computed:
    """The doors of a kind that is looked at only."""

    def __init__(self, feed: Feed, looking: Looking) -> None:
        self._feed = feed
        self._looking = looking

    async def collection(self, request: Request) -> Response:
        """List and watch."""
        return await self._looking.collection(request, self._feed)

    async def single(self, request: Request) -> Response:
        """One of them."""
        return await self._looking.single(request, self._feed)


class Views:
    """The doors of `view.mooring.dev`."""

    def __init__(self, store: ObjectStore, reach: Reach, looking: Looking) -> None:
        self._store = store
        self._reach = reach
        self._looking = looking
        self._instances = InstanceFeed(store, reach.last_probe)

    async def instances(self, request: Request) -> Response:
        """`/namespaces/NS/mcpinstances`: list and watch."""
        return await self._looking.collection(request, self._instances)

    async def instance(self, request: Request) -> Response:
        """`/namespaces/NS/mcpinstances/NAME`."""
        return await self._looking.single(request, self._instances)

    async def probe(self, request: Request) -> Response:
        """`…/mcpinstances/NAME/probe`: probes it now, over the path that traffic takes."""
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        view = await self._instances.get(namespace, name)
        owner = Ref("MCPServer", namespace, view["spec"]["server"])
        with audited(who(request), "probe", label(KIND, namespace, name)):
            try:
                found = await self._reach.probe(owner, name)
            except Conflict as error:
                raise _not_running(error, view["status"]) from error
        head = {"kind": "InstanceProbe", "apiVersion": API_VERSION}
        metadata = {"name": name, "namespace": namespace}
        document = {**head, "metadata": metadata, **told(found), "health": found.health}
        return answer(document)

    async def log(self, request: Request) -> Response:
        """`…/mcpinstances/NAME/log?tail=&since=&previous=&follow=`, as plain text.

        The log of an instance that is gone can be read as long as its server is there.
        """
        name = request.path_params["name"]
        ref = await self._server_of(request.path_params["namespace"], name)
        tail = number(request, "tail")
        query = LogQuery(
            tail=None if tail is None else int(tail),
            since=number(request, "since"),
            previous=truth(request, "previous"),
            follow=truth(request, "follow"),
        )

        async def copy(write: Write) -> None:
            lines: Any = self._reach.logs(ref, name, query)
            async with aclosing(lines):
                async for line in lines:
                    await write(line)

        return self._looking.stream(copy, "text/plain; charset=utf-8")

    async def tools(self, request: Request) -> Response:
        """`…/mcpservers/NAME/tools`, `…/virtualmcpservers/NAME/tools`."""
        ref = await self._existing(request)
        found = list(await self._reach.tools(ref))
        return answer({"kind": "ToolList", "apiVersion": API_VERSION, "items": found})

    async def call(self, request: Request) -> Response:
        """`…/mcpservers/NAME/call` with `{"tool": …, "arguments": …}`: the tool's own result."""
        document = await json_document(request)
        tool, arguments = document.get("tool"), document.get("arguments", {})
        if not isinstance(tool, str) or not isinstance(arguments, dict):
            raise Invalid("BadRequest", 'expected {"tool": "NAME", "arguments": {…}}')
        ref = await self._existing(request)
        with audited(who(request), "call", f"{ref} {tool}"):
            return answer(await self._reach.call(ref, tool, arguments))

    async def _existing(self, request: Request) -> Ref:
        kind = "VirtualMCPServer" if _VIRTUAL in request.url.path else "MCPServer"
        ref = Ref(kind, request.path_params["namespace"], request.path_params["name"])
        if await self._store.get(ref) is None:
            raise NotFound("NotFound", f"{ref} does not exist")
        return ref

    async def _server_of(self, namespace: str, instance: str) -> Ref:
        try:
            view = await self._instances.get(namespace, instance)
        except MooringError:
            former = Ref("MCPServer", namespace, instance.rpartition("-")[0])
            if not former.name or await self._store.get(former) is None:
                raise
            return former
        return Ref("MCPServer", namespace, view["spec"]["server"])


def _not_running(error: Conflict, status: Mapping[str, Any]) -> Conflict:
    """The error, with how far the instance has come, and why no further."""
    said = status.get("message")
    why = f"{status['state']}: {said}" if said else status["state"]
    return Conflict(error.reason, f"{error.message} ({why})")
