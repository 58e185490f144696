"""Stores of secrets beside Secret objects, as the settings say, and the key of their marks."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mooring.core.ports import SecretStore
from mooring.programs.places import Places
from mooring.programs.settings import Settings
from mooring.sessions.keys import load_or_make
from mooring.stores.secret_files import SecretFiles
from mooring.stores.secret_variables import SecretVariables

_PURPOSE = b"mooring marks of values"


@dataclass(frozen=True, slots=True)
class OuterSecrets:
    """What servers are given values from."""

    stores: Mapping[str, SecretStore]
    """By name: `environment`, and `directory` where one is set."""
    pepper: bytes = field(repr=False)
    """Derived from the key of the installation: marks mean nothing without it."""


def outer_secrets(settings: Settings, places: Places, own: Mapping[str, str]) -> OuterSecrets:
    """The stores of an installation; `own` is Mooring's own environment."""
    key = load_or_make(places.keys / "secrets.key")
    pepper = hmac.new(key, _PURPOSE, hashlib.sha256).digest()
    prefix = settings.secrets_env_prefix
    stores: dict[str, SecretStore] = {"environment": SecretVariables(dict(own), prefix, pepper)}
    if settings.secrets_dir:
        directory = Path(settings.secrets_dir).expanduser().absolute()
        stores["directory"] = SecretFiles(directory, pepper)
    return OuterSecrets(stores, pepper)
