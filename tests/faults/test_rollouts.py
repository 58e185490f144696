"""A broken change, for real: what served goes on, and comes back when it is killed."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.installation import ROOT, Mooring, wait_until
from support.talking import Client

pytestmark = pytest.mark.process

TOY = f'["{sys.executable}", "{ROOT}/tests/servers/toy.py"]'


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    installation = Mooring(tmp_path)
    yield installation
    installation.end()


def manifest(command: str, *, replicas: int = 2) -> str:
    return f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: toy}}
spec:
  source: {{command: {command}}}
  replicas: {replicas}
  progressDeadlineSeconds: 3
  drainSeconds: 0
"""


def states(mooring: Mooring) -> list[str]:
    return sorted(str(row["status"]["state"]) for row in mooring.instances().values())  # type: ignore[index]  # JSON


def uids(mooring: Mooring) -> set[str]:
    return {str(row["metadata"]["uid"]) for row in mooring.instances().values()}  # type: ignore[index]  # JSON


def killed(mooring: Mooring) -> int:
    """Ends the children of every instance that runs, and returns how many that were."""
    found = 0
    for pid in mooring.processes():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"toy.py" in command:
            os.kill(pid, signal.SIGKILL)
            found += 1
    return found


def answers(mooring: Mooring) -> bool:
    return Client(mooring.url("toy")).open().call("echo", text="here") == "here"


def test_a_broken_change_takes_nothing_down_and_can_be_undone(mooring: Mooring) -> None:
    mooring.start("serve")
    mooring.wait_for_api()
    mooring.apply(manifest(TOY))
    assert "rolled out" in mooring.moor("rollout", "status", "toy", "--timeout", "30s")

    mooring.apply(manifest('["/nowhere/to-be-found"]'))
    said = mooring.moor("rollout", "status", "toy", "--timeout", "30s", code=4)
    assert "made no step within 3 s; the instances before it go on serving" in said
    assert "command not found: /nowhere/to-be-found" in said
    assert states(mooring) == ["ERROR", "Ready", "Ready"]
    assert answers(mooring)
    assert "ProgressDeadlineExceeded" in mooring.moor("events", "--for", "server/toy")

    assert killed(mooring) == 2
    wait_until("what served to come back", lambda: answers_again(mooring), 30)
    assert answers(mooring)

    assert mooring.moor("rollout", "undo", "toy") == "server/toy rolled back to revision 1\n"
    assert "rolled out" in mooring.moor("rollout", "status", "toy", "--timeout", "30s")
    assert states(mooring) == ["Ready", "Ready"]
    history = mooring.moor("rollout", "history", "toy").splitlines()
    assert [line.split()[0] for line in history] == ["REVISION", "2", "3"]


def answers_again(mooring: Mooring) -> bool:
    rows = mooring.instances().values()
    again = [row for row in rows if row["status"]["restarts"] == 1]  # type: ignore[index]  # JSON
    return len(again) == 2 and states(mooring) == ["ERROR", "Ready", "Ready"]


def test_a_restart_replaces_every_process(mooring: Mooring) -> None:
    mooring.start("serve")
    mooring.wait_for_api()
    mooring.apply(manifest(TOY, replicas=1))
    mooring.ready("toy")
    before = uids(mooring)
    assert mooring.moor("rollout", "restart", "toy") == "server/toy restarted\n"
    mooring.moor("rollout", "status", "toy", "--timeout", "30s")
    assert not before & uids(mooring)
    assert answers(mooring)
