"""What an instance gave out comes back to it, for the same caller and request, and for a while."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.identity import ANONYMOUS, Identity
from mooring.kinds.ref import Ref
from mooring.sessions.affinity import Affinity, Circumstances, Found, fingerprint
from mooring.sessions.ring import Ring
from mooring.testing.clock import FakeClock

NOTES = Ref("MCPServer", "default", "notes")
ASKED = Circumstances(NOTES, ANONYMOUS, "tools/call", fingerprint(b'{"name":"x"}'))
ELSEWHERE = [
    ASKED._replace(server=Ref("MCPServer", "default", "other")),
    ASKED._replace(server=Ref("MCPServer", "team", "notes")),
    ASKED._replace(identity=Identity("i", "s", "c")),
    ASKED._replace(method="prompts/get"),
    ASKED._replace(parameters=fingerprint(b'{"name":"y"}')),
]
KEY, OLD = bytes(32), b"o" * 32


def affinity(*keys: bytes, clock: FakeClock | None = None) -> Affinity:
    return Affinity(Ring(*(keys or (KEY,))), clock or FakeClock())


@given(st.text(max_size=40), st.text(min_size=1, max_size=20))
def test_a_state_comes_back_as_the_bytes_that_were_given(text: str, uid: str) -> None:
    raw = json.dumps(text).encode("utf-8", "replace")
    wrapped = affinity().wrap_state(ASKED, uid, raw)
    assert json.loads(wrapped).isascii()
    assert affinity().unwrap_state(ASKED, wrapped) == Found(uid, raw)


@pytest.mark.parametrize("other", ELSEWHERE)
def test_it_opens_under_no_other_circumstances(other: Circumstances) -> None:
    made = affinity()
    assert made.unwrap_state(other, made.wrap_state(ASKED, "u", b'"s"')) is None
    assert made.unwrap_task(other, made.wrap_task(ASKED, "u", b'"t"')) is None


def test_a_state_and_a_task_are_not_each_other() -> None:
    made = affinity()
    assert made.unwrap_task(ASKED, made.wrap_state(ASKED, "u", b'"s"')) is None
    assert made.unwrap_state(ASKED, made.wrap_task(ASKED, "u", b'"s"')) is None


def test_a_state_is_over_after_fifteen_minutes_and_a_task_is_not(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        made = affinity(clock=clock)
        state, task = made.wrap_state(ASKED, "u", b'"s"'), made.wrap_task(ASKED, "u", b'"t"')
        await clock.advance(899)
        assert made.unwrap_state(ASKED, state) == Found("u", b'"s"')
        await clock.advance(2)
        assert made.unwrap_state(ASKED, state) is None
        assert made.unwrap_task(ASKED, task) == Found("u", b'"t"')

    run(story())


def test_a_task_has_one_name() -> None:
    assert affinity().wrap_task(ASKED, "u", b'"t"') == affinity().wrap_task(ASKED, "u", b'"t"')
    assert affinity().wrap_task(ASKED, "u", b'"t"') != affinity().wrap_task(ASKED, "v", b'"t"')


def test_an_older_key_still_opens_and_an_unknown_one_does_not() -> None:
    state = affinity(OLD).wrap_state(ASKED, "u", b'"s"')
    assert affinity(KEY, OLD).unwrap_state(ASKED, state) == Found("u", b'"s"')
    assert affinity(KEY).unwrap_state(ASKED, state) is None


@pytest.mark.parametrize(
    "raw", [b'""', b'"x"', b'"\xff"', b'"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"']
)
def test_what_was_never_given_is_none(raw: bytes) -> None:
    assert affinity().unwrap_state(ASKED, raw) is None


@given(st.data())
def test_a_changed_state_is_none(data: st.DataObject) -> None:
    wrapped = json.loads(affinity().wrap_state(ASKED, "u", b'"s"'))
    sealed = bytearray(base64.urlsafe_b64decode(wrapped + "=" * (-len(wrapped) % 4)))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    forged = b'"' + base64.urlsafe_b64encode(bytes(sealed)).rstrip(b"=") + b'"'
    assert affinity().unwrap_state(ASKED, forged) is None


@pytest.mark.parametrize(
    "again",
    [
        b'{"name":"x","arguments":{"b":1,"a":[2]}}',
        b'{ "arguments" : {"a":[2], "b": 1}, "name": "x" }',
        b'{"name":"x","arguments":{"b":1,"a":[2]},"requestState":"s","inputResponses":{},"_meta":{}}',
    ],
)
def test_the_same_request_has_the_same_fingerprint_however_it_is_written(again: bytes) -> None:
    assert fingerprint(again) == fingerprint(b'{"name":"x","arguments":{"b":1,"a":[2]}}')


@pytest.mark.parametrize(
    "other", [b'{"name":"x","arguments":{"b":1,"a":[3]}}', b'{"name":"x"}', b""]
)
def test_another_request_has_another_one(other: bytes) -> None:
    assert fingerprint(other) != fingerprint(b'{"name":"x","arguments":{"b":1,"a":[2]}}')
