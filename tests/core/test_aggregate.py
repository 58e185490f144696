"""Many lists become one, whatever order they come in."""

import itertools
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.aggregate import View, merge
from mooring.core.aggregate_items import DROPS, Catalog, Lists, catalog
from mooring.kinds.virtual import Aggregation


def tool(name: str, **members: Any) -> bytes:
    return json.dumps({"name": name, "inputSchema": {"type": "object"}, **members}).encode()


def offering(server: str, *names: str, **lists: Any) -> Catalog:
    return catalog(server, Lists(tools=[tool(name) for name in names], **lists))


def config(**given: Any) -> Aggregation:
    return Aggregation.model_validate(given)


def shown(view: View) -> dict[str, str]:
    """Every tool that clients see, and which tool of whom that is."""
    return {each.name: f"{each.backend}/{each.original}" for each in view.tools.values()}


def hidden(view: View) -> list[tuple[str, str, str]]:
    return [(each.backend, each.name, each.reason) for each in view.hidden]


GITHUB = offering("github", "search", "list")
JIRA = offering("jira", "search", "create")


def test_with_a_prefix_names_of_several_servers_never_meet() -> None:
    view = merge([JIRA, GITHUB], config())
    assert shown(view) == {
        "github_list": "github/list",
        "github_search": "github/search",
        "jira_create": "jira/create",
        "jira_search": "jira/search",
    }
    assert list(view.tools) == sorted(view.tools)
    assert json.loads(view.tools["jira_search"].raw)["name"] == "jira_search"
    assert view.hidden == ()


def test_by_priority_the_first_server_has_the_name_and_the_others_are_told_why() -> None:
    view = merge([GITHUB, JIRA], config(strategy="priority", priorityOrder=["jira"]))
    assert shown(view) == {
        "create": "jira/create", "list": "github/list", "search": "jira/search",
    }  # fmt: skip
    (lost,) = view.hidden
    assert (lost.backend, lost.name, lost.reason) == ("github", "search", "Lost")
    assert lost.message == "jira has search: it comes first"


def test_servers_without_a_priority_come_last_by_name() -> None:
    many = [offering(name, "x") for name in "dcba"]
    view = merge(many, config(strategy="priority", priorityOrder=["zzz", "c", "c"]))
    assert shown(view) == {"x": "c/x"}
    without = merge(many[::2], config(strategy="priority", priorityOrder=["c"]))
    assert shown(without) == {"x": "b/x"}


@pytest.mark.parametrize("strategy", ["none", "manual"])
def test_a_clash_drops_all_who_have_the_name_and_nothing_else(strategy: str) -> None:
    view = merge([GITHUB, JIRA], config(strategy=strategy))
    assert shown(view) == {"create": "jira/create", "list": "github/list"}
    assert hidden(view) == [("github", "search", "Clash"), ("jira", "search", "Clash")]
    assert view.hidden[0].message == (
        "several have it, and none comes first: github (search), jira (search)"
    )


def test_the_manual_map_decides_a_clash_and_gives_names() -> None:
    view = merge(
        [GITHUB, JIRA],
        config(
            strategy="manual",
            manual={
                "search": {"server": "jira", "tool": "search"},
                "find": {"server": "github", "tool": "search"},
                "make": {"server": "jira", "tool": "create"},
                "also": {"server": "jira", "tool": "create"},
            },
        ),
    )
    assert shown(view) == {
        "also": "jira/create", "find": "github/search", "list": "github/list",
        "make": "jira/create", "search": "jira/search",
    }  # fmt: skip
    assert view.hidden == ()


def test_a_tool_cannot_take_a_name_that_the_manual_map_gives_to_another() -> None:
    given = config(strategy="manual", manual={"list": {"server": "jira", "tool": "create"}})
    view = merge([GITHUB, JIRA], given)
    assert shown(view)["list"] == "jira/create"
    (lost,) = [each for each in view.hidden if each.reason == "Lost"]
    assert (lost.backend, lost.name) == ("github", "list")
    assert lost.message == "jira has the name list for its create: the manual map says so"


def test_filters_hold_and_say_why() -> None:
    rules = {"github": {"filter": ["se*"]}, "jira": {"excludeAll": True}}
    view = merge([GITHUB, JIRA, offering("time", "now")], config(tools=rules))
    assert list(view.tools) == ["github_search", "time_now"]
    assert hidden(view) == [
        ("github", "list", "Filtered"), ("jira", "create", "Excluded"),
        ("jira", "search", "Excluded"),
    ]  # fmt: skip


def test_where_nothing_is_visible_by_default_a_filter_or_the_map_shows_it() -> None:
    view = merge(
        [GITHUB, JIRA, offering("time", "now")],
        config(
            strategy="manual",
            manual={"make": {"server": "jira", "tool": "create"}},
            tools={"github": {"filter": ["list"]}},
            defaultToolVisibility="deny",
        ),
    )
    assert sorted(view.tools) == ["list", "make"]
    assert ("time", "now", "NotVisible") in hidden(view)
    assert ("github", "search", "Filtered") in hidden(view)


def test_a_filter_is_stronger_than_the_map() -> None:
    given = config(
        strategy="manual",
        manual={"find": {"server": "github", "tool": "search"}},
        tools={"github": {"filter": ["list"]}},
    )
    assert list(merge([GITHUB], given).tools) == ["list"]


def test_names_and_descriptions_are_overridden_and_nothing_else() -> None:
    rules = {"overrides": {"search": {"name": "look_for", "description": "Looks."}}}
    view = merge([GITHUB, JIRA], config(tools={"github": rules}))
    assert shown(view)["look_for"] == "github/search"
    assert json.loads(view.tools["look_for"].raw) == {
        "name": "look_for", "inputSchema": {"type": "object"}, "description": "Looks.",
    }  # fmt: skip
    plain = merge([GITHUB], config(tools={"github": {"overrides": {"list": {"description": "L"}}}}))
    assert json.loads(plain.tools["github_list"].raw)["description"] == "L"


def test_an_override_that_takes_a_taken_name_is_a_clash() -> None:
    rules = {"overrides": {"search": {"name": "jira_search"}}}
    view = merge([GITHUB, JIRA], config(tools={"github": rules}))
    assert "jira_search" not in view.tools
    assert [reason for *_, reason in hidden(view)] == ["Clash", "Clash"]


def test_prompts_are_named_like_tools_and_filters_are_not_for_them() -> None:
    prompts = [json.dumps({"name": "review"}).encode()]
    one, two = offering("a", prompts=prompts), offering("b", prompts=prompts)
    excluded = {"a": {"excludeAll": True, "filter": ["none"]}}
    assert sorted(merge([one, two], config(tools=excluded)).prompts) == ["a_review", "b_review"]
    first = merge([one, two], config(strategy="priority", priorityOrder=["b"]))
    assert first.prompts["review"].backend == "b"
    none = merge([one, two], config(strategy="none"))
    assert none.prompts == {}
    assert [(each.kind, each.reason) for each in none.hidden] == [("prompt", "Clash")] * 2


def resource(uri: str, key: str = "uri") -> bytes:
    return json.dumps({key: uri, "name": "n"}).encode()


def test_a_resource_belongs_to_the_first_server_under_its_own_uri() -> None:
    one = offering("a", resources=[resource("x://1"), resource("x://2")])
    two = offering("b", resources=[resource("x://2")])
    view = merge([two, one], config())
    assert [(uri, each.backend) for uri, each in view.resources.items()] == [
        ("x://1", "a"), ("x://2", "a"),
    ]  # fmt: skip
    assert view.resources["x://1"].raw == b'{"uri":"x://1","name":"n"}'
    assert merge([one, two], config(priorityOrder=["b"])).resources["x://2"].backend == "b"
    assert hidden(view) == [("b", "x://2", "Lost")]


def test_a_uri_is_read_where_it_is_listed_else_where_one_template_stands_for_it() -> None:
    one = offering(
        "a",
        resources=[resource("x://1")],
        templates=[resource("x://{id}", "uriTemplate"), resource("y://{id}", "uriTemplate")],
    )
    two = offering("b", templates=[resource("x://{n}", "uriTemplate")])
    view = merge([one, two], config())
    assert view.readers("x://1") == ("a",)
    assert view.readers("y://1") == ("a",)
    assert view.readers("x://7") == ("a", "b")
    assert view.readers("z://7") == ()


def test_names_that_the_configuration_has_and_nobody_else_are_told() -> None:
    given = config(
        strategy="manual",
        manual={"m": {"server": "jira", "tool": "creat"}, "n": {"server": "away", "tool": "x"}},
        tools={
            "github": {"filter": ["serach", "l*"], "overrides": {"lst": {"name": "x"}}},
            "away": {"filter": ["y"]},
        },
    )
    assert merge([GITHUB, JIRA], given).unmatched == (
        "manual.m: jira has no tool creat. Did you mean create?",
        "tools.github.filter: github has no tool serach. Did you mean search?",
        "tools.github.overrides: github has no tool lst. Did you mean list?",
    )


def test_tokens_are_estimated_from_what_a_model_reads() -> None:
    text = tool("t", description="d" * 398, annotations={"title": "x" * 1000})
    view = merge([catalog("a", Lists(tools=[text]))], config())
    assert view.tools["a_t"].tokens == -(-(len("a_t") + 400 + len('{"type": "object"}')) // 4)
    assert view.tokens() == {"a": view.tools["a_t"].tokens}
    assert merge([GITHUB, JIRA], config()).tokens().keys() == {"github", "jira"}


NAMES = st.sampled_from(["a", "b", "c", "a.b", "d" * 70, "search"])
SERVERS = ["alpha", "beta", "gamma", "a", "b"]
OVERRIDES = st.dictionaries(
    NAMES, st.fixed_dictionaries({}, optional={"name": st.sampled_from("abc")}), max_size=2
)
RULES = st.dictionaries(
    st.sampled_from(SERVERS),
    st.fixed_dictionaries(
        {}, optional={"filter": st.lists(NAMES, max_size=2), "excludeAll": st.booleans(),
                      "overrides": OVERRIDES},
    ),
    max_size=3,
)  # fmt: skip
CONFIGS = st.one_of(
    st.fixed_dictionaries(
        {"strategy": st.sampled_from(["prefix", "none"])},
        optional={"tools": RULES, "defaultToolVisibility": st.sampled_from(["allow", "deny"])},
    ),
    st.fixed_dictionaries(
        {"strategy": st.just("priority"),
         "priorityOrder": st.lists(st.sampled_from(SERVERS), min_size=1, unique=True)},
        optional={"tools": RULES},
    ),
    st.fixed_dictionaries(
        {"strategy": st.just("manual"),
         "manual": st.dictionaries(
             st.sampled_from(["a", "x"]),
             st.fixed_dictionaries({"server": st.sampled_from(SERVERS), "tool": NAMES}),
         )},
        optional={"tools": RULES},
    ),
)  # fmt: skip
WORLD = st.dictionaries(st.sampled_from(SERVERS), st.lists(NAMES, max_size=5), max_size=5)


def world(offers: dict[str, list[str]]) -> list[Catalog]:
    return [
        offering(
            server, *names, prompts=[json.dumps({"name": name}).encode() for name in names],
            resources=[resource(f"x://{name}") for name in names],
        )
        for server, names in offers.items()
    ]  # fmt: skip


@given(WORLD, CONFIGS, st.randoms(use_true_random=False))
def test_every_order_of_discovery_gives_the_same_view(
    offers: dict[str, list[str]], given: dict[str, Any], random: Any
) -> None:
    expected = merge(world(offers), config(**given))
    mixed = {name: random.sample(offers[name], len(offers[name])) for name in offers}
    order = random.sample(list(mixed), len(mixed))
    found = merge(world({name: mixed[name] for name in order}), config(**given))
    assert found == expected
    assert list(found.tools.items()) == list(expected.tools.items())


@given(WORLD, CONFIGS)
def test_every_tool_is_shown_or_hidden_with_a_reason(
    offers: dict[str, list[str]], given: dict[str, Any]
) -> None:
    view = merge(world(offers), config(**given))
    seen = {(each.backend, each.original) for each in view.tools.values()}
    unseen = {(each.backend, each.name) for each in view.hidden if each.kind == "tool"}
    offered = {(server, name) for server, names in offers.items() for name in names}
    assert offered == seen | {pair for pair in unseen if pair in offered}
    for name, each in view.tools.items():
        assert json.loads(each.raw)["name"] == name == each.name
        assert len(name) <= 64
    for one in view.hidden:
        assert one.message
        assert one.reason in DROPS or one.reason in ("Excluded", "Filtered", "NotVisible")


def test_five_servers_in_any_order_give_one_list() -> None:
    many = [offering(name, "x", "y") for name in SERVERS]
    lists = {
        tuple(each.raw for each in merge(order, config()).tools.values())
        for order in itertools.permutations(many)
    }
    assert len(lists) == 1


def test_a_thousand_tools_are_merged_within_five_milliseconds() -> None:
    many = [offering(f"s{at}", *(f"tool_{n}" for n in range(50))) for at in range(20)]
    took = []
    for _ in range(40):
        began = time.perf_counter()
        assert len(merge(many, config()).tools) == 1000
        took.append(time.perf_counter() - began)
    assert min(took) < 0.005
