"""What all kinds have in common: the Kubernetes object shape.

A document is metadata, a spec (the wish) and a status (what is true). Fields are camelCase
on the wire and snake_case here; unknown fields are refused, because a typing error that is
silently ignored is found weeks later.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mooring.kinds.ref import Ref

GROUP = "mooring.dev"
API_VERSION: Final = "mooring.dev/v1alpha1"
FINALIZER = f"{GROUP}/instances"
"""Holds a deleted server until its instances are gone."""

Name = Annotated[
    str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
]
"""A DNS label of at most 40 characters."""


class Part(BaseModel):
    """A piece of a document: frozen, camelCase on the wire, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


class ObjectMeta(Part):
    """Which object this is, and what the store knows of it."""

    name: Name
    namespace: Name = "default"
    uid: str = ""
    """Given by the store when the object is made; another object of the same name has another."""
    resource_version: str = ""
    """Given by the store at every write; empty asks for a new object."""
    generation: int = 0
    """Counts changes of the spec, and nothing else."""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    finalizers: tuple[str, ...] = ()
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)


class Condition(Part):
    """One claim about an object, with the reason for it."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    last_transition_time: datetime
    """When `status` last changed; a new reason or message alone does not move it."""
    observed_generation: int = 0


class Object(Part):
    """A declared document."""

    plural: ClassVar[str]
    """What the kind is called in paths: `mcpservers`."""

    api_version: str
    kind: str
    metadata: ObjectMeta

    @property
    def ref(self) -> Ref:
        """This object's name."""
        return Ref(self.kind, self.metadata.namespace, self.metadata.name)

    def document(self) -> dict[str, Any]:
        """This object as JSON-ready values, camelCase, without what was never set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
