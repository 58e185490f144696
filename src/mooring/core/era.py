"""Which era a request belongs to, and whether its headers say what its body says.

Up to 2025-11-25 a client first initializes and then belongs to a session. From 2026-07-28
every request stands alone and repeats parts of its body in headers, which must agree with
it. Sources: MCP 2026-07-28, Transports, Streamable HTTP, Standard Headers; and what clients
do: some put `Mcp-Method` on an `initialize`, some put reserved `_meta` keys into sessions,
so neither is a sign of the stateless era.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Literal

Era = Literal["session", "stateless"]

SESSION_VERSIONS = frozenset({b"2024-11-05", b"2025-03-26", b"2025-06-18", b"2025-11-25"})
STATELESS = b"2026-07-28"
NAMED = frozenset({"tools/call", "prompts/get", "resources/read"})
"""Methods whose `Mcp-Name` repeats `params.name` or `params.uri`."""

_DATE = re.compile(rb"\d{4}-\d{2}-\d{2}")
_ENCODED = re.compile(rb"=\?base64\?(.*)\?=", re.DOTALL)


def era_of(header: bytes | None, version: str | None, method: str, in_session: bool) -> Era:
    """The era of a request.

    `header` is `MCP-Protocol-Version`, `version` what `params._meta` says, `in_session` whether
    an `Mcp-Session-Id` came along. The header decides where it names a version of either
    era; else `initialize` and a session id mean sessions, and a version in the body does not.
    """
    if header is not None:
        if header in SESSION_VERSIONS:
            return "session"
        if header >= STATELESS and _DATE.fullmatch(header):
            return "stateless"
    if version is None or in_session or method == "initialize":
        return "session"
    return "stateless"


def mirrored(
    headers: Mapping[bytes, bytes], method: str, name: str | None, version: str | None
) -> str | None:
    """What is wrong with the headers that repeat the body of a stateless request, or None."""
    stated = headers.get(b"mcp-protocol-version")
    if stated is None:
        return "the Mcp-Protocol-Version header is missing"
    if version is not None and stated != version.encode("utf-8", "surrogatepass"):
        return "the Mcp-Protocol-Version header and params._meta name different versions"
    if headers.get(b"mcp-method") != method.encode("utf-8", "surrogatepass"):
        found = "does not match the body" if b"mcp-method" in headers else "is missing"
        return f"the Mcp-Method header {found}"
    if method in NAMED and name is not None:
        given = headers.get(b"mcp-name")
        if given is None:
            return "the Mcp-Name header is missing"
        if decoded(given) != name:
            return "the Mcp-Name header does not match the body"
    return None


def decoded(value: bytes) -> str | None:
    """The text of a mirrored header; None where its encoding is broken.

    >>> decoded(b"=?base64?dXMtd8Opc3Q=?=")
    'us-wést'
    """
    found = _ENCODED.fullmatch(value)
    try:
        if found is None:
            return value.decode("ascii")
        raw = base64.b64decode(found[1], validate=True)
        if base64.b64encode(raw) != found[1]:
            return None  # two spellings of one value: gateway and server could disagree
        return raw.decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
