"""Protocol Buffers on the wire: as little of it as Kubernetes' clients insist on.

A message is its fields by number. Written are text, bytes, whole numbers, doubles, truths,
messages, and lists of them; what is empty is left out. Read are numbers, texts, bytes and
messages alike as what is on the wire. Rules: protobuf.dev, "Encoding".
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any

Message = Mapping[int, Any]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


def encoded(message: Message) -> bytes:
    """The bytes of a message.

    >>> encoded({1: "mcp", 2: 300, 3: {1: True}, 4: ""}).hex()
    '0a036d637010ac021a020801'
    """
    return b"".join(
        _field(number, each)
        for number, value in sorted(message.items())
        for each in (value if isinstance(value, list) else [value])
    )


def _field(number: int, value: Any) -> bytes:
    if isinstance(value, Mapping):
        return _sized(number, encoded(value))
    if isinstance(value, bytes):
        return _sized(number, value) if value else b""
    if isinstance(value, str):
        return _sized(number, value.encode()) if value else b""
    if isinstance(value, float):
        return _varint(number << 3 | _FIXED64) + struct.pack("<d", value) if value else b""
    return _varint(number << 3 | _VARINT) + _varint(int(value)) if value else b""


def _sized(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)


def decoded(content: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message, in order: bytes, or numbers. ValueError where it is none."""
    at = 0
    while at < len(content):
        key, at = _read_varint(content, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _read_varint(content, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = _read_varint(content, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("a field is of a type that nobody knows")
        if size > len(content) - at:
            raise ValueError("a field is longer than its message")
        yield key >> 3, content[at : at + size]
        at += size


def _read_varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(_LONGEST_VARINT):
        if at + index >= len(content):
            raise ValueError("the message ends within a number")
        byte = content[at + index]
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value & 2**64 - 1, at + index + 1
    raise ValueError("a number is too long")
