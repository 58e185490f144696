"""The systems that are compared, each in front of the same tiny servers.

nginx stands for the least that passing an HTTP request on can cost, and a relay of ours without
any logic for the least that it can cost in Python. The peers are the proxies that people use; one
that is not installed is left out, with a line that says so.
"""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from load import Endpoint, answers
from processes import (
    AROUND,
    MEASURED,
    command_line,
    descendants,
    free_port,
    listens,
    place,
    running,
    wait_until,
)

HERE = Path(__file__).resolve().parent
TINY = HERE / "tiny"
CHILD = (sys.executable, str(TINY / "child.py"))
MOOR = str(Path(sys.executable).parent / "moor")

NGINX = """
daemon off; master_process off; worker_processes 1;
pid {home}/nginx.pid; error_log {home}/nginx.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c;
  uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;
  upstream tiny {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    proxy_http_version 1.1; proxy_set_header Connection "";
    location = /json {{ proxy_pass http://tiny/mcp; }}
    location = /sse {{ proxy_pass http://tiny/sse; proxy_buffering off; }}
  }}
}}
"""
FLEET = """
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: json}}
spec: {{source: {{url: "http://127.0.0.1:{upstream}/mcp"}}}}
---
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: sse}}
spec: {{source: {{url: "http://127.0.0.1:{upstream}/sse"}}}}
---
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: stdio}}
spec: {{source: {{command: {child}}}}}
---
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: backend}}
spec: {{source: {{url: "http://127.0.0.1:{upstream}/mcp"}}, group: team}}
---
apiVersion: mooring.dev/v1alpha1
kind: MCPGroup
metadata: {{name: team}}
spec: {{}}
---
apiVersion: mooring.dev/v1alpha1
kind: VirtualMCPServer
metadata: {{name: all}}
spec:
  group: team
  aggregation:
    strategy: none
    tools: {{backend: {{filter: [echo1], overrides: {{echo1: {{name: echo}}}}}}}}
---
apiVersion: mooring.dev/v1alpha1
kind: MCPGroup
metadata: {{name: five}}
spec: {{}}
---
apiVersion: mooring.dev/v1alpha1
kind: VirtualMCPServer
metadata: {{name: five}}
spec: {{group: five}}
"""
FIVE = tuple(f"b{number}" for number in range(5))
MEMBER = """---
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: {name}}}
spec: {{source: {{url: "http://127.0.0.1:{upstream}/mcp"}}, group: five}}
"""


@contextlib.contextmanager
def upstream(home: Path) -> Iterator[int]:
    """The tiny server over HTTP; its port."""
    port = free_port()
    command = (sys.executable, str(TINY / "upstream.py"), str(port))
    with running(command, AROUND, home / "upstream.log"):
        wait_until("the upstream", lambda: listens(port), 10)
        yield port


@contextlib.contextmanager
def nginx(home: Path, behind: int) -> Iterator[list[Endpoint]]:
    """nginx with proxy_pass; no endpoint where it is not installed."""
    if shutil.which("nginx") is None:
        yield []
        return
    port = free_port()
    file = home / "nginx.conf"
    file.write_text(NGINX.format(home=home, port=port, upstream=behind))
    with running(("nginx", "-c", str(file)), MEASURED, home / "nginx.out") as process:
        wait_until("nginx", lambda: listens(port), 10)
        base = f"http://127.0.0.1:{port}"
        yield [
            Endpoint("nginx", kind, base + path, lambda: {"nginx": {process.pid}})
            for kind, path in (("JSON", "/json"), ("SSE", "/sse"))
        ]


@contextlib.contextmanager
def relay(home: Path, behind: int) -> Iterator[list[Endpoint]]:
    """The least that passing a request on can cost in Python."""
    port = free_port()
    command = (sys.executable, str(TINY / "relay.py"), str(port), str(behind))
    with running(command, MEASURED, home / "relay.log") as process:
        wait_until("the relay", lambda: listens(port), 10)
        url = f"http://127.0.0.1:{port}/mcp"
        yield [Endpoint("bare relay", "JSON", url, lambda: {"relay": {process.pid}})]


@dataclass
class Mooring:
    """One installation of ours, with its directories below `home`."""

    home: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "MOORING_DATA": str(self.home / "mooring"),
            "MOORING_LISTEN": f"127.0.0.1:{self.port}",
            "MOORING_API_LISTEN": "off",
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "NO_COLOR": "1",
        }

    def url(self, server: str) -> str:
        return f"http://127.0.0.1:{self.port}/servers/{server}/mcp"

    def virtual(self, name: str) -> str:
        """`all` has one tool, which its one backend calls otherwise; `five` has five backends."""
        return f"http://127.0.0.1:{self.port}/virtual/{name}/mcp"

    @contextlib.contextmanager
    def up(self, *arguments: str, cores: set[int] = MEASURED) -> Iterator[int]:
        """`moor` with these arguments, until the end of the block; the daemon's pid."""
        command = (MOOR, *arguments)
        with running(command, cores, self.home / "moor.log", self.environment) as process:
            yield process.pid

    def moor(self, *arguments: str) -> str:
        done = subprocess.run(
            [MOOR, *arguments], env=self.environment, capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"moor {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def keeper(self) -> int:
        """The keeper's pid, as it says itself."""
        found = next((self.home / "run").glob("*/k.sock"))
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(str(found))
            connection = http.client.HTTPConnection("keeper")
            connection.sock = door
            connection.request("GET", "/v1/keeper")
            return int(json.loads(connection.getresponse().read())["pid"])

    def children(self) -> set[int]:
        """The tiny servers behind it, wherever they are held."""
        return {p for p in descendants(self.keeper()) if "child.py" in command_line(p)}

    def forget(self) -> None:
        """Ends what may be left of it."""
        with contextlib.suppress(RuntimeError):
            self.moor("down")


def installation(home: Path, behind: int) -> Mooring:
    """A fresh Mooring, not started, with a manifest of its servers in `fleet.yaml`."""
    (home / "run").mkdir(mode=0o700)
    fleet = FLEET.format(upstream=behind, child=json.dumps(CHILD))
    fleet += "".join(MEMBER.format(name=name, upstream=behind) for name in FIVE)
    (home / "fleet.yaml").write_text(fleet)
    return Mooring(home, free_port())


@contextlib.contextmanager
def mooring(ours: Mooring) -> Iterator[list[Endpoint]]:
    """Mooring at work on its servers."""
    with ours.up("up", str(ours.home / "fleet.yaml")) as daemon:
        for server in ("json", "sse", "stdio"):
            wait_until(f"server {server}", lambda s=server: answers(ours.url(s)), 60)
        wait_until("the virtual server", lambda: answers(ours.virtual("all")), 60)
        keeper = ours.keeper()
        place({keeper, *descendants(keeper)}, MEASURED)
        place(ours.children(), AROUND)
        over_http = {"daemon": {daemon}}
        both = {**over_http, "keeper": {keeper}}
        yield [
            Endpoint("Mooring", "JSON", ours.url("json"), lambda: over_http),
            Endpoint("Mooring", "SSE", ours.url("sse"), lambda: over_http),
            Endpoint("Mooring", "virtual", ours.virtual("all"), lambda: over_http),
            Endpoint("Mooring", "stdio", ours.url("stdio"), lambda: both),
        ]


@dataclass(frozen=True)
class Peer:
    """Another proxy."""

    name: str
    answers: str
    program: Path
    arguments: tuple[str, ...]
    """With {port} and {upstream} to be filled in."""


def peers(tools: Path) -> list[Peer]:
    """Those that we know, where `setup.sh` puts them."""
    child = " ".join(CHILD)
    fastmcp = tools / "fastmcp/bin/python"
    proxy = (str(TINY / "fastmcp_proxy.py"), "{upstream}", "{port}")
    return [
        Peer("FastMCP proxy", "JSON", fastmcp, proxy),
        Peer("mcp-proxy", "stdio", tools / "mcp-proxy/bin/mcp-proxy",
             ("--port", "{port}", "--log-level", "ERROR", "--", *CHILD)),
        Peer("supergateway", "stdio", tools / "npm/node_modules/.bin/supergateway",
             ("--stdio", child, "--outputTransport", "streamableHttp", "--stateful",
              "--logLevel", "none", "--port", "{port}")),
    ]  # fmt: skip


@contextlib.contextmanager
def peer(home: Path, behind: int, which: Peer) -> Iterator[Endpoint]:
    """A peer at work."""
    port = free_port()
    filled = {"port": port, "upstream": f"http://127.0.0.1:{behind}/mcp"}
    command = [str(which.program), *(text.format(**filled) for text in which.arguments)]
    with running(command, MEASURED, home / f"{which.program.name}.log") as process:
        url = f"http://127.0.0.1:{port}/mcp"
        wait_until(which.name, lambda: answers(url), 30)

        def pids() -> dict[str, set[int]]:
            below = descendants(process.pid)
            children = {p for p in below if "child.py" in command_line(p)}
            place(children, AROUND)
            return {which.name: {process.pid, *below} - children}

        yield Endpoint(which.name, which.answers, url, pids)
