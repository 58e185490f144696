"""Records of sessions, sealed."""

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.identity import Identity
from mooring.core.session_record import SessionRecord
from mooring.kinds.ref import Ref
from mooring.sessions.records import Records
from mooring.sessions.ring import Ring
from mooring.sessions.seal import SealedSession, Sealer

A, B = b"a" * 32, b"b" * 32
TEXT = st.text(max_size=40)
RECORDS = st.builds(
    SessionRecord,
    server=st.builds(Ref, kind=st.just("MCPServer"), namespace=TEXT, name=TEXT),
    uid=TEXT,
    upstream_id=st.binary(max_size=1024),
    version=TEXT,
    identity=st.builds(Identity, issuer=TEXT, subject=TEXT, client=TEXT),
    expires=st.integers(min_value=0, max_value=2**40),
    initialize=st.binary(max_size=2000),
    generation=st.integers(min_value=0, max_value=2**40),
    capabilities=st.lists(TEXT, max_size=5).map(tuple),
    log_level=TEXT,
    subscriptions=st.lists(TEXT, max_size=5).map(tuple),
)
RECORD = SessionRecord(
    server=Ref("MCPServer", "default", "time"),
    uid="u1",
    upstream_id=b"theirs",
    version="2025-11-25",
    identity=Identity("", "anonymous"),
    expires=1_800_000_000,
    initialize=b'{"capabilities":{"roots":{}},"clientInfo":{"name":"hush"}}',
)
KEY = b"k" * 16


@given(st.binary(max_size=16), RECORDS)
def test_a_sealed_record_opens_as_what_it_was(key: bytes, record: SessionRecord) -> None:
    records = Records(Ring(A))
    assert records.open(key, records.seal(key, record)) == record


def test_a_store_learns_nothing_of_it() -> None:
    value = Records(Ring(A)).seal(KEY, RECORD)
    assert not any(word in value for word in (b"hush", b"theirs", b"time", b"anonymous"))


def test_a_record_under_another_key_does_not_open() -> None:
    records = Records(Ring(A))
    assert records.open(b"other", records.seal(KEY, RECORD)) is None


def test_a_record_of_an_older_key_opens_and_one_of_a_foreign_key_does_not() -> None:
    value = Records(Ring(A)).seal(KEY, RECORD)
    assert Records(Ring(B, A)).open(KEY, value) == RECORD
    assert Records(Ring(B)).open(KEY, value) is None


@given(st.binary(max_size=200))
def test_nonsense_is_no_record(value: bytes) -> None:
    assert Records(Ring(A)).open(KEY, value) is None
    assert (
        Records(Ring(A)).open(KEY, Ring(A).seal(value, b"mooring session record 1 " + KEY)) is None
    )


def test_a_session_id_is_no_record() -> None:
    sealer = Sealer(A)
    told = SealedSession(RECORD.server, "u1", b"t", "v", RECORD.identity, 1)
    value = sealer.ring.seal(sealer.seal(told).encode(), b"mooring session 1")
    assert Records(sealer.ring).open(b"", value) is None


def test_a_record_is_small() -> None:
    assert len(Records(Ring(A)).seal(KEY, RECORD)) < len(RECORD.initialize) + 150
