"""A real redis-server of a test's own, that can be stopped, started again, and emptied."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.certificates import certificate

ROOT = Path(__file__).resolve().parents[2]
UNPACKED = ROOT / ".tools" / "redis" / "usr"
SECONDS = 10.0


def program() -> str:
    """The redis-server of the tools, else the one on the path."""
    own = UNPACKED / "bin" / "redis-server"
    found = str(own) if own.exists() else shutil.which("redis-server")
    assert found, "no redis-server: run scripts/tools.sh .tools, or install one"
    return found


class RedisHere:
    """On a port of loopback; what it holds survives `stop`, unless it is started empty."""

    def __init__(
        self,
        folder: Path,
        *,
        password: str = "",
        tls: bool = False,
        cluster: bool = False,
        slots: bool = True,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.port = _free_port()
        self.password = password
        self.ca = certificate(folder, "127.0.0.1") if tls else None
        self._cluster = cluster
        self._slots = slots
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Without the password."""
        if self.ca:
            return f"rediss://127.0.0.1:{self.port}/0?ca={self.ca}"
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *, empty: bool = False) -> None:
        """Returns once it answers; harmless where it runs."""
        if self._process is not None:
            return
        if empty:
            (self.folder / "dump.rdb").unlink(missing_ok=True)
        libraries = [str(each) for each in sorted((UNPACKED / "lib").glob("*-linux-gnu"))]
        self._process = subprocess.Popen(
            [program(), str(self._configuration())],
            env={**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)},
            stdin=subprocess.DEVNULL,
        )
        self._wait_until(self._listens)
        if self._cluster and self._slots:
            self.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")  # refused where they are there
            self._wait_until(lambda: b"cluster_state:ok" in self.ask("CLUSTER", "INFO"))

    def stop(self) -> None:
        """Has it save what it holds, and end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Has it end at once, with all that it holds since it was started."""
        self._end(signal.SIGKILL)

    def hang(self) -> None:
        """It keeps its connections, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `hang`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> bytes:
        """One command, in a connection of its own (without TLS)."""
        with socket.create_connection(("127.0.0.1", self.port), SECONDS) as connection:
            if self.password:
                connection.sendall(_command("AUTH", self.password))
                connection.recv(4096)
            connection.sendall(_command(*words))
            return connection.recv(65536)

    def _configuration(self) -> Path:
        lines = [
            f"port {0 if self.ca else self.port}",
            "bind 127.0.0.1",
            f"dir {self.folder}",
            f"logfile {self.folder / 'log'}",
            'save "3600 1"',
            "daemonize no",
            "enable-debug-command yes",
        ]
        if self.password:
            lines.append(f"requirepass {self.password}")
        if self.ca:
            lines += [f"tls-port {self.port}", "tls-auth-clients no"]
            lines += [f"tls-{what}-file {self.ca}" for what in ("cert", "key", "ca-cert")]
        if self._cluster:
            lines += ["cluster-enabled yes", "cluster-node-timeout 2000"]
        path = self.folder / "redis.conf"
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        return path

    def _listens(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.5):
                return True
        except OSError:
            return False

    def _wait_until(self, so: Callable[[], bool]) -> None:
        assert self._process is not None
        deadline = time.monotonic() + SECONDS
        while not so():
            assert time.monotonic() < deadline, "redis-server does not come up"
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.01)
                raise AssertionError((self.folder / "log").read_text())

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(SECONDS)


@contextmanager
def redis_here(
    folder: Path,
    *,
    password: str = "",
    tls: bool = False,
    cluster: bool = False,
    slots: bool = True,
) -> Iterator[RedisHere]:
    """One that runs, until the block ends; of a cluster, with all `slots` or with none."""
    here = RedisHere(folder, password=password, tls=tls, cluster=cluster, slots=slots)
    try:
        here.start()
        yield here
    finally:
        here.kill()


def _command(*words: str) -> bytes:
    parts = b"".join(b"$%d\r\n%b\r\n" % (len(w.encode()), w.encode()) for w in words)
    return b"*%d\r\n%b" % (len(words), parts)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
