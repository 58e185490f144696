"""Bodies are read once, bounded, and as what they say they are."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from starlette.requests import Request

from mooring.api import bodies
from mooring.api.bodies import body, json_document, one_declared, text
from mooring.api.complaints import Refused
from mooring.errors import Invalid

Run = Callable[[Coroutine[Any, Any, None]], None]


def request(*pieces: bytes, kind: str = "application/json") -> Request:
    async def arriving() -> AsyncIterator[dict[str, Any]]:
        for number, piece in enumerate(pieces, start=1):
            yield {"type": "http.request", "body": piece, "more_body": number < len(pieces)}

    source = arriving()

    async def receive() -> dict[str, Any]:
        return await anext(source)

    headers = [(b"content-type", kind.encode())]
    return Request({"type": "http", "query_string": b"", "headers": headers, "state": {}}, receive)


def test_a_body_in_pieces_is_whole_and_can_be_read_again(run: Run) -> None:
    async def story() -> None:
        asked = request(b'{"a":', b" 1}")
        assert await body(asked) == b'{"a": 1}'
        assert await json_document(asked) == {"a": 1}

    run(story())


def test_a_body_is_refused_as_soon_as_it_is_too_large(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "LIMIT", 4)

    async def story() -> None:
        assert await body(request(b"1234")) == b"1234"
        with pytest.raises(Invalid) as caught:
            await body(request(b"123", b"45", b"never read"))
        assert caught.value.reason == "BodyTooLarge"

    run(story())


def test_text_may_begin_with_a_mark_of_its_encoding(run: Run) -> None:
    async def story() -> None:
        assert await text(request("\ufeffnaïve".encode())) == "naïve"

    run(story())


def test_parameters_of_a_type_do_not_matter(run: Run) -> None:
    async def story() -> None:
        asked = request(b"{}", kind="Application/JSON; charset=utf-8")
        assert await json_document(asked) == {}

    run(story())


def test_one_document_is_one() -> None:
    document = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"
    assert one_declared(document, "default")["metadata"] == {"name": "a"}
    for wrong in ("", f"{document}---\n{document.replace('a}', 'b}')}"):
        with pytest.raises(Refused, match="must be one document, found"):
            one_declared(wrong, "default")
