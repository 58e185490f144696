"""What a server finds in its environment.

Every reference is resolved before anything is started: a server without its secret would
run, answer its health checks, and fail every call that matters. A reference that cannot be
resolved is a complaint, in words and with its remedy. Values are in `values` and nowhere
else: in no message, no repr and no checksum.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring.core.checksum import checksum
from mooring.kinds.secret import Secret
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
class _Found:
    value: str = field(repr=False)
    mark: Any = field(repr=False)


def resolve(
    server: MCPServer, secrets: Mapping[str, Secret], own: Mapping[str, str]
) -> Resolution | Complaint:
    """The environment that a server declares.

    `secrets` are those of its namespace by name, `own` is Mooring's own environment. An empty
    value counts as missing unless it is written down as `value: ""`.
    """
    found: dict[str, _Found] = {}
    complaints: list[Complaint] = []
    for variable in sorted(server.spec.env, key=lambda v: v.name):
        match _value(server, variable, secrets, own):
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
    """The secrets that a server refers to, all of its own namespace."""
    sources = (variable.value_from for variable in server.spec.env)
    return frozenset(s.secret_key_ref.name for s in sources if s and s.secret_key_ref)


def _value(
    server: MCPServer, variable: EnvVar, secrets: Mapping[str, Secret], own: Mapping[str, str]
) -> _Found | Complaint:
    source = variable.value_from
    if source is None:
        return _Found(variable.value or "", {"value": variable.value or ""})
    if source.secret_key_ref is not None:
        return _from_secret(server, variable.name, source.secret_key_ref, secrets)
    return _from_own(server, variable.name, source.env or "", own)


def _from_secret(
    server: MCPServer, variable: str, ref: SecretKeyRef, secrets: Mapping[str, Secret]
) -> _Found | Complaint:
    secret = secrets.get(ref.name)
    value = secret.value(ref.key) if secret else None
    if secret is not None and value is not None and _usable(value):
        stamp = {"uid": secret.metadata.uid, "version": secret.metadata.resource_version}
        return _Found(value, {"secret": ref.name, "key": ref.key} | stamp)
    reason, wrong = _wrong_secret(secret, ref, value)
    where = server.metadata.namespace
    inside = "" if where == "default" else f" -n {where}"
    return Complaint(
        reason,
        f'secret resolution failed: server "{server.metadata.name}" env {variable}: {wrong}. '
        f"Fix: moor create secret {ref.name}{inside} --from-literal {ref.key}=…",
    )


def _wrong_secret(secret: Secret | None, ref: SecretKeyRef, value: str | None) -> tuple[str, str]:
    """The reason, and the words, for a secret that gives no usable value."""
    if secret is None:
        return "SecretNotFound", f'secret "{ref.name}" does not exist'
    if ref.key not in secret.data:
        return "SecretKeyNotFound", f'secret "{ref.name}" has no key "{ref.key}"'
    if value == "":
        return "SecretEmpty", f'key "{ref.key}" of secret "{ref.name}" is empty'
    return "SecretUnusable", f'key "{ref.key}" of secret "{ref.name}" is not text'


def _from_own(
    server: MCPServer, variable: str, name: str, own: Mapping[str, str]
) -> _Found | Complaint:
    value = own.get(name)
    if value is not None and _usable(value):
        # Salted, so that equal values of two servers do not look alike in their status.
        return _Found(value, {"env": name, "hash": checksum([server.metadata.uid, name, value])})
    reason, wrong = _wrong_variable(value)
    return Complaint(
        reason,
        f'environment resolution failed: server "{server.metadata.name}" env {variable}: '
        f"variable {name} of Mooring's own environment {wrong}. "
        f"Fix: set {name} where Mooring is started",
    )


def _wrong_variable(value: str | None) -> tuple[str, str]:
    """The reason, and the words, for a variable of our own that gives no usable value."""
    if value is None:
        return "VariableNotSet", "is not set"
    if value == "":
        return "VariableEmpty", "is empty"
    return "VariableUnusable", "is not text"


def _usable(value: str) -> bool:
    """Something, and something that a process can be given: no NUL, no lone surrogate."""
    return value != "" and not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value)
