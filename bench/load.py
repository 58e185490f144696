"""Load on one endpoint, and what a call costs under it.

wrk makes the load with one thread; sessions are opened before. A figure is taken several
times, in turns with the others, and the cheapest counts: the machine may be shared.
"""

import contextlib
import http.client
import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from processes import AROUND, processor_seconds

HERE = Path(__file__).resolve().parent
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}
HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2025-11-25",
}
CALL = {"name": "echo", "arguments": {"text": "ahoy"}}


@dataclass(frozen=True)
class Endpoint:
    """Something to put load on."""

    system: str
    """`nginx`, `Mooring`, or a peer."""
    answers: str
    """`JSON`, `SSE` or `stdio`."""
    url: str
    processes: Callable[[], dict[str, set[int]]]
    """What belongs to the system, by name; not the servers behind it."""


@dataclass(frozen=True)
class Figures:
    """What one run of load told."""

    calls: int
    seconds: float
    p50: float
    """Milliseconds."""
    p99: float
    failed: int
    cpu: dict[str, float]
    """Microseconds of processor time per call, by process."""

    @property
    def total(self) -> float:
        return sum(self.cpu.values())

    @property
    def rate(self) -> float:
        return self.calls / self.seconds


class Client:
    """One keep-alive connection to an endpoint, and the session that it opened."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        self.session = ""

    def open(self) -> str:
        """Begins a session; returns its id, empty where the server gives none."""
        self.post({"id": 0, "method": "initialize", "params": INITIALIZE})
        self.post({"method": "notifications/initialized"})
        return self.session

    def post(self, message: dict[str, object]) -> bytes:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        status, answer = self.request("POST", body)
        if status not in (200, 202):
            raise RuntimeError(f"HTTP {status}: {answer[:300]!r}")
        return answer

    def call(self) -> bytes:
        """Calls the tool once; raises RuntimeError where the answer is not the tool's."""
        answer = self.post({"id": 1, "method": "tools/call", "params": CALL})
        if b"ahoy" not in answer:
            raise RuntimeError(f"not the answer of the tool: {answer[:300]!r}")
        return answer

    def request(self, method: str, body: bytes = b"") -> tuple[int, bytes]:
        session = {"mcp-session-id": self.session} if self.session else {}
        self._connection.request(method, self._path, body, HEADERS | session)
        response = self._connection.getresponse()
        self.session = response.headers.get("mcp-session-id", self.session)
        return response.status, response.read()

    def close(self) -> None:
        self._connection.close()


def answers(url: str) -> bool:
    """Whether an endpoint already answers a call."""
    with contextlib.suppress(OSError, http.client.HTTPException, RuntimeError):
        with contextlib.closing(Client(url)) as client:
            client.open()
            client.call()
            client.request("DELETE")
        return True
    return False


def open_sessions(url: str, count: int) -> list[str]:
    """Opens sessions, one after the other, each with one call; returns their ids."""
    sessions = []
    for _ in range(count):
        with contextlib.closing(Client(url)) as client:
            sessions.append(client.open())
            client.call()
    return sessions


def put_load(endpoint: Endpoint, sessions: list[str], connections: int, seconds: float) -> Figures:
    """Calls over so many connections for so long; RuntimeError where more than a few fail."""
    pids = endpoint.processes()
    with tempfile.NamedTemporaryFile("w", suffix=".sessions") as listed:
        listed.write("\n".join(sessions) + "\n")
        listed.flush()
        _wrk(endpoint.url, listed.name, connections, min(0.5, seconds / 4))
        before = {name: processor_seconds(group) for name, group in pids.items()}
        told = _wrk(endpoint.url, listed.name, connections, seconds)
    calls = int(told["calls"])
    if not calls:
        raise RuntimeError(f"no call was answered in {seconds:g} s at {connections} connections")
    if told["failed"] > calls / 100:
        raise RuntimeError(f"{told['failed']} of {calls} calls of {endpoint.system} failed")
    cpu = {
        name: (processor_seconds(group) - before[name]) / calls * 1e6
        for name, group in pids.items()
    }
    return Figures(calls, told["seconds"], told["p50"], told["p99"], int(told["failed"]), cpu)


def _wrk(url: str, sessions: str, connections: int, seconds: float) -> dict[str, float]:
    cores = ",".join(map(str, sorted(AROUND)))
    duration = f"{max(1, round(seconds))}s"
    done = subprocess.run(
        ["taskset", "-c", cores, "wrk", "-t", "1", "-c", str(connections), "-d", duration,
         "--timeout", "30s", "-s", str(HERE / "calls.lua"), url, "--", sessions],
        capture_output=True, text=True, timeout=seconds + 60, check=True,
    )  # fmt: skip
    figures: dict[str, float] = json.loads(done.stdout.rpartition("FIGURES ")[2])
    return figures
