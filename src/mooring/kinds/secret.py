"""A Secret, in the shape of Kubernetes' own.

`data` holds base64 text; `stringData` is a convenience of writers and is folded into `data`
when the document is read. Values never appear when a Secret is printed.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from mooring.kinds.base import Object

Key = Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]


class Secret(Object):
    """Values that servers need and nobody else may see."""

    plural: ClassVar[str] = "secrets"

    api_version: Literal["v1"] = "v1"
    kind: Literal["Secret"] = "Secret"
    type: str = "Opaque"
    immutable: bool = False
    data: Mapping[Key, str] = Field(default_factory=dict, repr=False)
    """Base64 text by key."""

    @model_validator(mode="before")
    @classmethod
    def _fold_string_data(cls, document: Any) -> Any:
        if not isinstance(document, dict) or "stringData" not in document:
            return document
        rest = {key: value for key, value in document.items() if key != "stringData"}
        plain = document["stringData"] or {}
        if not isinstance(plain, dict) or not all(isinstance(v, str) for v in plain.values()):
            raise ValueError("stringData must map keys to strings")
        coded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
        return rest | {"data": dict(rest.get("data") or {}) | coded}

    @field_validator("data")
    @classmethod
    def _base64(cls, data: Mapping[str, str]) -> Mapping[str, str]:
        for key, text in data.items():
            try:
                base64.b64decode(text, validate=True)
            except binascii.Error:
                raise ValueError(f"the value of {key} is not base64") from None
        return data

    def value(self, key: str) -> str | None:
        """The clear text of one key; None where there is no such key, or it is no text."""
        coded = self.data.get(key)
        if coded is None:
            return None
        try:
            return base64.b64decode(coded).decode()
        except UnicodeDecodeError:
            return None
