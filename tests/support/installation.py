"""A whole Mooring, started and ended as a user would."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(what: str, true: Callable[[], object], seconds: float) -> None:
    """Asks again and again, bounded; fails with what was waited for."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def descendants(pid: int) -> set[int]:
    """Every living process below this one, however deep."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {pid}
    grown = True
    while grown:
        more = {child for child, parent in parents.items() if parent in found}
        grown = not more <= found
        found |= more
    return found - {pid}


def process_of(space: str, pid: int, file: Path | str) -> int:
    """Our own name of a process that calls itself so in its PID namespace; 0 if it is gone.

    `file` is an argument of it: the kernel gives names of namespaces that are gone to others.
    """
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.readlink(entry / "ns/pid") != space:
                continue
            status = (entry / "status").read_text()
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(file) not in words:
            continue
        names = next(line for line in status.splitlines() if line.startswith("NSpid:"))
        if int(names.split()[-1]) == pid and alive(int(entry.name)):
            return int(entry.name)
    return 0


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@dataclass
class Mooring:
    """One installation under test: its directories, its daemon, and `moor` to talk to it."""

    home: Path
    port: int = field(default_factory=free_port)
    daemon: "subprocess.Popen[bytes] | None" = None
    more: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "MOORING_DATA": str(self.home / "data"),
            "MOORING_LISTEN": f"127.0.0.1:{self.port}",
            "MOORING_API_LISTEN": "127.0.0.1:0",
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "NO_COLOR": "1",
            **self.more,
        }

    @property
    def output(self) -> str:
        return (self.home / "out").read_text()

    def url(self, server: str) -> str:
        return f"http://127.0.0.1:{self.port}/servers/{server}/mcp"

    def start(self, *command: str, cwd: Path = ROOT) -> None:
        (self.home / "run").mkdir(mode=0o700, exist_ok=True)
        with (self.home / "out").open("ab") as out:
            self.daemon = subprocess.Popen(
                [str(BIN / "moor"), *command],
                cwd=cwd,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def moor(self, *arguments: str, code: int = 0, text: str = "", seconds: float = 90) -> str:
        """Runs one command and returns its stdout; the exit code is asserted."""
        done = subprocess.run(
            [str(BIN / "moor"), *arguments],
            cwd=ROOT,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == code, (
            f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout + (done.stderr if code else "")

    def apply(self, text: str) -> str:
        return self.moor("apply", "-f", "-", text=text)

    def ready(self, server: str, seconds: int = 60) -> None:
        timeout = f"--timeout={seconds}s"
        self.moor(
            "wait", "--for=condition=Ready", f"server/{server}", timeout, seconds=seconds + 30
        )

    def instances(self) -> dict[str, dict[str, object]]:
        """All of them, but for their last probes, which are new all the time."""
        found = json.loads(self.moor("get", "inst", "-o", "json"))
        for view in found:
            view["status"].pop("lastProbe", None)
        return {view["metadata"]["name"]: view for view in found}

    def wait_for_output(self, pattern: str, seconds: float) -> None:
        def seen() -> bool:
            assert self.daemon is not None
            if re.search(pattern, self.output):
                return True
            assert self.daemon.poll() is None, f"the daemon ended:\n{self.output}"
            return False

        wait_until(f"{pattern!r} in\n{self.output}", seen, seconds)

    def wait_for_api(self) -> None:
        def answers() -> bool:
            assert self.daemon is not None
            assert self.daemon.poll() is None, f"the daemon ended:\n{self.output}"
            done = subprocess.run(
                [str(BIN / "moor"), "get", "servers"], env=self.environment, capture_output=True,
                timeout=30, check=False,
            )  # fmt: skip
            return done.returncode == 0

        wait_until("the API", answers, 60)

    def processes(self) -> set[int]:
        """Every process of this installation: those that carry its data directory."""
        mark = f"MOORING_DATA={self.home / 'data'}".encode()
        mine = str(self.home).encode()
        found = set()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                about = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if (mark in about or mine in about) and alive(int(entry.name)):
                found |= {int(entry.name)} | descendants(int(entry.name))
        return found

    def find(self, *words: str) -> int:
        """The process of this installation whose command line has these words."""
        for pid in sorted(self.processes()):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if alive(pid) and {word.encode() for word in words} <= set(command):
                return pid
        raise AssertionError(f"no process of {words}")

    def stop(self, number: int = signal.SIGINT, seconds: float = 40) -> int:
        assert self.daemon is not None
        self.daemon.send_signal(number)
        return self.daemon.wait(seconds)

    def end(self) -> None:
        """Whatever a test left is ended, so that no test can leave processes behind."""
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM)
            try:
                self.daemon.wait(30)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait(10)
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
