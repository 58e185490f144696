"""Which kinds there are, and every name that one goes by."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mooring.kinds.base import Object
from mooring.kinds.event import Event
from mooring.kinds.group import MCPGroup
from mooring.kinds.secret import Secret
from mooring.kinds.server import MCPServer
from mooring.kinds.virtual import VirtualMCPServer


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of document. All kinds live in a namespace."""

    model: type[Object]
    short: tuple[str, ...] = ()
    """Short names, as Kubernetes has them: `mcps`."""
    words: tuple[str, ...] = ()
    """What people call it, one and many."""

    @property
    def name(self) -> str:
        """As documents spell it: `MCPServer`."""
        return str(self.model.model_fields["kind"].default)

    @property
    def api_version(self) -> str:
        """As documents spell it: `mooring.dev/v1alpha1`, or `v1`."""
        return str(self.model.model_fields["api_version"].default)

    @property
    def group(self) -> str:
        """The API group: `mooring.dev`; empty for Kubernetes' own kinds."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version within the group: `v1alpha1`."""
        return self.api_version.rpartition("/")[2]

    @property
    def plural(self) -> str:
        """As paths spell it: `mcpservers`."""
        return self.model.plural

    @property
    def singular(self) -> str:
        """`mcpserver`."""
        return self.name.lower()

    @property
    def has_status(self) -> bool:
        """Whether the status is written through a door of its own."""
        return "status" in self.model.model_fields

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that it goes by in paths and commands, in lower case."""
        return (self.plural, self.singular, *self.short, *self.words)


SERVER = Kind(MCPServer, short=("mcps",), words=("server", "servers"))
GROUP = Kind(MCPGroup, short=("mcpg",), words=("group", "groups"))
VIRTUAL = Kind(VirtualMCPServer, short=("vmcp",), words=("vmcps",))
SECRET = Kind(Secret)
EVENT = Kind(Event, short=("ev",))

KINDS = (SERVER, GROUP, VIRTUAL, SECRET, EVENT)
"""All kinds, in the order in which people look at them."""

BY_NAME: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in KINDS})
"""By the name in documents: `MCPServer`."""

_BY_WORD: Mapping[str, Kind] = MappingProxyType(
    {word: kind for kind in KINDS for word in kind.names}
)


def by_word(word: str) -> Kind | None:
    """The kind that goes by this plural, singular, short name or word, in any case."""
    return _BY_WORD.get(word.lower())
