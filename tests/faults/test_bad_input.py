"""Bad input, tried the way a user would: each is refused in words, and nothing else suffers."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.installation import Mooring, wait_until
from support.talking import Client

pytestmark = pytest.mark.process

UNRULY = Path(__file__).resolve().parents[1] / "support/unruly.py"
GOOD = f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: good}}
spec:
  source: {{command: ["{sys.executable}", "{UNRULY}", "obedient"]}}
"""


@pytest.fixture(scope="module")
def mooring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mooring]:
    """One daemon for all of it, with a good server that must stay well throughout."""
    installation = Mooring(tmp_path_factory.mktemp("bad"))
    installation.start("serve")
    try:
        installation.wait_for_api()
        installation.apply(GOOD)
        installation.ready("good")
        yield installation
    finally:
        installation.end()


@pytest.fixture(autouse=True)
def the_good_server_stays_well(mooring: Mooring) -> Iterator[None]:
    client = Client(mooring.url("good")).open()
    yield
    assert client.call("echo", text="still here") == "still here"


def server(name: str, *source: str, **more: object) -> str:
    run = [sys.executable, str(UNRULY), *source]
    spec = {"source": {"command": run}, "drainSeconds": 0, **more}
    document = {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "MCPServer",
        "metadata": {"name": name},
        "spec": spec,
    }
    return json.dumps(document)


def message_of(mooring: Mooring, name: str) -> str:
    status = json.loads(mooring.moor("get", "server", name, "-o", "json"))["status"]
    return " ".join([status["message"], *(row["message"] for row in status["instances"])])


# Manifests


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: [MCPServer\nmetadata:", [":2:", "yaml"]),
        (GOOD.replace("source: {", "source: {pypi: x, "), ["spec.source", "exactly one"]),
        (GOOD + "  replica: 2\n", ["spec.replica", "did you mean", "replicas", ":7:"]),
        (GOOD + "  replicas: 500\n", ["spec.replicas", "100", ":7:"]),
        (GOOD.replace("MCPServer", "MCPSever"), ["MCPSever", "did you mean", "MCPServer"]),
        (GOOD.replace("name: good", "name: Not_Good"), ["metadata.name"]),
        ("", ["nothing"]),
    ],
)
def test_a_bad_manifest_is_refused_with_place_and_remedy(
    mooring: Mooring, text: str, expected: list[str]
) -> None:
    said = mooring.moor("apply", "-f", "-", text=text, code=1).lower()
    assert [word for word in expected if word.lower() not in said] == [], said


def test_all_errors_of_a_manifest_come_at_once(mooring: Mooring) -> None:
    text = GOOD + "  replicas: 500\n  isolation: alone\n  colour: red\n"
    said = mooring.moor("apply", "-f", "-", text=text, code=1)
    assert [w for w in ("spec.replicas", "spec.isolation", "spec.colour") if w not in said] == []


def test_an_image_is_refused_in_words(mooring: Mooring) -> None:
    mooring.apply(
        "apiVersion: mooring.dev/v1alpha1\nkind: MCPServer\nmetadata: {name: boxed}\n"
        "spec: {source: {image: example/server}}\n"
    )
    wait_until("words", lambda: "container runtime" in message_of(mooring, "boxed"), 20)
    assert "RuntimeAbsent" in mooring.moor("describe", "server", "boxed")
    mooring.moor("delete", "server", "boxed")


def test_a_missing_file_is_said(mooring: Mooring) -> None:
    assert "/no/such/file.yaml" in mooring.moor("apply", "-f", "/no/such/file.yaml", code=1)
    assert "/no/such/file.yaml" in mooring.moor("up", "/no/such/file.yaml", code=1)


# Servers that cannot start


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"command": ["no-such-command-anywhere"]}, "no-such-command-anywhere"),
        ({"command": ["/etc/hostname"]}, "/etc/hostname"),
        ({"pypi": "mooring-no-such-package-1f3a"}, "mooring-no-such-package-1f3a"),
        ({"npm": "@modelcontextprotocol/no-such-package-1f3a"}, "no-such-package-1f3a"),
        ({"pypi": "mcp-server-time==0.0.1.dev99"}, "0.0.1.dev99"),
    ],
)
def test_what_cannot_be_run_is_named(
    mooring: Mooring, source: dict[str, object], expected: str
) -> None:
    document = json.loads(server("absent"))
    document["spec"]["source"] = source
    mooring.apply(json.dumps(document))

    def failed() -> bool:
        rows = json.loads(mooring.moor("get", "server", "absent", "-o", "json"))["status"]
        return any(row["state"] == "ERROR" for row in rows["instances"])

    wait_until("the failure", failed, 90)
    assert expected in message_of(mooring, "absent")
    assert "ERROR" in mooring.moor("get", "inst")
    mooring.moor("wait", "--for=condition=Ready", "server/absent", "--timeout=1s", code=4)
    mooring.moor("delete", "server", "absent", "--wait")


def test_a_missing_secret_is_named_in_full(mooring: Mooring) -> None:
    variable = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "creds", "key": "token"}}}
    mooring.apply(server("needy", "obedient", env=[variable]))
    wait_until("the complaint", lambda: 'secret "creds"' in message_of(mooring, "needy"), 20)
    said = message_of(mooring, "needy")
    assert 'server "needy" env TOKEN' in said
    assert "moor create secret creds --from-literal token=" in said
    mooring.moor("create", "secret", "creds", "--from-literal", "token=planted-value")
    mooring.ready("needy", 30)
    for output in (("get", "secrets", "-o", "yaml"), ("describe", "server", "needy")):
        assert "planted-value" not in mooring.moor(*output)
    for log in (mooring.home / "data/logs").rglob("*.log"):
        assert "planted-value" not in log.read_text()
    assert b"planted-value" not in b"".join(p.read_bytes() for p in mooring.home.glob("data/*.db*"))
    mooring.moor("delete", "server", "needy", "--wait")


# Children that misbehave


def test_noise_on_stdout_disturbs_nobody_and_is_logged(mooring: Mooring) -> None:
    mooring.apply(server("noisy", "noise"))
    mooring.ready("noisy", 30)
    assert Client(mooring.url("noisy")).open().call("echo", text="ahoy") == "ahoy"
    assert "this is no message" in mooring.moor("logs", "noisy")
    mooring.moor("delete", "server", "noisy", "--wait")


@pytest.mark.parametrize(
    ("behaviour", "patience", "expected"),
    [
        ("mute", 20, "closed its input or output"),
        ("silent", 2, "timed out after 2 s"),
        ("crash", 20, "missing API key"),
    ],
)
def test_a_child_that_never_gets_ready_says_why(
    mooring: Mooring, behaviour: str, patience: int, expected: str
) -> None:
    mooring.apply(server("unready", behaviour, handshakeTimeoutSeconds=patience))
    wait_until(expected, lambda: expected in message_of(mooring, "unready"), 30)
    mooring.moor("delete", "server", "unready", "--wait")


@pytest.mark.parametrize("behaviour", ["dies", "half"])
def test_a_call_of_a_child_that_dies_fails_at_once_with_the_reason(
    mooring: Mooring, behaviour: str
) -> None:
    mooring.apply(server("dying", behaviour))
    mooring.ready("dying", 30)
    client = Client(mooring.url("dying"), seconds=5).open()
    status, answer = client.post(
        {"id": 7, "method": "tools/call", "params": {"name": "echo", "arguments": {}}}
    )
    assert (status, answer["id"]) == (200, 7)
    assert answer["error"]["data"]["reason"] == "ChildExited"
    assert "3" in answer["error"]["message"]
    assert client.post({"id": 8, "method": "ping"})[0] == 200
    mooring.ready("dying", 30)
    mooring.moor("delete", "server", "dying", "--wait")


@pytest.mark.parametrize("behaviour", ["flood-stderr", "flood-stdout"])
def test_a_flood_is_survived_within_bounds(mooring: Mooring, behaviour: str) -> None:
    mooring.apply(server("flood", behaviour))
    mooring.ready("flood", 30)
    assert Client(mooring.url("flood")).open().call("echo", text="ahoy") == "ahoy"
    sizes = [path.stat().st_size for path in (mooring.home / "data/logs").rglob("*flood*")]
    assert sum(sizes) < 64 * 1024 * 1024
    mooring.moor("delete", "server", "flood", "--wait")


# HTTP


def raw(mooring: Mooring, request: bytes, seconds: float = 20) -> bytes:
    """What comes back on a bare connection, until it is closed or an answer is whole."""
    with socket.create_connection(("127.0.0.1", mooring.port), timeout=seconds) as line:
        line.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = line.recv(65536)
            if not chunk:
                break
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        lengths = [h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")]
        while lengths and len(body) < int(lengths[0].partition(b":")[2]):
            chunk = line.recv(65536)
            if not chunk:
                break
            body += chunk
        return head + b"\r\n\r\n" + body


def request(mooring: Mooring, body: bytes = b"", **changed: str) -> bytes:
    headers = {
        "host": f"127.0.0.1:{mooring.port}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "content-length": str(len(body)),
    }
    line = f"{changed.pop('method', 'POST')} {changed.pop('path', '/servers/good/mcp')} HTTP/1.1"
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    head = "\r\n".join([line, *(f"{k}: {v}" for k, v in headers.items() if v)])
    return head.encode() + b"\r\n\r\n" + body


PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


@pytest.mark.parametrize(
    ("body", "changed", "status", "words"),
    [
        (b"[" + PING + b"]", {}, 400, "-32600"),
        (b"{nonsense", {}, 400, "-32700"),
        (PING, {"host": "evil.example"}, 403, "Host"),
        (PING, {"origin": "https://evil.example"}, 403, "Origin"),
        (PING, {"origin": "null"}, 403, "Origin"),
        (PING, {"sec_fetch_site": "cross-site"}, 403, "other sites"),
        (PING, {"path": "/servers/nobody/mcp"}, 404, "nobody"),
        (PING, {"path": "/somewhere"}, 404, "nothing is at this path"),
        (PING, {"path": "/.well-known/oauth-protected-resource"}, 404, ""),
        (PING, {"method": "PUT"}, 405, ""),
        (PING, {"content_type": "text/plain"}, 415, "application/json"),
        (PING, {"mcp_session_id": "forged"}, 404, ""),
        (b"", {"content_length": "99999999"}, 413, ""),
        (PING, {"x_long": "y" * 70_000}, 431, ""),
        (PING, {"transfer_encoding": "chunked"}, 400, ""),
    ],
)
def test_a_bad_request_is_refused_in_words(
    mooring: Mooring, body: bytes, changed: dict[str, str], status: int, words: str
) -> None:
    answer = raw(mooring, request(mooring, body, **changed))
    head, _, text = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == str(status).encode(), answer
    assert words in text.decode()
    assert text


def test_half_a_head_sent_slowly_is_given_up(mooring: Mooring) -> None:
    answer = raw(mooring, b"POST /servers/good/mcp HTTP/1.1\r\nhost: 127", seconds=20)
    assert answer.split(b" ")[1] == b"408"


def test_the_page_for_probes_needs_no_host(mooring: Mooring) -> None:
    answer = raw(mooring, request(mooring, method="GET", path="/healthz", host="10.0.0.1"))
    assert answer.split(b" ")[1] == b"200"


# Data directories


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_somebody_elses_data_directory_is_refused(tmp_path: Path) -> None:
    other = Mooring(tmp_path)
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "run").mkdir(mode=0o700)
    os.chown(tmp_path / "data", 4242, 4242)
    assert "belongs to uid 4242" in other.moor("up", code=6)


def test_a_data_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    other = Mooring(tmp_path)
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "data").chmod(0o755)
    assert "chmod 700" in other.moor("up", code=6)


def test_a_damaged_store_is_refused_and_kept(tmp_path: Path) -> None:
    other = Mooring(tmp_path)
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "run").mkdir(mode=0o700)
    database = tmp_path / "data/mooring.db"
    database.write_text("this was something else " * 100)
    assert "mooring.db" in other.moor("serve", code=1)
    assert database.read_text().startswith("this was something else")
    assert other.processes() == set()
