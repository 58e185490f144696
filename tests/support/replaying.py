"""Both ends of a Mooring, byte for byte: an HTTP server that plays back, and a client.

The server records exactly what it got and answers with exactly the bytes that a test gives it;
the client sends exactly the bytes that it is given, and shows what came as it came.
"""

import http.client
import json
import queue
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from urllib.parse import urlsplit

DISCOVER = b'"server/discover"'
INITIALIZE = b'"initialize"'
QUESTIONS = (b'"ping"', b'"tools/list"')
"""What Mooring itself asks a server now and then; no test plays an answer to it."""
NO_METHOD = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}'
DISCOVERED = (
    b'{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"],'
    b'"capabilities":{"tools":{}},"resultType":"complete"}}'
)
WELCOME = (
    b'{"jsonrpc":"2.0","id":%b,"result":{"protocolVersion":"2025-11-25",'
    b'"capabilities":{"tools":{}},"serverInfo":{"name":"replay","version":"1"}}}'
)
OPEN = (
    b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25",'
    b'"capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}'
)
PATIENCE = 10.0


@dataclass
class Heard:
    """One request, as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


def whole(body: bytes, type: str = "application/json", status: int = 200, more: str = "") -> bytes:
    """An answer of a known length."""
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {type}\r\ncontent-length: {len(body)}\r\n{more}"
    return head.encode() + b"\r\n" + body


def stream(*more: str) -> bytes:
    """The head of an event stream that ends with its connection."""
    lines = ["HTTP/1.1 200 OK", "content-type: text/event-stream", "connection: close", *more]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


@dataclass
class Replayer:
    """The server. What is put into `plays` answers the next request that is no handshake."""

    stateless: bool = False
    heard: "queue.Queue[Heard]" = field(default_factory=queue.Queue)
    plays: "queue.Queue[Iterable[bytes]]" = field(default_factory=queue.Queue)
    """Bytes of an answer in pieces; the connection is closed after those of a stream."""
    port: int = 0

    def play(self, *pieces: bytes) -> None:
        self.plays.put(pieces)

    def next(self) -> Heard:
        """The next request that was no handshake."""
        return self.heard.get(timeout=PATIENCE)

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while heard := _request(reader):
                    first = b""
                    for piece in self._answer(heard):
                        first = first or piece
                        connection.sendall(piece)
                    if b"connection: close" in first:
                        return
            except OSError:
                return

    def _answer(self, heard: Heard) -> Iterable[bytes]:
        body = heard.body
        if DISCOVER in body:
            return [whole(DISCOVERED if self.stateless else NO_METHOD)]
        if INITIALIZE in body:
            id = b"0" if body == OPEN else b"2"
            return [whole(WELCOME % id, more="mcp-session-id: upstream\r\n")]
        if b'"notifications/initialized"' in body:
            return [whole(b"", status=202)]
        if heard.line.startswith("DELETE"):
            return [whole(b"")]
        if any(question in body for question in QUESTIONS):
            return [whole(_answered(body))]
        self.heard.put(heard)
        return self.plays.get(timeout=PATIENCE)


def _answered(question: bytes) -> bytes:
    answer = {"jsonrpc": "2.0", "id": json.loads(question)["id"], "result": {"tools": []}}
    return json.dumps(answer).encode()


def _request(reader: BufferedReader) -> Heard | None:
    """The next request of a connection; None at its end."""
    line = reader.readline().decode("latin-1").strip()
    if not line:
        return None
    headers: dict[str, str] = {}
    while header := reader.readline().strip():
        name, _, value = header.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return Heard(line, headers, reader.read(int(headers.get("content-length", 0))))


@contextmanager
def replaying(*, stateless: bool = False) -> Iterator[Replayer]:
    """A replayer on a loopback port, a thread for each of its connections."""
    replayer = Replayer(stateless)
    listening = socket.create_server(("127.0.0.1", 0))
    replayer.port = listening.getsockname()[1]

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=replayer._serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield replayer
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(PATIENCE)


@dataclass
class Answered:
    """An answer, as it came; the chunks of its transfer put together."""

    status: int
    headers: dict[str, str]
    body: bytes


class Raw:
    """A client of one endpoint that sends what it is given."""

    def __init__(self, url: str, *, stateless: bool = False, seconds: float = PATIENCE) -> None:
        parts = urlsplit(url)
        self._seconds = seconds
        self._authority, self._path = parts.netloc, parts.path
        self._stateless = stateless
        self.session = ""

    def begin(self, body: bytes, method: str = "POST", **more: str) -> http.client.HTTPResponse:
        """Sends one request on a connection of its own; its answer is to be read by the caller."""
        connection = http.client.HTTPConnection(self._authority, timeout=self._seconds)
        headers = {"accept": "application/json, text/event-stream", "connection": "close"}
        if method == "POST":
            headers["content-type"] = "application/json"
        if self.session:
            headers["mcp-session-id"] = self.session
        if self._stateless:
            headers["mcp-protocol-version"] = "2026-07-28"
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        connection.request(method, self._path, body or None, headers)
        return connection.getresponse()  # which owns the socket, as the connection will close

    def send(self, body: bytes, method: str = "POST", **more: str) -> Answered:
        """One request and its whole answer."""
        with self.begin(body, method, **more) as response:
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answered(response.status, headers, response.read())

    def open(self) -> "Raw":
        """Opens a session."""
        answer = self.send(OPEN)
        assert answer.status == 200, answer
        self.session = answer.headers["mcp-session-id"]
        note = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
        assert self.send(note).status == 202
        return self


def until(response: http.client.HTTPResponse, end: bytes, had: bytes = b"") -> bytes:
    """What a stream says up to and with these bytes, read as it arrives."""
    while end not in had:
        piece = response.read1(65536)
        assert piece, had
        had += piece
    return had
