"""What Mooring keeps in memory: at rest, per idle session, per open stream, and afterwards."""

import contextlib
import resource
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from load import Client
from processes import resident_bytes

SESSIONS = 10_000
STREAMS = 1_000
SETTLED = 64 * 1024
"""Bytes of the head of a stream's answer that are read at most."""

Weights = dict[str, float]
"""By name; bytes."""


def weigh(daemon: int, keeper: int, http_url: str, stdio_url: str) -> dict[str, Weights]:
    """Resident bytes of both processes, and what each session and stream added to them."""
    pids = {"daemon": daemon, "keeper": keeper}
    told = {"idle": _resident(pids)}
    for name, url in (("HTTP", http_url), ("stdio", stdio_url)):
        with contextlib.closing(Client(url)) as client:
            sessions: list[str] = []
            added = _added(pids, lambda c=client, s=sessions: s.extend(_many(c)))
            told[f"idle session, {name}"] = {n: size / SESSIONS for n, size in added.items()}
            _end_all(client, sessions)
    told.update(_streams(pids, stdio_url))
    told["after all are gone"] = _resident(pids)
    return told


def _resident(pids: dict[str, int]) -> Weights:
    return {name: float(resident_bytes(pid)) for name, pid in pids.items()}


def _added(pids: dict[str, int], act: Callable[[], object]) -> Weights:
    before = _resident(pids)
    act()
    return {name: max(0.0, size - before[name]) for name, size in _resident(pids).items()}


def _many(client: Client, count: int = SESSIONS) -> list[str]:
    """Opens sessions over one connection."""
    sessions = []
    for _ in range(count):
        client.session = ""
        sessions.append(client.open())
    return sessions


def _end_all(client: Client, sessions: list[str]) -> None:
    for client.session in sessions:
        client.request("DELETE")


def _streams(pids: dict[str, int], url: str) -> dict[str, Weights]:
    """GET streams, each on a session and a connection of its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.closing(Client(url)) as client, contextlib.ExitStack() as opened:
        sessions = _many(client, STREAMS)
        added = _added(pids, lambda: [opened.enter_context(_listen(url, s)) for s in sessions])
        opened.close()
        _end_all(client, sessions)
    return {"open GET stream, stdio": {name: size / STREAMS for name, size in added.items()}}


def _listen(url: str, session: str) -> socket.socket:
    """Opens the standing stream of a session; returns its socket once the stream has begun."""
    parts = urlsplit(url)
    door = socket.create_connection((parts.hostname or "", parts.port or 80), 30)
    door.sendall(
        f"GET {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\naccept: text/event-stream\r\n"
        f"mcp-protocol-version: 2025-11-25\r\nmcp-session-id: {session}\r\n\r\n".encode()
    )
    head = door.recv(SETTLED)
    if b"200 OK" not in head:
        raise RuntimeError(f"no stream: {head[:300]!r}")
    return door
