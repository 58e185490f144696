"""A gateway in a process of its own, started and ended as a user would."""

import http.client
import signal
import subprocess

from support.installation import BIN, ROOT, Mooring, free_port, wait_until


class Gateway:
    """One of its own, for an installation."""

    def __init__(self, mooring: Mooring, name: str, *arguments: str, **environ: str) -> None:
        self.name = name
        self.port = free_port()
        self.log = mooring.home / f"{name}.log"
        self._argv = [str(BIN / "moor"), "gateway", f"--listen=127.0.0.1:{self.port}"]
        self._argv += [f"--gateway-name={name}", *arguments]
        self._environ = {**mooring.environment, **environ}
        self.start()

    def start(self) -> None:
        self._begun = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._argv, cwd=ROOT, env=self._environ,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        wait_until(f"gateway {self.name}:\n{self.log.read_text()}", self._serves, 20)

    def _serves(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return (
            f"serves http://127.0.0.1:{self.port}".encode() in self.log.read_bytes()[self._begun :]
        )

    def url(self, server: str = "ledger") -> str:
        return f"http://127.0.0.1:{self.port}/servers/{server}/mcp"

    def page(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)
