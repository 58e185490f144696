"""Reading HTTP/1.1 requests out of bytes, strictly, without a socket.

httptools finds the parts; this file decides what is acceptable. Whatever two readers might
understand differently (both lengths, repeated headers that routing or authentication relies
on, a foreign transfer coding) is refused, because the server behind us may be the other
reader. Sources: RFC 9112 sections 2, 3, 6 and 7.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

import httptools

from mooring.transports.http_recall import Recall

Headers = tuple[tuple[bytes, bytes], ...]
"""Names in lower case, values stripped, in order of arrival."""

_METHODS: Final = {
    name.encode(): name for name in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
}

SINGLE: Final = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"origin",
        b"transfer-encoding",
    }
)
"""Headers that may come once only; every `mcp-*` header too."""

_SPECIAL: Final = frozenset({b"expect", b"transfer-encoding", b"upgrade"})

_ABSOLUTE: Final = re.compile(rb"https?://([^/?]*)(/[^?]*)?(?:\?(.*))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may use up. Sizes in bytes, times in seconds."""

    head: int = 64 * 1024
    head_seconds: float = 10.0
    """From the first byte of a request to the end of its head."""
    body: int = 4 * 1024 * 1024
    body_idle_seconds: float = 30.0
    """Without a byte of a body that is still expected."""
    keepalive_seconds: float = 75.0
    """Between two requests, and before the first."""
    connections: int = 20_000
    write_buffer: int = 64 * 1024
    """Waiting for a slow reader, before the writer waits too."""
    write_idle_seconds: float = 60.0
    """In which a reader must take something of what waits for it."""
    read_ahead: int = 64 * 1024
    """Of the next requests, while one is being answered."""
    linger_seconds: float = 2.0
    """For the client to read a last answer and to close."""

    @property
    def shortest_wait(self) -> float:
        """The least of the times."""
        return min(
            self.head_seconds,
            self.body_idle_seconds,
            self.keepalive_seconds,
            self.write_idle_seconds,
            self.linger_seconds,
        )


class Refused(Exception):
    """A request that is answered by the server itself; the connection cannot go on."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Request:
    """One request, complete with its body."""

    __slots__ = (
        "body",
        "headers",
        "index",
        "keep_alive",
        "method",
        "path",
        "peer",
        "query",
        "version",
    )

    def __init__(self, method: str, target: str, headers: Headers) -> None:
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.index = dict(headers)
        """Each header's first value."""
        if len(self.index) != len(headers):
            self.index = dict(reversed(headers))
        self.body = b""
        self.peer = ""
        """`127.0.0.1:5123`, or `unix:UID` with the user at the other end."""
        self.version = "1.1"
        self.keep_alive = True
        """Whether the client would send another request on the same connection."""

    def again(self, body: bytes) -> "Request":
        """The same request with another body."""
        same = Request.__new__(Request)
        same.method = self.method
        same.path = self.path
        same.query = self.query
        same.headers = self.headers
        same.index = self.index
        same.version = self.version
        same.keep_alive = self.keep_alive
        same.peer = ""
        same.body = body
        return same

    def header(self, name: bytes) -> bytes | None:
        """The first value under that name (in lower case), or None."""
        return self.index.get(name)

    @property
    def plain(self) -> bool:
        """Whether the head says all there is to say about where the request ends."""
        return self.keep_alive and self.version == "1.1" and _SPECIAL.isdisjoint(self.index)

    @property
    def has_body(self) -> bool:
        """Whether the head announces a body."""
        if b"transfer-encoding" in self.index:
            return True
        return self.index.get(b"content-length", b"").strip(b"0") != b""


class Stage(Enum):
    """Where a reader is in the request that it reads."""

    IDLE = 0
    HEAD = 1
    BODY = 2


# Looked up where it is used, a member costs more than the rest of the comparison.
IDLE: Final = Stage.IDLE
HEAD: Final = Stage.HEAD
BODY: Final = Stage.BODY


class RequestReader:
    """Bytes in, requests out (in `ready`); raises Refused, after which it is spent."""

    __slots__ = (
        "_barren",
        "_body",
        "_detour",
        "_fed",
        "_headers",
        "_known",
        "_limits",
        "_over",
        "_parser",
        "_refused",
        "_request",
        "_resuming",
        "_size",
        "_target",
        "awaits_continue",
        "ready",
        "stage",
    )

    def __init__(self, limits: Limits, known: Recall[Request] | None = None) -> None:
        """`known`: shared by the readers of a server."""
        self._limits = limits
        self._known: Recall[Request] = Recall() if known is None else known
        self._parser = httptools.HttpRequestParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._target = b""
        self._body: bytes | bytearray = b""
        self._request: Request | None = None
        self._refused: Refused | None = None
        self._detour = False
        self._resuming = False
        self._over = False
        """Nothing after the last request is one."""
        self._fed = 0
        """Bytes that were fed last."""
        self._size = 0
        """Bytes of the request that is being read, but for those fed together with its
        predecessor's end."""
        self._barren = 0
        """Bytes since the last one of a body: chunk extensions, trailers."""
        self.stage = IDLE
        self.awaits_continue = False
        """The client waits for `100 Continue` before it sends the body."""
        self.ready: list[Request] = []

    @property
    def at_rest(self) -> bool:
        """Whether nothing of a request is here, whole or in part."""
        return not self.ready and self.stage is IDLE

    def feed(self, chunk: bytes | memoryview) -> None:
        """Takes the next bytes of the connection."""
        if self.stage is not IDLE or self._over or type(chunk) is not bytes:
            self._parse(chunk)
            return
        known = self._known.find(chunk)
        if known is not None:
            self._size = self._barren = 0
            self.ready.append(known[0].again(known[1]))
            return
        before = len(self.ready)
        self._parse(chunk)
        if len(self.ready) == before + 1 and self.ready[before].plain:
            request = self.ready[before]
            self._known.keep(chunk, request.again(b""), len(request.body))

    def _parse(self, chunk: bytes | memoryview) -> None:
        self._fed = len(chunk)
        self._size += self._fed
        self._barren += self._fed
        try:
            self._parser.feed_data(chunk)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on(memoryview(chunk)[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._fail(error)
        if self.stage is not IDLE:
            self._check_size()

    def _check_size(self) -> None:
        limits = self._limits
        if self.stage is HEAD:
            if self._size > limits.head:
                raise self._head_too_large()
        elif self._barren > limits.head or self._size > 2 * limits.body + limits.head:
            raise Refused(413, "the request's body is mostly something else than content")

    def _fail(self, error: Exception) -> None:
        if self._refused is not None:
            raise self._refused
        if self.ready and not self.ready[-1].keep_alive:
            return  # whatever follows the last request of a connection is not a request
        raise Refused(400, f"not HTTP/1.1: {error}") from error

    def _go_on(self, rest: memoryview) -> None:
        """Reads on after a request that asked for an upgrade, which is not given.

        httptools stops at such a head; so if there is a body, another parser is told that it
        begins here. Java's HTTP client asks every `http://` server for HTTP/2 in this way.
        """
        self._parser = httptools.HttpRequestParser(self)
        request = self._request
        if request is not None:
            length = request.header(b"content-length")
            framing = (
                b"transfer-encoding: chunked" if length is None else b"content-length: " + length
            )
            self._resuming = True
            self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
            self._resuming = False
        self._size = 0
        if rest:
            self.feed(rest)

    # Called by httptools, in this order.

    def on_message_begin(self) -> None:
        if not self._resuming:
            self.stage = HEAD

    def on_url(self, part: bytes) -> None:
        if not self._resuming:
            self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value.strip()))

    def on_headers_complete(self) -> None:
        if self._resuming:
            return
        try:
            self._request = self._accept()
        except Refused as refused:
            self._refused = refused
            raise
        self.stage = BODY

    def on_body(self, part: bytes) -> None:
        self._barren = 0
        if not self._body:
            self._body = part
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += part
        if len(self._body) > self._limits.body:
            self._refused = self._body_too_large()
            raise self._refused

    def on_message_complete(self) -> None:
        request = self._request
        if request is None:
            return
        if self._detour:
            self._detour = False
            return  # not complete at all: `_go_on` reads the body
        request.body = bytes(self._body)
        self._over = not request.keep_alive
        self.ready.append(request)
        self._request = None
        self._headers.clear()  # of trailers, which nobody asked for
        self._body = b""
        self._size = self._barren = 0
        self.stage = IDLE
        self.awaits_continue = False

    # Decisions on a head.

    def _accept(self) -> Request:
        headers = tuple(self._headers)
        target = self._target
        self._headers.clear()
        self._target = b""
        if self._size + self._fed > self._limits.head:
            size = len(target) + sum(len(n) + len(v) + 4 for n, v in headers)
            if size > self._limits.head:
                raise self._head_too_large()
        parser = self._parser
        version = parser.get_http_version()
        if version != "1.1" and version != "1.0":
            raise Refused(505, f"HTTP/{version} is not spoken here; HTTP/1.1 is")
        method = _METHODS.get(parser.get_method())
        if method is None:
            raise Refused(501, "a method that is not served")
        request = Request(method, target.decode("ascii"), headers)
        if len(request.index) != len(headers):
            _check_repeated(headers)
        request.version = version
        request.keep_alive = parser.should_keep_alive()
        self._check(request, target)
        return request

    def _check(self, request: Request, target: bytes) -> None:
        host = request.header(b"host")
        if host is None and request.version == "1.1":
            raise Refused(400, "the Host header is missing")
        if target[:1] != b"/":
            _make_origin_form(request, target, host)
        if b"#" in target:
            raise Refused(400, "the request's target has a fragment")
        if b"content-length" in request.index or b"transfer-encoding" in request.index:
            self._check_framing(request)
        expect = request.header(b"expect")
        if expect is not None and request.version == "1.1":
            if expect.lower() != b"100-continue":
                raise Refused(417, "the only expectation understood is 100-continue")
            self.awaits_continue = request.has_body
        if b"upgrade" in request.index:
            self._detour = self._parser.should_upgrade() and request.has_body

    def _check_framing(self, request: Request) -> None:
        coding = request.header(b"transfer-encoding")
        length = request.header(b"content-length")
        if coding is None:
            if length is not None and int(length) > self._limits.body:
                raise self._body_too_large()
        elif length is not None:
            raise Refused(400, "both Content-Length and Transfer-Encoding are given")
        elif request.version == "1.0" or coding.lower() != b"chunked":
            raise Refused(400, "the only transfer coding understood is chunked, in HTTP/1.1")

    def _head_too_large(self) -> Refused:
        return Refused(431, f"the request's head is over {self._limits.head} bytes")

    def _body_too_large(self) -> Refused:
        return Refused(413, f"the request's body is over {self._limits.body} bytes")


def _check_repeated(headers: Headers) -> None:
    """Refuses a second copy of a header that two readers might choose differently."""
    seen = set()
    for name, _ in headers:
        if name in SINGLE or name.startswith(b"mcp-"):
            if name in seen:
                raise Refused(400, f"the header {name.decode('ascii')} is repeated")
            seen.add(name)


def _make_origin_form(request: Request, target: bytes, host: bytes | None) -> None:
    """`GET http://here/path` means `GET /path`, if it names the host that Host names."""
    if target == b"*" and request.method == "OPTIONS":
        return
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or host is None or absolute[1].lower() != host.lower():
        raise Refused(400, "the request's target is neither a path nor on the host of Host")
    request.path = (absolute[2] or b"/").decode("ascii")
    request.query = (absolute[3] or b"").decode("ascii")
