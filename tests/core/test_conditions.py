"""Claims about an object, and since when each holds."""

from datetime import timedelta

from mooring.core.conditions import Claim, settle
from mooring.testing.clock import START

LATER = START + timedelta(minutes=1)


def test_conditions_are_sorted_and_say_since_when() -> None:
    found = settle(
        (), [Claim("Updated", True, "Yes"), Claim("Ready", False, "No", "why")], START, 3
    )
    assert [(c.type, c.status, c.reason, c.message) for c in found] == [
        ("Ready", "False", "No", "why"),
        ("Updated", "True", "Yes", ""),
    ]
    assert {c.last_transition_time for c in found} == {START}
    assert {c.observed_generation for c in found} == {3}


def test_another_reason_moves_no_time() -> None:
    before = settle((), [Claim("Ready", False, "NotYet")], START, 1)
    after = settle(before, [Claim("Ready", False, "StillNotYet", "words")], LATER, 2)
    assert after[0].last_transition_time == START
    assert after[0].reason == "StillNotYet"


def test_another_status_moves_the_time() -> None:
    before = settle((), [Claim("Ready", False, "NotYet")], START, 1)
    assert settle(before, [Claim("Ready", True, "Is")], LATER, 1)[0].last_transition_time == LATER


def test_the_same_claims_give_the_same_conditions() -> None:
    claims = [Claim("Ready", True, "Is"), Claim("Updated", False, "No")]
    before = settle((), claims, START, 1)
    assert settle(before, claims[::-1], LATER, 1) == before
