"""Names that every client takes, and that stay what they are."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.aggregate_names import LONGEST, fitting, matches, prefixed

FITS = re.compile(r"[A-Za-z0-9_-]{1,64}")


@given(st.text(min_size=1, max_size=200))
def test_every_name_is_made_to_fit_and_one_that_fits_stays(name: str) -> None:
    found = fitting(name)
    assert FITS.fullmatch(found)
    assert fitting(found) == found
    assert (found == name) == bool(FITS.fullmatch(name))


@given(st.lists(st.text(alphabet="a._/", min_size=1, max_size=80), unique=True, max_size=20))
def test_different_names_stay_different(names: list[str]) -> None:
    assert len({fitting(name) for name in names}) == len(names)


def test_a_long_name_keeps_its_beginning_and_has_a_fingerprint() -> None:
    long = "list_" + "very_" * 20 + "long"
    found = prefixed("github", long)
    assert len(found) == LONGEST
    assert found.startswith("github_list_very_")
    assert found == prefixed("github", long)
    assert found != prefixed("github", long + "er")


def test_a_name_of_64_characters_stays_and_one_of_65_does_not() -> None:
    assert fitting("a" * 64) == "a" * 64
    assert fitting("a" * 65) == fitting("a" * 65) != "a" * 64


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("read", "read", True),
        ("read", "reads", False),
        ("*", "anything", True),
        ("read_*", "read_file", True),
        ("*_file", "read_file", True),
        ("*_*", "readfile", False),
        ("a*b*c", "a-b-c", True),
        ("a*a", "a", False),
        ("a*b*b", "ab", False),
        ("[ab]", "a", False),
        ("a?c", "abc", False),
        ("a**b", "ab", True),
    ],
)
def test_a_star_in_a_filter_stands_for_any_text(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits
