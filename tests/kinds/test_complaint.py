"""How complaints read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.kinds.complaint import Complaint, did_you_mean, path_of, printable


def test_a_complaint_says_where_what_and_what_to_do() -> None:
    whole = Complaint(
        "spec.replicas", "must be at most 100", "see docs", "server/time", "f.yaml", 12, 3
    )
    assert str(whole) == "f.yaml:12:3: server/time: spec.replicas: must be at most 100 (see docs)"
    assert str(Complaint("", "must be a mapping")) == "must be a mapping"
    assert str(Complaint("a", "is odd", source="f.yaml")) == "f.yaml: a: is odd"
    assert str(Complaint("a", "is odd", line=3, column=9)) == "line 3: a: is odd"


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ((), ""),
        (("spec",), "spec"),
        (("spec", "env", 0, "name"), "spec.env[0].name"),
        (("metadata", "labels", "example.com/team"), "metadata.labels[example.com/team]"),
        (("a", "with space"), "a[with space]"),
        (("a_b",), "a_b"),
    ],
)
def test_paths_read_as_people_write_them(place: tuple[str | int, ...], path: str) -> None:
    assert path_of(place) == path


def test_near_words_are_suggested_whatever_their_case_and_underscores() -> None:
    known = ["workingDirectory", "replicas", "env"]
    assert did_you_mean("working_directory", known) == "did you mean workingDirectory?"
    assert did_you_mean("Replica", known) == "did you mean replicas?"
    assert did_you_mean("zebra", known) == ""


@given(st.text(max_size=200))
def test_found_text_is_made_harmless(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) <= 61 * 10
