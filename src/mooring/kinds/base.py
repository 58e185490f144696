"""What all kinds have in common: the Kubernetes object shape.

A document is metadata, a spec (the wish) and a status (what is true). Fields are camelCase
on the wire and snake_case here; unknown fields are refused, because a typing error that is
silently ignored is found weeks later.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from mooring.kinds.ref import Ref

GROUP = "mooring.dev"
API_VERSION: Final = "mooring.dev/v1alpha1"
FINALIZER = f"{GROUP}/instances"
"""Holds a deleted server until its instances are gone."""

NAME_LENGTH = 40
"""Characters that the name of a server or a group may have."""
LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
QUALIFIED = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"

Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH, pattern=LABEL)]
"""A DNS label of at most 40 characters."""
Subdomain = Annotated[str, Field(min_length=1, max_length=253, pattern=SUBDOMAIN)]
"""DNS labels with dots between them, as Secrets and Events are named."""
Namespace = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL)]
"""A DNS label, as Kubernetes has it for namespaces."""
QualifiedName = Annotated[str, Field(min_length=1, max_length=317, pattern=QUALIFIED)]
"""`name` or `prefix/name`: the key of a label or an annotation, or a finalizer."""
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE)]

Place = tuple[str | int, ...]
"""Where in a document: `("spec", "env", 0, "name")`."""

BROKEN_RULE = "broken_rule"
"""Type of pydantic's error where a rule is broken; `ctx` holds `place` and `sentence`."""


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

    keyed: ClassVar[Mapping[str, str]] = {}
    """Lists of this piece whose entries are told apart by a field: list, field."""
    sets: ClassVar[tuple[str, ...]] = ()
    """Lists of this piece whose entries are told apart by themselves."""


class RuledPart(Part):
    """A piece with rules over several of its fields."""

    exactly_one_of: ClassVar[tuple[str, ...]] = ()
    """Fields, as on the wire, of which exactly one must be given; none: there is no such rule."""

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
        """The rules that a piece breaks: the place to look at, and a sentence.

        `given` is the piece as it stands on the wire; single fields may be malformed, and are
        complained about elsewhere.
        """
        names = cls.exactly_one_of
        found = [name for name in names if given.get(name) is not None]
        if names and len(found) != 1:
            yield (), f"needs exactly one of {', '.join(names)}; found {_several(found)}"
        for field, key in cls.keyed.items():
            yield from _repeated(given.get(field), field, key)

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        for place, sentence in self.broken_rules(self.model_dump(by_alias=True, exclude_none=True)):
            raise broken_rule(place, sentence)
        return self


def broken_rule(place: Place, sentence: str) -> PydanticCustomError:
    """What a validator raises for a rule; `place` is below what it validates."""
    return PydanticCustomError(BROKEN_RULE, "{sentence}", {"place": place, "sentence": sentence})


def _repeated(rows: Any, field: str, key: str) -> Iterator[tuple[Place, str]]:
    """Rows of a list whose key an earlier row has."""
    seen = set()
    for index, row in enumerate(rows if isinstance(rows, list | tuple) else ()):
        value = row.get(key) if isinstance(row, Mapping) else None
        if isinstance(value, str) and value in seen:
            yield (field, index, key), "is the same as in an earlier entry"
        elif isinstance(value, str):
            seen.add(value)


def _several(words: list[str]) -> str:
    """Words as a person lists them: `a`, `a and b`, `a, b and c`, `none`."""
    if not words:
        return "none"
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


class OwnerReference(Part):
    """An object that this one belongs to."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False
    """Whether it is the one that looks after this object."""
    block_owner_deletion: bool = False


class ManagedFields(Part):
    """Who set which fields of an object."""

    manager: str = ""
    """Who."""
    operation: Literal["Apply", "Update"] = "Update"
    """Whether by server-side apply, or otherwise."""
    api_version: str = ""
    time: datetime | None = None
    fields_type: str = ""
    fields_v1: Mapping[str, Any] = Field(default_factory=dict)
    """The fields, as Kubernetes writes sets of them."""
    subresource: str = ""
    """`status`, where they were set through that door."""


class ObjectMeta(Part):
    """Which object this is, and what the store knows of it."""

    keyed: ClassVar[Mapping[str, str]] = {"ownerReferences": "uid"}
    sets: ClassVar[tuple[str, ...]] = ("finalizers",)

    name: Subdomain
    """Unique within kind and namespace; a server or a group has at most 40 characters, no dots."""
    namespace: Namespace = "default"
    uid: str = ""
    """Given by the store when the object is made; another object of the same name has another."""
    resource_version: str = ""
    """Given by the store at every write; empty asks for a new object."""
    generation: int = 0
    """Counts changes of the spec, and nothing else."""
    creation_timestamp: datetime | None = None
    """Given by the store."""
    deletion_timestamp: datetime | None = None
    """Set when deletion was asked for; the object stays until its finalizers are gone."""
    finalizers: tuple[QualifiedName, ...] = ()
    """Who has something to end before the object may go."""
    labels: Mapping[QualifiedName, LabelValue] = Field(default_factory=dict)
    """To select objects by."""
    annotations: Mapping[QualifiedName, str] = Field(default_factory=dict)
    """Notes of people and programs."""
    owner_references: tuple[OwnerReference, ...] = ()
    """Objects that this one belongs to."""
    managed_fields: tuple[ManagedFields, ...] = ()
    """Who set which fields; kept by the API."""


def _named_by_label(metadata: ObjectMeta) -> ObjectMeta:
    """Metadata of an object whose name becomes part of paths, instance names and addresses."""
    name = metadata.name
    if "." in name or len(name) > NAME_LENGTH:
        wrong = "must not contain dots" if "." in name else f"has {len(name)} characters"
        allowed = f"at most {NAME_LENGTH} lower-case letters, digits and '-'"
        raise broken_rule(("name",), f"{wrong}; a name is {allowed}")
    return metadata


LabelledMeta = Annotated[ObjectMeta, AfterValidator(_named_by_label)]
"""Metadata with a name that is a DNS label of at most 40 characters."""


class Condition(Part):
    """One claim about an object, with the reason for it."""

    type: str
    """What is claimed: `Ready`."""
    status: Literal["True", "False", "Unknown"]
    reason: str
    """A CamelCase word for why."""
    message: str = ""
    """A sentence for why."""
    last_transition_time: datetime
    """When `status` last changed; a new reason or message alone does not move it."""
    observed_generation: int = 0
    """The generation of the spec that the claim is about."""


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
