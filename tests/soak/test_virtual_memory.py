"""Ten thousand clients of a virtual server, each with a session at every one of five backends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from support.installation import Mooring, free_port
from support.virtual_client import Client

pytestmark = [pytest.mark.process, pytest.mark.soak]

SESSIONS = int(os.environ.get("SESSIONS", "10000"))
LIMIT = 500e6
"""Bytes, for ten thousand."""
BACKENDS = 5
CONNECTIONS = 4
MOODY = Path(__file__).resolve().parents[1] / "servers/moody.py"


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[list[int]]:
    ports = [free_port() for _ in range(BACKENDS)]
    running = [
        subprocess.Popen(
            [sys.executable, str(MOODY), str(port), str(tmp_path / "mood")],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for port in ports
    ]  # fmt: skip
    yield ports
    for each in running:
        each.kill()
        each.wait(10)


@pytest.fixture
def mooring(tmp_path: Path, ports: list[int]) -> Iterator[Mooring]:
    installation = Mooring(tmp_path, more={"MOORING_SESSION_STORE": "memory"})
    installation.start("up")
    installation.wait_for_api()
    head = "apiVersion: mooring.dev/v1alpha1\nkind:"
    parts = [
        f"{head} MCPServer\nmetadata: {{name: b{n}}}\n"
        f'spec: {{source: {{url: "http://127.0.0.1:{port}/mcp"}}, group: five}}\n'
        for n, port in enumerate(ports)
    ]
    parts.append(f"{head} MCPGroup\nmetadata: {{name: five}}\n")
    parts.append(f"{head} VirtualMCPServer\nmetadata: {{name: all}}\nspec: {{group: five}}\n")
    installation.apply("---\n".join(parts))
    for n in range(BACKENDS):
        installation.ready(f"b{n}")
    yield installation
    installation.end()


def resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


def test_ten_thousand_sessions_over_five_backends_fit_into_half_a_gigabyte(
    mooring: Mooring,
) -> None:
    assert mooring.daemon is not None
    before = resident(mooring.daemon.pid)

    def some(count: int) -> None:
        with closing(Client(mooring.port)) as client:
            for number in range(count):
                if number:
                    client.open()
                for n in range(BACKENDS):
                    assert "result" in client.ask("tools/call", {"name": f"b{n}_who"})

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(some, [SESSIONS // CONNECTIONS] * CONNECTIONS))
    added = resident(mooring.daemon.pid) - before
    print(f"{before / 1e6:.0f} MB, and {added / SESSIONS / 1024:.1f} KiB for each session")
    assert before + added * 10_000 / SESSIONS < LIMIT
