"""JSON Patch: the examples of RFC 6902, and its rules for everything."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.json_patch import OPERATIONS, patched

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab~/"), inner),
    max_leaves=8,
)


def step(op: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "path": path, **more}


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        ({"foo": "bar"}, [step("add", "/baz", value="qux")], {"foo": "bar", "baz": "qux"}),
        ({"foo": ["a", "c"]}, [step("add", "/foo/1", value="b")], {"foo": ["a", "b", "c"]}),
        ({"baz": 1, "foo": 2}, [step("remove", "/baz")], {"foo": 2}),
        ({"foo": ["a", "b", "c"]}, [step("remove", "/foo/1")], {"foo": ["a", "c"]}),
        ({"baz": "qux"}, [step("replace", "/baz", value="boo")], {"baz": "boo"}),
        ({"a": {"x": 1}, "b": {}}, [step("move", "/b/y", **{"from": "/a/x"})],
         {"a": {}, "b": {"y": 1}}),
        ({"f": ["a", "b", "c"]}, [step("move", "/f/2", **{"from": "/f/0"})],
         {"f": ["b", "c", "a"]}),
        ({"baz": "qux", "f": ["a", 2]}, [step("test", "/f/1", value=2)],
         {"baz": "qux", "f": ["a", 2]}),
        ({"foo": "bar"}, [step("add", "/child", value={"x": {}})],
         {"foo": "bar", "child": {"x": {}}}),
        ({"foo": None}, [step("test", "/foo", value=None)], {"foo": None}),
        ({"/": 9, "~1": 10}, [step("test", "/~01", value=10)], {"/": 9, "~1": 10}),
        ({"foo": ["bar"]}, [step("add", "/foo/-", value=["x"])], {"foo": ["bar", ["x"]]}),
        ({"a": 1}, [step("copy", "/b", **{"from": "/a"})], {"a": 1, "b": 1}),
        ({"a": 1}, [step("add", "", value=[])], []),
        ({"a": 1}, [step("test", "/a", value=1.0)], {"a": 1}),
        ({"": {"": 1}}, [step("replace", "//", value=2)], {"": {"": 2}}),
        ({"foo": "bar"}, [step("add", "/baz", value=1, xyz=3)], {"foo": "bar", "baz": 1}),
    ],
)  # fmt: skip
def test_the_examples_of_the_rfc(document: Any, patch: Any, result: Any) -> None:
    assert patched(document, patch) == result


@pytest.mark.parametrize(
    ("document", "patch", "words"),
    [
        ({}, {"op": "add"}, "must be a list"),
        ({}, "x", "must be a list"),
        ({}, [1], "must be an object"),
        ({}, [step("make", "/a")], "op must be one of"),
        ({}, [{"op": "add", "value": 1}], "path must be a JSON pointer"),
        ({}, [step("add", "a", value=1)], "path must be a JSON pointer"),
        ({}, [step("copy", "/a")], "from must be a JSON pointer"),
        ({}, [step("add", "/a")], "add needs a value"),
        ({"foo": "bar"}, [step("add", "/baz/bat", value="qux")], "nothing at /baz"),
        ({}, [step("remove", "/a")], "nothing at /a"),
        ({}, [step("replace", "/a", value=1)], "nothing at /a"),
        ({"a": [1]}, [step("remove", "/a/1")], "nothing at /a/1"),
        ({"a": [1]}, [step("remove", "/a/-")], "nothing at /a/-"),
        ({"a": [1]}, [step("add", "/a/2", value=1)], "nothing can be added at /a/2"),
        ({"a": [1]}, [step("add", "/a/00", value=1)], "nothing can be added"),
        ({"a": [1]}, [step("add", "/a/³", value=1)], "nothing can be added"),
        ({"a": 1}, [step("add", "/a/b", value=1)], "nothing can be at /a/b"),
        ({"a": "10"}, [step("test", "/a", value=10)], "is not what the test expects"),
        ({"a": 1}, [step("test", "/a", value=True)], "is not what the test expects"),
        ({"a": {}}, [step("move", "/a/b", **{"from": "/a"})], "moved into itself"),
        ({}, [step("add", "/a", value=1)] * (OPERATIONS + 1), "at most"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(document: Any, patch: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        patched(document, patch)


def test_a_refusal_says_which_operation_and_no_value() -> None:
    patch = [step("add", "/a", value="s3cret"), step("test", "/a", value="other")]
    with pytest.raises(ValueError, match=r"^operation 1: /a is not") as caught:
        patched({}, patch)
    assert "s3cret" not in str(caught.value)
    assert "other" not in str(caught.value)


def test_a_short_patch_makes_no_endless_document() -> None:
    doubling = [step("copy", "/a/-", **{"from": "/a"}) for _ in range(40)]
    with pytest.raises(ValueError, match="copies too much"):
        patched({"a": ["x" * 100]}, doubling)


@given(JSON, JSON)
def test_replacing_all_of_it_is_what_it_is_replaced_by(document: Any, other: Any) -> None:
    assert patched(document, [step("replace", "", value=other)]) == other


@given(st.dictionaries(st.sampled_from("ab~/"), JSON), JSON, st.sampled_from("ab~/"))
def test_what_was_added_is_there_and_goes_again(
    document: dict[str, Any], value: Any, key: str
) -> None:
    path = "/" + key.replace("~", "~0").replace("/", "~1")
    before = dict(document)
    added = patched(document, [step("add", path, value=value), step("test", path, value=value)])
    assert added == {**document, key: value}
    document.pop(key, None)
    assert patched(added, [step("remove", path)]) == document
    assert before == before | document


@given(JSON)
def test_no_operations_change_nothing(document: Any) -> None:
    assert patched(document, []) == document
