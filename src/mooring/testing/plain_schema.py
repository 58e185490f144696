"""How documents of Kubernetes' own kinds are taken apart when they are patched.

Their real schemas are megabytes. What matters to patches is which lists have entries that are
told apart, and by what; that goes with the names of fields, nearly everywhere. Any other list
is one value, any other map the sum of its fields.
"""

from collections.abc import Mapping
from typing import Any

_KEYED = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "ownerReferences": "uid",
    "conditions": "type",
}
_SETS = ("finalizers",)


def _schema(**keys: str) -> Mapping[str, Any]:
    """Maps all the way down, and lists whose entries the key of that name tells apart."""
    anything: dict[str, Any] = {}
    named: dict[str, Any] = {
        name: {
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": [key],
            "items": anything,
        }
        for name, key in {**_KEYED, **keys}.items()
    }
    named |= {name: {"x-kubernetes-list-type": "set"} for name in _SETS}
    anything |= {"properties": named, "additionalProperties": anything}
    return anything


_PODS = _schema(ports="containerPort")
_SERVICES = _schema(ports="port")


def schema_of(kind: str) -> Mapping[str, Any]:
    """The schema of a kind."""
    return _SERVICES if kind == "Service" else _PODS
