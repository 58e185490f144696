"""Stores of secrets beside Secret objects, as the settings say, and the key of their marks."""

import hashlib
import hmac
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from mooring.core.ports import SecretStore
from mooring.errors import Invalid
from mooring.programs.places import Places
from mooring.programs.settings import Settings
from mooring.sessions.keys import load_or_make
from mooring.stores.secret_files import SecretFiles
from mooring.stores.secret_variables import SecretVariables

_PREFIX = re.compile(r"[A-Za-z_][A-Za-z0-9_]*_")
_PURPOSE = b"mooring marks of values"


@dataclass(frozen=True, slots=True)
class OuterSecrets:
    """What servers are given values from."""

    stores: Mapping[str, SecretStore]
    """By name: `environment`, and `directory` where one is set."""
    pepper: bytes = field(repr=False)
    """Derived from the key of the installation: marks mean nothing without it."""


def outer_secrets(
    settings: Settings, places: Places, own: MutableMapping[str, str]
) -> OuterSecrets:
    """The stores of an installation.

    Secrets are taken out of `own`, Mooring's environment, so that no process which it starts
    inherits them. Raises Invalid for a prefix that could take other variables along.
    """
    prefix = settings.secrets_env_prefix
    if not _PREFIX.fullmatch(prefix):
        wanted = "expected letters, digits and _, with a _ at the end"
        raise Invalid("Invalid", f"--secrets-env-prefix {prefix!r}: {wanted}")
    key = load_or_make(places.keys / "secrets.key")
    pepper = hmac.new(key, _PURPOSE, hashlib.sha256).digest()
    taken = {name: own.pop(name) for name in list(own) if name.startswith(prefix)}
    stores: dict[str, SecretStore] = {"environment": SecretVariables(taken, prefix, pepper)}
    if settings.secrets_dir:
        directory = Path(settings.secrets_dir).expanduser().absolute()
        stores["directory"] = SecretFiles(directory, pepper)
    return OuterSecrets(stores, pepper)
