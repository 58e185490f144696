"""Equal values have one checksum, different ones have two."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.checksum import canonical, checksum

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def shuffled(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(key, shuffled(inner, chance)) for key, inner in value.items()]
        chance.shuffle(items)
        return dict(items)
    return [shuffled(inner, chance) for inner in value] if isinstance(value, list) else value


@given(JSON, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(value: Any, chance: random.Random) -> None:
    assert canonical(shuffled(value, chance)) == canonical(value)


@given(JSON, JSON)
def test_different_values_differ(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (checksum(one) == checksum(other)) == same


def test_a_list_keeps_its_order_and_its_borders() -> None:
    assert checksum([1, 2]) != checksum([2, 1])
    assert checksum(["ab", "c"]) != checksum(["a", "bc"])
    assert checksum({"a": 1}) != checksum([["a", 1]])


def test_the_text_is_fixed_for_all_time() -> None:
    assert canonical({"b": 1, "a": "é"}) == b'{"a":"\\u00e9","b":1}'
    expected = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert checksum({}) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_say_has_no_checksum(value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        checksum({"a": value})
