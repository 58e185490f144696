"""Five hundred children that start and crash leave nothing behind in their keeper."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.installation import ROOT, wait_until
from support.keeping import Keeper, UnixConnection, children_of, shell, short_directory, spec

pytestmark = pytest.mark.soak

CYCLES = 500
WARM = 100
"""Cycles before the first look: allocators and caches have what they want by then."""
GROWTH = 2 * 1024 * 1024
"""Bytes that the keeper may grow in the cycles after that."""
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "soak", "version": "1"},
}


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    with short_directory() as home:
        found = Keeper(home)
        yield found
        found.close()


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


class Flat:
    """Compares the keeper with itself, once it is warm."""

    def __init__(self, keeper: Keeper) -> None:
        self.pid = keeper.process.pid
        self.files, self.children = self._counts()
        self.memory = resident(self.pid)

    def _counts(self) -> tuple[int, int]:
        return open_files(self.pid), len(children_of(self.pid))

    def holds(self) -> None:
        before = (self.files, self.children)
        wait_until(f"{before} files and processes", lambda: self._counts() <= before, 10)
        assert resident(self.pid) - self.memory < GROWTH


def test_slots_that_crash_leave_nothing(keeper: Keeper) -> None:
    flat = None
    for number in range(CYCLES):
        if number == WARM:
            flat = Flat(keeper)
        uid = f"u{number}"
        keeper.put(shell("echo out of cheese >&2; exit 3", uid=uid))
        assert keeper.until(uid, "exited")["exit"]["code"] == 3
        assert keeper.ask("DELETE", f"/v1/slots/{uid}")[0] < 300
    assert flat is not None
    flat.holds()


class Session:
    """One session of a stdio slot."""

    def __init__(self, keeper: Keeper, uid: str) -> None:
        self._keeper = keeper
        self._path = f"/i/{uid}"
        self._id = ""
        self.post("initialize", INITIALIZE)

    def post(self, method: str, params: dict[str, Any]) -> Any:
        connection = UnixConnection(self._keeper.socket)
        headers = {"content-type": "application/json"}
        if self._id:
            headers["mcp-session-id"] = self._id
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            connection.request("POST", self._path, json.dumps(message), headers)
            answer = connection.getresponse()
            self._id = answer.getheader("mcp-session-id") or self._id
            return json.loads(answer.read())
        finally:
            connection.close()

    def call(self, tool: str) -> Any:
        return self.post("tools/call", {"name": tool, "arguments": {}})


def test_children_of_sessions_that_crash_leave_nothing(keeper: Keeper) -> None:
    toy = f"{ROOT}/tests/servers/toy.py"
    keeper.put(spec(sys.executable, toy, uid="toy", isolation="session"))
    staying = Session(keeper, "toy")
    flat = None
    for number in range(CYCLES):
        if number == WARM:
            flat = Flat(keeper)
        crashed = Session(keeper, "toy").call("die")
        assert crashed["error"]["data"]["reason"] == "ChildExited", crashed
        assert "result" in staying.call("pid")
    assert flat is not None
    flat.holds()
