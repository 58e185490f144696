"""Why a tool is shown, or is not."""

from typing import Any

from mooring.core.aggregate import merge
from mooring.core.aggregate_items import Catalog, Lists, catalog
from mooring.core.virtual import Backend, Judgement
from mooring.core.virtual_view import document
from mooring.core.visibility import backends, explain, nearest, unknown
from mooring.kinds.virtual import Aggregation


def offering(server: str, *names: str) -> Catalog:
    return catalog(server, Lists([b'{"name":"%s","inputSchema":{}}' % n.encode() for n in names]))


def told(catalogs: list[Catalog], failures: dict[str, str] | None = None, **given: Any) -> Any:
    view = merge(catalogs, Aggregation.model_validate(given))
    backends = (
        Backend("github", "ready"),
        Backend("jira", "degraded", "slow"),
        Backend("mail", "unauthenticated", "login", forwards=True),
        Backend("time", "unavailable", "exit 1"),
        Backend("wiki", "unauthenticated", "login"),
    )
    judgement = Judgement("Degraded", "SomeBackendsUnhealthy", "m", backends)
    return document(judgement, view, failures or {})


GITHUB, JIRA = offering("github", "search", "list"), offering("jira", "search")


def test_the_owner_is_told_and_who_lost_and_why() -> None:
    view = told([GITHUB, JIRA], strategy="priority", priorityOrder=["jira"])
    assert list(explain("search", "vmcp/team", view)) == [
        "vmcp/team has search: it is jira/search",
        "vmcp/team does not show github/search (Lost): jira has search: it comes first",
    ]


def test_a_tool_is_found_by_what_its_server_calls_it_too() -> None:
    view = told([GITHUB, JIRA])
    assert list(explain("search", "vmcp/team", view)) == [
        "vmcp/team has github_search: it is github/search",
        "vmcp/team has jira_search: it is jira/search",
    ]
    assert list(explain("jira_search", "vmcp/team", view)) == [
        "vmcp/team has jira_search: it is jira/search"
    ]


def test_a_filter_is_named_and_so_is_a_name_that_means_nothing() -> None:
    view = told([GITHUB], tools={"github": {"filter": ["lst", "search"]}})
    assert list(explain("list", "vmcp/team", view)) == [
        "vmcp/team does not show github/list (Filtered): the filter of its server does not name it"
    ]
    assert list(explain("search", "vmcp/team", view)) == [
        "vmcp/team has github_search: it is github/search"
    ]
    assert view["unmatched"] == ["tools.github.filter: github has no tool lst. Did you mean list?"]


def test_a_tool_that_nobody_has_is_no_story_but_a_near_one_is_offered() -> None:
    view = told([GITHUB, JIRA])
    assert list(explain("serach", "vmcp/team", view)) == []
    assert nearest("serach", [view]) == " Did you mean search?"
    assert nearest("x" * 20, [view]) == ""


def test_backends_that_say_nothing_are_named_with_the_reason() -> None:
    view = told([GITHUB], {"jira": "timed out after 10 s"})
    assert list(unknown("vmcp/team", view)) == [
        "vmcp/team: jira does not say what it has: timed out after 10 s",
        "vmcp/team: the tools of mail are asked for each caller anew",
        "vmcp/team: the tools of time are not listed, it is unavailable: exit 1",
        "vmcp/team: the tools of wiki are not listed, it is unauthenticated: login",
    ]


def test_a_virtual_server_is_explained_by_its_backends() -> None:
    virtual = {
        "status": {
            "phase": "Degraded",
            "message": "1/2 backends routable, 1 unavailable (time)",
            "discoveredBackends": [
                {"name": "github", "state": "ready", "message": ""},
                {"name": "time", "state": "unavailable", "message": "exit 1"},
            ],
            "problems": ["tool a/x: it has no inputSchema"],
        }
    }
    assert backends("vmcp/team", virtual) == [
        "vmcp/team: 1/2 backends routable, 1 unavailable (time)",
        "server/github is ready",
        "server/time is unavailable: exit 1",
        "  To see why: moor why server time",
        "problem: tool a/x: it has no inputSchema",
    ]
    assert backends("vmcp/team", {"status": {}}) == ["vmcp/team: nobody has looked at it yet"]
    missing = {"status": {"phase": "Failed", "message": "group x does not exist"}}
    assert backends("vmcp/t", missing)[1] == (
        "  To declare it: moor apply -f FILE, with kind: MCPGroup"
    )
