"""Headers that a client of the stateless era sends, against the rule that checks them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.era import decoded, mirrored
from mooring.core.mirroring import disagreement, encoded, parameters, standard, wishes

NAMES = st.text(st.characters(codec="utf-8"), max_size=30)


@given(NAMES)
def test_what_is_encoded_decodes(text: str) -> None:
    value = encoded(text)
    assert decoded(value) == text
    assert value.isascii()
    assert value == value.strip()


@given(st.sampled_from(["tools/call", "prompts/get"]), NAMES)
def test_headers_that_we_send_are_headers_that_we_accept(method: str, name: str) -> None:
    headers = dict(standard(method, {"name": name}))
    assert mirrored(headers, method, name, "2026-07-28") is None


def test_a_resource_is_named_by_its_uri() -> None:
    headers = dict(standard("resources/read", {"uri": "note://a", "name": "x"}))
    assert headers[b"mcp-name"] == b"note://a"


def test_a_list_has_no_name() -> None:
    assert b"mcp-name" not in dict(standard("tools/list", {"name": "x"}))


SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        "n": {"type": "integer", "x-mcp-header": "N"},
        "plain": {"type": "string"},
        "deep": {"properties": {"zone": {"type": "string", "x-mcp-header": "Zone"}}},
    },
}


def test_arguments_are_repeated_where_the_schema_wants_it() -> None:
    arguments = {"region": "us-wést", "dry": True, "n": 3, "plain": "x", "deep": {"zone": "b"}}
    assert dict(parameters(SCHEMA, arguments)) == {
        b"mcp-param-region": b"=?base64?dXMtd8Opc3Q=?=",
        b"mcp-param-dry": b"true",
        b"mcp-param-n": b"3",
        b"mcp-param-zone": b"b",
    }


@pytest.mark.parametrize("arguments", [{}, {"region": None}, {"region": ["a"]}, None, "text"])
def test_what_is_absent_or_no_scalar_is_not(arguments: Any) -> None:
    assert parameters(SCHEMA, arguments) == ()


@pytest.mark.parametrize("schema", [None, True, {}, {"properties": []}, {"properties": {"a": 1}}])
def test_a_schema_without_wishes_has_none(schema: Any) -> None:
    assert parameters(schema, {"a": "b"}) == ()


def complaint(arguments: Any, **headers: bytes) -> str | None:
    given = {f"mcp-param-{name}".encode(): value for name, value in headers.items()}
    return disagreement(wishes(SCHEMA), arguments, given)


def test_headers_that_a_tool_wants_are_accepted_as_we_send_them() -> None:
    for arguments in ({}, {"region": " us-wést", "dry": False, "n": -3, "deep": {"zone": ""}}):
        headers = dict(parameters(SCHEMA, arguments))
        assert disagreement(wishes(SCHEMA), arguments, headers) is None


@pytest.mark.parametrize(
    ("value", "header"),
    [
        ("SGVsbG8=", b"SGVsbG8="),
        ("Hello", b"=?base64?SGVsbG8=?="),
        ("=?base64?SGVsbG8=", b"=?base64?SGVsbG8="),
    ],
)
def test_only_what_is_marked_as_encoded_is_decoded(value: str, header: bytes) -> None:
    assert complaint({"region": value}, region=header) is None


@pytest.mark.parametrize("header", [b"=?base64?SGVsbG8?=", b"=?base64?SGVs!!!bG8=?=", b"hello"])
def test_a_header_that_says_something_else_is_told(header: bytes) -> None:
    said = "the Mcp-Param-Region header does not match the argument 'region'"
    assert complaint({"region": "Hello"}, region=header) == said


def test_an_argument_and_its_header_come_together_or_not_at_all() -> None:
    assert complaint({"region": "a"}) == "the Mcp-Param-Region header is missing"
    assert complaint({"deep": {"zone": "a"}}) == "the Mcp-Param-Zone header is missing"
    assert complaint({}, zone=b"a") == (
        "the Mcp-Param-Zone header does not match the argument 'deep.zone'"
    )
    assert complaint({"region": ["a"]}) is None
    assert complaint({"region": None}, other=b"x") is None


@pytest.mark.parametrize(
    ("value", "header", "fits"),
    [
        (42, b"42", True),
        (42, b"42.0", True),
        (42.0, b"42", True),
        (2**60 + 1, b"1152921504606846977", True),
        (42, b"42.5", False),
        (42, b"4.2e1", False),
        (True, b"1", False),
        (2**60 + 1, b"1152921504606846976", False),
    ],
)
def test_whole_numbers_are_compared_as_numbers(value: Any, header: bytes, fits: bool) -> None:
    assert (complaint({"n": value}, n=header) is None) == fits


@pytest.mark.parametrize(
    "wish",
    [
        {"type": "number", "x-mcp-header": "A"},
        {"type": "string", "x-mcp-header": "not a token"},
        {"type": "string", "x-mcp-header": 1},
        {"type": "string", "x-mcp-header": "region"},
        {"x-mcp-header": "A"},
    ],
)
def test_a_schema_with_a_wish_against_the_rules_wishes_nothing(wish: Any) -> None:
    assert wishes({"properties": SCHEMA["properties"] | {"odd": wish}}) == ()
