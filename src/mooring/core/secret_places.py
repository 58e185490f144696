"""Where the values of secrets are, and what is found there.

A reference names a secret and one key of it, in one of three stores: `encrypted` (Secret
objects), `environment` (variables of Mooring's own, with a prefix), `directory` (a file for each
key, as Docker and Kubernetes mount secrets). What is found is a value with its mark, which stands
for it in checksums; or nothing that can be used, and then why, and what mends it.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from mooring.core.checksum import canonical
from mooring.kinds.secret import LockedSecret, Secret
from mooring.kinds.server import MCPServer, SecretStoreName

STORES: tuple[SecretStoreName, ...] = get_args(SecretStoreName)
PREFIX = "MOORING_SECRET_"
LIMIT = 1024 * 1024
"""Bytes that a value may have."""

_PLAIN = re.compile(r"[^A-Za-z0-9]")


@dataclass(frozen=True, slots=True, order=True)
class SecretPlace:
    """One key of one secret, in one store."""

    store: SecretStoreName
    namespace: str
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class SecretValue:
    """A value that can be used."""

    value: str = field(repr=False)
    mark: Any = field(repr=False)
    """JSON-ready; the same as long as the value is, and telling nothing of it."""


@dataclass(frozen=True, slots=True)
class NoSecret:
    """Nothing that can be used."""

    reason: str
    """A CamelCase word: `SecretNotFound`."""
    wrong: str
    """Half a sentence: `secret "gitea-creds" does not exist`."""
    remedy: str


Found = SecretValue | NoSecret


def places(server: MCPServer) -> tuple[SecretPlace, ...]:
    """Every place that a server refers to, each once, sorted."""
    where = server.metadata.namespace
    sources = (variable.value_from for variable in server.spec.env)
    refs = (source.secret_key_ref for source in sources if source and source.secret_key_ref)
    return tuple(sorted({SecretPlace(ref.store, where, ref.name, ref.key) for ref in refs}))


def in_object(place: SecretPlace, secret: Secret | None) -> Found:
    """What a Secret object holds under a key."""
    name, key = place.name, place.key
    inside = "" if place.namespace == "default" else f" -n {place.namespace}"
    remedy = f"moor create secret {name}{inside} --from-literal {key}=…"
    if secret is None:
        return NoSecret("SecretNotFound", f'secret "{name}" does not exist', remedy)
    if isinstance(secret, LockedSecret):
        wrong = f'secret "{name}" (key "{key}") cannot be decrypted with the key of this Mooring'
        back = "put keys/secrets.key of the data directory back and start again, or"
        return NoSecret("SecretUndecryptable", wrong, f"{back} {remedy}")
    if key not in secret.data:
        return NoSecret("SecretKeyNotFound", f'secret "{name}" has no key "{key}"', remedy)
    value = secret.value(key)
    again = f"{remedy} --overwrite"
    if value == "":
        return NoSecret("SecretEmpty", f'key "{key}" of secret "{name}" is empty', again)
    if value is None or not usable(value):
        return NoSecret("SecretUnusable", f'key "{key}" of secret "{name}" is not text', again)
    stamp = {"uid": secret.metadata.uid, "version": secret.metadata.resource_version}
    return SecretValue(value, {"secret": name, "key": key} | stamp)


def variable(place: SecretPlace, prefix: str) -> str:
    """The variable of the environment that holds a key.

    >>> variable(SecretPlace("environment", "default", "gitea-creds", "token"), PREFIX)
    'MOORING_SECRET_GITEA_CREDS_TOKEN'
    """
    inside = "" if place.namespace == "default" else f"{_plain(place.namespace)}__"
    return f"{prefix}{inside}{_plain(place.name)}_{_plain(place.key)}"


def in_environment(place: SecretPlace, own: Mapping[str, str], prefix: str, pepper: bytes) -> Found:
    """What a variable of Mooring's own environment holds."""
    name = variable(place, prefix)
    value = own.get(name)
    remedy = f"set {name} where Mooring is started, and start it again"
    about = f'key "{place.key}" of secret "{place.name}" (variable {name})'
    if value is None:
        return NoSecret("SecretNotFound", f"{about} is not set", remedy)
    if value == "":
        return NoSecret("SecretEmpty", f"{about} is empty", remedy)
    if not usable(value):
        return NoSecret("SecretUnusable", f"{about} is not text", remedy)
    return marked(place, value, pepper)


def marked(place: SecretPlace, value: str, pepper: bytes) -> SecretValue:
    """A value that has no version of its own, with a mark that only who has the key can check."""
    known = {"store": place.store, "secret": place.name, "key": place.key}
    told = [place.store, place.namespace, place.name, place.key, value]
    return SecretValue(value, known | {"mark": fingerprint(pepper, told)})


def fingerprint(pepper: bytes, told: Any) -> str:
    """Stands for something secret: no guess can be tried on it without the key."""
    return hmac.new(pepper, canonical(told), hashlib.sha256).hexdigest()


def usable(value: str) -> bool:
    """Something, and something that a process can be given: no NUL, no lone surrogate."""
    return value != "" and not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value)


def _plain(text: str) -> str:
    return _PLAIN.sub("_", text).upper()
