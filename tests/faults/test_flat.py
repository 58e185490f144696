"""Servers that start and crash, again and again, leave nothing behind anywhere.

Everything is real: daemon, keeper, children, calls through the gateway. Each cycle is a call that
its server dies of, the start after it, and a rollout of new instances. After a few cycles to warm
up, both programs have as many processes, descriptors and files as before, and hardly more memory.
"""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.installation import ROOT, Mooring, descendants, wait_until
from support.talking import Client

from mooring.cli.client import Api, json_body

pytestmark = pytest.mark.process

SERVERS = [f"crashing-{letter}" for letter in "abcde"]
PATH = "/apis/mooring.dev/v1alpha1/namespaces/default/mcpservers"
MERGE_PATCH = "application/merge-patch+json"
RESTARTED = "mooring.dev/restartedAt"
CHANGES_KEPT = 375
"""Cycles until as many changes of servers are kept for watchers as ever are."""
SLACK = 4
"""Descriptors that come and go: connections that are open at the moment."""
GROWTH = 16 * 1024 * 1024
"""Bytes that either program may grow."""


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    (tmp_path / "tmp").mkdir()
    installation = Mooring(tmp_path, more={"TMPDIR": str(tmp_path / "tmp")})
    yield installation
    installation.end()


def manifest(name: str) -> str:
    return (
        f"apiVersion: mooring.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: {name}}}\nspec:\n"
        f'  source: {{command: ["{sys.executable}", "{ROOT}/tests/servers/toy.py"]}}\n'
        "  drainSeconds: 0\n"
    )


@dataclass(frozen=True)
class Count:
    """What there is of everything that could be left behind."""

    processes: int
    descriptors: int
    files: frozenset[str]
    """One name for the logs of all instances of a server, of which there are few."""
    memory: int

    def beyond(self, warm: "Count") -> list[str]:
        """What there is more of than there was."""
        found = [f"file {name}" for name in sorted(self.files - warm.files)]
        if self.processes > warm.processes:
            found.append(f"{self.processes} processes, not {warm.processes}")
        if self.descriptors > warm.descriptors + SLACK:
            found.append(f"{self.descriptors} descriptors, not {warm.descriptors}")
        if self.memory > warm.memory + GROWTH:
            found.append(f"{self.memory} bytes, not {warm.memory}")
        return found


class Fleet:
    """The servers, and the programs that run them."""

    def __init__(self, mooring: Mooring) -> None:
        self._mooring = mooring
        self._api = Api(str(next(mooring.home.glob("run/*/api.sock"))))
        self._keeper = self._keepers_pid()
        self._restarts = 0

    def live(self, cycles: int) -> None:
        """So many times a server crashes, and is replaced."""
        for _ in range(cycles // len(SERVERS)):
            self.crash()
            self.replace()

    def crash(self) -> None:
        """Every server dies of a call, and says so to its client."""
        for name in SERVERS:
            client = Client(self._mooring.url(name)).open()
            call = {"name": "die", "arguments": {"words": "out of cheese"}}
            _, answer = client.post({"id": 9, "method": "tools/call", "params": call})
            assert answer["error"]["data"]["reason"] == "ChildExited", answer
            client.delete()

    def replace(self) -> None:
        """Every instance is replaced by a new one."""
        self._restarts += 1
        stamp = f"restart {self._restarts}"
        for name in SERVERS:
            patch = {"metadata": {"annotations": {RESTARTED: stamp}}}
            self._api.send("PATCH", f"{PATH}/{name}", json_body(patch, MERGE_PATCH))
        wait_until(f"{stamp} to be complete", lambda: self._complete(stamp), 60)

    def count(self) -> Count:
        """What there is now."""
        daemon = self._mooring.daemon
        assert daemon is not None
        programs = [daemon.pid, self._keeper]
        below = {pid for program in programs for pid in (program, *descendants(program))}
        return Count(
            len(below),
            sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in programs),
            frozenset(self._files()),
            sum(resident(pid) for pid in programs),
        )

    def _complete(self, stamp: str) -> bool:
        for document in self._api.get(PATH)["items"]:
            status: dict[str, Any] = document["status"]
            states = [row["state"] for row in status["instances"]]
            done = status["restartedAt"] == stamp and status["rollout"]["state"] == "Complete"
            if not done or states != ["Ready"]:
                return False
        return True

    def _files(self) -> Iterator[str]:
        home = self._mooring.home
        for directory in ("tmp", "run", "data"):
            for path in (home / directory).rglob("*"):
                if path.suffix not in (".db-wal", ".db-shm"):
                    yield re.sub(r"-[0-3]\.log", "-N.log", str(path.relative_to(home)))

    def _keepers_pid(self) -> int:
        state = Api(str(next(self._mooring.home.glob("run/*/k.sock")))).get("/v1/keeper")
        return int(state["pid"])


def resident(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("warm_up", "cycles"), [(15, 30), pytest.param(CHANGES_KEPT, 500, marks=pytest.mark.soak)]
)
def test_what_starts_and_crashes_leaves_nothing(
    mooring: Mooring, warm_up: int, cycles: int
) -> None:
    mooring.start("serve")
    mooring.wait_for_api()
    mooring.apply("---\n".join(manifest(name) for name in SERVERS))
    for name in SERVERS:
        mooring.ready(name)
    fleet = Fleet(mooring)
    fleet.live(warm_up)
    warm = fleet.count()
    fleet.live(cycles)

    def grown() -> list[str]:
        return fleet.count().beyond(warm)

    try:
        wait_until("nothing more than when it was warm", lambda: not grown(), 30)
    finally:
        assert grown() == []
