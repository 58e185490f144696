"""What is left when a keeper is killed, and what the next one makes of it."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.keeping import (
    Family,
    Keeper,
    children_of,
    gone,
    shell,
    short_directory,
    skip_where_absent,
    spec,
)

from mooring.keeper.ladder import RUNGS

pytestmark = pytest.mark.process
Start = Callable[..., Keeper]


@pytest.fixture
def home() -> Iterator[Path]:
    with short_directory() as path:
        yield path


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    started: list[Keeper] = []

    def begin(*options: str) -> Keeper:
        keeper = Keeper(home, *options)
        started.append(keeper)
        if keeper.process.poll() is not None and "--rung" in options:
            skip_where_absent(options[-1], f"{options[-1]} does not work here")
        return keeper

    yield begin
    for keeper in started:
        keeper.close()


@pytest.fixture
def family(home: Path) -> Iterator[Family]:
    made = Family(home)
    yield made
    made.close()


@pytest.mark.parametrize("rung", RUNGS)
def test_no_child_survives_the_killing_of_its_keeper(
    start: Start, family: Family, rung: str
) -> None:
    keeper = start("--rung", rung)
    keeper.put(shell(family.script, transport="streamable-http"))
    family.wait()
    members = family.members()
    keeper.kill()
    assert gone(members)


@pytest.mark.parametrize("rung", RUNGS)
def test_stopping_a_slot_ends_the_whole_family(start: Start, family: Family, rung: str) -> None:
    keeper = start("--rung", rung)
    keeper.put(shell(family.script, transport="streamable-http", uid="u1"))
    family.wait()
    keeper.ask("POST", "/v1/slots/u1/stop", {"grace": 5})
    assert keeper.until("u1", "exited")["exit"]["signal"] == signal.SIGTERM
    assert family.members() == []


@pytest.mark.parametrize("rung", RUNGS)
def test_when_keeper_and_inits_are_all_killed_the_next_keeper_ends_the_rest(
    start: Start, family: Family, rung: str
) -> None:
    keeper = start("--rung", rung)
    keeper.put(shell(family.script, transport="streamable-http"))
    family.wait()
    members = family.members()
    [forker] = children_of(keeper.process.pid)
    everybody = [keeper.process.pid, forker, *children_of(forker)]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    for pid in everybody:
        os.kill(pid, signal.SIGKILL)
    keeper.wait()
    if rung == "process-group":
        assert set(members) & set(family.members())
    next_keeper = start("--rung", rung)
    assert gone(members)
    assert next_keeper.ask("GET", "/v1/slots") == (200, [])


def test_a_killed_keeper_leaves_a_socket_that_the_next_one_replaces(start: Start) -> None:
    keeper = start()
    keeper.kill()
    assert keeper.socket.exists()
    assert start().ask("GET", "/v1/keeper")[0] == 200


def test_a_keeper_can_follow_another_at_once(start: Start) -> None:
    keeper = start()
    keeper.put(spec("cat", uid="u1"))
    for _ in range(3):
        keeper.ask("POST", "/v1/shutdown")
        following = start()
        assert keeper.wait() == 0
        keeper = following


def test_a_forker_that_was_killed_harms_nobody(start: Start) -> None:
    keeper = start()
    first = keeper.put(spec("cat", uid="u1"))
    [forker] = children_of(keeper.process.pid)
    os.kill(forker, signal.SIGKILL)
    assert keeper.put(spec("cat", uid="u2"))["state"] == "running"
    assert keeper.state("u1") == first


def test_a_keeper_survives_a_full_disk(start: Start, home: Path) -> None:
    keeper = start()
    flood = "while :; do echo a line of some length that goes nowhere; done"
    keeper.put(shell(flood, uid="u1", log="/dev/full/a.log", transport="streamable-http"))
    keeper.put(shell(flood, uid="u2", log="/dev/full", transport="streamable-http"))
    for _ in range(20):
        assert keeper.state("u1")["state"] == keeper.state("u2")["state"] == "running"
    assert keeper.terminate() == 0
    assert b"log.lost" in keeper.log.read_bytes()


def test_a_flood_leaves_the_keeper_small_and_quick(start: Start, home: Path) -> None:
    keeper = start()
    for number in range(3):
        log = str(home / f"{number}.log")
        keeper.put(shell("yes >&2", log=log, transport="streamable-http"))
    for _ in range(50):
        assert keeper.ask("GET", "/v1/keeper")[0] == 200
    status = Path(f"/proc/{keeper.process.pid}/status").read_text()
    assert int(status.split("VmRSS:")[1].split()[0]) < 60 * 1024
    assert keeper.terminate() == 0


def test_a_listening_socket_outlives_its_borrowers(start: Start) -> None:
    keeper = start()
    body = json.dumps({"name": "gateway", "host": "127.0.0.1", "port": 0}).encode()

    def borrow() -> socket.socket:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(str(keeper.socket))
            head = f"POST /v1/listeners HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            line.sendall(head.encode() + body)
            _, [descriptor], _, _ = socket.recv_fds(line, 65536, 4)
            return socket.socket(fileno=descriptor)

    first = borrow()
    place = first.getsockname()
    first.close()
    with socket.create_connection(place, timeout=5) as client, borrow() as second:
        assert second.getsockname() == place
        second.settimeout(5)
        accepted, _ = second.accept()
        with accepted:
            accepted.sendall(b"served")
            assert client.recv(10) == b"served"
    assert keeper.terminate() == 0
    with socket.socket() as client:
        assert client.connect_ex(place) != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can play another user")
def test_another_user_is_refused(start: Start) -> None:
    keeper = start()
    keeper.directory.chmod(0o711)
    keeper.socket.chmod(0o666)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setuid(61234)
            line = socket.socket(socket.AF_UNIX)
            line.connect(str(keeper.socket))
            line.sendall(b"GET /v1/keeper HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            while piece := line.recv(4096):
                os.write(write, piece)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        found = answer.read()
    os.waitpid(pid, 0)
    assert found.startswith(b"HTTP/1.1 403 ")
    assert b'"reason":"Forbidden"' in found
