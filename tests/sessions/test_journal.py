"""What a client has set in its session."""

import json
from typing import Any

import pytest

from mooring.core.identity import ANONYMOUS
from mooring.core.session_record import SessionRecord
from mooring.kinds.ref import Ref
from mooring.sessions.journal import SUBSCRIPTIONS, noted

EMPTY = SessionRecord(
    server=Ref("MCPServer", "default", "notes"),
    uid="u1",
    upstream_id=b"s1",
    version="2025-11-25",
    identity=ANONYMOUS,
    expires=2_000_000_000,
    initialize=b"{}",
)


def after(*told: tuple[str, Any]) -> SessionRecord:
    record = EMPTY
    for method, params in told:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        record = noted(record, json.dumps(request).encode())
    return record


def test_the_level_that_was_set_last_counts() -> None:
    levels = [("logging/setLevel", {"level": level}) for level in ("debug", "error")]
    assert after(*levels).log_level == "error"


def test_subscriptions_come_and_go() -> None:
    record = after(
        ("resources/subscribe", {"uri": "a:1"}),
        ("resources/subscribe", {"uri": "a:2"}),
        ("resources/subscribe", {"uri": "a:1"}),
        ("resources/unsubscribe", {"uri": "a:2"}),
        ("resources/unsubscribe", {"uri": "a:3"}),
    )
    assert record.subscriptions == ("a:1",)


def test_there_is_a_limit_to_them() -> None:
    many = [("resources/subscribe", {"uri": f"a:{n}"}) for n in range(SUBSCRIPTIONS + 5)]
    assert len(after(*many).subscriptions) == SUBSCRIPTIONS


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense",
        b"[" * 5000,
        b"[]",
        b'{"method":"logging/setLevel"}',
        b'{"method":"logging/setLevel","params":{"level":7}}',
        b'{"method":"resources/subscribe","params":[]}',
        b'{"method":"resources/unsubscribe","params":{"uri":"a:1"}}',
    ],
)
def test_what_says_nothing_changes_nothing(request_: bytes) -> None:
    assert noted(EMPTY, request_) is EMPTY
