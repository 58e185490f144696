"""The official conformance suite, run against our test server: directly, and through a Mooring.

`python -m support.conformance` (with `tests` on the path) runs everything and prints a table;
it ends with 1 where Mooring makes a check fail, or not pass, that the server passes directly.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.installation import BIN, ROOT, Mooring, free_port, wait_until

SERVER = ROOT / "tests" / "servers" / "conformance.py"
NODE = ROOT / ".tools" / "node_modules" / "node" / "bin" / "node"
SUITE = ROOT / ".tools/node_modules/@modelcontextprotocol/conformance/dist/index.js"
SCENARIOS = {
    "2025-06-18": ("--suite", "all", "--spec-version", "2025-06-18"),
    "2025-11-25": ("--requirements", "2025-11-25"),
    "2026-07-28": ("--suite", "all", "--spec-version", "2026-07-28"),
}
EXPECTED = {"2025-06-18": 56, "2025-11-25": 84, "2026-07-28": 152}
"""How many checks there are to pass."""
PATIENCE = 240
"""Seconds for one run of the suite."""
TARGETS = {
    "direct": "the server itself, over HTTP",
    "http": "through the gateway, over HTTP",
    "stdio": "through gateway and keeper, over stdio",
    "virtual": "through a virtual server, over HTTP",
}
_STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")

MANIFEST = f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata:
  name: http
spec:
  source:
    command: [{BIN / "python"}, {SERVER}]
  transport: streamable-http
---
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata:
  name: stdio
spec:
  source:
    command: [{BIN / "python"}, {SERVER}, stdio]
  isolation: session
---
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata:
  name: backend
spec:
  source:
    command: [{BIN / "python"}, {SERVER}]
  transport: streamable-http
  group: one
---
apiVersion: mooring.dev/v1alpha1
kind: MCPGroup
metadata:
  name: one
spec: {{}}
---
apiVersion: mooring.dev/v1alpha1
kind: VirtualMCPServer
metadata:
  name: virtual
spec:
  group: one
  aggregation:
    strategy: none
  relay:
    backend: {{sampling: true, elicitation: true, roots: true}}
"""


@dataclass(frozen=True)
class Check:
    """One check of the suite and how it went."""

    scenario: str
    id: str
    status: str
    words: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.scenario, self.id


class Verdict:
    """What the suite says of one server at one version."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks = checks

    @property
    def passed(self) -> int:
        return sum(check.status == "SUCCESS" for check in self.checks)

    @property
    def failed(self) -> int:
        return sum(check.status in ("FAILURE", "WARNING") for check in self.checks)

    @property
    def complaints(self) -> list[str]:
        """What does not pass, in the suite's words."""
        bad = [check for check in self.checks if check.status in ("FAILURE", "WARNING")]
        return [f"{check.status} {check.scenario} {check.id}: {check.words}" for check in bad]

    def lacks(self, other: "Verdict") -> Counter[tuple[str, str]]:
        """The checks that pass there and do not pass here. An id may stand for several checks."""
        return other._passing() - self._passing()

    def _passing(self) -> Counter[tuple[str, str]]:
        return Counter(check.key for check in self.checks if check.status == "SUCCESS")


def judge(url: str, version: str) -> Verdict:
    """Runs the suite against a server."""
    with tempfile.TemporaryDirectory() as out:
        command = [str(NODE), str(SUITE), "server", "--url", url, *SCENARIOS[version], "-o", out]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
        checks = [check for found in sorted(Path(out).iterdir()) for check in _read(found)]
    assert checks, done.stdout + done.stderr
    return Verdict(checks)


def _read(directory: Path) -> Iterator[Check]:
    scenario = _STAMP.sub("", directory.name).removeprefix("server-")
    for check in json.loads((directory / "checks.json").read_text()):
        yield Check(scenario, check["id"], check["status"], check.get("errorMessage", ""))


@contextlib.contextmanager
def direct() -> Iterator[str]:
    """The server without anything before it; its URL."""
    port = free_port()
    environment = os.environ | {"HOST": "127.0.0.1", "PORT": str(port)}
    with tempfile.TemporaryFile() as out:
        server = subprocess.Popen(
            [str(BIN / "python"), str(SERVER)],
            env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
        try:
            wait_until("the server", lambda: _listens(port), 30)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            server.terminate()
            server.wait(10)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def through_mooring(home: Path) -> Iterator[Mapping[str, str]]:
    """A whole Mooring that runs the server in both ways; the URL of each."""
    mooring = Mooring(home)
    try:
        mooring.start("up")
        mooring.wait_for_api()
        mooring.apply(MANIFEST)
        for name in ("http", "stdio", "backend"):
            mooring.ready(name)
        urls = {name: mooring.url(name) for name in ("http", "stdio")}
        yield urls | {"virtual": urls["http"].replace("/servers/http/", "/virtual/virtual/")}
    finally:
        mooring.end()


def everything() -> dict[tuple[str, str], Verdict]:
    """What is said of each target at each version."""
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = {"direct": stack.enter_context(direct())}
        urls |= stack.enter_context(through_mooring(home))
        return {
            (target, version): judge(url, version)
            for target, url in urls.items()
            for version in SCENARIOS
        }


def main() -> int:
    verdicts = everything()
    print(f"{'checks passed/failed':40}", *(f"{version:>12}" for version in SCENARIOS))
    for target, words in TARGETS.items():
        cells = [verdicts[target, version] for version in SCENARIOS]
        print(f"{words:40}", *(f"{f'{cell.passed}/{cell.failed}':>12}" for cell in cells))
    worse = False
    for (target, version), verdict in verdicts.items():
        for complaint in verdict.complaints:
            print(f"{target}, {version}: {complaint}")
        for scenario, id in verdict.lacks(verdicts["direct", version]):
            worse = True
            print(f"{target}, {version}: does not pass as it does directly: {scenario} {id}")
    return int(worse)


if __name__ == "__main__":
    sys.exit(main())
