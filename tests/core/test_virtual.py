"""How a virtual server is, for every state that its backends can be in."""

import itertools
from typing import Any

import pytest

from mooring.core.virtual import LOGIN, Backend, backend, backends_of, claims, judge
from mooring.kinds.server import InstanceStatus, MCPServer
from mooring.kinds.virtual import Word

STATES: dict[str, dict[str, Any]] = {
    "ready": {"state": "Ready", "health": "healthy"},
    "unauthenticated": {"state": "Ready", "health": "unauthenticated", "message": "HTTP 401"},
    "degraded": {"state": "Ready", "health": "degraded", "message": "timed out after 10 s"},
    "unavailable": {"state": "Ready", "health": "unhealthy", "message": "refused"},
    "unknown": {"state": "Starting", "attempt_count": 1},
}


def server(name: str, *rows: dict[str, Any], **spec: Any) -> MCPServer:
    made = MCPServer.model_validate(
        {
            "metadata": {"name": name},
            "spec": {"source": {"command": ["x"]}, "group": "tools", **spec},
        }
    )
    instances = tuple(
        InstanceStatus(**{"name": f"{name}-{at}", **row}) for at, row in enumerate(rows)
    )
    return made.model_copy(
        update={"status": made.status.model_copy(update={"instances": instances})}
    )


def members(*words: str) -> list[MCPServer]:
    return [server(name, STATES[word]) for name, word in zip("abcdefghij", words, strict=False)]


R, U, D, X, N = "ready", "unauthenticated", "degraded", "unavailable", "unknown"


@pytest.mark.parametrize(
    ("words", "phase", "reason", "count", "message"),
    [
        ([], "Ready", "AllBackendsRoutable", 0, "Ready, no backends configured"),
        ([R], "Ready", "AllBackendsRoutable", 1, "1 backend is healthy"),
        ([R, R, R], "Ready", "AllBackendsRoutable", 3, "All 3 backends are healthy"),
        ([U], "Ready", "AllBackendsRoutable", 1, "1 backend requires authentication"),
        ([U, U], "Ready", "AllBackendsRoutable", 2, "2 backends require authentication"),
        ([R, U], "Ready", "AllBackendsRoutable", 2,
         "1 backend healthy, 1 requires authentication"),
        ([R, U, R], "Ready", "AllBackendsRoutable", 3,
         "2 backends healthy, 1 requires authentication"),
        ([U, R, U], "Ready", "AllBackendsRoutable", 3,
         "1 backend healthy, 2 require authentication"),
        ([R, R, X], "Degraded", "SomeBackendsUnhealthy", 2,
         "2/3 backends routable, 1 unavailable (c)"),
        ([U, U, D], "Degraded", "SomeBackendsUnhealthy", 2,
         "2/3 backends routable, 1 degraded (c)"),
        ([D], "Degraded", "SomeBackendsUnhealthy", 0, "0/1 backends routable, 1 degraded (a)"),
        ([D, X, N], "Degraded", "SomeBackendsUnhealthy", 0,
         "0/3 backends routable, 1 degraded (a), 1 unavailable (b), 1 not checked yet (c)"),
        ([R, N], "Degraded", "SomeBackendsUnhealthy", 1,
         "1/2 backends routable, 1 not checked yet (b)"),
        ([N], "Pending", "BackendsPending", 0, "0/1 backends routable, 1 not checked yet (a)"),
        ([N, X], "Pending", "BackendsPending", 0,
         "0/2 backends routable, 1 unavailable (b), 1 not checked yet (a)"),
        ([X], "Failed", "NoRoutableBackends", 0, "0/1 backends routable, 1 unavailable (a)"),
        ([X] * 7, "Failed", "NoRoutableBackends", 0,
         "0/7 backends routable, 7 unavailable (a, b, c, d, e and 2 more)"),
    ],
)  # fmt: skip
def test_phase_reason_count_and_message(
    words: list[str], phase: str, reason: str, count: int, message: str
) -> None:
    found = judge("tools", backends_of("default", "tools", reversed(members(*words))))
    assert (found.phase, found.reason, found.routable) == (phase, reason, count)
    assert found.message == message
    assert [each.word for each in found.backends] == words
    assert found.healthy == (phase in ("Ready", "Degraded"))


def test_a_missing_group_is_a_failure_with_its_name() -> None:
    found = judge("tools", None)
    assert (found.phase, found.reason) == ("Failed", "GroupNotFound")
    assert found.message == "group tools does not exist"
    assert not found.healthy
    assert [(c.type, c.holds, c.reason) for c in claims(found)] == [
        ("Ready", False, "GroupNotFound"),
        ("BackendsDiscovered", False, "GroupNotFound"),
        ("Degraded", False, "NotDegraded"),
    ]


@pytest.mark.parametrize("words", list(itertools.product([R, U, D, X, N], repeat=3)))
def test_conditions_say_what_the_phase_says(words: tuple[str, ...]) -> None:
    found = judge("tools", members(*words))
    said = {claim.type: claim for claim in claims(found)}
    assert said["Ready"].holds == (found.phase == "Ready") == (found.routable == 3)
    assert said["Degraded"].holds == (found.phase == "Degraded")
    assert said["BackendsDiscovered"].message == "3 backends in the group"
    assert said["Ready"].message == found.message
    assert found.healthy == any(word in (R, U, D) for word in words)


def test_one_and_no_backends_are_counted_in_grammar() -> None:
    said = {claim.type: claim for claim in claims(judge("tools", members(R)))}
    assert said["BackendsDiscovered"].message == "1 backend in the group"
    said = {claim.type: claim for claim in claims(judge("tools", []))}
    assert said["BackendsDiscovered"].message == "no backends in the group"
    assert said["Ready"].holds


@pytest.mark.parametrize(
    ("rows", "word", "message"),
    [
        ([STATES[X], STATES[R]], "ready", ""),
        ([STATES[U], STATES[R]], "ready", ""),
        ([STATES[U], STATES[D]], "unauthenticated", LOGIN),
        ([STATES[X], STATES[D]], "degraded", "timed out after 10 s"),
        ([STATES[X], STATES[N]], "unknown", "it has not been checked yet"),
        ([], "unknown", "it has not been checked yet"),
        ([{"state": "Pending"}], "unknown", "it has not been checked yet"),
        ([{"state": "Installing", "attempt_count": 1}], "unknown", "it has not been checked yet"),
        ([{"state": "Ready", "health": "unknown"}], "unknown", "it has not been checked yet"),
        ([{"state": "ERROR", "attempt_count": 1, "message": "exit 1"}], "unavailable", "exit 1"),
        ([{"state": "Pending", "attempt_count": 1, "message": "m"}], "unavailable", "m"),
        ([{"state": "Starting", "attempt_count": 2}], "unavailable", ""),
        ([{"state": "CrashLoopBackOff", "message": "exit 3"}], "unavailable", "exit 3"),
        ([{"state": "Restarting"}], "unavailable", ""),
        ([{"state": "Draining", "health": "healthy"}], "unknown", "it has not been checked yet"),
    ],
)
def test_a_backends_word_is_that_of_its_best_instance(
    rows: list[dict[str, Any]], word: Word, message: str
) -> None:
    found = backend(server("a", *rows))
    assert (found.word, found.message) == (word, message)


@pytest.mark.parametrize(
    ("word", "forwards", "listed"),
    [
        (R, False, "shared"), (D, False, "shared"), (U, False, "no"), (X, False, "no"),
        (N, False, "no"), (R, True, "per-caller"), (U, True, "per-caller"),
        (D, True, "per-caller"), (X, True, "no"), (N, True, "no"),
    ],
)  # fmt: skip
def test_what_needs_a_callers_credentials_is_listed_for_each_caller(
    word: Word, forwards: bool, listed: str
) -> None:
    assert Backend("a", word, forwards=forwards).listed == listed


def test_backends_are_the_servers_of_the_group_that_are_wanted_to_run() -> None:
    there = [server("b"), server("a"), server("c", replicas=0), server("d", group="other")]
    elsewhere = server("e")
    meta = elsewhere.metadata.model_copy(update={"namespace": "team"})
    there.append(elsewhere.model_copy(update={"metadata": meta}))
    found = backends_of("default", "tools", there)
    assert [each.metadata.name for each in found] == ["a", "b"]
