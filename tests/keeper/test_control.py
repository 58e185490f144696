"""The keeper's protocol, asked over its socket."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.keeping import StandInSpawner, eventually, short_directory, spec

from mooring.clock import SystemClock
from mooring.core.address import Address
from mooring.core.keeping import (
    PROTOCOL,
    Changes,
    KeeperState,
    ListenerState,
    Refusal,
    SlotSpec,
    SlotState,
)
from mooring.keeper import child
from mooring.keeper.claim import Claim
from mooring.keeper.control import Control
from mooring.keeper.listeners import Listeners
from mooring.keeper.logfile import Logs
from mooring.keeper.presence import Presence
from mooring.keeper.slots import Slots
from mooring.transports.http_server import HttpServer
from mooring.transports.http_upstream import Pool

Run = Callable[[Any], Any]
ABOUT = KeeperState(
    protocol=PROTOCOL, version="1", pid=os.getpid(), rung="process-group", started_at=1.0
)


@pytest.fixture
def home() -> Iterator[Path]:
    with short_directory() as path:
        yield path


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that a test does not last."""
    monkeypatch.setattr(child, "VOLUNTARY", 0.02)


class Desk:
    """A served control, and questions to it."""

    def __init__(self, path: Path, tasks: asyncio.TaskGroup) -> None:
        clock = SystemClock()
        self.path = path
        self.spawner = StandInSpawner()
        self.logs = Logs(clock)
        self.presence = Presence(clock)
        self.listeners = Listeners()
        self.slots = Slots(self.spawner, self.logs, clock, tasks)
        self.told: list[float] = []
        control = Control(ABOUT, self.slots, self.listeners, self.presence, self.told.append)
        self.server = HttpServer(control.handle)
        self.pool = Pool()

    async def ask(self, method: str, path: str, body: Any = b"") -> tuple[int, bytes]:
        """Status and body of an answer, which always tells the protocol's version."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        address = Address("", 0, "/", socket=str(self.path))
        headers = ((b"content-type", b"application/json"),)
        reply = await self.pool.send(address, method, headers, content, path=path)
        answer = await reply.read(2**20, 10)
        assert reply.header(b"mooring-protocol") == b"%d" % PROTOCOL
        return reply.status, answer

    async def put(self, wanted: SlotSpec) -> SlotState:
        status, answer = await self.ask("PUT", f"/v1/slots/{wanted.uid}", wanted)
        assert status == 200
        return msgspec.json.decode(answer, type=SlotState)

    async def refusal(self, method: str, path: str, body: Any = b"") -> tuple[int, str, str]:
        status, answer = await self.ask(method, path, body)
        told = msgspec.json.decode(answer, type=Refusal)
        return status, told.reason, told.message

    async def changes(self, since: int, wait: float) -> Changes:
        status, answer = await self.ask("GET", f"/v1/changes?since={since}&wait={wait}")
        assert status == 200
        return msgspec.json.decode(answer, type=Changes)


@asynccontextmanager
async def desk(home: Path) -> AsyncIterator[Desk]:
    claim = Claim(home / "k.sock")
    async with asyncio.TaskGroup() as tasks:
        made = Desk(home / "k.sock", tasks)
        await made.server.listen(claim.acquire())
        try:
            yield made
        finally:
            await made.slots.end_all(0)
            await made.pool.close()
            await made.server.close()
    made.listeners.close()
    await made.logs.close()
    made.spawner.close()
    claim.release()


def http(**changes: Any) -> SlotSpec:
    return spec("serve", transport="streamable-http", **changes)


def test_the_keeper_introduces_itself(run: Run, home: Path) -> None:
    async def story() -> None:
        async with desk(home) as d:
            status, answer = await d.ask("GET", "/v1/keeper")
            assert status == 200
            assert msgspec.json.decode(answer, type=KeeperState) == ABOUT

    run(story())


def test_the_life_of_a_slot(run: Run, home: Path) -> None:
    async def story() -> None:
        async with desk(home) as d:
            assert await d.ask("GET", "/v1/slots") == (200, b"[]")
            state = await d.put(http(uid="u1"))
            assert state.state == "running"
            _, answer = await d.ask("GET", "/v1/slots")
            assert msgspec.json.decode(answer, type=list[SlotState]) == [state]
            _, answer = await d.ask("GET", "/v1/slots/u1")
            assert msgspec.json.decode(answer, type=SlotState) == state
            assert (await d.refusal("DELETE", "/v1/slots/u1"))[:2] == (409, "Conflict")

            seen = (await d.changes(0, 0)).sequence
            status, answer = await d.ask("POST", "/v1/slots/u1/stop", {"grace": 1})
            assert status == 202
            assert msgspec.json.decode(answer, type=SlotState).state == "stopping"
            while not (changes := await d.changes(seen, 5)).slots[0].exit:
                seen = changes.sequence
            assert (await d.ask("DELETE", "/v1/slots/u1"))[0] == 200
            assert (await d.changes(changes.sequence, 0)).gone == ("u1",)
            assert (await d.refusal("GET", "/v1/slots/u1"))[:2] == (404, "NotFound")

    run(story())


def test_what_a_newer_daemon_adds_is_ignored(run: Run, home: Path) -> None:
    async def story() -> None:
        async with desk(home) as d:
            document = msgspec.to_builtins(http(uid="u1")) | {"invented": {"later": True}}
            assert (await d.ask("PUT", "/v1/slots/u1", document))[0] == 200

    run(story())


def test_a_stop_without_words_has_the_usual_grace(run: Run, home: Path) -> None:
    async def story() -> None:
        async with desk(home) as d:
            await d.put(http(uid="u1"))
            assert (await d.ask("POST", "/v1/slots/u1/stop"))[0] == 202
            assert (await d.ask("POST", "/v1/shutdown"))[0] == 202
            assert (await d.ask("POST", "/v1/shutdown", {"grace": -5}))[0] == 202
            assert d.told == [10.0, 0.0]

    run(story())


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        (("GET", "/", b""), (404, "NotFound")),
        (("GET", "/v1/nothing", b""), (404, "NotFound")),
        (("GET", "/v2/keeper", b""), (404, "NotFound")),
        (("GET", "/v1/slots/", b""), (404, "NotFound")),
        (("GET", "/v1/slots/none", b""), (404, "NotFound")),
        (("DELETE", "/v1/slots/none", b""), (404, "NotFound")),
        (("POST", "/v1/slots/none/stop", b""), (404, "NotFound")),
        (("POST", "/v1/slots/none/what", b""), (404, "NotFound")),
        (("POST", "/i/none", b""), (404, "NotFound")),
        (("GET", "/i/", b""), (404, "NotFound")),
        (("POST", "/v1/keeper", b""), (405, "MethodNotAllowed")),
        (("PATCH", "/v1/slots/none", b""), (405, "MethodNotAllowed")),
        (("GET", "/v1/listeners", b""), (405, "MethodNotAllowed")),
        (("GET", "/v1/slots/none/stop", b""), (405, "MethodNotAllowed")),
        (("GET", "/v1/changes?since=x", b""), (400, "BadRequest")),
        (("GET", "/v1/changes?since=1&wait=soon", b""), (400, "BadRequest")),
        (("PUT", "/v1/slots/u1", b""), (400, "BadRequest")),
        (("PUT", "/v1/slots/u1", b"[]"), (400, "BadRequest")),
        (("PUT", "/v1/slots/u1", b"[" * 100_000), (400, "BadRequest")),
        (("PUT", "/v1/slots/u1", b'{"uid":"u1"}'), (400, "BadRequest")),
        (("POST", "/v1/shutdown", b'{"grace":"x"}'), (400, "BadRequest")),
        (("POST", "/v1/listeners", b'{"name":"x"}'), (400, "BadRequest")),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    run: Run, home: Path, asked: tuple[str, str, bytes], refused: tuple[int, str]
) -> None:
    async def story() -> None:
        async with desk(home) as d:
            status, reason, message = await d.refusal(*asked)
            assert (status, reason) == refused
            assert message
            assert d.told == []
            assert d.spawner.made == []

    run(story())


def test_a_path_and_a_body_must_agree(run: Run, home: Path) -> None:
    async def story() -> None:
        async with desk(home) as d:
            refusal = await d.refusal("PUT", "/v1/slots/u1", http(uid="u2"))
            assert refusal == (400, "BadRequest", "the path names slot u1, the body u2")

    run(story())


def test_a_refusal_shows_no_value(run: Run, home: Path) -> None:
    async def story() -> None:
        async with desk(home) as d:
            document = msgspec.to_builtins(http(uid="u1")) | {"env": {"TOKEN": ["hush"]}}
            _, _, message = await d.refusal("PUT", "/v1/slots/u1", document)
            assert "hush" not in message
            _, _, message = await d.refusal("PUT", "/v1/slots/u1", b'{"env": {"TOKEN": "hush')
            assert "hush" not in message

    run(story())


def test_no_answer_tells_the_environment(run: Run, home: Path) -> None:
    async def story() -> None:
        async with desk(home) as d:
            await d.put(http(uid="u1", env={"TOKEN": "hush"}))
            for path in ("/v1/slots", "/v1/slots/u1", "/v1/changes?since=0"):
                assert b"hush" not in (await d.ask("GET", path))[1]

    run(story())


def test_a_long_poll_waits_for_news_and_no_longer(run: Run, home: Path) -> None:
    async def story() -> None:
        async with desk(home) as d:
            seen = (await d.changes(0, 30)).sequence
            async with asyncio.TaskGroup() as tasks:
                poll = tasks.create_task(d.changes(seen, 30))
                tasks.create_task(d.put(http(uid="u1")))
            assert [state.uid for state in poll.result().slots] == ["u1"]
            latest = (await d.changes(0, 0)).sequence
            assert (await d.changes(latest, 0.02)).slots == ()

    run(story())


def test_a_long_poll_is_presence_and_ends_with_its_client(run: Run, home: Path) -> None:
    async def story() -> None:
        async with desk(home) as d:
            seen = (await d.changes(0, 0)).sequence
            _, writer = await asyncio.open_unix_connection(str(d.path))
            writer.write(b"GET /v1/changes?since=%d&wait=60 HTTP/1.1\r\nhost: x\r\n\r\n" % seen)
            await eventually(lambda: d.presence._here == 1)
            writer.close()
            await writer.wait_closed()
            await eventually(lambda: d.presence._here == 0)

    run(story())


def lend(path: Path, body: bytes) -> tuple[bytes, list[socket.socket]]:
    """Asks for a listening socket the way a daemon does."""
    answer, received = b"", []
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(10)
        line.connect(str(path))
        head = b"POST /v1/listeners HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        line.sendall(head + body)
        while True:
            piece, descriptors, _, _ = socket.recv_fds(line, 65536, 4)
            received += [socket.socket(fileno=number) for number in descriptors]
            if not piece:
                return answer, received
            answer += piece


def test_a_listening_socket_comes_with_the_answer(run: Run, home: Path) -> None:
    async def story() -> None:
        async with desk(home) as d:
            body = b'{"name":"gateway","host":"127.0.0.1","port":0}'
            places = []
            for _ in range(2):
                answer, [sock] = await asyncio.to_thread(lend, d.path, body)
                head, _, document = answer.partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 OK\r\n")
                assert b"\r\nconnection: close" in head
                assert b"\r\nmooring-protocol: 1\r\n" in head
                told = msgspec.json.decode(document, type=ListenerState)
                assert sock.getsockname() == (told.host, told.port)
                places.append(told)
                sock.close()
            assert places[0] == places[1]
            with socket.create_connection((told.host, told.port), timeout=5):
                pass

    run(story())


def test_a_port_in_use_comes_without_a_socket(run: Run, home: Path) -> None:
    async def story() -> None:
        async with desk(home) as d:
            with socket.create_server(("127.0.0.1", 0)) as other:
                port = other.getsockname()[1]
                body = b'{"name":"gateway","host":"127.0.0.1","port":%d}' % port
                found = await d.refusal("POST", "/v1/listeners", body)
            assert found[:2] == (409, "PortInUse")
            assert f"127.0.0.1:{port}" in found[2]

    run(story())


def test_an_http_slot_has_nothing_to_say_here(run: Run, home: Path) -> None:
    async def story() -> None:
        async with desk(home) as d:
            await d.put(http(uid="u1"))
            status, _, message = await d.refusal("POST", "/i/u1", b"{}")
            assert status == 404
            assert "answers at its own port" in message

    run(story())
