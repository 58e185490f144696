"""The CustomResourceDefinitions of our own kinds, generated from the models.

What a cluster's API checks is then what our own API checks: types, limits, lists of choices,
"exactly one of", and which entries of a list are the same one. Rules that a schema cannot say
are checked by the operator.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mooring.kinds.base import LABEL, NAME_LENGTH
from mooring.kinds.registry import KINDS, Kind
from mooring.kinds.shape import inner
from mooring.kinds.structure import Schema, structural


def _column(name: str, path: str, kind: str = "string", **others: Any) -> Schema:
    return {"name": name, "type": kind, "jsonPath": path, **others}


_AGE = _column("Age", ".metadata.creationTimestamp", "date")
_COLUMNS: Mapping[str, list[Schema]] = MappingProxyType(
    {
        "MCPServer": [
            _column("Ready", ".status.readyInstances", "integer"),
            _column("Wanted", ".spec.replicas", "integer"),
            _column("Status", ".status.phase"),
            _AGE,
            _column("URL", ".status.url", priority=1),
            _column("Message", ".status.message", priority=1),
        ],
        "MCPGroup": [
            _column("Ready", ".status.readyServers", "integer"),
            _column("Servers", ".status.serverCount", "integer"),
            _AGE,
            _column("Description", ".spec.description", priority=1),
        ],
        "VirtualMCPServer": [
            _column("Group", ".spec.group"),
            _column("Status", ".status.phase"),
            _column("Backends", ".status.backendCount", "integer"),
            _column("Tools", ".status.toolCount", "integer"),
            _AGE,
            _column("URL", ".status.url", priority=1),
            _column("Tokens", ".status.estimatedTokens", "integer", priority=1),
            _column("Message", ".status.message", priority=1),
        ],
    }
)
"""What `kubectl get` shows behind the name; priority 1 is for `-o wide`."""


def own_kinds() -> tuple[Kind, ...]:
    """The kinds that Kubernetes does not know by itself."""
    return tuple(kind for kind in KINDS if kind.group)


def definition(kind: Kind) -> Schema:
    """The CustomResourceDefinition of one of our kinds."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short),
                "categories": ["mooring"],
            },
            "scope": "Namespaced",
            "versions": [_version(kind)],
        },
    }


def _version(kind: Kind) -> Schema:
    return {
        "name": kind.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": _COLUMNS[kind.name],
        "schema": {"openAPIV3Schema": _schema(kind)},
    }


def _schema(kind: Kind) -> Schema:
    """The kind's schema; of metadata, a cluster lets nothing be said but the name."""
    whole = structural(kind.model)
    required = [field for field in whole.pop("required", ()) if field != "metadata"]
    if required:
        whole["required"] = required
    name = {"type": "string", "maxLength": NAME_LENGTH, "pattern": LABEL}
    status = inner(kind.model.model_fields["status"].annotation)
    whole["properties"] |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object", "properties": {"name": name}},
        "status": structural(status, defaults=False) if status else {},
    }
    return whole
