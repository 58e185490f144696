"""What client and server agree on when a session is opened."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.standin import message

from mooring.gateway.opening import Agreed, negotiated
from mooring.gateway.relay import Answer
from mooring.sessions.open_sessions import Terms

RESULT = b'{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}'
ERROR = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}'


class Pieces:
    """A reply whose body comes in these pieces, or is complete."""

    def __init__(self, kind: bytes, *pieces: bytes, status: int = 200, whole: bool = False):
        self.status = status
        self.headers = ((b"content-type", kind),)
        self.complete = b"".join(pieces) if whole else None
        self._pieces = pieces

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


async def rest(answer: Answer) -> bytes:
    if answer.whole is not None:
        return answer.whole
    assert answer.chunks is not None
    return b"".join([chunk async for chunk in answer.chunks])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("kind", "pieces", "version"),
    [
        (b"application/json", (RESULT,), "2025-06-18"),
        (b"application/json", (RESULT[:9], RESULT[9:]), "2025-06-18"),
        (b"application/json", (ERROR,), None),
        (b"application/json", (b"nonsense",), "asked"),
        (b"text/event-stream", (b"data: " + RESULT + b"\n\n",), "2025-06-18"),
        (b"text/event-stream", (b"id: 1\ndata:\n\n", b"data: ", RESULT, b"\n\n"), "2025-06-18"),
        (b"text/event-stream", (b"data: " + ERROR + b"\n\n",), None),
        (b"text/event-stream", (b'data: {"method":"ping","id":1}\n\n',), "asked"),
        (b"text/event-stream", (b": nothing\n\n",), None),
        (b"text/html", (b"<html>",), None),
    ],
)
def test_the_version_is_read_and_nothing_is_lost(
    run: Any, whole: bool, kind: bytes, pieces: tuple[bytes, ...], version: str | None
) -> None:
    async def story() -> None:
        reply: Any = Pieces(kind, *pieces, whole=whole)
        answer = Answer(reply)
        agreed = await negotiated(answer, "asked")
        assert (agreed and agreed.version) == version
        assert await rest(answer) == b"".join(pieces)

    run(story())


@pytest.mark.parametrize("status", [202 + 98, 400, 401, 404, 500])
def test_an_answer_that_is_no_success_opens_nothing(run: Any, status: int) -> None:
    async def story() -> None:
        reply: Any = Pieces(b"application/json", RESULT, status=status, whole=True)
        assert await negotiated(Answer(reply), "asked") is None

    run(story())


def test_a_server_that_says_something_else_first_is_not_kept_waiting(run: Any) -> None:
    async def story() -> None:
        first = b'data: {"jsonrpc":"2.0","id":1,"method":"ping"}\n\n'
        reply: Any = Pieces(b"text/event-stream", first, b"data: " + RESULT + b"\n\n")
        answer = Answer(reply)
        assert await negotiated(answer, "asked") == Agreed("asked")
        assert answer.whole is None
        assert await rest(answer) == first + b"data: " + RESULT + b"\n\n"

    run(story())


def test_promises_are_kept_in_mind(run: Any) -> None:
    async def story() -> None:
        text = RESULT.replace(b"}}", b',"capabilities":{"tools":{"listChanged":true}}}}')
        reply: Any = Pieces(b"application/json", text, whole=True)
        agreed = await negotiated(Answer(reply), "asked")
        assert agreed == Agreed("2025-06-18", ("tools", "tools.listChanged"))

    run(story())


def test_past_the_limit_of_a_caller_nothing_is_opened(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            w.sessions.terms = Terms(limit=1)
            first = await w.open()
            said = await w.ask(message("initialize", 1, protocolVersion="2025-11-25"))
            assert (said.status, said.reason) == (429, "SessionLimit")
            assert w.standins["notes"][0].opened == 1
            assert (await w.ask(method="DELETE", mcp_session_id=first)).status == 200
            await w.open()

    run(story())
