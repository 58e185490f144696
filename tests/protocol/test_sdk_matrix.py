"""All that MCP lets a server ask and tell, between both lines of the official SDK.

Sampling, elicitation and roots (as requests of the server, and as rounds of one call in the
stateless era), progress, logging, changes of resources and of the list of tools (on the standing
stream, and as `subscriptions/listen`), cancellation, and a stream that its server closes and its
client resumes: every client with every server, over HTTP and over stdio.
"""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from support.installation import BIN, ROOT, Mooring

pytestmark = pytest.mark.process

PREVIOUS = ROOT / ".tools/sdk1/bin/python"
CLIENTS = {
    "2.x, auto": (str(BIN / "python"), "story2.py", "auto"),
    "2.x, sessions": (str(BIN / "python"), "story2.py", "legacy"),
    "1.x": (str(PREVIOUS), "story1.py"),
}
SERVERS = {
    "second-http": (sys.executable, "sdk2.py"),
    "second-stdio": (sys.executable, "sdk2.py"),
    "second-shared": (sys.executable, "sdk2.py"),
    "first-http": (str(PREVIOUS), "sdk1.py"),
    "first-stdio": (str(PREVIOUS), "sdk1.py"),
}
MANIFEST = """
---
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: {name}}}
spec:
  source: {{command: ["{python}", "{root}/tests/servers/{script}"]}}
  {way}
"""
WAYS = {
    "http": "transport: streamable-http",
    "stdio": "isolation: session",
    "shared": "isolation: shared",
}
PAIRS = [
    (client, server)
    for client in CLIENTS
    for server in SERVERS
    if client == "2.x, auto" or server != "second-shared"
]
"""Sessions that share a child cannot be asked by it; in the stateless era they can."""


@pytest.fixture(scope="module")
def mooring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mooring]:
    installation = Mooring(tmp_path_factory.mktemp("matrix"))
    manifest = "".join(
        MANIFEST.format(
            name=name, python=python, root=ROOT, script=script,
            way=WAYS[name.partition("-")[2]],
        )
        for name, (python, script) in SERVERS.items()
    )  # fmt: skip
    installation.start("serve")
    try:
        installation.wait_for_api()
        installation.apply(manifest)
        for name in SERVERS:
            installation.ready(name)
        yield installation
    finally:
        installation.end()


@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_everything_works(mooring: Mooring, client: str, server: str) -> None:
    python, script, *mode = CLIENTS[client]
    poll = ["poll"] if server.endswith("http") and client != "2.x, auto" else []
    done = subprocess.run(
        [python, str(ROOT / "tests/protocol/clients" / script), mooring.url(server), *mode, *poll],
        capture_output=True, text=True, timeout=40, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stateless = client == "2.x, auto" and server.startswith("second")
    assert json.loads(done.stdout) == {
        "version": "2026-07-28" if stateless else "2025-11-25",
        "sample": "model: hi",
        "elicit": "3",
        "roots": "file:///work file:///more",
        "steps": "done",
        "progress": [1, 2, 3],
        "log": "logged",
        "logged": ["a word to the log"],
        "subscribed": server.startswith("first"),
        "changes": ["note://a updated", "tools changed"],
        "cancelled": True,
        "note": "note a",
        "poll": "resumed",
    }


@pytest.mark.parametrize("server", SERVERS)
def test_every_server_is_probed(mooring: Mooring, server: str) -> None:
    for _ in range(3):
        said = mooring.moor("probe", f"{server}-0")
        assert said.startswith(f"instance/{server}-0: tools/list answered in ")
        assert said.endswith("it is believed healthy\n")
    (view,) = json.loads(
        mooring.moor("get", "inst", "-o", "json", "-l", f"mooring.dev/server={server}")
    )
    assert view["status"]["lastProbe"]["outcome"] == "answered"
