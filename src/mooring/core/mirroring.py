"""Headers that repeat a request's body, as a client of the stateless era sends them.

The other half of this rule, checking them, is in `core/era` for the standard headers, and here
for those that a tool wants. Source: MCP 2026-07-28, Transports, Standard Headers and Custom
Headers.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mooring.core.era import NAMED, STATELESS, decoded
from mooring.core.headers import Headers

_PLAIN = re.compile(r"[\x20-\x7e]*")
_ENCODED = re.compile(r"=\?base64\?.*\?=", re.DOTALL)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_DECIMAL = re.compile(r"-?[0-9]{1,400}(\.[0-9]+)?")
_MIRRORED = ("string", "integer", "boolean")
"""Types of arguments that may be repeated in a header."""


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


@dataclass(frozen=True, slots=True)
class Wish:
    """One argument of a tool that is to be repeated in a header (`x-mcp-header`)."""

    header: bytes
    """`mcp-param-` and the name that the schema gives, in lower case."""
    path: tuple[str, ...]
    """Where the argument is: properties of properties."""
    integer: bool
    """Numbers are compared as numbers: 42 is 42.0."""

    def text(self, arguments: Any) -> str | None:
        """The argument as the header says it; None where it is absent, or no scalar."""
        value = self._value(arguments)
        if isinstance(value, bool):
            return str(value).lower()
        return str(value) if isinstance(value, str | int | float) else None

    def agrees(self, given: bytes, arguments: Any) -> bool:
        """Whether a header says the same as the argument."""
        said = decoded(given)
        if self.integer and said is not None and _DECIMAL.fullmatch(said):
            value = self._value(arguments)
            whole, _, fraction = said.partition(".")
            if isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0:
                return not fraction.strip("0") and int(whole) == int(value)
        return said is not None and said == self.text(arguments)

    def _value(self, arguments: Any) -> Any:
        for key in self.path:
            arguments = arguments.get(key) if isinstance(arguments, Mapping) else None
        return arguments


def wishes(schema: Any) -> tuple[Wish, ...]:
    """What a tool's schema wants repeated; nothing where one of its wishes is against the rules."""
    found = tuple(_wishes(schema, ()))
    headers = {wish.header for wish in found if wish is not None}
    if None in found or len(headers) < len(found):
        return ()
    return tuple(wish for wish in found if wish is not None)


def _wishes(schema: Any, path: tuple[str, ...]) -> Iterator[Wish | None]:
    """The wishes of a schema; None for each that is not allowed."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return
    for name, part in properties.items():
        if not isinstance(part, Mapping):
            continue
        kind = part.get("type")
        if "x-mcp-header" in part:
            header = part["x-mcp-header"]
            fit = isinstance(header, str) and _TOKEN.fullmatch(header) and kind in _MIRRORED
            named = f"mcp-param-{header}".lower().encode() if fit else b""
            yield Wish(named, (*path, name), kind == "integer") if fit else None
        yield from _wishes(part, (*path, name))


def parameters(schema: Any, arguments: Any) -> Headers:
    """The headers that a tool wants its arguments repeated in."""
    told = ((wish.header, wish.text(arguments)) for wish in wishes(schema))
    return tuple((header, encoded(text)) for header, text in told if text is not None)


def disagreement(
    wanted: Iterable[Wish], arguments: Any, headers: Mapping[bytes, bytes]
) -> str | None:
    """What is wrong with the headers that repeat a tool's arguments, or None."""
    for wish in wanted:
        given = headers.get(wish.header)
        name = wish.header.decode().title()
        if given is None:
            if wish.text(arguments) is not None:
                return f"the {name} header is missing"
        elif not wish.agrees(given, arguments):
            return f"the {name} header does not match the argument {'.'.join(wish.path)!r}"
    return None
