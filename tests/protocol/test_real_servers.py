"""Servers that people use, installed from PyPI and npm by one manifest, each called once.

With the official client, which finds out the era by itself, and as a client that only knows
sessions.
"""

import asyncio
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp import Client, MCPDeprecationWarning
from mcp_types import CreateMessageResult, ElicitResult, ListRootsResult, Root, TextContent
from support.installation import ROOT, Mooring, free_port, wait_until

pytestmark = pytest.mark.process
CLIENTS = ROOT / "tests/protocol/clients"
TOOLS = ROOT / ".tools"
INSTALLED = 240
"""Seconds for all of them to be installed and ready, on a slow network."""


@dataclass
class Real:
    """A server, and one call of it: `DIR` stands for a directory, `URL` for a page."""

    source: dict[str, Any]
    tool: str
    arguments: dict[str, Any]
    expected: str
    args: list[str] = field(default_factory=list)
    env: list[dict[str, str]] = field(default_factory=list)
    stateless: bool = False
    more: dict[str, Any] = field(default_factory=dict)
    """Of its spec."""


OWN = {"isolation": "session"}
WEB = {"transport": "streamable-http"}
EVERYTHING = "@modelcontextprotocol/server-everything"
SERVERS = {
    "time": Real(
        {"pypi": "mcp-server-time"}, "get_current_time", {"timezone": "UTC"}, '"UTC"',
        stateless=True,
    ),
    "git": Real(
        {"pypi": "mcp-server-git"}, "git_log", {"repo_path": "DIR"}, "the first of all",
        ["--repository", "DIR"], stateless=True,
    ),
    "fetch": Real(
        {"pypi": "mcp-server-fetch"}, "fetch", {"url": "URL", "raw": True}, "ahoy from the page",
        ["--ignore-robots-txt", "--allow-private-ips"], stateless=True,
    ),
    "sqlite": Real(
        {"pypi": "mcp-server-sqlite", "with": ["mcp<2"]}, "list_tables", {}, "[]",
        ["--db-path", "DIR/t.db"],
    ),
    "everything": Real(
        {"npm": EVERYTHING}, "echo", {"message": "ahoy"}, "ahoy", more=OWN,
    ),
    "everything-http": Real(
        {"npm": EVERYTHING}, "echo", {"message": "ahoy"}, "ahoy", ["streamableHttp"], more=WEB,
    ),
    "memory": Real(
        {"npm": "@modelcontextprotocol/server-memory"}, "read_graph", {}, "entities",
        env=[{"name": "MEMORY_FILE_PATH", "value": "DIR/memory.json"}],
    ),
    "filesystem": Real(
        {"npm": "@modelcontextprotocol/server-filesystem"}, "read_text_file",
        {"path": "DIR/note.txt"}, "ahoy from the file", ["DIR"],
    ),
    "thinking": Real(
        {"npm": "@modelcontextprotocol/server-sequential-thinking"}, "sequentialthinking",
        {"thought": "one", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1},
        "thoughtHistoryLength",
    ),
}  # fmt: skip


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<html><body><p>ahoy from the page</p></body></html>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit and one file."""
    found = tmp_path_factory.mktemp("repository")
    (found / "note.txt").write_text("ahoy from the file")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "the first of all"]):
        told = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *command]
        subprocess.run(told, cwd=found, check=True, timeout=20)
    return found


@pytest.fixture(scope="module")
def mooring(tmp_path_factory: pytest.TempPathFactory, directory: Path) -> Iterator[Mooring]:
    installation = Mooring(tmp_path_factory.mktemp("real"))
    manifest: list[dict[str, Any]] = [
        {
            "apiVersion": "mooring.dev/v1alpha1",
            "kind": "MCPServer",
            "metadata": {"name": name},
            "spec": {
                "source": real.source,
                "args": real.args,
                "env": real.env,
                "group": "real",
                **real.more,
            },
        }
        for name, real in SERVERS.items()
    ]
    head = {"apiVersion": "mooring.dev/v1alpha1"}
    manifest += [
        {**head, "kind": "MCPGroup", "metadata": {"name": "real"}},
        {
            **head,
            "kind": "VirtualMCPServer",
            "metadata": {"name": "all"},
            "spec": {"group": "real"},
        },
    ]
    text = "\n---\n".join(map(json.dumps, manifest)).replace("DIR", str(directory))
    installation.start("serve")
    try:
        installation.wait_for_api()
        installation.apply(text)
        for name in SERVERS:
            installation.ready(name, INSTALLED)
        installation.moor("wait", "--for=condition=Ready", "vmcp/all", "--timeout=60s")
        wait_until("all to be listed", lambda: all_listed(installation), 60)
        yield installation
    finally:
        installation.end()


def all_listed(mooring: Mooring) -> bool:
    """Whether every one has been heard behind the one URL; a list waits less than a second."""
    listed = mooring.moor("tools", "vmcp/all", "-o", "name").split()
    return all(f"{name}_{real.tool}" in listed for name, real in SERVERS.items())


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("name", SERVERS)
def test_it_is_called(
    run: Any,
    mooring: Mooring,
    directory: Path,
    page: str,
    name: str,
    mode: Literal["auto", "legacy"],
) -> None:
    real = SERVERS[name]
    given = json.dumps(real.arguments).replace("DIR", str(directory)).replace("URL", page)

    async def story() -> None:
        async with Client(mooring.url(name), mode=mode) as client:
            stateless = real.stateless and mode == "auto"
            assert (client.session.protocol_version == "2026-07-28") == stateless
            assert real.tool in {tool.name for tool in (await client.list_tools()).tools}
            result = await client.call_tool(real.tool, json.loads(given))
            assert not result.is_error, result
            assert real.expected in "".join(c.text for c in result.content)

    run(story())


@pytest.mark.parametrize("name", ["everything", "everything-http"])
def test_a_server_of_the_other_sdk_asks_and_tells(run: Any, mooring: Mooring, name: str) -> None:
    progress: list[float] = []
    updated = asyncio.Event()

    async def sample(_: Any, params: Any) -> CreateMessageResult:
        said = TextContent(type="text", text="model: " + params.messages[0].content.text)
        return CreateMessageResult(role="assistant", content=said, model="m")

    async def elicit(_: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": "Ada"})

    async def roots(_: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri="file:///work")])

    async def note(step: float, total: float | None, message: str | None) -> None:
        progress.append(step)

    async def hear(message: Any) -> None:
        if getattr(message, "method", "") == "notifications/resources/updated":
            updated.set()

    async def story() -> None:
        async with Client(
            mooring.url(name), mode="legacy", sampling_callback=sample, message_handler=hear,
            elicitation_callback=elicit, list_roots_callback=roots,
        ) as client:  # fmt: skip

            async def call(tool: str, **arguments: Any) -> str:
                result = await client.call_tool(tool, arguments, progress_callback=note)
                return "".join(c.text for c in result.content)

            assert "hi" in await call("trigger-sampling-request", prompt="hi")
            assert "Ada" in await call("trigger-elicitation-request")
            assert "file:///work" in await call("get-roots-list")
            await call("trigger-long-running-operation", duration=0.2, steps=4)
            assert progress == [1, 2, 3, 4]
            uri = (await client.list_resources()).resources[0].uri
            with pytest.warns(MCPDeprecationWarning):
                await client.subscribe_resource(uri)
            await call("toggle-subscriber-updates")
            await updated.wait()
            await call("toggle-subscriber-updates")

    run(story())


class Elsewhere:
    """The TypeScript reference server over HTTP, started by hand and reached by its address."""

    def __init__(self, mooring: Mooring) -> None:
        packages = mooring.home / "data/packages"
        self._script = next(packages.glob("**/server-everything/dist/index.js"))
        self._node = ROOT / ".tools/node_modules/node/bin/node"
        self.port = free_port()
        self._process = self._started()

    def restart(self) -> None:
        """Another process at the same address, which knows nothing."""
        self.end()
        self._process = self._started()

    def end(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def _started(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [self._node, self._script, "streamableHttp"],
            env={**os.environ, "PORT": str(self.port)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until("its port", lambda: _listens(self.port), 30)
        return process


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def elsewhere(mooring: Mooring) -> Iterator[Elsewhere]:
    server = Elsewhere(mooring)
    declared = {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "MCPServer",
        "metadata": {"name": "elsewhere"},
        "spec": {"source": {"url": f"http://127.0.0.1:{server.port}/mcp"}, "eras": "session"},
    }
    try:
        mooring.apply(json.dumps(declared))
        mooring.ready("elsewhere", 60)
        yield server
    finally:
        mooring.moor("delete", "server", "elsewhere")
        server.end()


def test_a_client_goes_on_when_the_reference_server_has_forgotten_it(
    run: Any, mooring: Mooring, elsewhere: Elsewhere
) -> None:
    logged: list[Any] = []

    async def log(params: Any) -> None:
        logged.append(params.data)

    async def elicit(_: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": "Ada"})

    async def story() -> None:
        async with Client(
            mooring.url("elsewhere"), mode="legacy", logging_callback=log,
            elicitation_callback=elicit,
        ) as client:  # fmt: skip

            async def call(tool: str, **arguments: Any) -> str:
                result = await client.call_tool(tool, arguments)
                return "".join(c.text for c in result.content)

            assert "Ada" in await call("trigger-elicitation-request")
            elsewhere.restart()
            said = await asyncio.gather(*(call("echo", message=f"ahoy {n}") for n in range(20)))
            assert [n for n in range(20) if f"ahoy {n}" not in said[n]] == []
            assert "Ada" in await call("trigger-elicitation-request")

    run(story())
    assert [each for each in logged if "held this session is gone" in str(each)]


def test_many_of_them_answer_at_once(run: Any, mooring: Mooring, directory: Path) -> None:
    async def one(name: str) -> None:
        async with Client(mooring.url(name)) as client:
            real = SERVERS[name]
            given = json.dumps(real.arguments).replace("DIR", str(directory))
            assert not (await client.call_tool(real.tool, json.loads(given))).is_error

    async def story() -> None:
        await asyncio.gather(*(one(name) for name in SERVERS if name != "fetch"))

    run(story())


def joined(mooring: Mooring) -> str:
    return f"http://127.0.0.1:{mooring.port}/virtual/all/mcp"


def command(kind: str, url: str, tool: str, arguments: str) -> list[str]:
    """One call of a client in a process of its own."""
    if kind == "sdk1":
        return [str(TOOLS / "sdk1/bin/python"), str(CLIENTS / "sdk1.py"), url, tool, arguments]
    given = [f"--tool-arg={k}={json.dumps(v)}" for k, v in json.loads(arguments).items()]
    return [
        str(TOOLS / "node_modules/node/bin/node"),
        str(TOOLS / "node_modules/.bin/mcp-inspector"),
        "--cli", url, "--transport", "http", "--method", "tools/call", "--tool-name", tool, *given,
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_all_of_them_are_behind_one_url(
    run: Any, mooring: Mooring, directory: Path, mode: Literal["auto", "legacy"]
) -> None:
    async def story() -> None:
        async with Client(joined(mooring), mode=mode) as client:
            listed = [tool.name for tool in (await client.list_tools()).tools]
            for name, real in SERVERS.items():
                assert f"{name}_{real.tool}" in listed
                if name == "fetch":
                    continue
                given = json.dumps(real.arguments).replace("DIR", str(directory))
                result = await client.call_tool(f"{name}_{real.tool}", json.loads(given))
                assert not result.is_error, result
                assert real.expected in "".join(c.text for c in result.content)

    run(story())


@pytest.mark.parametrize("kind", ["sdk1", "inspector"])
@pytest.mark.parametrize("name", ["time", "memory", "everything", "filesystem", "git"])
def test_other_clients_call_each_of_five_through_one_url(
    mooring: Mooring, directory: Path, kind: str, name: str
) -> None:
    real = SERVERS[name]
    given = json.dumps(real.arguments).replace("DIR", str(directory))
    done = subprocess.run(
        command(kind, joined(mooring), f"{name}_{real.tool}", given),
        env=mooring.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    said = answer["text"] if kind == "sdk1" else answer["content"][0]["text"]
    assert real.expected in said


def test_what_they_are_made_of_is_told(mooring: Mooring) -> None:
    said = mooring.moor("get", "vmcp")
    assert said.splitlines()[1].split()[:2] == ["all", f"{len(SERVERS)}/{len(SERVERS)}"]
    why = mooring.moor("why", "tool", "get_current_time")
    assert why == "vmcp/all has time_get_current_time: it is time/get_current_time\n"
    tools = mooring.moor("tools", "vmcp/all", "-o", "name").split()
    assert int(said.splitlines()[1].split()[2]) == len(tools)
