"""A Secret, in the shape of Kubernetes' own.

`data` holds base64 text; `stringData` is a convenience of writers and is folded into `data`
when the document is read. Values never appear when a Secret is printed.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from mooring.kinds.base import Object, broken_rule

SECRET_KEY = r"^[-._a-zA-Z0-9]+$"

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
