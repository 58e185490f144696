"""A virtual server's status, and what happened since the last one."""

import json
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.aggregate_changes import fingerprints
from mooring.core.aggregate_items import Catalog, Lists, catalog
from mooring.core.virtual import Backend, Judgement
from mooring.core.virtual_status import (
    PROBLEMS,
    Known,
    happenings,
    summarize,
    tool_changes,
    view,
)
from mooring.kinds.virtual import VirtualMCPServer, VirtualStatus, Word
from mooring.testing.clock import START

BASE = "http://127.0.0.1:8470"


def virtual(status: VirtualStatus | None = None, **aggregation: Any) -> VirtualMCPServer:
    made = VirtualMCPServer.model_validate(
        {
            "metadata": {"name": "team", "generation": 3},
            "spec": {"group": "tools", "aggregation": aggregation},
        }
    )
    return made if status is None else made.model_copy(update={"status": status})


def offering(server: str, *names: str, **members: Any) -> Catalog:
    tools = [{"name": name, "inputSchema": {}, **members} for name in names]
    return catalog(server, Lists(tools=[json.dumps(tool).encode() for tool in tools]))


def known(words: dict[str, Word], *catalogs: Catalog, **more: Any) -> Known:
    backends = tuple(
        Backend(name, word, "" if word == "ready" else "why")
        for name, word in sorted(words.items())
    )
    whole = all(word == "ready" for word in words.values())
    judgement = Judgement(
        "Ready" if whole else "Degraded",
        "AllBackendsRoutable" if whole else "SomeBackendsUnhealthy",
        "words",
        backends,
    )
    return Known(
        **{
            "judgement": judgement,
            "base": BASE,
            "members": set(words),
            "catalogs": {each.server: each for each in catalogs},
            "tools": {each.server: fingerprints(each) for each in catalogs},
            **more,
        }
    )


def test_everything_is_counted_once_and_sorted() -> None:
    found = summarize(
        virtual(tools={"a": {"filter": ["x"]}}),
        known({"b": "ready", "a": "ready"}, offering("b", "x", "y", "z"), offering("a", "x", "y")),
        START,
    )
    assert [(b.name, b.tool_count, b.hidden_tools) for b in found.discovered_backends] == [
        ("a", 1, 1),
        ("b", 3, 0),
    ]
    assert (found.tool_count, found.backend_count, found.phase) == (4, 2, "Ready")
    assert found.estimated_tokens == sum(b.estimated_tokens for b in found.discovered_backends) > 0
    assert found.url == f"{BASE}/virtual/team/mcp"
    assert found.observed_generation == 3
    assert [c.type for c in found.conditions] == ["BackendsDiscovered", "Degraded", "Ready"]
    assert found.problems == ()


def test_what_is_not_known_yet_keeps_its_place() -> None:
    words: dict[str, Word] = {"a": "ready", "b": "ready"}
    stands = summarize(virtual(), known(words, offering("a", "x"), offering("b", "x", "y")), START)
    later = START + timedelta(hours=1)
    assert summarize(virtual(stands), known(words), later) == stands
    partly = summarize(virtual(stands), known(words, offering("b", "z")), later)
    assert (partly.tool_count, partly.problems) == (3, ())
    assert [b.tool_count for b in partly.discovered_backends] == [1, 2]
    assert view(known(words, offering("a", "x")), virtual().spec.aggregation) is None


def test_a_backend_that_is_away_has_no_tools_and_the_others_keep_theirs() -> None:
    both = known({"a": "ready", "b": "ready"}, offering("a", "x"), offering("b", "y"))
    stands = summarize(virtual(), both, START)
    away = known({"a": "unavailable", "b": "ready"}, offering("b", "y"))
    found = summarize(virtual(stands), away, START)
    assert [b.tool_count for b in found.discovered_backends] == [0, 1]
    assert found.discovered_backends[0].message == "why"
    assert found.discovered_backends[0].tools_checksum != ""


def test_lists_that_belong_to_a_caller_are_not_counted() -> None:
    judgement = Judgement(
        "Ready", "AllBackendsRoutable", "m", (Backend("a", "unauthenticated", forwards=True),)
    )
    found = summarize(virtual(), Known(judgement, BASE, {"a"}), START)
    assert found.discovered_backends[0].listed == "per-caller"
    assert found.tool_count == 0


def test_clashes_drops_and_names_that_mean_nothing_are_told() -> None:
    config = virtual(
        strategy="none",
        tools={"a": {"overrides": {"nope": {"name": "n"}}}, "stranger": {"excludeAll": True}},
        priorityOrder=["b", "other"],
    )
    broken = catalog("b", Lists(tools=[b'{"name":"m"}', b'{"name":"x","inputSchema":{}}']))
    state = known({"a": "ready", "b": "ready"}, offering("a", "x"), broken, failures={"b": "slow"})
    found = summarize(config, state, START)
    assert found.problems == (
        "b: its lists cannot be had: slow",
        "spec.aggregation.priorityOrder: server other is not in the group",
        "spec.aggregation.tools.a.overrides: a has no tool nope.",
        "spec.aggregation.tools.stranger: server stranger is not in the group",
        "tool a/x: several have it, and none comes first: a (x), b (x)",
        "tool b/m: it has no inputSchema",
        "tool b/x: several have it, and none comes first: a (x), b (x)",
    )
    told = happenings(config, found, {})
    assert {each.message for each in told if each.reason == "ToolProblem"} == set(found.problems)
    again = config.model_copy(update={"status": found})
    assert happenings(again, summarize(again, state, START), {}) == ()


def test_a_name_that_means_nothing_stays_told_while_backends_come_and_go() -> None:
    config = virtual(priorityOrder=["other"])
    told = ("spec.aggregation.priorityOrder: server other is not in the group",)
    for word in ("ready", "unavailable", "unknown"):
        words: dict[str, Word] = {"a": word}
        assert summarize(config, known(words, offering("a", "x")), START).problems == told
    missing = Known(Judgement("Failed", "GroupNotFound", "m"), BASE)
    assert summarize(config, missing, START).problems == ()


def test_problems_have_a_limit() -> None:
    broken = catalog("a", Lists(tools=[b'{"name":"%d"}' % n for n in range(200)]))
    assert len(summarize(virtual(), known({"a": "ready"}, broken), START).problems) == PROBLEMS


def test_a_budget_of_tokens_is_a_condition_and_an_event_once() -> None:
    state = known({"a": "ready"}, offering("a", "x", description="d" * 400))
    tight, wide = virtual(tokenBudget=50), virtual(tokenBudget=5000)
    found = summarize(tight, state, START)
    (claim,) = [c for c in found.conditions if c.type == "TokenBudgetExceeded"]
    assert (claim.status, claim.reason) == ("True", "OverBudget")
    assert claim.message == (
        f"the list of tools costs about {found.estimated_tokens} tokens; the budget is 50"
    )
    assert "TokenBudgetExceeded" in [each.reason for each in happenings(tight, found, {})]
    stands = virtual(found, tokenBudget=50)
    assert happenings(stands, summarize(stands, state, START), {}) == ()
    within = summarize(wide, state, START)
    assert [c.status for c in within.conditions if c.type == "TokenBudgetExceeded"] == ["False"]
    assert len(summarize(virtual(), state, START).conditions) == 3


def test_every_word_that_changes_is_an_event_with_its_reason() -> None:
    before = summarize(virtual(), known({"a": "ready", "b": "ready", "c": "ready"}), START)
    after = known({"a": "unavailable", "b": "degraded", "d": "unauthenticated"})
    found = summarize(virtual(before), after, START)
    assert [(h.reason, h.message, h.warning) for h in happenings(virtual(before), found, {})] == [
        ("BackendUnavailable", "a is unavailable: why", True),
        ("BackendDegraded", "b is degraded: why", False),
        ("BackendUnauthenticated", "d is unauthenticated: why", False),
        ("BackendGone", "c is no backend any more", False),
        ("SomeBackendsUnhealthy", "words", False),
    ]


def test_a_tool_that_changed_is_told_by_name() -> None:
    first = known({"a": "ready"}, offering("a", "x", "y"))
    stands = summarize(virtual(), first, START)
    second = known({"a": "ready"}, offering("a", "x", "y", description="other"))
    changes = tool_changes(virtual(stands), first.tools, second)
    assert changes == {"a": ("x", "y")}
    assert [h.message for h in happenings(virtual(stands), stands, changes)] == [
        "a/x: its description or schema is not what it was",
        "a/y: its description or schema is not what it was",
    ]
    assert tool_changes(virtual(stands), second.tools, second) == {}


def test_after_a_restart_a_change_is_still_found() -> None:
    first = known({"a": "ready"}, offering("a", "x"))
    stands = summarize(virtual(), first, START)
    second = known({"a": "ready"}, offering("a", "x", description="other"))
    assert tool_changes(virtual(stands), {}, first) == {}
    changes = tool_changes(virtual(stands), {}, second)
    assert [(h.reason, h.message) for h in happenings(virtual(stands), stands, changes)] == [
        ("ToolChanged", "tools of a are not what they were when Mooring ended")
    ]
    assert tool_changes(virtual(), {}, second) == {}


def test_the_checksum_is_of_what_clients_are_served_by() -> None:
    one = summarize(virtual(), known({"a": "ready", "b": "ready"}), START).checksum
    assert summarize(virtual(), known({"b": "degraded", "a": "ready"}), START).checksum == one
    assert summarize(virtual(), known({"a": "ready"}), START).checksum != one
    assert (
        summarize(virtual(strategy="none"), known({"a": "ready", "b": "ready"}), START).checksum
        != one
    )


WORDS = st.dictionaries(
    st.sampled_from("abcde"),
    st.sampled_from(["ready", "degraded", "unavailable", "unauthenticated", "unknown"]),
)


@given(WORDS, st.randoms(use_true_random=False))
def test_the_same_world_in_any_order_is_the_same_status(words: Any, random: Any) -> None:
    catalogs = [offering(name, "x", "y") for name in words]
    stands = summarize(virtual(), known(words, *catalogs), START)
    shuffled = random.sample(list(words.items()), len(words))
    mixed = known(dict(shuffled), *random.sample(catalogs, len(catalogs)))
    assert summarize(virtual(stands), mixed, START + timedelta(days=1)) == stands
    assert happenings(virtual(stands), stands, {}) == ()
