"""A Secret, in the shape of Kubernetes' own.

`data` holds base64 text; `stringData` is a convenience of writers and is folded into `data`
when the document is read. Values never appear when a Secret is printed.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from mooring.kinds.base import Object, broken_rule

SECRET_KEY = r"^[-._a-zA-Z0-9]+$"

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Where kubectl keeps what it applied; in a Secret that is the clear text."""
_VALUES = ("data", "stringData")
_TOLD = ("apiVersion", "kind", "type", "immutable")
_ABOUT = ("name", "namespace", "labels")

Key = Annotated[str, Field(min_length=1, max_length=253, pattern=SECRET_KEY)]


class Secret(Object):
    """Values that servers need and nobody else may see."""

    plural: ClassVar[str] = "secrets"

    api_version: Literal["v1"] = "v1"
    kind: Literal["Secret"] = "Secret"
    type: str = "Opaque"
    """As Kubernetes has it; it means nothing here."""
    immutable: bool = False
    """Refuses every later change of the values."""
    data: Mapping[Key, str] = Field(default_factory=dict, repr=False)
    """Base64 text by key."""
    string_data: Mapping[Key, str] = Field(default_factory=dict, repr=False, exclude=True)
    """Clear text by key, folded into `data` when it is read; it wins over the same key there."""

    @field_validator("data")
    @classmethod
    def _base64(cls, data: Mapping[str, str]) -> Mapping[str, str]:
        for key, text in data.items():
            try:
                base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):  # ValueError: not even ASCII
                raise broken_rule(
                    (key,), "must be base64; clear text goes into stringData"
                ) from None
        return data

    def model_post_init(self, context: Any, /) -> None:
        """Folds the clear text in; the only moment at which a frozen document may change."""
        plain = self.string_data
        if plain:
            coded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
            object.__setattr__(self, "data", {**self.data, **coded})
            object.__setattr__(self, "string_data", {})

    def value(self, key: str) -> str | None:
        """The clear text of one key; None where there is no such key, or it is no text."""
        coded = self.data.get(key)
        if coded is None:
            return None
        try:
            return base64.b64decode(coded).decode()
        except UnicodeDecodeError:
            return None


def without_values(applied: object) -> str | None:
    """What kubectl notes of a Secret that it applied, with its keys and no values.

    That is enough to see which keys were taken away since. None for what is no such note.

    >>> without_values('{"kind":"Secret","stringData":{"token":"hunter2"}}')
    '{"kind":"Secret","stringData":{"token":""}}\\n'
    """
    try:
        told = json.loads(applied) if isinstance(applied, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    kept = {key: told[key] for key in _TOLD if isinstance(told.get(key), str | bool)}
    about = told.get("metadata")
    if isinstance(about, dict):
        kept["metadata"] = {key: about[key] for key in _ABOUT if key in about}
    for part in _VALUES:
        if isinstance(told.get(part), dict):
            kept[part] = dict.fromkeys(told[part], "")
    return json.dumps(kept, separators=(",", ":")) + "\n"


class LockedSecret(Secret):
    """A Secret whose values the key of this installation does not open.

    It is there, so that whoever needs it is told what is wrong; a store keeps its values closed,
    for when the right key is put back.
    """

    sealed: bytes = Field(default=b"", repr=False, exclude=True)
    """The values as they are stored."""
