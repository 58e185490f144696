"""Host, Origin and Sec-Fetch-Site."""

import pytest

from mooring.core.authorities import Authorities, authorities, listed, refused

OURS = authorities(
    8470, hosts=["mcp.example", "Other.example:443"], origins=["https://App.example/"]
)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8470", "localhost:8470", "LOCALHOST:8470", "[::1]:8470", "mcp.example",
        "mcp.example:8470", "other.example:443",
    ],
)  # fmt: skip
def test_our_names_are_answered(host: str) -> None:
    assert refused(OURS, host.encode(), None, None) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1", "localhost", "127.0.0.1:8471", "localhost:8470.evil.example",
        "", "evil.example:8470", "other.example", "localhost.:8470", "127.0.0.1:8470 ",
    ],
)  # fmt: skip
def test_other_names_are_refused_in_words(host: str) -> None:
    words = refused(OURS, host.encode(), None, None)
    assert words is not None
    assert "is not a name of this Mooring" in words


def test_no_host_is_no_name() -> None:
    assert refused(OURS, None, None, None) == "Host (none) is not a name of this Mooring"


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:8470", "http://localhost:8470", "https://app.example"]
)
def test_pages_of_ours_and_listed_ones_may_call(origin: str) -> None:
    assert refused(OURS, b"localhost:8470", origin.encode(), None) is None


@pytest.mark.parametrize(
    "origin",
    [
        "null", "https://evil.example", "http://localhost:3000", "http://127.0.0.1", "",
        "file://localhost:8470", "http://app.example", "https://app.example.evil.example",
    ],
)  # fmt: skip
def test_other_pages_may_not(origin: str) -> None:
    words = refused(OURS, b"localhost:8470", origin.encode(), None)
    assert words is not None
    assert "may not call this Mooring" in words


def test_a_request_from_another_site_is_refused_unless_its_page_is_listed() -> None:
    host = b"localhost:8470"
    assert refused(OURS, host, None, b"cross-site") is not None
    assert refused(OURS, host, b"http://localhost:8470", b"cross-site") is not None
    assert refused(OURS, host, None, b"same-origin") is None
    assert refused(OURS, host, None, b"none") is None
    assert refused(OURS, host, b"https://app.example", b"cross-site") is None


def test_on_port_80_a_host_needs_none() -> None:
    assert refused(authorities(80), b"localhost", None, None) is None


def test_what_is_shown_of_a_foreign_value_is_printable_and_short() -> None:
    words = refused(OURS, b"\x1b[31m" + b"x" * 5000, None, None)
    assert words is not None
    assert words.isprintable()
    assert len(words) < 300


def test_listed_means_configured() -> None:
    assert listed(OURS, b"HTTPS://app.example")
    assert not listed(Authorities(frozenset()), b"https://app.example")
