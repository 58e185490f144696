"""Headers that a client of the stateless era sends, against the rule that checks them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.era import decoded, mirrored
from mooring.core.mirroring import encoded, parameters, standard

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
