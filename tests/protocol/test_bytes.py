"""What passes through Mooring arrives as it was sent, over HTTP and over stdio, in both eras.

A whole Mooring stands between a client that sends given bytes and servers that record what they
get and play back given bytes. Over stdio, line breaks within a message become spaces, and a
server that many sessions share knows requests under numbers of ours; nothing else differs.
"""

import os
import queue
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
from support.installation import ROOT, Mooring
from support.replaying import Answered, Raw, Replayer, replaying, stream, until, whole

pytestmark = pytest.mark.process

VERSION = '"io.modelcontextprotocol/protocolVersion":"2026-07-28"'
STDIO = """
---
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: {name}}}
spec:
  source: {{command: ["{python}", "{root}/tests/servers/replay.py", "{directory}", {word}]}}
  isolation: {isolation}
"""
REMOTE = """
---
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: {name}}}
spec:
  source: {{url: "http://127.0.0.1:{port}/mcp"}}
"""

VALUES = {
    "integers past 2^53": "[9007199254740993, -9223372036854775809, 18446744073709551616]",
    "fifty digits": "12345678901234567890123456789012345678901234567890",
    "a number as it is written": "[1.0, 1E+2, -0, -0.0, 1e400, 0.10000000000000000555111512]",
    "half a surrogate pair": r'["\ud83d", "\udc00x", {"\udfff": 1}]',
    "emoji, plain and escaped": r'["😀 👩‍👩‍👧", "\ud83d\ude00", "\u00E9\u00e9é"]',
    "separators that are no line breaks": '"a\u2028b\u2029c\u0085d\u007f\ufeff"',
    "escapes that need not be": r'"\/\u0041\b\f\u0000"',
    "keys that come twice": '{"x": 1, "x": 2, "name": 3, "id": 4, "Name": 5}',
    "white space": '{ "a"\t:\r\n [ ] ,\n\n "b" : {  } }',
    "depth": "[" * 200 + "]" * 200,
    "what looks like ours": r'{"id":1,"text":"\",\"id\":1,\"progressToken\":2}","result":{}}',
    "a megabyte": '"' + "x" * (1 << 20) + '"',
}
"""JSON texts that a message may contain."""
IDS = {
    "zero": ("0", "0"),
    "empty": ('""', '""'),
    "past 2^64": ("18446744073709551617", "18446744073709551617"),
    "negative": ("-7", "-7"),
    "text": ('"server-discover-probe-1"', '"server-discover-probe-1"'),
    "written another way": (r'"caf\u00e9\/\""', '"café/\\""'),
    "half a surrogate pair": (r'"\ud800"', r'"\uD800"'),
}
"""Ids as a client writes them, and as a server may write them when it answers."""


class Way:
    """One way through Mooring: to a server over HTTP, or to a process over stdio."""

    def __init__(self, url: str, stateless: bool, behind: Replayer | Path, shared: bool) -> None:
        self.client = Raw(url, stateless=stateless)
        self.stateless = stateless
        self.behind = behind
        self.shared = shared
        """The server knows requests under other ids and tokens."""
        self._read = 0
        if not stateless:
            self.client.open()

    @property
    def stdio(self) -> bool:
        return isinstance(self.behind, Path)

    def arrives(self, message: bytes) -> bytes:
        """The message as its server should get it, ids aside."""
        return message.replace(b"\n", b" ").replace(b"\r", b" ") if self.stdio else message

    def send(self, body: bytes, answer: bytes, **headers: str) -> tuple[bytes, Answered]:
        """Sends `body`, has the server answer, and returns what either side got."""
        if isinstance(self.behind, Replayer):
            self.behind.play(whole(answer))
            answered = self.client.send(body, **headers)
            return self.behind.next().body, answered
        (self.behind / "play").write_bytes(answer + b"\n")
        answered = self.client.send(body, **headers)
        return self.heard(), answered

    def heard(self) -> bytes:
        """The next line that the process recorded."""
        assert isinstance(self.behind, Path)
        with (self.behind / "heard").open("rb") as recorded:
            recorded.seek(self._read)
            line = recorded.readline()
        self._read += len(line)
        assert line.endswith(b"\n")
        return line[:-1]

    def forget(self) -> None:
        """What another test left is not for this one."""
        if isinstance(self.behind, Path):
            recorded = self.behind / "heard"
            self._read = recorded.stat().st_size if recorded.exists() else 0
            return
        for left in (self.behind.heard, self.behind.plays):
            while not left.empty():
                left.get()

    def headers(self, method: str, name: str) -> dict[str, str]:
        """Those that the stateless era wants."""
        return {"mcp_method": method, "mcp_name": name} if self.stateless else {}


WAYS = {
    "http": ("http", False),
    "http, stateless": ("http-stateless", True),
    "stdio, a child each": ("own", False),
    "stdio, shared": ("shared", False),
    "stdio, stateless": ("stateless", True),
}
STDIO_WAYS = [way for way in WAYS if way.startswith("stdio")]


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Replayer | Path]]:
    with replaying() as sessions, replaying(stateless=True) as stateless:
        yield {
            "http": sessions,
            "http-stateless": stateless,
            **{name: tmp_path_factory.mktemp(name) for name in ("own", "shared", "stateless")},
        }


@pytest.fixture(scope="module")
def mooring(
    tmp_path_factory: pytest.TempPathFactory, behind: dict[str, Replayer | Path]
) -> Iterator[Mooring]:
    installation = Mooring(tmp_path_factory.mktemp("bytes"))
    manifest = ""
    for name, server in behind.items():
        if isinstance(server, Replayer):
            manifest += REMOTE.format(name=name, port=server.port)
            continue
        manifest += STDIO.format(
            name=name, python=sys.executable, root=ROOT, directory=server,
            word="stateless" if name == "stateless" else "sessions",
            isolation="session" if name == "own" else "shared",
        )  # fmt: skip
    installation.start("serve")
    try:
        installation.wait_for_api()
        installation.apply(manifest)
        for name in behind:
            installation.ready(name)
        yield installation
    finally:
        installation.end()


@pytest.fixture(scope="module")
def ways(mooring: Mooring, behind: dict[str, Replayer | Path]) -> dict[str, Way]:
    return {
        way: Way(mooring.url(name), stateless, behind[name], name in ("shared", "stateless"))
        for way, (name, stateless) in WAYS.items()
    }


@pytest.fixture(autouse=True)
def forgetting(ways: dict[str, Way]) -> None:
    for way in ways.values():
        way.forget()


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, ways: dict[str, Way]) -> Way:
    return ways[request.param]


def request(
    way: Way, id: str = "1", method: str = "tools/call", value: str = "1", further: str = ""
) -> bytes:
    """A request full of things that Mooring does not know."""
    meta = f'{VERSION},"x.y/z": [1.0 ],' if way.stateless else '"x.y/z": [1.0 ],'
    return (
        f'{{"jsonrpc":"2.0", "id":{id},"method":"{method}" ,"params":{{"name":"play", "unknown" '
        f':{value},"_meta":{{{meta}"progressToken":"t"}},"arguments":{value}}},'
        f'"further":{further or value}}}'
    ).encode()


def result(value: str, id: str = "@ID@") -> bytes:
    return (
        f'{{ "jsonrpc":"2.0","id":{id},"result":{{"content":[], "structuredContent":{value},'
        f'"resultType":"complete"}},"unknown":{value} }}'
    ).encode()


def with_id(message: bytes, id: str) -> bytes:
    return message.replace(b"@ID@", id.encode())


def renumbered(heard: bytes, sent: bytes) -> bytes:
    """What a server heard, with the id and token that the client gave in the place of ours."""
    id = re.search(rb'"id":(0|"(?:[^"\\]|\\.)*"|-?[0-9]+)', sent)
    assert id is not None
    heard = re.sub(
        rb'"id":[0-9]+,"method"',
        b'"id":' + id[1].replace(b"\\", rb"\\") + b',"method"',
        heard,
        count=1,
    )
    return re.sub(rb'"progressToken":[0-9]+\}', b'"progressToken":"t"}', heard, count=1)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_values_arrive_as_they_are_written(way: Way, value: str) -> None:
    sent = request(way, value=value)
    answer = result(value if not way.stdio else value.replace("\n", " ").replace("\r", " "))
    if not way.stdio:
        answer = with_id(answer, "1")
    heard, answered = way.send(sent, answer, **way.headers("tools/call", "play"))
    if way.shared:
        heard = renumbered(heard, sent)
    assert heard == way.arrives(sent)
    assert answered.status == 200
    assert answered.body == with_id(answer, "1")
    assert answered.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("sent", "answered"), IDS.values(), ids=IDS.keys())
def test_ids_come_back_as_they_are(way: Way, sent: str, answered: str) -> None:
    body = request(way, sent)
    answer = with_id(result("[]"), answered) if not way.stdio or not way.shared else result("[]")
    heard, got = way.send(body, answer, **way.headers("tools/call", "play"))
    assert got.status == 200
    if way.shared:
        assert renumbered(heard, body) == body
        assert got.body == with_id(answer, sent)
    else:
        assert heard == body
        assert got.body == answer


def test_methods_that_nobody_knows_are_passed_on(way: Way) -> None:
    sent = request(way, method="x-vendor/method")
    answer = b'{"jsonrpc":"2.0","id":@ID@,"error":{"code":-1,"message":"\xc3\xa9","data":[1.0]}}'
    if not way.stdio:
        answer = with_id(answer, "1")
    heard, answered = way.send(sent, answer, **way.headers("x-vendor/method", "play"))
    assert (renumbered(heard, sent) if way.shared else heard) == way.arrives(sent)
    assert answered.body == with_id(answer, "1")


@pytest.mark.parametrize("name", ["http", "stdio, a child each"])
@pytest.mark.parametrize(
    "message",
    [
        '{"jsonrpc":"2.0","method":"notifications/x","params":{"big":9007199254740993 }, "y":[]}',
        '{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}',
        '{"jsonrpc":"2.0","id":"\\u00e9","result":{"roots":[ ],"x":"\\ud800"},"z":1}',
        '{"jsonrpc":"2.0","id":0,"error":{"code":-1,"message":"no","data":1.50}}',
        '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x" ,"y":1}}',
    ],
)  # fmt: skip
def test_what_wants_no_answer_arrives_too(ways: dict[str, Way], name: str, message: str) -> None:
    way = ways[name]
    if isinstance(way.behind, Replayer):
        way.behind.play(whole(b"", status=202))
        assert way.client.send(message.encode()).status == 202
        assert way.behind.next().body == message.encode()
        return
    assert way.client.send(message.encode()).status == 202
    marker = request(way)
    assert way.send(marker, result("1"))[0] == message.encode()
    assert way.heard() == marker


def test_ten_megabytes_arrive(way: Way) -> None:
    answer = result('"' + "€" * (10 * 1024 * 1024 // 3) + '"')
    if not way.stdio:
        answer = with_id(answer, "1")
    answered = way.send(request(way), answer, **way.headers("tools/call", "play"))[1]
    assert answered.body == with_id(answer, "1")


def test_four_megabytes_are_taken(way: Way) -> None:
    sent = request(way, value='"' + "x" * (2 * 1024 * 1024 - 200) + '"', further="0")
    answer = result("1") if way.stdio else with_id(result("1"), "1")
    assert len(sent) > 4 * 1024 * 1024 - 1000
    heard, answered = way.send(sent, answer, **way.headers("tools/call", "play"))
    assert (renumbered(heard, sent) if way.shared else heard) == way.arrives(sent)
    assert answered.body == with_id(answer, "1")


@pytest.mark.parametrize("name", STDIO_WAYS)
def test_lines_may_end_with_cr_lf(ways: dict[str, Way], name: str) -> None:
    way = ways[name]
    answer = result("[1.0]")
    answered = way.send(request(way), answer + b"\r", **way.headers("tools/call", "play"))[1]
    assert answered.body == with_id(answer, "1")


@pytest.mark.parametrize("size", [1, 100_000, 5_000_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["closed", "chunked"])
def test_documents_arrive_whatever_ends_them(
    ways: dict[str, Way], chunked: bool, size: int
) -> None:
    way = ways["http"]
    assert isinstance(way.behind, Replayer)
    document = with_id(result('"' + "d" * size + '"'), "1")
    head = stream("transfer-encoding: chunked") if chunked else stream()
    head = head.replace(b"text/event-stream", b"application/json; charset=utf-8")
    way.behind.play(head, *(in_chunks(document) if chunked else [document]))
    answered = way.client.send(request(way))
    way.behind.next()
    assert answered.headers["content-type"] == "application/json; charset=utf-8"
    assert answered.body == document


def in_chunks(body: bytes) -> list[bytes]:
    """The body in two chunks, and the chunk that ends it."""
    half = len(body) // 2
    return [b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:half], body[half:], b"")]


# Streams of events.

ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{"x":9007199254740993, "y":"\\ud800"}}'
STREAMS = {
    "lines that end with CR LF": b"event: message\r\ndata: " + ANSWER + b"\r\n\r\n",
    "lines that end with CR": b"event: message\rdata: " + ANSWER + b"\r\r",
    "comments": b": ping\r\n\r\n:\n\n: x\ndata: " + ANSWER + b"\n: y\n\n: z\n\n",
    "fields that nobody knows": b"x: y\nretry: 7\ndata\ndata:" + ANSWER + b"\nfoo\n\n",
    "data of several lines": b"data: " + ANSWER.replace(b",", b",\ndata: ") + b"\n\n",
    "a mark at the beginning": b"\xef\xbb\xbfdata:  " + ANSWER + b" \n\n",
    "events of other types": b"event: endpoint\ndata: /x\n\ndata: " + ANSWER + b"\n\n",
    "the end without a blank line": b"data: " + ANSWER + b"\n\n: no end",
    "messages before the answer": b'data: {"jsonrpc":"2.0","method":"m","params":{"n":1.0}}\n\n'
    b"data: " + ANSWER + b"\n\n",
    "ten megabytes": b"data: " + ANSWER[:-1] + b',"z":"' + b"z" * (10 << 20) + b'"}\n\n',
}


@pytest.mark.parametrize("name", ["stdio, a child each", "stdio, shared"])
def test_events_made_of_lines_can_be_come_back_for(ways: dict[str, Way], name: str) -> None:
    way = ways[name]
    progress = (
        b'{"jsonrpc":"2.0","method":"notifications/progress" ,"params":{"progress":1.0,'
        b'"progressToken":@TOKEN@,"message":"\\ud800"}}'
    )
    answer = result('"' + "z" * 400_000 + '"')
    said = b"\n".join([progress, answer])
    answered = way.send(request(way), said, mcp_protocol_version="2025-11-25")[1]
    lines = [progress.replace(b"@TOKEN@", b'"t"'), with_id(answer, "1")]
    events = re.findall(rb"id: (\S+)\n(?:retry: [0-9]+\n)?data: ([^\n]*)\n\n", answered.body)
    assert [event for _, event in events] == [b"", *lines]
    ids = [id.decode() for id, _ in events]
    for id, left in zip(ids, (2, 1, 0), strict=True):
        resumed = way.client.send(b"", "GET", last_event_id=id)
        assert resumed.status == 200
        assert resumed.body == answered.body[len(answered.body) - tail(answered.body, left) :]


def tail(stream: bytes, events: int) -> int:
    """How many bytes the last events of a stream are."""
    return len(b"\n\n".join(stream.split(b"\n\n")[-1 - events :]))


@pytest.mark.parametrize("name", STDIO_WAYS)
@pytest.mark.parametrize("megabytes", [0, 10])
def test_lines_become_events(ways: dict[str, Way], name: str, megabytes: int) -> None:
    way = ways[name]
    progress = (
        b'{"jsonrpc":"2.0","method":"notifications/progress" ,"params":{"progress":1.0,'
        b'"progressToken":@TOKEN@,"message":"\\ud800\xf0\x9f\x98\x80"}, "x":9007199254740993}'
    )
    answer = result('"' + "z" * (megabytes << 20) + '"')
    said = b"\n".join([progress, b"", progress, answer])
    answered = way.send(request(way), said, **way.headers("tools/call", "play"))[1]
    assert answered.headers["content-type"] == "text/event-stream"
    lines = [progress.replace(b"@TOKEN@", b'"t"')] * 2 + [with_id(answer, "1")]
    assert answered.body == b"".join(b"data: " + line + b"\n\n" for line in lines)


@pytest.mark.parametrize("name", ["http", "http, stateless"])
@pytest.mark.parametrize("chunked", [False, True], ids=["closed", "chunked"])
@pytest.mark.parametrize("events", STREAMS.values(), ids=STREAMS.keys())
def test_streams_arrive_as_they_are(
    ways: dict[str, Way], name: str, chunked: bool, events: bytes
) -> None:
    way = ways[name]
    assert isinstance(way.behind, Replayer)
    if chunked:
        way.behind.play(stream("transfer-encoding: chunked"), *in_chunks(events))
    else:
        way.behind.play(stream(), events)
    answered = way.client.send(request(way), **way.headers("tools/call", "play"))
    way.behind.next()
    assert answered.headers["content-type"] == "text/event-stream"
    assert answered.body == events


def test_priming_events_arrive_and_their_ids_lead_back(ways: dict[str, Way]) -> None:
    way = ways["http"]
    assert isinstance(way.behind, Replayer)
    priming = b"id: 14/80\r\ndata: \r\nretry: 100\r\n\r\n"
    way.behind.play(stream(), priming)
    answered = way.client.send(request(way))
    way.behind.next()
    given = re.fullmatch(rb"id: (\S+)\r\ndata: \r\nretry: 100\r\n\r\n", answered.body)
    assert given is not None, answered.body
    way.behind.play(stream(), b"data: " + ANSWER + b"\n\n")
    resumed = way.client.send(b"", "GET", last_event_id=given[1].decode())
    heard = way.behind.next()
    assert heard.line.startswith("GET /mcp ")
    assert heard.headers["last-event-id"] == "14/80"
    assert resumed.body == b"data: " + ANSWER + b"\n\n"


def test_an_event_is_passed_on_before_the_next_one_exists(ways: dict[str, Way]) -> None:
    """Each event is made by the server only when the client has the one before it."""
    way = ways["http"]
    assert isinstance(way.behind, Replayer)
    confirmed: queue.Queue[int] = queue.Queue()
    made: list[float] = []
    took: list[float] = []

    def events() -> Iterator[bytes]:
        yield stream()
        for number in range(100):
            made.append(time.monotonic())
            yield b"data: %d\n\n" % number
            assert confirmed.get(timeout=10) == number

    way.behind.plays.put(events())
    with way.client.begin(b"", "GET") as response:
        for number in range(100):
            assert until(response, b"\n\n") == b"data: %d\n\n" % number
            took.append(time.monotonic() - made[-1])
            confirmed.put(number)
    way.behind.next()
    assert median(took) < 0.1  # seconds; it takes a few thousandths even on a busy machine


def test_a_slow_reader_stops_its_own_server_only(mooring: Mooring, ways: dict[str, Way]) -> None:
    way = ways["http"]
    assert isinstance(way.behind, Replayer)
    flowed = 0
    event = b"data: " + b"x" * 65536 + b"\n\n"
    first = threading.Event()

    def flood() -> Iterator[bytes]:
        nonlocal flowed
        yield stream()
        while True:
            yield event
            flowed += len(event)
            first.set()

    assert mooring.daemon is not None
    before = resident(mooring.daemon.pid)
    way.behind.plays.put(flood())
    with way.client.begin(b"", "GET"):
        assert first.wait(10)
        way.behind.next()
        still = -1
        while still != flowed:  # the flood goes on as long as buffers of either kernel have room
            still = flowed
            for _ in range(30):
                heard, _ = way.send(request(way), with_id(result("1"), "1"))
                assert heard == request(way)
        assert resident(mooring.daemon.pid) - before < 8 * 1024 * 1024
    assert flowed < 32 * 1024 * 1024


def resident(pid: int) -> int:
    """Bytes of memory that a process occupies."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
