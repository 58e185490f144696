"""Inputs that are almost right, for fuzzing; and a second reader of HTTP to compare with.

The judge is h11, which knows nothing of us. It is more forgiving than we are in some places; what
counts is that a request that we accept is the same request to it: the same verb, target, headers
and body, and the same beginning of the next one.
"""

import random
from dataclasses import dataclass
from itertools import pairwise

import h11

GET = b"GET /a?b HTTP/1.1\r\nHost: h\r\nMcp-Session-Id: s\r\n\r\n"
POST = b"POST /servers/x/mcp HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n" + b'{"id": 1234}'
CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\na\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n"
)
OLD = b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"
REQUESTS = (GET, POST, CHUNKED, OLD)
PIECES = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b":", b",", b"\0", b"\x0b", b"0", b"5", b"+5",
    b"0x5", b"-1", b"_", b'"', b"\xff", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1",
    b"Content-Length: 5\r\n", b"Content-Length: 5, 5\r\n", b"content-length : 5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding:\tchunked\r\n", b"Transfer-Encoding: identity\r\n",
    b" folded: 1\r\n", b"Host: other\r\n", b"Connection: close\r\n", b"Connection: upgrade\r\n",
    b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n", b"Trailer: X\r\n", b"http://h/", b"*", b"#",
    b"%", b"ffffffffffffffff\r\n", b"0\r\n\r\n", b";" * 3, b"x" * 300,
)  # fmt: skip


def mutated(source: random.Random, texts: tuple[bytes, ...], pieces: tuple[bytes, ...]) -> bytes:
    """Some of the texts behind each other, with a few things put in, out, or twice."""
    stream = b"".join(source.choices(texts, k=source.randint(1, 3)))
    for _ in range(source.randint(0, 4)):
        start = source.randint(0, len(stream))
        end = min(len(stream), start + source.choice((0, 0, 1, 2, 8)))
        middle = source.choice((b"", source.choice(pieces), stream[start:end] * 2))
        stream = stream[:start] + middle + stream[end:]
    return stream


def sliced(source: random.Random, stream: bytes) -> list[bytes]:
    """The stream as a network may bring it."""
    cuts = sorted(source.randint(0, len(stream)) for _ in range(source.randint(0, 5)))
    return [stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]


@dataclass(frozen=True)
class Read:
    """One request, as a reader understood it."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def judged(stream: bytes) -> tuple[list[Read], str]:
    """The requests that h11 finds complete, and why it read no further (empty: it wants more)."""
    found: list[Read] = []
    judge = h11.Connection(h11.SERVER)
    judge.receive_data(stream)
    head: h11.Request | None = None
    body = b""
    while True:
        try:
            event = judge.next_event()
        except h11.RemoteProtocolError as error:
            return found, str(error)
        if isinstance(event, h11.Request):
            head, body = event, b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            method, target = head.method.decode(), head.target.decode()
            found.append(Read(method, target, tuple(head.headers), body))
            try:
                judge.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                judge.send(h11.EndOfMessage())
                judge.start_next_cycle()
            except h11.LocalProtocolError:
                return found, "the last request of its connection"
        else:
            return found, "" if event is h11.NEED_DATA else str(event)


TOLERATED = ("illegal request line", "no request line received")
"""What h11 says where we are more forgiving: spaces and empty lines before and in a request line
(RFC 9112, 2.2 and 3), which no two readers understand differently."""


def same(ours: list[Read], stream: bytes) -> bool:
    """Whether what we read of this stream is what h11 reads, as far as it goes."""
    theirs, why = judged(stream)
    for mine, other in zip(ours, theirs, strict=False):
        if mine != _as_ours(other):
            return False
    return len(ours) <= len(theirs) or why.startswith(TOLERATED)


def _as_ours(read: Read) -> Read:
    """With the host of an absolute target left out, and white space around values."""
    target = read.target
    if target.startswith("http://"):
        path = target.removeprefix("http://").partition("/")
        target = path[1] + path[2]
    headers = tuple((name, value.strip(b" \t")) for name, value in read.headers)
    return Read(read.method, target.rstrip("?"), headers, read.body)
