"""Strategic merge: the stories of Kubernetes' page."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.strategic_merge import strategic
from mooring.kinds.secret import Secret
from mooring.kinds.structure import structural

SECRET = structural(Secret, defaults=False)
OWNER = {"uid": "u-1", "name": "a"}
DOCUMENT = st.dictionaries(st.sampled_from("abc"), st.integers() | st.text(max_size=2))


def meta(**fields: Any) -> dict[str, Any]:
    return {"metadata": fields}


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        (meta(labels={"a": "1"}), meta(labels={"b": "2"}), meta(labels={"a": "1", "b": "2"})),
        (meta(labels={"a": "1"}), meta(labels={"a": None}), meta(labels={})),
        (meta(finalizers=["x"]), meta(finalizers=["y", "x"]), meta(finalizers=["x", "y"])),
        (meta(finalizers=["x", "y"]), meta(**{"$deleteFromPrimitiveList/finalizers": ["x"]}),
         meta(finalizers=["y"])),
        (meta(finalizers=["x"]),
         meta(finalizers=["y"], **{"$setElementOrder/finalizers": ["y", "x"]}),
         meta(finalizers=["y", "x"])),
        (meta(ownerReferences=[OWNER]), meta(ownerReferences=[{"uid": "u-1", "name": "b"}]),
         meta(ownerReferences=[{"uid": "u-1", "name": "b"}])),
        (meta(ownerReferences=[OWNER]), meta(ownerReferences=[{"uid": "u-2"}]),
         meta(ownerReferences=[OWNER, {"uid": "u-2"}])),
        (meta(ownerReferences=[OWNER]), meta(ownerReferences=[{"uid": "u-1", "$patch": "delete"}]),
         meta(ownerReferences=[])),
        (meta(ownerReferences=[OWNER]), meta(ownerReferences=[{"$patch": "replace"}]),
         meta(ownerReferences=[])),
        (meta(ownerReferences=[OWNER, {"uid": "u-2"}]),
         meta(**{"$setElementOrder/ownerReferences": [{"uid": "u-2"}, {"uid": "u-1"}]}),
         meta(ownerReferences=[{"uid": "u-2"}, OWNER])),
        ({"data": {"a": "x"}}, {"data": {"$patch": "replace", "b": "y"}}, {"data": {"b": "y"}}),
        ({"data": {"a": "x"}, "type": "t"}, {"data": {"$patch": "delete"}}, {"type": "t"}),
        ({"data": {"a": "x", "b": "y"}}, {"data": {"$retainKeys": ["b"]}}, {"data": {"b": "y"}}),
        ({"odd": [1, 2]}, {"odd": [3]}, {"odd": [3]}),
        ({"type": "a"}, {"type": "b"}, {"type": "b"}),
        ({}, [1], [1]),
        ({}, {"$setElementOrder/x": []}, {}),
    ],
)  # fmt: skip
def test_the_forms_of_a_patch(target: Any, patch: Any, result: Any) -> None:
    assert strategic(SECRET, target, patch) == result


@pytest.mark.parametrize(
    "patch",
    [
        {"$patch": "shred"},
        {"$odd": []},
        {"$retainKeys": 3},
        meta(ownerReferences=[{"name": "a"}]),
        meta(ownerReferences=[3]),
    ],
)
def test_a_patch_that_makes_no_sense_is_refused(patch: Any) -> None:
    with pytest.raises(ValueError, match=r"must|nobody knows|need"):
        strategic(SECRET, {}, patch)


@given(DOCUMENT, DOCUMENT)
def test_patching_twice_is_patching_once(target: Any, patch: Any) -> None:
    once = strategic({}, target, patch)
    assert once == {**target, **patch}
    assert strategic({}, once, patch) == once
