"""The route table."""

import itertools
from typing import Any

import pytest

from mooring.core.address import Address
from mooring.core.table import Made, Table, build, paths_of
from mooring.kinds.group import MCPGroup
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer, ServerStatus
from mooring.kinds.virtual import VirtualMCPServer


def server(name: str, namespace: str = "default", *rows: dict[str, Any]) -> MCPServer:
    return MCPServer.model_validate(
        {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"source": {"command": ["x"]}, "replicas": 2},
            "status": {"instances": rows, "message": "Ready 1/2", "readyInstances": 1},
        }
    )


def row(uid: str, /, **changes: Any) -> dict[str, Any]:
    ready = {"state": "Ready", "health": "healthy", "address": f"http://127.0.0.1:80/{uid}"}
    return {"name": f"time-{uid}", "uid": uid} | ready | changes


def test_a_server_has_a_path_and_in_the_default_namespace_a_short_one() -> None:
    table = build([server("time"), server("time", "team")])
    assert sorted(table.by_path) == [
        "/ns/default/servers/time/mcp",
        "/ns/team/servers/time/mcp",
        "/servers/time/mcp",
    ]
    assert table.by_path["/servers/time/mcp"].ref == Ref("MCPServer", "default", "time")
    assert table.by_path["/ns/team/servers/time/mcp"].ref.namespace == "team"
    assert paths_of(Ref("MCPServer", "default", "time"))[0] == "/servers/time/mcp"


def test_instances_are_sorted_into_what_they_may_be_asked() -> None:
    rows = [
        row("a"),
        row("b", health="degraded"),
        row("c", health="unhealthy"),
        row("d", state="Draining"),
        row("e", health="unauthenticated"),
        row("f", state="Starting", health="unknown"),
    ]
    entry = build([server("time", "default", *rows)]).entries[0]
    assert [u.uid for u in entry.preferred] == ["a", "e"]
    assert [u.uid for u in entry.last_resort] == ["b"]
    assert sorted(entry.upstreams) == ["a", "b", "c", "d", "e", "f"]
    assert entry.upstreams["a"].address == Address("127.0.0.1", 80, "/a")
    assert entry.standing == entry.preferred
    assert (entry.wanted, entry.ready, entry.sentence) == (2, 1, "Ready 1/2")


@pytest.mark.parametrize("changes", [{"uid": ""}, {"address": ""}, {"address": "nonsense"}])
def test_what_cannot_be_reached_is_not_in_the_table(changes: dict[str, Any]) -> None:
    table = build([server("time", "default", row("a", **changes))])
    assert table.entries[0].upstreams == {}
    assert table.entries[0].standing == ()
    assert table.uids == frozenset()


def test_the_order_of_servers_does_not_matter() -> None:
    servers = [server("b", "default", row("1")), server("a"), server("a", "team")]
    tables = {build(order).entries.__repr__() for order in itertools.permutations(servers)}
    assert len(tables) == 1


def test_an_empty_table_serves_nothing() -> None:
    assert build([]) == Table()


def test_a_virtual_server_refers_to_the_entries_of_its_group() -> None:
    def of(name: str, **spec: Any) -> MCPServer:
        made = server(name, "default", row(name))
        wish = {"group": "tools", "auth": {"forward": ["X-Key", "Authorization"]}, **spec}
        document = made.document()
        document["spec"] |= wish
        return MCPServer.model_validate(document)

    group = MCPGroup.model_validate({"metadata": {"name": "tools"}})
    virtual = VirtualMCPServer.model_validate(
        {"metadata": {"name": "team", "uid": "u"}, "spec": {"group": "tools"}}
    )
    servers = [of("b"), of("a", stateful=False), of("c", replicas=0), server("d")]
    table = build(servers, [group], [virtual])
    (one,) = table.virtuals
    assert one.paths == ("/virtual/team/mcp", "/ns/default/virtual/team/mcp")
    assert set(table.virtual_by_path) == set(one.paths)
    assert list(one.backends) == ["a", "b"] == [each.name for each in one.judgement.backends]
    assert one.backends["a"] is table.by_path["/servers/a/mcp"]
    assert one.backends["a"].forward == (b"authorization", b"x-key")
    assert [one.backends[name].stateful for name in "ab"] == [False, True]
    assert (one.uid, one.judgement.phase) == ("u", "Ready")
    assert build(servers, [], [virtual]).virtuals[0].judgement.reason == "GroupNotFound"
    for order in itertools.permutations(servers):
        assert build(order, [group], [virtual]) == table


def test_entries_of_objects_that_did_not_change_are_taken_over() -> None:
    made: Made = {}
    one, other = server("time", "default", row("a")), server("other", "default", row("b"))
    first = build([one, other], made=made)
    changed = one.model_copy(update={"status": ServerStatus(phase="Failed")})
    second = build([other, changed], made=made)
    assert second == build([changed, other])
    by_ref = {entry.ref: entry for entry in second.entries}
    assert by_ref[other.ref] is first.by_path["/servers/other/mcp"]
    assert by_ref[one.ref].phase == "Failed"
    assert build([changed], made=made) == build([changed])
    assert set(made) == {one.ref}
