"""What a call costs: CPU per call of daemon and keeper, throughput and latency.

One run on one machine; the figures go to bench/RESULTS.md. Processor time is the scheduler's
accounting of each process, so it stays true on a noisy machine where seconds do not.
"""

import asyncio
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
CALLS = 10_000
CONNECTIONS = (1, 16, 64)
TICK = os.sysconf("SC_CLK_TCK")

FLEET = f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: http}}
spec:
  source: {{command: ["{sys.executable}", "{HERE / "upstream.py"}"]}}
  transport: streamable-http
---
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: stdio}}
spec:
  source: {{command: ["{sys.executable}", "{HERE / "child.py"}"]}}
"""
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}


@dataclass
class Row:
    """One line of the table."""

    path: str
    connections: int
    daemon: float
    keeper: float
    rate: float
    p50: float
    p99: float


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_megabytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Connection:
    """A keep-alive connection that posts MCP messages one after the other."""

    def __init__(self, port: int, path: str) -> None:
        self.port, self.path, self.session = port, path, ""

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        await self.post({"id": 0, "method": "initialize", "params": INITIALIZE})
        await self.post({"method": "notifications/initialized"})

    async def post(self, message: dict[str, object]) -> bytes:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        session = f"mcp-session-id: {self.session}\r\n" if self.session else ""
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
            "content-type: application/json\r\naccept: application/json, text/event-stream\r\n"
            f"{session}content-length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in answer[1:] if ": " in line)
        headers = {name.lower(): value for name, value in pairs}
        self.session = headers.get("mcp-session-id", self.session)
        assert answer[0].split()[1] in ("200", "202"), answer
        return await self.reader.readexactly(int(headers.get("content-length", "0")))


async def load(port: int, path: str, connections: int) -> tuple[float, list[float]]:
    """Seconds in all, and the seconds of each call."""
    clients = [Connection(port, path) for _ in range(connections)]
    for client in clients:
        await client.open()
    times: list[float] = []
    call = {"method": "tools/call", "params": {"name": "echo", "arguments": {"text": "ahoy"}}}

    async def work(client: Connection) -> None:
        for number in range(CALLS // connections):
            begun = time.perf_counter()
            answer = await client.post({"id": number + 1, **call})
            times.append(time.perf_counter() - begun)
            assert b"ahoy" in answer

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for client in clients:
            tasks.create_task(work(client))
    spent = time.perf_counter() - begun
    for client in clients:
        client.writer.close()
    return spent, sorted(times)


def measure(port: int, server: str, connections: int, pids: tuple[int, int]) -> Row:
    before = [processor_seconds(pid) for pid in pids]
    seconds, times = asyncio.run(load(port, f"/servers/{server}/mcp", connections))
    daemon, keeper = (
        (processor_seconds(pid) - was) / len(times) * 1e6
        for pid, was in zip(pids, before, strict=True)
    )
    middle, last = times[len(times) // 2], times[int(len(times) * 0.99)]
    rate = len(times) / seconds
    return Row(server, connections, daemon, keeper, rate, middle * 1e3, last * 1e3)


def page(rows: list[Row], memory: tuple[float, float], start: float) -> str:
    lines = [
        "# Results",
        "",
        f"`make bench`, {CALLS:,} calls a row, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, one gateway. Processor time is that of Mooring's own processes;",
        "the load generator shares the machine, so throughput and latency are lower bounds.",
        "",
        "| path | connections | daemon µs/call | keeper µs/call | calls/s | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.path} | {r.connections} | {r.daemon:.0f} | {r.keeper:.0f} | {r.rate:.0f} "
        f"| {r.p50:.2f} | {r.p99:.2f} |"
        for r in rows
    ]
    lines += [
        "",
        f"Memory after the run: daemon {memory[0]:.0f} MB, keeper {memory[1]:.0f} MB. "
        f"`moor up` to both servers ready: {start:.1f} s.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as home:
        port = free_port()
        (Path(home) / "run").mkdir(mode=0o700)
        (Path(home) / "fleet.yaml").write_text(FLEET)
        environment = {
            **os.environ,
            "MOORING_DATA": f"{home}/data",
            "MOORING_LISTEN": f"127.0.0.1:{port}",
            "XDG_RUNTIME_DIR": f"{home}/run",
        }
        begun = time.perf_counter()
        daemon = subprocess.Popen([str(BIN / "moor"), "up", f"{home}/fleet.yaml"], env=environment)
        try:
            for server in ("http", "stdio"):
                wait = [str(BIN / "moor"), "wait", "--for=condition=Ready", f"server/{server}"]
                for _ in range(100):
                    if subprocess.run(wait, env=environment, capture_output=True).returncode == 0:
                        break
                    time.sleep(0.2)
            start = time.perf_counter() - begun
            found = subprocess.run(["pgrep", "-f", f"mooring.programs.keeper.*{home}"],
                                   capture_output=True, text=True, check=True)  # fmt: skip
            pids = (daemon.pid, int(found.stdout.split()[0]))
            rows = [measure(port, s, n, pids) for s in ("http", "stdio") for n in CONNECTIONS]
            memory = (resident_megabytes(pids[0]), resident_megabytes(pids[1]))
        finally:
            daemon.terminate()
            daemon.wait(60)
    text = page(rows, memory, start)
    (HERE / "RESULTS.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
