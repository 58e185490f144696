"""Whatever state servers are in, everybody says the same of a virtual server.

Phase, counts, conditions, its pages, the pages of the gateway, what is listed and where calls go
are told in different places, to different people. Here all of them are asked about one world.
"""

import itertools
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.core.aggregate_items import Lists, catalog
from mooring.core.routing import Alone, Forward, route
from mooring.core.table import Table, Virtual, build
from mooring.core.virtual import backends_of, judge
from mooring.core.virtual_status import Known, summarize, view
from mooring.gateway import pages
from mooring.kinds.group import MCPGroup
from mooring.kinds.server import InstanceStatus, MCPServer
from mooring.kinds.virtual import VirtualMCPServer, VirtualStatus
from mooring.testing.clock import START

STATES = ["Pending", "Installing", "Starting", "Restarting", "CrashLoopBackOff", "ERROR",
          "Draining", "Ready", "Ready", "Ready", "Ready"]  # fmt: skip
HEALTHS = ["unknown", "healthy", "degraded", "unhealthy", "unauthenticated"]
ROWS = st.lists(
    st.tuples(st.sampled_from(STATES), st.sampled_from(HEALTHS), st.integers(0, 3)), max_size=3
)
SERVERS = st.lists(st.tuples(ROWS, st.booleans(), st.integers(0, 2), st.booleans()), max_size=5)
GROUP = MCPGroup.model_validate({"metadata": {"name": "tools"}})
TEAM = VirtualMCPServer.model_validate(
    {"metadata": {"name": "team"}, "spec": {"group": "tools", "aggregation": {"strategy": "none"}}}
)


def server(name: str, rows: Any, forwards: bool, replicas: int, member: bool) -> MCPServer:
    made = MCPServer.model_validate(
        {
            "metadata": {"name": name},
            "spec": {
                "source": {"command": ["x"]},
                "replicas": replicas,
                **({"group": "tools"} if member else {}),
                "auth": {"forward": ["Authorization"] if forwards else []},
            },
        }
    )
    instances = tuple(
        InstanceStatus(
            name=f"{name}-{at}", uid=f"{name}{at}", address=f"http://127.0.0.1:1/{name}{at}",
            state=state, health=health if state == "Ready" else "unknown", attempt_count=attempts,
        )
        for at, (state, health, attempts) in enumerate(rows)
    )  # fmt: skip
    return made.model_copy(
        update={"status": made.status.model_copy(update={"instances": instances})}
    )


def known(servers: list[MCPServer], present: bool) -> Known:
    members = backends_of("default", "tools", servers) if present else None
    catalogs = {
        name: catalog(name, Lists(tools=[b'{"name":"of_%s","inputSchema":{}}' % name.encode()]))
        for name in (each.metadata.name for each in servers)
    }
    names = {each.metadata.name for each in servers}
    return Known(judge("tools", members), "http://h", names, catalogs)


@settings(max_examples=300)
@given(SERVERS, st.booleans())
def test_everybody_says_the_same(given: Any, present: bool) -> None:
    servers = [server(name, *each) for name, each in zip("abcde", given, strict=False)]
    table = build(servers, [GROUP] if present else [], [TEAM])
    (virtual,) = table.virtuals
    facts = known(servers, present)
    status = summarize(TEAM, facts, START)
    page = json.loads(pages.status(table))
    check_counts(status, virtual)
    check_conditions(status)
    check_pages(status, page, table)
    check_lists(status, facts, virtual)


def check_counts(status: VirtualStatus, virtual: Virtual) -> None:
    words = {each.name: each.state for each in status.discovered_backends}
    assert words == {each.name: each.word for each in virtual.judgement.backends}
    routable = [name for name, word in words.items() if word in ("ready", "unauthenticated")]
    preferred = [name for name, entry in virtual.backends.items() if entry.preferred]
    assert status.backend_count == len(routable) == len(preferred)
    assert routable == preferred
    for name, entry in virtual.backends.items():
        found = route(entry, Alone(), {}, 0)
        assert isinstance(found, Forward) == (
            words[name] in ("ready", "unauthenticated", "degraded")
        )


def check_conditions(status: VirtualStatus) -> None:
    said = {each.type: each.status == "True" for each in status.conditions}
    assert said["Ready"] == (status.phase == "Ready")
    assert said["Degraded"] == (status.phase == "Degraded")
    assert said["BackendsDiscovered"] or status.phase == "Failed"
    assert (status.phase == "Ready") == (
        said["BackendsDiscovered"] and status.backend_count == len(status.discovered_backends)
    )


def check_pages(status: VirtualStatus, page: Any, table: Table) -> None:
    (told,) = page["virtual"]
    assert told["healthy"] == (status.phase in ("Ready", "Degraded"))
    assert (told["phase"], told["message"]) == (status.phase, status.message)
    assert told["backendCount"] == status.backend_count
    assert {each["name"]: each["state"] for each in told["backends"]} == {
        each.name: each.state for each in status.discovered_backends
    }
    code, body = pages.readiness(table)
    waiting = {each["name"] for each in json.loads(body)["notReady"]}
    assert ("team" in waiting) == (not told["healthy"])
    assert not waiting & {each["name"] for each in told["backends"]}
    assert (code == 200) == page["healthy"] == (not waiting)


def check_lists(status: VirtualStatus, facts: Known, virtual: Virtual) -> None:
    seen = view(facts, TEAM.spec.aggregation)
    assert seen is not None
    for tool in seen.tools.values():
        assert isinstance(route(virtual.backends[tool.backend], Alone(), {}, 0), Forward)
    shown = {tool.backend for tool in seen.tools.values()}
    assert shown == {each.name for each in status.discovered_backends if each.tool_count}
    for each in status.discovered_backends:
        forwards = bool(virtual.backends[each.name].forward)
        assert (each.name in shown) == (each.state in ("ready", "degraded") and not forwards)
        assert (each.listed == "per-caller") == (
            forwards and each.state in ("ready", "degraded", "unauthenticated")
        )


def test_a_virtual_server_has_pages_of_its_own(world: Any, run: Any) -> None:
    async def story() -> None:
        async with world() as w:
            ready = ([("Ready", "healthy", 0)], False, 1, True)
            broken = ([("ERROR", "unhealthy", 1)], False, 1, True)
            both = [server("a", *ready), server("b", *broken)]
            w.gateway.swap(build(both, [GROUP], [TEAM]))
            said = await w.ask(method="GET", path="/virtual/team/status")
            assert said.status == 200
            assert said.json == {
                "namespace": "default", "name": "team", "phase": "Degraded", "virtual": True,
                "healthy": True, "path": "/virtual/team/mcp", "reason": "SomeBackendsUnhealthy",
                "message": "1/2 backends routable, 1 unavailable (b)", "backendCount": 1,
                "backends": [
                    {"name": "a", "state": "ready"}, {"name": "b", "state": "unavailable"},
                ],
            }  # fmt: skip
            for path in ("/virtual/team/readyz", "/ns/default/virtual/team/readyz", "/readyz"):
                assert (await w.ask(method="GET", path=path)).status == 200
            w.gateway.swap(build(both[1:], [GROUP], [TEAM]))
            for path in ("/virtual/team/readyz", "/readyz"):
                assert (await w.ask(method="GET", path=path)).status == 503
            said = await w.ask(method="GET", path="/virtual/team/status")
            assert (said.status, said.json["healthy"]) == (200, False)
            assert (await w.ask(method="GET", path="/virtual/other/status")).status == 404
            assert (await w.ask(b"{}", path="/virtual/team/status")).status == 405

    run(story())


def test_in_every_order_the_table_and_the_status_are_the_same() -> None:
    rows = [[("Ready", health, 0)] for health in ("healthy", "degraded", "unauthenticated")]
    servers = [server(n, r, False, 1, True) for n, r in zip("abc", rows, strict=True)]
    found = set()
    for order in itertools.permutations(servers):
        status = summarize(TEAM, known(list(order), True), START)
        found.add((pages.status(build(order, [GROUP], [TEAM])), status.model_dump_json()))
    assert len(found) == 1
