"""What a watcher with a selector is told keeps its picture true."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.watching import Told, told


@given(st.lists(st.booleans(), max_size=12), st.booleans(), st.integers(0, 12))
def test_a_picture_built_from_what_is_told_is_what_matches(
    matching: Sequence[bool], removed: bool, start: int
) -> None:
    """An object is added and changed; a watcher joins somewhere, with or without having it."""
    happened: list[tuple[Told, bool]] = [
        ("MODIFIED" if number else "ADDED", matches) for number, matches in enumerate(matching)
    ]
    if removed and matching:
        happened.append(("DELETED", matching[-1]))
    before, after = happened[:start], happened[start:]
    held = bool(before and before[-1][1] and before[-1][0] != "DELETED")
    seen: bool | None = None
    for change, matches in after:
        said = told(change, matches, seen)
        seen = matches if change != "DELETED" else None
        if said == "ADDED":
            assert not held
        held = held if said is None else said != "DELETED"
    truth = bool(happened and happened[-1][1] and happened[-1][0] != "DELETED")
    assert held is truth


def test_what_never_matched_is_never_told() -> None:
    assert told("ADDED", matches=False, seen=None) is None
    assert told("MODIFIED", matches=False, seen=False) is None
    assert told("DELETED", matches=False, seen=False) is None


def test_what_begins_to_match_appears() -> None:
    assert told("MODIFIED", matches=True, seen=False) == "ADDED"
    assert told("MODIFIED", matches=True, seen=True) == "MODIFIED"
