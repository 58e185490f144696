"""The name of an object.

An object is known by its kind, its namespace and its name. `Ref` is that triple: hashable,
sortable, cheap, and printed as people write it (`server/time`, `server/team-a/time`).
"""

from dataclasses import dataclass

SHORT = {
    "MCPServer": "server",
    "MCPGroup": "group",
    "VirtualMCPServer": "vmcp",
    "Secret": "secret",
    "Event": "event",
}
"""What the command line calls each kind."""


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Which object is meant."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        word = SHORT.get(self.kind, self.kind.lower())
        inside = "" if self.namespace == "default" else f"{self.namespace}/"
        return f"{word}/{inside}{self.name}"
