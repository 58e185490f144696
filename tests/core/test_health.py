"""What is believed of an instance, and whether it is fit for new work."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.health import (
    WORDLESS,
    Finding,
    Standing,
    believe,
    best,
    remembered,
    standing,
    verdict,
)
from mooring.core.noticing import Moment, notice
from mooring.core.workload import Observed
from mooring.core.world import Belief
from mooring.kinds.server import Health, InstanceStatus, State

GREETED = Belief(False, era="session", health="unknown", settled=False)
READY = Belief(True, era="session")
WELL = Finding("answered")
LOGIN = Finding("login")
FINDINGS = st.sampled_from([WELL, LOGIN, Finding("failed", "no"), Finding("failed", "oh")])
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def failed(words: str = "no") -> Finding:
    return Finding("failed", words)


def after(*found: Finding, threshold: int = 3, before: Belief = READY) -> Belief:
    for each in found:
        before = believe(before, each, threshold)
    return before


def row(state: State, health: Health = "healthy", **more: object) -> InstanceStatus:
    return InstanceStatus.model_validate(
        {"name": "time-0", "uid": "u1", "state": state, "health": health, **more}
    )


def test_the_first_success_is_believed_at_once() -> None:
    found = after(WELL, before=GREETED)
    assert (found.health, found.shaken, found.settled) == ("healthy", True, True)


def test_a_threshold_of_one_makes_unhealthy_at_once() -> None:
    assert after(failed(), threshold=1).health == "unhealthy"


def test_a_threshold_of_two_makes_degraded_first() -> None:
    assert after(failed(), threshold=2).health == "degraded"
    assert after(failed(), failed(), threshold=2).health == "unhealthy"


def test_two_failures_then_a_success_is_healthy() -> None:
    found = after(failed(), failed(), WELL)
    assert (found.health, found.failures, found.message) == ("healthy", 0, "")


def test_the_words_are_those_of_the_last_failure() -> None:
    assert after(failed("one"), failed("ECONNREFUSED 10.0.0.1:3000")).message == (
        "ECONNREFUSED 10.0.0.1:3000"
    )


def test_who_wants_a_login_is_alive() -> None:
    found = after(failed(), LOGIN)
    assert (found.health, found.failures) == ("unauthenticated", 0)
    assert after(LOGIN, before=GREETED).shaken


def test_who_asks_to_be_left_alone_is_believed_as_before() -> None:
    for before in (READY, GREETED, after(failed())):
        assert after(Finding("busy", "slow down"), before=before) == before


def test_an_attempt_goes_on_until_it_is_unhealthy() -> None:
    trying = after(failed(), failed(), before=GREETED)
    assert (trying.health, trying.shaken, trying.settled) == ("degraded", False, False)
    given_up = after(failed(), before=trying)
    assert (given_up.health, given_up.shaken, given_up.settled) == ("unhealthy", False, True)


@given(st.lists(FINDINGS, max_size=12), st.integers(1, 5))
def test_belief_follows_from_the_failures_in_a_row(findings: list[Finding], threshold: int) -> None:
    found = after(*findings, threshold=threshold)
    streak = 0
    for each in reversed(findings):
        if each.outcome != "failed":
            break
        streak += 1
    assert found.failures == min(streak, threshold)
    if not findings:
        assert found == READY
    elif streak:
        assert found.health == ("unhealthy" if streak >= threshold else "degraded")
        assert found.message == findings[-1].message
    else:
        login = findings[-1].outcome == "login"
        assert found.health == ("unauthenticated" if login else "healthy")
    assert found.shaken
    assert found.settled


@given(st.lists(FINDINGS, max_size=12), st.integers(1, 5))
def test_at_rest_one_more_of_the_same_changes_nothing(
    findings: list[Finding], threshold: int
) -> None:
    """A server that stays as it is costs no write, however often it is probed."""
    last = findings[-1] if findings else WELL
    settled = after(*findings, *([last] * threshold), threshold=threshold)
    assert believe(settled, last, threshold) == settled


@given(st.lists(FINDINGS, max_size=12), st.integers(1, 5))
def test_beliefs_survive_a_restart_in_the_row(findings: list[Finding], threshold: int) -> None:
    believed = after(*findings, threshold=threshold, before=GREETED)
    seen = Observed("time-0", "u1", "sum", "running", "http://there/mcp", started_at=NOW)
    stored = notice(row("Starting", "unknown"), seen, believed, Moment(NOW, 0.5)).row
    if believed.shaken or believed.failures < threshold:
        expected = believed if believed.shaken or believed.failures else None
        assert remembered(stored) == expected


def test_an_attempt_that_failed_is_counted_and_the_next_one_begins_anew() -> None:
    given_up = after(failed("no"), failed("no"), failed("no"), before=GREETED)
    seen = Observed("time-0", "u1", "sum", "running", "http://there/mcp", started_at=NOW)
    stored = notice(row("Starting", "degraded"), seen, given_up, Moment(NOW, 0.5)).row
    assert (stored.state, stored.reason, stored.failed_probes) == ("ERROR", "ProbeFailed", 3)
    assert remembered(stored) is None
    assert remembered(stored.model_copy(update={"state": "Pending"})) is None
    again = notice(stored.model_copy(update={"state": "Pending"}), seen, None, Moment(NOW, 0.5)).row
    assert (again.state, again.failed_probes) == ("Starting", 0)


def test_the_words_of_a_tool_are_kept() -> None:
    texts = [{"type": "text", "text": "connect ECONNREFUSED 10.0.0.1:3000"}]
    assert verdict({"isError": True, "content": texts}).message == (
        "connect ECONNREFUSED 10.0.0.1:3000"
    )
    assert verdict({"isError": False, "content": texts}) == WELL
    assert verdict({"structuredContent": {}}) == WELL


@pytest.mark.parametrize("content", [None, [], "no", [{"type": "image"}], [{"text": 3}], [3]])
def test_a_tool_without_words_has_failed_all_the_same(content: object) -> None:
    assert verdict({"isError": True, "content": content}) == failed(WORDLESS)


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ("healthy", "preferred"),
        ("unauthenticated", "preferred"),
        ("degraded", "last-resort"),
        ("unhealthy", "out"),
        ("unknown", "out"),
    ],
)
def test_standing_follows_health_where_an_instance_is_ready(
    health: Health, expected: Standing
) -> None:
    assert standing(row("Ready", health)) == expected


@pytest.mark.parametrize(
    "state", ["Pending", "Starting", "Restarting", "CrashLoopBackOff", "ERROR", "Draining"]
)
def test_an_instance_that_is_not_ready_is_out(state: State) -> None:
    assert standing(row(state)) == "out"


def test_a_server_stands_as_its_best_instance_does() -> None:
    assert best([]) == "out"
    assert best([row("Ready", "unhealthy"), row("Ready", "degraded")]) == "last-resort"
    assert best([row("Ready", "degraded"), row("Ready")]) == "preferred"
