"""`moor` as people run it, against an API that a test controls."""

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue

import pytest
from support.surface import PATIENCE, Served, row, served, server

from mooring.cli.main import main
from mooring.clock import SystemClock
from mooring.programs import places
from mooring.testing.clock import FakeClock


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Moor = Callable[..., Said]


def _run(arguments: tuple[str, ...]) -> int:
    try:
        main(list(arguments))
    except SystemExit as ended:
        return int(ended.code or 0)
    raise AssertionError("main returned")


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command that writes its log to stderr does so in its own test only."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory that commands find, with a place for sockets."""
    monkeypatch.setenv("MOORING_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "r"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    places.of(str(tmp_path / "data")).runtime.mkdir(parents=True, mode=0o700)
    return tmp_path / "data"


@pytest.fixture
def moor(
    data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Moor:
    """Runs one command to its end."""

    def run(*arguments: str, text: str | bytes = "") -> Said:
        given = text.encode() if isinstance(text, str) else text
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        capsys.readouterr()
        code = _run(arguments)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def api(data_dir: Path) -> Iterator[Served]:
    """The API that commands reach; its objects were made three days ago."""
    long_ago = FakeClock(SystemClock().now() - timedelta(days=3))
    with served(places.of(str(data_dir)).api_socket, store_clock=long_ago) as running:
        yield running


@pytest.fixture
def fleet(api: Served) -> Served:
    """Two servers: one that is ready, one of whose instances fails."""
    api.report(
        api.put(server("time", replicas=2, labels={"team": "core"})),
        phase="Ready",
        message="Ready 2/2",
        ready_instances=2,
        url="http://127.0.0.1:8470/servers/time/mcp",
        instances=(
            row("time-0", era="stateless", address="unix:///r/k.sock#/i/1"),
            row("time-1", era="stateless", restarts=1, address="unix:///r/k.sock#/i/2"),
        ),
    )
    api.report(
        api.put(server("gitea", source={"command": ["gitea-mcp", "-t", "stdio"]})),
        phase="Failed",
        message='Ready 0/1, 1 instance ERROR (exit 1, "missing API key")',
        url="http://127.0.0.1:8470/servers/gitea/mcp",
        instances=(row("gitea-0", "ERROR", message='exit 1, "missing API key"'),),
    )
    return api


class _Lines(io.TextIOBase):
    """A stdout that hands its lines to another thread."""

    def __init__(self) -> None:
        self.arrived: SimpleQueue[str] = SimpleQueue()
        self._begun = ""

    def write(self, text: str) -> int:
        *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            self.arrived.put(line)
        return len(text)


class Running:
    """A command that goes on."""

    def __init__(self, arguments: tuple[str, ...], out: _Lines) -> None:
        self.code: int | None = None
        self._out = out
        self._thread = threading.Thread(target=self._live, args=(arguments,))
        self._thread.start()

    def _live(self, arguments: tuple[str, ...]) -> None:
        self.code = _run(arguments)

    def line(self) -> str:
        """The next line that it prints."""
        return self._out.arrived.get(timeout=PATIENCE)

    def finish(self) -> int | None:
        """Waits for its end."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self.code


@pytest.fixture
def begin(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    """Starts a command that goes on until the API ends."""
    begun: list[Running] = []

    def start(*arguments: str) -> Running:
        out = _Lines()
        monkeypatch.setattr(sys, "stdout", out)
        begun.append(Running(arguments, out))
        return begun[-1]

    yield start
    for running in begun:
        running.finish()
