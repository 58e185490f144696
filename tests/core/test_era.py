"""Eras, and headers that repeat the body."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.era import SESSION_VERSIONS, Era, decoded, era_of, mirrored

MODERN = "2026-07-28"


@pytest.mark.parametrize(
    ("header", "version", "method", "in_session", "era"),
    [
        (None, None, "tools/list", False, "session"),
        (None, None, "initialize", False, "session"),
        (b"2025-11-25", None, "tools/list", True, "session"),
        (b"2026-07-28", MODERN, "tools/list", False, "stateless"),
        (b"2026-07-28", MODERN, "tools/list", True, "stateless"),  # the header wins
        (b"2026-07-28", None, "tools/list", False, "stateless"),
        (b"2026-07-28", None, "initialize", False, "stateless"),
        (b"2027-01-01", "2027-01-01", "tools/list", False, "stateless"),  # the server refuses it
        (b"2025-11-25", MODERN, "tools/call", True, "session"),  # reserved keys in a session
        (b"2026-01-01", None, "tools/list", False, "session"),
        (b"nonsense", None, "tools/list", False, "session"),
        (b"nonsense", "nonsense", "tools/list", False, "stateless"),
        (b"9nonsense", None, "tools/list", False, "session"),
        (None, MODERN, "tools/list", False, "stateless"),  # and then a header is missing
        (None, MODERN, "tools/list", True, "session"),
        (None, MODERN, "initialize", False, "session"),
    ],
)
def test_the_era_of_a_request(
    header: bytes | None, version: str | None, method: str, in_session: bool, era: Era
) -> None:
    assert era_of(header, version, method, in_session) == era


@given(st.sampled_from(sorted(SESSION_VERSIONS)), st.text(), st.text(), st.booleans())
def test_a_version_with_sessions_in_the_header_means_sessions(
    header: bytes, version: str, method: str, in_session: bool
) -> None:
    assert era_of(header, version, method, in_session) == "session"


def headers(**given: str) -> dict[bytes, bytes]:
    told = {"mcp_protocol_version": MODERN, "mcp_method": "tools/call", "mcp_name": "echo"} | given
    return {k.replace("_", "-").encode(): v.encode() for k, v in told.items() if v}


def complaint(method: str = "tools/call", name: str | None = "echo", **given: str) -> str | None:
    return mirrored(headers(**given), method, name, MODERN)


def test_headers_that_agree_pass() -> None:
    assert complaint() is None
    assert complaint("tools/list", None, mcp_method="tools/list", mcp_name="") is None
    assert complaint("tools/list", None, mcp_method="tools/list", mcp_name="whatever") is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mcp_protocol_version": ""}, "Mcp-Protocol-Version header is missing"),
        ({"mcp_protocol_version": "2027-01-01"}, "name different versions"),
        ({"mcp_method": ""}, "Mcp-Method header is missing"),
        ({"mcp_method": "tools/list"}, "Mcp-Method header does not match the body"),
        ({"mcp_method": "Tools/call"}, "Mcp-Method header does not match the body"),
        ({"mcp_name": ""}, "Mcp-Name header is missing"),
        ({"mcp_name": "other"}, "Mcp-Name header does not match the body"),
        ({"mcp_name": "=?base64?????=?="}, "Mcp-Name header does not match the body"),
    ],
)
def test_headers_that_disagree_are_named(given: dict[str, str], words: str) -> None:
    found = complaint(**given)
    assert found is not None
    assert words in found


def test_a_body_without_a_version_is_left_to_the_server() -> None:
    assert mirrored(headers(), "tools/call", "echo", None) is None


@given(st.text())
def test_an_encoded_name_is_compared_decoded(name: str) -> None:
    encoded = base64.b64encode(name.encode("utf-8", "ignore")).decode()
    expected = name.encode("utf-8", "ignore").decode()
    assert decoded(f"=?base64?{encoded}?=".encode()) == expected


@given(st.binary())
def test_decoding_never_fails(value: bytes) -> None:
    found = decoded(value)
    assert found is None or isinstance(found, str)


@pytest.mark.parametrize(
    "value", [b"=?base64?YQ?=", b"=?base64?YR==?=", b"=?base64?/w==?=", b"\xe9"]
)
def test_a_broken_encoding_is_no_value(value: bytes) -> None:
    assert decoded(value) is None
