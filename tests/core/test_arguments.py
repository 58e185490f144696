"""`key=value` becomes what the tool's schema says."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.arguments import typed, value

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "deep": {"type": "boolean"},
        "tags": {"type": "array"},
        "options": {"type": "object"},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "name": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "either": {"type": ["integer", "string"]},
        "level": {"enum": ["low", "high"]},
        "size": {"$ref": "#/$defs/Size"},
        "any": {},
    },
    "required": ["text"],
    "$defs": {"Size": {"type": "integer"}},
}


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (("text", "5"), "5"),
        (("text", ""), ""),
        (("text", "true"), "true"),
        (("count", "5"), 5),
        (("count", "-5"), -5),
        (("ratio", "0.5"), 0.5),
        (("ratio", "2"), 2),
        (("deep", "true"), True),
        (("deep", "No"), False),
        (("tags", '["a", 1]'), ["a", 1]),
        (("options", '{"a": null}'), {"a": None}),
        (("maybe", "7"), 7),
        (("maybe", "null"), None),
        (("name", "null"), "null"),
        (("either", "7"), 7),
        (("either", "seven"), "seven"),
        (("level", "low"), "low"),
        (("size", "3"), 3),
        (("any", "3"), 3),
        (("any", "three"), "three"),
        (("unknown", "x"), "x"),
    ],
)
def test_values_are_typed_by_the_schema(pair: tuple[str, str], expected: Any) -> None:
    assert typed([("text", "t"), pair], SCHEMA)[pair[0]] == expected


@pytest.mark.parametrize(
    ("pair", "complaint"),
    [
        (("count", "five"), "count: expected integer, found 'five'"),
        (("count", "5.5"), "count: expected integer, found '5.5'"),
        (("count", "1_0"), "count: expected integer, found '1_0'"),
        (("count", "true"), "count: expected integer, found 'true'"),
        (("ratio", "NaN"), "ratio: expected number, found 'NaN'"),
        (("deep", "maybe"), "deep: expected boolean, found 'maybe'"),
        (("tags", "a,b"), "tags: expected array, found 'a,b'"),
        (("options", "[]"), "options: expected object, found '[]'"),
        (("maybe", "x"), "maybe: expected integer or null, found 'x'"),
    ],
)
def test_what_does_not_fit_is_named(pair: tuple[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        typed([("text", "t"), pair], SCHEMA)
    assert str(caught.value) == complaint


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="required") as caught:
        typed([("count", "x"), ("deep", "y")], SCHEMA)
    assert str(caught.value).splitlines() == [
        "count: expected integer, found 'x'",
        "deep: expected boolean, found 'y'",
        "text: is required (string)",
    ]


def test_a_closed_schema_knows_its_arguments() -> None:
    closed = {"properties": {"timezone": {"type": "string"}}, "additionalProperties": False}
    with pytest.raises(ValueError, match=r"no such argument\. Did you mean timezone\?"):
        typed([("timezon", "UTC")], closed)


def test_references_that_lead_nowhere_type_nothing() -> None:
    looped = {"properties": {"a": {"$ref": "#/properties/a"}, "b": {"$ref": "#/nowhere"}}}
    assert typed([("a", "1"), ("b", "x")], looped) == {"a": 1, "b": "x"}


@given(st.integers() | st.booleans() | st.none() | st.lists(st.integers()) | st.text())
def test_a_value_survives_being_written_and_read(found: Any) -> None:
    names = {int: "integer", bool: "boolean", type(None): "null", list: "array", str: "string"}
    text = found if isinstance(found, str) else json.dumps(found)
    assert value(text, {"type": names[type(found)]}) == found
