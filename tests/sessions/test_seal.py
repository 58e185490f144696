"""Sealed session ids."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.identity import ANONYMOUS, Identity
from mooring.errors import Unavailable
from mooring.kinds.ref import Ref
from mooring.sessions.seal import TOKEN_LIMIT, UPSTREAM_ID_LIMIT, SealedSession, Sealer

KEY = bytes(range(32))
TIME = Ref("MCPServer", "default", "time")
SESSION = SealedSession(TIME, "u" * 32, b"s" * 36, "2025-11-25", ANONYMOUS, 1_800_000_000)

TEXT = st.text(max_size=40)
SESSIONS = st.builds(
    SealedSession,
    server=st.builds(Ref, kind=st.just("MCPServer"), namespace=TEXT, name=TEXT),
    uid=TEXT,
    upstream_id=st.binary(max_size=UPSTREAM_ID_LIMIT),
    version=TEXT,
    identity=st.builds(Identity, issuer=TEXT, subject=TEXT, client=TEXT),
    expires=st.integers(min_value=0, max_value=2**40),
)


@given(SESSIONS)
def test_what_was_sealed_opens_as_what_it_was(session: SealedSession) -> None:
    sealer = Sealer(KEY)
    id = sealer.seal(session)
    assert sealer.open(id) == session
    assert re.fullmatch(r"[A-Za-z0-9_-]+", id)


@given(SESSIONS, st.data())
def test_a_changed_id_opens_for_nobody(session: SealedSession, data: st.DataObject) -> None:
    sealer = Sealer(KEY)
    id = sealer.seal(session)
    at = data.draw(st.integers(0, len(id) - 1))
    other = data.draw(st.characters().filter(lambda c: c != id[at]))
    assert sealer.open(id[:at] + other + id[at + 1 :]) is None
    assert sealer.open(id[:at]) is None
    assert sealer.open(id + other) is None


@given(st.text(max_size=300))
def test_nonsense_opens_for_nobody(text: str) -> None:
    assert Sealer(KEY).open(text) is None


@given(SESSIONS)
def test_an_id_has_one_spelling(session: SealedSession) -> None:
    sealer = Sealer(KEY)
    id = sealer.seal(session)
    usual = id.replace("-", "+").replace("_", "/")
    padded = [id + "=" * count for count in (1, 2, 3, 4)]
    for other in (*padded, id + "\n", " " + id, id[:5] + " " + id[5:], id + "é"):
        assert sealer.open(other) is None
    assert usual == id or sealer.open(usual) is None


def test_an_id_of_another_installation_does_not_open() -> None:
    assert Sealer(KEY).open(Sealer(bytes(32)).seal(SESSION)) is None


@given(SESSIONS, st.integers(0, 3))
def test_an_id_that_an_older_key_sealed_opens(session: SealedSession, number: int) -> None:
    keys = [bytes([n]) * 32 for n in range(4)]
    id = Sealer(keys[number]).seal(session)
    assert Sealer(*keys).open(id) == session
    assert Sealer(*keys[:number], KEY).open(id) is None


def test_an_oversized_id_does_not_open() -> None:
    assert Sealer(KEY).open("A" * (TOKEN_LIMIT + 1)) is None


def test_an_id_is_short() -> None:
    longest = SESSION._replace(server=Ref("MCPServer", "default", "n" * 40), uid="u" * 36)
    assert len(Sealer(KEY).seal(longest)) < 300


def test_two_ids_of_one_session_differ() -> None:
    sealer = Sealer(KEY)
    assert sealer.seal(SESSION) != sealer.seal(SESSION)


def test_a_session_id_of_the_upstream_may_have_a_kibibyte_and_no_more() -> None:
    sealer = Sealer(KEY)
    id = sealer.seal(SESSION._replace(upstream_id=b"x" * UPSTREAM_ID_LIMIT))
    assert sealer.open(id) is not None
    with pytest.raises(Unavailable) as caught:
        sealer.seal(SESSION._replace(upstream_id=b"x" * (UPSTREAM_ID_LIMIT + 1)))
    assert (caught.value.reason, caught.value.status) == ("UpstreamSessionIdTooLong", 502)


def test_the_fingerprint_names_the_key_and_does_not_show_it() -> None:
    assert Sealer(KEY).fingerprint == Sealer(KEY).fingerprint != Sealer(bytes(32)).fingerprint
    assert KEY.hex()[:8] not in Sealer(KEY).fingerprint


def test_opening_costs_microseconds() -> None:
    sealer = Sealer(KEY)
    id = sealer.seal(SESSION)
    best = 1.0
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(100):
            sealer.open(id)
        best = min(best, (time.perf_counter() - began) / 100)
    assert best < 20e-6  # 4 µs on a quiet machine
