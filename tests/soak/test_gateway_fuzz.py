"""Messages that are almost right, sent to a whole Mooring: each is answered, in the form of MCP.

SECONDS in the environment is how long that goes on, SEED where it begins.
"""

import http.client
import json
import os
import random
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.installation import ROOT, Mooring
from support.mutating import mutated
from support.talking import Client

pytestmark = pytest.mark.soak

SECONDS = float(os.environ.get("SECONDS", "60"))
SEED = int(os.environ.get("SEED", "1"))
SERVERS = {
    "own": 'isolation: session, source: {{command: ["{python}", "{toy}", dual, tolerant]}}',
    "shared": 'source: {{command: ["{python}", "{toy}", dual, tolerant]}}',
    "http": 'transport: streamable-http, source: {{command: ["{python}", "{notes}"]}}',
}
META = (
    b'"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    b'"io.modelcontextprotocol/clientInfo":{},"io.modelcontextprotocol/clientCapabilities":{}}'
)
MESSAGES = (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":'
    b'{"text":"x"},"_meta":{"progressToken":7}}}',
    b'{"jsonrpc":"2.0","id":"a","method":"tools/list","params":{%b}}' % META,
    b'{"jsonrpc":"2.0","id":3,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":5,"method":"server/discover","params":{%b}}' % META,
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}',
    b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1}}',
    b'{"jsonrpc":"2.0","id":1,"result":{}}',
    b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25",'
    b'"capabilities":{},"clientInfo":{"name":"a","version":"1"}}}',
)
SIGNS = (
    b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"1", b"-", b"null", b"1.0",
    b'"id":2,', b'"method":"x",', b'"params":[],', b'"_meta":{},', b"\xc3\xa9", b"\xff",
    b"\\ud800", b'"params":{"name":5},', b'"uri":[],', b'{"a":' * 50, b"[" * 2000, b"9" * 60,
)  # fmt: skip
METHODS = ("tools/call", "tools/list", "ping", "server/discover", "=?base64?eA==?=", "\xff", "")


def ask(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
    """Status, media type and body of an answer; the connection is for this request alone."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request("POST", parts.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type") or "", answer.read()
    finally:
        connection.close()


def headed(source: random.Random, session: str) -> dict[str, str]:
    """Headers that fit the message, or do not."""
    headers = {"content-type": "application/json", "accept": "application/json"}
    if source.random() < 0.6:
        headers["mcp-session-id"] = source.choice((session, session, session, "x", session[:-1]))
    if source.random() < 0.4:
        versions = ("2025-11-25", "2026-07-28", "2026-07-28", "2024-11-05", "1", "")
        headers["mcp-protocol-version"] = source.choice(versions)
    if source.random() < 0.4:
        headers["mcp-method"] = source.choice(METHODS)
    if source.random() < 0.3:
        headers["mcp-name"] = source.choice(("echo", *METHODS))
    return headers


def test_every_message_is_answered(tmp_path: Path) -> None:
    places = {
        "python": sys.executable,
        "toy": f"{ROOT}/tests/servers/toy.py",
        "notes": f"{ROOT}/examples/notes.py",
    }
    manifest = "\n---\n".join(
        "{apiVersion: mooring.dev/v1alpha1, kind: MCPServer,"
        f" metadata: {{name: {name}}}, spec: {{{spec.format(**places)}}}}}"
        for name, spec in SERVERS.items()
    )
    mooring = Mooring(tmp_path)
    mooring.start("serve")
    try:
        mooring.wait_for_api()
        mooring.apply(manifest)
        clients = {}
        for name in SERVERS:
            mooring.ready(name)
            clients[name] = Client(mooring.url(name)).open()
        ends = time.monotonic() + SECONDS
        seed = SEED * 1_000_000
        while time.monotonic() < ends:
            seed += 1
            source = random.Random(seed)
            name = source.choice(list(SERVERS))
            body = mutated(source, (source.choice(MESSAGES),), SIGNS)
            headers = headed(source, clients[name].session)
            status, kind, answer = ask(mooring.url(name), body, headers)
            about = (seed, name, headers, body, status, answer)
            full = status == 503 and b"TooManyChildren" in answer
            assert full or status in (200, 202, 400, 404, 405, 413), about
            if kind == "application/json" and answer:
                assert isinstance(json.loads(answer), dict), about
            else:
                assert kind == "text/event-stream" or not answer, about
            if seed % 200 == 0:
                assert Client(mooring.url("shared")).open().ask("tools/list")["tools"], about
        assert "Traceback" not in mooring.output
    finally:
        mooring.end()
