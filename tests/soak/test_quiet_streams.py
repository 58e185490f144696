"""A stream on which nothing is said for an hour lives, and what is said then arrives.

MINUTES in the environment makes it another time.
"""

import os
import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.installation import ROOT, Mooring
from support.replaying import Raw, replaying, stream, until
from support.talking import Client

pytestmark = pytest.mark.soak

MINUTES = float(os.environ.get("MINUTES", "60"))
MANIFEST = """
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: remote}}
spec:
  source: {{url: "http://127.0.0.1:{port}/mcp"}}
---
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: own}}
spec:
  source: {{command: ["{python}", "{root}/tests/servers/toy.py"]}}
  isolation: session
---
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: shared}}
spec:
  source: {{command: ["{python}", "{root}/tests/servers/toy.py"]}}
"""
CHANGED = "notifications/tools/list_changed"


def test_a_quiet_stream_lives(tmp_path: Path) -> None:
    said: queue.Queue[bytes] = queue.Queue()

    def events() -> Iterator[bytes]:
        yield stream()
        yield said.get(timeout=MINUTES * 60 + 60)

    mooring = Mooring(tmp_path)
    mooring.start("serve")
    try:
        with replaying() as remote:
            mooring.wait_for_api()
            manifest = MANIFEST.format(port=remote.port, python=sys.executable, root=ROOT)
            mooring.apply(manifest)
            for name in ("remote", "own", "shared"):
                mooring.ready(name)
            remote.plays.put(events())
            patience = MINUTES * 60 + 120
            far = Raw(mooring.url("remote"), seconds=patience).open()
            clients = {name: Client(mooring.url(name)).open() for name in ("own", "shared")}
            listeners = {}
            for name, client in clients.items():
                listeners[name] = Raw(mooring.url(name), seconds=patience)
                listeners[name].session = client.session
            with (
                far.begin(b"", "GET") as quiet,
                listeners["own"].begin(b"", "GET") as own,
                listeners["shared"].begin(b"", "GET") as shared,
            ):
                threading.Event().wait(MINUTES * 60)
                said.put(b'data: {"jsonrpc":"2.0","method":"x"}\n\n')
                assert until(quiet, b"\n\n") == b'data: {"jsonrpc":"2.0","method":"x"}\n\n'
                for name, response in (("own", own), ("shared", shared)):
                    assert clients[name].call("notify", method=CHANGED) == "notified"
                    assert CHANGED in until(response, b"list_changed").decode()
    finally:
        mooring.end()
