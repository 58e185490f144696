"""An MCPGroup: servers that belong together.

A server says which group it is in (`spec.group`); the group lists its members.
"""

from typing import ClassVar, Literal

from mooring.kinds.base import API_VERSION, LabelledMeta, Object, Part


class GroupSpec(Part):
    """What is wanted."""

    description: str = ""
    """What the group is for."""


class GroupStatus(Part):
    """What is true."""

    servers: tuple[str, ...] = ()
    """Names of the member servers, sorted."""
    server_count: int = 0
    ready_servers: int = 0
    """Members whose phase is Ready."""
    observed_generation: int = 0
    """The generation of the spec that this is about."""


class MCPGroup(Object):
    """Servers that belong together."""

    plural: ClassVar[str] = "mcpgroups"

    api_version: Literal["mooring.dev/v1alpha1"] = API_VERSION
    kind: Literal["MCPGroup"] = "MCPGroup"
    metadata: LabelledMeta
    spec: GroupSpec = GroupSpec()
    status: GroupStatus = GroupStatus()
