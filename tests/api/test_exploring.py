"""What a virtual server is made of, asked of its backends now; and its tools and calls."""

from typing import Any

import pytest
from support.surface import Served, made, row, server

from mooring.kinds.ref import Ref

VIEW = "/apis/view.mooring.dev/v1alpha1/namespaces/default/virtualmcpservers/team"
TEAM = Ref("VirtualMCPServer", "default", "team")


def tool(name: str) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}}


@pytest.fixture
def team(api: Served) -> Served:
    head = {"apiVersion": "mooring.dev/v1alpha1"}
    aggregation = {"strategy": "priority", "priorityOrder": ["jira"]}
    api.put(made({**head, "kind": "MCPGroup", "metadata": {"name": "tools"}}))
    api.put(
        made(
            {
                **head,
                "kind": "VirtualMCPServer",
                "metadata": {"name": "team"},
                "spec": {"group": "tools", "aggregation": aggregation},
            }
        )
    )
    for name in ("github", "jira", "away"):
        state = "ERROR" if name == "away" else "Ready"
        found = api.put(server(name, group="tools"))
        api.report(found, instances=(row(f"{name}-0", state, message="exit 1"),))
    api.script.tools_of |= {"github": [tool("search"), tool("list")], "jira": [tool("search")]}
    return api


def test_every_tool_is_shown_with_its_owner_or_hidden_with_a_reason(team: Served) -> None:
    found = team.ask("GET", f"{VIEW}/view").document
    assert (found["kind"], found["metadata"]["name"]) == ("VirtualView", "team")
    assert {each["name"]: each["backend"] for each in found["items"]} == {
        "list": "github", "search": "jira",
    }  # fmt: skip
    (hidden,) = found["hidden"]
    assert (hidden["backend"], hidden["name"], hidden["reason"]) == ("github", "search", "Lost")
    assert {each["name"]: each["state"] for each in found["backends"]} == {
        "away": "unavailable", "github": "ready", "jira": "ready",
    }  # fmt: skip


def test_a_backend_that_does_not_answer_is_named_and_the_others_are_told(team: Served) -> None:
    team.script.refusing.add("jira")
    found = team.ask("GET", f"{VIEW}/view").document
    assert {each["name"]: each["backend"] for each in found["items"]} == {
        "list": "github", "search": "github",
    }  # fmt: skip
    failures = {each["name"]: each["failure"] for each in found["backends"]}
    assert failures == {"away": "", "github": "", "jira": "connection refused"}


def test_without_its_group_there_is_nothing_to_see(team: Served) -> None:
    team.run(team.store.delete(Ref("MCPGroup", "default", "tools")))
    found = team.ask("GET", f"{VIEW}/view").document
    assert (found["items"], found["backends"]) == ([], [])


def test_its_tools_and_calls_are_asked_of_itself(team: Served) -> None:
    team.script.tools_of["team"] = [tool("search")]
    team.script.results["search"] = {"content": []}
    assert team.ask("GET", f"{VIEW}/tools").document["items"] == [tool("search")]
    assert team.ask("POST", f"{VIEW}/call", {"tool": "search"}).document == {"content": []}
    assert [(ref, name) for ref, name, _ in team.script.calls] == [(TEAM, "search")]


def test_one_that_is_not_there_is_not_found(team: Served) -> None:
    for part in ("view", "tools"):
        answer = team.ask("GET", f"{VIEW.replace('team', 'nobody')}/{part}")
        assert answer.status == 404
        assert answer.document["message"] == "vmcp/nobody does not exist"
