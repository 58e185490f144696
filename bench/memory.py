"""What Mooring keeps in memory: at rest, per idle session, per open stream, and afterwards."""

import resource
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from urllib.parse import urlsplit

from load import Client
from processes import resident_bytes
from systems import FIVE, Mooring, mooring

SESSIONS = 10_000
STREAMS = 1_000
SETTLED = 64 * 1024
"""Bytes of the head of a stream's answer that are read at most."""

Weights = dict[str, float]
"""By name of the process; bytes."""


def weigh(ours: Mooring) -> dict[str, Weights]:
    """Resident bytes of daemon and keeper, and what each session and stream adds to them.

    Each is weighed in a Mooring of its own, since freed memory is used again.
    """
    told: dict[str, Weights] = {}
    after: list[Weights] = []
    tools = [f"{name}_echo1" for name in FIVE]
    for what, url, count, hold in (
        ("idle session, HTTP", ours.url("json"), SESSIONS, None),
        ("idle session, stdio", ours.url("stdio"), SESSIONS, None),
        ("open GET stream, stdio", ours.url("stdio"), STREAMS, _streams),
        ("session of a virtual server with 5 backends", ours.virtual("five"), SESSIONS, None),
    ):
        with mooring(ours) as endpoints:
            pids = {name: min(group) for name, group in endpoints[-1].processes().items()}
            told.setdefault("idle", _resident(pids))
            calls = tools if url == ours.virtual("five") else []
            added, left = _added(pids, url, count, hold, calls)
            told[f"{what} ({count:,} of them)"] = {n: size / count for n, size in added.items()}
            after.append(left)
    told["after all are gone"] = {name: max(left[name] for left in after) for name in after[0]}
    return told


def _resident(pids: dict[str, int]) -> Weights:
    return {name: float(resident_bytes(pid)) for name, pid in pids.items()}


def _added(
    pids: dict[str, int],
    url: str,
    count: int,
    hold: Callable[[str, list[str]], AbstractContextManager[object]] | None,
    tools: Sequence[str] = (),
) -> tuple[Weights, Weights]:
    """What so many sessions add, or what is held open on each; and what stays afterwards."""
    with closing(Client(url)) as client:
        before = _resident(pids)
        sessions = _many(client, count, tools)
        if hold is None:
            there = _resident(pids)
        else:
            before = _resident(pids)
            with hold(url, sessions):
                there = _resident(pids)
        for client.session in sessions:
            client.request("DELETE")
    added = {name: max(0.0, size - before[name]) for name, size in there.items()}
    return added, _resident(pids)


def _many(client: Client, count: int, tools: Sequence[str]) -> list[str]:
    """Opens sessions over one connection, and calls each of these tools in each."""
    sessions = []
    for _ in range(count):
        client.session = ""
        sessions.append(client.open())
        for tool in tools:
            client.post({"id": 1, "method": "tools/call", "params": {"name": tool}})
    return sessions


@contextmanager
def _streams(url: str, sessions: list[str]) -> Iterator[None]:
    """A GET stream on each session, each on a connection of its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as opened:
        for session in sessions:
            opened.enter_context(_listen(url, session))
        yield


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
