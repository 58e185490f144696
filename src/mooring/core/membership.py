"""Which servers a group has."""

from collections.abc import Iterable

from mooring.core.health import best
from mooring.kinds.group import GroupStatus, MCPGroup
from mooring.kinds.server import MCPServer


def membership(group: MCPGroup, servers: Iterable[MCPServer]) -> GroupStatus:
    """The status of a group; servers of other groups and namespaces are passed over."""
    members = sorted((s for s in servers if _belongs(s, group)), key=lambda s: s.metadata.name)
    return GroupStatus(
        servers=tuple(member.metadata.name for member in members),
        server_count=len(members),
        ready_servers=sum(best(member.status.instances) == "preferred" for member in members),
        observed_generation=group.metadata.generation,
    )


def _belongs(server: MCPServer, group: MCPGroup) -> bool:
    mine = server.metadata.namespace == group.metadata.namespace
    return mine and server.spec.group == group.metadata.name
