"""What ends with what: every way in which a daemon or a keeper can go away."""

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from support.installation import Mooring, alive, wait_until
from support.talking import Client

pytestmark = pytest.mark.process

COUNTING = Path(__file__).resolve().parents[1] / "support/counting.py"
SHARED, EACH = "shared", "session"


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    installation = Mooring(tmp_path)
    yield installation
    installation.end()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


def manifest(notes: Path, isolation: str = SHARED, replicas: int = 2) -> str:
    return f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: counting}}
spec:
  source: {{command: ["{sys.executable}", "{COUNTING}", "{notes}"]}}
  isolation: {isolation}
  replicas: {replicas}
"""


def noted(notes: Path, what: str) -> list[str]:
    return [line for line in notes.read_text().splitlines() if re.fullmatch(rf"\d+ {what}", line)]


def started(mooring: Mooring, notes: Path, command: str, isolation: str = SHARED) -> Client:
    """A running server with an open session whose sum is 1."""
    mooring.start(command)
    mooring.wait_for_api()
    mooring.apply(manifest(notes, isolation))
    mooring.ready("counting")
    client = Client(mooring.url("counting")).open()
    assert client.call("sum", number=1) == "1"
    return client


def keeper_pid(mooring: Mooring) -> int:
    for pid in mooring.processes():
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"mooring.programs.keeper" in command and str(mooring.home).encode() in command:
            return pid
    raise AssertionError("no keeper")


def gone(pids: set[int]) -> bool:
    return not any(alive(pid) for pid in pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("isolation", [SHARED, EACH])
def test_up_ends_with_everything_it_started(
    mooring: Mooring, notes: Path, number: int, isolation: str
) -> None:
    client = started(mooring, notes, "up", isolation)
    client.call("hide")
    processes = mooring.processes()
    hidden = {pid for pid in processes if b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes()}
    assert hidden
    assert mooring.stop(number) == 0
    wait_until("everything to end", lambda: gone(processes), 15)


def napping(client: Client, notes: Path, seconds: float) -> "Future[str]":
    """A call under way that takes so long."""
    before = len(noted(notes, "tools/call"))
    nap: Future[str] = Future()

    def call() -> None:
        try:
            nap.set_result(client.call("nap", seconds=seconds))
        except OSError as error:
            nap.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    wait_until("the call", lambda: len(noted(notes, "tools/call")) > before, 10)
    return nap


@pytest.mark.parametrize("command", ["up", "serve"])
def test_calls_under_way_may_finish(mooring: Mooring, notes: Path, command: str) -> None:
    nap = napping(started(mooring, notes, command), notes, 1.5)
    assert mooring.stop(signal.SIGINT) == 0
    assert nap.result(10) == "rested"
    assert "Ctrl-C again" in mooring.output or command == "serve"


def test_a_second_interrupt_does_not_wait_for_calls(mooring: Mooring, notes: Path) -> None:
    nap = napping(started(mooring, notes, "up"), notes, 60)
    assert mooring.daemon is not None
    mooring.daemon.send_signal(signal.SIGINT)
    wait_until("the drain", lambda: "Ctrl-C again" in mooring.output, 10)
    processes = mooring.processes()
    assert mooring.stop(signal.SIGINT, seconds=20) == 0
    assert isinstance(nap.exception(10), OSError)
    wait_until("everything to end", lambda: gone(processes), 15)


def kept(mooring: Mooring) -> dict[str, Any]:
    """The instances, without what only the daemon that asked them last knows."""
    rows: dict[str, Any] = dict(mooring.instances())
    for row in rows.values():
        row["status"].pop("lastProbe", None)
    return rows


def test_serve_ends_alone_and_the_next_one_takes_over(mooring: Mooring, notes: Path) -> None:
    client = started(mooring, notes, "serve")
    for _ in range(2):
        before = kept(mooring)
        assert mooring.stop(signal.SIGTERM) == 0
        mooring.start("serve")
        mooring.wait_for_api()
        assert kept(mooring) == before
    assert client.call("sum", number=1) == "2"
    assert len(noted(notes, "start")) == 2
    assert len(noted(notes, "initialize")) == 2


def test_connections_wait_while_serve_restarts(mooring: Mooring, notes: Path) -> None:
    client = started(mooring, notes, "serve")
    assert mooring.stop(signal.SIGTERM) == 0
    mooring.start("serve")
    assert client.call("sum", number=1) == "2"


@pytest.mark.parametrize("isolation", [SHARED, EACH])
@pytest.mark.parametrize("command", ["up", "serve"])
def test_after_kill_nothing_is_started_twice_and_sessions_go_on(
    mooring: Mooring, notes: Path, command: str, isolation: str
) -> None:
    client = started(mooring, notes, command, isolation)
    assert mooring.daemon is not None
    starts = len(noted(notes, "start"))
    opened = len(noted(notes, "initialize"))
    mooring.daemon.kill()
    mooring.daemon.wait(10)
    mooring.start(command)
    mooring.wait_for_api()
    mooring.ready("counting")
    assert client.call("sum", number=1) == "2"
    assert len(noted(notes, "start")) == starts
    assert len(noted(notes, "initialize")) == opened


@pytest.mark.parametrize("command", ["up", "serve"])
def test_down_ends_everything(mooring: Mooring, notes: Path, command: str) -> None:
    started(mooring, notes, command).call("hide")
    processes = mooring.processes()
    mooring.moor("down")
    assert mooring.daemon is not None
    assert mooring.daemon.wait(10) == 0
    wait_until("everything to end", lambda: gone(processes), 15)


def test_down_ends_what_a_killed_daemon_left(mooring: Mooring, notes: Path) -> None:
    started(mooring, notes, "serve").call("hide")
    processes = mooring.processes()
    assert mooring.daemon is not None
    mooring.daemon.kill()
    mooring.daemon.wait(10)
    mooring.moor("down")
    wait_until("everything to end", lambda: gone(processes), 15)


def test_a_keeper_left_alone_ends_by_itself(mooring: Mooring, notes: Path) -> None:
    mooring.more["MOORING_KEEPER_ALONE_SECONDS"] = "1"
    started(mooring, notes, "serve").call("hide")
    processes = mooring.processes()
    assert mooring.daemon is not None
    mooring.daemon.kill()
    mooring.daemon.wait(10)
    wait_until("everything to end", lambda: gone(processes), 30)


def test_the_daemon_goes_on_when_the_keeper_is_ended(mooring: Mooring, notes: Path) -> None:
    started(mooring, notes, "serve")
    keeper = keeper_pid(mooring)
    os.kill(keeper, signal.SIGTERM)
    wait_until("the keeper to end", lambda: not alive(keeper), 20)
    mooring.moor("get", "servers")
    mooring.ready("counting")
    assert Client(mooring.url("counting")).open().call("sum", number=1) == "1"
    assert len(noted(notes, "start")) == 4
    assert "keeper" in mooring.output


def test_a_second_daemon_is_refused_in_words(mooring: Mooring, tmp_path: Path) -> None:
    mooring.start("serve")
    mooring.wait_for_api()
    assert mooring.daemon is not None
    for command in ("up", "serve"):
        said = mooring.moor(command, code=1)
        assert f"a daemon (pid {mooring.daemon.pid}) already runs on" in said


def test_a_port_in_use_is_refused_in_words(mooring: Mooring, tmp_path: Path) -> None:
    mooring.start("serve")
    mooring.wait_for_api()
    (tmp_path / "other").mkdir()
    other = Mooring(tmp_path / "other", port=mooring.port)
    (other.home / "run").mkdir(mode=0o700)
    try:
        assert str(mooring.port) in other.moor("serve", code=1)
        assert "in use" in other.moor("up", code=1)
        assert other.processes() == set()
    finally:
        other.end()


def test_stale_sockets_and_locks_are_survived(mooring: Mooring, notes: Path) -> None:
    client = started(mooring, notes, "serve")
    processes = mooring.processes()
    for pid in processes:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    wait_until("everything to end", lambda: gone(processes), 15)
    assert mooring.daemon is not None
    mooring.daemon.wait(10)
    mooring.start("serve")
    mooring.wait_for_api()
    mooring.ready("counting")
    assert client.post({"id": 1, "method": "tools/list"})[0] == 200  # recovered
    assert Client(mooring.url("counting")).open().call("sum", number=1) == "1"
