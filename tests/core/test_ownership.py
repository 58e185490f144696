"""Fields, and sets of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.ownership import MEMBER, decoded, encoded, leaves, shape, written
from mooring.kinds.server import MCPServer
from mooring.kinds.structure import structural

SERVER = structural(MCPServer, defaults=False)
STEPS = st.sampled_from(["f:a", "f:b", 'k:{"name":"A"}', 'v:"x"', "f:."])
FIELDS = st.frozensets(st.lists(STEPS, min_size=1, max_size=3).map(tuple), max_size=6)


def test_a_document_is_taken_apart_as_its_kind_says() -> None:
    document = {
        "metadata": {"labels": {"a/b": "x"}, "annotations": {}, "finalizers": ["f"]},
        "spec": {
            "args": ["a", "b"],
            "group": None,
            "env": [{"name": "A", "value": "x"}],
            "source": {"pypi": "p"},
        },
    }
    entry = ("f:spec", "f:env", 'k:{"name":"A"}')
    assert leaves(SERVER, document) == {
        ("f:metadata", "f:labels", "f:a/b"): "x",
        ("f:metadata", "f:finalizers", 'v:"f"'): MEMBER,
        ("f:spec", "f:args"): ["a", "b"],
        entry: MEMBER,
        (*entry, "f:name"): "A",
        (*entry, "f:value"): "x",
        ("f:spec", "f:source", "f:pypi"): "p",
    }


@pytest.mark.parametrize("env", ["x", [1], [{"value": "x"}], [{"name": 1}], [{"name": "A"}] * 2])
def test_what_does_not_fit_its_kind_is_one_value(env: Any) -> None:
    schema = SERVER["properties"]["spec"]["properties"]["env"]
    assert shape(schema, env) == "value"
    assert leaves(SERVER, {"spec": {"env": env}}) == {("f:spec", "f:env"): env}
    assert leaves(SERVER, {"spec": 3, "new": {"a": 1}}) == {("f:spec",): 3, ("f:new",): {"a": 1}}


def test_sets_are_written_as_kubernetes_writes_them() -> None:
    entry = ("f:env", 'k:{"name":"A"}')
    tree = {"f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}}}, "f:port": {}}
    fields = {entry, (*entry, "f:name"), ("f:port",)}
    assert encoded(fields) == tree
    assert decoded(tree) == fields


@given(FIELDS)
def test_what_is_written_is_read_again(fields: frozenset[tuple[str, ...]]) -> None:
    assert decoded(encoded(fields)) == fields


@pytest.mark.parametrize(
    "tree",
    [None, 3, {}, {"f:a": 3}, [], {"k:x": {}}, {"k:3": {}}, {"v:": {}}, {"odd": {}}, {"k:[1]": {}}],
)
def test_what_is_no_set_is_empty(tree: Any) -> None:
    assert decoded(tree) == frozenset()


def test_fields_are_written_for_people() -> None:
    assert written(("f:metadata", "f:labels", "f:a.b/c")) == ".metadata.labels[a.b/c]"
    assert written(("f:metadata", "f:finalizers", 'v:"x"')) == '.metadata.finalizers[="x"]'
    assert written(("k:broken",)) == "[k:broken]"
