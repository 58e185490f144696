"""What each kind is called: in paths, in documents, by people.

The API answers under these names and the command line understands them; both read this table.
"""

from dataclasses import dataclass

GROUP_PATH = "/apis/mooring.dev/v1alpha1"
CORE_PATH = "/api/v1"
VIEW_PATH = "/apis/view.mooring.dev/v1alpha1"


@dataclass(frozen=True, slots=True)
class Naming:
    """The names of one kind."""

    kind: str
    word: str
    """What people call it: `server`."""
    plural: str
    """Its name in paths: `mcpservers`."""
    path: str
    """Where its API group begins."""
    aliases: tuple[str, ...] = ()
    """Further names, as `kubectl get` takes them."""

    @property
    def words(self) -> tuple[str, ...]:
        """Everything that it answers to, in lower case."""
        return (self.word, f"{self.word}s", self.kind.lower(), self.plural, *self.aliases)


NAMINGS = (
    Naming("MCPServer", "server", "mcpservers", GROUP_PATH, ("mcps",)),
    Naming("MCPGroup", "group", "mcpgroups", GROUP_PATH, ("mcpg",)),
    Naming("VirtualMCPServer", "vmcp", "virtualmcpservers", GROUP_PATH, ("vmcp",)),
    Naming("Secret", "secret", "secrets", CORE_PATH),
    Naming("Event", "event", "events", CORE_PATH, ("ev",)),
    Naming("MCPInstance", "instance", "mcpinstances", VIEW_PATH, ("inst",)),
)

BY_KIND = {naming.kind: naming for naming in NAMINGS}
BY_WORD = {word: naming for naming in NAMINGS for word in naming.words}


def label(kind: str, namespace: str, name: str) -> str:
    """An object as people write it: `server/time`, `server/team-a/time`."""
    word = BY_KIND[kind].word if kind in BY_KIND else kind.lower()
    inside = "" if namespace in ("", "default") else f"{namespace}/"
    return f"{word}/{inside}{name}"
