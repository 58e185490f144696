"""Virtual servers and groups on the command line."""

import json
import re
from typing import Any

import pytest
from support.surface import Served, made, row, server

from mooring.kinds.virtual import DiscoveredBackend, VirtualStatus

Moor = Any
HEAD = {"apiVersion": "mooring.dev/v1alpha1"}


def tool(name: str) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, "description": f"Does {name}."}


@pytest.fixture
def team(api: Served) -> Served:
    """A virtual server over three servers, of which one is away."""
    aggregation = {"strategy": "priority", "priorityOrder": ["jira"], "tokenBudget": 100}
    spec = {"group": "tools", "aggregation": aggregation}
    api.put(made({**HEAD, "kind": "MCPGroup", "metadata": {"name": "tools"}}))
    held = api.put(
        made({**HEAD, "kind": "VirtualMCPServer", "metadata": {"name": "team"}, "spec": spec})
    )
    condition = {
        "type": "Ready", "status": "False", "reason": "SomeBackendsUnhealthy", "message": "m",
        "last_transition_time": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    status = VirtualStatus(
        phase="Degraded",
        message="2/3 backends routable, 1 unavailable (away)",
        conditions=(condition,),
        backend_count=2,
        discovered_backends=(
            DiscoveredBackend(name="away", state="unavailable", message="exit 1"),
            DiscoveredBackend(
                name="github", state="ready", listed="shared", tool_count=1, hidden_tools=1,
                estimated_tokens=30,
            ),
            DiscoveredBackend(name="jira", state="unauthenticated", listed="per-caller"),
        ),
        tool_count=1,
        estimated_tokens=30,
        problems=("tool github/x: it has no inputSchema",),
        url="http://127.0.0.1:8470/virtual/team/mcp",
        observed_generation=held.metadata.generation,
    )  # fmt: skip
    api.run(api.store.report(held.model_copy(update={"status": status})))
    for name in ("github", "jira", "away"):
        state = "ERROR" if name == "away" else "Ready"
        api.report(
            api.put(server(name, group="tools")),
            phase="Failed" if name == "away" else "Ready",
            message="exit 1" if name == "away" else "Ready 1/1",
            instances=(row(f"{name}-0", state, message="exit 1"),),
        )
    api.script.tools_of |= {
        "github": [tool("search"), tool("list")],
        "jira": [tool("search")],
        "team": [tool("list"), tool("search")],
    }
    return api


def test_get_shows_backends_and_tools_and_wide_what_they_cost(team: Served, moor: Moor) -> None:
    assert moor("get", "vmcp").lines == [
        "NAME   BACKENDS   TOOLS   STATUS     AGE",
        "team   2/3        1       Degraded   3d",
    ]
    wide = moor("get", "vmcp", "team", "-o", "wide").lines
    heads = "NAME BACKENDS TOOLS STATUS AGE GROUP STRATEGY TOKENS URL MESSAGE"
    assert " ".join(wide[0].split()) == heads
    assert wide[1].split()[5:9] == [
        "tools", "priority", "30", "http://127.0.0.1:8470/virtual/team/mcp",
    ]  # fmt: skip
    assert moor("get", "virtualmcpservers", "-o", "name").out == "vmcp/team\n"


def test_describe_tells_of_each_backend(team: Served, moor: Moor) -> None:
    said = moor("describe", "vmcp", "team")
    assert (said.code, said.err) == (0, "")
    assert re.search(r"Message: +2/3 backends routable, 1 unavailable \(away\)", said.out)
    assert re.search(r"Tokens: +about 30, budget 100", said.out)
    table = said.out[said.out.index("Backends:\n") :].splitlines()[1:5]
    assert [line.split(maxsplit=6) for line in table] == [
        ["NAME", "STATUS", "TOOLS", "HIDDEN", "TOKENS", "MESSAGE"],
        ["away", "unavailable", "-", "-", "-", "exit", "1"],
        ["github", "ready", "1", "1", "30"],
        ["jira", "unauthenticated", "for", "each", "caller", "-", "-"],
    ]
    assert "  tool github/x: it has no inputSchema" in said.lines
    assert "SomeBackendsUnhealthy" in said.out
    assert said.lines[-1].startswith("Events:")


def test_describe_of_a_group_tells_of_its_members_and_what_is_made_of_them(
    team: Served, moor: Moor
) -> None:
    said = moor("describe", "group", "tools")
    members = said.out[said.out.index("Members:\n") :].splitlines()[1:5]
    assert [line.split() for line in members[1:]] == [
        ["away", "Failed", "exit", "1"],
        ["github", "Ready", "Ready", "1/1"],
        ["jira", "Ready", "Ready", "1/1"],
    ]
    assert re.search(r"team +Degraded +http://127.0.0.1:8470/virtual/team/mcp", said.out)


def test_why_a_tool_is_shown_or_not(team: Served, moor: Moor) -> None:
    said = moor("why", "tool", "search")
    assert (said.code, said.err) == (0, "")
    assert said.lines == [
        "vmcp/team has search: it is jira/search",
        "vmcp/team does not show github/search (Lost): jira has search: it comes first",
        "vmcp/team: the tools of away are not listed, it is unavailable: exit 1",
    ]
    assert moor("why", "tool", "search", "vmcp/team").lines == said.lines


def test_why_a_tool_that_nobody_has(team: Served, moor: Moor) -> None:
    said = moor("why", "tool", "serach")
    assert said.code == 3
    assert said.err.splitlines()[0] == (
        "Error: no backend of vmcp/team has a tool serach. Did you mean search?"
    )
    assert "the tools of away are not listed" in said.err
    assert moor("why", "tool").code == 2
    assert moor("why", "tool", "x", "server/github").code == 2
    assert moor("why", "tool", "x", "vmcp/nobody").code == 3


def test_why_without_any_virtual_server(fleet: Served, moor: Moor) -> None:
    said = moor("why", "tool", "now")
    assert (said.code, said.err) == (
        3, "Error: no virtual server is declared; a server shows all its tools\n",
    )  # fmt: skip


def test_why_a_virtual_server_is_as_it_is(team: Served, moor: Moor) -> None:
    said = moor("why", "vmcp/team")
    assert said.lines[0] == "vmcp/team: 2/3 backends routable, 1 unavailable (away)"
    assert "server/away is unavailable: exit 1" in said.lines


def test_its_tools_are_listed_and_called_like_those_of_a_server(team: Served, moor: Moor) -> None:
    assert moor("tools", "vmcp/team", "-o", "name").out == "list\nsearch\n"
    team.script.results["search"] = {"content": [{"type": "text", "text": "found"}]}
    assert moor("call", "vmcp/team", "search").out == "found\n"
    assert [str(ref) for ref, *_ in team.script.calls] == ["vmcp/team"]
    missing = moor("call", "vmcp/team", "serach")
    assert missing.code == 3
    assert "To see them: moor tools vmcp/team" in missing.err
    assert moor("tools", "group/tools").code == 2


def test_wait_edit_and_delete_are_for_it_too(team: Served, moor: Moor) -> None:
    late = moor("wait", "--for=condition=Ready", "vmcp/team", "--timeout", "0.1s")
    assert late.code == 4
    assert "2/3 backends routable" in late.err
    gone = moor("delete", "vmcp", "team")
    assert (gone.code, gone.out) == (0, "vmcp/team deleted\n")
    assert moor("get", "vmcp", "-o", "json").out == "[]\n"


def test_apply_takes_it_and_waits_for_it(team: Served, moor: Moor) -> None:
    again = {**HEAD, "kind": "VirtualMCPServer", "metadata": {"name": "team"},
             "spec": {"group": "other"}}  # fmt: skip
    assert moor("apply", "-f", "-", text=json.dumps(again)).out == "vmcp/team configured\n"
    late = moor("apply", "-f", "-", "--wait", "--timeout", "0.1s", text=json.dumps(again))
    assert late.code == 4
    wrong = {**again, "spec": {"group": "other", "aggregation": {"strategy": "prefx"}}}
    said = moor("apply", "-f", "-", text=json.dumps(wrong))
    assert said.code == 1
    assert "did you mean prefix?" in said.err
