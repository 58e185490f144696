"""Which instance answers."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.address import Address
from mooring.core.identity import ANONYMOUS, Identity
from mooring.core.load import Load
from mooring.core.routing import Alone, Forward, Opening, Pinned, Reject, route
from mooring.core.table import Entry, Upstream
from mooring.kinds.ref import Ref

NOTES = Ref("MCPServer", "default", "notes")
SOMEBODY = Identity("https://issuer", "somebody")
UIDS = list("abcdef")


def entry(preferred: str = "", last_resort: str = "", out: str = "") -> Entry:
    known = {uid: Upstream(f"notes-{uid}", uid, Address("h", 1, "/")) for uid in UIDS}
    return Entry(
        ref=NOTES,
        paths=("/servers/notes/mcp",),
        upstreams={uid: known[uid] for uid in preferred + last_resort + out},
        preferred=tuple(known[uid] for uid in preferred),
        last_resort=tuple(known[uid] for uid in last_resort),
        phase="Starting",
        sentence="Starting 0/1",
        wanted=1,
        ready=0,
    )


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    places = {uid: draw(st.sampled_from("plon")) for uid in UIDS}
    chosen = ("".join(u for u in UIDS if places[u] == place) for place in "plo")
    return entry(*chosen)


LOADS = st.dictionaries(
    st.sampled_from(UIDS), st.builds(Load, st.integers(0, 5), st.integers(0, 5))
)
TURNS = st.integers(0, 1000)


@given(entries(), st.sampled_from(UIDS), LOADS, TURNS)
def test_a_session_goes_to_its_owner_or_nowhere(
    of: Entry, owner: str, loads: dict[str, Load], turn: int
) -> None:
    answer = route(of, Pinned(NOTES, owner, ANONYMOUS, ANONYMOUS), loads, turn)
    if owner in of.upstreams:
        assert answer == Forward(of.upstreams[owner])
    else:
        assert isinstance(answer, Reject)
        assert (answer.status, answer.reason) == (404, "SessionLost")


@given(entries(), st.sampled_from(UIDS), TURNS)
def test_a_session_of_somebody_else_or_of_another_server_is_unknown(
    of: Entry, owner: str, turn: int
) -> None:
    other = Ref("MCPServer", "team", "notes")
    for ask in (
        Pinned(NOTES, owner, SOMEBODY, ANONYMOUS),
        Pinned(NOTES, owner, ANONYMOUS, SOMEBODY),
        Pinned(other, owner, ANONYMOUS, ANONYMOUS),
    ):
        answer = route(of, ask, {}, turn)
        assert isinstance(answer, Reject)
        assert (answer.status, answer.reason) == (404, "SessionLost")


@given(entries(), LOADS, TURNS)
def test_a_new_session_goes_where_the_fewest_are(
    of: Entry, loads: dict[str, Load], turn: int
) -> None:
    answer = route(of, Opening(), loads, turn)
    if isinstance(answer, Forward):
        assert answer.to in (of.preferred or of.last_resort)
        held = loads.get(answer.to.uid, Load()).sessions
        assert all(held <= loads.get(u.uid, Load()).sessions for u in of.standing)
    else:
        assert not of.preferred
        assert not of.last_resort


@given(entries(), LOADS, TURNS)
def test_a_request_that_stands_alone_goes_where_the_fewest_calls_are(
    of: Entry, loads: dict[str, Load], turn: int
) -> None:
    answer = route(of, Alone(), loads, turn)
    if isinstance(answer, Forward):
        calls = loads.get(answer.to.uid, Load()).calls
        assert all(calls <= loads.get(u.uid, Load()).calls for u in of.standing)


@given(entries(), st.sets(st.sampled_from(UIDS)), TURNS)
def test_who_refused_already_is_not_asked_again(of: Entry, without: set[str], turn: int) -> None:
    answer = route(of, Opening(), {}, turn, without)
    if isinstance(answer, Forward):
        assert answer.to.uid not in without
    else:
        assert {upstream.uid for upstream in of.standing} <= without


def test_ties_rotate() -> None:
    of = entry(preferred="abc")
    answers = [route(of, Opening(), {}, turn) for turn in range(30)]
    counts = Counter(answer.to.uid for answer in answers if isinstance(answer, Forward))
    assert counts == {"a": 10, "b": 10, "c": 10}


def test_the_last_resort_is_for_when_nothing_is_preferred() -> None:
    both = route(entry(preferred="a", last_resort="b"), Opening(), {"a": Load(9, 9)}, 1)
    assert isinstance(both, Forward)
    assert both.to.uid == "a"
    alone = route(entry(last_resort="b", out="c"), Opening(), {}, 1)
    assert isinstance(alone, Forward)
    assert alone.to.uid == "b"


def test_nowhere_to_go_says_what_is_true_of_the_server() -> None:
    message = 'no instance of server "notes" is ready: Starting 0/1'
    assert route(entry(out="a"), Alone(), {}, 0) == Reject(503, "NoReadyInstance", message)
