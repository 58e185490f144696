"""Which stored kinds the API serves, and what may be done with each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring.core.naming import BY_KIND, Naming
from mooring.kinds.base import Object
from mooring.kinds.event import Event
from mooring.kinds.group import MCPGroup
from mooring.kinds.secret import Secret
from mooring.kinds.server import MCPServer
from mooring.kinds.virtual import VirtualMCPServer

Document = Mapping[str, Any]


def _named(document: Document) -> dict[str, str]:
    metadata = document["metadata"]
    return {"metadata.name": metadata["name"], "metadata.namespace": metadata["namespace"]}


def _involving(event: Document) -> dict[str, str]:
    about = event.get("involvedObject") or {}
    mine = {
        f"involvedObject.{key}": str(about.get(key, ""))
        for key in ("apiVersion", "kind", "namespace", "name", "uid")
    }
    source = (event.get("source") or {}).get("component", "")
    said = {key: str(event.get(key, "")) for key in ("type", "reason")}
    return _named(event) | mine | said | {"source": str(source)}


@dataclass(frozen=True, slots=True)
class Exposed:
    """A kind, as the API serves it."""

    naming: Naming
    model: type[Object]
    declared: bool = True
    """People declare it; else it is only looked at, because only controllers write it."""
    fields: Callable[[Document], Mapping[str, str]] = field(default=_named)
    """What a field selector can ask about one object."""

    @property
    def api_version(self) -> str:
        """As documents of the kind say it."""
        return self.naming.path.removeprefix("/apis/").removeprefix("/api/")


EXPOSED = (
    Exposed(BY_KIND["MCPServer"], MCPServer),
    Exposed(BY_KIND["MCPGroup"], MCPGroup),
    Exposed(BY_KIND["VirtualMCPServer"], VirtualMCPServer),
    Exposed(BY_KIND["Secret"], Secret),
    Exposed(BY_KIND["Event"], Event, declared=False, fields=_involving),
)

BY_KIND_EXPOSED = {exposed.naming.kind: exposed for exposed in EXPOSED}
