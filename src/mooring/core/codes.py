"""Codes of JSON-RPC errors, and the HTTP status of each in the stateless era.

Sources: JSON-RPC 2.0, section 5.1; MCP 2026-07-28, Transports, Streamable HTTP. Codes from
-32000 to -32019 are ours to give a meaning to.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
HEADER_MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022
CANCELLED: Final = -32800
UNAVAILABLE: Final = -32000
"""Ours: the server behind could not be asked, or did not answer as it should."""
TIMED_OUT: Final = -32001
"""Ours: the server behind did not answer in time."""

STATELESS_ONLY: Final = frozenset({HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION})
"""Errors that exist in the stateless era alone: who answers so, speaks it."""

STATUS: Final[Mapping[int, int]] = MappingProxyType(
    {
        PARSE_ERROR: 400,
        INVALID_REQUEST: 400,
        METHOD_NOT_FOUND: 404,
        INVALID_PARAMS: 400,
        HEADER_MISMATCH: 400,
        MISSING_CAPABILITY: 400,
        UNSUPPORTED_VERSION: 400,
    }
)
"""HTTP statuses of errors in the stateless era; every other one is 200."""
