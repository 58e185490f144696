"""What a gateway on another machine makes of the table."""

from typing import Any

from mooring.core.elsewhere import from_elsewhere
from mooring.core.identity import ANONYMOUS
from mooring.core.routing import Alone, Forward, Opening, Pinned, Reject, route
from mooring.core.table import Entry, Table, build
from mooring.kinds.group import MCPGroup
from mooring.kinds.server import MCPServer
from mooring.kinds.virtual import VirtualMCPServer


def server(name: str, source: dict[str, Any], *addresses: str) -> MCPServer:
    rows = [
        {"name": f"{name}-{n}", "uid": f"{name}{n}", "state": "Ready", "health": "healthy",
         "address": address}
        for n, address in enumerate(addresses)
    ]  # fmt: skip
    return MCPServer.model_validate(
        {
            "apiVersion": "mooring.dev/v1alpha1",
            "kind": "MCPServer",
            "metadata": {"name": name},
            "spec": {"source": source, "replicas": len(rows)},
            "status": {"instances": rows, "message": "Ready 2/2"},
        }
    )


RUN = {"command": ["run"]}
LOCAL = server("local", RUN, "unix:///run/m/k.sock#/i/a", "http://127.0.0.1:4000/mcp")
MIXED = server("mixed", RUN, "http://localhost:4000/mcp", "http://10.0.0.7:4000/mcp")
FAR = server("far", {"url": "https://mcp.example.com/mcp"}, "https://mcp.example.com/mcp")


def seen(*servers: MCPServer) -> Table:
    return from_elsewhere(build(servers))


def entry(table: Table, name: str) -> Entry:
    return table.by_path[f"/servers/{name}/mcp"]


def pinned(found: Entry, uid: str) -> Pinned:
    return Pinned(found.ref, uid, ANONYMOUS, ANONYMOUS)


def test_what_is_not_local_is_as_it_was() -> None:
    assert entry(seen(FAR), "far") == entry(build([FAR]), "far")


def test_local_instances_take_no_work_and_the_reason_is_told() -> None:
    found = entry(seen(LOCAL), "local")
    for ask in (Opening(), Alone()):
        way = route(found, ask, {}, 0)
        assert isinstance(way, Reject)
        assert (way.status, way.reason) == (503, "NotRoutableHere")
        assert "2 instances can be reached on its own machine only" in way.message


def test_new_work_goes_to_those_that_can_be_reached() -> None:
    found = entry(seen(MIXED), "mixed")
    ways = [route(found, Opening(), {}, turn) for turn in range(4)]
    assert {way.to.uid for way in ways if isinstance(way, Forward)} == {"mixed1"}


def test_a_session_that_is_out_of_reach_is_not_lost() -> None:
    table = seen(MIXED)
    found = entry(table, "mixed")
    way = route(found, pinned(found, "mixed0"), {}, 0)
    assert isinstance(way, Reject)
    assert (way.status, way.reason) == (503, "NotRoutableHere")
    lost = route(found, pinned(found, "nobody"), {}, 0)
    assert isinstance(lost, Reject)
    assert (lost.status, lost.reason) == (404, "SessionLost")
    assert "mixed0" in table.uids


def test_virtual_servers_see_the_same() -> None:
    head = {"apiVersion": "mooring.dev/v1alpha1", "metadata": {"name": "team"}}
    declared = VirtualMCPServer.model_validate(
        {**head, "kind": "VirtualMCPServer", "spec": {"group": "team"}}
    )
    group = MCPGroup.model_validate({**head, "kind": "MCPGroup"})
    member = LOCAL.model_copy(update={"spec": LOCAL.spec.model_copy(update={"group": "team"})})
    table = from_elsewhere(build([member], [group], [declared]))
    (backend,) = table.virtual_by_path["/virtual/team/mcp"].backends.values()
    assert backend is entry(table, "local")
    assert backend.elsewhere == {"local0", "local1"}
