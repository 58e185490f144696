"""Kubernetes' own kinds as plain objects: any spec, any status, nothing checked.

Enough for whoever makes, watches and deletes them; nobody here runs a pod.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from mooring.api.exposed import Exposed
from mooring.core.naming import CORE_PATH, Naming
from mooring.kinds.base import Object, ObjectMeta


class PlainMeta(ObjectMeta):
    """Metadata with whatever else Kubernetes keeps there."""

    model_config = ConfigDict(extra="allow")

    namespace: str = ""
    """Empty where the kind has none."""


class Plain(Object):
    """Any document that has metadata, and neither spec nor status."""

    model_config = ConfigDict(extra="allow")

    plural: ClassVar[str] = ""

    metadata: PlainMeta


class PlainObject(Plain):
    """Any document that has metadata; generations count changes of the spec."""

    spec: dict[str, Any] | None = Field(default=None)
    status: dict[str, Any] | None = Field(default=None)


@dataclass(frozen=True, slots=True)
class PlainKind:
    """Where a kind is served."""

    kind: str
    plural: str
    path: str
    namespaced: bool = True
    model: type[Plain] = PlainObject

    @property
    def exposed(self) -> Exposed:
        """As the rest of the API knows it."""
        word = self.kind.lower()
        return Exposed(Naming(self.kind, word, self.plural, self.path), self.model)


PLAIN = (
    PlainKind("Namespace", "namespaces", CORE_PATH, namespaced=False),
    PlainKind("ConfigMap", "configmaps", CORE_PATH, model=Plain),
    PlainKind("Event", "events", CORE_PATH, model=Plain),
    PlainKind("PersistentVolumeClaim", "persistentvolumeclaims", CORE_PATH),
    PlainKind("Pod", "pods", CORE_PATH),
    PlainKind("Secret", "secrets", CORE_PATH, model=Plain),
    PlainKind("Service", "services", CORE_PATH),
    PlainKind("ServiceAccount", "serviceaccounts", CORE_PATH, model=Plain),
    PlainKind("Deployment", "deployments", "/apis/apps/v1"),
    PlainKind("ReplicaSet", "replicasets", "/apis/apps/v1"),
    PlainKind("StatefulSet", "statefulsets", "/apis/apps/v1"),
    PlainKind("EndpointSlice", "endpointslices", "/apis/discovery.k8s.io/v1"),
    PlainKind("Lease", "leases", "/apis/coordination.k8s.io/v1"),
    PlainKind("PodDisruptionBudget", "poddisruptionbudgets", "/apis/policy/v1"),
    PlainKind(
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "/apis/apiextensions.k8s.io/v1",
        namespaced=False,
    ),
)
"""What the stand-in of a cluster holds beside our own kinds."""
