"""A Secret in protobuf, as `kubectl create secret` sends it; nothing else is read in that form.

The message is Kubernetes' envelope (`runtime.Unknown`) around its `v1.Secret`; field numbers
are those of its generated.proto.
"""

import base64
from collections.abc import Mapping
from typing import Any

from mooring.core.protobuf import decoded

PROTOBUF = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"

Document = dict[str, Any]

_TEXTS: Mapping[int, str] = {1: "name", 3: "namespace", 5: "uid", 6: "resourceVersion"}
_MAPS: Mapping[int, str] = {11: "labels", 12: "annotations"}
_FINALIZERS = 14


def secret_of(content: bytes) -> Document:
    """The document of a Secret; ValueError where the bytes are none."""
    if not content.startswith(MAGIC):
        raise ValueError("the body is no object of Kubernetes")
    envelope = dict(decoded(content[len(MAGIC) :]))
    kind = dict(decoded(_bytes(envelope.get(1, b""))))
    if (kind.get(1), kind.get(2)) != (b"v1", b"Secret"):
        raise ValueError("in protobuf only v1 Secrets are read; send JSON")
    return {"apiVersion": "v1", "kind": "Secret", **_secret(_bytes(envelope.get(2, b"")))}


def _secret(content: bytes) -> Document:
    document: Document = {"metadata": {}, "data": {}}
    plain: dict[str, str] = {}
    for number, value in decoded(content):
        match number:
            case 1:
                document["metadata"] = _metadata(_bytes(value))
            case 2:
                key, held = _entry(value)
                document["data"][key] = base64.b64encode(held).decode()
            case 3 if value:
                document["type"] = _text(value)
            case 4:
                key, held = _entry(value)
                plain[key] = held.decode()
            case 5:
                document["immutable"] = bool(value)
    return document | ({"stringData": plain} if plain else {})


def _metadata(content: bytes) -> Document:
    found: Document = {}
    for number, value in decoded(content):
        if number in _TEXTS and value:
            found[_TEXTS[number]] = _text(value)
        elif number in _MAPS:
            key, held = _entry(value)
            found.setdefault(_MAPS[number], {})[key] = held.decode()
        elif number == _FINALIZERS:
            found.setdefault("finalizers", []).append(_text(value))
    return found


def _entry(value: Any) -> tuple[str, bytes]:
    """An entry of a map."""
    pair = dict(decoded(_bytes(value)))
    return _text(pair.get(1, b"")), _bytes(pair.get(2, b""))


def _text(value: Any) -> str:
    return _bytes(value).decode()


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a field is of another type than it must be")
    return value
