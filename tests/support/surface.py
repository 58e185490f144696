"""The API on a real Unix socket, over a store in memory, with servers that answer from a script."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mooring.api.app import make_app
from mooring.api.reach import LogQuery
from mooring.api.serving import serve
from mooring.clock import Clock, SystemClock
from mooring.core.health import Probe
from mooring.core.reporting import Reports
from mooring.errors import Conflict, Invalid, NotFound, Unavailable
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref
from mooring.kinds.server import InstanceStatus, MCPServer, ServerStatus
from mooring.kinds.validation import parse
from mooring.stores.memory import MemoryStore

T = TypeVar("T")
BASE = "http://127.0.0.1:8470"
DOOR = "https://127.0.0.1:8471"
PATIENCE = 10.0


@dataclass
class Script:
    """Satisfies `mooring.api.reach.Reach` with answers that a test wrote down."""

    tools_of: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: dict[str, list[bytes]] = field(default_factory=dict)
    refusing: set[str] = field(default_factory=set)
    calls: list[tuple[Ref, str, Mapping[str, Any]]] = field(default_factory=list)
    probes: dict[str, Probe] = field(default_factory=dict)
    """What a probe of an instance comes to."""
    probed: dict[str, Probe] = field(default_factory=dict)
    """The last one, by uid."""
    queries: list[tuple[str, LogQuery]] = field(default_factory=list)

    async def tools(self, ref: Ref) -> Sequence[Mapping[str, Any]]:
        if ref.name in self.refusing:
            raise Unavailable("UpstreamRefused", "connection refused")
        return self.tools_of.get(ref.name, ())

    async def call(self, ref: Ref, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append((ref, tool, arguments))
        if tool not in self.results:
            raise Invalid("BadRequest", f"Unknown tool: {tool}")
        return self.results[tool]

    async def probe(self, ref: Ref, instance: str) -> Probe:
        if instance not in self.probes:
            raise Conflict("NotRunning", f"instance/{instance} is not running")
        return self.probes[instance]

    def last_probe(self, ref: Ref, uid: str) -> Probe | None:
        return self.probed.get(uid)

    async def logs(self, ref: Ref, instance: str, query: LogQuery) -> AsyncIterator[bytes]:
        self.queries.append((instance, query))
        if instance not in self.lines:
            raise NotFound("NotFound", f"{instance} has written nothing yet")
        lines = self.lines[instance]
        for line in lines if query.tail is None else lines[len(lines) - query.tail :]:
            yield line
        if query.follow:
            await asyncio.Event().wait()

    def endpoints(self) -> str:
        return BASE

    def door(self) -> str:
        return DOOR


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Served:
    """A running API, and the world behind it."""

    def __init__(self, path: Path, clock: Clock, store_clock: Clock, history: int) -> None:
        self.path = path
        self.script = Script()
        self.reports = Reports()
        self.store = MemoryStore(store_clock, history=history)
        self._clock = clock
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._live)

    def _live(self) -> None:
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door,
            socket.create_server(("127.0.0.1", 0)) as tcp,
        ):
            door.bind(str(self.path))
            door.listen()
            self.url = f"http://127.0.0.1:{tcp.getsockname()[1]}"
            self.app = make_app(self.store, self.script, self._clock, self.reports)
            self._task = self._loop.create_task(self._serve(door, tcp))
            self._loop.call_soon(self._listening.set)
            try:
                self._loop.run_until_complete(self._task)
            except asyncio.CancelledError:
                pass
            finally:
                self._loop.run_until_complete(self._loop.shutdown_asyncgens())
                self._loop.close()

    async def _serve(self, *doors: socket.socket) -> None:
        async with asyncio.TaskGroup() as tasks:
            for door in doors:
                tasks.create_task(serve(self.app, door))

    def start(self) -> None:
        self._thread.start()
        assert self._listening.wait(PATIENCE)

    def stop(self) -> None:
        """Ends the API in order; returns when it has."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs something on the API's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def put(self, new: Object) -> Any:
        return self.run(self.store.put(new))

    def get(self, ref: Ref) -> Any:
        return self.run(self.store.get(ref))

    def report(self, server: MCPServer, **status: Any) -> MCPServer:
        """Writes a status as controllers would, said of the present spec."""
        held = self.get(server.ref)
        told = {"observed_generation": held.metadata.generation, **status}
        new = held.model_copy(update={"status": ServerStatus(**told)})
        return self.run(self.store.report(new))

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request and its whole answer."""
        with self.connection() as connection:
            content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            kind = {} if content is None else {"content-type": "application/json"}
            connection.request(method, target, content, {**kind, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())

    @contextmanager
    def events(self, target: str) -> Iterator[Callable[[], Any]]:
        """A watch; call what is given for the next event, None at the end."""
        with self.connection() as connection:
            connection.request("GET", target)
            response = connection.getresponse()
            assert response.status == 200

            def following() -> Any:
                line = response.readline()
                return json.loads(line) if line else None

            yield following

    @contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(PATIENCE)
        connection.sock.connect(str(self.path))
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def served(
    path: Path, *, clock: Clock | None = None, store_clock: Clock | None = None, history: int = 2000
) -> Iterator[Served]:
    """An API at a socket path, for as long as the block runs."""
    api = Served(path, clock or SystemClock(), store_clock or SystemClock(), history)
    api.start()
    try:
        yield api
    finally:
        api.stop()


def made(document: Mapping[str, Any]) -> Any:
    """An object from a document that is known to be right."""
    found = parse(document)
    assert isinstance(found, Object), found
    return found


def server(name: str = "time", namespace: str = "default", **spec: Any) -> MCPServer:
    """A server as somebody would declare it; `labels` go to its metadata."""
    labels = spec.pop("labels", {})
    given = {"source": {"pypi": "mcp-server-time"}, **spec}
    found: MCPServer = made(
        {
            "apiVersion": "mooring.dev/v1alpha1",
            "kind": "MCPServer",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": given,
        }
    )
    return found


def secret(name: str = "creds", **values: str) -> Any:
    """A secret with values in clear text."""
    return made(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
    )


def row(name: str, state: str = "Ready", **more: Any) -> InstanceStatus:
    """A row of a server's status."""
    health = "healthy" if state == "Ready" else "unknown"
    return InstanceStatus.model_validate({"name": name, "state": state, "health": health, **more})
