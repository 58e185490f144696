"""Backends of a virtual server that are killed, hang, want a login and heal, under load."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.installation import Mooring, free_port, wait_until
from support.virtual_client import Client

pytestmark = pytest.mark.process

MOODY = Path(__file__).resolve().parents[1] / "servers/moody.py"
NAMES = ("one", "two", "three")
FOLLOWS = 8.0
"""Seconds in which what is listed follows: an interval of probes, their threshold and timeout."""


class Moody:
    """One backend."""

    def __init__(self, home: Path, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.file = home / f"{name}.mood"
        self.start()

    def start(self) -> None:
        command = [sys.executable, str(MOODY), str(self.port), str(self.file)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def fall_ill(self, how: str) -> None:
        if how == "login":
            self.file.write_text("login")
        else:
            os.kill(self.process.pid, signal.SIGKILL if how == "killed" else signal.SIGSTOP)

    def heal(self, how: str) -> None:
        if how == "login":
            self.file.unlink()
        elif how == "killed":
            self.process.wait(10)
            self.start()
        else:
            os.kill(self.process.pid, signal.SIGCONT)

    def end(self) -> None:
        with contextlib.suppress(OSError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    @property
    def manifest(self) -> str:
        return f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: {self.name}}}
spec:
  source: {{url: "http://127.0.0.1:{self.port}/mcp"}}
  group: team
  healthCheck: {{intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 2}}
---"""


JOINED = """
apiVersion: mooring.dev/v1alpha1
kind: MCPGroup
metadata: {name: team}
---
apiVersion: mooring.dev/v1alpha1
kind: VirtualMCPServer
metadata: {name: all}
spec: {group: team, health: {failureThreshold: 2, intervalSeconds: 1, timeoutSeconds: 2}}
"""


AFTERWARDS = {
    "killed": ("Degraded", "unavailable", "BackendUnavailable"),
    "hung": ("Degraded", "unavailable", "BackendUnavailable"),
    "login": ("Ready", "unauthenticated", "BackendUnauthenticated"),
}
"""The phase of the virtual server, the word for the backend, and what is written of it."""


def told(mooring: Mooring, backend: str) -> tuple[str, str]:
    """The phase that the virtual server has, and its word for one backend."""
    document = json.loads(mooring.moor("get", "vmcp", "all", "-o", "json"))
    words = {each["name"]: each["state"] for each in document["status"]["discoveredBackends"]}
    return document["status"]["phase"], words[backend]


def events(mooring: Mooring, backend: str) -> list[str]:
    """Reasons of events about one backend, the oldest first."""
    lines = mooring.moor("events", "--for", "vmcp/all").splitlines()
    return [line.split()[2] for line in lines if f" {backend} is " in line]


class Load:
    """Calls of one backend's tool, one after the other, in a session of their own."""

    def __init__(self, port: int, name: str) -> None:
        self.name = name
        self.ill = False
        self.calls = 0
        self.failures: list[Any] = []
        self.slowest = 0.0
        self._client = Client(port)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.02):
            began = time.monotonic()
            was_ill = self.ill
            try:
                told = self._client.ask("tools/call", {"name": f"{self.name}_who"})
                failed = None if "result" in told else told
            except (AssertionError, OSError) as error:
                failed = repr(error)
            if was_ill or self.ill:
                continue
            self.calls += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            if failed is not None:
                self.failures.append(failed)

    def end(self) -> None:
        self._over.set()
        self._thread.join(40)
        self._client.close()


@pytest.fixture
def backends(tmp_path: Path) -> Iterator[dict[str, Moody]]:
    made = {name: Moody(tmp_path, name) for name in NAMES}
    yield made
    for each in made.values():
        each.end()


@pytest.fixture
def mooring(tmp_path: Path, backends: dict[str, Moody]) -> Iterator[Mooring]:
    installation = Mooring(tmp_path)
    installation.start("up")
    installation.wait_for_api()
    installation.apply("".join(each.manifest for each in backends.values()) + JOINED)
    for name in backends:
        installation.ready(name)
    yield installation
    installation.end()


def test_what_happens_to_one_backend_is_not_felt_at_the_others(
    mooring: Mooring, backends: dict[str, Moody]
) -> None:
    client = Client(mooring.port)
    wait_until("all tools", lambda: client.listed() == set(NAMES), 20)
    loads = [Load(mooring.port, name) for name in NAMES for _ in range(2)]
    try:
        for name, how in zip(NAMES, ("killed", "hung", "login"), strict=True):
            of_it = [load for load in loads if load.name == name]
            for load in of_it:
                load.ill = True
            backends[name].fall_ill(how)
            others = set(NAMES) - {name}
            wait_until(f"{name} {how}", lambda o=others: client.listed() == o, FOLLOWS)
            phase, word, event = AFTERWARDS[how]
            wait_until(
                f"{name} {word}", lambda n=name, t=(phase, word): told(mooring, n) == t, FOLLOWS
            )
            wait_until(event, lambda n=name, e=event: e in events(mooring, n), FOLLOWS)
            began = time.monotonic()
            with contextlib.closing(Client(mooring.port)) as late:
                late.listed()
            assert time.monotonic() - began < 1.5
            backends[name].heal(how)
            wait_until(f"{name} healed", lambda: client.listed() == set(NAMES), FOLLOWS)
            well = ("Ready", "ready")
            wait_until(f"{name} ready", lambda n=name, t=well: told(mooring, n) == t, FOLLOWS)
            call = {"name": f"{name}_who"}
            answers = lambda c=call: "result" in client.ask("tools/call", c)  # noqa: E731
            wait_until(f"{name} to answer", answers, FOLLOWS)
            for load in of_it:
                load.ill = False
    finally:
        for load in loads:
            load.end()
        client.close()
    assert [load.failures[:3] for load in loads if load.failures] == []
    assert min(load.calls for load in loads) > 20
    assert max(load.slowest for load in loads) < 5
