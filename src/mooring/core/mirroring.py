"""Headers that repeat a request's body, as a client of the stateless era sends them.

The other half of this rule, checking them, is in `core/era`. Source: MCP 2026-07-28,
Transports, Standard Headers and Custom Headers.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mooring.core.era import NAMED, STATELESS
from mooring.core.headers import Headers

_PLAIN = re.compile(r"[\x20-\x7e]*")
_ENCODED = re.compile(r"=\?base64\?.*\?=", re.DOTALL)


def encoded(text: str) -> bytes:
    """A text as the value of a header.

    >>> encoded("us-wést")
    b'=?base64?dXMtd8Opc3Q=?='
    """
    if _PLAIN.fullmatch(text) and text == text.strip() and not _ENCODED.fullmatch(text):
        return text.encode()
    return b"=?base64?" + base64.b64encode(text.encode("utf-8", "replace")) + b"?="


def standard(method: str, params: Mapping[str, Any]) -> Headers:
    """The headers that every request has."""
    headers: Headers = ((b"mcp-protocol-version", STATELESS), (b"mcp-method", method.encode()))
    name = params.get("uri" if method == "resources/read" else "name")
    if method in NAMED and isinstance(name, str):
        headers = (*headers, (b"mcp-name", encoded(name)))
    return headers


def parameters(schema: Any, arguments: Any) -> Headers:
    """The headers that a tool wants its arguments repeated in (`x-mcp-header`)."""
    return tuple(_parameters(schema, arguments))


def _parameters(schema: Any, arguments: Any) -> Iterator[tuple[bytes, bytes]]:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping) or not isinstance(arguments, Mapping):
        return
    for name, part in properties.items():
        value = arguments.get(name)
        if value is None or not isinstance(part, Mapping):
            continue
        header = part.get("x-mcp-header")
        if isinstance(header, str) and isinstance(value, str | bool | int | float):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            yield f"mcp-param-{header}".lower().encode(), encoded(text)
        yield from _parameters(part, value)
