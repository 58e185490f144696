"""Only the name changes, whatever a request looks like."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.virtual.splicing import (
    BACKEND_KEY,
    completed,
    named_backend,
    quoted,
    renamed,
    replaced,
    value_at,
    without,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
SPACED: Any = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")])


@settings(max_examples=40, deadline=None)
@given(TEXT, TEXT, JSON, SPACED, st.booleans(), st.permutations(["name", "arguments", "_meta"]))
def test_a_renamed_request_differs_in_its_name_alone(
    old: str, new: str, arguments: Any, spaces: Any, ascii: bool, order: list[str]
) -> None:
    members = {"name": old, "arguments": {"name": old, "params": arguments}, "_meta": {"x": 1}}
    params = {key: members[key] for key in order}
    told = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    body = json.dumps(told, separators=spaces, ensure_ascii=ascii).encode()
    after = renamed(body, old, new)
    assert json.loads(after) == told | {"params": params | {"name": new}}
    assert len(after) - len(body) == len(quoted(new)) - len(
        json.dumps(old, ensure_ascii=ascii).encode()
    ) or (old == new and after == body)


@settings(max_examples=40, deadline=None)
@given(JSON, SPACED)
def test_what_has_no_such_place_stays_as_it_is(value: Any, spaces: Any) -> None:
    body = json.dumps({"params": value}, separators=spaces).encode()
    if not isinstance(value, dict) or "ref" not in value:
        assert replaced(body, ("params", "ref", "name"), b'"x"') == body
        assert value_at(body, ("params", "ref")) is None


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(TEXT, JSON, min_size=1, max_size=4), SPACED, st.data())
def test_a_member_is_taken_out_and_nothing_else(
    params: dict[str, Any], spaces: Any, chosen: st.DataObject
) -> None:
    key = chosen.draw(st.sampled_from(sorted(params)))
    body = json.dumps({"id": 1, "params": params}, separators=spaces).encode()
    left = {name: value for name, value in params.items() if name != key}
    assert json.loads(without(body, ("params", key))) == {"id": 1, "params": left}


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(TEXT, JSON, max_size=3), st.none() | st.dictionaries(TEXT, JSON, max_size=2))
def test_a_question_says_which_backend_asks(
    params: dict[str, Any], meta: dict[str, Any] | None
) -> None:
    params = params if meta is None else params | {"_meta": meta}
    told = {"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": params}
    after = json.loads(named_backend(json.dumps(told).encode(), "notes"))["params"]
    assert after["_meta"][BACKEND_KEY] == "notes"
    message = params.get("message")
    if isinstance(message, str):
        assert after["message"] == f"notes: {message}"
    untouched = {k: v for k, v in params.items() if k not in ("_meta", "message")}
    assert {k: after[k] for k in untouched} == untouched


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (b'{"result" : { } ,"id":1}', b'{"result" : {"resultType":"complete" } ,"id":1}'),
        (b'{"result":{"a":1.0}}', b'{"result":{"resultType":"complete","a":1.0}}'),
        (b'{"result":{"resultType":"x"}}', b'{"result":{"resultType":"x"}}'),
        (b'{"error":{"code":1}}', b'{"error":{"code":1}}'),
        (b'{"result":5}', b'{"result":5}'),
    ],
)
def test_a_result_says_that_it_is_all_there_is(given: bytes, made: bytes) -> None:
    assert completed(given) == made
