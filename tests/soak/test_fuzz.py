"""Almost right inputs by the hundred thousand, each compared with what somebody else makes of it.

SECONDS in the environment is how long each of these tests goes on, SEED where it begins.
"""

import asyncio
import contextlib
import json
import os
import random
import time
from collections.abc import Iterator
from typing import Any

import h11
import pytest
from support.mutating import PIECES, REQUESTS, Read, mutated, same, sliced
from support.wire import QUICK, echo, serving

from mooring.core.bridging import renumbered
from mooring.transports.envelope import Envelope, Malformed, peek, splice
from mooring.transports.http_head import Limits, Refused, RequestReader
from mooring.transports.sse import EventSplitter

pytestmark = pytest.mark.soak

SECONDS = float(os.environ.get("SECONDS", "60"))
SEED = int(os.environ.get("SEED", "1"))


def rounds() -> Iterator[random.Random]:
    """A source of chance for each round, until the time is over."""
    ends = time.monotonic() + SECONDS
    seed = SEED * 1_000_000
    while time.monotonic() < ends:
        yield random.Random(seed)
        seed += 1


def test_requests_mean_the_same_to_h11() -> None:
    for source in rounds():
        stream = mutated(source, REQUESTS, PIECES)
        reader = RequestReader(Limits(head=1000, body=500))
        with contextlib.suppress(Refused):
            for piece in sliced(source, stream):
                reader.feed(piece)
        found = [
            Read(r.method, f"{r.path}?{r.query}".rstrip("?"), r.headers, r.body)
            for r in reader.ready
        ]
        assert same(found, stream), stream


def test_the_server_answers_whatever_comes_with_http() -> None:
    """Nothing that a client sends keeps the server from answering the next client."""

    async def answered(stream: bytes) -> None:
        """All that came back is HTTP."""
        judge = h11.Connection(h11.CLIENT)
        while stream:
            judge = h11.Connection(h11.CLIENT)
            judge.send(h11.Request(method="POST", target="/", headers=[("Host", "h")]))
            judge.send(h11.EndOfMessage())
            judge.receive_data(stream)
            while type(judge.next_event()) is not h11.EndOfMessage:
                pass
            stream = judge.trailing_data[0]

    async def story() -> None:
        async with serving(echo, QUICK) as site:
            for source in rounds():
                stream = mutated(source, REQUESTS, PIECES)
                wire = await site.connect()
                site.wires.remove(wire)
                with contextlib.suppress(ConnectionError):
                    for piece in sliced(source, stream):
                        await wire.send(piece)
                    wire.writer.write_eof()
                try:
                    await answered(await wire.end())
                except h11.RemoteProtocolError as error:
                    raise AssertionError(f"{stream!r}: {error}") from error
                await wire.close()
            assert site.server.requests_open == 0
            assert (await site.ask(REQUESTS[0])).status == 200

    asyncio.run(story())


# Streams of events, read one byte at a time by the rules of the standard.

EVENTS = (
    b'event: message\r\ndata: {"id":1}\r\n\r\n', b"id: 7\ndata: a\ndata: b\n\n", b": ping\n\n",
    b"id: 1\ndata: \nretry: 100\n\n", b"data: x\r\r", b"\xef\xbb\xbfdata: y\n\n",
)  # fmt: skip
BITS = (
    b"\n",
    b"\r",
    b"\r\n",
    b":",
    b" ",
    b"data",
    b"id: ",
    b"\0",
    b"\xef\xbb\xbf",
    b"x",
    b"\xc3\xa9",
)


def by_the_byte(stream: bytes) -> list[tuple[bytes, bytes | None]]:
    """Data and id of each block."""
    blocks: list[tuple[bytes, bytes | None]] = []
    line = bytearray()
    data: list[bytes] = []
    id: bytes | None = None
    after_cr = False
    for byte in stream.removeprefix(b"\xef\xbb\xbf"):
        if after_cr and byte == 10:
            after_cr = False
            continue
        after_cr = byte == 13
        if byte not in (10, 13):
            line.append(byte)
            continue
        name, _, value = bytes(line).partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if not line:
            blocks.append((b"\n".join(data), id))
            data, id = [], None
        elif name == b"data":
            data.append(value)
        elif name == b"id" and b"\0" not in value:
            id = value
        line.clear()
    return blocks


def test_events_are_those_of_the_standard() -> None:
    for source in rounds():
        stream = mutated(source, EVENTS, BITS) + b"x"
        splitter = EventSplitter()
        events = [event for piece in sliced(source, stream) for event in splitter.feed(piece)]
        assert [(e.data, e.id) for e in events] == by_the_byte(stream), stream
        assert b"".join(event.raw for event in events) + splitter.pending == stream


# Messages, taken apart by the standard library.

MESSAGES = (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"b":[1]},'
    b'"_meta":{"progressToken":"t"}}}',
    b'{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"\\ud83d"}]}}',
    b'{"result":{},"jsonrpc":"2.0","id":7}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}',
    b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":5}}',
)
SIGNS = (
    b'"', b"\\", b"\\u0069", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"1", b"-", b"0",
    b"1.0", b"null", b'"id":2,', b'"Id":2,', b'"method":"x",', b'"params":{},', b'"name":"b",',
    b'"id" : 3 ,', b'"_meta":{},', b"\xc3\xa9", b"\xff", b"\\ud800", b'\\"', b"\x7f",
)  # fmt: skip


def test_messages_are_understood_as_json_is() -> None:
    for source in rounds():
        body = mutated(source, (source.choice(MESSAGES),), SIGNS)
        found = peek(body)
        if isinstance(found, Malformed):
            continue
        tree = json.loads(body.decode())
        method = tree.get("method", "").encode(errors="replace").decode()
        assert method == found.method, body
        if found.id is not None:
            assert json.loads(found.id) == tree["id"], body
            quick = renumbered(body, found.id, b'"I"')
            assert quick in (None, splice(body, id=b'"I"')), body
        assert spliced_by_tree(tree, found) == json.loads(
            splice(body, id=b'"I"', progress_token=b'"T"', request_id=b'"R"')
        ), body


def spliced_by_tree(tree: dict[str, Any], found: Envelope) -> dict[str, Any]:
    if "id" in tree:
        tree["id"] = "I"
    params = tree.get("params")
    if not isinstance(params, dict):
        return tree
    meta = params.get("_meta")
    for owner, key, new in (
        (params, "progressToken", "T"), (params, "requestId", "R"), (meta, "progressToken", "T"),
    ):  # fmt: skip
        if isinstance(owner, dict) and key in owner:
            owner[key] = new
    return tree
