"""What was read before is not parsed again, and means the same."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.wire import Wire, get, request, scripted, whole

from mooring.transports import http_recall
from mooring.transports.http_head import Limits, Refused, Request, RequestReader
from mooring.transports.http_recall import Recall
from mooring.transports.http_upstream import Pool

Run = Callable[[Coroutine[Any, Any, None]], None]

HEAD = b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n"
PIECES = (
    HEAD + b"{}",
    HEAD + b"[]",
    HEAD,
    b"{}",
    b"\r\n",
    b"\r\n\r\n",
    b"P",
    b"POST /b?c HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    b"GET / HTTP/1.0\r\nhost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\na",
    b"POST / HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    b"no request\r\n\r\n",
)


def told(request: Request) -> tuple[object, ...]:
    return (
        request.method, request.path, request.query, request.headers, request.index,
        request.version, request.keep_alive, request.body,
    )  # fmt: skip


def read(reader: RequestReader, chunks: Sequence[bytes | memoryview]) -> list[object]:
    """The requests and the refusal that a reader makes of these chunks."""
    try:
        for chunk in chunks:
            reader.feed(chunk)
    except Refused as refused:
        return [*map(told, reader.ready), refused.status, refused.message]
    return [*map(told, reader.ready), reader.stage, reader.awaits_continue]


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=3).map(b"".join), max_size=6))
def test_a_reader_that_remembers_reads_what_one_does_that_cannot(chunks: list[bytes]) -> None:
    known: Recall[Request] = Recall()
    for piece in PIECES:
        read(RequestReader(Limits(), known), [piece])
    plainly = read(RequestReader(Limits()), [memoryview(chunk) for chunk in chunks])
    assert read(RequestReader(Limits(), known), chunks) == plainly


def test_a_head_that_comes_again_is_not_parsed_again() -> None:
    known: Recall[Request] = Recall()
    reader = RequestReader(Limits(), known)
    reader.feed(HEAD + b"{}")
    reader.feed(HEAD + b"[]")
    first, second = reader.ready
    assert (first.body, second.body) == (b"{}", b"[]")
    assert second.headers is first.headers


def test_only_a_whole_message_is_known() -> None:
    known: Recall[str] = Recall()
    known.keep(HEAD + b"{}", "it", 2)
    assert known.find(HEAD + b"[]") == ("it", b"[]")
    for other in (HEAD, HEAD + b"[", HEAD + b"[]x", HEAD[:-2], b"x" + HEAD + b"[]", b""):
        assert known.find(other) is None


def test_a_message_with_something_around_it_is_not_kept() -> None:
    known: Recall[str] = Recall()
    for chunk in (HEAD + b"{}x", b"\r\n\r\n" + HEAD + b"{}", b"{}"):
        known.keep(chunk, "it", 2)
        assert known.find(chunk) is None


def test_memory_is_bounded() -> None:
    known: Recall[int] = Recall()
    known.keep(b"x: %b\r\n\r\n" % (b"y" * http_recall._LONGEST), 0, 0)
    assert known.find(b"x: %b\r\n\r\n" % (b"y" * http_recall._LONGEST)) is None
    for number in range(http_recall._MANY + 1):
        known.keep(b"x: %d\r\n\r\n" % number, number, 0)
    assert known.find(b"x: 0\r\n\r\n") is None
    assert known.find(b"x: %d\r\n\r\n" % http_recall._MANY) == (http_recall._MANY, b"")


def test_an_answer_whose_head_came_before_is_read_as_it_comes(on_loop: Run) -> None:
    async def script(wire: Wire) -> None:
        for pieces in ([b"HTTP/1.1 200 X\r\na: b\r\ncontent-length: 3\r\n\r\n", b"cut"],
                       [whole(b"one", 200, b"a: b")], [whole(b"two", 200, b"a: b")],
                       [b"HTTP/1.1 200 X\r\na: b\r\ncontent-length: 3\r\n\r\nt", b"oo"],
                       [b"HTTP/1.1 103 X\r\n\r\n" + whole(b"hey", 200, b"a: b")],
                       [whole(b"end", 404, b"a: b")]):  # fmt: skip
            await request(wire)
            for piece in pieces:
                await wire.send(piece)

    async def story() -> None:
        async with scripted(script) as upstream:
            pool = Pool()
            told = []
            for _ in range(6):
                reply = await get(pool, upstream)
                told.append((reply.status, reply.headers[0], await reply.read(10, 5)))
            a = (b"a", b"b")
            bodies = (b"cut", b"one", b"two", b"too", b"hey")
            assert told == [*((200, a, body) for body in bodies), (404, a, b"end")]
            await pool.close()

    on_loop(story())


def test_an_answer_that_has_no_body_is_not_taken_for_one_that_has(on_loop: Run) -> None:
    async def script(wire: Wire) -> None:
        for body in (b"one", b""):
            await request(wire)
            await wire.send(b"HTTP/1.1 200 X\r\ncontent-length: 3\r\n\r\n" + body)

    async def story() -> None:
        async with scripted(script) as upstream:
            pool = Pool()
            assert await (await get(pool, upstream)).read(10, 5) == b"one"
            head = await pool.send(upstream.address, "HEAD", ())
            assert (head.status, await head.read(10, 5)) == (200, b"")
            await pool.close()

    on_loop(story())
