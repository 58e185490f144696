"""Near misses are understood, far ones are not guessed at."""

from mooring.core.suggestion import did_you_mean


def test_a_near_word_is_offered() -> None:
    assert did_you_mean("Sevrers", ["servers", "groups"]) == " Did you mean servers?"


def test_nothing_is_offered_where_nothing_is_near() -> None:
    assert did_you_mean("zzz", ["servers", "groups"]) == ""
    assert did_you_mean("x", []) == ""
