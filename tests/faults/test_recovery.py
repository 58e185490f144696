"""Instances are lost under sessions that go on: killed, restarted in place, stopped, cut off."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mcp import Client, MCPDeprecationWarning, MCPError
from support.crowd import Crowd, Ledger, Member
from support.installation import ROOT, Mooring, alive, free_port, process_of, wait_until

pytestmark = pytest.mark.process

SERVERS = Path(__file__).resolve().parents[1] / "servers"
CLIENTS = Path(__file__).resolve().parents[1] / "protocol" / "clients"
PREVIOUS = ROOT / ".tools/sdk1/bin/python"
SESSIONS = 50
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(scope="module")
def mooring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mooring]:
    """One for all of these tests; each has servers of its own."""
    installation = Mooring(tmp_path_factory.mktemp("mooring"))
    installation.start("serve")
    installation.wait_for_api()
    yield installation
    installation.end()


class Process(NamedTuple):
    """A process, as it calls itself in its ledger."""

    space: str
    pid: int
    life: str
    file: str
    """Its ledger."""

    @property
    def slot(self) -> str:
        """The instance that it is a child of."""
        pid = process_of(self.space, self.pid, self.file)
        variables = Path(f"/proc/{pid}/environ").read_text().split("\0")
        marker = next(each for each in variables if each.startswith("MOORING_SLOT="))
        return marker.rpartition("/")[0]

    def signal(self, number: int) -> None:
        """Sends it a signal; nobody else, should it be gone."""
        pid = process_of(self.space, self.pid, self.file)
        assert pid, "it is gone"
        os.kill(pid, number)

    def end(self) -> None:
        """Kills it, and returns when it is gone."""
        pid = process_of(self.space, self.pid, self.file)
        self.signal(signal.SIGKILL)
        wait_until("its end", lambda: not alive(pid), 10)


class Server:
    """A server under test, and what its instances wrote down."""

    def __init__(self, mooring: Mooring, name: str, how: str, *words: str) -> None:
        self.mooring = mooring
        self.name = name
        self.path = mooring.home / f"{name}.ledger"
        program = "ledger_http.py" if "http" in how else "ledger.py"
        command = [sys.executable, str(SERVERS / program), str(self.path), *words]
        mooring.apply(f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: {name}}}
spec:
  source: {{command: {json.dumps(command)}}}
  {how}
""")
        wait_until("both instances", lambda: self.ready() == 2, 30)

    def ready(self) -> int:
        """How many instances take sessions."""
        told = json.loads(self.mooring.moor("get", "server", self.name, "-o", "json"))
        return int(told.get("status", {}).get("readyInstances", 0))

    @property
    def url(self) -> str:
        return self.mooring.url(self.name)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.path)

    def owner(self, session: str) -> Process:
        """The process that initialized a session last."""
        lines = self.ledger.lines
        return next(
            Process(line["space"], line["pid"], line["life"], str(self.path))
            for line in reversed(lines)
            if line["session"] == session and line["what"] == "initialize"
        )

    def told(self, what: str, session: str) -> list[Any]:
        """What was set in a session, with who was told."""
        return [
            (Process(line["space"], line["pid"], line["life"], str(self.path)), line.get("value"))
            for line in self.ledger.lines
            if (line["what"], line["session"]) == (what, session)
        ]

    def delete(self) -> None:
        self.mooring.moor("delete", "server", self.name)


HTTP = "transport: streamable-http\n  replicas: 2"
STDIO = "isolation: session\n  replicas: 2"


@pytest.fixture
def http(mooring: Mooring, request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(mooring, f"h{abs(hash(request.node.name)) % 10**8}", HTTP)
    yield server
    server.delete()


@pytest.fixture
def stdio(mooring: Mooring, request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(mooring, f"s{abs(hash(request.node.name)) % 10**8}", STDIO)
    yield server
    server.delete()


def test_sessions_of_an_instance_that_is_killed_go_on_and_the_others_notice_nothing(
    http: Server,
) -> None:
    with Crowd([http.url], SESSIONS) as crowd:
        crowd.answered(200)
        victim = http.owner("m0")
        lost = {name for name in http.ledger.count("initialize") if http.owner(name) == victim}
        victim.signal(signal.SIGKILL)
        crowd.answered(1000)
    ledger = http.ledger
    members = {member.name: member for member in crowd.members}
    lost &= set(members)
    assert 10 <= len(lost) <= 40
    for name, member in members.items():
        times = 2 if name in lost else 1
        assert (ledger.count("initialize")[name], name) == (times, name)
        assert (ledger.count("initialized")[name], name) == (times, name)
        allowed = {"OutcomeUnknown"} if name in lost else set()
        assert set(member.failures) <= allowed, (name, member.failures)
        assert member.failures["OutcomeUnknown"] <= 2
    assert ledger.twice == []
    assert max(member.slowest for member in crowd.members) < 2


def test_however_many_requests_wait_a_session_is_opened_anew_once(http: Server, run: Run) -> None:
    async def story() -> None:
        member = Member("alone", [http.url])
        await member.open()
        http.owner("alone").end()
        answers = await asyncio.gather(*(member.call("add", number=1) for _ in range(20)))
        assert [status for status, _ in answers] == [200] * 20
        assert [body for _, body in answers if "result" not in body] == []

    run(story())
    ledger = http.ledger
    assert ledger.count("initialize")["alone"] == ledger.count("initialized")["alone"] == 2
    assert ledger.count("call")["alone"] == 20
    assert ledger.twice == []
    describe = ("describe", "server", http.name)
    wait_until("its event", lambda: "SessionsRecovered" in http.mooring.moor(*describe), 15)
    log = (http.mooring.home / "out").read_text()
    assert "session.recovered" in log


def test_a_session_whose_own_child_is_killed_goes_on_with_another(stdio: Server, run: Run) -> None:
    async def story() -> None:
        members = [Member(f"m{number}", [stdio.url]) for number in range(6)]
        for member in members:
            await member.open()
            await member.call("add", number=5)
        stdio.owner("m0").end()
        for member in members:
            _, body = await member.call("add", number=1)
            text = body["result"]["content"][0]["text"]
            assert text == ("1" if member.name == "m0" else "6")

    run(story())
    ledger = stdio.ledger
    assert ledger.count("initialize")["m0"] == ledger.count("initialized")["m0"] == 2
    assert sum(ledger.count("initialize")[f"m{n}"] for n in range(1, 6)) == 5


def test_sessions_of_a_stdio_instance_whose_children_are_killed_go_on(stdio: Server) -> None:
    with Crowd([stdio.url], SESSIONS) as crowd:
        crowd.answered(200)
        one = stdio.owner("m0")
        owners = {member.name: stdio.owner(member.name) for member in crowd.members}
        lost = {name for name, each in owners.items() if each.slot == one.slot}
        for name in lost:
            owners[name].signal(signal.SIGKILL)
        crowd.answered(1000)
    ledger = stdio.ledger
    assert 10 <= len(lost) <= 40
    for member in crowd.members:
        name = member.name
        times = 2 if name in lost else 1
        assert (ledger.count("initialize")[name], name) == (times, name)
        assert (ledger.count("initialized")[name], name) == (times, name)
        allowed = {"ChildExited", "OutcomeUnknown"} if name in lost else set()
        assert set(member.failures) <= allowed, (name, member.failures)
        assert member.failures.total() <= 2
    assert ledger.twice == []
    assert crowd.within(0.99) < 2


def test_sessions_that_share_a_child_which_is_killed_go_on_with_another(mooring: Mooring) -> None:
    server = Server(mooring, "shared", "replicas: 2")
    with Crowd([server.url], SESSIONS) as crowd:
        crowd.answered(200)
        (one, *_) = [line for line in server.ledger.lines if line["what"] == "call"]
        Process(one["space"], one["pid"], one["life"], str(server.path)).signal(signal.SIGKILL)
        crowd.answered(1000)
    ledger = server.ledger
    calls = [line for line in ledger.lines if line["what"] == "call"]
    held = {line["mark"].partition(":")[0] for line in calls if line["life"] == one["life"]}
    log = (mooring.home / "out").read_text()
    moved = [line for line in log.splitlines() if "session.recovered" in line]
    server.delete()
    assert 10 <= len(held) <= 40
    assert len([line for line in moved if server.name in line]) == len(held)
    for member in crowd.members:
        allowed = {"ChildExited", "OutcomeUnknown"} if member.name in held else set()
        assert set(member.failures) <= allowed, (member.name, member.failures)
        assert member.failures.total() <= 2
    for what in ("initialize", "initialized"):  # a child hears of one session, whoever shares it
        told = [line["life"] for line in ledger.lines if line["what"] == what]
        assert len(told) == len(set(told)) >= 2
    assert ledger.twice == []
    assert crowd.within(0.99) < 2


class Remote:
    """A server that Mooring reaches and does not run, at a port of its own."""

    def __init__(self, mooring: Mooring, name: str, *words: str) -> None:
        self.path = mooring.home / f"{name}.ledger"
        self.port = free_port()
        self._words = words
        self._process = self._started()
        mooring.apply(f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: {name}}}
spec:
  source: {{url: "http://127.0.0.1:{self.port}/mcp"}}
""")
        mooring.ready(name)

    def restart(self) -> None:
        """Another process at the same address, which knows nothing."""
        self.end()
        self._process = self._started()

    def end(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def _started(self) -> "subprocess.Popen[bytes]":
        before = Ledger(self.path).starts
        process = subprocess.Popen(
            [sys.executable, str(SERVERS / "ledger_http.py"), str(self.path), *self._words],
            env={**os.environ, "HOST": "127.0.0.1", "PORT": str(self.port)},
        )
        wait_until("its start", lambda: Ledger(self.path).starts > before, 20)
        return process


@pytest.mark.parametrize("word", ["", "typescript"])
def test_a_server_that_forgot_everything_in_place_is_told_again(
    mooring: Mooring, run: Run, word: str
) -> None:
    name = f"remote-{word or 'python'}"
    remote = Remote(mooring, name, word)

    async def story() -> None:
        members = [Member(f"m{number}", [mooring.url(name)]) for number in range(10)]
        for member in members:
            await member.open()
            await member.call("add", number=5)
        remote.restart()
        answers = await asyncio.gather(
            *(member.call("add", number=1) for member in members for _ in range(5))
        )
        assert [body for _, body in answers if "result" not in body] == []

    try:
        run(story())
        ledger = Ledger(remote.path)
        for number in range(10):
            assert ledger.count("initialize")[f"m{number}"] == 2
            assert ledger.count("initialized")[f"m{number}"] == 2
        assert ledger.twice == []
    finally:
        mooring.moor("delete", "server", name)
        remote.end()


def test_an_owner_that_is_stopped_keeps_its_sessions(http: Server) -> None:
    with Crowd([http.url], 10) as crowd:
        crowd.answered(50)
        victim = http.owner("m0")
        victim.signal(signal.SIGSTOP)
        try:
            wait_until("five seconds", _after(5), 10)
        finally:
            victim.signal(signal.SIGCONT)
        crowd.answered(200)
    assert crowd.failures == {}
    ledger = http.ledger
    ran = ledger.count("call")
    for member in crowd.members:
        assert ledger.count("initialize")[member.name] == 1
        assert member.sum == ran[member.name]
    assert ledger.twice == []


def _after(seconds: float) -> Callable[[], bool]:
    """Becomes true after so long."""
    loop = asyncio.new_event_loop()
    until = loop.time() + seconds

    def over() -> bool:
        if loop.time() < until:
            return False
        loop.close()
        return True

    return over


def test_what_is_cut_after_it_was_sent_is_repeated_only_if_it_cannot_matter(
    http: Server, run: Run
) -> None:
    async def story() -> None:
        member = Member("cut", [http.url])
        await member.open()
        status, body = await member.call("cut")
        assert (status, body["error"]["data"]["reason"]) == (200, "OutcomeUnknown")
        _, body = await member.call("cut_once")
        assert "result" in body
        _, body = await member.call("add", number=1)
        assert body["result"]["content"][0]["text"] == "1"

    wait_until("the list of safe tools", lambda: safe(http), 20)
    run(story())
    ran = [line["tool"] for line in http.ledger.lines if line["what"] == "call"]
    assert sorted(ran) == ["add", "cut", "cut_once", "cut_once"]
    assert http.ledger.count("initialize")["cut"] == 1


def safe(server: Server) -> bool:
    rows = [row for name, row in server.mooring.instances().items() if server.name in name]
    told = [row["status"].get("safeTools") or [] for row in rows]  # type: ignore[attr-defined]
    return bool(told) and all("cut_once" in each for each in told)


@pytest.mark.parametrize("ids", [False, True])
def test_a_stream_that_is_cut_in_the_middle_is_never_replayed(
    http: Server, run: Run, ids: bool
) -> None:
    async def story() -> None:
        member = Member("broken", [http.url])
        await member.open()
        _, body = await member.call("broken", ids=ids)
        if ids:  # its client comes back for the rest
            assert body.count(b"data: ") == 1
            assert b"notifications/message" in body
        else:
            assert body["error"]["data"]["reason"] == "OutcomeUnknown"

    run(story())
    assert http.ledger.count("call")["broken"] == 1


class Stream:
    """A GET stream of a member."""

    def __init__(self, member: Member) -> None:
        self._member = member

    async def __aenter__(self) -> "Stream":
        host, _, path = self._member.urls[0].removeprefix("http://").partition("/")
        name, _, port = host.partition(":")
        self.reader, self._writer = await asyncio.open_connection(name, int(port))
        head = f"GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n"
        head += "accept: text/event-stream\r\n"
        self._writer.write(f"{head}mcp-session-id: {self._member.session}\r\n\r\n".encode())
        await self.has(b": open")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()

    async def has(self, text: bytes) -> None:
        """Returns when this came."""
        came = b""
        while text not in came:
            async with asyncio.timeout(20):
                more = await self.reader.read(4096)
            came += more
            assert more, came

    async def ends(self) -> None:
        async with asyncio.timeout(20):
            await self.reader.read()


def test_what_was_set_is_in_force_at_the_new_owner(http: Server, run: Run) -> None:
    async def story() -> None:
        member = Member("set", [http.url])
        await member.open()
        level = {"id": 1, "method": "logging/setLevel", "params": {"level": "error"}}
        await member.post(level)
        watched = {"uri": "ledger://sum"}
        await member.post({"id": 2, "method": "resources/subscribe", "params": watched})
        first = http.owner("set")
        async with Stream(member) as stream:
            first.signal(signal.SIGKILL)
            await stream.ends()
        async with Stream(member) as stream:
            second = http.owner("set")
            assert second != first
            assert http.told("logging/setLevel", "set") == [(first, "error"), (second, "error")]
            assert [uri for _, uri in http.told("resources/subscribe", "set")] == [
                "ledger://sum", "ledger://sum",
            ]  # fmt: skip
            await member.call("publish", uri="ledger://sum")
            await stream.has(b'"notifications/resources/updated"')

    run(story())
    assert http.ledger.count("initialize")["set"] == 2


def test_the_official_client_goes_on_and_hears_of_it(http: Server, run: Run) -> None:
    logged: list[Any] = []
    updated = asyncio.Event()

    async def log(params: Any) -> None:
        logged.append(params.data)

    async def hear(message: Any) -> None:
        if getattr(message, "method", "") == "notifications/resources/updated":
            updated.set()

    async def story() -> None:
        async with Client(
            http.url, mode="legacy", logging_callback=log, message_handler=hear
        ) as client:
            with pytest.warns(MCPDeprecationWarning):
                await client.subscribe_resource("ledger://sum")
            before = await client.call_tool("add", {"number": 5})
            http.owner("mcp").end()
            after = await client.call_tool("add", {"number": 1})
            assert (before.content[0].text, after.content[0].text) == ("5", "1")
            while not updated.is_set():  # its stream comes back by itself
                with suppress(MCPError):
                    await client.call_tool("publish", {"uri": "ledger://sum"})
                with suppress(TimeoutError):
                    await asyncio.wait_for(updated.wait(), 0.2)

    run(story())
    assert [each for each in logged if "held this session is gone" in str(each)]
    assert http.ledger.count("initialize")["mcp"] == http.ledger.count("initialized")["mcp"] == 2


class Previous:
    """A client of the previous line of the official SDK, in a process of its own."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [str(PREVIOUS), str(CLIENTS / "going_on1.py"), url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> "Previous":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=10)
        finally:
            self._process.kill()
            self._process.wait(10)

    def told(self, word: str) -> Any:
        """What it prints when it is told this; bounded."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(word, file=self._process.stdin, flush=True)
        ready, _, _ = select.select([self._process.stdout], [], [], 20)
        assert ready, f"no answer to {word}"
        return json.loads(self._process.stdout.readline())


def test_the_previous_line_of_the_official_client_goes_on_too(http: Server) -> None:
    with Previous(http.url) as client:
        assert [client.told("add"), client.told("add")] == [1, 2]
        http.owner("mcp").end()
        assert client.told("add") == 1
        logged = client.told("updated")
    assert [each for each in logged if "held this session is gone" in each]
    assert http.ledger.count("initialize")["mcp"] == http.ledger.count("initialized")["mcp"] == 2
    assert http.ledger.twice == []


def test_it_does_so_where_its_session_has_a_process_of_its_own(stdio: Server) -> None:
    with Previous(stdio.url) as client:
        assert [client.told("add"), client.told("add")] == [1, 2]
        stdio.owner("mcp").end()
        assert client.told("add") == 1
    assert stdio.ledger.count("initialize")["mcp"] == 2
    assert stdio.ledger.count("initialized")["mcp"] == 2


def test_a_late_answer_reaches_nobody_elses_question(http: Server, run: Run) -> None:
    async def story() -> None:
        member = Member("asked", [http.url])
        await member.open()
        async with Asking(member) as first:
            http.owner("asked").end()
            await first.ends()
        async with Asking(member) as second:
            assert (first.question, second.question) == (1, "1:1")
            late = {"id": first.question, "result": {"action": "accept"}}
            assert (await member.post(late))[0] == 202
            assert http.told("answered", "asked") == []
            now = {"id": second.question, "result": {"action": "decline"}}
            assert (await member.post(now))[0] == 202
            await second.has(b"decline")
        assert [value for _, value in http.told("answered", "asked")] == [{"action": "decline"}]

    run(story())


class Asking(Stream):
    """A call of `ask`, as far as its question."""

    async def __aenter__(self) -> "Asking":
        host, _, path = self._member.urls[0].removeprefix("http://").partition("/")
        name, _, port = host.partition(":")
        self.reader, self._writer = await asyncio.open_connection(name, int(port))
        call = {"name": "ask", "arguments": {}}
        body = json.dumps({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": call})
        head = (
            f"POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            "connection: close\r\naccept: application/json, text/event-stream\r\n"
            f"mcp-session-id: {self._member.session}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body.encode())
        came = b""
        while True:
            async with asyncio.timeout(20):
                line = await self.reader.readline()
            came += line
            assert line, came
            if line.startswith(b"data: ") and b"elicitation" in line:
                self.question = json.loads(line[6:])["id"]
                return self


def test_a_session_that_is_deleted_while_it_is_recovered_stays_deleted(
    http: Server, run: Run
) -> None:
    async def story() -> None:
        members = [Member(f"m{number}", [http.url]) for number in range(10)]
        for member in members:
            await member.open()
        victim = http.owner("m0")
        victim.signal(signal.SIGKILL)
        work = [each(m) for m in members for each in (calling, deleting)]
        await asyncio.gather(*work)
        for _ in range(2):
            for member in members:
                assert (await member.call("add", number=1))[0] == 404

    run(story())


async def calling(member: Member) -> None:
    status, _ = await member.call("add", number=1)
    assert status in (200, 404)


async def deleting(member: Member) -> None:
    assert await member.delete() == 200
