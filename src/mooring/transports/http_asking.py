"""One connection to an upstream, asked one request after the other.

It may be used again when an answer has come to its proper end and nothing else has come.
What an upstream sends is parsed strictly (RFC 9112 section 6.3), since where one answer ends
decides whose the next one is.
"""

import asyncio
import select
from typing import Final, Protocol, cast

import httptools

from mooring.errors import Unavailable
from mooring.transports.http_head import Headers
from mooring.transports.http_recall import Recall
from mooring.transports.http_reply import HIGH, Reply
from mooring.transports.outlet import Outlet

_ENDS_OF_BODY: Final = (b"content-length", b"transfer-encoding")


class Stale(Exception):
    """The connection had ended before a byte of an answer came."""

    def __init__(self, sent: bool) -> None:
        super().__init__()
        self.sent = sent
        """Whether the request may have reached the upstream."""


Head = tuple[int, Headers]
"""Status and headers."""


class Home(Protocol):
    """Where a connection comes from, and goes back to."""

    known: Recall[Head]
    """Heads of answers."""

    def made(self, connection: "UpstreamConnection") -> None:
        """It is open."""
        ...

    def freed(self, connection: "UpstreamConnection") -> None:
        """It can be asked again."""
        ...

    def lost(self, connection: "UpstreamConnection") -> None:
        """It is closed."""
        ...


class Hearer(Protocol):
    """Who waits for the head of an answer. Hears one of these, once."""

    def hear(self, reply: Reply) -> None:
        """The head is there, and maybe all of the answer."""
        ...

    def fail(self, error: Stale | Unavailable) -> None:
        """It will never be there."""
        ...


class _Promise:
    """Waits in a coroutine."""

    __slots__ = ("future",)

    def __init__(self, future: "asyncio.Future[Reply]") -> None:
        self.future = future

    def hear(self, reply: Reply) -> None:
        if not self.future.done():
            self.future.set_result(reply)

    def fail(self, error: Stale | Unavailable) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class UpstreamConnection(asyncio.Protocol):
    """One connection; also the `Source` of its replies."""

    __slots__ = (
        "_bare",
        "_finished",
        "_head_limit",
        "_headers",
        "_heard",
        "_hearer",
        "_home",
        "_lasting",
        "_loop",
        "_outlet",
        "_parser",
        "_poll",
        "_reading",
        "_reply",
        "_size",
        "_to_the_end",
        "_transport",
        "_where",
        "asked",
        "deadline",
        "idle_since",
    )

    def __init__(self, where: str, head_limit: int, home: Home) -> None:
        self._where = where
        self._head_limit = head_limit
        self._home = home
        self._loop = asyncio.get_running_loop()  # to ask for it each time is a system call
        self._parser = httptools.HttpResponseParser(self)
        self._transport = cast(asyncio.Transport, None)  # until connection_made
        self._outlet = cast(Outlet, None)
        self._poll = select.poll()
        self._headers: list[tuple[bytes, bytes]] = []
        self._reply: Reply | None = None
        self._hearer: Hearer | None = None
        """Whoever waits for the head."""
        self._size = 0
        self._heard = False
        self._bare = False
        self._finished = False
        self._lasting = False
        self._to_the_end = False
        """The body ends where the connection does."""
        self._reading = True
        self.asked = False
        """Whether a request was ever sent on this connection."""
        self.deadline = 0.0
        """When to give up waiting for the head of an answer, in the loop's time."""
        self.idle_since = 0.0

    async def ask(self, request: bytes, *, bare: bool) -> Reply:
        """Sends a request and waits for the head of its answer.

        `bare`: the answer has no body, whatever its head says (HEAD). Raises Stale, or
        Unavailable. Given up, the connection is closed.
        """
        promise = _Promise(self._loop.create_future())
        self.begin(request, promise, bare=bare)
        reply = self._reply
        try:
            return await promise.future  # the pool's sweep sees to the deadline
        except BaseException:
            if self._reply is reply:  # else the connection may be another request's by now
                self.abort()
            raise

    def begin(self, request: bytes, hearer: Hearer, *, bare: bool) -> None:
        """The same, for whoever does not wait in a coroutine. Raises Stale, where not sent.

        It hears when the connection is done with the answer for now, which may be free by then.
        """
        if self._transport.is_closing():
            raise Stale(sent=False)
        self.asked = True
        self._bare = bare
        self._heard = self._finished = self._lasting = self._to_the_end = False
        self._size = 0
        self._reply = Reply(self)
        self._hearer = hearer
        self._outlet.write(request)

    @property
    def quiet(self) -> bool:
        """Whether nothing, not even its end, waits to be read from the socket."""
        return not self._transport.is_closing() and not self._poll.poll(0)

    def read_on(self) -> None:
        """The reader of the reply has caught up."""
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def abort(self) -> None:
        """Closes the connection at once."""
        self._transport.abort()

    def expire(self, now: float) -> None:
        """Ends the wait for a head whose time has passed."""
        if self._hearer is not None and now >= self.deadline:
            hearer, self._hearer = self._hearer, None
            self.abort()
            what = f"{self._where} did not begin to answer in time"
            hearer.fail(Unavailable("UpstreamTimeout", what))

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._outlet = Outlet(self._transport)
        sock = transport.get_extra_info("socket")
        self._poll.register(sock.fileno(), select.POLLIN | select.POLLRDHUP)
        self._home.made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(exc)
        self._home.lost(self)

    def eof_received(self) -> None:
        self._lose(None)

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:
            self.abort()  # nothing was asked
            return
        fresh = not self._heard and not self._bare
        self._heard = True
        hearer = self._hearer
        if fresh and hearer is not None and self._recall(reply, data):
            self._free()
            hearer.hear(reply)
            return
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._lasting = False
            if not self._finished:
                self._break(f"{self._where} did not send an HTTP/1.1 answer: {error}")
                return
        if hearer is not None and not reply.status:
            hearer = None
            if self._size > self._head_limit:
                self._break(self._too_long())
                return
        elif hearer is not None:
            self._hearer = None
            if self._finished:
                reply.gather()
        self._settle(reply, data, fresh=fresh)
        if hearer is not None:
            hearer.hear(reply)

    def _recall(self, reply: Reply, data: bytes) -> bool:
        """Takes a whole answer whose head came before; False where it is none."""
        known = self._home.known.find(data)
        if known is None:
            return False
        reply.take(known[0], known[1])
        self._finished = self._lasting = True
        self._hearer = None
        return True

    def _settle(self, reply: Reply, data: bytes, *, fresh: bool) -> None:
        """After something of an answer was read: is it whole, or is there too much of it?"""
        if self._finished:
            if fresh and self._lasting:
                self._remember(reply, data)
            self._free()
        elif reply.buffered > HIGH and self._reading:
            self._reading = False
            self._transport.pause_reading()

    def _remember(self, reply: Reply, data: bytes) -> None:
        """Keeps the head of an answer that came whole and said how long it is."""
        if reply.complete is not None and reply.header(b"transfer-encoding") is None:
            self._home.known.keep(data, (reply.status, reply.headers), len(reply.complete))

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._finished:
            self._lasting = False  # another answer than the one that was asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        headers = tuple(self._headers)
        self._headers.clear()
        status = self._parser.get_status_code()
        reply = self._reply
        if status < 200 or self._finished or reply is None:
            return
        if self._size > self._head_limit:
            self._check_size(headers)
        self._lasting = self._parser.should_keep_alive()
        for name, value in headers:
            if name == b"transfer-encoding" and value.lower() != b"chunked":
                raise ValueError("the only transfer coding understood is chunked")
        if not self._lasting:
            self._to_the_end = not any(name in _ENDS_OF_BODY for name, _ in headers)
        reply.status = status
        reply.headers = headers
        if self._bare:
            self._lasting = False  # the parser waits for a body that does not come
            self._end()

    def _check_size(self, headers: Headers) -> None:
        if sum(len(name) + len(value) + 4 for name, value in headers) > self._head_limit:
            raise ValueError(self._too_long())

    def on_body(self, part: bytes) -> None:
        if self._reply is not None and not self._finished:
            self._reply.push(part)

    def on_message_complete(self) -> None:
        self._headers.clear()  # trailers
        if self._reply is not None and self._reply.status and not self._finished:
            self._end()

    # Ends.

    def _end(self) -> None:
        self._finished = True
        if self._reply is not None:
            self._reply.end()

    def _free(self) -> None:
        """The answer is complete: back to the pool, if nothing speaks against it."""
        self._reply = None
        transport = self._transport
        if self._lasting and not transport.is_closing() and not transport.get_write_buffer_size():
            self.read_on()
            self._home.freed(self)
        else:
            self.abort()

    def _too_long(self) -> str:
        return f"the head of the answer of {self._where} is over {self._head_limit} bytes"

    def _break(self, message: str) -> None:
        self._fail(Unavailable("UpstreamMalformed", message))
        self.abort()

    def _lose(self, error: Exception | None) -> None:
        reply = self._reply
        if reply is None or self._finished:
            return
        if self._to_the_end and reply.status and error is None:
            self._end()
            self._reply = None
            return
        how = f"was lost ({error})" if error else "ended"
        what = f"the connection to {self._where} {how} before its answer was complete"
        self._fail(Unavailable("UpstreamReset", what), Stale(sent=True))

    def _fail(self, error: Unavailable, unheard: Stale | None = None) -> None:
        """Whoever waits hears it; `unheard` instead where nothing has come at all."""
        reply, self._reply = self._reply, None
        hearer, self._hearer = self._hearer, None
        if reply is not None:
            reply.fail(error)
        if hearer is not None:
            hearer.fail(error if self._heard or unheard is None else unheard)
