"""Keepers for tests: stand-ins for children, a real workshop, and the whole program."""

import asyncio
import contextlib
import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mooring.clock import SystemClock
from mooring.core.keeping import Exit, SlotSpec
from mooring.errors import Unavailable
from mooring.keeper.child import Blow, Child
from mooring.keeper.forking import Forker, Rung
from mooring.keeper.ladder import Ladder
from mooring.keeper.logfile import Logs
from mooring.keeper.spawner import ForkSpawner

PATIENCE = 10.0
"""Seconds until a test gives up waiting for a process."""
PATH = {"PATH": os.environ["PATH"]}


def spec(*argv: str, **changes: Any) -> SlotSpec:
    """A slot that runs this command."""
    uid = changes.pop("uid", uuid.uuid4().hex[:12])
    given = {"instance": "default/a-0", "server": "default/a", "checksum": "c", "env": PATH}
    return SlotSpec(uid=uid, argv=argv, **(given | changes))


def shell(script: str, **changes: Any) -> SlotSpec:
    """A slot that runs this script."""
    return spec("sh", "-c", script, **changes)


class StandIn:
    """A child without a process: what was done to it, and its other pipe ends."""

    def __init__(self, *, dies_of: Blow | None = "term", stdio: bool = True, pid: int = 1) -> None:
        self.blows: list[Blow] = []
        self._dies_of = dies_of
        stdin = stdout = -1
        self.stdin = self.stdout = -1
        if stdio:
            self.stdin, stdin = os.pipe2(os.O_NONBLOCK)
            stdout, self.stdout = os.pipe2(os.O_NONBLOCK)
        self.child = Child(pid, self._strike, stdin, stdout)

    def exit(self, code: int = 0, signal: int = 0) -> None:
        """It ends by itself."""
        if not self.child.exited.done():
            self.child.exited.set_result(Exit(code=code, signal=signal, at=1.0, last_line="bye"))

    def close(self) -> None:
        for descriptor in (self.stdin, self.stdout):
            if descriptor >= 0:
                os.close(descriptor)
        self.stdin = self.stdout = -1

    def _strike(self, blow: Blow) -> None:
        self.blows.append(blow)
        if blow in (self._dies_of, "kill"):
            self.exit(signal=15 if blow == "term" else 9)


class StandInSpawner:
    """Makes stand-ins, or fails with a sentence."""

    def __init__(self, failure: str = "", dies_of: Blow | None = "term") -> None:
        self.made: list[StandIn] = []
        self.ports: list[int] = []
        self._failure = failure
        self._dies_of = dies_of

    async def spawn(self, spec: SlotSpec, *, stdio: bool, port: int = 0) -> Child:
        if self._failure:
            raise Unavailable("CannotStart", self._failure)
        made = StandIn(dies_of=self._dies_of, stdio=stdio, pid=1000 + len(self.made))
        self.made.append(made)
        self.ports.append(port)
        return made.child

    def close(self) -> None:
        for made in self.made:
            made.exit()
            made.close()


@asynccontextmanager
async def workshop(rung: Rung | None = None, home: str = "") -> AsyncIterator[ForkSpawner]:
    """A real spawner on this rung; raises Unavailable where the machine does not have it."""
    clock = SystemClock()
    forker, logs = Forker(), Logs(clock)
    ladder = Ladder(home or uuid.uuid4().hex[:8])
    try:
        await ladder.climb(forker, rung)
        yield ForkSpawner(forker, ladder, logs, clock)
    finally:
        forker.close()
        ladder.close()
        await logs.close()


class Keeper:
    """A keeper's process, and questions to it."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.socket = directory / "k.sock"
        self.log = directory / "keeper.log"
        self._command = [sys.executable, "-m", "mooring.programs.keeper"]
        self._command += ["--socket", str(self.socket), "--log", str(self.log), *options]
        self.process = self._start()
        poll = select.poll()
        pidfd = os.pidfd_open(self.process.pid)
        try:
            poll.register(pidfd, select.POLLIN)
            for _ in range(int(PATIENCE / 0.02)):
                if self._answers() or poll.poll(20):
                    return
            self.close()
            raise AssertionError(f"no keeper answers: {self.log.read_text()[-2000:]}")
        finally:
            os.close(pidfd)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            status, about = self.ask("GET", "/v1/keeper")
            return status == 200 and about["pid"] == self.process.pid
        return False

    def ask(self, method: str, path: str, document: Any = None) -> tuple[int, Any]:
        """Status and document of an answer."""
        body = None if document is None else json.dumps(document)
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def put(self, wanted: SlotSpec) -> Any:
        """Starts a slot; its state."""
        document = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
        status, state = self.ask("PUT", f"/v1/slots/{wanted.uid}", document)
        assert status == 200, state
        return state

    def state(self, uid: str) -> Any:
        return self.ask("GET", f"/v1/slots/{uid}")[1]

    def until(self, uid: str, state: str) -> Any:
        """Waits, by long polls, until the slot is in this state."""
        since = 0
        for _ in range(20):
            _, changes = self.ask("GET", f"/v1/changes?since={since}&wait={PATIENCE}")
            for slot in changes["slots"]:
                if (slot["uid"], slot["state"]) == (uid, state):
                    return slot
            since = changes["sequence"]
        raise AssertionError(f"slot {uid} is not {state}: {self.state(uid)}")

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.wait()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        code = self.process.wait(PATIENCE)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(2 * PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.wait()


def skip_where_absent(rung: str | None, why: str) -> None:
    """Skips a test of a rung that a machine may lack; any other that fails is a failure.

    Every machine has process groups, and where we are root it has PID namespaces.
    """
    absent = rung == "cgroup" or (rung == "pid-namespace" and os.geteuid() != 0)
    assert absent, f"{rung}: {why}"
    pytest.skip(why)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=2 * PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(2 * PATIENCE)
        self.sock.connect(str(self._path))


@contextmanager
def short_directory() -> Iterator[Path]:
    """A directory whose name leaves room for a socket's."""
    path = Path(tempfile.mkdtemp(prefix="mk-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Family:
    """A child with grandchildren that try to get away, and a way to find them all."""

    def __init__(self, directory: Path) -> None:
        self.token = f"{987_000_000 + int.from_bytes(os.urandom(3), 'big')}"
        self._fifo = directory / f"up-{self.token}"
        os.mkfifo(self._fifo)
        self._reader = os.open(self._fifo, os.O_RDONLY | os.O_NONBLOCK)
        member = f'echo up >> "{self._fifo}"; exec sleep {self.token}'
        path = os.environ["PATH"]
        self.script = (
            f"setsid sh -c '{member}' & "
            f"env -i PATH={path} setsid sh -c '{member}' & "
            f"(setsid sh -c '{member}' &) ; {member}"
        )
        """Left its session; shed its environment; lost its parent; the child itself."""

    def wait(self) -> None:
        """Returns once all four are there."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        said = b""
        while said.count(b"up") < 4:
            assert poll.poll(PATIENCE * 1000), f"only {said!r}"
            with contextlib.suppress(BlockingIOError):
                said += os.read(self._reader, 100)

    def members(self) -> list[int]:
        """Pids of those that live."""
        return [pid for pid, words in processes().items() if self.token.encode() in words]

    def close(self) -> None:
        os.close(self._reader)
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def processes() -> dict[int, bytes]:
    """Command lines of all processes that live."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError):
                found[int(name)] = Path("/proc", name, "cmdline").read_bytes()
    return {pid: words for pid, words in found.items() if words}


def gone(pids: list[int], seconds: float = PATIENCE) -> bool:
    """Whether all of them end in time."""
    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(seconds * 1000):
                return False
        finally:
            os.close(pidfd)
    return True


def children_of(pid: int) -> list[int]:
    """Pids of direct children."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError):
                stat = Path("/proc", name, "stat").read_bytes()
                if int(stat[stat.rindex(b")") + 2 :].split()[1]) == pid:
                    found.append(int(name))
    return found


async def eventually(condition: Callable[[], bool]) -> None:
    """Returns once it is so; looks often, and not for ever."""
    clock = SystemClock()
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await clock.sleep(0.002)


async def output(child: Child) -> bytes:
    """All that a child writes to stdout."""
    reader = asyncio.StreamReader(limit=2**20)
    await child.connect(asyncio.StreamReaderProtocol(reader), asyncio.Protocol())
    return await reader.read()
