"""Gateways of their own: what is lost with one, and what they know of each other."""

import asyncio
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.crowd import Crowd, Ledger, Member
from support.gateway_here import Gateway
from support.installation import Mooring, free_port, wait_until
from support.talking import Client

from mooring.programs import places

pytestmark = pytest.mark.process

Opened = Callable[..., Gateway]
SERVERS = Path(__file__).resolve().parents[1] / "servers"


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    installation = Mooring(tmp_path)
    yield installation
    installation.end()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def opened(mooring: Mooring) -> Iterator[Opened]:
    """Starts gateways, which end with the test."""
    started: list[Gateway] = []

    def start(name: str, *arguments: str, **environ: str) -> Gateway:
        started.append(Gateway(mooring, name, *arguments, **environ))
        return started[-1]

    yield start
    for gateway in started:
        gateway.end(signal.SIGKILL)


def manifest(path: Path, kind: str = "http", replicas: int = 2, drain: int = 60) -> str:
    program = SERVERS / ("ledger_http.py" if kind == "http" else "ledger.py")
    how = "transport: streamable-http" if kind == "http" else "isolation: session"
    return f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: ledger}}
spec:
  source: {{command: ["{sys.executable}", "{program}", "{path}"]}}
  {how}
  replicas: {replicas}
  drainSeconds: {drain}
"""


def started(mooring: Mooring, path: Path, **more: Any) -> None:
    mooring.start("serve")
    mooring.wait_for_api()
    mooring.apply(manifest(path, **more))
    mooring.ready("ledger")


def states(mooring: Mooring) -> set[Any]:
    return {row["status"]["state"] for row in mooring.instances().values()}  # type: ignore[index]


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["http", "stdio"])
def test_any_gateway_serves_any_session_and_goes_without_a_trace(
    mooring: Mooring, path: Path, opened: Opened, kind: str
) -> None:
    started(mooring, path, kind=kind)
    gateways = [opened(name) for name in ("east", "west")]
    urls = [mooring.url("ledger"), *(gateway.url() for gateway in gateways)]
    with Crowd(urls, 6, pause=0.01) as crowd:
        crowd.answered(60)
        assert crowd.failures == {}
        gateways[0].end(signal.SIGKILL)
        for member in crowd.members:
            member.urls.remove(gateways[0].url())
        crowd.answered(100)
    ledger = Ledger(path)
    assert set(crowd.failures) <= {"refused", "cut"}
    assert ledger.twice == []
    assert {ledger.count("initialize")[member.name] for member in crowd.members} == {1}
    assert gateways[1].end() == 0


@pytest.mark.soak
def test_a_restart_of_the_daemon_is_nothing_to_a_gateway(
    mooring: Mooring, path: Path, opened: Opened
) -> None:
    started(mooring, path)
    gateway = opened("east")
    with Crowd([gateway.url()], 6, pause=0.01) as crowd:
        crowd.answered(30)
        assert mooring.stop(signal.SIGTERM) == 0
        crowd.answered(30)
        mooring.start("serve")
        mooring.wait_for_api()
        mooring.apply(manifest(path, replicas=3))
        mooring.ready("ledger")
        wait_until("the third instance", lambda: "3" in gateway.page("/status")[1], 20)
        crowd.answered(30)
    assert crowd.failures == {}
    assert gateway.end() == 0


@pytest.mark.parametrize("silent", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_a_leaving_instance_waits_for_the_sessions_of_all_gateways(
    mooring: Mooring, path: Path, opened: Opened, silent: bool
) -> None:
    """Those of a gateway that is silent for long count no longer."""
    started(mooring, path)
    east, west = opened("east"), opened("west")
    here = [Client(east.url()).open() for _ in range(4)]
    there = [Client(west.url()).open() for _ in range(4)]
    mooring.apply(manifest(path, replicas=1))
    wait_until("the draining", lambda: states(mooring) == {"Ready", "Draining"}, 15)
    if silent:
        west.process.send_signal(signal.SIGSTOP)
    for client in here:
        client.call("add", number=1)
        assert client.delete() == 200
    assert states(mooring) == {"Ready", "Draining"}, "the other one still has sessions"
    if not silent:
        for client in there:
            assert client.call("add", number=1) == "1"
            assert client.delete() == 200
    wait_until("the end of the instance", lambda: states(mooring) == {"Ready"}, 25)
    if silent:
        west.process.send_signal(signal.SIGCONT)
        assert sum(client.try_call("add", number=1) for client in there) >= 2


def own_address() -> str:
    """One of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            found = str(probe.getsockname()[0])
        except OSError:
            found = "127.0.0.1"
    if found.startswith("127."):
        pytest.skip("this machine has loopback addresses only")
    return found


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[str]:
    """The URL of a server that nobody runs for us."""
    address, port = own_address(), free_port()
    environ = {**os.environ, "HOST": address, "PORT": str(port)}
    program = [sys.executable, str(SERVERS / "ledger_http.py"), str(tmp_path / "far")]
    with subprocess.Popen(program, env=environ) as process:
        yield f"http://{address}:{port}/mcp"
        process.kill()


def test_from_elsewhere_by_tls_and_token_remote_servers_are_served_and_others_explained(
    mooring: Mooring, path: Path, opened: Opened, remote: str, tmp_path: Path
) -> None:
    address = own_address()
    mooring.more["MOORING_API_NAMES"] = address
    mooring.more["MOORING_API_LISTEN"] = f"{address}:0"
    started(mooring, path)
    mooring.apply(
        f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: far}}
spec:
  source: {{url: "{remote}"}}
  transport: streamable-http
"""
    )
    mooring.ready("far")
    token, authority, keys = tmp_path / "token", tmp_path / "ca.pem", tmp_path / "keys"
    token.write_text(mooring.moor("token"))
    authority.write_text(mooring.moor("token", "authority"))
    keys.write_bytes((mooring.home / "data/keys/sessions.key").read_bytes())
    keys.chmod(0o600)
    (api,) = re.findall("server: (https://.*)", mooring.moor("kubeconfig"))
    gateway = opened(
        "elsewhere", f"--api={api}", f"--api-token-file={token}",
        f"--api-ca-file={authority}", f"--session-key={keys}",
        MOORING_DATA=str(tmp_path / "other"),
    )  # fmt: skip
    far = Client(gateway.url("far")).open()
    assert far.call("add", number=2) == "2"
    same = Client(mooring.url("far"))
    same.session = far.session
    assert same.call("add", number=1) == "3"

    client = Client(gateway.url())
    status, answer = client.post({"id": 1, "method": "initialize", "params": {}})
    assert status == 503
    assert answer["error"]["data"]["reason"] == "NotRoutableHere"
    assert "2 instances can be reached on its own machine only" in answer["error"]["message"]
    session = Client(mooring.url("ledger")).open()
    session.call("add", number=1)
    other = Client(gateway.url())
    other.session = session.session
    status, answer = other.post({"id": 2, "method": "ping"})
    assert (status, answer["error"]["data"]["reason"]) == (200, "NotRoutableHere")
    assert session.call("add", number=1) == "2"
    assert gateway.page("/readyz")[0] == 503
    assert gateway.end() == 0


def test_without_a_common_store_a_session_that_never_moved_works_everywhere(
    mooring: Mooring, path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    mooring.more["MOORING_SESSION_IDLE_SECONDS"] = "20"
    started(mooring, path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", mooring.environment["XDG_RUNTIME_DIR"])
    found = places.of(str(mooring.home / "data"))
    shared = {
        "MOORING_API": f"unix://{found.api_socket}",
        "MOORING_SESSION_KEY": str(found.keys / "sessions.key"),
        "MOORING_SESSION_IDLE_SECONDS": "20",
    }
    east, west = (
        opened(name, **shared, MOORING_DATA=str(mooring.home / name)) for name in ("east", "west")
    )
    assert {(mooring.home / name / "sessions.db").exists() for name in ("east", "west")} == {True}
    urls = [east.url(), west.url(), mooring.url("ledger")]
    for turn in range(3):  # they open their sessions at the first of them
        with Crowd(urls[turn:] + urls[:turn], 6) as crowd:
            crowd.answered(60)
        assert crowd.failures == {}
    member = crowd.members[0]
    assert {Ledger(path).count("initialize")[each.name] for each in crowd.members} == {3}
    assert asyncio.run(member.delete()) == 200

    def over() -> bool:
        return [visited(member, url) for url in urls] == [404, 404, 404]

    wait_until("all to have heard of it", over, 10)
    wait_until("it to be written down", lambda: written(mooring), 60)
    assert mooring.stop(signal.SIGTERM) == 0
    mooring.start("serve")
    mooring.wait_for_api()
    wait_until("the daemon", lambda: visited(member, urls[2]) != 503, 20)
    assert over()


def written(mooring: Mooring) -> bool:
    """Whether the daemon's own store knows of a session that has ended."""
    database = sqlite3.connect(mooring.home / "data" / "sessions.db")
    with closing(database):
        return database.execute("SELECT count(*) FROM sessions WHERE ended").fetchone() == (1,)


def visited(member: Member, url: str) -> int:
    """The status of a call there."""
    member.urls = [url]
    return asyncio.run(member.call("look"))[0]
