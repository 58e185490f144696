"""The form of our own refusals."""

import json
from typing import Any

import pytest

from mooring.core.identity import ANONYMOUS
from mooring.gateway.call import Call, refusal
from mooring.transports.envelope import Envelope, peek
from mooring.transports.http_head import Request


class Taken:
    """An exchange that keeps what it was answered."""

    def __init__(self, method: str = "POST") -> None:
        self.request = Request(method, "/servers/x/mcp", ())
        self.answer: tuple[int, Any, bytes] | None = None

    def respond(self, status: int, headers: Any, body: bytes = b"") -> None:
        self.answer = (status, headers, body)


def refused(status: int, body: bytes = b"", era: Any = "session", **more: Any) -> tuple[int, Any]:
    exchange: Any = Taken("POST" if body else "GET")
    call = Call(exchange, ANONYMOUS)
    call.era = era
    if body:
        message = peek(body)
        assert isinstance(message, Envelope)
        call.message = message
    call.refuse(status, "NoReadyInstance", "words", **more)
    got, _, said = exchange.answer
    return got, json.loads(said) if said else None


CALL = b'{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{}}'
OPEN = CALL.replace(b"tools/call", b"initialize")
NOTE = b'{"jsonrpc":"2.0","method":"notifications/x"}'
ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{}}'


@pytest.mark.parametrize(
    ("status", "body", "era", "shown"),
    [
        (503, CALL, "session", 200),
        (504, CALL, "session", 200),
        (429, CALL, "session", 200),
        (404, CALL, "session", 404),
        (403, CALL, "session", 403),
        (503, CALL, "stateless", 503),
        (503, OPEN, "session", 503),
        (503, b"", "session", 503),
        (503, NOTE, "session", 202),
        (503, ANSWER, "session", 202),
        (404, NOTE, "session", 404),
    ],
)
def test_5xx_is_kept_from_clients_inside_a_session(
    status: int, body: bytes, era: str, shown: int
) -> None:
    got, said = refused(status, body, era)
    assert got == shown
    if said is not None:
        assert said["error"]["data"]["reason"] == "NoReadyInstance"
        assert said["error"]["message"] == "words"
        assert said["id"] == ("a" if body in (CALL, OPEN) else None)


def test_more_can_be_said() -> None:
    _, said = refused(400, CALL, supported=["x"])
    assert said["error"]["data"] == {"reason": "NoReadyInstance", "supported": ["x"]}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (413, "BodyTooLarge"),
        (431, "HeadTooLarge"),
        (400, "BadRequest"),
        (503, "TooManyConnections"),
    ],
)
def test_what_the_http_server_refuses_is_worded_alike(status: int, reason: str) -> None:
    headers, body = refusal(status, "words")
    assert dict(headers)[b"content-type"] == b"application/json"
    told = json.loads(body)
    assert (told["id"], told["error"]["data"]["reason"]) == (None, reason)
