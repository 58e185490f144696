"""Kubernetes' own kinds as plain objects: any spec, any status, nothing checked.

Enough for whoever makes, watches and deletes them; nobody here runs a pod.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from mooring.api.discovery import READ, WRITE, Catalog, Document, entry, own, part
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
    short: tuple[str, ...] = ()
    """Further names, as `kubectl get` takes them."""

    @property
    def exposed(self) -> Exposed:
        """As the rest of the API knows it."""
        word = self.kind.lower()
        return Exposed(Naming(self.kind, word, self.plural, self.path), self.model)


PLAIN = (
    PlainKind("Namespace", "namespaces", CORE_PATH, namespaced=False, short=("ns",)),
    PlainKind("ConfigMap", "configmaps", CORE_PATH, model=Plain, short=("cm",)),
    PlainKind("Event", "events", CORE_PATH, model=Plain, short=("ev",)),
    PlainKind("PersistentVolumeClaim", "persistentvolumeclaims", CORE_PATH, short=("pvc",)),
    PlainKind("Pod", "pods", CORE_PATH, short=("po",)),
    PlainKind("Secret", "secrets", CORE_PATH, model=Plain),
    PlainKind("Service", "services", CORE_PATH, short=("svc",)),
    PlainKind("ServiceAccount", "serviceaccounts", CORE_PATH, model=Plain, short=("sa",)),
    PlainKind("Deployment", "deployments", "/apis/apps/v1", short=("deploy",)),
    PlainKind("ReplicaSet", "replicasets", "/apis/apps/v1", short=("rs",)),
    PlainKind("StatefulSet", "statefulsets", "/apis/apps/v1", short=("sts",)),
    PlainKind("EndpointSlice", "endpointslices", "/apis/discovery.k8s.io/v1"),
    PlainKind("Lease", "leases", "/apis/coordination.k8s.io/v1"),
    PlainKind("PodDisruptionBudget", "poddisruptionbudgets", "/apis/policy/v1", short=("pdb",)),
    PlainKind(
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "/apis/apiextensions.k8s.io/v1",
        namespaced=False,
        short=("crd",),
    ),
)
"""What the stand-in of a cluster holds beside our own kinds."""


def catalog() -> Catalog:
    """What a cluster says that it serves: our own kinds, and these."""
    found = {path: list(entries) for path, entries in own().items()}
    for kind in PLAIN:
        held = found.setdefault(kind.path, [])
        same = (kind.plural, f"{kind.plural}/status")
        held[:] = [each for each in held if each["name"] not in same]
        held += _entries(kind)
    return found


def _entries(kind: PlainKind) -> Iterator[Document]:
    verbs = READ + [verb for verb in WRITE if verb != "deletecollection"]
    named = {"namespaced": kind.namespaced, "categories": [], "shortNames": list(kind.short)}
    yield entry(kind.exposed.naming, verbs) | named
    if "status" in kind.model.model_fields:
        status = part(f"{kind.plural}/status", kind.kind, ["get", "patch", "update"])
        yield {**status, "namespaced": kind.namespaced}
