"""What a server finds in its environment.

Every reference is resolved before anything is started: a server without its secret would
run, answer its health checks, and fail every call that matters. A reference that cannot be
resolved is a complaint, in words and with its remedy. Values are in `values` and nowhere
else: in no message, no repr and no checksum.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring.core.secret_places import Found as FoundSecret
from mooring.core.secret_places import NoSecret, SecretPlace, fingerprint, places, usable
from mooring.kinds.server import EnvVar, MCPServer, SecretKeyRef


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why a server cannot be made ready to run."""

    reason: str
    """A CamelCase word: `SecretNotFound`."""
    message: str
    checksum: str = ""
    """Of what cannot be run; where it changes, it is worth another attempt."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Every declared variable, with its value."""

    values: Mapping[str, str] = field(repr=False)
    marks: Mapping[str, Any]
    """What stands for each value in a checksum."""


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to resolve references with: never shown."""

    secrets: Mapping[SecretPlace, FoundSecret] = field(default_factory=dict, repr=False)
    """What is found in every place that the server refers to."""
    own: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Mooring's own environment."""
    pepper: bytes = field(default=b"", repr=False)
    """Keeps guesses from being tried on the marks of values."""


@dataclass(frozen=True, slots=True)
class _Found:
    value: str = field(repr=False)
    mark: Any = field(repr=False)


def resolve(server: MCPServer, known: Known) -> Resolution | Complaint:
    """The environment that a server declares.

    An empty value counts as missing unless it is written down as `value: ""`.
    """
    found: dict[str, _Found] = {}
    complaints: list[Complaint] = []
    for variable in sorted(server.spec.env, key=lambda v: v.name):
        match _value(server, variable, known):
            case Complaint() as complaint:
                complaints.append(complaint)
            case answer:
                found[variable.name] = answer
    if complaints:
        return Complaint(complaints[0].reason, " ".join(c.message for c in complaints))
    return Resolution(
        {name: answer.value for name, answer in found.items()},
        {name: answer.mark for name, answer in found.items()},
    )


def secret_names(server: MCPServer) -> frozenset[str]:
    """The Secret objects that a server refers to, all of its own namespace."""
    return frozenset(place.name for place in places(server) if place.store == "encrypted")


def _value(server: MCPServer, variable: EnvVar, known: Known) -> _Found | Complaint:
    source = variable.value_from
    if source is None:
        return _Found(variable.value or "", {"value": variable.value or ""})
    if source.secret_key_ref is not None:
        return _from_secret(server, variable.name, source.secret_key_ref, known)
    return _from_own(server, variable.name, source.env or "", known)


def _from_secret(
    server: MCPServer, variable: str, ref: SecretKeyRef, known: Known
) -> _Found | Complaint:
    place = SecretPlace(ref.store, server.metadata.namespace, ref.name, ref.key)
    match known.secrets[place]:
        case NoSecret(reason, wrong, remedy):
            return Complaint(
                reason,
                f'secret resolution failed: server "{server.metadata.name}" env {variable}: '
                f"{wrong}. Fix: {remedy}",
            )
        case answer:
            return _Found(answer.value, answer.mark)


def _from_own(server: MCPServer, variable: str, name: str, known: Known) -> _Found | Complaint:
    value = known.own.get(name)
    if value is not None and usable(value):
        mark = fingerprint(known.pepper, [server.metadata.uid, name, value])
        return _Found(value, {"env": name, "mark": mark})
    reason, wrong = _wrong_variable(value)
    return Complaint(
        reason,
        f'environment resolution failed: server "{server.metadata.name}" env {variable}: '
        f"variable {name} of Mooring's own environment {wrong}. "
        f"Fix: set {name} where Mooring is started, and start it again",
    )


def _wrong_variable(value: str | None) -> tuple[str, str]:
    """The reason, and the words, for a variable of our own that gives no usable value."""
    if value is None:
        return "VariableNotSet", "is not set"
    if value == "":
        return "VariableEmpty", "is empty"
    return "VariableUnusable", "is not text"
