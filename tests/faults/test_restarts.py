"""The daemon ends and comes back under fifty sessions that call without pause."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.crowd import Crowd, Ledger
from support.installation import Mooring, alive, wait_until

pytestmark = pytest.mark.process

SERVERS = Path(__file__).resolve().parents[1] / "servers"
SESSIONS = 50
HTTP, STDIO = "http", "stdio"


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    installation = Mooring(tmp_path)
    yield installation
    installation.end()


def manifest(path: Path, kind: str) -> str:
    how = "transport: streamable-http" if kind == HTTP else "isolation: session"
    program = SERVERS / ("ledger_http.py" if kind == HTTP else "ledger.py")
    return f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: ledger}}
spec:
  source: {{command: ["{sys.executable}", "{program}", "{path}"]}}
  {how}
  replicas: 2
"""


def started(mooring: Mooring, kind: str) -> Path:
    path = mooring.home / "ledger"
    mooring.start("serve")
    mooring.wait_for_api()
    mooring.apply(manifest(path, kind))
    mooring.ready("ledger")
    return path


def one_of_each(ledger: Ledger, what: str) -> bool:
    """Whether every session of the crowd has exactly one of these."""
    found = ledger.count(what)
    return all(found[f"m{number}"] == 1 for number in range(SESSIONS))


def sums_agree(crowd: Crowd, ledger: Ledger) -> bool:
    """Whether what was answered ran, and nothing of the sessions was lost."""
    ran = ledger.count("call")
    return all(member.sum <= ran[member.name] for member in crowd.members)


@pytest.mark.parametrize("kind", [HTTP, STDIO])
def test_a_restart_loses_no_session_no_connection_and_no_call(mooring: Mooring, kind: str) -> None:
    path = started(mooring, kind)
    with Crowd([mooring.url("ledger")], SESSIONS) as crowd:
        crowd.answered(200)
        assert mooring.stop(signal.SIGTERM) == 0
        mooring.start("serve")
        crowd.answered(500)
    ledger = Ledger(path)
    assert crowd.failures == {}
    assert one_of_each(ledger, "initialize")
    assert one_of_each(ledger, "initialized")
    assert ledger.twice == []
    assert {m.name: m.sum for m in crowd.members}.items() <= ledger.count("call").items()


@pytest.mark.parametrize("kind", [HTTP, pytest.param(STDIO, marks=pytest.mark.soak)])
def test_after_kill_only_calls_under_way_are_lost(mooring: Mooring, kind: str) -> None:
    path = started(mooring, kind)
    with Crowd([mooring.url("ledger")], SESSIONS) as crowd:
        crowd.answered(200)
        assert mooring.daemon is not None
        mooring.daemon.kill()
        mooring.daemon.wait(10)
        mooring.start("serve")
        crowd.answered(500)
    ledger = Ledger(path)
    assert set(crowd.failures) <= {"cut"}
    assert crowd.failures["cut"] <= SESSIONS
    assert one_of_each(ledger, "initialize")
    assert one_of_each(ledger, "initialized")
    assert ledger.twice == []
    assert sums_agree(crowd, ledger)


def test_a_new_keeper_holds_the_listening_socket_too(mooring: Mooring) -> None:
    """The keeper dies under the daemon, then the daemon: those who connect are not refused."""
    started(mooring, HTTP)
    before = keeper(mooring)
    os.kill(before, signal.SIGKILL)
    wait_until("another keeper", lambda: keeper(mooring) not in (0, before), 20)
    wait_until("its socket", lambda: listens(keeper(mooring), mooring.port), 20)
    mooring.ready("ledger")
    with Crowd([mooring.url("ledger")], 5) as crowd:
        crowd.answered(20)
        assert mooring.daemon is not None
        mooring.daemon.kill()
        mooring.daemon.wait(10)
        mooring.start("serve")
        crowd.answered(50)
    assert set(crowd.failures) <= {"cut"}


def keeper(mooring: Mooring) -> int:
    """The pid that is in the keeper's lock."""
    (lock,) = (mooring.home / "run").glob("*/k.sock.lock")
    pid = int(lock.read_text() or 0)
    return pid if alive(pid) else 0


def listens(pid: int, port: int) -> bool:
    """Whether the process holds a socket that listens on the port."""
    inodes = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
            inodes.add(f"socket:[{words[9]}]")
    try:
        links = {os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return False
    return bool(inodes & links)
