"""What the API costs, with a thousand servers in it.

    python bench/api.py [--writes N]

The API runs in a process of its own, over a store on disk, and is asked through its socket.
"""

import argparse
import http.client
import json
import os
import selectors
import socket
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from subprocess import PIPE, Popen
from typing import Any

import uvloop

from mooring.api.app import make_app
from mooring.api.serving import serve
from mooring.clock import SystemClock
from mooring.core.ports import ObjectStore
from mooring.stores.memory import MemoryStore
from mooring.stores.sqlite import open_sqlite
from mooring.testing.cluster import Nobody

SERVERS = 1000
WATCHERS = 100
WRITES = 10_000
WARMING = 3000
"""Writes until the store keeps as much history as it ever does."""
IDLE_SECONDS = 3.0
PATIENCE = 60.0

GROUP = "/apis/mooring.dev/v1alpha1"
PLURAL = f"{GROUP}/namespaces/default/mcpservers"
MERGE = {"content-type": "application/merge-patch+json"}


@dataclass(frozen=True)
class Row:
    """One figure, and what it has to stay below."""

    what: str
    value: float
    limit: float
    unit: str

    def __str__(self) -> str:
        bound = f"(≤ {self.limit:.3g})" if self.limit < float("inf") else ""
        verdict = "" if self.value <= self.limit else "  TOO MUCH"
        return f"{self.what:72} {self.value:8.2f} {self.unit:4} {bound}{verdict}"


def table(found: Iterable[Row]) -> str:
    """The figures in Markdown."""
    lines = ["| what | found | at most |", "| --- | --- | --- |"]
    for row in found:
        bound = f"{row.limit:.3g} {row.unit}" if row.limit < float("inf") else ""
        bound += "" if row.value <= row.limit else " **(more)**"
        lines.append(f"| {row.what} | {row.value:.3g} {row.unit} | {bound} |")
    head = (
        "\n## The API\n\nWith 1,000 servers in it; a write on disk waits for a flush of the disk."
    )
    return "\n".join([head, "", *lines, ""])


def rows(writes: int = WRITES) -> list[Row]:
    """All figures: over a store in memory, and over one on disk, whose writes wait for the disk."""
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as home:
        flush = _p99(flushes(Path(home)))
        found = [*figures(Path(home), "memory", 0, 0)]
        return [
            *found,
            *figures(Path(home), "disk", flush, writes),
            Row("for comparison: one flush of this disk, p99", flush, float("inf"), "ms"),
        ]


def figures(home: Path, store: str, flush: float, writes: int) -> Iterator[Row]:
    """Those of one store; a write into it takes a flush of the disk of so many milliseconds."""
    with api(home, store) as pid:
        client = Client(f"{home}/{store}.sock")
        for number in range(SERVERS):
            client.ask("POST", PLURAL, _server(number))
        if writes:
            yield from listing(client)
        yield from watching(client, f"{home}/{store}.sock", pid, flush)
        if writes:
            yield from growth(client, pid, writes)


def flushes(home: Path) -> list[float]:
    """How long the disk itself takes to keep a page, in milliseconds."""
    taken = []
    with (home / "flushed").open("wb") as file:
        for _ in range(200):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - began) * 1000)
    return taken


def listing(client: "Client") -> Iterator[Row]:
    """How long it takes to list everything."""
    for what, accept in (("documents", "application/json"), ("table", "application/json;as=Table")):
        taken = []
        for _ in range(20):
            began = time.perf_counter()
            client.send("GET", PLURAL, None, {"accept": accept})
            client.read()
            taken.append((time.perf_counter() - began) * 1000)
        yield Row(f"list of {SERVERS} servers ({what}), median", median(taken), 50, "ms")


def watching(client: "Client", path: str, pid: int, flush: float) -> Iterator[Row]:
    """How soon one hears of a write; what those cost who hear nothing."""
    version = client.ask("GET", f"{PLURAL}?limit=1")["metadata"]["resourceVersion"]
    with ExitStack() as stack:
        watches = [stack.enter_context(Watch(path, version)) for _ in range(WATCHERS)]
        first, taken = watches[0], []
        for number in range(200):
            began = time.perf_counter()
            client.send("PATCH", f"{PLURAL}/s{number:04}", _labelled(number), MERGE)
            first.hear()
            taken.append((time.perf_counter() - began) * 1000)
            client.answer()
        where = "on disk" if flush else "in memory"
        what = f"write ({where}) until the first of {WATCHERS} watchers hears of it"
        yield Row(f"{what}, median", median(taken), 20, "ms")
        yield Row(f"{what}, p99", _p99(taken), 20 + flush, "ms")
        if not flush:
            return
        everyone = []
        for each in watches[1:]:
            each.skip(200)
        for number in range(20):
            began = time.perf_counter()
            client.ask("PATCH", f"{PLURAL}/s{number:04}", _labelled(-number - 1), MERGE)
            for each in watches:
                each.hear()
            everyone.append((time.perf_counter() - began) * 1000)
        yield Row("until the last of them does, median", median(everyone), 100, "ms")
        before = processor_seconds(pid)
        wait(IDLE_SECONDS)
        used = (processor_seconds(pid) - before) / IDLE_SECONDS
        yield Row(f"processor time of {WATCHERS} idle watchers", used * 1000, 2, "ms/s")


def growth(client: "Client", pid: int, writes: int) -> Iterator[Row]:
    """What many writes leave behind."""
    _write(client, WARMING)
    before, began = resident_mib(pid), time.perf_counter()
    _write(client, writes)
    seconds = time.perf_counter() - began
    yield Row(f"memory that {writes:,} writes leave", resident_mib(pid) - before, 2, "MiB")
    yield Row("one write", seconds / writes * 1000, 20, "ms")


def _write(client: "Client", count: int) -> None:
    for number in range(count):
        client.ask("PATCH", f"{PLURAL}/s{number % SERVERS:04}", _labelled(number), MERGE)


def _labelled(number: int) -> Mapping[str, Any]:
    return {"metadata": {"labels": {"turn": str(number).replace("-", "m")}}}


def _server(number: int) -> Mapping[str, Any]:
    return {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "MCPServer",
        "metadata": {"name": f"s{number:04}", "labels": {"app": "bench"}},
        "spec": {
            "source": {"pypi": "mcp-server-time==2025.4.28"},
            "replicas": 2,
            "env": [{"name": "LEVEL", "value": "info"}],
        },
    }


def _p99(taken: list[float]) -> float:
    return quantiles(taken, n=100)[98]


class Client:
    """One connection to the API, kept open."""

    def __init__(self, path: str) -> None:
        self._connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
        self._connection.sock = _connected(path)

    def ask(
        self, method: str, target: str, document: Any = None, headers: Mapping[str, str] = MERGE
    ) -> Any:
        """One request and the document of its answer."""
        kind = headers if method != "POST" else {"content-type": "application/json"}
        self.send(method, target, document, kind)
        return self.answer()

    def send(self, method: str, target: str, document: Any, headers: Mapping[str, str]) -> None:
        """One request, whose answer is still to come."""
        body = None if document is None else json.dumps(document).encode()
        self._connection.request(method, target, body, dict(headers))

    def answer(self) -> Any:
        """The document of it."""
        return json.loads(self.read())

    def read(self) -> bytes:
        """All of it, as it came."""
        response = self._connection.getresponse()
        content = response.read()
        assert response.status < 300, content
        return content


class Watch:
    """One watcher, and the lines that it hears."""

    def __init__(self, path: str, version: str) -> None:
        self._connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
        self._connection.sock = _connected(path)
        self._connection.request("GET", f"{PLURAL}?watch=true&resourceVersion={version}")
        self._response = self._connection.getresponse()

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()

    def hear(self) -> None:
        """Waits for the next event."""
        assert self._response.readline()

    def skip(self, count: int) -> None:
        """Lets so many events pass."""
        for _ in range(count):
            self.hear()


def _connected(path: str) -> socket.socket:
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.settimeout(PATIENCE)
    door.connect(path)
    return door


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def wait(seconds: float) -> None:
    with selectors.DefaultSelector() as nothing:
        nothing.select(seconds)


@contextmanager
def api(home: Path, store: str) -> Iterator[int]:
    """The API in a process of its own; its pid."""
    command = [sys.executable, __file__, "--serve", str(home), "--store", store]
    process = Popen(command, stdout=PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


async def serve_at(home: Path, store: str) -> None:
    """The other process."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(str(home / f"{store}.sock"))
        door.listen(256)
        async with AsyncExitStack() as stack:
            objects: ObjectStore = MemoryStore()
            if store == "disk":
                opened = open_sqlite(home / "objects.db", b"k" * 32, SystemClock())
                objects = await stack.enter_async_context(opened)
            print("ready", flush=True)
            await serve(make_app(objects, Nobody(), SystemClock()), door)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--store", default="disk", help=argparse.SUPPRESS)
    parser.add_argument("--writes", type=int, default=WRITES)
    given = parser.parse_args()
    if given.serve is not None:
        uvloop.run(serve_at(given.serve, given.store))
        return 0
    found = rows(given.writes)
    print(*found, sep="\n")
    return 0 if all(row.value <= row.limit for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
