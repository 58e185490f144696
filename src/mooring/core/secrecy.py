"""What is shown of a Secret, and what an update without values means.

Answers hold keys and no values: `data: {token: ""}`. Whoever sends such an answer back keeps
the values: an empty value in `data` keeps what is stored under that key, and a document with
neither `data` nor `stringData` keeps everything. A key that is left out of `data` is removed.
`stringData` is taken as it stands; that is how a value is made empty.
"""

from collections.abc import Mapping
from typing import Any

CHANGED = "(changed)"
"""Stands for a new value where two documents are compared."""


def hidden(secret: Mapping[str, Any]) -> dict[str, Any]:
    """The document without its values."""
    return {**secret, "data": dict.fromkeys(sorted(secret.get("data") or {}), "")}


def compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The later document without its values, showing which of them are new."""
    old = before.get("data") or {}
    new = after.get("data") or {}
    shown = {key: "" if old.get(key) == new[key] else CHANGED for key in sorted(new)}
    return {**after, "data": shown}


def kept(offered: Mapping[str, Any], stored: Mapping[str, str]) -> dict[str, Any]:
    """The offered document, with the stored values where it has none."""
    if offered.get("data") is None and offered.get("stringData") is None:
        return {**offered, "data": dict(stored)}
    values = offered.get("data")
    if not isinstance(values, Mapping):
        return dict(offered)
    filled = {key: value or stored.get(key, value) for key, value in values.items()}
    return {**offered, "data": filled}
