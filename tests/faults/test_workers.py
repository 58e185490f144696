"""Two gateway processes behind one port: who serves, what is lost with one, what ends with what."""

import http.client
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.installation import Mooring, alive, wait_until
from support.talking import Client

pytestmark = pytest.mark.process

COUNTING = Path(__file__).resolve().parents[1] / "support/counting.py"
WORKERS = ("1", "2")


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    installation = Mooring(tmp_path)
    installation.more["MOORING_WORKERS"] = "2"
    yield installation
    installation.end()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


def manifest(notes: Path, replicas: int = 2) -> str:
    return f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: counting}}
spec:
  source: {{command: ["{sys.executable}", "{COUNTING}", "{notes}"]}}
  replicas: {replicas}
  drainSeconds: 60
"""


def started(mooring: Mooring, notes: Path, command: str = "serve") -> None:
    mooring.start(command)
    mooring.wait_for_api()
    mooring.apply(manifest(notes))
    mooring.ready("counting")
    wait_until("both workers", lambda: len(reached(mooring)) == 2, 20)


def clients(mooring: Mooring, count: int) -> list[Client]:
    return [Client(mooring.url("counting")).open() for _ in range(count)]


def answered_by(mooring: Mooring) -> str:
    """The worker that a new connection reaches."""
    connection = http.client.HTTPConnection("127.0.0.1", mooring.port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        page = connection.getresponse().read().decode()
    finally:
        connection.close()
    found = re.search(r'mooring_sessions\{worker="(\d+)"\}', page)
    assert found, page
    return found[1]


def reached(mooring: Mooring) -> set[str]:
    return {answered_by(mooring) for _ in range(20)}


def workers(mooring: Mooring) -> dict[str, int]:
    """Pids by name."""
    found = {}
    for pid in mooring.processes():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        if "mooring.programs.gateway" in words and alive(pid):
            found[words[words.index("--name") + 1]] = pid
    return found


def gone(pids: set[int]) -> bool:
    return not any(alive(pid) for pid in pids)


def test_every_session_works_through_every_worker_and_they_spread(
    mooring: Mooring, notes: Path
) -> None:
    started(mooring, notes)
    opened = clients(mooring, 24)
    for _ in range(3):
        for client in opened:
            client.call("sum", number=1)
    sums = [int(client.call("sum", number=0)) for client in opened]  # of each client's instance
    assert min(sums) + max(sums) == 72
    assert max(sums) - min(sums) <= 18


def test_a_leaving_instance_waits_for_the_sessions_of_all_workers(
    mooring: Mooring, notes: Path
) -> None:
    started(mooring, notes)
    opened = clients(mooring, 6)
    mooring.apply(manifest(notes, replicas=1))

    def states() -> set[object]:
        return {row["status"]["state"] for row in mooring.instances().values()}  # type: ignore[index]

    wait_until("the draining", lambda: states() == {"Ready", "Draining"}, 15)
    for _ in range(3):
        for client in opened:
            client.call("sum", number=1)
    assert states() == {"Ready", "Draining"}
    for client in opened:
        ended(client, mooring)
    wait_until("the end of the instance", lambda: states() == {"Ready"}, 20)


def ended(client: Client, mooring: Mooring) -> None:
    """A session ended by its client."""
    connection = http.client.HTTPConnection("127.0.0.1", mooring.port, timeout=10)
    headers = {"mcp-session-id": client.session, "mcp-protocol-version": "2025-11-25"}
    try:
        connection.request("DELETE", "/servers/counting/mcp", headers=headers)
        assert connection.getresponse().status in (200, 202, 204)
    finally:
        connection.close()


class Callers:
    """Calls without a pause, each on a new connection, each client in a thread of its own."""

    def __init__(self, clients: list[Client]) -> None:
        self.answers = 0
        self.failures: list[Exception] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, args=(each,)) for each in clients]
        for thread in self._threads:
            thread.start()

    def _go_on(self, client: Client) -> None:
        while not self._over.is_set():
            try:
                client.call("sum", number=0)
                self.answers += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(error)
            except AssertionError as error:
                self.failures.append(error)
                return

    def wait_for(self, more: int) -> None:
        before = self.answers
        wait_until("answers", lambda: self.answers >= before + more, 20)

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(20)


def test_a_worker_that_is_killed_takes_only_its_own_calls_along_and_is_replaced(
    mooring: Mooring, notes: Path
) -> None:
    started(mooring, notes)
    callers = Callers(clients(mooring, 4))
    try:
        callers.wait_for(50)
        before = workers(mooring)
        assert set(before) == set(WORKERS)
        os.kill(before["1"], signal.SIGKILL)
        callers.wait_for(50)
        wait_until("another one", lambda: workers(mooring).get("1", 0) != before["1"], 10)
        wait_until("both to answer", lambda: reached(mooring) == set(WORKERS), 20)
        callers.wait_for(50)
    finally:
        callers.end()
    assert not [error for error in callers.failures if isinstance(error, AssertionError)]
    assert len(callers.failures) <= 4
    assert workers(mooring)["2"] == before["2"]
    assert len([line for line in notes.read_text().splitlines() if "start" in line]) == 2


@pytest.mark.parametrize("command", ["up", "serve"])
def test_workers_end_with_the_daemon_and_calls_under_way_may_finish(
    mooring: Mooring, notes: Path, command: str
) -> None:
    started(mooring, notes, command)
    client = clients(mooring, 1)[0]
    answers: list[str] = []
    nap = threading.Thread(target=lambda: answers.append(client.call("nap", seconds=1)))
    nap.start()
    wait_until("the call", lambda: "tools/call" in notes.read_text(), 10)
    processes, ours = mooring.processes(), set(workers(mooring).values())
    assert mooring.stop(signal.SIGINT) == 0
    nap.join(10)
    assert answers == ["rested"]
    assert gone(ours)
    if command == "up":
        wait_until("everything to end", lambda: gone(processes), 15)


def test_a_second_interrupt_does_not_wait_for_workers(mooring: Mooring, notes: Path) -> None:
    started(mooring, notes, "up")
    client = clients(mooring, 1)[0]
    errors: list[Exception] = []

    def call() -> None:
        try:
            client.call("nap", seconds=60)
        except (OSError, http.client.HTTPException) as error:
            errors.append(error)

    nap = threading.Thread(target=call)
    nap.start()
    wait_until("the call", lambda: "tools/call" in notes.read_text(), 10)
    processes = mooring.processes()
    assert mooring.daemon is not None
    mooring.daemon.send_signal(signal.SIGINT)
    wait_until("the drain", lambda: "Ctrl-C again" in mooring.output, 10)
    assert mooring.stop(signal.SIGINT, seconds=20) == 0
    nap.join(10)
    assert len(errors) == 1
    wait_until("everything to end", lambda: gone(processes), 15)


def test_workers_of_a_killed_daemon_end_and_the_next_one_has_its_own(
    mooring: Mooring, notes: Path
) -> None:
    started(mooring, notes)
    client = clients(mooring, 1)[0]
    client.call("sum", number=1)
    before = set(workers(mooring).values())
    assert mooring.daemon is not None
    mooring.daemon.kill()
    mooring.daemon.wait(10)
    mooring.start("serve")
    mooring.wait_for_api()
    wait_until("the old workers to end", lambda: gone(before), 15)
    assert client.call("sum", number=1) == "2"
    assert set(workers(mooring)) == set(WORKERS)


def test_down_leaves_no_worker(mooring: Mooring, notes: Path) -> None:
    started(mooring, notes)
    processes = mooring.processes()
    mooring.moor("down")
    wait_until("everything to end", lambda: gone(processes), 15)


def test_down_leaves_no_worker_of_a_killed_daemon(mooring: Mooring, notes: Path) -> None:
    started(mooring, notes)
    processes = mooring.processes()
    assert mooring.daemon is not None
    mooring.daemon.kill()
    mooring.daemon.wait(10)
    mooring.moor("down")
    wait_until("everything to end", lambda: gone(processes), 15)


def test_connections_wait_while_serve_restarts(mooring: Mooring, notes: Path) -> None:
    started(mooring, notes)
    client = clients(mooring, 1)[0]
    assert mooring.stop(signal.SIGTERM) == 0
    mooring.start("serve")
    assert client.call("sum", number=1) == "1"
