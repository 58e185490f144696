"""Whose question an answer is for."""

import json

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.questions import meant, shown

IDS = st.one_of(st.integers(), st.text()).map(lambda id: json.dumps(id).encode())
GENERATIONS = st.integers(min_value=1, max_value=99)


@given(IDS, GENERATIONS)
def test_an_answer_finds_back_whatever_the_id_was(id: bytes, generation: int) -> None:
    assert meant(generation, shown(generation, id)) == id


@given(IDS, GENERATIONS, GENERATIONS)
def test_but_never_to_another_owner(id: bytes, asked: int, answered: int) -> None:
    assert (meant(answered, shown(asked, id)) is None) == (asked != answered)


@given(IDS, GENERATIONS)
def test_an_id_of_the_first_owner_is_its_own(id: bytes, generation: int) -> None:
    assert meant(0, id) == id
    assert json.loads(shown(generation, id)) != json.loads(id)
