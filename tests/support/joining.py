"""Several small MCP servers behind one virtual server, each with lists of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from support.fronting import Said, World
from support.fronting import world as fronting
from support.standin import JSON, SSE, Standin, failure, message, result

from mooring.clock import Clock
from mooring.core.table import build
from mooring.kinds.group import MCPGroup
from mooring.kinds.server import MCPServer
from mooring.kinds.virtual import VirtualMCPServer
from mooring.sessions.open_sessions import OpenSessions
from mooring.transports.http_server import Exchange
from mooring.transports.sse import encode

API = "mooring.dev/v1alpha1"


def tool(name: str, **more: Any) -> dict[str, Any]:
    """A tool, as a list has it."""
    return {"name": name, "inputSchema": {"type": "object"}, **more}


def group(name: str = "team") -> MCPGroup:
    told = {"apiVersion": API, "kind": "MCPGroup", "metadata": {"name": name}}
    return MCPGroup.model_validate(told)


def virtual(name: str = "all", **spec: Any) -> VirtualMCPServer:
    told = {
        "apiVersion": API,
        "kind": "VirtualMCPServer",
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {"group": "team", **spec},
    }
    return VirtualMCPServer.model_validate(told)


class Backend(Standin):
    """A server with tools, prompts and resources; what it is told, it says back.

    `streams` are those that clients of it listen on; `asked` has every message, by method.
    """

    def __init__(self, name: str = "notes") -> None:
        super().__init__(name)
        self.tools = [tool("find"), tool("add")]
        self.prompts: list[dict[str, Any]] = []
        self.resources: list[dict[str, Any]] = []
        self.templates: list[dict[str, Any]] = []
        self.capabilities: dict[str, Any] = {"tools": {"listChanged": True}}
        self.instructions = ""
        self.asked: dict[str, list[dict[str, Any]]] = {}
        self.streams: list[Exchange] = []
        self.heard: list[tuple[Exchange, dict[str, Any]]] = []
        self.page = 1000
        self.stateless = False
        """It also speaks the stateless era."""
        self.health = "healthy"
        """What its instance is believed to be from the beginning."""
        self.forwarded: list[str] = []
        """Headers of callers that it is declared to be sent, from the beginning."""
        self.hints: dict[str, Any] = {"ttlMs": 1000, "cacheScope": "public"}

    async def serve(self, exchange: Exchange) -> None:
        told = json.loads(exchange.request.body or b"{}")
        if self.stateless and told.get("method") == "subscriptions/listen":
            self.asked.setdefault("subscriptions/listen", []).append(told)
            await self._listened(exchange, told)
        else:
            await super().serve(exchange)

    def _converse(self, exchange: Exchange, told: dict[str, Any], session: str) -> None:
        self.asked.setdefault(str(told.get("method", "response")), []).append(told)
        method = told.get("method", "")
        if exchange.request.header(b"mcp-protocol-version") == b"2026-07-28":
            self._stand_alone(exchange, told)
        elif method == "initialize":
            self._welcome(exchange, told)
        elif "id" not in told or not method:
            exchange.respond(202)
        elif method.endswith("/list"):
            exchange.respond(200, (JSON,), result(told["id"], **self._listed(told)))
        elif told.get("params", {}).get("name") == "broken":
            exchange.respond(200, (JSON,), failure(told["id"], -32603, "broken"))
        else:
            said = result(told["id"], who=self.name, params=told.get("params"), session=session)
            exchange.respond(200, (JSON,), said)

    def _stand_alone(self, exchange: Exchange, told: dict[str, Any]) -> None:
        method = told["method"]
        if not self.stateless:
            exchange.respond(404, (JSON,), failure(told["id"], -32601, "Method not found"))
        elif method == "server/discover":
            able = {"capabilities": self.capabilities, "supportedVersions": ["2026-07-28"]}
            exchange.respond(200, (JSON,), result(told["id"], **able, **self.hints))
        elif method.endswith("/list"):
            listed = self._listed(told) | self.hints | {"resultType": "complete"}
            exchange.respond(200, (JSON,), result(told["id"], **listed))
        else:
            headers = {n.decode(): v.decode() for n, v in exchange.request.headers}
            said = result(told["id"], who=self.name, params=told["params"], headers=headers)
            exchange.respond(200, (JSON,), said)

    async def _listened(self, exchange: Exchange, told: dict[str, Any]) -> None:
        """A subscription, from its acknowledgement to its end."""
        exchange.start(200, (SSE,))
        await self._tell(exchange, told, "notifications/subscriptions/acknowledged", **{
            "notifications": told["params"]["notifications"],
        })  # fmt: skip
        self.heard.append((exchange, told))
        await self.proceed.wait()
        if not exchange.ended:
            exchange.finish()

    async def _tell(
        self, exchange: Exchange, told: dict[str, Any], method: str, **params: Any
    ) -> None:
        meta = {"io.modelcontextprotocol/subscriptionId": told["id"]}
        await exchange.write(encode(message(method, _meta=meta, **params)))

    async def tell(self, method: str, **params: Any) -> None:
        """Tells everybody who subscribed to anything."""
        for exchange, told in self.heard:
            if not exchange.ended:
                await self._tell(exchange, told, method, **params)

    def _welcome(self, exchange: Exchange, told: dict[str, Any]) -> None:
        self.opened += 1
        session = f"{self.name}-session-{self.opened}"
        self.sessions.add(session)
        answer: dict[str, Any] = {
            "protocolVersion": told["params"]["protocolVersion"],
            "capabilities": self.capabilities,
            "serverInfo": {"name": self.name, "version": "1"},
        }
        if self.instructions:
            answer["instructions"] = self.instructions
        headers = (JSON, (b"mcp-session-id", session.encode()))
        exchange.respond(200, headers, result(told["id"], **answer))

    def _listed(self, told: Mapping[str, Any]) -> dict[str, Any]:
        key, items = {
            "tools/list": ("tools", self.tools),
            "prompts/list": ("prompts", self.prompts),
            "resources/list": ("resources", self.resources),
            "resources/templates/list": ("resourceTemplates", self.templates),
        }[told["method"]]
        start = int((told.get("params") or {}).get("cursor", 0))
        listed: dict[str, Any] = {key: items[start : start + self.page]}
        if start + self.page < len(items):
            listed["nextCursor"] = str(start + self.page)
        return listed

    async def stream(self, exchange: Exchange) -> None:
        """Open until `proceed`; `say` writes on it."""
        exchange.start(200, (SSE,))
        await exchange.write(b": hello\n\n")
        self.streams.append(exchange)
        await self.proceed.wait()
        if not exchange.ended:
            exchange.finish()

    async def say(self, method: str, **params: Any) -> None:
        """Tells everybody who listens."""
        for stream in self.streams:
            if not stream.ended:
                await stream.write(encode(message(method, **params)))


class Joined:
    """A gateway before a virtual server; `backends` by name, `spec` that of the virtual server."""

    def __init__(self, world: World, backends: list[Backend], spec: dict[str, Any]) -> None:
        self.world = world
        self.gateway = world.gateway
        self.backends = {backend.name: backend for backend in backends}
        self.spec = spec
        self.states: dict[str, dict[str, Any]] = {}
        """Changes to the row of a backend's instance."""
        self.specs: dict[str, dict[str, Any]] = {}
        """Changes to the spec of a backend."""
        self.listeners: list[asyncio.Future[None]] = []
        self.questions: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        world.path = "/virtual/all/mcp"

    def __getitem__(self, name: str) -> Backend:
        return self.backends[name]

    def table(self) -> None:
        """Swaps in a table of what is there now."""
        servers = [self._server(backend) for backend in self.backends.values()]
        self.gateway.swap(build(servers, [group()], [virtual(**self.spec)]))

    def _server(self, backend: Backend) -> MCPServer:
        row = {
            "name": f"{backend.name}-0", "uid": backend.uid, "state": "Ready",
            "health": backend.health, "address": f"http://127.0.0.1:{backend.address.port}/mcp",
        } | self.states.get(backend.name, {})  # fmt: skip
        forwarded = {"forward": backend.forwarded}
        spec = {"source": {"command": ["x"]}, "group": "team", "auth": forwarded} | self.specs.get(
            backend.name, {}
        )
        status = {"instances": [row], "message": "Starting 0/1", "phase": "Ready"}
        told = {"apiVersion": API, "kind": "MCPServer", "metadata": {"name": backend.name}}
        return MCPServer.model_validate(told | {"spec": spec, "status": status})

    async def stop(self) -> None:
        """Ends the gateway."""
        await self.world.stop()

    async def open(self, **params: Any) -> str:
        """A session's id."""
        said = await self.initialize(**params)
        assert said.status == 200, said
        return said.session

    async def initialize(self, **params: Any) -> Said:
        told = {"protocolVersion": "2025-11-25", "capabilities": {}} | params
        return await self.world.ask(message("initialize", 1, **told))

    async def ask(self, session: str, method: str, id: Any = 2, **params: Any) -> Said:
        """One request of a session."""
        return await self.world.ask(message(method, id, **params), mcp_session_id=session)

    async def listed(self, session: str, kind: str = "tools") -> list[str]:
        """The names on one list."""
        said = await self.ask(session, f"{kind}/list")
        return [item["name"] for item in said.json["result"][kind]]

    async def tell(self, session: str, method: str, **params: Any) -> Said:
        """One notification of a session."""
        return await self.world.ask(message(method, **params), mcp_session_id=session)


@asynccontextmanager
async def joined(
    *backends: Backend | str,
    clock: Clock | None = None,
    beside: Joined | None = None,
    sessions: OpenSessions | None = None,
    **spec: Any,
) -> AsyncIterator[Joined]:
    """A gateway before a virtual server of these backends, by name or as they are.

    `beside`: another gateway of the same installation.
    """
    async with AsyncExitStack() as stack:
        records = None if beside is None else beside.world.records
        fronted = fronting(clock=clock, records=records, sessions=sessions)
        world = await stack.enter_async_context(fronted)
        if beside is not None:
            made = list(beside.backends.values())
        else:
            made = [Backend(each) if isinstance(each, str) else each for each in backends]
            for backend in made:
                await stack.enter_async_context(backend)
                stack.callback(backend.proceed.set)
        found = Joined(world, made, spec if beside is None else beside.spec)
        found.table()
        try:
            yield found
        finally:
            for listener in found.listeners:
                listener.cancel()
            await asyncio.gather(*found.listeners, return_exceptions=True)
