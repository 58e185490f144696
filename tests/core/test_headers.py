"""What passes up and down."""

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.headers import BOTH, NOSNIFF, downwards, hops, media_type, names_us, upwards

VIA = b"1.1 mooring-7f"
NEVER_UP = [
    b"authorization", b"cookie", b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"host",
    b"proxy-authorization", b"origin", b"connection", b"transfer-encoding", b"te", b"upgrade",
    b"accept-encoding", b"content-length", b"mcp-session-id", b"last-event-id",
]  # fmt: skip
NEVER_DOWN = [
    b"set-cookie", b"access-control-allow-origin", b"content-security-policy", b"server",
    b"mcp-session-id", b"content-length", b"connection", b"location", b"date",
]  # fmt: skip


def test_what_mcp_needs_passes_up() -> None:
    given = (
        (b"content-type", b"application/json"),
        (b"mcp-protocol-version", b"2026-07-28"),
        (b"mcp-method", b"tools/call"),
        (b"mcp-name", b"echo"),
        (b"mcp-param-region", b"eu"),
        (b"traceparent", b"00-0-0-00"),
        (b"user-agent", b"test"),
    )
    assert upwards(given, b"", VIA) == (BOTH, *given, (b"via", VIA))


def test_what_is_not_for_servers_does_not_pass() -> None:
    given = tuple((name, b"x") for name in NEVER_UP)
    assert upwards(given, b"", VIA) == (BOTH, (b"via", VIA))


def test_the_session_id_is_the_upstreams_own() -> None:
    sent = upwards(((b"mcp-session-id", b"ours"),), b"theirs", VIA)
    assert (b"mcp-session-id", b"theirs") in sent
    assert (b"mcp-session-id", b"ours") not in sent


def test_both_types_are_accepted_whatever_the_client_said() -> None:
    for accept in (b"*/*", b"application/json", b"application/json, text/event-stream", b""):
        assert upwards(((b"accept", accept),), b"", VIA)[0] == BOTH
    assert upwards((), b"", VIA)[0] == BOTH


def test_the_order_of_what_the_client_accepts_passes() -> None:
    for accept in (b"text/event-stream", b" Text/Event-Stream;q=1, application/json"):
        sent = upwards(((b"accept", accept),), b"", VIA)
        assert sent[0] == (b"accept", b"text/event-stream, application/json")
        assert BOTH not in sent


def test_our_name_is_added_to_the_proxies_before_us() -> None:
    before = ((b"via", b"1.1 a"), (b"x", b"y"), (b"via", b"1.1 b"))
    path = hops(before, VIA)
    assert path == b"1.1 a, 1.1 b, " + VIA
    assert names_us(path, VIA)
    assert upwards(before, b"", path) == (BOTH, (b"via", path))


def test_another_mooring_is_not_us() -> None:
    assert not names_us(b"1.1 mooring-8e, 1.1 x", VIA)
    assert not names_us(None, VIA)


def test_only_what_is_listed_passes_down() -> None:
    given = tuple((name, b"x") for name in NEVER_DOWN)
    kept = ((b"content-type", b"text/event-stream"), (b"www-authenticate", b"Bearer"))
    assert downwards(given + kept, ((b"a", b"b"),)) == (*kept, NOSNIFF, (b"a", b"b"))


@given(st.binary(max_size=30))
def test_a_media_type_is_lower_case_without_parameters(value: bytes) -> None:
    kind = media_type(value)
    assert b";" not in kind
    assert kind == kind.lower().strip()


def test_no_type_is_empty() -> None:
    assert media_type(None) == b""
