"""A minute in which everything dies in turn, under sessions that call without pause.

SECONDS in the environment makes it another time, SEED another order.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.crowd import Crowd, Ledger
from support.installation import ROOT, Mooring, process_of, wait_until

pytestmark = pytest.mark.soak

SECONDS = float(os.environ.get("SECONDS", "60"))
SEED = int(os.environ.get("SEED", "1"))
SESSIONS = 20
SERVERS = ROOT / "tests/servers"
BEARABLE = {
    "cut", "refused", "OutcomeUnknown", "ChildExited", "RecoveryFailed", "UpstreamRefused",
    "UpstreamTimeout", "NoReadyInstance", "Draining",
}  # fmt: skip
"""What a call may come to while its instance or Mooring is gone; never a lost session."""


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    installation = Mooring(tmp_path)
    yield installation
    installation.end()


class Chaos:
    """Kills one thing after the other."""

    def __init__(self, mooring: Mooring, ledger: Path, seed: int) -> None:
        self._mooring = mooring
        self._ledger = ledger
        self._chance = random.Random(seed)
        self.done: list[str] = []

    def strike(self) -> None:
        deed = self._chance.choice([self.instance, self.instance, self.stopped, self.daemon])
        self.done.append(deed.__name__)
        deed()

    def instance(self) -> None:
        """One instance is killed."""
        pid = self._an_instance()
        if pid:
            os.kill(pid, signal.SIGKILL)

    def stopped(self) -> None:
        """One instance is stopped for a second."""
        pid = self._an_instance()
        if pid:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(1)
            os.kill(pid, signal.SIGCONT)

    def daemon(self) -> None:
        """The daemon is killed, and started again."""
        assert self._mooring.daemon is not None
        self._mooring.daemon.send_signal(self._chance.choice([signal.SIGKILL, signal.SIGTERM]))
        self._mooring.daemon.wait(30)
        self._mooring.start("serve")

    def _an_instance(self) -> int:
        """Of those that have started and not ended, the pid of one; 0 without any."""
        starts = [line for line in Ledger(self._ledger).lines if line["what"] == "start"]
        living = [
            pid for line in starts if (pid := process_of(line["space"], line["pid"], self._ledger))
        ]
        return self._chance.choice(living) if living else 0


@pytest.mark.parametrize("how", ["transport: streamable-http", "isolation: session"])
def test_no_session_is_lost_and_no_call_runs_twice(mooring: Mooring, how: str) -> None:
    path = mooring.home / "ledger"
    program = "ledger_http.py" if "http" in how else "ledger.py"
    command = [sys.executable, str(SERVERS / program), str(path)]
    mooring.start("serve")
    mooring.wait_for_api()
    mooring.apply(f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: ledger}}
spec:
  source: {{command: {json.dumps(command)}}}
  {how}
  replicas: 3
""")
    mooring.ready("ledger")
    with Crowd([mooring.url("ledger")], SESSIONS) as crowd:
        chaos = Chaos(mooring, path, SEED)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            crowd.answered(50)
            chaos.strike()
        mooring.wait_for_api()
        before = {member.name: member.sum for member in crowd.members}
        wait_until(
            "an answer for each session",
            lambda: all(member.sum > before[member.name] for member in crowd.members),
            60,
        )
    ledger = Ledger(path)
    assert set(crowd.failures) <= BEARABLE, (crowd.failures, chaos.done)
    assert ledger.twice == [], chaos.done
    ran = ledger.count("call")
    for member in crowd.members:
        assert member.sum <= ran[member.name]
        opened, greeted = ledger.count("initialize"), ledger.count("initialized")
        assert 1 <= greeted[member.name] <= opened[member.name]  # one may die between the two
