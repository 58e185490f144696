"""Which servers a group has."""

from typing import Any

from mooring.core.membership import membership
from mooring.kinds.group import GroupStatus, MCPGroup
from mooring.kinds.server import InstanceStatus, MCPServer
from mooring.testing.stage import server

CORE = MCPGroup.model_validate({"metadata": {"name": "core", "generation": 4}})


def member(name: str, *, ready: bool = False, namespace: str = "default", **spec: Any) -> MCPServer:
    found = server(name, **{"group": "core", **spec})
    row = InstanceStatus(name=f"{name}-0", state="Ready", health="healthy")
    status = found.status.model_copy(update={"instances": (row,) if ready else ()})
    meta = found.metadata.model_copy(update={"namespace": namespace})
    return found.model_copy(update={"status": status, "metadata": meta})


def test_members_are_sorted_and_counted() -> None:
    found = membership(CORE, [member("time", ready=True), member("files"), member("notes")])
    assert found == GroupStatus(
        servers=("files", "notes", "time"), server_count=3, ready_servers=1, observed_generation=4
    )


def test_servers_of_other_groups_and_namespaces_are_passed_over() -> None:
    others = [member("a", group="other"), member("b", group=None), member("c", namespace="team")]
    assert membership(CORE, others).servers == ()
