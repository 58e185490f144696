"""Which requests are understood, and how the others are refused."""

import random
from itertools import pairwise

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.mutating import PIECES, REQUESTS, Read, mutated, same, sliced

from mooring.transports.http_head import Limits, Refused, Request, RequestReader, Stage

POST = b"POST /mcp?x=1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
SMALL = Limits(head=1000, body=100)


def read(*pieces: bytes, limits: Limits = SMALL) -> list[Request]:
    reader = RequestReader(limits)
    for piece in pieces:
        reader.feed(piece)
    return reader.ready


def refusal(*pieces: bytes, limits: Limits = SMALL) -> int:
    with pytest.raises(Refused) as caught:
        read(*pieces, limits=limits)
    assert caught.value.message
    return caught.value.status


# What is understood.


def test_a_request_with_a_body() -> None:
    (request,) = read(POST + b"Content-Length: 2\r\nX-A:  b \r\n\r\n{}")
    assert (request.method, request.path, request.query) == ("POST", "/mcp", "x=1")
    assert request.body == b"{}"
    assert request.headers[-1] == (b"x-a", b"b")
    assert request.header(b"host") == b"a"
    assert request.header(b"x-b") is None


def test_a_path_stays_as_it_was_sent() -> None:
    (request,) = read(b"GET /a%2Fb//../c%00?q=%20?r HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (request.path, request.query) == ("/a%2Fb//../c%00", "q=%20?r")


def test_of_repeated_headers_the_first_is_found_and_all_are_kept() -> None:
    (request,) = read(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\n\r\n")
    assert request.header(b"x-a") == b"1"
    assert request.headers == ((b"host", b"a"), (b"x-a", b"1"), (b"x-a", b"2"))


def test_a_chunked_body_is_put_together_and_trailers_are_left_out() -> None:
    (request,) = read(
        POST + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
    )
    assert request.body == b"abcde"
    assert request.header(b"x-t") is None


def test_requests_may_follow_each_other() -> None:
    stream = POST + b"Content-Length: 1\r\n\r\n1" + b"GET /2 HTTP/1.1\r\nHost: b\r\n\r\n"
    assert [(r.path, r.body) for r in read(stream + stream)] == [
        ("/mcp", b"1"),
        ("/2", b""),
        ("/mcp", b"1"),
        ("/2", b""),
    ]


def test_blank_lines_before_a_request_are_passed_over() -> None:
    assert len(read(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")) == 1


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_who_keeps_the_connection(head: bytes, keeps: bool) -> None:
    assert read(head)[0].keep_alive is keeps


def test_what_follows_a_last_request_is_nothing() -> None:
    last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert len(read(last + b"GET / HTTP/1.1\r\n")) == 1


@pytest.mark.parametrize("target", [b"http://a/x?y", b"HTTP://A/x?y", b"https://a/x?y"])
def test_a_target_with_the_host_of_host_is_a_path(target: bytes) -> None:
    (request,) = read(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (request.path, request.query) == ("/x", "y")


def test_a_target_without_a_path_is_the_root() -> None:
    assert read(b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n")[0].path == "/"
    assert read(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")[0].path == "*"


def test_a_body_that_is_waited_for_is_told_once() -> None:
    reader = RequestReader(SMALL)
    reader.feed(POST + b"Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
    assert reader.awaits_continue
    assert reader.stage is Stage.BODY
    reader.feed(b"{}")
    assert not reader.awaits_continue
    reader.feed(POST + b"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n")
    assert not reader.awaits_continue


def test_http_1_0_knows_no_expectations() -> None:
    head = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    reader = RequestReader(SMALL)
    reader.feed(head)
    assert not reader.awaits_continue


# Upgrades, which are not given.

UPGRADE = POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"],
)
def test_a_request_that_asks_for_http_2_is_read_with_its_body(body: bytes) -> None:
    stream = UPGRADE + body + NEXT
    for cut in range(1, len(stream)):
        first, second = read(stream[:cut], stream[cut:])
        assert (first.path, first.body, second.path) == ("/mcp", b"{}", "/next")
        assert first.header(b"upgrade") == b"h2c"


def test_an_upgrade_without_a_body_is_a_request() -> None:
    get = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert [r.path for r in read(get + NEXT)] == ["/a", "/next"]
    assert [r.path for r in read(get, NEXT, get)] == ["/a", "/next", "/a"]


def test_the_body_of_an_upgrade_is_bounded_too() -> None:
    assert refusal(UPGRADE + b"Content-Length: 101\r\n\r\n") == 413
    chunk = b"Transfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101
    assert refusal(UPGRADE + chunk) == 413
    assert refusal(UPGRADE + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n") == 400


# What is refused.


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
        b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n",
        b"Content-Length: 2, 2\r\n\r\n",
        b"Content-Length: +2\r\n\r\n",
        b"Content-Length: 0x2\r\n\r\n",
        b"Content-Length: \r\n\r\n",
        b"Content-Length: 99999999999999999999\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        b"Transfer-Encoding: chunked, gzip\r\n\r\n",
        b"Transfer-Encoding: identity\r\n\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n 2\r\nab\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        b"Host: b\r\n\r\n",
        b"Content-Type: application/json\r\n\r\n",
        b"Authorization: a\r\nauthorization: a\r\n\r\n",
        b"Origin: a\r\nORIGIN: b\r\n\r\n",
        b"Mcp-Session-Id: a\r\nMCP-Session-Id: a\r\n\r\n",
        b"Mcp-Param-X: a\r\nMcp-Param-X: a\r\n\r\n",
        b"X: a\rb\r\n\r\n",
        b"X: a\nb: c\r\n\r\n",
        b"X: a\0b\r\n\r\n",
        b"X: a\x7fb\r\n\r\n",
        b"X: a\r\n folded\r\n\r\n",
        b"X : a\r\n\r\n",
        b" X: a\r\n\r\n",
        b": a\r\n\r\n",
        b"X\r\n\r\n",
        b"X(: a\r\n\r\n",
        b"X\xc3\xa4: a\r\n\r\n",
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_refused(rest: bytes) -> None:
    assert refusal(POST + rest) == 400


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /\r\n", 505),
        (b"GET / HTTP/2.0\r\n", 505),
        (b"GET / HTTP/1.2\r\n", 400),
        (b"GET / HTTQ/1.1\r\n", 400),
        (b"get / HTTP/1.1\r\n", 400),
        (b"FROB / HTTP/1.1\r\n", 400),
        (b"TRACE / HTTP/1.1\r\n", 501),
        (b"CONNECT a:1 HTTP/1.1\r\n", 501),
        (b"GET /a b HTTP/1.1\r\n", 400),
        (b"GET /\xc3\xa4 HTTP/1.1\r\n", 400),
        (b"GET /a#b HTTP/1.1\r\n", 400),
        (b"GET a HTTP/1.1\r\n", 400),
        (b"GET * HTTP/1.1\r\n", 400),
        (b"GET http://b/ HTTP/1.1\r\n", 400),
        (b"GET http://a@b/ HTTP/1.1\r\n", 400),
        (b"GET ftp://a/ HTTP/1.1\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    ],
)
def test_a_request_line_that_is_not_ours_is_refused(line: bytes, status: int) -> None:
    assert refusal(line + b"Host: a\r\n\r\n") == status


def test_http_1_1_needs_a_host_and_1_0_does_not() -> None:
    assert refusal(b"GET / HTTP/1.1\r\n\r\n") == 400
    assert len(read(b"GET / HTTP/1.0\r\n\r\n")) == 1
    assert refusal(b"GET http://a/ HTTP/1.0\r\n\r\n") == 400


def test_http_1_0_has_no_chunks() -> None:
    assert refusal(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400


def test_other_expectations_are_not_met() -> None:
    assert refusal(POST + b"Expect: miracles\r\nContent-Length: 2\r\n\r\n") == 417


def test_requests_before_a_bad_one_are_kept() -> None:
    reader = RequestReader(SMALL)
    with pytest.raises(Refused):
        reader.feed(NEXT + b"nonsense\r\n\r\n")
    assert [r.path for r in reader.ready] == ["/next"]


# Bounds.


def test_a_head_is_bounded_whether_it_ends_or_not() -> None:
    header = b"X: " + b"a" * 1000 + b"\r\n"
    assert refusal(POST + header) == 431
    assert refusal(POST + header + b"\r\n") == 431
    assert refusal(*(bytes([byte]) for byte in POST + header)) == 431
    assert refusal(b"GET /" + b"a" * 1000) == 431
    assert refusal(b"\r\n" * 20 + b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\nHost: a\r\n\r\n") == 431


def test_a_body_may_come_with_a_head_that_is_within_its_bound() -> None:
    limits = Limits(head=200, body=1000)
    (request,) = read(POST + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000, limits=limits)
    assert len(request.body) == 1000


def test_a_body_is_refused_when_it_is_announced() -> None:
    assert refusal(POST + b"Content-Length: 101\r\n\r\n") == 413
    assert read(POST + b"Content-Length: 100\r\n\r\n" + b"x" * 100)[0].body == b"x" * 100


def test_a_chunked_body_is_refused_when_it_passes_the_bound() -> None:
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert refusal(head, *[b"5\r\n12345\r\n"] * 21) == 413
    assert refusal(head + b"65\r\n" + b"x" * 101) == 413


def test_what_is_not_content_is_bounded_too() -> None:
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert refusal(head, b"1;" + b"x" * 500, b"x" * 500) == 413
    assert refusal(head, b"1\r\na\r\n0\r\n", b"T: " + b"x" * 500, b"x" * 600) == 413
    assert refusal(head, *[b"1;" + b"x" * 100 + b"\r\na\r\n"] * 20) == 413


# Against h11.

NAMES = st.sampled_from(["X-A", "accept", "Mcp-Session-Id", "User-Agent", "x-%"])
VALUES = st.text(
    st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=8
)
CUTS = st.lists(st.integers(0, 10_000), max_size=5)


def slices(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def spoken(request: h11.Request, chunks: list[bytes]) -> bytes:
    client = h11.Connection(h11.CLIENT)
    parts = [request, *(h11.Data(data=chunk) for chunk in chunks), h11.EndOfMessage()]
    return b"".join(client.send(part) or b"" for part in parts)


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple[h11.Request, list[bytes]]]:
    return [draw(sent()) for _ in range(draw(st.integers(1, 3)))]


@st.composite
def sent(draw: st.DrawFn) -> tuple[h11.Request, list[bytes]]:
    method = draw(st.sampled_from(["GET", "POST", "DELETE"]))
    chunks = draw(st.lists(st.binary(min_size=1, max_size=30), max_size=3))
    headers = [("Host", "h")]
    for name in draw(st.lists(NAMES, unique=True, max_size=4)):
        headers.append((name, draw(VALUES)))
    if draw(st.booleans()):
        headers.append(("Transfer-Encoding", "chunked"))
    else:
        headers.append(("Content-Length", str(sum(map(len, chunks)))))
    target = draw(st.sampled_from(["/", "/a?b", "/servers/x/mcp"]))
    latin = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return h11.Request(method=method, target=target, headers=latin), chunks


@settings(deadline=None, max_examples=60)
@given(conversations(), CUTS)
@example([(h11.Request(method="GET", target="/", headers=[("Host", "h")]), [])], [1, 2, 3])
def test_what_h11_sends_is_understood_in_any_slices(
    conversation: list[tuple[h11.Request, list[bytes]]], cuts: list[int]
) -> None:
    stream = b"".join(spoken(request, chunks) for request, chunks in conversation)
    found = read(*slices(stream, cuts))
    assert [
        (r.method, f"{r.path}?{r.query}".rstrip("?"), list(r.headers), r.body) for r in found
    ] == [
        (
            request.method.decode(),
            request.target.decode(),
            [(name, value.strip(b" \t")) for name, value in request.headers],
            b"".join(chunks),
        )
        for request, chunks in conversation
    ]


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=40), st.integers(0, 120), CUTS)
def test_noise_is_refused_and_nothing_else_happens(noise: bytes, at: int, cuts: list[int]) -> None:
    good = POST + b"Content-Length: 2\r\n\r\n{}"
    stream = good[:at] + noise + good[at:]
    outcomes = []
    for pieces in ([stream], slices(stream, cuts)):
        reader = RequestReader(SMALL)
        try:
            for piece in pieces:
                reader.feed(piece)
        except Refused as refused:
            outcomes.append(refused.status)
        else:
            outcomes.append(len(reader.ready))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("seed", range(8))
def test_what_is_accepted_means_the_same_to_another_reader(seed: int) -> None:
    """Requests that are almost right are refused, or understood as h11 understands them."""
    source = random.Random(seed)
    accepted = 0
    for _ in range(500):
        stream = mutated(source, REQUESTS, PIECES)
        reader = RequestReader(SMALL)
        try:
            for piece in sliced(source, stream):
                reader.feed(piece)
        except Refused:
            pass  # what came before it counts all the same
        found = [
            Read(r.method, f"{r.path}?{r.query}".rstrip("?"), r.headers, r.body)
            for r in reader.ready
        ]
        assert same(found, stream), stream
        accepted += len(found)
    assert accepted > 100
